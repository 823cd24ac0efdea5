/* SPDX-License-Identifier: MIT */
/*
 * How channels come to be and cease: the EVTCHNOP_ binds, close and reset. Each function checks
 * everything first and then cannot fail. The two ends of an interdomain channel always name each
 * other.
 */
#include "evtchn.h"

/* Per-vcpu interrupts; all others are global: bound on vcpu 0, but their events may go anywhere. */
static bool virq_is_global(uint32_t virq)
{
	return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF &&
	       virq != VIRQ_XENPMU;
}

int evtchn_alloc_unbound(struct domain *d, domid_t remote)
{
	struct evtchn *c;
	int rc;

	evtchn_lock(d);
	rc = evtchn_alloc(d, &c);
	if (!rc) {
		c->state = ECS_UNBOUND;
		c->u.unbound_for = remote;
		rc = (int)c->port;
	}
	evtchn_unlock(d);
	return rc;
}

static int bind_interdomain(struct domain *d, struct domain *rd, uint32_t remote_port)
{
	struct evtchn *local, *remote = evtchn_lookup(rd, remote_port);
	int rc;

	if (!remote || remote->state != ECS_UNBOUND || remote->u.unbound_for != d->id)
		return -XEN_EINVAL;
	rc = evtchn_alloc(d, &local);
	if (rc)
		return rc;
	local->state = ECS_INTERDOMAIN;
	local->u.remote.domain = rd;
	local->u.remote.port = remote_port;
	remote->state = ECS_INTERDOMAIN;
	remote->u.remote.domain = d;
	remote->u.remote.port = local->port;
	/* The remote end may have sent before anyone was here. */
	evtchn_set_pending(d, local);
	return (int)local->port;
}

int evtchn_bind_interdomain(struct domain *d, struct domain *rd, uint32_t remote_port)
{
	int rc;

	spin_lock_two(&d->event.lock, &rd->event.lock, LOCK_EVENT);
	rc = bind_interdomain(d, rd, remote_port);
	evtchn_unlock_ends(d, rd);
	return rc;
}

static void attach_core(struct evtchn *c, evtchn_notify_fn *notify, void *data)
{
	ASSERT(notify);
	c->state = ECS_CORE;
	c->u.core.notify = notify;
	c->u.core.data = data;
}

int evtchn_bind_core(struct domain *d, evtchn_notify_fn *notify, void *data)
{
	struct evtchn *c;
	int rc;

	evtchn_lock(d);
	rc = evtchn_alloc(d, &c);
	if (!rc) {
		attach_core(c, notify, data);
		rc = (int)c->port;
	}
	evtchn_unlock(d);
	return rc;
}

int evtchn_bind_core_port(struct domain *d, uint32_t port, evtchn_notify_fn *notify, void *data)
{
	struct evtchn *c;
	int rc = -XEN_EINVAL;

	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	if (c && c->state == ECS_UNBOUND && c->u.unbound_for == 0) {
		attach_core(c, notify, data);
		rc = 0;
	}
	evtchn_unlock(d);
	return rc;
}

void evtchn_unbind_core(struct domain *d, uint32_t port)
{
	struct evtchn *c;

	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	if (c && c->state == ECS_CORE) {
		c->state = ECS_UNBOUND;
		c->u.unbound_for = 0;
	}
	evtchn_unlock(d);
}

static int bind_virq(struct domain *d, struct vcpu *v, uint32_t virq)
{
	struct evtchn *c;
	int rc;

	if (v->event.virq_port[virq])
		return -XEN_EEXIST;
	rc = evtchn_alloc(d, &c);
	if (rc)
		return rc;
	c->state = ECS_VIRQ;
	c->notify_vcpu = (uint16_t)v->id;
	c->u.virq = virq;
	WRITE_ONCE(v->event.virq_port[virq], c->port);
	return (int)c->port;
}

int evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu)
{
	struct vcpu *v;
	int rc;

	if (virq >= EVTCHN_NR_VIRQS)
		return -XEN_EINVAL;
	if (virq_is_global(virq) && vcpu != 0)
		return -XEN_EINVAL;
	v = evtchn_vcpu(d, vcpu);
	if (!v)
		return -XEN_ENOENT;
	evtchn_lock(d);
	rc = bind_virq(d, v, virq);
	evtchn_unlock(d);
	if (rc > 0 && virq == VIRQ_TIMER)
		time_timer_bound(v);
	return rc;
}

int evtchn_bind_ipi(struct domain *d, uint32_t vcpu)
{
	struct evtchn *c;
	int rc;

	if (!evtchn_vcpu(d, vcpu))
		return -XEN_ENOENT;
	evtchn_lock(d);
	rc = evtchn_alloc(d, &c);
	if (!rc) {
		c->state = ECS_IPI;
		c->notify_vcpu = (uint16_t)vcpu;
		rc = (int)c->port;
	}
	evtchn_unlock(d);
	return rc;
}

static bool may_move(const struct evtchn *c)
{
	switch (c->state) {
	case ECS_VIRQ:
		return virq_is_global(c->u.virq);
	case ECS_UNBOUND:
	case ECS_INTERDOMAIN:
	case ECS_CORE:
		return true;
	default:
		return false;
	}
}

int evtchn_bind_vcpu(struct domain *d, uint32_t port, uint32_t vcpu)
{
	struct evtchn *c;
	int rc = -XEN_EINVAL;

	if (!evtchn_vcpu(d, vcpu))
		return -XEN_ENOENT;
	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	if (c && may_move(c)) {
		c->notify_vcpu = (uint16_t)vcpu;
		rc = 0;
	}
	evtchn_unlock(d);
	return rc;
}

int evtchn_close(struct domain *d, uint32_t port)
{
	struct domain *rd = evtchn_lock_ends(d, port);
	struct evtchn *c = evtchn_lookup(d, port), *peer;
	struct vcpu *v;
	int rc = -XEN_EINVAL;

	if (!c || c->state <= ECS_RESERVED)
		goto out;
	if (c->state == ECS_VIRQ) {
		/* A global one is remembered on vcpu 0, wherever its events go. */
		v = d->vcpu[virq_is_global(c->u.virq) ? 0 : c->notify_vcpu];
		if (v)
			WRITE_ONCE(v->event.virq_port[c->u.virq], 0);
	} else if (c->state == ECS_INTERDOMAIN) {
		peer = evtchn_lookup(rd, c->u.remote.port);
		ASSERT(peer && peer->state == ECS_INTERDOMAIN && peer->u.remote.domain == d &&
		       peer->u.remote.port == port);
		peer->state = ECS_UNBOUND;
		peer->u.unbound_for = d->id;
	}
	evtchn_free(d, c);
	rc = 0;
out:
	evtchn_unlock_ends(d, rd);
	return rc;
}

int evtchn_reset(struct domain *d)
{
	uint32_t port;

	for (port = 1; port < READ_ONCE(d->event.table->buckets) * EVTCHN_PER_BUCKET; port++)
		evtchn_close(d, port); /* or it is closed already */
	evtchn_lock(d);
	fifo_destroy(d); /* back to the two-level ABI */
	evtchn_unlock(d);
	return 0;
}
