/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: binary buddies over the frame table. Free blocks of 2^order frames, aligned
 * to their size, hang on one list per order by their first frame. Promise: what is handed out is
 * zero. Frames that come back, and all of a machine whose memory is not zero at start, are marked
 * dirty and scrubbed when they are handed out, so that neither a domain's end nor the machine's
 * start touches all of the memory.
 */
#include "frame.h"

static struct spinlock lock;
static uint32_t head[BUDDY_MAX_ORDER + 1];
static uint64_t free_count;

static void push(uint64_t n, unsigned order)
{
	struct frame *f = frame_at(n);

	f->order = (uint8_t)(order + 1);
	f->prev = 0;
	f->next = head[order];
	if (f->next)
		frame_at(f->next)->prev = (uint32_t)n;
	head[order] = (uint32_t)n;
}

static void unlink(uint64_t n, unsigned order)
{
	struct frame *f = frame_at(n);

	if (f->prev)
		frame_at(f->prev)->next = f->next;
	else
		head[order] = f->next;
	if (f->next)
		frame_at(f->next)->prev = f->prev;
	f->order = 0;
	f->next = f->prev = 0;
}

void buddy_reset(void)
{
	memset(head, 0, sizeof(head));
	free_count = 0;
}

uint64_t buddy_free_frames(void)
{
	return READ_ONCE(free_count);
}

void buddy_add(uint64_t first, uint64_t end)
{
	uint8_t flags = plat_info()->memory_dirty ? FF_DIRTY : 0;

	for (uint64_t n = first; n < end; n++) {
		frame_set_kind(frame_at(n), FK_FREE);
		frame_at(n)->flags = flags;
	}
	free_count += end - first;
	while (first < end) {
		unsigned order = first ? (unsigned)__builtin_ctzll(first) : BUDDY_MAX_ORDER;

		if (order > BUDDY_MAX_ORDER)
			order = BUDDY_MAX_ORDER;
		while ((UINT64_C(1) << order) > end - first)
			order--;
		push(first, order);
		first += UINT64_C(1) << order;
	}
}

/* The first block of @order that lies below @limit; without a real limit that is the list's first.
 */
static uint64_t find(unsigned order, uint64_t limit)
{
	uint64_t n = head[order];

	while (n && n + (UINT64_C(1) << order) > limit)
		n = frame_at(n)->next;
	return n;
}

/* Those of the @nr frames from @n on that are not zero, as many at a time as lie side by side. */
static void scrub(uint64_t n, uint64_t nr)
{
	uint64_t end = n + nr, first;

	while (n < end) {
		first = n;
		while (n < end && frame_at(n)->flags & FF_DIRTY)
			frame_at(n++)->flags = 0;
		if (n > first)
			plat_frames_zero(MFN(first), n - first);
		else
			n++;
	}
}

/* A block of @order, off the lists; 0: none. */
static uint64_t take(unsigned order, uint64_t limit)
{
	unsigned o;
	uint64_t n = 0;

	for (o = order; o <= BUDDY_MAX_ORDER && !n; o++)
		n = find(o, limit);
	if (!n)
		return 0;
	unlink(n, --o);
	while (o > order) {
		o--;
		push(n + (UINT64_C(1) << o), o);
	}
	WRITE_ONCE(free_count, free_count - (UINT64_C(1) << order));
	for (uint64_t i = n; i < n + (UINT64_C(1) << order); i++)
		frame_set_kind(frame_at(i), FK_HEAP);
	return n;
}

uint64_t buddy_alloc(unsigned order, uint64_t limit)
{
	uint64_t n;

	spin_lock(&lock, LOCK_BUDDY);
	n = take(order, limit);
	spin_unlock(&lock, LOCK_BUDDY);
	if (!n)
		return 0;
	/* The block is ours; what takes long needs no lock. */
	for (uint64_t i = n; i < n + (UINT64_C(1) << order); i++) {
		flush_before_new_owner(frame_at(i));
		frame_at(i)->type = FT_NONE;
	}
	scrub(n, UINT64_C(1) << order);
	return n;
}

void buddy_free(uint64_t n)
{
	unsigned order = 0;

	spin_lock(&lock, LOCK_BUDDY);
	frame_set_kind(frame_at(n), FK_FREE);
	frame_at(n)->order = 0;
	WRITE_ONCE(free_count, free_count + 1);
	while (order < BUDDY_MAX_ORDER) {
		uint64_t b = n ^ (UINT64_C(1) << order);
		struct frame *f = b < nr_frames ? frame_at(b) : NULL;

		if (!f || READ_ONCE(f->kind) != FK_FREE || f->order != order + 1)
			break;
		unlink(b, order);
		n &= ~(UINT64_C(1) << order);
		order++;
	}
	push(n, order);
	spin_unlock(&lock, LOCK_BUDDY);
}
