/* SPDX-License-Identifier: MIT */
/*
 * Timers of the core: one list per physical CPU, sorted by expiry. There are a handful per virtual
 * CPU and nearly all are set for soon, so a list beats cleverer structures at the sizes a machine
 * has.
 *
 * Two things keep the CPU loop cheap: whether something is due is decided by comparing TSC values
 * (no multiplication), and the platform is told only deadlines it does not know yet.
 *
 * A timer is set and fires on the CPU that set it last; any CPU may stop it. The lock of the queue it was on last
 * guards it also while it is on none.
 */
#include <xenopus/cpu.h>
#include <xenopus/lock.h>
#include <xenopus/platform.h>
#include <xenopus/time.h>
#include "clock.h"

#define NOT_KNOWN 1 /* no timer's: they expire later than that */

static struct timer_queue {
	struct spinlock lock;
	struct list timers, due;
	struct timer *firing;       /* whose function is running, without the lock */
	uint64_t head_ns, head_tsc; /* expiry of the first timer, both ways; tsc 0: empty */
	uint64_t told;              /* what plat_timer_set() got last, NOT_KNOWN: that may not hold any more */
} __attribute__((aligned(64))) queues[MAX_PCPUS];

void timers_init(void)
{
	unsigned i;

	for (i = 0; i < MAX_PCPUS; i++) {
		memset(&queues[i], 0, sizeof(queues[i]));
		list_init(&queues[i].timers);
		list_init(&queues[i].due);
		queues[i].told = NOT_KNOWN;
	}
}

static void lock(struct timer_queue *q)
{
	spin_lock(&q->lock, LOCK_TIMER);
}

static void unlock(struct timer_queue *q)
{
	spin_unlock(&q->lock, LOCK_TIMER);
}

static unsigned pcpu_of(const struct timer *t)
{
	return __atomic_load_n(&t->pcpu, __ATOMIC_RELAXED);
}

/* The queue of @t, locked. */
static struct timer_queue *lock_timer(const struct timer *t)
{
	for (;;) {
		unsigned pcpu = pcpu_of(t);

		lock(&queues[pcpu]);
		if (pcpu == pcpu_of(t))
			return &queues[pcpu];
		unlock(&queues[pcpu]);
	}
}

static void set_head_tsc(struct timer_queue *q, uint64_t tsc)
{
	__atomic_store_n(&q->head_tsc, tsc, __ATOMIC_RELAXED);
}

/* The head may have changed: bring its TSC deadline up to date. */
static void refresh_head(struct timer_queue *q)
{
	struct timer *first;
	uint64_t tsc;

	if (list_empty(&q->timers)) {
		set_head_tsc(q, 0);
		return;
	}
	first = list_entry(q->timers.next, struct timer, link);
	if (q->head_tsc && q->head_ns == first->expires)
		return;
	q->head_ns = first->expires;
	tsc = time_ns_to_tsc(first->expires);
	set_head_tsc(q, max_t(uint64_t, tsc, 2)); /* 0 means none, NOT_KNOWN not one */
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	memset(t, 0, sizeof(*t));
	list_init(&t->link);
	t->fn = fn;
}

/* With its queue locked. */
static void take_off(struct timer_queue *q, struct timer *t)
{
	list_del(&t->link);
	t->active = false;
	refresh_head(q);
}

void timer_stop(struct timer *t)
{
	struct timer_queue *q;

	if (!t->fn)
		return;
	q = lock_timer(t);
	if (t->active)
		take_off(q, t);
	unlock(q);
}

void timer_kill(struct timer *t)
{
	unsigned spins = 0, pcpu;

	timer_stop(t);
	for (pcpu = 0; pcpu < plat_info()->pcpus; pcpu++) {
		if (pcpu == plat_cpu_id())
			continue;
		while (__atomic_load_n(&queues[pcpu].firing, __ATOMIC_SEQ_CST) == t) {
			cpu_answer();
			plat_cpu_relax(spins++);
		}
	}
	timer_stop(t); /* the function may have set it again */
}

void timer_set(struct timer *t, uint64_t expires_ns)
{
	unsigned pcpu = plat_cpu_id();
	struct timer_queue *q;
	struct list *pos;

	ASSERT(t->fn);
	for (;;) {
		q = lock_timer(t);
		if (t->active && t->pcpu == pcpu && t->expires == expires_ns) {
			unlock(q);
			return;
		}
		if (t->active)
			take_off(q, t);
		if (t->pcpu == pcpu)
			break;
		__atomic_store_n(&t->pcpu, pcpu, __ATOMIC_RELAXED);
		unlock(q);
	}
	t->expires = expires_ns;
	t->active = true;
	/* Equal deadlines fire in the order they were set. */
	list_for_each(pos, &q->timers)
		if (list_entry(pos, struct timer, link)->expires > expires_ns)
			break;
	list_add_before(pos, &t->link);
	refresh_head(q);
	unlock(q);
}

/*
 * Only what is due now fires: a function that sets its timer into the past again waits for the next
 * round, so one round always ends and the guest gets its turn.
 */
static void fire_due(struct timer_queue *q)
{
	uint64_t now = time_now();

	lock(q);
	while (!list_empty(&q->timers)) {
		struct timer *t = list_entry(q->timers.next, struct timer, link);

		if (t->expires > now)
			break;
		list_del(&t->link);
		list_add_tail(&q->due, &t->link);
	}
	refresh_head(q);
	/* Functions may stop or re-arm any timer, those on this list too. */
	while (!list_empty(&q->due)) {
		struct timer *t = list_entry(q->due.next, struct timer, link);

		list_del(&t->link);
		t->active = false;
		__atomic_store_n(&q->firing, t, __ATOMIC_SEQ_CST);
		unlock(q);
		t->fn(t);
		__atomic_store_n(&q->firing, NULL, __ATOMIC_SEQ_CST);
		lock(q);
	}
	unlock(q);
}

static uint64_t head_tsc(const struct timer_queue *q)
{
	return __atomic_load_n(&q->head_tsc, __ATOMIC_RELAXED);
}

void timers_run(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];
	uint64_t head = head_tsc(q);

	if (head && plat_tsc() >= head)
		fire_due(q);
	timers_program();
}

static __attribute__((noinline)) void program(struct timer_queue *q, uint64_t head)
{
	q->told = head;
	plat_timer_set(head);
}

inline void timers_program(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];
	uint64_t head = head_tsc(q);

	if (unlikely(q->told != head))
		program(q, head);
}

void timers_kicked(void)
{
	struct timer_queue *q = &queues[plat_cpu_id()];

	/* Off stays off; a deadline that was reached may have to be set again. */
	if (q->told)
		q->told = NOT_KNOWN;
}
