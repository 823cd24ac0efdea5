/* SPDX-License-Identifier: MIT */
/*
 * The home's page tables, which the core copies into every guest's L4 (plat_root_slot), and the stores the core
 * makes into guests' tables. The hardware walks what memory holds, so a store is a store, and a flush is a load
 * of CR3, put off until a guest runs.
 */
#include "metal.h"

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_A)
#define TEXT_FLAGS  (PTE_P | PTE_A | PTE_G)
#define RO_FLAGS    (PTE_P | PTE_A | PTE_G | PTE_NX)
#define DATA_FLAGS  (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_G | PTE_NX)
#define DEVICE_FLAGS (DATA_FLAGS | PTE_PCD | PTE_PWT)

#define L2_SPAN (UINT64_C(1) << 21)

static uint64_t root, guest_root;
static unsigned nr_devices;

static uint64_t *next_table(uint64_t *table, unsigned index)
{
	if (!(table[index] & PTE_P))
		table[index] = memory_early_alloc() | TABLE_FLAGS;
	return phys_ptr(table[index] & PTE_ADDR);
}

static uint64_t *l2_below(uint64_t l4, uint64_t va)
{
	return next_table(next_table(phys_ptr(l4), pt_index(va, 4)), pt_index(va, 3));
}

static uint64_t *l2_of(uint64_t va)
{
	return l2_below(root, va);
}

static void map_page_below(uint64_t l4, uint64_t va, uint64_t pte)
{
	next_table(l2_below(l4, va), pt_index(va, 2))[pt_index(va, 1)] = pte;
}

static void map_page(uint64_t va, uint64_t pte)
{
	map_page_below(root, va, pte);
}

/* What the home's tables say about the page at @va. */
static uint64_t leaf(uint64_t va)
{
	uint64_t e = l2_of(va)[pt_index(va, 2)];

	if (e & PTE_PS)
		return (e & PTE_ADDR & ~(L2_SPAN - 1)) | (e & ~PTE_ADDR & ~PTE_PS) | (va & (L2_SPAN - 1) & PAGE_MASK);
	return e & PTE_P ? ((uint64_t *)phys_ptr(e & PTE_ADDR))[pt_index(va, 1)] : 0;
}

void paging_expose(const void *start, size_t size)
{
	uint64_t va = (uintptr_t)start & PAGE_MASK, end = (uintptr_t)start + size;

	for (; split_tables && va < end; va += PAGE_SIZE)
		map_page_below(guest_root, va, leaf(va));
}

static bool is_guard(const char *p)
{
	return p == cpu0_stack_guard || p == cpu0_trap_stack_guard || p == cpu0_nmi_stack_guard ||
	       p == cpu0_df_stack_guard || p == cpu0_mc_stack_guard || p == cpu0_db_stack_guard;
}

static void map_image(void)
{
	for (const char *p = image_text_start; p < image_end; p += PAGE_SIZE) {
		uint64_t flags = p < image_rodata_start ? TEXT_FLAGS : p < image_data_start ? RO_FLAGS :
			DATA_FLAGS;

		if (!is_guard(p))
			map_page((uintptr_t)p, ((uintptr_t)p - IMAGE_VIRT) | flags);
	}
}

static void map_direct(uint64_t start, uint64_t end)
{
	for (uint64_t at = start & ~(L2_SPAN - 1); at < end; at += L2_SPAN)
		l2_of(DIRECT_VIRT + at)[pt_index(DIRECT_VIRT + at, 2)] = at | DATA_FLAGS | PTE_PS;
}

/* The direct map's text is writable for nobody else than a bug in ring 0; take that away as well. */
static void protect_alias(void)
{
	uint64_t first = (uintptr_t)image_text_start - IMAGE_VIRT;
	uint64_t end = (uintptr_t)image_data_start - IMAGE_VIRT;

	for (uint64_t at = first & ~(L2_SPAN - 1); at < end; at += L2_SPAN) {
		uint64_t *l2 = l2_of(DIRECT_VIRT + at), l1 = memory_early_alloc();
		uint64_t *t = phys_ptr(l1);

		for (unsigned i = 0; i < 512; i++) {
			uint64_t page = at + i * PAGE_SIZE;

			t[i] = page | (page >= first && page < end ? RO_FLAGS : DATA_FLAGS);
		}
		l2[pt_index(DIRECT_VIRT + at, 2)] = l1 | TABLE_FLAGS;
	}
}

void paging_init(void)
{
	const struct boot_info *b = &boot_info;

	root = memory_early_alloc();
	map_image();
	map_direct(0, UINT64_C(1) << 20);
	for (unsigned i = 0; i < b->nr_ranges; i++)
		map_direct(b->range[i].start, b->range[i].end);
	for (unsigned i = 0; i < b->nr_modules; i++)
		map_direct(b->module[i].start, b->module[i].start + b->module[i].size);
	protect_alias();
	window_init(next_table(next_table(phys_ptr(root), WINDOW_SLOT), 0));
	if (split_tables) {
		guest_root = memory_early_alloc();
		paging_expose(image_text_start, (size_t)(gate_text_end - image_text_start));
		paging_expose(exposed_start, (size_t)(exposed_end - exposed_start));
		paging_expose(trap_stacks_start, (size_t)(trap_stacks_end - trap_stacks_start));
	}
	/* Every slot's L3 that is there stays for good: guests' L4s hold copies of these entries. */
	next_table(next_table(phys_ptr(root), WINDOW_SLOT), pt_index(DEVICE_VIRT, 3));
	cr3_write(root);
	this_cpu()->cr3 = root;
	gate_hyp_cr3 = root | (use_pcid ? CR3_NOFLUSH : 0);
	/* With split tables nothing may stay in the TLB across the switch to the guest's. */
	if (!split_tables)
		cr4_write(cr4_read() | CR4_PGE);
}

uint64_t paging_add(uint64_t va)
{
	uint64_t page = memory_early_alloc();

	map_page(va, page | DATA_FLAGS);
	return page;
}

uint64_t idle_cr3(void)
{
	return root;
}

void *device_map(uint64_t phys)
{
	uint64_t va = DEVICE_VIRT + nr_devices++ * PAGE_SIZE;

	map_page(va, (phys & PAGE_MASK) | DEVICE_FLAGS);
	return (void *)(uintptr_t)(va + (phys & ~PAGE_MASK));
}

uint64_t plat_root_slot(const struct domain *d, unsigned slot)
{
	const uint64_t *l4 = phys_ptr(split_tables ? guest_root : root);

	return split_tables && slot == WINDOW_SLOT ? window_root(d) : l4[slot];
}

static uint64_t *entry_ptr(mfn_t table, unsigned index)
{
	return (uint64_t *)plat_frame_ptr(table) + index;
}

uint64_t plat_pt_write(mfn_t table, unsigned index, uint64_t entry, unsigned level)
{
	return __atomic_exchange_n(entry_ptr(table, index), entry, __ATOMIC_SEQ_CST);
}

bool plat_pt_cmpxchg(mfn_t table, unsigned index, uint64_t *expected, uint64_t entry, unsigned level)
{
	return __atomic_compare_exchange_n(entry_ptr(table, index), expected, entry, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

void plat_pt_enter(mfn_t mfn, unsigned level)
{
}

/* The CPU may still stand on this table, which from now on may be anything. */
void plat_pt_leave(mfn_t mfn, unsigned level)
{
	struct percpu *p = this_cpu();

	if (split_tables || level != 4)
		return;
	if (p->cr3 >> PAGE_SHIFT == mfn.n) {
		cr3_write(root);
		p->cr3 = root;
	}
	ASSERT(!smp_stands_on(mfn));
}

/* Not on the way into the guest only: another CPU may take the old table apart as soon as this returns. */
void plat_base_changed(struct vcpu *v)
{
	struct percpu *p = this_cpu();

	/* The guest expects a load of CR3 to flush; with PCIDs it would not. */
	if (use_pcid)
		p->flush = true;
	/* With split tables the core does not stand on the guest's. */
	if (split_tables || p->cr3 == v->gate.cr3_kernel || p->cr3 == v->gate.cr3_user)
		return;
	cr3_write(root);
	p->cr3 = root;
}
