/* SPDX-License-Identifier: MIT */
/*
 * The machine-to-physical table: for each machine frame the number its owner knows it by. One array
 * in contiguous heap frames, mapped read-only for every guest by page tables of the core (layout.h:
 * slot 257, and 256 where ring 3 can read it). A guest may store any number for its own frames; the
 * core never relies on what is in it.
 */
#include "frame.h"

static uint64_t *m2p;
static uint64_t m2p_root; /* L4 entry */

uint64_t m2p_bytes(void)
{
	return (nr_frames * sizeof(*m2p) + PAGE_SIZE - 1) & PAGE_MASK;
}

void *m2p_page(uint64_t n)
{
	return (char *)m2p + (n << PAGE_SHIFT);
}

/* A table of @level over @n pages or tables, @child(i) giving their frames; entered into the
 * hardware's view. */
static uint64_t build_table(unsigned level, uint64_t first_page, uint64_t pages)
{
	uint64_t span = UINT64_C(1) << (9 * (level - 1)); /* M2P pages per entry */
	uint64_t *table = heap_alloc_pages(1);

	if (!table)
		return 0;
	for (unsigned i = 0; i < 512 && i * span < pages; i++) {
		uint64_t at = first_page + i * span;
		uint64_t n = level == 1 ? virt_to_mfn(m2p_page(at)).n
					: build_table(level - 1, at,
						      min_t(uint64_t, span, pages - i * span));

		if (!n)
			return 0; /* at start: the machine is too small and does not come up */
		table[i] = n << PAGE_SHIFT | PTE_P | PTE_US | PTE_A | (level == 1 ? PTE_NX : 0);
	}
	plat_pt_enter(virt_to_mfn(table), level);
	return virt_to_mfn(table).n;
}

int m2p_init(void)
{
	uint64_t pages = m2p_bytes() >> PAGE_SHIFT;
	uint64_t l3;

	m2p = heap_alloc_pages((unsigned)pages);
	if (!m2p)
		goto small;
	memset(m2p, 0xff, pages << PAGE_SHIFT); /* INVALID_M2P_ENTRY */
	l3 = build_table(3, 0, pages);
	if (!l3)
		goto small;
	m2p_root = l3 << PAGE_SHIFT | PTE_P | PTE_US | PTE_A;
	return 0;
small:
	xlog(LOG_ERROR, "no room for the machine-to-physical table of %llu frames",
	     (unsigned long long)nr_frames);
	return -XEN_ENOMEM;
}

static bool is_m2p_slot(unsigned slot)
{
	return slot == L4_M2P || (slot == L4_M2P_TRADITIONAL && plat_info()->slot256_visible);
}

uint64_t m2p_slot(const struct domain *d, unsigned slot)
{
	return is_m2p_slot(slot) ? m2p_root : plat_root_slot(d, slot);
}

bool m2p_strict(const struct domain *d)
{
	return READ_ONCE(d->mm.vm_assist) >> VMASST_TYPE_m2p_strict & 1;
}

void m2p_show(struct frame *f, bool show)
{
	const uint64_t *table = frame_ptr(f);

	for (unsigned slot = L4_M2P_TRADITIONAL; slot <= L4_M2P; slot++)
		if (is_m2p_slot(slot) && !(table[slot] & PTE_P) == show)
			plat_pt_write(frame_mfn(f), slot, show ? m2p_root : 0, 4);
}

void m2p_set(mfn_t mfn, uint64_t pfn)
{
	ASSERT(mfn.n < nr_frames);
	WRITE_ONCE(m2p[mfn.n], pfn);
}

bool m2p_peek(uint64_t offset, unsigned size, uint64_t *value)
{
	uint64_t end = m2p_bytes();
	unsigned shift = (offset & 7) * 8;

	if (offset >= end || size > end - offset)
		return false;
	*value = READ_ONCE(m2p[offset / 8]) >> shift;
	if (shift + size * 8 > 64)
		*value |= READ_ONCE(m2p[offset / 8 + 1]) << (64 - shift);
	return true;
}

uint64_t m2p_get(mfn_t mfn)
{
	return mfn.n < nr_frames ? READ_ONCE(m2p[mfn.n]) : INVALID_M2P_ENTRY;
}
