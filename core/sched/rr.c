/* SPDX-License-Identifier: MIT */
/*
 * Round robin: everybody in turn for a slice. It knows no weights; it is here to compare others with, and as the
 * shortest example of a policy.
 */
#include "policy.h"

#define SLICE_NS (10 * NSEC_PER_MSEC)

static void queue_init(struct run_queue *q)
{
	(void)q;
}

static void vcpu_init(struct vcpu *v)
{
	(void)v;
}

static void arrive(struct run_queue *q, struct vcpu *v, enum sched_arrival why, uint64_t now)
{
	(void)v;
	(void)why;
	/* One that was alone begins its slice when it has company. */
	if (q->count == 2)
		q->chosen = now;
}

static void leave(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	(void)q;
	(void)v;
	(void)now;
}

static void charge(struct run_queue *q, struct vcpu *v, uint64_t ns, uint64_t now)
{
	(void)q;
	(void)v;
	(void)ns;
	(void)now;
}

static void retune(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	(void)q;
	(void)v;
	(void)now;
}

static uint64_t until(struct run_queue *q, uint64_t now)
{
	(void)now;
	return q->chosen + SLICE_NS;
}

static struct vcpu *pick(struct run_queue *q, uint64_t now)
{
	struct vcpu *v = q->current;

	if (v && v->sched.queued) {
		if (q->count == 1 || (!q->yielding && until(q, now) > now))
			return v;
		list_del(&v->sched.link);
		list_add_tail(&q->vcpus, &v->sched.link);
	}
	return queue_entry(q->vcpus.next);
}

const struct sched_policy policy_rr = {
	.name = "rr",
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
