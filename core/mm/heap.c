/* SPDX-License-Identifier: MIT */
/*
 * The core's heap. Small objects come from one-page slabs of equal cells, each page with its own
 * header; larger ones are whole pages. A pointer tells which: only whole pages are page-aligned.
 * Everything handed out is zeroed.
 */
#include "frame.h"

struct slab {
	struct list link; /* in partial[class], while it has a free cell */
	void *free;	  /* cells, linked through their first word */
	uint16_t class, used;
};

#define SLAB_HEADER 64u
_Static_assert(sizeof(struct slab) <= SLAB_HEADER, "slab header");

/* From 128 on multiples of 64, so that what two domains have does not share a cache line. 4032 bytes divide well. */
static const uint16_t cell_size[] = {16, 32, 48, 64, 96, 128, 192, 256, 320, 448, 576, 704, 960, 1344, 1984};
static struct spinlock lock; /* of @partial and every slab's cells */
static struct list partial[ARRAY_SIZE(cell_size)];

void heap_reset(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(partial); i++)
		list_init(&partial[i]);
}

mfn_t virt_to_mfn(const void *p)
{
	return ptr_mfn(p);
}

void *heap_alloc_pages(unsigned n)
{
	unsigned order = 0;
	uint64_t first;

	if (n == 0)
		return NULL;
	while ((UINT64_C(1) << order) < n)
		order++;
	first = order <= BUDDY_MAX_ORDER ? buddy_alloc(order, ~UINT64_C(0)) : 0;
	if (!first)
		return NULL;
	for (unsigned i = 0; i < n; i++)
		frame_at(first + i)->count = 1;
	for (uint64_t i = first + n; i < first + (UINT64_C(1) << order); i++)
		buddy_free(i);
	frame_at(first)->next = n;
	return plat_frame_ptr(MFN(first));
}

static void free_page(struct frame *f)
{
	struct domain *d = frame_owner(f);

	if (d)
		mm_lock(d);
	if (f->kind == FK_SHARED) {
		/* The core's share ends; guests that still map it keep the frame until they let go.
		 */
		if (d)
			frame_unlink(d, f);
		frame_set_kind(f, FK_ORPHAN);
		f->type_count--;
	}
	ASSERT(f->kind == FK_HEAP || f->kind == FK_ORPHAN);
	f->next = f->prev = 0;
	put_ref(f);
	if (d)
		mm_unlock(d);
}

void heap_free_pages(void *p, unsigned n)
{
	uint64_t first;

	if (!p)
		return;
	first = virt_to_mfn(p).n;
	ASSERT(first + n <= nr_frames);
	for (uint64_t i = first; i < first + n; i++)
		free_page(frame_at(i));
}

static struct slab *new_slab(unsigned class)
{
	struct slab *s = heap_alloc_pages(1);

	if (!s)
		return NULL;
	s->class = (uint16_t) class;
	for (unsigned at = SLAB_HEADER; at + cell_size[class] <= PAGE_SIZE;
	     at += cell_size[class]) {
		void **cell = (void **)(void *)((char *)s + at);

		*cell = s->free;
		s->free = cell;
	}
	list_add_before(partial[class].next, &s->link);
	return s;
}

static void *take_cell(unsigned class)
{
	struct slab *s;
	void **cell;

	if (list_empty(&partial[class])) {
		s = new_slab(class);
		if (!s)
			return NULL;
	} else {
		s = list_entry(partial[class].next, struct slab, link);
	}
	cell = s->free;
	s->free = *cell;
	s->used++;
	if (!s->free)
		list_del(&s->link);
	return cell;
}

void *heap_alloc(size_t size)
{
	unsigned class = 0;
	void *cell;

	while (class < ARRAY_SIZE(cell_size) && cell_size[class] < size)
		class ++;
	if (class == ARRAY_SIZE(cell_size)) {
		if (size > ((size_t)PAGE_SIZE << BUDDY_MAX_ORDER))
			return NULL;
		return heap_alloc_pages((unsigned)((size + PAGE_SIZE - 1) >> PAGE_SHIFT));
	}
	spin_lock(&lock, LOCK_SLAB);
	cell = take_cell(class);
	spin_unlock(&lock, LOCK_SLAB);
	if (cell)
		memset(cell, 0, cell_size[class]);
	return cell;
}

/* Put the cell back; returns the page when nothing is left in it and it can go. */
static struct slab *give_cell(void *p)
{
	struct slab *s = (struct slab *)(void *)((char *)p - ((uintptr_t)p & (PAGE_SIZE - 1)));
	bool was_full = !s->free;

	ASSERT(s->used > 0 && s->class < ARRAY_SIZE(cell_size));
	*(void **)p = s->free;
	s->free = p;
	if (was_full)
		list_add_before(partial[s->class].next, &s->link);
	/* One empty slab per class stays, so that a lone object does not fetch and scrub a page
	 * every time. */
	if (--s->used || partial[s->class].next->next == &partial[s->class])
		return NULL;
	list_del(&s->link);
	return s;
}

void heap_free(void *p)
{
	struct slab *empty;

	if (!p)
		return;
	if (((uintptr_t)p & (PAGE_SIZE - 1)) == 0) {
		heap_free_pages(p, frame_of(virt_to_mfn(p))->next);
		return;
	}
	spin_lock(&lock, LOCK_SLAB);
	empty = give_cell(p);
	spin_unlock(&lock, LOCK_SLAB);
	if (empty)
		heap_free_pages(empty, 1);
}
