/* SPDX-License-Identifier: MIT */
/*
 * What a guest finds in its memory at the start of day: kernel, initrd, hypercall page, start_info,
 * rings.
 */

#include "builder.h"

/** open_page() - where the core sees the frame behind @pfn, which is about to be written. */
static uint8_t *open_page(const struct builder *b, uint64_t pfn)
{
	mfn_t mfn = builder_mfn(b, pfn);

	plat_frame_dirty(mfn);
	return plat_frame_ptr(mfn);
}

/** run_of_frames() - how many whole pages from @pfn on, of at most @max, lie in consecutive frames. */
static uint64_t run_of_frames(const struct builder *b, uint64_t pfn, uint64_t max)
{
	mfn_t first = builder_mfn(b, pfn);
	uint64_t n = 1;

	while (n < max && builder_mfn(b, pfn + n).n == first.n + n)
		n++;
	return n;
}

/* So much is copied at a time. */
#define RUN_PAGES 256

/** put() - copy @len bytes, or zeroes for @data NULL, to pseudo-physical address @phys. */
static void put(const struct builder *b, uint64_t phys, const void *data, uint64_t len)
{
	const uint8_t *src = data;

	while (len) {
		uint64_t off = phys & (PAGE_SIZE - 1);
		uint64_t n = min_t(uint64_t, len, PAGE_SIZE - off);

		if (!src) {
			memset(open_page(b, phys >> PAGE_SHIFT) + off, 0, n);
		} else if (n == PAGE_SIZE) {
			n = run_of_frames(b, phys >> PAGE_SHIFT, min_t(uint64_t, len >> PAGE_SHIFT, RUN_PAGES)) << PAGE_SHIFT;
			plat_frames_fill(builder_mfn(b, phys >> PAGE_SHIFT), src, n);
			cpu_breathe();
		} else {
			memcpy(open_page(b, phys >> PAGE_SHIFT) + off, src, n);
		}
		if (src)
			src += n;
		phys += n;
		len -= n;
	}
}

static void fill_kernel(const struct builder *b)
{
	const struct kernel_image *k = b->cfg->kernel;
	uint64_t written =
		k->vstart; /* frames come zeroed; below this something may have been put */

	for (unsigned i = 0; i < k->nr_segments; i++) {
		const struct kernel_segment *s = &k->segments[i];
		uint64_t bss = s->va + s->filesz, end = s->va + s->memsz;

		put(b, s->va - k->virt_base, s->data, s->filesz);
		if (bss < written)
			put(b, bss - k->virt_base, NULL, min_t(uint64_t, end, written) - bss);
		written = max_t(uint64_t, written, bss);
	}
}

static void fill_hypercall_page(const struct builder *b)
{
	uint64_t va = b->cfg->kernel->hypercall_page;

	if (va)
		arch_fill_hypercall_page(open_page(b, (va - b->layout.virt_base) >> PAGE_SHIFT));
}

static void fill_start_info(const struct builder *b)
{
	const struct start_layout *l = &b->layout;
	const struct domain_config *cfg = b->cfg;
	struct start_info *si = (struct start_info *)(void *)open_page(b, l->start_info);

	xstrlcpy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
	si->nr_pages = l->nr_pages;
	si->shared_info = b->d->mm.shared_info_mfn.n << PAGE_SHIFT;
	si->flags = 0; /* no privileged, no initial domain */
	si->store_mfn = builder_mfn(b, l->store).n;
	si->store_evtchn = (uint32_t)b->store_port;
	si->console.domU.mfn = builder_mfn(b, l->console).n;
	si->console.domU.evtchn = (uint32_t)b->console_port;
	si->pt_base = layout_va(l, l->tables.first);
	si->nr_pt_frames = l->tables.nr;
	si->mfn_list = l->p2m_va;
	if (l->p2m_elsewhere) {
		si->first_p2m_pfn = l->p2m.first;
		si->nr_p2m_frames = l->p2m.nr + l->p2m_tables.nr;
	}
	if (l->initrd.nr) {
		si->mod_start =
			l->initrd_unmapped ? l->initrd.first : layout_va(l, l->initrd.first);
		si->mod_len = cfg->initrd_size;
		if (l->initrd_unmapped)
			si->flags |= SIF_MOD_START_PFN;
	}
	if (cfg->cmdline)
		xstrlcpy((char *)si->cmd_line, cfg->cmdline, sizeof(si->cmd_line));
}

void build_fill(struct builder *b)
{
	fill_kernel(b);
	if (b->layout.initrd.nr)
		put(b, b->layout.initrd.first << PAGE_SHIFT, b->cfg->initrd, b->cfg->initrd_size);
	fill_hypercall_page(b);
	fill_start_info(b);
}
