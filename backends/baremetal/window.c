/* SPDX-License-Identifier: MIT */
/*
 * Windows: where a virtual CPU's descriptor tables, its struct gate_vcpu and its vcpu_info are seen by the processor
 * and by the gate, at one address in every address space:
 *
 *	page 0-15   GDT        page 32     vcpu_info
 *	     16-31  LDT             33-34  struct gate_vcpu
 *
 * The hypervisor's own tables show all windows. With split tables (protection.c) a domain's tables show its own only,
 * from tables of its own for slot 259; without, every domain has the hypervisor's.
 */
#include "metal.h"

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_A)
#define DATA_FLAGS  (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)
#define MAX_WINDOWS 4096u
#define PER_TABLE   (512 / WINDOW_PAGES)

/** struct window_tables - what slot 259 of one domain's tables leads to, shared by its virtual CPUs. */
struct window_tables {
	unsigned users;
	uint64_t *l3, *l2;
};

static uint64_t used[MAX_WINDOWS / 64];
static uint64_t *all_l2;

void window_init(uint64_t *l2)
{
	all_l2 = l2;
}

static uint64_t table_entry(const void *table)
{
	return virt_to_mfn(table).n << PAGE_SHIFT | TABLE_FLAGS;
}

/* The L1 of @window below @l2, made when it is not there. NULL: no memory. */
static uint64_t *l1_of(uint64_t *l2, unsigned window)
{
	uint64_t *e = &l2[window / PER_TABLE];

	if (!(*e & PTE_P)) {
		void *l1 = heap_alloc_pages(1);

		if (!l1)
			return NULL;
		*e = table_entry(l1);
	}
	return phys_ptr(*e & PTE_ADDR);
}

static void tables_free(struct window_tables *t)
{
	if (--t->users)
		return;
	for (unsigned i = 0; t->l2 && i < 512; i++)
		if (t->l2[i] & PTE_P)
			heap_free_pages(phys_ptr(t->l2[i] & PTE_ADDR), 1);
	if (t->l2)
		heap_free_pages(t->l2, 1);
	if (t->l3)
		heap_free_pages(t->l3, 1);
	heap_free(t);
}

static struct window_tables *tables_make(void)
{
	struct window_tables *t = heap_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->users = 1;
	t->l3 = heap_alloc_pages(1);
	t->l2 = heap_alloc_pages(1);
	if (!t->l3 || !t->l2) {
		tables_free(t);
		return NULL;
	}
	t->l3[0] = table_entry(t->l2);
	return t;
}

/* Virtual CPU 0 is made first and brings the domain's tables. */
static bool show_to_domain(const struct vcpu *v, struct metal_vcpu *m)
{
	if (!split_tables)
		return true;
	if (v->id) {
		m->tables = ((struct metal_vcpu *)v->domain->vcpu[0]->plat)->tables;
		m->tables->users++;
	} else {
		m->tables = tables_make();
		if (!m->tables)
			return false;
	}
	m->shown = l1_of(m->tables->l2, m->window);
	return m->shown;
}

bool window_make(const struct vcpu *v, struct metal_vcpu *m)
{
	unsigned w = 0;

	while (w < MAX_WINDOWS && bit_test(used, w))
		w++;
	if (w == MAX_WINDOWS)
		return false;
	m->window = w;
	m->all = l1_of(all_l2, w);
	if (!m->all || !show_to_domain(v, m)) {
		if (m->tables)
			tables_free(m->tables);
		return false;
	}
	bit_test_and_set(used, w);
	return true;
}

void window_free(struct metal_vcpu *m)
{
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		window_set(m, i, 0);
	bit_test_and_clear(used, m->window);
	if (m->tables)
		tables_free(m->tables);
}

uint64_t window_address(const struct metal_vcpu *m, unsigned page)
{
	return WINDOW_VIRT + (uint64_t)m->window * WINDOW_SIZE + page * PAGE_SIZE;
}

/* Not global: a window's pages change. The caller flushes what a CPU may remember of the domain's tables. */
void window_set(struct metal_vcpu *m, unsigned page, uint64_t pte)
{
	unsigned index = m->window % PER_TABLE * WINDOW_PAGES + page;

	if (m->shown)
		WRITE_ONCE(m->shown[index], pte);
	if ((m->all[index] ^ pte) & ~(PTE_A | PTE_D)) {
		WRITE_ONCE(m->all[index], pte);
		invlpg(window_address(m, page));
		/* The other address spaces' numbers may remember it, too. */
		if (use_pcid)
			this_cpu()->flush = true;
	}
}

uint64_t window_show(struct metal_vcpu *m, unsigned page, const void *p)
{
	window_set(m, page, virt_to_mfn(p).n << PAGE_SHIFT | DATA_FLAGS);
	return window_address(m, page) + ((uintptr_t)p & ~PAGE_MASK);
}

uint64_t window_root(const struct domain *d)
{
	const struct metal_vcpu *m = d && d->vcpu[0] ? d->vcpu[0]->plat : NULL;

	return m && m->tables ? table_entry(m->tables->l3) : 0;
}
