/* SPDX-License-Identifier: MIT */
/*
 * Page-table updates as requests: what is done, what is refused, and that refusing changes nothing.
 * What the hardware then makes of the tables is the topic "mappings".
 */
#include "guest.h"

const char guest_topic[] = "pagetables";

#define EINVAL_ ((uint64_t)-XEN_EINVAL)

static uint64_t window;      /* a reserved VA with an L1 table, unmapped */
static uint64_t *window_pte;

static uint64_t entry(const void *page, uint64_t flags)
{
	return virt_to_mfn(page) * PAGE_SIZE | flags;
}

/* refused() - @rc is an error, and the window's entry is still empty. */
static void refused(const char *name, long rc)
{
	check(rc < 0 && !*window_pte, name, "returned %ld, entry 0x%lx", rc, *window_pte);
	if (*window_pte)
		pte_set(window_pte, 0);
}

/* Before there was a hypercall that tells its place, kernels knew it by heart. */
static void test_m2p_traditional(uint64_t mfn, uint64_t pfn)
{
	uint64_t place = UINT64_C(0xffff800000000000) + mfn * 8, value = 0;
	uint32_t low;

	check_eq("M2P can be read at its traditional place", probe_read(place, &value), 0);
	check_eq("... and says the same", value, pfn);
	__asm__ volatile("movl (%1), %0" : "=r"(low) : "r"(place) : "memory");
	check_eq("... by half an entry", low, (uint32_t)pfn);
	__asm__ volatile("xor %k0, %k0; cmp (%1), %2; sete %b0" : "=&q"(low) : "r"(place), "r"(pfn) : "cc", "memory");
	check_eq("... and compared", low, 1);
	check_eq("... not written", probe_write(place, 1), 14);
}

static void test_m2p(void)
{
	uint64_t *page = page_alloc(), mfn = virt_to_mfn(page), pfn = virt_to_pfn(page);
	mmu_update_t u = { .ptr = mfn * PAGE_SIZE | MMU_MACHPHYS_UPDATE, .val = 0x12345 };

	check_eq("M2P holds the frame's number", *m2p_entry(mfn), pfn);
	check_eq("M2P cannot be written directly", probe_write((uint64_t)m2p_entry(mfn), 1), 14);
	test_m2p_traditional(mfn, pfn);
	check_eq("MMU_MACHPHYS_UPDATE is done", hc_mmu_update(&u, 1, NULL), 0);
	check_eq("... and seen", *m2p_entry(mfn), 0x12345);
	u.val = pfn;
	check_eq("... and taken back", hc_mmu_update(&u, 1, NULL), 0);
	u.ptr = UINT64_C(1) << 50 | MMU_MACHPHYS_UPDATE;
	check(hc_mmu_update(&u, 1, NULL) < 0, "MMU_MACHPHYS_UPDATE of no frame is refused", "done");
}

static void test_mmu_update(void)
{
	uint64_t *page = page_alloc(), *data = page_alloc();
	mmu_update_t u[3];
	unsigned done = 99;

	page[5] = 0xabcdef;
	check_eq("a mapping is made", pte_set(window_pte, entry(page, PTE_LEAF | PTE_RW)), 0);
	check_eq("... seen", ((volatile uint64_t *)window)[5], 0xabcdef);
	check_eq("... removed", pte_set(window_pte, 0), 0);

	u[0] = (mmu_update_t){ pte_machine(window_pte) | 5, entry(page, PTE_LEAF) };
	refused("an unknown command is refused", hc_mmu_update(u, 1, &done));
	check_eq("... none was done", done, 0);
	refused("a frame that does not exist is refused",
		pte_set(window_pte, UINT64_C(1) << 45 | PTE_LEAF));
	u[0] = (mmu_update_t){ UINT64_C(1) << 45, 0 };
	check(hc_mmu_update(u, 1, NULL) < 0, "so is a table that does not exist", "done");
	refused("reserved address bits are refused",
		pte_set(window_pte, entry(page, PTE_LEAF) | UINT64_C(1) << 51));
	if (start_info->flags & SIF_INITDOMAIN)
		skip("a frame of the machine is refused", "the initial domain may map it");
	else
		refused("a frame of the machine is refused",
			pte_set(window_pte, 0x1000 | PTE_LEAF | PTE_RW));

	u[0] = (mmu_update_t){ virt_to_mfn(data) * PAGE_SIZE + 64, 0x1122334455667788 };
	check_eq("mmu_update of an ordinary page stores", hc_mmu_update(u, 1, NULL), 0);
	check_eq("... the value", data[8], 0x1122334455667788);

	u[0] = (mmu_update_t){ pte_machine(window_pte), entry(page, PTE_LEAF) };
	u[1] = (mmu_update_t){ pte_machine(window_pte), UINT64_C(1) << 45 | PTE_LEAF };
	u[2] = (mmu_update_t){ pte_machine(window_pte), 0 };
	check(hc_mmu_update(u, 3, &done) < 0, "a batch stops at the bad request", "done");
	check_eq("... the count says after how many", done, 1);
	check_eq("... the first was done", *window_pte & PTE_ADDR, virt_to_mfn(page) * PAGE_SIZE);
	u[1].val = 0;
	check_eq("a good batch", hc_mmu_update(u, 2, &done), 0);
	check_eq("... counts all", done, 2);
	check_eq("... in order", *window_pte, 0);
	check_eq("an empty batch", hc_mmu_update(u, 0, &done), 0);
	check_eq("a batch from nowhere", hc_mmu_update((void *)window, 1, &done),
		 (uint64_t)-XEN_EFAULT);
	check(HC4(mmu_update, PTR(u), 1, 0, 0x7ff0 - 3) < 0, "another domain's tables are refused",
	      "done");
}

static void test_preserve_ad(void)
{
	uint64_t *page = page_alloc();
	mmu_update_t u = { pte_machine(window_pte) | MMU_PT_UPDATE_PRESERVE_AD, 0 };

	pte_set(window_pte, entry(page, PTE_LEAF | PTE_RW));
	*(volatile uint64_t *)window = 1;
	u.val = entry(page, PTE_P | PTE_US);
	check_eq("MMU_PT_UPDATE_PRESERVE_AD", hc_mmu_update(&u, 1, NULL), 0);
	check_eq("... keeps accessed and dirty", *window_pte & (PTE_A | PTE_D | PTE_RW),
		 PTE_A | PTE_D);
	pte_set(window_pte, 0);
}

static void test_types(void)
{
	uint64_t *l1 = page_alloc(), *other = page_alloc(), *data = page_alloc();
	uint64_t mfn = virt_to_mfn(l1);

	check(mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0, "a page mapped writable cannot be pinned",
	      "pinned");
	check_eq("it is mapped read-only", protect(l1, PTE_LEAF), 0);
	check_eq("pin L1", mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0), 0);
	check(mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0, "pinning twice is refused", "pinned");
	check(mmuext(MMUEXT_PIN_L2_TABLE, mfn, 0) < 0, "an L1 is no L2", "pinned");
	check(protect(l1, PTE_LEAF | PTE_RW) < 0, "a writable mapping of a page table is refused",
	      "done");
	refused("... by mmu_update too", pte_set(window_pte, entry(l1, PTE_LEAF | PTE_RW)));
	check_eq("a read-only one is not", pte_set(window_pte, entry(l1, PTE_LEAF)), 0);
	pte_set(window_pte, 0);
	check_eq("unpin", mmuext(MMUEXT_UNPIN_TABLE, mfn, 0), 0);
	check(mmuext(MMUEXT_UNPIN_TABLE, mfn, 0) < 0, "unpinning twice is refused", "done");
	check_eq("then it may be written again", protect(l1, PTE_LEAF | PTE_RW), 0);

	l1[3] = entry(data, PTE_LEAF | PTE_RW);
	l1[4] = UINT64_C(1) << 45 | PTE_LEAF; /* no such frame */
	protect(l1, PTE_LEAF);
	check(mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0, "a table with one bad entry is refused",
	      "pinned");
	protect(l1, PTE_LEAF | PTE_RW);
	l1[4] = entry(l1, PTE_LEAF | PTE_RW);
	protect(l1, PTE_LEAF);
	check(mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0,
	      "a table that maps itself writable is refused", "pinned");
	protect(l1, PTE_LEAF | PTE_RW);
	l1[4] = 0;
	protect(l1, PTE_LEAF);
	check_eq("without them it is pinned", mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0), 0);
	protect(other, PTE_LEAF);
	check_eq("a page mapped writable there, too, is counted", protect(data, PTE_LEAF), 0);
	check(mmuext(MMUEXT_PIN_L1_TABLE, virt_to_mfn(data), 0) < 0,
	      "... so it cannot become a table", "pinned");
	check_eq("unpinning drops that use", mmuext(MMUEXT_UNPIN_TABLE, mfn, 0), 0);
	check_eq("... now it can", mmuext(MMUEXT_PIN_L1_TABLE, virt_to_mfn(data), 0), 0);
	mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(data), 0);
}

static void test_levels(void)
{
	uint64_t *t[5], *garbage = page_alloc();
	static const unsigned pin[5] = {0, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE,
					MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE};

	for (unsigned l = 1; l <= 4; l++) {
		t[l] = page_alloc();
		if (l > 1)
			t[l][7] = entry(t[l - 1], PTE_TABLE);
	}
	for (unsigned l = 1; l <= 4; l++)
		protect(t[l], PTE_LEAF);
	check_eq("pinning an L4 validates all below", mmuext(pin[4], virt_to_mfn(t[4]), 0), 0);
	check(protect(t[1], PTE_LEAF | PTE_RW) < 0, "... its L1 is a page table",
	      "mapped writable");
	check(mmuext(pin[3], virt_to_mfn(t[2]), 0) < 0, "... its L2 is no L3", "pinned");
	check(pte_set(&t[4][257], 0) < 0, "... the hypervisor's slots cannot be emptied", "done");
	check(pte_set(&t[4][258], entry(t[3], PTE_TABLE)) < 0, "... or filled", "done");
	check(pte_set(&t[2][8], entry(garbage, PTE_TABLE | PTE_PS)) < 0, "large pages are refused",
	      "done");
	check(pte_set(&t[2][8], entry(garbage, PTE_TABLE)) < 0, "a writable page is no L1", "done");
	check(pte_set(&t[3][8], entry(t[1], PTE_TABLE)) < 0, "an L1 is not an L2", "done");
	check_eq("an L1 may be used twice", pte_set(&t[2][8], entry(t[1], PTE_TABLE)), 0);
	check_eq("unpinning the L4 frees all", mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(t[4]), 0), 0);
	for (unsigned l = 1; l <= 4; l++)
		if (protect(t[l], PTE_LEAF | PTE_RW))
			check(false, "... every level may be written again", "level %u may not", l);
	check_eq("... and holds what it held", t[4][7], entry(t[3], PTE_TABLE));
}

static void test_base(void)
{
	uint64_t *l4 = page_alloc(), mfn = virt_to_mfn(l4);

	for (unsigned i = 0; i < 512; i++)
		if (i < 256 || i > 271)
			l4[i] = kernel_l4[i];
	protect(l4, PTE_LEAF);
	check(mmuext(MMUEXT_NEW_BASEPTR, virt_to_mfn(page_alloc()), 0) < 0,
	      "a writable page is no base", "taken");
	check_eq("another L4 can be the base without being pinned",
		 mmuext(MMUEXT_NEW_BASEPTR, mfn, 0), 0);
	check(protect(l4, PTE_LEAF | PTE_RW) < 0, "... and is a page table then",
	      "mapped writable");
	check_eq("the old one can be the base again", mmuext(MMUEXT_NEW_BASEPTR, kernel_l4_mfn, 0),
		 0);
	check_eq("... and the other is free", protect(l4, PTE_LEAF | PTE_RW), 0);
	check_eq("unpin the boot tables while they are the base",
		 mmuext(MMUEXT_UNPIN_TABLE, kernel_l4_mfn, 0), 0);
	check(protect(kernel_l4, PTE_LEAF | PTE_RW) < 0, "... they stay page tables",
	      "mapped writable");
	check_eq("... pin them again", mmuext(MMUEXT_PIN_L4_TABLE, kernel_l4_mfn, 0), 0);
	check_eq("no user base", mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0), 0);
	check(mmuext(MMUEXT_NEW_USER_BASEPTR, UINT64_C(1) << 35, 0) < 0,
	      "a user base that does not exist is refused", "taken");
}

static void test_va_mapping(void)
{
	uint64_t *page = page_alloc();

	page[1] = 0x77;
	check_eq("update_va_mapping",
		 hc_update_va_mapping(window, entry(page, PTE_LEAF), UVMF_NONE), 0);
	check_eq("... is seen", ((volatile uint64_t *)window)[1], 0x77);
	check_eq("... removes", hc_update_va_mapping(window, 0, UVMF_INVLPG), 0);
	check_eq("... without a table is refused",
		 hc_update_va_mapping(0x12345000, entry(page, PTE_LEAF), 0), EINVAL_);
	refused("... of a bad frame is refused",
		hc_update_va_mapping(window, UINT64_C(1) << 45 | PTE_LEAF, 0));
	refused("... of a page table, writable, is refused",
		hc_update_va_mapping(window, entry(kernel_l4, PTE_LEAF | PTE_RW), 0));
	check_eq("..._otherdomain of itself",
		 HC4(update_va_mapping_otherdomain, window, entry(page, PTE_LEAF), 0, DOMID_SELF),
		 0);
	pte_set(window_pte, 0);
}

static void test_mmuext(void)
{
	uint64_t *a = page_alloc(), *b = page_alloc();
	struct mmuext_op ops[2] = { { .cmd = MMUEXT_TLB_FLUSH_LOCAL }, { .cmd = 9999 } };
	unsigned done = 99;

	a[9] = 0x99;
	check_eq("copy page", mmuext(MMUEXT_COPY_PAGE, virt_to_mfn(b), virt_to_mfn(a)), 0);
	check_eq("... did", b[9], 0x99);
	check_eq("clear page", mmuext(MMUEXT_CLEAR_PAGE, virt_to_mfn(b), 0), 0);
	check_eq("... did", b[9], 0);
	check(mmuext(MMUEXT_CLEAR_PAGE, kernel_l4_mfn, 0) < 0, "a page table is not cleared",
	      "cleared");
	check(mmuext(MMUEXT_COPY_PAGE, kernel_l4_mfn, virt_to_mfn(a)) < 0, "... or copied over",
	      "copied");
	check(HC4(mmuext_op, ops, 2, &done, DOMID_SELF) < 0, "an unknown operation is refused",
	      "done");
	check_eq("... after one was done", done, 1);
	check_eq("an empty batch", HC4(mmuext_op, ops, 0, &done, DOMID_SELF), 0);
	check_eq("a batch from nowhere", HC4(mmuext_op, window, 1, 0, DOMID_SELF),
		 (uint64_t)-XEN_EFAULT);
}

void guest_main(void)
{
	window = va_reserve(1);
	window_pte = pte_of(window, 1);
	test_m2p();
	test_mmu_update();
	test_preserve_ad();
	test_types();
	test_levels();
	test_base();
	test_va_mapping();
	test_mmuext();
}
