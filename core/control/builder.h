/* SPDX-License-Identifier: MIT */
/*
 * The domain builder's inside: where every element of the start of day goes (builder_layout.c),
 * what is written there (builder_fill.c, builder_tables.c), and who calls them in which order
 * (builder.c).
 *
 *	pfn 0     virt_base
 *		  hole up to the kernel's first address
 *		  kernel
 *		  initrd                                  (1)
 *		  P2M list                                (2)
 *		  start_info, store ring, console ring
 *		  page tables                             read-only; L4, L3s, L2s, L1s
 *		  stack
 *		  at least 512 KiB
 *	mapped    virt_base + a multiple of 4 MiB: the end of the initial mapping
 *		  initrd                                  (1)
 *		  P2M list, its page tables               (2)
 *	used      the rest of the domain's memory
 *
 *	(1) the upper place, unless the kernel takes an initrd by frame number (MOD_START_PFN)
 *	(2) the upper place, unless the kernel wants the list elsewhere (INIT_P2M)
 *
 * Pseudo-physical frames are handed out from 0 without gaps, so the initial region is
 * virt_base + pfn * 4096.
 */
#ifndef XENOPUS_BUILDER_H
#define XENOPUS_BUILDER_H

#include "xenopus/control.h"
#include "xenopus/cpu.h"
#include "xenopus/domain.h"
#include "xenopus/lib.h"
#include "xenopus/mm.h"

/** struct pfn_range - @nr pseudo-physical frames from @first. */
struct pfn_range {
	uint64_t first, nr;
};

/**
 * struct start_layout - the answer of start_layout_plan(), pseudo-physical frame numbers.
 * @virt_base: VA of pfn 0
 * @mapped: frames 0 .. @mapped - 1 are in the initial mapping
 * @used: frames 0 .. @used - 1 are touched by the builder at all; a domain needs as many
 * @initrd: its frames; @initrd.nr 0 without one
 * @initrd_unmapped: it is told by frame number
 * @p2m: the list's frames
 * @p2m_va: where the list is seen
 * @p2m_elsewhere: at INIT_P2M, with @p2m_tables
 * @tables: L4, then L3s, L2s, L1s of the initial mapping
 */
struct start_layout {
	uint64_t virt_base;
	uint64_t nr_pages;
	uint64_t mapped, used;
	struct pfn_range initrd;
	bool initrd_unmapped;
	struct pfn_range p2m;
	uint64_t p2m_va;
	bool p2m_elsewhere;
	struct pfn_range p2m_tables;
	uint64_t start_info, store, console, stack;
	struct pfn_range tables;
};

/**
 * struct builder - one construction. Frame numbers live in the guest's own P2M list from the first
 * moment.
 */
struct builder {
	const struct domain_config *cfg;
	struct start_layout layout;
	struct domain *d;
	mfn_t *list;           /* the frames of the P2M list */
	uint64_t pages;        /* P2M entries filled so far */
	uint64_t next_table;   /* next unused pfn for a page table, for the mapping being made */
	int store_port, console_port;
};

/** build_error() - put the line for people into cfg->error and return -XEN_EINVAL. */
int build_error(const struct domain_config *cfg, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * start_layout_plan() - check @cfg wholly and decide where everything goes. 0, or -errno and
 * cfg->error.
 */
int start_layout_plan(const struct domain_config *cfg, struct start_layout *out);

/** layout_va() - where the initial mapping shows @pfn. */
static inline uint64_t layout_va(const struct start_layout *l, uint64_t pfn)
{
	return l->virt_base + (pfn << PAGE_SHIFT);
}

static inline bool pfn_in(const struct pfn_range *r, uint64_t pfn)
{
	return pfn >= r->first && pfn - r->first < r->nr;
}

/** builder_mfn() - the machine frame behind @pfn. */
mfn_t builder_mfn(const struct builder *b, uint64_t pfn);

/** build_tables() - write the bootstrap page tables; returns the L4's frame. Cannot fail. */
mfn_t build_tables(struct builder *b);

/** build_fill() - kernel, initrd, hypercall page, start_info, rings. Cannot fail. */
void build_fill(struct builder *b);

#endif
