/* SPDX-License-Identifier: MIT */
/*
 * The table of a domain's event channels, and what happens to a channel whichever way it is bound:
 * raise, unmask, send. How a pending channel is shown to the guest is the business of twolevel.c or
 * fifo.c.
 */
#include "evtchn.h"

struct evtchn *evtchn_lookup(const struct domain *d, uint32_t port)
{
	const struct evtchn_table *t = d->event.table;

	if (!t || port >= t->buckets * EVTCHN_PER_BUCKET)
		return NULL;
	return &t->bucket[port / EVTCHN_PER_BUCKET][port % EVTCHN_PER_BUCKET];
}

struct vcpu *evtchn_vcpu(const struct domain *d, uint32_t id)
{
	return id < d->max_vcpus && id < MAX_VCPUS ? d->vcpu[id] : NULL;
}

static int add_bucket(struct evtchn_table *t)
{
	struct evtchn *b;
	unsigned i;

	if (t->buckets == EVTCHN_BUCKETS)
		return -XEN_ENOSPC;
	b = heap_alloc(EVTCHN_PER_BUCKET * sizeof(*b));
	if (!b)
		return -XEN_ENOMEM;
	for (i = 0; i < EVTCHN_PER_BUCKET; i++)
		b[i].port = t->buckets * EVTCHN_PER_BUCKET + i;
	t->bucket[t->buckets++] = b;
	return 0;
}

int domain_event_init(struct domain *d)
{
	struct evtchn_table *t = heap_alloc(sizeof(*t));
	int rc;

	if (!t)
		return -XEN_ENOMEM;
	rc = add_bucket(t);
	if (rc) {
		heap_free(t);
		return rc;
	}
	t->bucket[0][0].state = ECS_RESERVED;
	t->lowest = 1;
	d->event.table = t;
	return 0;
}

void domain_event_destroy(struct domain *d)
{
	struct evtchn_table *t = d->event.table;
	unsigned i;

	if (!t)
		return;
	evtchn_reset(d); /* peers must not keep a pointer to this domain */
	for (i = 0; i < t->buckets; i++)
		heap_free(t->bucket[i]);
	heap_free(t);
	d->event.table = NULL;
}

/*
 * The lowest free port. A port whose event word is still linked into a FIFO queue of the guest is
 * not reused: its first event would come on the old queue's virtual CPU and priority.
 */
int evtchn_alloc(struct domain *d, struct evtchn **out)
{
	struct evtchn_table *t = d->event.table;
	bool all_taken = true;
	uint32_t port;
	int rc;

	if (d->state == DOM_DYING)
		return -XEN_EINVAL;
	for (port = t->lowest;; port++) {
		struct evtchn *c;

		if (port >= t->buckets * EVTCHN_PER_BUCKET) {
			rc = add_bucket(t);
			if (rc)
				return rc;
		}
		c = evtchn_lookup(d, port);
		if (c->state != ECS_FREE)
			continue;
		if (t->fifo && fifo_is_linked(d, port)) {
			if (all_taken)
				t->lowest = port;
			all_taken = false;
			continue;
		}
		if (all_taken)
			t->lowest = port + 1;
		c->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
		c->notify_vcpu = 0;
		c->pending = false;
		*out = c;
		return 0;
	}
}

void evtchn_free(struct domain *d, struct evtchn *c)
{
	/* A leftover event would greet the port's next user. */
	if (d->event.table->fifo)
		fifo_clear_pending(d, c);
	else
		twolevel_clear_pending(d, c);
	c->state = ECS_FREE;
	c->pending = false;
	c->notify_vcpu = 0;
	if (c->port < d->event.table->lowest)
		d->event.table->lowest = c->port;
}

void evtchn_set_pending(struct domain *d, struct evtchn *c)
{
	if (d->state == DOM_DYING || !d->vcpu[c->notify_vcpu])
		return; /* being taken apart: nobody will look any more */
	if (d->event.table->fifo)
		fifo_set_pending(d, c);
	else
		twolevel_set_pending(d, c);
}

bool evtchn_is_pending(const struct domain *d, const struct evtchn *c)
{
	return d->event.table->fifo ? fifo_is_pending(d, c) : twolevel_is_pending(d, c);
}

bool evtchn_port_usable(struct domain *d, uint32_t port)
{
	struct evtchn *c = evtchn_lookup(d, port);

	return c && c->state > ECS_RESERVED;
}

bool evtchn_port_pending(struct domain *d, uint32_t port)
{
	return evtchn_port_usable(d, port) && evtchn_is_pending(d, evtchn_lookup(d, port));
}

int evtchn_unmask(struct domain *d, uint32_t port)
{
	struct evtchn *c = evtchn_lookup(d, port);

	if (!c || c->state <= ECS_RESERVED)
		return -XEN_EINVAL;
	if (d->event.table->fifo)
		fifo_unmask(d, c);
	else
		twolevel_unmask(d, c);
	return 0;
}

int evtchn_send(struct domain *d, uint32_t port)
{
	struct evtchn *c = evtchn_lookup(d, port), *rc;

	if (!c)
		return -XEN_EINVAL;
	switch (c->state) {
	case ECS_CORE:
		c->u.core.notify(d, port, c->u.core.data);
		return 0;
	case ECS_INTERDOMAIN:
		rc = evtchn_lookup(c->u.remote.domain, c->u.remote.port);
		evtchn_set_pending(c->u.remote.domain, rc);
		return 0;
	case ECS_IPI:
		evtchn_set_pending(d, c);
		return 0;
	case ECS_UNBOUND:
		return 0; /* nobody there to hear it; whoever binds finds the port pending */
	default:
		return -XEN_EINVAL;
	}
}

void evtchn_notify_guest(struct domain *d, uint32_t port)
{
	struct evtchn *c = evtchn_lookup(d, port);

	if (c && c->state == ECS_CORE)
		evtchn_set_pending(d, c);
}

void evtchn_raise_virq(struct vcpu *v, unsigned virq)
{
	uint32_t port;

	ASSERT(virq < EVTCHN_NR_VIRQS);
	port = v->event.virq_port[virq];
	if (port)
		evtchn_set_pending(v->domain, evtchn_lookup(v->domain, port));
}

/* ---- SCHEDOP_poll ---- */

void evtchn_poll_begin(struct vcpu *v)
{
	__atomic_fetch_or(&v->domain->event.table->pollers, UINT64_C(1) << v->id, __ATOMIC_SEQ_CST);
}

void evtchn_poll_end(struct vcpu *v)
{
	__atomic_fetch_and(&v->domain->event.table->pollers, ~(UINT64_C(1) << v->id),
			   __ATOMIC_SEQ_CST);
}

/*
 * @port became pending: wake whoever polls for it. Several ports are not remembered: wake those
 * pollers too.
 */
void evtchn_check_pollers(struct domain *d, uint32_t port)
{
	uint64_t left = __atomic_load_n(&d->event.table->pollers, __ATOMIC_SEQ_CST);

	while (left) {
		struct vcpu *v = d->vcpu[__builtin_ctzll(left)];

		left &= left - 1;
		if (v->sched.poll_port == port || v->sched.poll_port == POLL_SEVERAL)
			vcpu_unblock(v); /* ends the poll */
	}
}
