/* SPDX-License-Identifier: MIT */
/*
 * A frame that becomes something else is out of reach of those who still remember where it was: virtual CPU 1 writes
 * one word of a page again and again, and while it is at it virtual CPU 0, in one multicall and without asking for any
 * flush, takes the page away from it, lets the hypervisor make something else of the frame, and clears that word by the
 * means that are left:
 *
 *	a page table		pinned as an L1			mmu_update
 *	descriptors		loaded as GDT			update_descriptor
 *	given back		decrease_reservation, and populate_physmap, which mostly brings the same frame again,
 *				and by then it is clear
 *
 * From there on a value in that word is a store that came late: into a page table or a descriptor, which the
 * hypervisor has checked before, or into a frame that might by now be anybody's. Nothing but the hypervisor's own flush,
 * of the other processor, stands before it, if that has TLBs that remember (the tables that a host's KVM shadows
 * are one, until the host hears of the change).
 */
#include "guest.h"
#include "touch.h"

const char guest_topic[] = "reuse";

#define WORD	 5u
#define ROUNDS	 60u
#define WATCHED	 UINT64_C(20000000)	/* ns: time for the writer to come by in each */
#define LONGEST	 UINT64_C(2000000000)	/* ns of each use; a single processor is slow at this */
#define PATIENCE UINT64_C(60000000000)	/* ns */

enum use { TABLE, DESCRIPTORS, GIVEN_BACK, USES };

static struct {
	uint32_t turn; /* the writer may begin with this round */
	uint32_t out;  /* it has met the fault of this round */
	uint64_t va;   /* where it writes; the page's own place is another */
} race;

static char *page;
static uint64_t mfn;

static struct {
	unsigned rounds, late, same, refused;
} seen[USES];

/* ---- virtual CPU 1 ---- */

static uint32_t get(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* As an entry each value is not present and names no memory, as a descriptor it is not present. */
static uint64_t next_value(uint64_t value)
{
	return (value + 2) % 0xff0 + 2;
}

static void writer(unsigned cpu)
{
	uint64_t value = 0, word = race.va + WORD * 8;

	touch_init();
	for (uint32_t round = 1;; round++) {
		while (get(&race.turn) < round)
			HC2(sched_op, SCHEDOP_yield, 0);
		while (!touch_store(word, value))
			value = next_value(value);
		__atomic_store_n(&race.out, round, __ATOMIC_RELEASE);
	}
}

/* ---- virtual CPU 0 ---- */

static uint64_t word_now(void)
{
	return READ_ONCE(((uint64_t *)(void *)page)[WORD]);
}

static void wait_for_writer(void)
{
	uint64_t end = system_time() + PATIENCE, was = word_now();

	while (word_now() == was) {
		if (system_time() > end)
			panic("virtual CPU 1 does not write");
		HC2(sched_op, SCHEDOP_yield, 0);
	}
}

static void wait_for_fault(uint32_t round)
{
	uint64_t end = system_time() + PATIENCE;

	while (get(&race.out) != round) {
		if (system_time() > end)
			panic("virtual CPU 1 does not fault");
		HC2(sched_op, SCHEDOP_yield, 0);
	}
}

#define MOST 5u

static multicall_entry_t calls[MOST];
static unsigned nr_calls;

static void call(unsigned op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	calls[nr_calls++] = (multicall_entry_t){ .op = op, .args = { a, b, c, d } };
}

static void call_map(uint64_t va, uint64_t bits)
{
	call(__HYPERVISOR_update_va_mapping, va, bits ? mfn * PAGE_SIZE | bits : 0, UVMF_NONE, 0);
}

static void do_calls(enum use use)
{
	if (HC2(multicall, calls, nr_calls))
		panic("a multicall is refused");
	for (unsigned i = 0; i < nr_calls; i++)
		if (calls[i].op != __HYPERVISOR_memory_op && (long)calls[i].result)
			seen[use].refused++;
	nr_calls = 0;
}

static void must(enum use use, long rc)
{
	seen[use].refused += rc != 0;
}

static void make_table(void)
{
	static struct mmuext_op pin = { .cmd = MMUEXT_PIN_L1_TABLE };
	static mmu_update_t clear;

	pin.arg1.mfn = mfn;
	clear.ptr = mfn * PAGE_SIZE + WORD * 8;
	call_map((uint64_t)page, PTE_LEAF);
	call(__HYPERVISOR_mmuext_op, PTR(&pin), 1, 0, DOMID_SELF);
	call(__HYPERVISOR_mmu_update, PTR(&clear), 1, 0, DOMID_SELF);
	do_calls(TABLE);
}

static void make_descriptors(void)
{
	static uint64_t frames[1];

	frames[0] = mfn;
	call_map((uint64_t)page, PTE_LEAF);
	call(__HYPERVISOR_set_gdt, PTR(frames), 512, 0, 0);
	call(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + WORD * 8, 0, 0, 0);
	do_calls(DESCRIPTORS);
}

/* Which frame comes back is told by the last call but one; that it will be the same is hoped for. */
static void give_and_take(void)
{
	static xen_pfn_t out, in;
	static struct xen_memory_reservation give = { .nr_extents = 1, .domid = DOMID_SELF },
					     take = { .nr_extents = 1, .domid = DOMID_SELF };
	unsigned refused;

	out = mfn;
	in = virt_to_pfn(page);
	give.extent_start.p = &out;
	take.extent_start.p = &in;
	call_map((uint64_t)page, 0);
	call(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, PTR(&give), 0, 0);
	call(__HYPERVISOR_memory_op, XENMEM_populate_physmap, PTR(&take), 0, 0);
	call_map((uint64_t)page, PTE_LEAF | PTE_RW);
	refused = seen[GIVEN_BACK].refused;
	do_calls(GIVEN_BACK);
	if (calls[2].result != 1 || calls[3].result != 1)
		panic("a page is not given back, or none comes in its place");
	if (in == mfn) {
		seen[GIVEN_BACK].same++;
		return;
	}
	seen[GIVEN_BACK].refused = refused; /* what is no longer ours could not be mapped */
	mfn = in;
	p2m[virt_to_pfn(page)] = mfn;
	must(GIVEN_BACK, hc_update_va_mapping((uint64_t)page, mfn * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_INVLPG));
}

/* Until the writer has been seen, one way or the other; it may be off its processor for longer than that. */
static void watch(enum use use, uint32_t round)
{
	uint64_t end = system_time() + WATCHED;

	do {
		if (word_now()) {
			seen[use].late++;
			return;
		}
		__asm__ volatile("pause");
	} while (get(&race.out) != round && system_time() < end);
}

static void make_page(enum use use)
{
	if (use == TABLE)
		must(use, mmuext(MMUEXT_UNPIN_TABLE, mfn, 0));
	else if (use == DESCRIPTORS)
		must(use, HC2(set_gdt, 0, 0));
	must(use, hc_update_va_mapping((uint64_t)page, mfn * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_INVLPG));
}

static void one_round(enum use use, uint32_t round)
{
	must(use, hc_update_va_mapping(race.va, mfn * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_NONE));
	__atomic_store_n(&race.turn, round, __ATOMIC_RELEASE);
	wait_for_writer();
	wait_for_writer();
	call_map(race.va, 0);
	if (use == TABLE)
		make_table();
	else if (use == DESCRIPTORS)
		make_descriptors();
	else
		give_and_take();
	watch(use, round);
	/* What the writer's own kernel, that is we, should have done first. */
	must(use, mmuext(MMUEXT_TLB_FLUSH_ALL, 0, 0));
	wait_for_fault(round);
	make_page(use);
	seen[use].rounds++;
}

static void judge(void)
{
	static const char *const names[] = { "a page table", "descriptors", "given back and taken again" };

	for (unsigned use = 0; use < USES; use++) {
		check(!seen[use].refused, names[use], "%u hypercalls were refused", seen[use].refused);
		check(!seen[use].late, "... no store comes late", "%u came in %u rounds", seen[use].late,
		      seen[use].rounds);
	}
	check(seen[GIVEN_BACK].same, "frames given back are seen again", "in none of %u rounds", seen[GIVEN_BACK].rounds);
}

void guest_main(void)
{
	uint32_t round = 0;

	if (vcpu_possible() < 2) {
		skip("stores by another virtual CPU", "there is none");
		return;
	}
	page = page_alloc();
	mfn = virt_to_mfn(page);
	race.va = va_reserve(1);
	upcalls_off();
	if (vcpu_prepare(1, writer) || HC3(vcpu_op, VCPUOP_up, 1, 0))
		panic("virtual CPU 1 does not come up");
	for (unsigned use = 0; use < USES; use++) {
		uint64_t end = system_time() + LONGEST;

		for (unsigned i = 0; i < ROUNDS && system_time() < end; i++)
			one_round((enum use)use, ++round);
	}
	judge();
}
