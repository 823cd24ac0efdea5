/* SPDX-License-Identifier: MIT */
/*
 * Caps: a domain whose cap is N gets N percent of one physical CPU, whatever else there is to run. Any policy may
 * be in use.
 *
 * Each period the domain's virtual CPUs share N percent of a period. Whoever finds nothing left when it is chosen
 * gets VPF_CAPPED, which the timer at the period's end takes back. What several overdraw at once is owed in the
 * next period. What is not used is lost. The timer runs while the domain uses any time.
 */
#include <xenopus/control.h>
#include "policy.h"

#define PERIOD_NS (30 * NSEC_PER_MSEC)

static uint32_t cap_of(const struct domain *d)
{
	return READ_ONCE(d->sched.cap);
}

static int64_t quota(const struct domain *d)
{
	return (int64_t)(PERIOD_NS / 100 * cap_of(d));
}

static void arm(struct domain *d, uint64_t now)
{
	if (!__atomic_exchange_n(&d->sched.cap_armed, true, __ATOMIC_SEQ_CST))
		timer_set(&d->sched.cap_refill, now + PERIOD_NS);
}

static void wake_all(struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && READ_ONCE(d->vcpu[i]->sched.pause_flags) & VPF_CAPPED)
			vcpu_wake(d->vcpu[i], VPF_CAPPED);
}

/* Returns whether anything had been used. */
static bool fill(struct domain *d)
{
	int64_t full = quota(d), old = __atomic_load_n(&d->sched.cap_left, __ATOMIC_SEQ_CST), new;

	do {
		new = min_t(int64_t, old + full, full);
	} while (!__atomic_compare_exchange_n(&d->sched.cap_left, &old, new, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	return old < full;
}

static void period_over(struct timer *t)
{
	struct domain *d = container_of(t, struct domain, sched.cap_refill);

	/* First, so that whoever uses time from here on sets the timer by itself. */
	__atomic_store_n(&d->sched.cap_armed, false, __ATOMIC_SEQ_CST);
	if (cap_of(d) && fill(d))
		arm(d, time_now());
	wake_all(d);
}

void cap_charge(struct vcpu *v, uint64_t ns)
{
	struct domain *d = v->domain;

	if (cap_of(d))
		__atomic_fetch_sub(&d->sched.cap_left, (int64_t)ns, __ATOMIC_SEQ_CST);
}

uint64_t cap_left(struct vcpu *v, uint64_t now)
{
	struct domain *d = v->domain;
	int64_t left;

	if (!cap_of(d))
		return UINT64_MAX;
	arm(d, now);
	left = __atomic_load_n(&d->sched.cap_left, __ATOMIC_SEQ_CST);
	return left > 0 ? (uint64_t)left : 0;
}

void cap_set(struct domain *d, uint32_t percent)
{
	if (!d->sched.cap_refill.fn)
		timer_init(&d->sched.cap_refill, period_over);
	WRITE_ONCE(d->sched.cap, percent);
	__atomic_store_n(&d->sched.cap_left, quota(d), __ATOMIC_SEQ_CST);
	wake_all(d);
	/* Those on the queues learn of it by a decision. */
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		struct run_queue *q;

		if (!d->vcpu[i])
			continue;
		q = queue_lock_vcpu(d->vcpu[i]);
		queue_account(q);
		queue_decide(q);
		queue_unlock(q);
	}
}

void cap_stop(struct domain *d)
{
	if (d->sched.cap_refill.fn)
		timer_kill(&d->sched.cap_refill);
}
