/* SPDX-License-Identifier: MIT */
/*
 * The FIFO ABI's queues: per virtual CPU and priority a singly linked list that runs through the
 * event words in guest memory. The core links at the tail, the guest unlinks at the head:
 *
 *	control block: ready bits, head[16]          event words: P M L B link
 *	head[p] -> word a  -link->  word b  -link->  word c (tail: link 0)
 *
 * The tail is known to the core alone, and of the guest's memory nothing is ever followed or
 * indexed with: the core only sets and tests bits of words it finds by port number. A guest that
 * writes nonsense loses events of its own, nothing else.
 *
 * A queue is empty exactly when its tail word is not linked any more (the guest clears L when it
 * takes a word out). So linking a new word means: try to hang it onto the tail word while that is
 * still L, atomically; if that is gone, the queue is empty and the word becomes the head.
 */
#include "evtchn.h"

#define BIT_PENDING (UINT32_C(1) << EVTCHN_FIFO_PENDING)
#define BIT_MASKED  (UINT32_C(1) << EVTCHN_FIFO_MASKED)
#define BIT_LINKED  (UINT32_C(1) << EVTCHN_FIFO_LINKED)
#define BIT_BUSY    (UINT32_C(1) << EVTCHN_FIFO_BUSY)
#define LINK_MASK   ((uint32_t)EVTCHN_FIFO_LINK_MASK)

/*
 * While a word is L, a guest may at most: set M, clear M, clear P, clear L. With B set it may not
 * clear M. So an honest guest can spoil our compare-and-exchange four times.
 */
#define LINK_TRIES 4

struct fifo_vcpu {
	struct evtchn_fifo_control_block *block; /* guest memory, NULL: not given yet */
	uint32_t tail[EVTCHN_FIFO_MAX_QUEUES];   /* 0: never used, or its word moved away */
};

struct fifo_vcpu *fifo_queues_alloc(void)
{
	return heap_alloc(sizeof(struct fifo_vcpu));
}

void fifo_queues_attach(struct fifo_vcpu *f, struct evtchn_fifo_control_block *block)
{
	f->block = block;
}

bool fifo_queues_attached(const struct fifo_vcpu *f)
{
	return f->block;
}

struct evtchn_fifo_control_block *fifo_control_block(const struct fifo_vcpu *f)
{
	return f->block;
}

static uint32_t word_read(event_word_t *w)
{
	return __atomic_load_n(w, __ATOMIC_SEQ_CST);
}

static uint32_t word_set(event_word_t *w, uint32_t bits)
{
	return __atomic_fetch_or(w, bits, __ATOMIC_SEQ_CST);
}

static uint32_t word_clear(event_word_t *w, uint32_t bits)
{
	return __atomic_fetch_and(w, ~bits, __ATOMIC_SEQ_CST);
}

enum link_result { LINK_DONE, LINK_GONE, LINK_RACED };

static enum link_result try_link(event_word_t *tail, uint32_t *seen, uint32_t port)
{
	uint32_t new;

	if (!(*seen & BIT_LINKED))
		return LINK_GONE;
	new = (*seen & ~(BIT_BUSY | LINK_MASK)) | port;
	if (__atomic_compare_exchange_n(tail, seen, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return LINK_DONE;
	return LINK_RACED;
}

/* Hang @port onto the word @tail while that is linked. False: it is not, the queue is empty. */
static bool link_to_tail(struct domain *d, event_word_t *tail, uint32_t port)
{
	uint32_t seen = word_read(tail);
	enum link_result r = try_link(tail, &seen, port);
	unsigned i;

	if (r != LINK_RACED)
		return r == LINK_DONE;
	/* B holds off the guest's unmask; the others can each happen once. */
	seen = word_set(tail, BIT_BUSY) | BIT_BUSY;
	for (i = 0; i < LINK_TRIES && r == LINK_RACED; i++)
		r = try_link(tail, &seen, port);
	if (r == LINK_DONE)
		return true;
	word_clear(tail, BIT_BUSY);
	if (r == LINK_GONE)
		return false;
	dlog(d, LOG_WARN, "event word of port %u keeps changing under us: event lost", port);
	return true; /* the guest breaks the rules; leave its queue alone */
}

/* Put the linked word of @c at the end of the queue it is due on. True: the queue was empty. */
static bool append(struct domain *d, struct evtchn *c, struct vcpu *v)
{
	struct fifo_vcpu *f = v->event.fifo;
	struct vcpu *old = d->vcpu[c->last_vcpu];
	struct fifo_vcpu *old_f = old ? old->event.fifo : NULL;
	uint32_t *tail = &f->tail[c->priority];
	bool linked = false;

	/*
	 * Was it the tail of its last queue? Then that queue is empty now (the word had been taken
	 * out), but the word, having L set again, no longer says so.
	 */
	if (old_f && old_f->tail[c->last_priority] == c->port)
		old_f->tail[c->last_priority] = 0;
	c->last_vcpu = (uint16_t)v->id;
	c->last_priority = c->priority;

	if (*tail)
		linked = link_to_tail(d, fifo_word(d, *tail), c->port);
	if (!linked)
		__atomic_store_n(&f->block->head[c->priority], c->port, __ATOMIC_SEQ_CST);
	*tail = c->port;
	return !linked;
}

void fifo_set_pending(struct domain *d, struct evtchn *c)
{
	struct vcpu *v = d->vcpu[c->notify_vcpu];
	struct fifo_vcpu *f = v->event.fifo;
	event_word_t *word = fifo_word(d, c->port);
	bool was_pending, new_head = false;

	if (!word) {
		c->pending = true;
		return;
	}
	if (!f->block) {
		/* A guest gives a virtual CPU its control block before it lets events go there. */
		dlog(d, LOG_DEBUG, "vcpu %u has no FIFO control block: event of port %u dropped",
		     v->id, c->port);
		return;
	}
	was_pending = word_set(word, BIT_PENDING) & BIT_PENDING;
	if (!(word_read(word) & BIT_MASKED) && !(word_set(word, BIT_LINKED) & BIT_LINKED))
		new_head = append(d, c, v);
	if (new_head) {
		uint32_t ready = UINT32_C(1) << c->priority;

		if (!(__atomic_fetch_or(&f->block->ready, ready, __ATOMIC_SEQ_CST) & ready))
			vcpu_mark_events_pending(v);
	}
	if (!was_pending)
		evtchn_check_pollers(d, c->port);
}

/* Only P: the guest unlinks the word itself when it comes to it, and skips it as not pending. */
void fifo_clear_pending(struct domain *d, struct evtchn *c)
{
	event_word_t *word = fifo_word(d, c->port);

	if (word)
		word_clear(word, BIT_PENDING);
}

void fifo_unmask(struct domain *d, struct evtchn *c)
{
	event_word_t *word = fifo_word(d, c->port);

	if (!word)
		return;
	word_clear(word, BIT_MASKED);
	if (word_read(word) & BIT_PENDING)
		fifo_set_pending(d, c);
}

bool fifo_is_pending(const struct domain *d, const struct evtchn *c)
{
	event_word_t *word = fifo_word(d, c->port);

	return word ? word_read(word) & BIT_PENDING : c->pending;
}

bool fifo_is_linked(const struct domain *d, uint32_t port)
{
	event_word_t *word = fifo_word(d, port);

	return word && word_read(word) & BIT_LINKED;
}
