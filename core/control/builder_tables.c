/* SPDX-License-Identifier: MIT */
/*
 * The bootstrap page tables: the initial region one to one, read-only where it shows its own
 * tables, and the P2M list at INIT_P2M. They are plain memory while written here; validation and
 * pinning follow and judge them like any guest's, so a mistake here is a refused domain, not a
 * hole.
 *
 * Order of the frames (xen/xen.h: pt_base points at the first): L4, all L3s, all L2s, all L1s.
 */
#include "builder.h"

#define LEAF_PROT  (PTE_P | PTE_US | PTE_A)
#define TABLE_PROT (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

static uint64_t *table_at(const struct builder *b, uint64_t pfn)
{
	return plat_frame_ptr(builder_mfn(b, pfn));
}

/**
 * descend() - the entry of @table at @level for @va; a missing table is taken from b->next_table.
 */
static uint64_t *descend(struct builder *b, uint64_t *table, uint64_t va, unsigned level)
{
	uint64_t *e = &table[pt_index(va, level)];

	if (!(*e & PTE_P))
		*e = builder_mfn(b, b->next_table++).n << PAGE_SHIFT | TABLE_PROT;
	return plat_frame_ptr(pte_mfn(*e));
}

/**
 * make_level() - let every table of @level that maps @va .. @last exist. Going level by level over
 * the whole range, not page by page, is what puts the frames into the promised order.
 */
static void make_level(struct builder *b, uint64_t va, uint64_t last, unsigned level)
{
	uint64_t step = UINT64_C(1) << (PAGE_SHIFT + 9 * level);

	for (va &= ~(step - 1); ; va += step) {
		uint64_t *t = table_at(b, b->layout.tables.first);

		for (unsigned l = 4; l > level; l--)
			t = descend(b, t, va, l);
		if (last - va < step)
			break;
	}
}

static void map_range(struct builder *b, uint64_t va, const struct pfn_range *r)
{
	const struct start_layout *l = &b->layout;
	uint64_t *l1 = NULL;

	for (unsigned level = 3; level >= 1; level--)
		make_level(b, va, va + (r->nr << PAGE_SHIFT) - 1, level);
	for (uint64_t i = 0; i < r->nr; i++, va += PAGE_SIZE) {
		uint64_t pfn = r->first + i;
		uint64_t prot = LEAF_PROT;

		if (!l1 || !pt_index(va, 1)) {
			l1 = table_at(b, l->tables.first);
			for (unsigned level = 4; level > 1; level--)
				l1 = descend(b, l1, va, level);
		}
		if (!pfn_in(&l->tables, pfn))
			prot |= PTE_RW | PTE_D;
		l1[pt_index(va, 1)] = builder_mfn(b, pfn).n << PAGE_SHIFT | prot;
	}
}

mfn_t build_tables(struct builder *b)
{
	const struct start_layout *l = &b->layout;

	b->next_table = l->tables.first + 1;
	map_range(b, l->virt_base, &(struct pfn_range){ 0, l->mapped });
	ASSERT(b->next_table == l->tables.first + l->tables.nr);
	if (l->p2m_elsewhere) {
		b->next_table = l->p2m_tables.first;
		map_range(b, l->p2m_va, &l->p2m);
		ASSERT(b->next_table == l->p2m_tables.first + l->p2m_tables.nr);
	}
	for (uint64_t i = 0; i < l->tables.nr; i++)
		plat_frame_dirty(builder_mfn(b, l->tables.first + i));
	for (uint64_t i = 0; i < l->p2m_tables.nr; i++)
		plat_frame_dirty(builder_mfn(b, l->p2m_tables.first + i));
	return builder_mfn(b, l->tables.first);
}
