/* SPDX-License-Identifier: MIT */
/*
 * XENMEM_exchange: give back frames and get others, for memory that is contiguous or below an
 * address. It goes in chunks of the larger of the two extent sizes, each wholly checked and
 * allocated before anything changes hands.
 */
#include "xenopus/hypercall.h"
#include <xen/memory.h>

#include "frame.h"

#define EXCHANGE_MAX_ORDER 9u

/* May frame @n be taken away? Only when nothing but the domain's own allocation refers to it. */
static bool takeable(const struct domain *d, uint64_t n)
{
	const struct frame *f = frame_of(MFN(n));

	return f && frame_owner(f) == d && f->kind == FK_DOMAIN && (f->flags & FF_ALLOC) &&
	       f->count == 1 && !f->type_count;
}

struct chunk {
	unsigned in_extents, out_extents;
	uint64_t in[1u << EXCHANGE_MAX_ORDER], out[1u << EXCHANGE_MAX_ORDER],
		gpfn[1u << EXCHANGE_MAX_ORDER];
};

static int check_in(const struct domain *d, const struct chunk *c, unsigned order)
{
	for (unsigned i = 0; i < c->in_extents; i++) {
		for (uint64_t j = 0; j < UINT64_C(1) << order; j++)
			if (c->in[i] + j < c->in[i] || !takeable(d, c->in[i] + j))
				return -XEN_EINVAL;
		for (unsigned k = 0; k < i; k++) /* extents of one chunk must be different frames */
			if (c->in[k] < c->in[i] + (UINT64_C(1) << order) &&
			    c->in[i] < c->in[k] + (UINT64_C(1) << order))
				return -XEN_EINVAL;
	}
	return 0;
}

static void free_block(uint64_t n, unsigned order)
{
	for (uint64_t j = n; j < n + (UINT64_C(1) << order); j++)
		buddy_free(j);
}

static int alloc_out(struct chunk *c, unsigned order, uint64_t limit)
{
	for (unsigned i = 0; i < c->out_extents; i++) {
		c->out[i] = buddy_alloc(order, limit);
		if (c->out[i])
			continue;
		while (i--)
			free_block(c->out[i], order);
		return -XEN_ENOMEM;
	}
	return 0;
}

static int one_chunk(struct vcpu *v, struct chunk *c, const struct xen_memory_exchange *x,
		     uint64_t done_pages)
{
	struct domain *d = v->domain;
	unsigned in_order = x->in.extent_order, out_order = x->out.extent_order;
	uint64_t out_va = (uint64_t)(uintptr_t)x->out.extent_start.p +
			  (done_pages >> out_order) * sizeof(xen_pfn_t);
	int rc;

	if (guest_copy_from(v, c->in,
			    (uint64_t)(uintptr_t)x->in.extent_start.p +
				    (done_pages >> in_order) * sizeof(xen_pfn_t),
			    c->in_extents * sizeof(c->in[0])) ||
	    guest_copy_from(v, c->gpfn, out_va, c->out_extents * sizeof(c->gpfn[0])))
		return -XEN_EFAULT;
	rc = check_in(d, c, in_order);
	if (!rc)
		rc = alloc_out(c, out_order, memory_frame_limit(x->out.mem_flags));
	if (rc)
		return rc;
	/* The list takes the answer before the exchange, so that a list that cannot be written
	 * changes nothing. */
	if (guest_copy_to(v, out_va, c->out, c->out_extents * sizeof(c->out[0]))) {
		for (unsigned i = 0; i < c->out_extents; i++)
			free_block(c->out[i], out_order);
		return -XEN_EFAULT;
	}
	for (unsigned i = 0; i < c->in_extents; i++)
		for (uint64_t j = 0; j < UINT64_C(1) << in_order; j++)
			frame_surrender(frame_at(c->in[i] + j));
	for (unsigned i = 0; i < c->out_extents; i++) {
		frame_assign(d, c->out[i], out_order);
		for (uint64_t j = 0; j < UINT64_C(1) << out_order; j++)
			m2p_set(MFN(c->out[i] + j), c->gpfn[i] + j);
	}
	return 0;
}

static int check_sizes(struct domain *d, const struct xen_memory_exchange *x)
{
	const struct xen_memory_reservation *in = &x->in, *out = &x->out;
	int rc;

	if (in->domid != out->domid)
		return -XEN_EINVAL;
	rc = mm_foreign_ok(d, in->domid);
	if (rc)
		return rc;
	if (in->extent_order > EXCHANGE_MAX_ORDER || out->extent_order > EXCHANGE_MAX_ORDER)
		return -XEN_EPERM;
	if (in->nr_extents > nr_frames || out->nr_extents > nr_frames ||
	    x->nr_exchanged > in->nr_extents ||
	    in->nr_extents << in->extent_order != out->nr_extents << out->extent_order)
		return -XEN_EINVAL;
	return 0;
}

long memory_exchange(struct vcpu *v, uint64_t arg)
{
	struct xen_memory_exchange x;
	unsigned order;
	uint64_t per_chunk;
	struct chunk *c;
	int rc;

	if (guest_copy_from(v, &x, arg, sizeof(x)))
		return -XEN_EFAULT;
	rc = check_sizes(v->domain, &x);
	if (rc)
		return rc;
	order = max_t(unsigned, x.in.extent_order, x.out.extent_order);
	per_chunk = UINT64_C(1) << (order - x.in.extent_order);
	if ((x.in.nr_extents | x.nr_exchanged) & (per_chunk - 1))
		return -XEN_EINVAL;
	c = heap_alloc(sizeof(*c));
	if (!c)
		return -XEN_ENOMEM;
	c->in_extents = (unsigned)per_chunk;
	c->out_extents = 1u << (order - x.out.extent_order);
	for (bool first = true; x.nr_exchanged < x.in.nr_extents && !rc; first = false) {
		if (!first && hypercall_preempt())
			rc = -XEN_ERESTART; /* nr_exchanged in the guest's structure tells where to
					       go on */
		else
			rc = one_chunk(v, c, &x, x.nr_exchanged << x.in.extent_order);
		if (!rc)
			x.nr_exchanged += per_chunk;
	}
	heap_free(c);
	if (guest_copy_to(v, arg + offsetof(struct xen_memory_exchange, nr_exchanged),
			  &x.nr_exchanged, sizeof(x.nr_exchanged)))
		rc = -XEN_EFAULT;
	return rc;
}
