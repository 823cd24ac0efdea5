/* SPDX-License-Identifier: MIT */
/*
 * Borrowed Virtual Time (Duda and Cheriton, SOSP 1999), the paper's choice.
 *
 * Every virtual CPU has an *actual virtual time*, which grows as it runs, the slower the greater its weight. Who has
 * the least runs next; so over time everybody gets CPU time by weight. The *scheduler virtual time* of a queue
 * is the least of those who want to run. One that wakes is brought up to it: sleeping saves nothing.
 *
 * A virtual CPU that must be quick may *warp*: while it does, it counts as if its virtual time were earlier by the
 * warp value (the *effective* virtual time). It borrows, it is not given anything: what it runs is charged as
 * ever, so it goes ahead now and waits later. Two limits keep a warp from being abused, see struct sched_params.
 *
 * The *context switch allowance* is how much longer one may run than what is exactly fair, so that equals do not
 * take turns at every nanosecond. It also is what one without a warp may have to wait for after waking.
 *
 * Units: virtual time counts nanoseconds of a virtual CPU of the default weight (256), so one of weight w that runs
 * for t ns moves on by t * 256 / w; what the division leaves is kept. Values wrap and are compared by their
 * difference, which holds while those are below 2^63: what was away from a queue for more than AGES is taken to
 * be where the queue is. Virtual times of all queues are on one scale, so that waiting ones may be handed to a
 * queue that is further on (owed()).
 */
#include <xenopus/control.h>
#include "policy.h"

#define AGES	 (3600 * NSEC_PER_SEC)
/* What one is behind or ahead of others when it is moved among them, in ns of its own running, at most. */
#define CARRY_NS (60 * (int64_t)NSEC_PER_MSEC)
/* Virtual times are never that far apart among those on one queue; times a weight it still is a number. */
#define FAR	 (INT64_C(1) << 45)

static uint64_t allowance = SCHED_ALLOWANCE_DEFAULT_NS;

int sched_set_allowance(uint64_t ns)
{
	if (ns < SCHED_ALLOWANCE_MIN_NS || ns > SCHED_ALLOWANCE_MAX_NS)
		return -XEN_EINVAL;
	WRITE_ONCE(allowance, ns);
	return 0;
}

uint64_t sched_get_allowance(void)
{
	return READ_ONCE(allowance);
}

/* By how much is @a later than @b? */
static int64_t later(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b);
}

static int64_t within(int64_t x, int64_t bound)
{
	return x > bound ? bound : x < -bound ? -bound : x;
}

static uint64_t svt_of(const struct run_queue *q)
{
	return READ_ONCE(q->bvt.svt);
}

static void set_svt(struct run_queue *q, uint64_t svt)
{
	WRITE_ONCE(q->bvt.svt, svt);
}

/* Effective virtual time. */
static uint64_t evt(const struct vcpu *v)
{
	return v->sched.bvt.avt - (v->sched.bvt.warped ? v->sched.params.warp_ns : 0);
}

/* Virtual time in ns of running of @v, and back. */
static int64_t to_own(const struct vcpu *v, int64_t virtual)
{
	return within(virtual, FAR) * (int64_t)v->sched.params.weight / (int64_t)SCHED_WEIGHT_DEFAULT;
}

static int64_t to_virtual(const struct vcpu *v, int64_t own)
{
	return own * (int64_t)SCHED_WEIGHT_DEFAULT / (int64_t)v->sched.params.weight;
}

/* The scheduler virtual time moves on to the least advanced of those on @q, @but left out. It never goes back. */
static void advance(struct run_queue *q, const struct vcpu *but)
{
	const struct vcpu *least = NULL;
	struct list *pos;

	list_for_each(pos, &q->vcpus) {
		const struct vcpu *v = queue_entry(pos);

		if (v != but && (!least || later(least->sched.bvt.avt, v->sched.bvt.avt) > 0))
			least = v;
	}
	if (least && later(least->sched.bvt.avt, q->bvt.svt) > 0)
		set_svt(q, least->sched.bvt.avt);
}

/* A queue that was empty goes on where the least advanced of the others is; they went on without it. */
static void rejoin(struct run_queue *q, uint64_t now)
{
	bool aged = now > q->bvt.emptied && now - q->bvt.emptied > AGES;
	const struct run_queue *least = NULL;

	for (uint64_t left = cpu_all() & ~cpu_bit(queue_pcpu(q)); left; left &= left - 1) {
		const struct run_queue *other = sched_queue((unsigned)__builtin_ctzll(left));

		if (queue_count(other) && (!least || later(svt_of(least), svt_of(other)) > 0))
			least = other;
	}
	if (least && (aged || later(svt_of(least), q->bvt.svt) > 0))
		set_svt(q, svt_of(least));
}

static void unwarp(struct vcpu *v, uint64_t now)
{
	if (!v->sched.bvt.warped)
		return;
	v->sched.bvt.warped = false;
	v->sched.bvt.unwarped = now;
}

/* It wakes (or comes back from a move): may it warp? */
static void try_warp(struct vcpu *v, uint64_t now)
{
	const struct sched_params *p = &v->sched.params;

	if (!p->warp)
		return;
	if (now >= v->sched.bvt.unwarped + p->unwarp_ns)
		v->sched.bvt.warp_left = p->warp_limit_ns;
	v->sched.bvt.warped = !p->warp_limit_ns || v->sched.bvt.warp_left;
}

static void queue_init(struct run_queue *q)
{
	(void)q;
}

static void vcpu_init(struct vcpu *v)
{
	v->sched.bvt.avt = svt_of(sched_queue(sched_pcpu(v)));
	v->sched.bvt.warp_left = v->sched.params.warp_limit_ns;
}

static void arrive(struct run_queue *q, struct vcpu *v, enum sched_arrival why, uint64_t now)
{
	bool aged = now > v->sched.bvt.left && now - v->sched.bvt.left > AGES;
	int64_t ahead;

	if (q->count == 1)
		rejoin(q, now);
	else
		advance(q, v);
	ahead = later(v->sched.bvt.avt, q->bvt.svt);
	if (why == ARRIVES_MOVED) {
		int64_t carry = to_virtual(v, CARRY_NS);

		v->sched.bvt.avt = q->bvt.svt + (uint64_t)(aged ? 0 : within(ahead, carry));
	} else if (aged || ahead < 0) {
		v->sched.bvt.avt = q->bvt.svt;
	}
	try_warp(v, now);
}

static void leave(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	unwarp(v, now);
	v->sched.bvt.left = now;
	if (q->count == 1)
		q->bvt.emptied = now;
}

static void charge(struct run_queue *q, struct vcpu *v, uint64_t ns, uint64_t now)
{
	uint32_t weight = v->sched.params.weight;
	/* Alone, one may run for a year before anybody looks. */
	uint64_t scaled = min_t(uint64_t, ns, UINT64_C(1) << 55) * SCHED_WEIGHT_DEFAULT + v->sched.bvt.rest;

	v->sched.bvt.avt += scaled / weight;
	v->sched.bvt.rest = (uint32_t)(scaled % weight);
	if (v->sched.bvt.warped && v->sched.params.warp_limit_ns) {
		v->sched.bvt.warp_left -= min_t(uint64_t, ns, v->sched.bvt.warp_left);
		if (!v->sched.bvt.warp_left)
			unwarp(v, now);
	}
	advance(q, NULL);
}

/* Of those on @q other than @but, who is first in effective virtual time; of equals the one that came first. */
static struct vcpu *first(const struct run_queue *q, const struct vcpu *but)
{
	struct vcpu *best = NULL;
	struct list *pos;

	list_for_each(pos, &q->vcpus) {
		struct vcpu *v = queue_entry(pos);

		if (v != but && (!best || later(evt(best), evt(v)) > 0))
			best = v;
	}
	return best;
}

/* How long @v may go on beside @other; 0: no longer. */
static uint64_t time_beside(const struct vcpu *v, const struct vcpu *other)
{
	int64_t ns = to_own(v, later(evt(other), evt(v))) + (int64_t)sched_get_allowance();

	return ns > 0 ? (uint64_t)ns : 0;
}

static uint64_t until(struct run_queue *q, uint64_t now)
{
	const struct vcpu *v = q->current, *other = first(q, v);
	uint64_t ns;

	if (!other)
		return UINT64_MAX;
	ns = time_beside(v, other);
	if (v->sched.bvt.warped && v->sched.params.warp_limit_ns)
		ns = min_t(uint64_t, ns, v->sched.bvt.warp_left);
	return now + ns;
}

static struct vcpu *pick(struct run_queue *q, uint64_t now)
{
	struct vcpu *v = q->current, *other = first(q, v);

	(void)now;
	if (!v || !v->sched.queued)
		return other;
	if (!other)
		return v;
	if (!q->yielding && time_beside(v, other))
		return v;
	/* One that yields gives up what it may still have been owed; else it would come back with all of it. */
	if (q->yielding && later(other->sched.bvt.avt, v->sched.bvt.avt) > 0)
		v->sched.bvt.avt = other->sched.bvt.avt;
	return other;
}

static void retune(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	(void)q;
	v->sched.bvt.rest = 0;
	if (!v->sched.params.warp) {
		unwarp(v, now);
		v->sched.bvt.warp_left = 0;
	} else if (v->sched.bvt.warp_left > v->sched.params.warp_limit_ns || !v->sched.bvt.warped) {
		v->sched.bvt.warp_left = v->sched.params.warp_limit_ns;
	}
}

static int64_t owed(const struct vcpu *v, const struct run_queue *other)
{
	return to_own(v, later(svt_of(other), v->sched.bvt.avt));
}

static void catch_up(struct run_queue *q, const struct run_queue *other, uint64_t bound)
{
	int64_t excess = later(svt_of(other), q->bvt.svt) - (int64_t)bound;
	struct list *pos;

	if (excess <= 0)
		return;
	set_svt(q, q->bvt.svt + (uint64_t)excess);
	list_for_each(pos, &q->vcpus)
		queue_entry(pos)->sched.bvt.avt += (uint64_t)excess;
}

const struct sched_policy policy_bvt = {
	.name = "bvt",
	.queue_init = queue_init,
	.vcpu_init = vcpu_init,
	.arrive = arrive,
	.leave = leave,
	.charge = charge,
	.pick = pick,
	.until = until,
	.retune = retune,
	.owed = owed,
	.catch_up = catch_up,
};
