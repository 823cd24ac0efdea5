/* SPDX-License-Identifier: MIT */
/*
 * Timers of the core: one list per physical CPU, sorted by expiry. There are a handful per virtual
 * CPU and nearly all are set for soon, so a list beats cleverer structures at the sizes a machine
 * has.
 *
 * Two things keep the CPU loop cheap: whether something is due is decided by comparing TSC values
 * (no multiplication), and the platform is told only deadlines it does not know yet.
 *
 * A timer is set and fires on the CPU that set it last.
 */
#include <xenopus/platform.h>
#include <xenopus/time.h>
#include "clock.h"

#define MAX_PCPUS 64

static struct timer_queue {
	struct list timers;
	uint64_t head_ns, head_tsc; /* expiry of the first timer, both ways; tsc 0: empty */
	uint64_t told;              /* what plat_timer_set() got last */
	bool know;                  /* ... and whether that still holds */
} queues[MAX_PCPUS];

void timers_init(void)
{
	unsigned i;

	ASSERT(plat_info()->pcpus <= MAX_PCPUS);
	for (i = 0; i < MAX_PCPUS; i++) {
		memset(&queues[i], 0, sizeof(queues[i]));
		list_init(&queues[i].timers);
	}
}

/* The head may have changed: bring its TSC deadline up to date. */
static void refresh_head(struct timer_queue *q)
{
	struct timer *first;

	if (list_empty(&q->timers)) {
		q->head_tsc = 0;
		return;
	}
	first = list_entry(q->timers.next, struct timer, link);
	if (q->head_tsc && q->head_ns == first->expires)
		return;
	q->head_ns = first->expires;
	q->head_tsc = time_ns_to_tsc(first->expires);
	if (!q->head_tsc)
		q->head_tsc = 1; /* 0 means none */
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	memset(t, 0, sizeof(*t));
	list_init(&t->link);
	t->fn = fn;
}

void timer_stop(struct timer *t)
{
	if (!t->active)
		return;
	list_del(&t->link);
	t->active = false;
	refresh_head(&queues[t->pcpu]);
}

void timer_set(struct timer *t, uint64_t expires_ns)
{
	unsigned pcpu = plat_cpu_id();
	struct timer_queue *q = &queues[pcpu];
	struct list *pos;

	ASSERT(t->fn);
	if (t->active) {
		if (t->pcpu == pcpu && t->expires == expires_ns)
			return;
		timer_stop(t);
	}
	t->expires = expires_ns;
	t->pcpu = pcpu;
	t->active = true;
	/* Equal deadlines fire in the order they were set. */
	list_for_each(pos, &q->timers)
		if (list_entry(pos, struct timer, link)->expires > expires_ns)
			break;
	list_add_before(pos, &t->link);
	refresh_head(q);
}

/*
 * Only what is due now fires: a function that sets its timer into the past again waits for the next
 * round, so one round always ends and the guest gets its turn.
 */
static void fire_due(struct timer_queue *q)
{
	uint64_t now = time_now();
	struct list due;

	list_init(&due);
	while (!list_empty(&q->timers)) {
		struct timer *t = list_entry(q->timers.next, struct timer, link);

		if (t->expires > now)
			break;
		list_del(&t->link);
		list_add_tail(&due, &t->link);
	}
	refresh_head(q);
	/* Functions may stop or re-arm any timer, those on this list too. */
	while (!list_empty(&due)) {
		struct timer *t = list_entry(due.next, struct timer, link);

		list_del(&t->link);
		t->active = false;
		t->fn(t);
	}
}

void timers_run(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];

	if (q->head_tsc && plat_tsc() >= q->head_tsc)
		fire_due(q);
	timers_program();
}

void timers_program(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];

	if (q->know && q->told == q->head_tsc)
		return;
	q->told = q->head_tsc;
	q->know = true;
	plat_timer_set(q->told);
}

void timers_kicked(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];

	/* Off stays off; a deadline that was reached may have to be set again. */
	if (q->told)
		q->know = false;
}
