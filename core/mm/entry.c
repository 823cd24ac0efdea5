/* SPDX-License-Identifier: MIT */
/*
 * What one guest page-table entry may say, and which references it holds:
 *
 *	L1, writable		general + FT_WRITABLE on the page
 *	L1, read-only		general on the page
 *	L2, L3, L4		general + the type of the next lower level on that table
 *	L4, read-only, to itself	general (recursive mapping; its own type keeps it a page
 *table)
 *
 * Bits the hardware would read as something a guest has no say in (page size, caching, global in
 *upper levels) are refused as Xen refuses them. Every present entry gets the user bit, since guest
 *kernels run in ring 3, and loses the global bit, so that loading CR3 is a full flush.
 */
#include "frame.h"

#define PTE_GNTTAB (UINT64_C(1) << 62) /* Xen's own mark, not for guests */

uint64_t l1tf_frames;

bool entry_flags_ok(struct domain *d, unsigned level, uint64_t e)
{
	static const uint64_t disallowed[] = {
		[1] = PTE_PWT | PTE_PCD | PTE_PAT | PTE_GNTTAB,
		[2] = PTE_PWT | PTE_PCD | PTE_PS | PTE_G,
		[3] = PTE_PWT | PTE_PCD | PTE_PS | PTE_G,
		[4] = PTE_PWT | PTE_PCD | PTE_PS | PTE_G,
	};

	if (!(e & disallowed[level]))
		return true;
	dlog(d, LOG_DEBUG, "L%u entry %#llx has flags %#llx", level, (unsigned long long)e,
	     (unsigned long long)(e & disallowed[level]));
	return false;
}

static uint64_t adjust(unsigned level, uint64_t e)
{
	e |= PTE_US;
	return level == 1 ? e & ~PTE_G : e;
}

static int get_leaf(struct domain *d, uint64_t e, bool preemptible)
{
	struct frame *f = frame_of(pte_mfn(e));
	int rc;

	if (!f || READ_ONCE(f->kind) == FK_RESERVED) {
		dlog(d, LOG_DEBUG, "L1 entry %#llx maps no memory", (unsigned long long)e);
		return pte_mfn(e).n == PTE_ADDR >> PAGE_SHIFT ? -XEN_EINVAL : -XEN_EPERM;
	}
	if (!frame_mappable(f, d) || !get_ref(f)) {
		dlog(d, LOG_DEBUG, "L1 entry %#llx maps a frame of another", (unsigned long long)e);
		return -XEN_EBUSY;
	}
	if (!(e & PTE_RW))
		return 0;
	rc = type_get(f, FT_WRITABLE, preemptible);
	if (rc)
		put_ref(f);
	return rc;
}

int entry_get(struct domain *d, struct frame *table, unsigned level, uint64_t *e, bool preemptible)
{
	struct frame *f;
	int rc;

	if (!entry_flags_ok(d, level, *e))
		return -XEN_EINVAL;
	if (level == 1) {
		rc = get_leaf(d, *e, preemptible);
	} else if (level == 4 && mfn_eq(pte_mfn(*e), frame_mfn(table))) {
		if (*e & PTE_RW)
			return -XEN_EINVAL;
		/* A fast path that is under way on another CPU has ended before the table can be used. */
		if (domain_gate_slow(d, GATE_SLOW_LINEAR))
			flush_tlb(d, flush_domain_cpus(d));
		rc = get_ref(table) ? 0 : -XEN_EBUSY;
	} else {
		f = frame_of(pte_mfn(*e));
		if (!frame_mappable(f, d) || !get_ref(f)) {
			dlog(d, LOG_DEBUG, "L%u entry %#llx names a frame of another", level,
			     (unsigned long long)*e);
			return -XEN_EINVAL;
		}
		rc = type_get(f, (enum frame_type)(level - 1), preemptible);
		if (rc)
			put_ref(f);
	}
	if (!rc)
		*e = adjust(level, *e);
	return rc;
}

static void put_leaf(struct domain *d, uint64_t e)
{
	struct frame *f = frame_of(pte_mfn(e));

	if (e & PTE_RW)
		type_put(f, false);
	else if (f->type == FT_SEGDESC && f->type_count && f->owner == d)
		segdesc_unmapped(d, f);
	/* The clock knows the machine's CPUs, but only its owner's guests are held to flush on
	 * their own. */
	if (f->owner != d)
		flush_tlb(d, flush_domain_cpus(d));
	put_ref(f);
}

void entry_put(struct domain *d, struct frame *table, unsigned level, uint64_t e, bool preemptible)
{
	struct frame *f = frame_of(pte_mfn(e));

	if (level == 1)
		put_leaf(d, e);
	else if (f == table)
		put_ref(f);
	else
		ref_type_put(f, preemptible);
}
