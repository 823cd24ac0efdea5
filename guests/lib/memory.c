/* SPDX-License-Identifier: MIT */
/*
 * Pages and page tables. Everything comes out of the slack behind the bootstrap stack, so each page
 * has an address in the initial mapping: VIRT_BASE + pfn * 4096. Tables are read there, and changed
 * by mmu_update only.
 */
#include "guest.h"

#define KERNEL_VA_START \
	UINT64_C(0xffffffff40000000) /* for va_reserve(); below the initial mapping */

static uint64_t next_page, last_page;
static uint64_t next_va = KERNEL_VA_START;
uint64_t *kernel_l4;
uint64_t kernel_l4_mfn;
static struct xen_machphys_mapping m2p_place;

void memory_init(void);

uint64_t virt_to_pfn(const void *p)
{
	return ((uint64_t)p - VIRT_BASE) / PAGE_SIZE;
}

uint64_t virt_to_mfn(const void *p)
{
	return p2m[virt_to_pfn(p)];
}

uint64_t *m2p_entry(uint64_t mfn)
{
	return (uint64_t *)m2p_place.v_start + mfn;
}

void *mfn_to_virt(uint64_t mfn)
{
	return (void *)(VIRT_BASE + *m2p_entry(mfn) * PAGE_SIZE);
}

void memory_init(void)
{
	uint64_t stack_end = start_info->pt_base + (start_info->nr_pt_frames + 1) * PAGE_SIZE;

	next_page = stack_end;
	last_page = (stack_end + (512 << 10) + (4 << 20) - 1) & ~((UINT64_C(4) << 20) - 1);
	if (HC2(memory_op, XENMEM_machphys_mapping, &m2p_place))
		m2p_place.v_start = UINT64_C(0xffff800000000000);
	kernel_l4 = (uint64_t *)start_info->pt_base;
	kernel_l4_mfn = virt_to_mfn(kernel_l4);
}

void *page_alloc(void)
{
	void *p = (void *)next_page;

	if (next_page >= last_page)
		panic("out of pages");
	next_page += PAGE_SIZE;
	return memset(p, 0, PAGE_SIZE);
}

uint64_t *pte_of(uint64_t va, unsigned level)
{
	uint64_t *table = kernel_l4;

	for (unsigned l = 4; ; l--) {
		uint64_t *e = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (l == level)
			return e;
		if (!(*e & PTE_P) || *e & PTE_PS)
			return NULL;
		table = mfn_to_virt((*e & PTE_ADDR) / PAGE_SIZE);
	}
}

uint64_t pte_machine(uint64_t *pte)
{
	return virt_to_mfn(pte) * PAGE_SIZE | ((uint64_t)pte & (PAGE_SIZE - 1));
}

long pte_set(uint64_t *pte, uint64_t value)
{
	mmu_update_t u = { .ptr = pte_machine(pte), .val = value };

	return hc_mmu_update(&u, 1, NULL);
}

long protect(void *page, uint64_t flags)
{
	return hc_update_va_mapping((uint64_t)page, virt_to_mfn(page) * PAGE_SIZE | flags,
				    UVMF_INVLPG);
}

static void make_tables(uint64_t va)
{
	for (unsigned level = 4; level > 1; level--) {
		uint64_t *e = pte_of(va, level);
		void *page;

		if (*e & PTE_P)
			continue;
		page = page_alloc();
		if (protect(page, PTE_LEAF))
			panic("a page cannot be made read-only");
		if (pte_set(e, virt_to_mfn(page) * PAGE_SIZE | PTE_TABLE))
			panic("a page table of level %u is refused", level - 1);
	}
}

void map_page(uint64_t va, uint64_t pte)
{
	long rc;

	make_tables(va);
	rc = pte_set(pte_of(va, 1), pte);
	if (rc)
		panic("mapping 0x%lx at 0x%lx is refused: %ld", pte, va, rc);
}

uint64_t va_reserve(unsigned pages)
{
	uint64_t va = next_va;

	for (unsigned i = 0; i < pages; i++, next_va += PAGE_SIZE)
		make_tables(next_va);
	return va;
}

long mmuext(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
	struct mmuext_op op = { .cmd = cmd };

	op.arg1.mfn = arg1;
	op.arg2.nr_ents = (unsigned)arg2;
	if (cmd == MMUEXT_COPY_PAGE)
		op.arg2.src_mfn = arg2;
	return HC4(mmuext_op, &op, 1, 0, DOMID_SELF);
}
