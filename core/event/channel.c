/* SPDX-License-Identifier: MIT */
/*
 * The table of a domain's event channels, and what happens to a channel whichever way it is bound:
 * raise, unmask, send. How a pending channel is shown to the guest is the business of twolevel.c or
 * fifo.c.
 */
#include "evtchn.h"

/* The domain at the other end of @port, @d itself when there is none. */
static struct domain *other_end(struct domain *d, uint32_t port)
{
	const struct evtchn *c = evtchn_lookup(d, port);

	return c && c->state == ECS_INTERDOMAIN ? c->u.remote.domain : d;
}

/* A domain seen at the other end stays while we look: nobody frees one before this CPU came round its loop. */
struct domain *evtchn_lock_ends(struct domain *d, uint32_t port)
{
	struct domain *rd;

	evtchn_lock(d);
	rd = other_end(d, port);
	while (rd != d) {
		struct domain *want = rd;

		evtchn_unlock(d);
		spin_lock_two(&d->event.lock, &want->event.lock, LOCK_EVENT);
		rd = other_end(d, port);
		if (rd == want)
			return rd;
		evtchn_unlock_ends(d, want);
		evtchn_lock(d);
		rd = other_end(d, port);
	}
	return d;
}

void evtchn_unlock_ends(struct domain *d, struct domain *other)
{
	spin_unlock_two(&d->event.lock, &other->event.lock, LOCK_EVENT);
}

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
	evtchn_lock(d);
	d->event.table = NULL;
	evtchn_unlock(d);
	for (i = 0; i < t->buckets; i++)
		heap_free(t->bucket[i]);
	heap_free(t);
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

	if (READ_ONCE(d->state) == DOM_DYING)
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
	if (READ_ONCE(d->state) == DOM_DYING || !d->vcpu[c->notify_vcpu])
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

static bool in_use(const struct evtchn *c)
{
	return c && c->state > ECS_RESERVED;
}

bool evtchn_port_usable(struct domain *d, uint32_t port)
{
	bool usable;

	evtchn_lock(d);
	usable = in_use(evtchn_lookup(d, port));
	evtchn_unlock(d);
	return usable;
}

bool evtchn_port_pending(struct domain *d, uint32_t port)
{
	struct evtchn *c;
	bool pending;

	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	pending = in_use(c) && evtchn_is_pending(d, c);
	evtchn_unlock(d);
	return pending;
}

int evtchn_unmask(struct domain *d, uint32_t port)
{
	struct evtchn *c;
	int rc = -XEN_EINVAL;

	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	if (in_use(c)) {
		rc = 0;
		if (d->event.table->fifo)
			fifo_unmask(d, c);
		else
			twolevel_unmask(d, c);
	}
	evtchn_unlock(d);
	return rc;
}

int evtchn_send(struct domain *d, uint32_t port)
{
	struct domain *rd = evtchn_lock_ends(d, port);
	struct evtchn *c = evtchn_lookup(d, port);
	evtchn_notify_fn *notify = NULL;
	void *data = NULL;
	int rc = 0;

	switch (c ? (enum evtchn_state)c->state : ECS_FREE) {
	case ECS_CORE:
		notify = c->u.core.notify;
		data = c->u.core.data;
		break;
	case ECS_INTERDOMAIN:
		evtchn_set_pending(rd, evtchn_lookup(rd, c->u.remote.port));
		break;
	case ECS_IPI:
		evtchn_set_pending(d, c);
		break;
	case ECS_UNBOUND:
		break; /* nobody there to hear it; whoever binds finds the port pending */
	default:
		rc = -XEN_EINVAL;
		break;
	}
	evtchn_unlock_ends(d, rd);
	if (notify) /* takes locks of its own, and may well answer by an event */
		rc = notify(d, port, data);
	return rc;
}

void evtchn_notify_guest(struct domain *d, uint32_t port)
{
	struct evtchn *c;

	evtchn_lock(d);
	c = evtchn_lookup(d, port);
	if (c && c->state == ECS_CORE)
		evtchn_set_pending(d, c);
	evtchn_unlock(d);
}

void evtchn_raise_virq(struct vcpu *v, unsigned virq)
{
	struct domain *d = v->domain;
	uint32_t port;

	ASSERT(virq < EVTCHN_NR_VIRQS);
	evtchn_lock(d);
	port = v->event.virq_port[virq];
	if (port)
		evtchn_set_pending(d, evtchn_lookup(d, port));
	evtchn_unlock(d);
}

/* ---- SCHEDOP_poll ---- */

/*
 * A poll ends by whoever takes v->sched.poll_port away, from anywhere and without a lock; the bit in @pollers only says that
 * looking there may be worth it. It is taken away where it is set, with the lock held, so that the end of one poll, noticed
 * late, cannot hide the next.
 */
void evtchn_poll_begin(struct vcpu *v, uint32_t port)
{
	evtchn_lock(v->domain);
	__atomic_store_n(&v->sched.poll_port, port, __ATOMIC_SEQ_CST);
	v->domain->event.table->pollers |= UINT64_C(1) << v->id;
	evtchn_unlock(v->domain);
}

void evtchn_poll_end(struct vcpu *v)
{
	evtchn_lock(v->domain);
	__atomic_store_n(&v->sched.poll_port, 0, __ATOMIC_SEQ_CST);
	v->domain->event.table->pollers &= ~(UINT64_C(1) << v->id);
	evtchn_unlock(v->domain);
}

/*
 * @port became pending: wake whoever polls for it. Several ports are not remembered: wake those
 * pollers too.
 */
void evtchn_check_pollers(struct domain *d, uint32_t port)
{
	uint64_t left = d->event.table->pollers;

	while (left) {
		unsigned id = (unsigned)__builtin_ctzll(left);
		struct vcpu *v = d->vcpu[id];
		uint32_t polls = __atomic_load_n(&v->sched.poll_port, __ATOMIC_SEQ_CST);

		left &= left - 1;
		if (!polls)
			d->event.table->pollers &= ~(UINT64_C(1) << id);
		else if (polls == port || polls == POLL_SEVERAL)
			vcpu_unblock(v); /* ends the poll */
	}
}
