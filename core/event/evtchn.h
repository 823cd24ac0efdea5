/* SPDX-License-Identifier: MIT */
/*
 * What the files of core/event share: a channel, a domain's table of them, and the two ways
 * ("ABIs") in which a pending channel is shown to the guest.
 */
#ifndef XENOPUS_EVTCHN_H
#define XENOPUS_EVTCHN_H

#include <xenopus/domain.h>
#include <xen/event_channel.h>

/*
 * Ports per domain: what the two-level ABI can show, and a bound on a guest's use of the core's
 * heap.
 */
#define EVTCHN_MAX_PORTS  4096u
#define EVTCHN_PER_BUCKET 128u
#define EVTCHN_BUCKETS    (EVTCHN_MAX_PORTS / EVTCHN_PER_BUCKET)

enum evtchn_state {
	ECS_FREE,
	ECS_RESERVED, /* port 0 */
	ECS_UNBOUND,
	ECS_INTERDOMAIN,
	ECS_VIRQ,
	ECS_IPI,
	ECS_CORE, /* the other end is in the core */
};

/**
 * struct evtchn - one port
 * @notify_vcpu: the virtual CPU its events go to
 * @priority: FIFO queue it goes to next
 * @last_vcpu, @last_priority: FIFO queue it was linked into last
 * @pending: raised while its FIFO event word was not there yet
 */
struct evtchn {
	uint32_t port;
	uint8_t state;
	uint8_t priority;
	uint8_t last_priority;
	bool pending;
	uint16_t notify_vcpu;
	uint16_t last_vcpu;
	union {
		domid_t unbound_for;
		struct {
			struct domain *domain;
			uint32_t port;
		} remote;
		unsigned virq;
		struct {
			evtchn_notify_fn *notify;
			void *data;
		} core;
	} u;
};

/* The FIFO ABI's event array: pages of event words in guest memory, in port order. */
#define FIFO_WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))
#define FIFO_MAX_PAGES      (EVTCHN_FIFO_NR_CHANNELS / FIFO_WORDS_PER_PAGE)

struct fifo_array {
	event_word_t *page[FIFO_MAX_PAGES];
	unsigned pages;
};

/**
 * struct evtchn_table - the channels of a domain
 * @buckets: how many of @bucket are there; they are never freed before the domain
 * @lowest: no port below is free
 * @fifo: the event array, NULL: two-level ABI
 * @pollers: bitmap of virtual CPUs in SCHEDOP_poll
 */
struct evtchn_table {
	struct evtchn *bucket[EVTCHN_BUCKETS];
	unsigned buckets;
	uint32_t lowest;
	struct fifo_array *fifo;
	uint64_t pollers;
};

static inline void evtchn_lock(struct domain *d)
{
	spin_lock(&d->event.lock, LOCK_EVENT);
}

static inline void evtchn_unlock(struct domain *d)
{
	spin_unlock(&d->event.lock, LOCK_EVENT);
}

/*
 * Unless it says otherwise, a function of this header is called with the domain's event lock held. Those that return
 * an error or a port to the guest (EVTCHNOP_*) take it themselves.
 */

/* channel.c */
/**
 * evtchn_lock_ends() - lock @d and, when @port is interdomain, the domain at its other end, which is
 * returned; @d itself otherwise. evtchn_unlock_ends() undoes it.
 */
struct domain *evtchn_lock_ends(struct domain *d, uint32_t port);
void evtchn_unlock_ends(struct domain *d, struct domain *other);
struct evtchn *evtchn_lookup(const struct domain *d, uint32_t port); /* NULL: no such port */
struct vcpu *evtchn_vcpu(const struct domain *d, uint32_t id); /* NULL: no such virtual CPU */
int evtchn_alloc(struct domain *d, struct evtchn **out); /* to be given a state at once */
void evtchn_free(struct domain *d, struct evtchn *c);
void evtchn_set_pending(struct domain *d, struct evtchn *c);
bool evtchn_is_pending(const struct domain *d, const struct evtchn *c);
/* Without the lock: */
int evtchn_unmask(struct domain *d, uint32_t port);
int evtchn_send(struct domain *d, uint32_t port);
/* With it: */
void evtchn_check_pollers(struct domain *d, uint32_t port);

/* bind.c: as EVTCHNOP_*; binds return the port. Without the lock. */
int evtchn_bind_interdomain(struct domain *d, struct domain *rd, uint32_t remote_port);
int evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu);
int evtchn_bind_ipi(struct domain *d, uint32_t vcpu);
int evtchn_bind_vcpu(struct domain *d, uint32_t port, uint32_t vcpu);
int evtchn_close(struct domain *d, uint32_t port);
int evtchn_reset(struct domain *d);

/* twolevel.c */
void twolevel_set_pending(struct domain *d, struct evtchn *c);
void twolevel_clear_pending(struct domain *d, struct evtchn *c);
void twolevel_unmask(struct domain *d, struct evtchn *c);
bool twolevel_is_pending(const struct domain *d, const struct evtchn *c);

/* fifo.c */
/* Without the lock: */
int fifo_init_control(struct domain *d, uint32_t vcpu, mfn_t mfn, uint32_t offset);
int fifo_expand_array(struct domain *d, mfn_t mfn);
/* With it: */
void fifo_destroy(struct domain *d);
void fifo_destroy_vcpu(struct vcpu *v);
event_word_t *fifo_word(const struct domain *d, uint32_t port); /* NULL: array page not there */

/* fifo_queue.c */
struct fifo_vcpu *fifo_queues_alloc(void);
void fifo_queues_attach(struct fifo_vcpu *f, struct evtchn_fifo_control_block *block);
bool fifo_queues_attached(const struct fifo_vcpu *f);
struct evtchn_fifo_control_block *fifo_control_block(const struct fifo_vcpu *f);
void fifo_set_pending(struct domain *d, struct evtchn *c);
void fifo_clear_pending(struct domain *d, struct evtchn *c);
void fifo_unmask(struct domain *d, struct evtchn *c);
bool fifo_is_pending(const struct domain *d, const struct evtchn *c);
bool fifo_is_linked(const struct domain *d, uint32_t port);

/* vcpu_info.c */
void vcpu_mark_events_pending(struct vcpu *v);

#endif
