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

static uint64_t root, window_l2;
static unsigned nr_devices;

static uint64_t *next_table(uint64_t *table, unsigned index)
{
	if (!(table[index] & PTE_P))
		table[index] = memory_early_alloc() | TABLE_FLAGS;
	return phys_ptr(table[index] & PTE_ADDR);
}

static uint64_t *l2_of(uint64_t va)
{
	return next_table(next_table(phys_ptr(root), pt_index(va, 4)), pt_index(va, 3));
}

static void map_page(uint64_t va, uint64_t pte)
{
	next_table(l2_of(va), pt_index(va, 2))[pt_index(va, 1)] = pte;
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
	window_l2 = memory_early_alloc();
	next_table(phys_ptr(root), WINDOW_SLOT)[0] = window_l2 | TABLE_FLAGS;
	/* Every slot's L3 that is there stays for good: guests' L4s hold copies of these entries. */
	next_table(next_table(phys_ptr(root), WINDOW_SLOT), pt_index(DEVICE_VIRT, 3));
	cr3_write(root);
	this_cpu()->cr3 = root;
	cr4_write(cr4_read() | CR4_PGE);
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

bool window_tables(unsigned window)
{
	uint64_t *l2 = phys_ptr(window_l2);
	unsigned index = window / (512 / WINDOW_PAGES);

	if (index >= 512)
		return false;
	if (!(l2[index] & PTE_P)) {
		void *l1 = heap_alloc_pages(1);

		if (!l1)
			return false;
		l2[index] = virt_to_mfn(l1).n << PAGE_SHIFT | TABLE_FLAGS;
	}
	return true;
}

/* Not global: a window's pages change. The caller flushes what a CPU may remember. */
void window_set(unsigned window, unsigned page, uint64_t pte)
{
	uint64_t *l2 = phys_ptr(window_l2);
	uint64_t *l1 = phys_ptr(l2[window / (512 / WINDOW_PAGES)] & PTE_ADDR);
	uint64_t *e = &l1[window % (512 / WINDOW_PAGES) * WINDOW_PAGES + page];

	if ((*e ^ pte) & ~(PTE_A | PTE_D)) {
		WRITE_ONCE(*e, pte);
		invlpg(WINDOW_VIRT + (uint64_t)window * WINDOW_SIZE + page * PAGE_SIZE);
	}
}

uint64_t plat_root_slot(unsigned slot)
{
	return ((uint64_t *)phys_ptr(root))[slot];
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

	if (level == 4 && p->cr3 >> PAGE_SHIFT == mfn.n) {
		cr3_write(root);
		p->cr3 = root;
	}
}

/* Not on the way into the guest only: another CPU may take the old table apart as soon as this returns. */
void plat_base_changed(struct vcpu *v)
{
	struct percpu *p = this_cpu();

	if (p->cr3 == v->gate.cr3_kernel || p->cr3 == v->gate.cr3_user)
		return;
	p->cr3 = v->gate.cr3_kernel ? v->gate.cr3_kernel : root;
	cr3_write(p->cr3);
}

void plat_tlb_flush(uint64_t pcpus, enum plat_flush what, uint64_t va)
{
	struct percpu *p = this_cpu();

	if (!(pcpus >> p->id & 1))
		return;
	if (what == PLAT_FLUSH_VA)
		invlpg(va);
	else
		p->flush = true;
}

void plat_cache_flush(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}
