/* SPDX-License-Identifier: MIT */
/*
 * A small world for tests of hypercalls: the machine of testplat, the core started on it, and
 * domains with some memory mapped where their virtual CPUs' hypercall arguments can be.
 */
#ifndef XENOPUS_SMALLWORLD_H
#define XENOPUS_SMALLWORLD_H

#include "testplat.h"
#include "xenopus/hypercall.h"

#define SW_PAGES 64u                       /* data pages per domain */
#define SW_VA    UINT64_C(0x0000100000000) /* of the first one */
#define SW_ARGS  (SW_VA + (SW_PAGES - 1) * PAGE_SIZE) /* the last one is for arguments */

/**
 * smallworld_start() / smallworld_stop() - testplat plus core_init(); stop destroys all domains.
 */
void smallworld_start(void);
void smallworld_stop(void);
/** smallworld_start_on() - with @pcpus physical CPUs; tp.cpu says which one is at work. */
void smallworld_start_on(unsigned pcpus);

/**
 * sw_domain() - a domain with @vcpus virtual CPUs, all in kernel mode on page tables that map
 * SW_PAGES.
 */
struct domain *sw_domain(unsigned vcpus);
/** sw_destroy() - the end of @d, which smallworld_stop() otherwise sees to. */
void sw_destroy(struct domain *d);
/** sw_mfn() / sw_page() - data page @n of @d. */
mfn_t sw_mfn(struct domain *d, unsigned n);
void *sw_page(struct domain *d, unsigned n);
/** sw_entry_ma() - machine address of the page-table entry that maps data page @n of @d. */
uint64_t sw_entry_ma(struct domain *d, unsigned n);
/** sw_ptr() - the test's view of @va. */
void *sw_ptr(struct domain *d, uint64_t va);
/** sw_run() - make @v initialised, up and unpaused. */
void sw_run(struct vcpu *v);

/** sw_call() - a hypercall handler with up to three arguments. */
long sw_call(struct vcpu *v, hypercall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2);
/**
 * sw_op() - the common form: command and a structure, copied to SW_ARGS and, after the call, back.
 */
long sw_op(struct vcpu *v, hypercall_fn *fn, uint64_t cmd, void *arg, size_t size);
/** sw_vcpu_op() - likewise for vcpu_op, whose structure is the third argument. @arg may be NULL. */
long sw_vcpu_op(struct vcpu *v, uint64_t cmd, unsigned vcpu, void *arg, size_t size);

#endif
