/* SPDX-License-Identifier: MIT */
/*
 * A kernel that does nothing but hypercalls, on all its virtual CPUs, and counts them: to see what several domains, or
 * several virtual CPUs of one, cost each other in the hypervisor. Nothing is shared between the virtual CPUs but what the
 * ABI makes them share: the page tables' frames are the domain's.
 *
 * Arguments: seconds=N (10), and what one round consists of; without any of these words, of all:
 *
 *	batch		mmu_update of 32 entries
 *	va		update_va_mapping with its flush, twice
 *	pin		a full L1 pinned and given up
 *	multicall	eight update_va_mapping in one call
 *	event		an event to itself, masked; unmask of another
 *	grant		the grant table's set-up and size
 *	empty		xen_version
 *
 * For every whole second of the machine's time, which all domains share, a line "load SECOND ROUNDS" of all virtual
 * CPUs together, with one line before and one after all of them:
 *
 *	load: CPUS virtual CPUs, WORDS
 *	load: TOTAL rounds, WRONG wrong
 *
 * So who starts several domains adds up the seconds in which all of them report.
 */
#include "guest.h"

const char guest_topic[] = "load";

#define MAX_CPUS 8u
#define BATCH	 32u
#define SECOND	 UINT64_C(1000000000)

/* What a virtual CPU works with; a page or more of its own. */
struct worker {
	uint64_t rounds, wrong;
	uint64_t *pte;
	uint64_t va, data_entry, table_mfn, frame_list[4];
	uint32_t port, other_port;
	bool present;
	mmu_update_t updates[BATCH];
	multicall_entry_t calls[8];
} __attribute__((aligned(4096)));

static struct worker workers[MAX_CPUS];
static unsigned nr_cpus;
static bool stop;

static uint64_t entry(struct worker *w)
{
	return w->present ? w->data_entry : 0;
}

static void batch(struct worker *w)
{
	uint64_t machine = pte_machine(w->pte);

	for (unsigned i = 0; i < BATCH; i++)
		w->updates[i] = (mmu_update_t){ .ptr = machine + i * 8, .val = entry(w) };
	w->wrong += hc_mmu_update(w->updates, BATCH, NULL) != 0;
}

static void va(struct worker *w)
{
	uint64_t read_only = w->data_entry & ~PTE_RW;

	w->wrong += hc_update_va_mapping(w->va, w->present ? read_only : w->data_entry, UVMF_INVLPG) != 0;
	w->wrong += hc_update_va_mapping(w->va, entry(w), UVMF_TLB_FLUSH) != 0;
}

static void pin(struct worker *w)
{
	w->wrong += mmuext(MMUEXT_PIN_L1_TABLE, w->table_mfn, 0) != 0;
	w->wrong += mmuext(MMUEXT_UNPIN_TABLE, w->table_mfn, 0) != 0;
}

static void multicall(struct worker *w)
{
	for (unsigned i = 0; i < ARRAY_SIZE(w->calls); i++)
		w->calls[i] = (multicall_entry_t){
			.op = __HYPERVISOR_update_va_mapping,
			.args = { w->va + i * PAGE_SIZE, entry(w), UVMF_INVLPG },
		};
	w->wrong += HC2(multicall, w->calls, ARRAY_SIZE(w->calls)) != 0;
	for (unsigned i = 0; i < ARRAY_SIZE(w->calls); i++)
		w->wrong += w->calls[i].result != 0;
}

static void event(struct worker *w)
{
	struct evtchn_send send = { .port = w->port };
	struct evtchn_unmask unmask = { .port = w->other_port };

	__atomic_fetch_and(&shared->evtchn_pending[w->port / 64], ~(UINT64_C(1) << w->port % 64), __ATOMIC_RELAXED);
	w->wrong += hc_event_channel_op(EVTCHNOP_send, &send) != 0;
	w->wrong += hc_event_channel_op(EVTCHNOP_unmask, &unmask) != 0;
}

static void grant(struct worker *w)
{
	struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = ARRAY_SIZE(w->frame_list) };
	struct gnttab_query_size size = { .dom = DOMID_SELF };

	setup.frame_list.p = w->frame_list;
	w->wrong += HC3(grant_table_op, GNTTABOP_setup_table, &setup, 1) || setup.status != GNTST_okay;
	w->wrong += HC3(grant_table_op, GNTTABOP_query_size, &size, 1) || size.status != GNTST_okay;
}

static void empty(struct worker *w)
{
	w->wrong += HC2(xen_version, XENVER_version, 0) <= 0;
}

static struct {
	const char *name;
	void (*fn)(struct worker *w);
	bool wanted;
} parts[] = {
	{ "batch", batch, false },	   { "va", va, false },	      { "pin", pin, false },
	{ "multicall", multicall, false }, { "event", event, false }, { "grant", grant, false },
	{ "empty", empty, false },
};

static void work(struct worker *w)
{
	w->present = !w->present;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].wanted)
			parts[i].fn(w);
	__atomic_store_n(&w->rounds, w->rounds + 1, __ATOMIC_RELAXED);
}

static void prepare(unsigned cpu)
{
	struct worker *w = &workers[cpu];
	struct evtchn_bind_ipi ipi = { .vcpu = cpu }, other = { .vcpu = cpu };
	uint64_t *table = page_alloc();
	void *data = page_alloc();

	w->data_entry = virt_to_mfn(data) * PAGE_SIZE | PTE_LEAF | PTE_RW;
	w->va = va_reserve(BATCH);
	w->pte = pte_of(w->va, 1);
	for (unsigned i = 0; i < 512; i++)
		table[i] = w->data_entry;
	w->table_mfn = virt_to_mfn(table);
	if (protect(table, PTE_LEAF))
		panic("a page cannot be made read-only");
	if (hc_event_channel_op(EVTCHNOP_bind_ipi, &ipi) || hc_event_channel_op(EVTCHNOP_bind_ipi, &other))
		panic("bind_ipi is refused");
	w->port = ipi.port;
	w->other_port = other.port;
}

static void secondary(unsigned cpu)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		work(&workers[cpu]);
	for (;;)
		HC3(vcpu_op, VCPUOP_down, cpu, 0);
}

static uint64_t rounds(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < nr_cpus; i++)
		n += __atomic_load_n(&workers[i].rounds, __ATOMIC_RELAXED);
	return n;
}

/* The first and the last second are not whole. */
static void count(uint64_t seconds)
{
	uint64_t second = system_time() / SECOND, last = second + seconds, before = 0;
	bool whole = false;

	while (second <= last) {
		uint64_t now, n;

		for (unsigned i = 0; i < 8; i++)
			work(&workers[0]);
		now = system_time() / SECOND;
		if (now == second)
			continue;
		n = rounds();
		/* Whoever was not given a CPU for a second has nothing to say about it. */
		if (whole && now == second + 1)
			printf("load %lu %lu\n", second, n - before);
		before = n;
		second = now;
		whole = true;
	}
}

void guest_main(void)
{
	bool any = false;
	uint64_t wrong = 0;

	nr_cpus = vcpu_possible();
	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		any |= parts[i].wanted = told(parts[i].name);
	printf("load: %u virtual CPUs,", nr_cpus);
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		parts[i].wanted |= !any;
		if (parts[i].wanted)
			printf(" %s", parts[i].name);
	}
	printf("\n");
	upcalls_off();
	for (unsigned i = 0; i < nr_cpus; i++)
		prepare(i);
	for (unsigned i = 1; i < nr_cpus; i++)
		if (vcpu_prepare(i, secondary) || HC3(vcpu_op, VCPUOP_up, i, 0))
			panic("virtual CPU %u does not come up", i);
	count(told_number("seconds=", 10));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 1; i < nr_cpus; i++)
		while (HC3(vcpu_op, VCPUOP_is_up, i, 0))
			HC2(sched_op, SCHEDOP_yield, 0);
	for (unsigned i = 0; i < nr_cpus; i++)
		wrong += workers[i].wrong;
	printf("load: %lu rounds, %lu wrong\n", rounds(), wrong);
	check(!wrong, "all hypercalls did what they should", "%lu did not", wrong);
}
