/* SPDX-License-Identifier: MIT */
/*
 * Several virtual CPUs (xen/vcpu.h): bringing them up and down, events from one to another, and page tables that all
 * share, changed by one while another stands on them. With one virtual CPU there is nothing to see.
 *
 * Virtual CPU 0 gives the others work through a slot each; they take no upcalls and no traps.
 */
#include "guest.h"

const char guest_topic[] = "smp";

#define MAX_CPUS 8u
#define ROUNDS   200u
#define PATIENCE UINT64_C(60000000000) /* ns; for machines that are emulated beside others */

enum work { NONE, COUNT, WAIT_EVENT, STORE, TABLES, PINS, DOWN };

static struct slot {
	unsigned work; /* NONE: done */
	uint64_t arg;
	uint32_t port;
	unsigned wrong;
	uint64_t *page;
	struct {
		uint64_t xmm[2];
		uint32_t mxcsr;
		uint16_t fcw;
	} fpu; /* what it began with */
} slots[MAX_CPUS];

static unsigned nr_cpus;
static uint64_t counter, stop;

static void yield(void)
{
	HC2(sched_op, SCHEDOP_yield, 0);
}

static unsigned state_of(unsigned cpu)
{
	struct vcpu_runstate_info info = { .state = 99 };

	HC3(vcpu_op, VCPUOP_get_runstate_info, cpu, &info);
	return (unsigned)info.state;
}

/* ---- on the others ---- */

static void count(void)
{
	for (unsigned i = 0; i < ROUNDS * 10; i++)
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

/* Sleeps until its port is pending, as often as asked. */
static void wait_event(struct slot *s)
{
	uint64_t *word = &shared->evtchn_pending[s->port / 64], bit = UINT64_C(1) << (s->port % 64);

	for (uint64_t i = 0; i < s->arg; i++) {
		evtchn_port_t port = s->port;
		struct sched_poll poll = { .nr_ports = 1 };

		poll.ports.p = &port;
		while (!(__atomic_load_n(word, __ATOMIC_SEQ_CST) & bit))
			HC2(sched_op, SCHEDOP_poll, &poll);
		__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
	}
}

/* The same word again and again, wherever it is mapped by now. Even, so never a present entry. */
static void store(struct slot *s)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		*(volatile uint64_t *)s->arg = 0xdead0;
}

/* Maps and unmaps pages of its own in a part of the kernel's tables of its own. */
static void tables(struct slot *s)
{
	uint64_t va = s->arg, *pte = pte_of(va, 1), *page = s->page;

	for (unsigned i = 0; i < ROUNDS; i++) {
		page[7] = i;
		if (pte_set(pte, virt_to_mfn(page) * PAGE_SIZE | PTE_LEAF | PTE_RW))
			s->wrong++;
		else if (*(volatile uint64_t *)(va + 56) != i)
			s->wrong++;
		if (hc_update_va_mapping(va, 0, UVMF_INVLPG | UVMF_ALL))
			s->wrong++;
	}
}

/* A page becomes a page table and ordinary memory again. */
static void pins(struct slot *s)
{
	uint64_t *page = s->page;

	memset(page, 0, PAGE_SIZE);
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		s->wrong += protect(page, PTE_LEAF) != 0;
		s->wrong += mmuext(MMUEXT_PIN_L1_TABLE, virt_to_mfn(page), 0) != 0;
		s->wrong += mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(page), 0) != 0;
		s->wrong += protect(page, PTE_LEAF | PTE_RW) != 0;
		page[0] = i << 1; /* never a present entry */
	}
}

static void do_work(struct slot *s, unsigned cpu, unsigned work)
{
	switch (work) {
	case COUNT:
		count();
		break;
	case WAIT_EVENT:
		wait_event(s);
		break;
	case STORE:
		store(s);
		break;
	case TABLES:
		tables(s);
		break;
	case PINS:
		pins(s);
		break;
	case DOWN:
		HC3(vcpu_op, VCPUOP_down, cpu, 0);
		break;
	}
}

static void __attribute__((noreturn)) secondary(unsigned cpu)
{
	struct slot *s = &slots[cpu];

	__asm__ volatile("movups %%xmm15, %0\n\tstmxcsr %1\n\tfnstcw %2"
			 : "=m"(s->fpu.xmm), "=m"(s->fpu.mxcsr), "=m"(s->fpu.fcw));
	for (;;) {
		unsigned work = __atomic_load_n(&s->work, __ATOMIC_ACQUIRE);

		if (work == NONE) {
			yield();
			continue;
		}
		do_work(s, cpu, work);
		__atomic_store_n(&s->work, NONE, __ATOMIC_RELEASE);
	}
}

/* ---- on virtual CPU 0 ---- */

static void give(unsigned cpu, enum work work, uint64_t arg)
{
	slots[cpu].arg = arg;
	slots[cpu].wrong = 0;
	__atomic_store_n(&slots[cpu].work, work, __ATOMIC_RELEASE);
}

static bool finished(unsigned cpu)
{
	uint64_t end = system_time() + PATIENCE;

	while (__atomic_load_n(&slots[cpu].work, __ATOMIC_ACQUIRE) != NONE) {
		if (system_time() > end)
			return false;
		yield();
	}
	return true;
}

static bool all_finished(void)
{
	bool all = true;

	for (unsigned i = 1; i < nr_cpus; i++)
		all &= finished(i);
	return all;
}

static void judge(const char *name)
{
	bool all = all_finished();
	unsigned n = 0;

	for (unsigned i = 1; i < nr_cpus; i++)
		n += slots[i].wrong;
	check(all && !n, name, "%s, %u wrong", all ? "finished" : "not finished", n);
}

static long initialise(unsigned cpu)
{
	static struct {
		uint16_t fcw, other[11];
		uint32_t mxcsr, mask;
		uint8_t st[128];
		uint64_t xmm[16][2];
		uint8_t rest[96];
	} fxsave = { .fcw = 0x27f, .mxcsr = 0xffff9fc0, .xmm[15] = { 0x1234567890abcdef, 0xfedcba0987654321 } };

	slots[cpu].page = page_alloc();
	return vcpu_prepare_fpu(cpu, secondary, cpu == 1 ? &fxsave : NULL);
}

/* An MXCSR that no processor takes was among it. */
static void test_fpu(void)
{
	struct slot *s = &slots[1];

	check_eq("its FPU began as initialise said: XMM", s->fpu.xmm[0], 0x1234567890abcdef);
	check_eq("... all of it", s->fpu.xmm[1], 0xfedcba0987654321);
	check_eq("... MXCSR, without what does not exist", s->fpu.mxcsr & 0xffff, 0x9fc0);
	check_eq("... x87", s->fpu.fcw, 0x27f);
	if (nr_cpus > 2)
		check_eq("another's is as at reset", s[1].fpu.xmm[0] | s[1].fpu.mxcsr | (uint64_t)s[1].fpu.fcw << 32, 0x1f80 | 0x37full << 32);
}

static void test_up(void)
{
	bool good = true;

	check_eq("virtual CPU 0 is up", HC3(vcpu_op, VCPUOP_is_up, 0, 0), 1);
	check_eq("1 is not", HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
	check_eq("... and offline", state_of(1), RUNSTATE_offline);
	check_eq("up without a context is refused", HC3(vcpu_op, VCPUOP_up, 1, 0), (uint64_t)-XEN_EINVAL);
	check_eq("initialise", initialise(1), 0);
	check_eq("... once", initialise(1), (uint64_t)-XEN_EEXIST);
	check_eq("... does not start it", HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
	check_eq("up", HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
	check_eq("... is up", HC3(vcpu_op, VCPUOP_is_up, 1, 0), 1);
	for (unsigned i = 2; i < nr_cpus; i++)
		good &= !initialise(i) && !HC3(vcpu_op, VCPUOP_up, i, 0);
	check(good, "all others come up", "not all");
	check_eq("one more than there are", HC3(vcpu_op, VCPUOP_is_up, nr_cpus, 0), (uint64_t)-XEN_ENOENT);
}

static void test_count(void)
{
	counter = 0;
	for (unsigned i = 1; i < nr_cpus; i++)
		give(i, COUNT, 0);
	check(all_finished(), "all of them run", "not all");
	check_eq("they count together", counter, (uint64_t)(nr_cpus - 1) * ROUNDS * 10);
	test_fpu();
}

static void test_events(void)
{
	const unsigned each = 50;

	counter = 0;
	for (unsigned i = 1; i < nr_cpus; i++) {
		struct evtchn_bind_ipi op = { .vcpu = i };

		if (hc_event_channel_op(EVTCHNOP_bind_ipi, &op))
			panic("bind_ipi to virtual CPU %u", i);
		slots[i].port = op.port;
		give(i, WAIT_EVENT, each);
	}
	for (unsigned n = 0; n < each; n++) {
		uint64_t want = (uint64_t)(n + 1) * (nr_cpus - 1), end = system_time() + PATIENCE;

		for (unsigned i = 1; i < nr_cpus; i++) {
			struct evtchn_send op = { .port = slots[i].port };

			hc_event_channel_op(EVTCHNOP_send, &op);
		}
		while (__atomic_load_n(&counter, __ATOMIC_SEQ_CST) < want && system_time() < end)
			yield();
	}
	check_eq("every event wakes its virtual CPU", counter, (uint64_t)each * (nr_cpus - 1));
	check(all_finished(), "... and none waits on", "not all");
}

/* Give 1's stores time to show where they go. */
static bool stores_seen(volatile uint64_t *word)
{
	uint64_t end = system_time() + PATIENCE;

	*word = 0;
	while (*word != 0xdead0 && system_time() < end)
		yield();
	return *word == 0xdead0;
}

static bool stays(volatile uint64_t *word, uint64_t value)
{
	uint64_t end = system_time() + 20000000;

	while (system_time() < end && *word == value)
		yield();
	return *word == value;
}

static void end_store(uint64_t *pte)
{
	stop = 1;
	finished(1);
	pte_set(pte, 0);
	mmuext(MMUEXT_TLB_FLUSH_ALL, 0, 0);
}

static void flush_by(const char *name, uint64_t va, uint64_t *pte, unsigned cmd)
{
	static uint64_t cpus = 2; /* bitmap: virtual CPU 1 */
	uint64_t *a = page_alloc(), *b = page_alloc();
	struct mmuext_op op = { .cmd = cmd };

	op.arg1.linear_addr = va;
	op.arg2.vcpumask.p = (void *)&cpus;
	pte_set(pte, virt_to_mfn(a) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	stop = 0;
	give(1, STORE, va);
	if (!stores_seen(a))
		panic("virtual CPU 1 does not store");
	pte_set(pte, virt_to_mfn(b) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	if (HC4(mmuext_op, &op, 1, 0, DOMID_SELF))
		panic("mmuext_op %u is refused", cmd);
	*a = 1;
	check(stays(a, 1) && stores_seen(b), name, "the old page is at 0x%lx, the new one at 0x%lx", *a, *b);
	end_store(pte);
}

/* Without a flush by the guest: the frame becomes a page table, which nobody may be able to write any more. */
static void test_reuse(uint64_t va, uint64_t *pte)
{
	uint64_t *a = page_alloc(), *b = page_alloc();
	mmu_update_t u = { virt_to_mfn(a) * PAGE_SIZE, 0x1110 };
	long rc;

	pte_set(pte, virt_to_mfn(a) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	stop = 0;
	give(1, STORE, va);
	if (!stores_seen(a))
		panic("virtual CPU 1 does not store");
	rc = pte_set(pte, virt_to_mfn(b) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	rc |= protect(a, PTE_LEAF);
	rc |= mmuext(MMUEXT_PIN_L1_TABLE, virt_to_mfn(a), 0);
	check_eq("a page that was just written elsewhere becomes a page table", rc, 0);
	hc_mmu_update(&u, 1, NULL);
	check(stays(a, 0x1110), "... which the other virtual CPU cannot write", "it holds 0x%lx", *a);
	end_store(pte);
	mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(a), 0);
}

static void test_tables(void)
{
	uint64_t va = va_reserve(1), *pte = pte_of(va, 1);
	uint64_t *page = page_alloc();

	flush_by("TLB_FLUSH_MULTI reaches the other virtual CPU", va, pte, MMUEXT_TLB_FLUSH_MULTI);
	flush_by("INVLPG_MULTI does", va, pte, MMUEXT_INVLPG_MULTI);
	flush_by("TLB_FLUSH_ALL does", va, pte, MMUEXT_TLB_FLUSH_ALL);
	flush_by("INVLPG_ALL does", va, pte, MMUEXT_INVLPG_ALL);
	test_reuse(va, pte);
	for (unsigned i = 1; i < nr_cpus; i++)
		give(i, TABLES, va_reserve(1));
	for (unsigned i = 0; i < ROUNDS; i++)
		pte_set(pte, i & 1 ? 0 : virt_to_mfn(page) * PAGE_SIZE | PTE_LEAF);
	judge("all change entries of the same tables at once");
	for (unsigned i = 1; i < nr_cpus; i++)
		give(i, PINS, 0);
	judge("all make page tables at once");
}

static void test_down(void)
{
	uint64_t end = system_time() + PATIENCE;
	unsigned i, up = 0;

	for (i = 1; i < nr_cpus; i++)
		__atomic_store_n(&slots[i].work, DOWN, __ATOMIC_RELEASE);
	do {
		for (up = 0, i = 1; i < nr_cpus; i++)
			up += state_of(i) != RUNSTATE_offline;
		yield();
	} while (up && system_time() < end);
	check_eq("all go down", up, 0);
	check_eq("... and are not up", HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
	check_eq("up again", HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
	check(finished(1), "... goes on where it was", "it does not");
	counter = 0;
	give(1, COUNT, 0);
	check(finished(1) && counter == ROUNDS * 10, "... and works", "counted %lu", counter);
}

void guest_main(void)
{
	nr_cpus = vcpu_possible();
	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	if (nr_cpus < 2) {
		check_eq("there is no second virtual CPU", HC3(vcpu_op, VCPUOP_is_up, 1, 0), (uint64_t)-XEN_ENOENT);
		skip("everything else", "one virtual CPU");
		return;
	}
	test_up();
	test_count();
	test_events();
	test_tables();
	test_down();
}
