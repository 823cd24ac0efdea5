/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_event_channel_op: copy the arguments in, check who may do what to whom, call bind.c or
 * channel.c, copy the result out. A result that cannot be copied out is undone, so a guest never
 * owns a port it was not told about.
 */
#include <xenopus/hypercall.h>
#include "evtchn.h"

/* The domain a guest names; unprivileged guests may only name themselves. */
static int own_domain(struct vcpu *v, domid_t id, struct domain **out)
{
	struct domain *d = domain_by_id(id, v->domain);

	if (!d)
		return -XEN_ESRCH;
	if (d != v->domain)
		return -XEN_EPERM;
	*out = d;
	return 0;
}

/* Report a new port (or an error) to the guest. */
static long give_port(struct vcpu *v, int port, uint64_t va, const void *arg, size_t size)
{
	if (port < 0)
		return port;
	if (guest_copy_to(v, va, arg, size)) {
		evtchn_close(v->domain, (uint32_t)port);
		return -XEN_EFAULT;
	}
	return 0;
}

static long op_alloc_unbound(struct vcpu *v, uint64_t va)
{
	struct evtchn_alloc_unbound op;
	struct domain *d;
	int port;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	port = own_domain(v, op.dom, &d);
	if (port)
		return port;
	port = evtchn_alloc_unbound(d, op.remote_dom == DOMID_SELF ? d->id : op.remote_dom);
	op.port = (uint32_t)port;
	return give_port(v, port, va, &op, sizeof(op));
}

static long op_bind_interdomain(struct vcpu *v, uint64_t va)
{
	struct evtchn_bind_interdomain op;
	struct domain *rd;
	int port;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	rd = domain_by_id(op.remote_dom, v->domain);
	if (!rd || !READ_ONCE(rd->event.table))
		return -XEN_ESRCH;
	port = evtchn_bind_interdomain(v->domain, rd, op.remote_port);
	op.local_port = (uint32_t)port;
	return give_port(v, port, va, &op, sizeof(op));
}

static long op_bind_virq(struct vcpu *v, uint64_t va)
{
	struct evtchn_bind_virq op;
	int port;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	port = evtchn_bind_virq(v->domain, op.virq, op.vcpu);
	op.port = (uint32_t)port;
	return give_port(v, port, va, &op, sizeof(op));
}

static long op_bind_ipi(struct vcpu *v, uint64_t va)
{
	struct evtchn_bind_ipi op;
	int port;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	port = evtchn_bind_ipi(v->domain, op.vcpu);
	op.port = (uint32_t)port;
	return give_port(v, port, va, &op, sizeof(op));
}

static int status(struct domain *d, struct evtchn_status *op)
{
	const struct evtchn *c = evtchn_lookup(d, op->port);

	if (!c)
		return -XEN_EINVAL;
	switch (c->state) {
	case ECS_UNBOUND:
		op->status = EVTCHNSTAT_unbound;
		op->u.unbound.dom = c->u.unbound_for;
		break;
	case ECS_INTERDOMAIN:
		op->status = EVTCHNSTAT_interdomain;
		op->u.interdomain.dom = c->u.remote.domain->id;
		op->u.interdomain.port = c->u.remote.port;
		break;
	case ECS_CORE:
		/* To the guest, the core's back-ends live in domain 0. */
		op->status = EVTCHNSTAT_interdomain;
		op->u.interdomain.dom = 0;
		op->u.interdomain.port = c->port;
		break;
	case ECS_VIRQ:
		op->status = EVTCHNSTAT_virq;
		op->u.virq = c->u.virq;
		break;
	case ECS_IPI:
		op->status = EVTCHNSTAT_ipi;
		break;
	default:
		op->status = EVTCHNSTAT_closed;
		break;
	}
	op->vcpu = c->notify_vcpu;
	return 0;
}

static long op_status(struct vcpu *v, uint64_t va)
{
	struct evtchn_status op;
	struct domain *d;
	int rc;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	rc = own_domain(v, op.dom, &d);
	if (rc)
		return rc;
	evtchn_lock(d);
	rc = status(d, &op);
	evtchn_unlock(d);
	if (rc)
		return rc;
	return guest_copy_to(v, va, &op, sizeof(op)) ? -XEN_EFAULT : 0;
}

static long op_bind_vcpu(struct vcpu *v, uint64_t va)
{
	struct evtchn_bind_vcpu op;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	return evtchn_bind_vcpu(v->domain, op.port, op.vcpu);
}

/* close, send and unmask: structures of one port. */
static long op_on_port(struct vcpu *v, uint64_t va, int (*fn)(struct domain *d, uint32_t port))
{
	evtchn_port_t port;

	if (guest_copy_from(v, &port, va, sizeof(port)))
		return -XEN_EFAULT;
	return fn(v->domain, port);
}

static long op_reset(struct vcpu *v, uint64_t va)
{
	struct evtchn_reset op;
	struct domain *d;
	int rc;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	rc = own_domain(v, op.dom, &d);
	return rc ? rc : evtchn_reset(d);
}

static long op_init_control(struct vcpu *v, uint64_t va)
{
	struct evtchn_init_control op;
	int rc;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	/*
	 * What we have to tell is known beforehand: tell it first, then there is nothing to undo.
	 */
	op.link_bits = EVTCHN_FIFO_LINK_BITS;
	if (guest_copy_to(v, va, &op, sizeof(op)))
		return -XEN_EFAULT;
	rc = fifo_init_control(v->domain, op.vcpu, MFN(op.control_gfn), op.offset);
	return rc;
}

static long op_expand_array(struct vcpu *v, uint64_t va)
{
	struct evtchn_expand_array op;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	return fifo_expand_array(v->domain, MFN(op.array_gfn));
}

static int set_priority(struct domain *d, const struct evtchn_set_priority *op)
{
	struct evtchn *c = evtchn_lookup(d, op->port);

	if (!c || c->state <= ECS_RESERVED)
		return -XEN_EINVAL;
	if (!d->event.table->fifo)
		return -XEN_ENOSYS; /* the two-level ABI knows no priorities */
	if (op->priority > EVTCHN_FIFO_PRIORITY_MIN)
		return -XEN_EINVAL;
	c->priority = (uint8_t)op->priority; /* from the next event on */
	return 0;
}

static long op_set_priority(struct vcpu *v, uint64_t va)
{
	struct evtchn_set_priority op;
	int rc;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	evtchn_lock(v->domain);
	rc = set_priority(v->domain, &op);
	evtchn_unlock(v->domain);
	return rc;
}

long do_event_channel_op(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t va = a->arg[1];

	switch (a->arg[0]) {
	case EVTCHNOP_alloc_unbound:
		return op_alloc_unbound(v, va);
	case EVTCHNOP_bind_interdomain:
		return op_bind_interdomain(v, va);
	case EVTCHNOP_bind_virq:
		return op_bind_virq(v, va);
	case EVTCHNOP_bind_ipi:
		return op_bind_ipi(v, va);
	case EVTCHNOP_bind_pirq:
		return -XEN_EPERM; /* no domain has been given physical interrupts */
	case EVTCHNOP_close:
		return op_on_port(v, va, evtchn_close);
	case EVTCHNOP_send:
		return op_on_port(v, va, evtchn_send);
	case EVTCHNOP_unmask:
		return op_on_port(v, va, evtchn_unmask);
	case EVTCHNOP_status:
		return op_status(v, va);
	case EVTCHNOP_bind_vcpu:
		return op_bind_vcpu(v, va);
	case EVTCHNOP_reset:
		return op_reset(v, va);
	case EVTCHNOP_init_control:
		return op_init_control(v, va);
	case EVTCHNOP_expand_array:
		return op_expand_array(v, va);
	case EVTCHNOP_set_priority:
		return op_set_priority(v, va);
	default:
		return -XEN_ENOSYS;
	}
}
