/* SPDX-License-Identifier: MIT */
/* A domain's memory from birth to death: the shared pages of the core, and giving everything up
 * without leak. */
#include "frame.h"

void mm_share_xen_frame(struct domain *d, void *page, bool writable)
{
	struct frame *f = frame_of(virt_to_mfn(page));

	ASSERT(f->kind == FK_HEAP && f->count == 1);
	mm_lock(d);
	frame_set_kind(f, FK_SHARED);
	f->type = writable ? FT_WRITABLE : FT_SHARED_RO;
	f->type_count = 1;
	frame_link(d, f);
	mm_unlock(d);
}

bool mm_xen_frame_mapped(struct domain *d, void *page)
{
	bool mapped;

	mm_lock(d);
	mapped = frame_of(virt_to_mfn(page))->count > 1;
	mm_unlock(d);
	return mapped;
}

int domain_mm_init(struct domain *d, uint64_t max_pages)
{
	void *page = heap_alloc_pages(1);

	memset(&d->mm, 0, sizeof(d->mm));
	if (!page)
		return -XEN_ENOMEM;
	d->mm.max_pages = max_pages;
	d->mm.shared_info = page;
	d->mm.shared_info_mfn = virt_to_mfn(page);
	mm_share_xen_frame(d, page, true);
	return 0;
}

void mm_reservation(struct domain *d, uint64_t *pages, uint64_t *max)
{
	mm_lock(d);
	*pages = d->mm.tot_pages;
	*max = d->mm.max_pages;
	mm_unlock(d);
}

void mm_set_max(struct domain *d, uint64_t max)
{
	mm_lock(d);
	d->mm.max_pages = max;
	mm_unlock(d);
}

/* Give up what virtual CPUs hold; harmless when their owners did so already. The home is past
 * caring. */
static void drop_vcpus(struct domain *d)
{
	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		struct vcpu *v = d->vcpu[i];

		if (!v)
			continue;
		base_drop(v);
		segdesc_drop(v);
	}
}

/* The owner is gone; what others still refer to lives on without one. */
static void orphan(struct domain *d, struct frame *f)
{
	bool shared = f->kind == FK_SHARED;

	frame_unlink(d, f);
	if (shared) {
		/* Still the core's: whoever shared it frees it. */
		frame_set_kind(f, FK_HEAP);
		f->type_count--;
		flush_freed(f, d);
		return;
	}
	d->mm.tot_pages--;
	if (f->flags & FF_ALLOC) {
		f->flags &= (uint8_t)~FF_ALLOC;
		f->count--;
	}
	frame_set_kind(f, FK_ORPHAN);
	if (f->count == 0)
		frame_return(f, d);
	else
		dlog(d, LOG_INFO, "frame %#llx outlives the domain: %u references",
		     (unsigned long long)frame_mfn(f).n, f->count);
}

static void unpin(struct domain *d, struct frame *f)
{
	if (f->flags & FF_PINNED) {
		f->flags &= (uint8_t)~FF_PINNED;
		ref_type_put(f, false);
	}
}

static void abandon(struct domain *d, struct frame *f)
{
	if (f->flags & FF_PARTIAL)
		type_abandon(f, false);
}

/* So many frames are looked at with the lock held. */
#define FRAMES_AT_A_TIME 512u

/* @fn with every frame; it may take that one off the list. */
static void each_frame(struct domain *d, void (*fn)(struct domain *d, struct frame *f))
{
	unsigned left = FRAMES_AT_A_TIME;
	uint32_t n = d->mm.first_frame, next;

	for (; n; n = next) {
		next = frame_at(n)->next;
		fn(d, frame_at(n));
		if (--left)
			continue;
		left = FRAMES_AT_A_TIME;
		mm_unlock(d);
		cpu_breathe();
		mm_lock(d);
	}
}

void domain_mm_destroy(struct domain *d)
{
	struct shared_info *shared_info = d->mm.shared_info;

	mm_lock(d);
	/* From now on frames stay in the list until the last walk, whatever is dropped, and nobody else takes any off. */
	d->mm.dying = true;
	drop_vcpus(d);
	each_frame(d, unpin);
	each_frame(d, abandon);
	each_frame(d, orphan);
	ASSERT(!d->mm.first_frame && !d->mm.tot_pages);
	d->mm.shared_info = NULL;
	mm_unlock(d);
	heap_free_pages(shared_info, 1);
}
