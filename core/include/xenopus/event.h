/* SPDX-License-Identifier: MIT */
/*
 * Event channels, two-level and FIFO: one bit per source, a callback, a mask the guest may hold
 * like an interrupt flag (paper, 3.1). Owned by core/event.
 */
#ifndef XENOPUS_EVENT_H
#define XENOPUS_EVENT_H

#include "types.h"
#include "lock.h"

#define EVTCHN_NR_VIRQS 24

struct evtchn_table; /* core/event */

/** struct domain_event - @lock guards the table, every port in it and the FIFO queues. */
struct domain_event {
	struct spinlock lock;
	struct evtchn_table *table;
};

struct vcpu_event {
	uint32_t virq_port[EVTCHN_NR_VIRQS]; /* 0: unbound */
	struct vcpu_info *dummy; /* where events go while no vcpu_info is placed */
	void *info_page;         /* the guest page vcpu_info was placed in, NULL: none */
	void *fifo;              /* FIFO queues (core/event/fifo.c), NULL: two-level */
};

int domain_event_init(struct domain *d);
void domain_event_destroy(struct domain *d);
/** vcpu_event_init() - after domain_event_init() and domain_mm_init(): sets v->gate.vcpu_info. */
int vcpu_event_init(struct vcpu *v);
void vcpu_event_destroy(struct vcpu *v);

/**
 * evtchn_alloc_unbound() - a port of @d that @remote may bind (the builder's console and store
 * ports). Returns the port (> 0) or -errno. For ports whose other end is the core itself use
 * evtchn_bind_core(): @notify(d, port, data) runs when the guest sends on it. When the guest closes
 * the port, that end is gone: no more notifications, and evtchn_notify_guest() on it does nothing.
 * 0, or -XEN_ERESTART: there is more to do than a hypercall may take time for, notify again.
 */
typedef int evtchn_notify_fn(struct domain *d, uint32_t port, void *data);
int evtchn_alloc_unbound(struct domain *d, domid_t remote);
int evtchn_bind_core(struct domain *d, evtchn_notify_fn *notify, void *data);

/** evtchn_bind_core_port() - the core takes the other end of @port, which @d left unbound for 0. */
int evtchn_bind_core_port(struct domain *d, uint32_t port, evtchn_notify_fn *notify, void *data);

/** evtchn_unbind_core() - give up the core's end: @port is unbound again, for domain 0. */
void evtchn_unbind_core(struct domain *d, uint32_t port);

/** evtchn_notify_guest() - the core's end of @port raises the event in @d. */
void evtchn_notify_guest(struct domain *d, uint32_t port);

/**
 * evtchn_raise_virq() - VIRQ_* for @v (or of @d's vcpu bound to it, for global ones: v = vcpu 0).
 */
void evtchn_raise_virq(struct vcpu *v, unsigned virq);

/** vcpu_upcall_pending() - pending and not masked: @v must enter its event callback. */
bool vcpu_upcall_pending(const struct vcpu *v);

/** evtchn_port_pending() - is @port's pending bit set? (SCHEDOP_poll). */
bool evtchn_port_pending(struct domain *d, uint32_t port);
/** evtchn_port_usable() - does @d have a bound or unbound channel at @port? */
bool evtchn_port_usable(struct domain *d, uint32_t port);

/**
 * evtchn_poll_begin() - @v waits for @port, or POLL_SEVERAL, until somebody sets v->sched.poll_port to 0 (vcpu_unblock());
 * evtchn_poll_end() - @v goes away.
 */
void evtchn_poll_begin(struct vcpu *v, uint32_t port);
void evtchn_poll_end(struct vcpu *v);

/**
 * vcpu_info_register() - VCPUOP_register_vcpu_info: move vcpu_info into guest frame @mfn at
 * @offset.
 */
int vcpu_info_register(struct vcpu *v, mfn_t mfn, unsigned offset);
/** vcpu_info_placed() - does @v have a real vcpu_info (in shared_info or registered)? */
bool vcpu_info_placed(const struct vcpu *v);

#endif
