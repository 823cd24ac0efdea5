/* SPDX-License-Identifier: MIT */
/*
 * What the hardware makes of page tables: every kind of change is seen when the ABI says so, frames
 * that stop being tables leave nothing behind, and direct writes to tables do what the instruction
 * says.
 */
#include "guest.h"

const char guest_topic[] = "mappings";

static uint64_t window;
static uint64_t *window_pte;
static volatile uint64_t *win;
static uint64_t *a, *b;

static uint64_t entry(const void *page, uint64_t flags)
{
	return virt_to_mfn(page) * PAGE_SIZE | flags;
}

static void set(uint64_t pte)
{
	if (pte_set(window_pte, pte))
		panic("mapping 0x%lx is refused", pte);
}

static void flush(void)
{
	mmuext(MMUEXT_INVLPG_LOCAL, window, 0);
}

/* A change is prepared by touching the window, so that a TLB has the old entry. */
static void test_changes(void)
{
	set(entry(a, PTE_LEAF | PTE_RW));
	check_eq("not present to present", *win, 0xaaaa);
	set(entry(b, PTE_LEAF | PTE_RW));
	flush();
	check_eq("present to another frame", *win, 0xbbbb);
	set(entry(b, PTE_LEAF));
	flush();
	check_eq("writable to read-only", probe_write(window, 1), 14);
	check_eq("... nothing was stored", b[0], 0xbbbb);
	set(entry(b, PTE_LEAF | PTE_RW));
	check_eq("read-only to writable needs no flush", probe_write(window, 0xbbbc), 0);
	check_eq("... stored", b[0], 0xbbbc);
	b[0] = 0xbbbb;
	set(0);
	flush();
	check_eq("present to not present", probe_read(window, NULL), 14);
	for (unsigned i = 0; i < 100; i++) {
		set(entry(i & 1 ? a : b, PTE_LEAF));
		flush();
		if (*win != (i & 1 ? 0xaaaa : 0xbbbb)) {
			check(false, "a hundred changes in a row", "round %u saw 0x%lx", i, *win);
			return;
		}
	}
	check(true, "a hundred changes in a row", " ");
}

static long flush_by(unsigned how)
{
	static uint64_t cpus = 1;
	static const unsigned cmd[] = {
		MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_INVLPG_LOCAL,  MMUEXT_TLB_FLUSH_MULTI,
		MMUEXT_INVLPG_MULTI,	MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL,
		MMUEXT_NEW_BASEPTR,
	};
	struct mmuext_op op = { .cmd = cmd[how] };

	op.arg1.linear_addr = window;
	if (op.cmd == MMUEXT_NEW_BASEPTR)
		op.arg1.mfn = kernel_l4_mfn;
	set_xen_guest_handle(op.arg2.vcpumask, &cpus);
	return HC4(mmuext_op, &op, 1, 0, DOMID_SELF);
}

static void test_flushes(void)
{
	static const char *const name[] = {
		"TLB_FLUSH_LOCAL", "INVLPG_LOCAL", "TLB_FLUSH_MULTI", "INVLPG_MULTI",
		"TLB_FLUSH_ALL",   "INVLPG_ALL",   "NEW_BASEPTR",
	};
	static const uint64_t uvmf[] = {UVMF_INVLPG, UVMF_TLB_FLUSH, UVMF_INVLPG | UVMF_ALL,
					UVMF_TLB_FLUSH | UVMF_ALL};

	for (unsigned i = 0; i < ARRAY_SIZE(name); i++) {
		long rc;

		set(entry(a, PTE_LEAF));
		flush();
		(void)*win;
		set(entry(b, PTE_LEAF));
		rc = flush_by(i);
		check(!rc && *win == 0xbbbb, name[i], "returned %ld, saw 0x%lx", rc, *win);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(uvmf); i++) {
		set(entry(a, PTE_LEAF));
		flush();
		(void)*win;
		if (hc_update_va_mapping(window, entry(b, PTE_LEAF), uvmf[i]) || *win != 0xbbbb) {
			check(false, "flushes of update_va_mapping", "flags 0x%lx: saw 0x%lx",
			      uvmf[i], *win);
			return;
		}
	}
	check(true, "flushes of update_va_mapping", " ");
}

static void test_nx(void)
{
	uint8_t *code = page_alloc();

	code[0] = 0xc3; /* ret */
	set(entry(code, PTE_LEAF));
	flush();
	TRY("call *%[p]", : : [p] "r"(window) : TRY_CLOBBERS);
	check_eq("a page is executable", trap.count, 0);
	set(entry(code, PTE_LEAF | PTE_NX));
	flush();
	TRY("call *%[p]", : : [p] "r"(window) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 14, "... until NX is set", "%u traps",
	      trap.count);
	set(entry(code, PTE_LEAF));
	flush();
	TRY("call *%[p]", : : [p] "r"(window) : TRY_CLOBBERS);
	check_eq("... and cleared", trap.count, 0);
}

static void test_ad(void)
{
	set(entry(a, PTE_P | PTE_US | PTE_RW));
	flush();
	check_eq("a new entry is neither accessed nor dirty", *window_pte & (PTE_A | PTE_D), 0);
	(void)*win;
	check_eq("reading sets accessed", *window_pte & (PTE_A | PTE_D), PTE_A);
	*win = 0xaaaa;
	check_eq("writing sets dirty", *window_pte & (PTE_A | PTE_D), PTE_A | PTE_D);
}

/* A second L1 table is hung into the window's place in the L2. */
static void test_tables(void)
{
	uint64_t *l1 = page_alloc(), *l2e = pte_of(window, 2), old_l2e = *l2e;
	unsigned slot = window >> 12 & 511;

	set(entry(a, PTE_LEAF | PTE_RW));
	flush();
	(void)*win;
	l1[slot] = entry(b, PTE_LEAF);
	protect(l1, PTE_LEAF);
	check_eq("another L1 is hung in", pte_set(l2e, entry(l1, PTE_TABLE)), 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	check_eq("... and used", *win, 0xbbbb);
	check_eq("... read-only as it says", probe_write(window, 1), 14);
	check_eq("the first one is hung back", pte_set(l2e, old_l2e & (PTE_ADDR | PTE_TABLE)), 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	check_eq("... and used", *win, 0xaaaa);

	/*
	 * l1 becomes data, is scribbled upon, and a table again: the hardware must follow each
	 * time.
	 */
	for (unsigned round = 0; round < 20; round++) {
		uint64_t *target = round & 1 ? a : b, want = round & 1 ? 0xaaaa : 0xbbbb;

		if (protect(l1, PTE_LEAF | PTE_RW)) {
			check(false, "a recycled table", "round %u: not writable as data", round);
			return;
		}
		memset(l1, 0, PAGE_SIZE);
		l1[slot] = entry(target, PTE_LEAF);
		l1[(slot + 1) & 511] = 0xdead;
		l1[(slot + 1) & 511] = 0;
		if (protect(l1, PTE_LEAF) || pte_set(l2e, entry(l1, PTE_TABLE))) {
			check(false, "a recycled table", "round %u: refused", round);
			return;
		}
		mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
		if (*win != want) {
			check(false, "a recycled table", "round %u: saw 0x%lx, want 0x%lx", round,
			      *win, want);
			return;
		}
		pte_set(l2e, old_l2e & (PTE_ADDR | PTE_TABLE));
		mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
		if (*win != 0xaaaa) {
			check(false, "a recycled table", "round %u: a stale one is used, saw 0x%lx",
			      round, *win);
			return;
		}
	}
	check(true, "a recycled table shows what it holds now", " ");
	check_eq("an L2 entry is removed", pte_set(l2e, 0), 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	check_eq("... with all below it", probe_read(window, NULL), 14);
	pte_set(l2e, old_l2e & (PTE_ADDR | PTE_TABLE));
	protect(l1, PTE_LEAF | PTE_RW);
}

/*
 * As data it is the hypervisor that stores into it, as it was asked to: no processor has seen that. The page beside the
 * window is read first, as what is found out on the first way through a table is of that entry.
 */
static void test_filled_table(void)
{
	uint64_t *l1 = page_alloc(), *l2e = pte_of(window, 2), old_l2e = *l2e, beside = window ^ PAGE_SIZE;
	uint64_t table = virt_to_mfn(l1) * PAGE_SIZE;
	mmu_update_t u[] = { { .ptr = table + (window >> 12 & 511) * 8 }, { .ptr = table + (beside >> 12 & 511) * 8 } };
	unsigned refused = protect(l1, PTE_LEAF) != 0, wrong = 0;

	for (unsigned round = 0; round < 20; round++) {
		uint64_t want = round & 1 ? 0xaaaa : 0xbbbb;

		u[0].val = u[1].val = entry(round & 1 ? a : b, PTE_LEAF);
		refused += hc_mmu_update(u, 2, NULL) || pte_set(l2e, entry(l1, PTE_TABLE));
		mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
		wrong += *(volatile uint64_t *)beside != want || *win != want;
		pte_set(l2e, 0);
		mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	}
	check_eq("a table that the hypervisor fills between two uses is not refused", refused, 0);
	check_eq("... and shows what it holds now", wrong, 0);
	pte_set(l2e, old_l2e & (PTE_ADDR | PTE_TABLE));
	protect(l1, PTE_LEAF | PTE_RW);
}

/* Every way a kernel stores into a page table that it has mapped read-only. */
#define DIRECT(name, code, want)                                                                \
	do {                                                                                    \
		uint64_t mask = PTE_A | PTE_D | PTE_G; /* G is the hypervisor's to use */       \
		TRY(code,                                                                       \
		    :                                                                           \
		    : [p] "r"(window_pte), [va] "r"(va), [vb] "r"(vb), [half] "r"((uint32_t)vb) \
		    : TRY_CLOBBERS, "rcx", "rdx");                                              \
		flush();                                                                        \
		check(!trap.count && (*window_pte & ~mask) == ((want) & ~mask), "direct " name, \
		      "%u traps, entry 0x%lx, want 0x%lx", trap.count, *window_pte,             \
		      (uint64_t)(want));                                                        \
	} while (0)

static void test_direct(void)
{
	uint64_t va = entry(a, PTE_LEAF | PTE_RW), vb = entry(b, PTE_LEAF | PTE_RW);

	set(va);
	flush();
	(void)*win;
	DIRECT("mov r64", "mov %[vb], (%[p])", vb);
	check_eq("... is seen", *win, 0xbbbb);
	DIRECT("xchg", "mov %[va], %%rcx\n\txchg %%rcx, (%[p])", va);
	check_eq("... is seen", *win, 0xaaaa);
	DIRECT("lock cmpxchg, equal",
	       "mov (%[p]), %%rax\n\tlock cmpxchg %[vb], (%[p])\n\tjz 1f\n\tmovq $0, (%[p])\n1:",
	       vb);
	DIRECT("lock cmpxchg, different",
	       "mov $5, %%eax\n\tlock cmpxchg %[va], (%[p])\n\tjnz 1f\n\tmovq $0, (%[p])\n1:", vb);
	DIRECT("and imm8", "lock andq $~2, (%[p])", vb & ~PTE_RW);
	check_eq("... is seen", probe_write(window, 1), 14);
	DIRECT("or imm8", "lock orq $2, (%[p])", vb);
	check_eq("... is seen", probe_write(window, 0xbbbb), 0);
	DIRECT("and imm32", "andq $~0x202, (%[p])", vb & ~PTE_RW);
	DIRECT("or r64", "mov $2, %%ecx\n\tor %%rcx, (%[p])", vb);
	DIRECT("xor r64", "mov $2, %%ecx\n\txor %%rcx, (%[p])", vb & ~PTE_RW);
	DIRECT("add imm8", "addq $2, (%[p])", vb);
	DIRECT("btr imm8", "lock btrq $1, (%[p])\n\tjc 1f\n\tmovq $0, (%[p])\n1:", vb & ~PTE_RW);
	DIRECT("bts imm8", "lock btsq $1, (%[p])\n\tjnc 1f\n\tmovq $0, (%[p])\n1:", vb);
	DIRECT("btr r64", "mov $1, %%ecx\n\tlock btrq %%rcx, (%[p])", vb & ~PTE_RW);
	DIRECT("mov imm32", "movq $0, (%[p])", 0);
	check_eq("... is seen", probe_read(window, NULL), 14);
	DIRECT("stosq", "mov %[p], %%rdi\n\tmov %[va], %%rax\n\tstosq", va);
	check_eq("... is seen", *win, 0xaaaa);
	/* Not the present bit: an entry without it must not name memory where the processor has L1TF. */
	DIRECT("btr of the writable bit", "lock btrq $1, (%[p])", va & ~PTE_RW);
	DIRECT("xadd", "mov $2, %%ecx\n\tlock xadd %%rcx, (%[p])", va);
	check_eq("... is seen", *win, 0xaaaa);
}

static void test_direct_refused(void)
{
	uint64_t *ro = page_alloc();

	set(entry(a, PTE_LEAF | PTE_RW));
	check_eq("a direct store of a bad entry faults",
		 probe_write((uint64_t)window_pte, UINT64_C(1) << 45 | PTE_LEAF), 14);
	check_eq("... of a writable page table too",
		 probe_write((uint64_t)window_pte, entry(kernel_l4, PTE_LEAF | PTE_RW)), 14);
	check_eq("... and changes nothing", *window_pte & PTE_ADDR, entry(a, 0));
	protect(ro, PTE_LEAF);
	check_eq("a read-only page that is no table faults", probe_write((uint64_t)ro, 1), 14);
}

/* ---- a direct store that takes long ---- */

#define BIG_VA	UINT64_C(0xffffffff00000000) /* a place of an L3 entry that nothing is under */
#define BELOW	8u			     /* L1 tables under the L2 that is stored there */

static uint64_t *big_l3e, seen_inside;
static unsigned events;

static void look_inside(uint32_t port)
{
	(void)port;
	events++;
	seen_inside = READ_ONCE(*big_l3e);
}

/*
 * An L2 that has yet to be validated, with all below it. An event is pending, and may be delivered: that is reason enough
 * to stop, so the handler finds the entry not stored yet. Then the store goes on.
 */
static void test_direct_long(void)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct evtchn_send send;
	uint64_t *l2 = page_alloc(), value;

	big_l3e = pte_of(BIG_VA, 3);
	for (unsigned i = 0; i < BELOW; i++) {
		uint64_t *l1 = page_alloc();

		for (unsigned k = 0; k < 512; k++)
			l1[k] = entry(a, PTE_LEAF | PTE_RW);
		protect(l1, PTE_LEAF);
		l2[i] = entry(l1, PTE_TABLE);
	}
	protect(l2, PTE_LEAF);
	value = entry(l2, PTE_TABLE);
	hc_event_channel_op(EVTCHNOP_bind_ipi, &ipi);
	event_hook = look_inside;
	event_unmask(ipi.port);
	upcalls_off();
	send.port = ipi.port;
	hc_event_channel_op(EVTCHNOP_send, &send);
	READ_ONCE(vcpu_info(0)->evtchn_upcall_mask) = 0;
	check_eq("a direct store of an L2 with tables below", probe_write((uint64_t)big_l3e, value), 0);
	check_eq("... is interrupted by one event", events, 1);
	check_eq("... before it is done", seen_inside, 0);
	check_eq("... and then done", *big_l3e & (PTE_ADDR | PTE_P), value & (PTE_ADDR | PTE_P));
	check_eq("... all of it is there", probe_read(BIG_VA + ((BELOW - 1) << 21), &value), 0);
	check_eq("... as it should be", value, a[0]);
	check_eq("a direct store takes it away", probe_write((uint64_t)big_l3e, 0), 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	check_eq("... and all below is given up", protect(l2, PTE_LEAF | PTE_RW), 0);
}

static void test_tlb_mode(void)
{
	check_eq("reading through a page table's own mapping", *window_pte & PTE_ADDR, entry(a, 0));
	pte_set(window_pte, 0);
	check_eq("... follows mmu_update", *window_pte, 0);
}

void guest_main(void)
{
	window = va_reserve(1);
	window_pte = pte_of(window, 1);
	win = (volatile uint64_t *)window;
	a = page_alloc();
	b = page_alloc();
	a[0] = 0xaaaa;
	b[0] = 0xbbbb;
	test_changes();
	test_flushes();
	test_nx();
	test_ad();
	test_tables();
	test_filled_table();
	check_eq("vm_assist: writable page tables",
		 HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
	test_direct();
	test_direct_refused();
	test_direct_long();
	test_tlb_mode();
}
