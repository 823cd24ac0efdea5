/* SPDX-License-Identifier: MIT */
/*
 * Event channels, two-level and FIFO: one bit per source, a callback, a mask the guest may hold like an
 * interrupt flag (paper, 3.1). Owned by core/event.
 */
#ifndef XENOPUS_EVENT_H
#define XENOPUS_EVENT_H

#include "types.h"

#define EVTCHN_NR_VIRQS 24

struct evtchn_table; /* core/event */

struct domain_event {
	struct evtchn_table *table;
};

struct vcpu_event {
	uint32_t virq_port[EVTCHN_NR_VIRQS]; /* 0: unbound */
	struct vcpu_info *dummy;             /* where events go while no vcpu_info is placed */
	void *fifo;                          /* FIFO control block, NULL: two-level */
};

int domain_event_init(struct domain *d);
void domain_event_destroy(struct domain *d);
int vcpu_event_init(struct vcpu *v);
void vcpu_event_destroy(struct vcpu *v);

/**
 * evtchn_alloc_unbound() - a port of @d that @remote may bind (the builder's console and store ports).
 * Returns the port (> 0) or -errno. For ports whose other end is the core itself use
 * evtchn_bind_core(): @notify(d, port, data) runs when the guest sends on it.
 */
int evtchn_alloc_unbound(struct domain *d, domid_t remote);
int evtchn_bind_core(struct domain *d, void (*notify)(struct domain *d, uint32_t port, void *data),
		     void *data);

/** evtchn_notify_guest() - the core's end of @port raises the event in @d. */
void evtchn_notify_guest(struct domain *d, uint32_t port);

/** evtchn_raise_virq() - VIRQ_* for @v (or of @d's vcpu bound to it, for global ones: v = vcpu 0). */
void evtchn_raise_virq(struct vcpu *v, unsigned virq);

/** vcpu_upcall_pending() - pending and not masked: @v must enter its event callback. */
bool vcpu_upcall_pending(const struct vcpu *v);

/** evtchn_port_pending() - is @port's pending bit set? (SCHEDOP_poll). */
bool evtchn_port_pending(struct domain *d, uint32_t port);

/** vcpu_info_register() - VCPUOP_register_vcpu_info: move vcpu_info into guest frame @mfn at @offset. */
int vcpu_info_register(struct vcpu *v, mfn_t mfn, unsigned offset);

#endif
