/* SPDX-License-Identifier: MIT */
/*
 * Which frame is whose. RAM of the loader's map belongs to the core, except
 *
 *	the first MiB			firmware, and what other CPUs start from
 *	the image			with its data and stacks
 *	the modules
 *	what memory_early_alloc() gave	the home's page tables and descriptor tables
 *
 * kept as a short sorted list of the ranges that are left.
 */
#include "metal.h"

#define LOW_END UINT64_C(0x100000)

static struct range usable[MAX_RANGES + MAX_MODULES + 8];
static unsigned nr_usable;
static uint64_t top;

static void insert(uint64_t start, uint64_t end)
{
	unsigned i = nr_usable;

	start = (start + PAGE_SIZE - 1) & PAGE_MASK;
	end &= PAGE_MASK;
	if (start >= end || nr_usable == ARRAY_SIZE(usable))
		return;
	while (i && usable[i - 1].start > start) {
		usable[i] = usable[i - 1];
		i--;
	}
	usable[i] = (struct range){ start, end, true };
	nr_usable++;
}

static void exclude(uint64_t start, uint64_t end)
{
	unsigned i, n = nr_usable;
	struct range old[ARRAY_SIZE(usable)];

	start &= PAGE_MASK;
	end = (end + PAGE_SIZE - 1) & PAGE_MASK;
	memcpy(old, usable, sizeof(old));
	nr_usable = 0;
	for (i = 0; i < n; i++) {
		insert(old[i].start, min_t(uint64_t, old[i].end, start));
		insert(max_t(uint64_t, old[i].start, end), old[i].end);
	}
}

void memory_init(void)
{
	const struct boot_info *b = &boot_info;
	unsigned i;

	for (i = 0; i < b->nr_ranges; i++) {
		if (!b->range[i].ram)
			continue;
		insert(b->range[i].start, b->range[i].end);
		top = max_t(uint64_t, top, b->range[i].end & PAGE_MASK);
	}
	/* What firmware calls something else as well is not ours. */
	for (i = 0; i < b->nr_ranges; i++)
		if (!b->range[i].ram)
			exclude(b->range[i].start, b->range[i].end);
	exclude(0, LOW_END);
	exclude((uintptr_t)image_start - IMAGE_VIRT, (uintptr_t)image_end - IMAGE_VIRT);
	for (i = 0; i < b->nr_modules; i++)
		exclude(b->module[i].start, b->module[i].start + b->module[i].size);
	if (!nr_usable)
		refuse("no memory beside the image and its modules");
}

uint64_t memory_early_alloc(void)
{
	/* The boot tables show no more than 4 GiB; small ranges are not worth keeping for the core. */
	for (unsigned i = nr_usable; i--;) {
		struct range *r = &usable[i];

		if (r->start < r->end && r->end <= UINT64_C(1) << 32) {
			r->end -= PAGE_SIZE;
			memset(phys_ptr(r->end), 0, PAGE_SIZE);
			return r->end;
		}
	}
	refuse("no memory below 4 GiB for the page tables of the hypervisor");
}

uint64_t memory_frames(void)
{
	return top >> PAGE_SHIFT;
}

bool plat_frame_usable(mfn_t mfn)
{
	uint64_t at = mfn.n << PAGE_SHIFT;
	unsigned low = 0, high = nr_usable;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (at < usable[mid].start)
			high = mid;
		else if (at >= usable[mid].end)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

void *plat_frame_ptr(mfn_t mfn)
{
	return phys_ptr(mfn.n << PAGE_SHIFT);
}

void plat_frames_fill(mfn_t first, const void *data, size_t len)
{
	memcpy(plat_frame_ptr(first), data, len);
}

void plat_frames_zero(mfn_t first, uint64_t nr)
{
	memset(plat_frame_ptr(first), 0, nr << PAGE_SHIFT);
}

void plat_frame_dirty(mfn_t mfn)
{
	/* The hardware walks the tables themselves: nothing is remembered of a frame. */
}
