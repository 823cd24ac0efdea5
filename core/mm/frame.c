/* SPDX-License-Identifier: MIT */
/*
 * The frame table: set-up at start, lists of domains' frames, general references, and what other
 * subsystems use of them. See frame.h for the picture and docs/memory.md for the invariants.
 */
#include "frame.h"

struct frame *frame_table;
uint64_t nr_frames;
char *frame_zero;

/* Where the run of usable frames from @n ends. */
static uint64_t run_end(uint64_t n)
{
	while (n < nr_frames && plat_frame_usable(MFN(n)))
		n++;
	return n;
}

int mm_init(void)
{
	uint64_t table_frames, first, end = 1;

	frame_zero = plat_frame_ptr(MFN(0));
	nr_frames = plat_info()->frames;
	l1tf_frames = plat_info()->l1tf ? nr_frames : 0;
	if (nr_frames > UINT32_MAX) {
		xlog(LOG_WARN, "machine memory beyond 16 TiB is not used");
		nr_frames = UINT32_MAX;
	}
	table_frames = (nr_frames * sizeof(struct frame) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	buddy_reset();
	flush_reset();
	heap_reset();

	for (first = 1; first < nr_frames; first = end + 1) {
		end = run_end(first);
		if (end - first >= table_frames)
			break;
	}
	if (first >= nr_frames) {
		xlog(LOG_ERROR, "no room for the frame table of %llu frames",
		     (unsigned long long)nr_frames);
		return -XEN_ENOMEM;
	}
	/* All zero is right: RESERVED, no references. The table's own frames stay so. */
	frame_table = plat_frame_ptr(MFN(first));
	if (plat_info()->memory_dirty)
		memset(frame_table, 0, table_frames << PAGE_SHIFT);
	ASSERT((char *)plat_frame_ptr(MFN(end - 1)) ==
	       (char *)frame_table + ((end - 1 - first) << PAGE_SHIFT));
	buddy_add(first + table_frames, end);
	for (uint64_t n = 1; n < nr_frames; n = run_end(n) + 1) {
		if (n == first)
			continue;
		end = run_end(n);
		if (end > n)
			buddy_add(n, end);
	}
	return m2p_init();
}

void mm_add_frames(uint64_t first, uint64_t end)
{
	for (uint64_t n = first; n < end; n++) {
		struct frame *f = frame_at(n);

		ASSERT(n && n < nr_frames && f->kind == FK_RESERVED);
		f->flags = FF_DIRTY;
		buddy_free(n);
	}
}

uint64_t mm_free_frames(void)
{
	return buddy_free_frames();
}

void frame_link(struct domain *d, struct frame *f)
{
	frame_set_owner(f, d);
	f->prev = 0;
	f->next = d->mm.first_frame;
	if (f->next)
		frame_at(f->next)->prev = (uint32_t)frame_mfn(f).n;
	d->mm.first_frame = (uint32_t)frame_mfn(f).n;
}

void frame_unlink(struct domain *d, struct frame *f)
{
	if (f->prev)
		frame_at(f->prev)->next = f->next;
	else
		d->mm.first_frame = f->next;
	if (f->next)
		frame_at(f->next)->prev = f->prev;
	f->next = f->prev = 0;
	frame_set_owner(f, NULL);
}

void frame_assign(struct domain *d, uint64_t n, unsigned order)
{
	for (uint64_t i = n; i < n + (UINT64_C(1) << order); i++) {
		struct frame *f = frame_at(i);

		ASSERT(f->count == 0 && f->kind == FK_HEAP);
		frame_set_kind(f, FK_DOMAIN);
		f->flags = FF_ALLOC;
		f->count = 1;
		frame_link(d, f);
	}
	d->mm.tot_pages += UINT64_C(1) << order;
}

void frame_return(struct frame *f, const struct domain *d)
{
	/* Before flush_freed(): whoever loads @d from here on has never seen the frame. */
	uint64_t cpus = d ? flush_domain_cpus(d) : cpu_all();
	mfn_t mfn = frame_mfn(f);

	ASSERT(f->count == 0 && f->type_count == 0 && !(f->flags & (FF_PARTIAL | FF_PINNED)));
	if (f->kind != FK_HEAP)
		flush_freed(f, d);
	f->type = FT_NONE;
	f->flags = FF_DIRTY | (f->flags & FF_STALE);
	frame_set_owner(f, NULL);
	f->held = (uint32_t)cpus;
	f->held_type = (uint32_t)(cpus >> 32);
	m2p_set(mfn, INVALID_M2P_ENTRY);
	buddy_free(mfn.n);
}

/* The last general reference is gone. */
void frame_release(struct frame *f)
{
	struct domain *d = f->owner;

	if (d) {
		if (d->mm.dying)
			return; /* domain_mm_destroy() is walking the list and frees it there */
		frame_unlink(d, f);
		d->mm.tot_pages--;
	}
	frame_return(f, d);
}

bool frame_surrender(struct frame *f)
{
	if (f->kind != FK_DOMAIN || !(f->flags & FF_ALLOC))
		return false;
	f->flags &= (uint8_t)~FF_ALLOC;
	put_ref(f);
	return true;
}

/* What is scrubbed at a time. */
#define RUN_MAX_ORDER 9u

unsigned mm_alloc_domain_frames(struct domain *d, uint64_t max, mfn_t *first)
{
	uint64_t n = 0, room;
	unsigned order = 0;

	mm_lock(d);
	room = d->mm.tot_pages < d->mm.max_pages ? min_t(uint64_t, max, d->mm.max_pages - d->mm.tot_pages) : 0;
	if (room) {
		while (order < RUN_MAX_ORDER && room >> (order + 1))
			order++;
		while (!(n = buddy_alloc(order, ~UINT64_C(0))) && order)
			order--;
	}
	if (n)
		frame_assign(d, n, order);
	mm_unlock(d);
	*first = MFN(n);
	return n ? 1u << order : 0;
}

mfn_t mm_alloc_domain_frame(struct domain *d)
{
	mfn_t mfn;

	return mm_alloc_domain_frames(d, 1, &mfn) ? mfn : INVALID_MFN;
}

struct domain *mm_frame_owner(mfn_t mfn)
{
	struct frame *f = frame_of(mfn);

	return f ? frame_owner(f) : NULL;
}

void mm_each_frame(struct domain *d, void (*fn)(void *opaque, mfn_t mfn, uint64_t pfn), void *opaque)
{
	mm_lock(d);
	for (uint32_t n = d->mm.first_frame; n; n = frame_at(n)->next)
		if (frame_at(n)->kind == FK_DOMAIN)
			fn(opaque, MFN(n), m2p_get(MFN(n)));
	mm_unlock(d);
}

bool mm_get_frame(mfn_t mfn, struct domain *d)
{
	struct frame *f = frame_of(mfn);
	bool got;

	mm_lock(d);
	got = frame_mappable(f, d) && get_ref(f);
	if (got)
		f->held++;
	mm_unlock(d);
	return got;
}

/* The lock of the owner of a frame one holds a reference on; an orphan has none, and nobody else who changes it. */
static struct domain *lock_owner(struct frame *f)
{
	for (;;) {
		struct domain *d = frame_owner(f);

		if (!d)
			return NULL;
		mm_lock(d);
		if (frame_owner(f) == d)
			return d;
		mm_unlock(d);
	}
}

static void unlock_owner(struct domain *d)
{
	if (d)
		mm_unlock(d);
}

void mm_put_frame(mfn_t mfn)
{
	struct frame *f = frame_of(mfn);
	struct domain *d;

	ASSERT(f);
	d = lock_owner(f);
	ASSERT(f->held > 0);
	f->held--;
	put_ref(f);
	unlock_owner(d);
}

int mm_get_frame_type(mfn_t mfn, struct domain *d, enum frame_type type)
{
	int rc;

	mm_lock(d);
	rc = ref_type_get(d, mfn, type, false);
	if (!rc) {
		frame_of(mfn)->held++;
		frame_of(mfn)->held_type++;
	}
	mm_unlock(d);
	return rc;
}

void mm_put_frame_type(mfn_t mfn)
{
	struct frame *f = frame_of(mfn);
	struct domain *d;

	ASSERT(f);
	d = lock_owner(f);
	ASSERT(f->held > 0 && f->held_type > 0);
	f->held--;
	f->held_type--;
	ref_type_put(f, false);
	unlock_owner(d);
}

void *mm_map_shared(struct domain *d, mfn_t mfn)
{
	return mm_get_frame_type(mfn, d, FT_WRITABLE) ? NULL : plat_frame_ptr(mfn);
}

void mm_unmap_shared(void *page)
{
	mfn_t mfn = virt_to_mfn(page);

	plat_frame_dirty(mfn);
	mm_put_frame_type(mfn);
}
