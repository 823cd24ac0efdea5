/* SPDX-License-Identifier: MIT */
/*
 * A small world for tests of core/mm: a machine, and a domain whose kernel sees all its memory
 * linearly mapped, with one L4, its page tables read-only, pinned and loaded, and a few pages for
 * hypercall arguments.
 */
#ifndef XENOPUS_MM_WORLD_H
#define XENOPUS_MM_WORLD_H

#include "xenopus/hypercall.h"
#include "testplat.h"

#define WORLD_BASE UINT64_C(0xffff880000000000) /* pseudo-physical page 0 is mapped here */
#define WORLD_ARGS 4u				/* pages 0..3: hypercall arguments */
#define WORLD_MAX  1024u

/**
 * struct world - one domain
 * @p2m: its frames by pseudo-physical number, @pages of them
 * @l4, @l3, @l2, @l1: pseudo-physical numbers of its tables; @l1 is the first of @nr_l1 consecutive
 * ones
 * @table_first: first number used by tables
 */
struct world {
	struct domain *d;
	struct vcpu *v;
	uint64_t p2m[WORLD_MAX];
	unsigned pages;
	unsigned l4, l3, l2, l1, nr_l1, table_first;
};

/** world_machine() - testplat_start() and the core's memory; @frames of machine memory. */
void world_machine(uint64_t frames);
/** world_make() - domain @id with @pages pages (at most WORLD_MAX), @max_pages allowed, one virtual
 * CPU. */
void world_make(struct world *w, domid_t id, unsigned pages, unsigned max_pages);
/** world_destroy() - the domain's end; the test fails when anything is left. */
void world_destroy(struct world *w);
/** world_end() - no domain is left: the machine must be as at its start. testplat_stop(). */
void world_end(void);
/** world_audit() - the audit must find nothing. */
void world_audit(void);

/** world_va() - where page @pfn is mapped. world_ptr() - the test's own view of it. */
static inline uint64_t world_va(unsigned pfn)
{
	return WORLD_BASE + pfn * PAGE_SIZE;
}
void *world_ptr(struct world *w, unsigned pfn);
/** world_pte_ma() - machine address of the L1 entry that maps page @pfn, with @cmd in its low bits.
 */
uint64_t world_pte_ma(struct world *w, unsigned pfn, unsigned cmd);
uint64_t world_pte(struct world *w, unsigned pfn);

/** world_entry() - a page-table entry that maps page @pfn with @bits. */
static inline uint64_t world_entry(const struct world *w, unsigned pfn, uint64_t bits)
{
	return w->p2m[pfn] << PAGE_SHIFT | bits;
}

/** world_call() - execute hypercall @nr through the dispatcher, as often as it is continued. */
long world_call(struct world *w, unsigned nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
/** world_restarts - continuations of the last world_call(). */
extern unsigned world_restarts;

/** One mmu_update, one mmuext_op, one update_va_mapping. */
long world_mmu_update(struct world *w, uint64_t ptr, uint64_t val);
long world_mmuext(struct world *w, unsigned cmd, uint64_t arg1, uint64_t arg2);
long world_va_mapping(struct world *w, uint64_t va, uint64_t val, uint64_t flags);
/** world_protect() - map page @pfn writable or read-only (or not at all with @bits 0). */
long world_protect(struct world *w, unsigned pfn, uint64_t bits);

#define PTE_RO (PTE_P | PTE_US | PTE_A | PTE_D)
#define PTE_WR (PTE_RO | PTE_RW)

#endif
