/* SPDX-License-Identifier: MIT */
/*
 * Credit: every virtual CPU is granted credit by weight and pays with it for the time it runs, nanosecond by
 * nanosecond. Those who have some go before those who have none; among equals it is round robin.
 *
 * A queue grants as much as its CPU has time: per period, the period's length shared out among those who want to
 * run. So whoever runs more than its weight allows runs out of it and steps back. Debts and savings are bounded, so
 * that nobody pays for, or lives on, what was long ago. One that wakes with credit left is boosted: it goes first
 * until it has run for a moment.
 */
#include "policy.h"

#define PERIOD_NS (30 * (int64_t)NSEC_PER_MSEC)
#define SLICE_NS  (10 * NSEC_PER_MSEC)
/* How far credit and debt go; more than a slice, or weights would be lost. */
#define BOUND_NS  (100 * (int64_t)NSEC_PER_MSEC)

static void queue_init(struct run_queue *q)
{
	(void)q;
}

static void vcpu_init(struct vcpu *v)
{
	v->sched.credit.credit = 0;
}

enum rank { BOOSTED, HAS_CREDIT, HAS_NONE };

static enum rank rank(const struct vcpu *v)
{
	if (v->sched.credit.boosted)
		return BOOSTED;
	return v->sched.credit.credit > 0 ? HAS_CREDIT : HAS_NONE;
}

static void add(struct vcpu *v, int64_t ns)
{
	int64_t c = v->sched.credit.credit + ns;

	v->sched.credit.credit = c > BOUND_NS ? BOUND_NS : c < -BOUND_NS ? -BOUND_NS : c;
}

/* Share out the time since the last grant, a whole number of periods. */
static void grant(struct run_queue *q, uint64_t now)
{
	uint64_t weights = 0, ns;
	struct list *pos;

	if (now < q->credit.granted + (uint64_t)PERIOD_NS)
		return;
	ns = (now - q->credit.granted) / (uint64_t)PERIOD_NS * (uint64_t)PERIOD_NS;
	q->credit.granted += ns;
	ns = min_t(uint64_t, ns, 4 * (uint64_t)BOUND_NS); /* whoever was alone for long */
	list_for_each(pos, &q->vcpus)
		weights += queue_entry(pos)->sched.params.weight;
	list_for_each(pos, &q->vcpus) {
		struct vcpu *v = queue_entry(pos);
		uint64_t part = ns * v->sched.params.weight + v->sched.credit.rest;

		add(v, (int64_t)(part / weights));
		v->sched.credit.rest = (uint32_t)(part % weights);
	}
}

static void charge(struct run_queue *q, struct vcpu *v, uint64_t ns, uint64_t now)
{
	v->sched.credit.boosted = false;
	add(v, -(int64_t)min_t(uint64_t, ns, 2 * (uint64_t)BOUND_NS));
	grant(q, now);
}

static void arrive(struct run_queue *q, struct vcpu *v, enum sched_arrival why, uint64_t now)
{
	if (q->count == 1)
		q->credit.granted = now;
	/* One that was alone begins its slice when it has company. */
	if (q->count == 2)
		q->chosen = now;
	v->sched.credit.boosted = why == ARRIVES_AWAKE && v->sched.credit.credit > 0;
}

static void leave(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	(void)q;
	(void)now;
	v->sched.credit.boosted = false;
}

/* The first of the best among those on @q other than @but. */
static struct vcpu *first(const struct run_queue *q, const struct vcpu *but)
{
	struct vcpu *best = NULL;
	struct list *pos;

	list_for_each(pos, &q->vcpus) {
		struct vcpu *v = queue_entry(pos);

		if (v != but && (!best || rank(v) < rank(best)))
			best = v;
	}
	return best;
}

static uint64_t until(struct run_queue *q, uint64_t now)
{
	const struct vcpu *v = q->current, *other = first(q, v);

	if (!other)
		return UINT64_MAX;
	return rank(other) < rank(v) ? now : q->chosen + SLICE_NS;
}

static struct vcpu *pick(struct run_queue *q, uint64_t now)
{
	struct vcpu *v = q->current, *other;

	if (!v || !v->sched.queued)
		return first(q, NULL);
	other = first(q, v);
	if (!other || (!q->yielding && until(q, now) > now))
		return v;
	/* Its slice is over, or somebody better is there: behind its equals. */
	list_del(&v->sched.link);
	list_add_tail(&q->vcpus, &v->sched.link);
	if (!q->yielding && rank(v) < rank(other)) {
		q->chosen = now;
		return v;
	}
	return other;
}

static void retune(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	(void)q;
	(void)now;
	v->sched.credit.rest = 0;
}

const struct sched_policy policy_credit = {
	.name = "credit",
	.slice_ns = SLICE_NS,
	.queue_init = queue_init,
	.vcpu_init = vcpu_init,
	.arrive = arrive,
	.leave = leave,
	.charge = charge,
	.pick = pick,
	.until = until,
	.retune = retune,
};
