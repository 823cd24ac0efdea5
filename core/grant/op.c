/* SPDX-License-Identifier: MIT */
/*
 * op.c - grant_table_op: the operations, each on one domain's own table or on a list of requests
 *
 * The operations that set a table up are complete. Those through which one domain reaches another's
 * frames (map, unmap, transfer, and the rest of the list) are not offered yet; their requests are
 * answered one by one, in the status field where a guest looks for it, and change nothing.
 */
#include "gnttab.h"

/* Whose table? Every domain sets up its own; nobody is privileged over another's. GNTST_*. */
static int16_t target(struct vcpu *v, domid_t id, struct domain **d)
{
	*d = domain_by_id(id, v->domain);
	if (!*d)
		return GNTST_bad_domain;
	return *d == v->domain ? GNTST_okay : GNTST_permission_denied;
}

#define COPY_STATUS(v, va, op)                                                   \
	(guest_copy_to(v, (va) + offsetof(__typeof__(op), status), &(op).status, \
		       sizeof((op).status))                                      \
		 ? -XEN_EFAULT                                                   \
		 : 0)

/* The numbers of the frames in @pages, into the guest's list. GNTST_*. */
static int16_t tell_frames(struct vcpu *v, uint64_t list, void *const *pages, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t frame = virt_to_mfn(pages[i]).n;

		if (guest_copy_to(v, list + i * sizeof(frame), &frame, sizeof(frame)))
			return GNTST_bad_virt_addr;
	}
	return GNTST_okay;
}

static long setup_table(struct vcpu *v, uint64_t va, uint32_t count)
{
	struct gnttab_setup_table op;
	struct domain *d;

	if (count != 1)
		return -XEN_EINVAL;
	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	op.status = target(v, op.dom, &d);
	if (op.status == GNTST_okay && gnttab_grow(d, op.nr_frames)) {
		dlog(v->domain, LOG_DEBUG, "grant table: no growth to %u frames (limit %u)",
		     op.nr_frames, GNTTAB_MAX_FRAMES);
		op.status = GNTST_general_error;
	}
	if (op.status == GNTST_okay)
		op.status =
			tell_frames(v, (uintptr_t)op.frame_list.p, d->grant->frames, op.nr_frames);
	return COPY_STATUS(v, va, op);
}

static long query_size(struct vcpu *v, uint64_t va, uint32_t count)
{
	struct gnttab_query_size op;
	struct domain *d;

	if (count != 1)
		return -XEN_EINVAL;
	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	op.status = target(v, op.dom, &d);
	if (op.status == GNTST_okay && !gnttab_get(d))
		op.status = GNTST_general_error;
	if (op.status == GNTST_okay) {
		op.nr_frames = d->grant->nr_frames;
		op.max_nr_frames = GNTTAB_MAX_FRAMES;
	}
	return guest_copy_to(v, va, &op, sizeof(op)) ? -XEN_EFAULT : 0;
}

static long set_version(struct vcpu *v, uint64_t va)
{
	struct gnttab_set_version op;
	long rc;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	rc = gnttab_set_version(v->domain, op.version);
	if (v->domain->grant)
		op.version = v->domain->grant->version;
	return guest_copy_to(v, va, &op, sizeof(op)) ? -XEN_EFAULT : rc;
}

static long get_version(struct vcpu *v, uint64_t va)
{
	struct gnttab_get_version op;
	struct domain *d;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	switch (target(v, op.dom, &d)) {
	case GNTST_bad_domain:
		return -XEN_ESRCH;
	case GNTST_permission_denied:
		return -XEN_EPERM;
	}
	if (!gnttab_get(d))
		return -XEN_ENOMEM;
	op.version = d->grant->version;
	return guest_copy_to(v, va + offsetof(__typeof__(op), version), &op.version,
			     sizeof(op.version))
		       ? -XEN_EFAULT
		       : 0;
}

static long get_status_frames(struct vcpu *v, uint64_t va, uint32_t count)
{
	struct gnttab_get_status_frames op;
	struct domain *d;

	if (count != 1)
		return -XEN_EINVAL;
	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	op.status = target(v, op.dom, &d);
	if (op.status == GNTST_okay) {
		struct domain_grant *gt = gnttab_get(d);

		if (!gt || gt->version != 2 || op.nr_frames > gt->nr_status)
			op.status = GNTST_general_error;
		else
			op.status = tell_frames(v, (uintptr_t)op.frame_list.p, gt->status,
						op.nr_frames);
	}
	return COPY_STATUS(v, va, op);
}

/* ---- lists of requests ---- */

static int16_t refuse_map(struct vcpu *v, const void *req)
{
	const struct gnttab_map_grant_ref *op = req;

	return domain_by_id(op->dom, v->domain) ? GNTST_general_error : GNTST_bad_domain;
}

/* Nothing was ever mapped, so no handle is one. */
static int16_t refuse_handle(struct vcpu *v, const void *req)
{
	return GNTST_bad_handle;
}

static int16_t refuse_transfer(struct vcpu *v, const void *req)
{
	const struct gnttab_transfer *op = req;

	return domain_by_id(op->domid, v->domain) ? GNTST_general_error : GNTST_bad_domain;
}

static int16_t refuse(struct vcpu *v, const void *req)
{
	return GNTST_general_error;
}

/* Operations on a list: how long a request is, where its status is, what becomes of one. */
static const struct list_op {
	uint32_t size, status;
	int16_t (*one)(struct vcpu *v, const void *req);
} list_ops[] = {
#define LIST_OP(name, fn)                                                                \
	{                                                                                \
		sizeof(struct gnttab_##name), offsetof(struct gnttab_##name, status), fn \
	}
	[GNTTABOP_map_grant_ref] = LIST_OP(map_grant_ref, refuse_map),
	[GNTTABOP_unmap_grant_ref] = LIST_OP(unmap_grant_ref, refuse_handle),
	[GNTTABOP_transfer] = LIST_OP(transfer, refuse_transfer),
	[GNTTABOP_copy] = LIST_OP(copy, refuse),
	[GNTTABOP_unmap_and_replace] = LIST_OP(unmap_and_replace, refuse_handle),
	[GNTTABOP_swap_grant_ref] = LIST_OP(swap_grant_ref, refuse),
};

static long run_list(struct vcpu *v, struct hypercall_args *a, const struct list_op *lop)
{
	union {
		struct gnttab_map_grant_ref map;
		struct gnttab_unmap_grant_ref unmap;
		struct gnttab_transfer transfer;
		struct gnttab_copy copy;
		struct gnttab_unmap_and_replace replace;
		struct gnttab_swap_grant_ref swap;
	} req;

	for (uint32_t left; (left = (uint32_t)a->arg[2]) > 0;) {
		int16_t status;

		if (guest_copy_from(v, &req, a->arg[1], lop->size))
			return -XEN_EFAULT;
		status = lop->one(v, &req);
		if (guest_copy_to(v, a->arg[1] + lop->status, &status, sizeof(status)))
			return -XEN_EFAULT;
		a->arg[1] += lop->size;
		a->arg[2] = left - 1;
		if (a->arg[2] && hypercall_preempt())
			return -XEN_ERESTART;
	}
	return 0;
}

/* No guest may name another domain yet, so the lock of its own is all it needs. */
static long grant_table_op(struct vcpu *v, struct hypercall_args *a)
{
	uint32_t cmd = (uint32_t)a->arg[0], count = (uint32_t)a->arg[2];

	if (count > INT32_MAX)
		return -XEN_EINVAL;
	switch (cmd) {
	case GNTTABOP_setup_table:
		return setup_table(v, a->arg[1], count);
	case GNTTABOP_query_size:
		return query_size(v, a->arg[1], count);
	case GNTTABOP_set_version:
		return set_version(v, a->arg[1]);
	case GNTTABOP_get_version:
		return get_version(v, a->arg[1]);
	case GNTTABOP_get_status_frames:
		return get_status_frames(v, a->arg[1], count);
	default:
		if (cmd >= ARRAY_SIZE(list_ops) || !list_ops[cmd].one)
			return -XEN_ENOSYS;
		return run_list(v, a, &list_ops[cmd]);
	}
}

long do_grant_table_op(struct vcpu *v, struct hypercall_args *a)
{
	long ret;

	spin_lock(&v->domain->grant_lock, LOCK_GRANT);
	ret = grant_table_op(v, a);
	spin_unlock(&v->domain->grant_lock, LOCK_GRANT);
	return ret;
}
