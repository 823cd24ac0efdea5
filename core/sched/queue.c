/* SPDX-License-Identifier: MIT */
/*
 * Run queues, one per physical CPU: who is on them, when a decision is due, and the decision itself around the
 * policy that makes it.
 *
 * sched_pick() is called once per round of the CPU loop. While nothing has happened it is two loads: the flag that
 * says something has, and the virtual CPU chosen last. Everybody who changes something that matters sets the flag
 * and asks the queue's CPU to come round.
 *
 * A virtual CPU that is alone runs without a timer. The slice timer is set by whoever adds the second one, on the
 * CPU that does so, and by decisions.
 */
#include <xenopus/platform.h>
#include "policy.h"

static struct run_queue queues[MAX_PCPUS];

static const struct sched_policy *const policies[] = { &policy_bvt, &policy_credit, &policy_rr };
static const struct sched_policy *chosen_policy = &policy_bvt;
const struct sched_policy *sched_policy = &policy_bvt;

bool sched_choose_policy(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		if (xstrcmp(name, policies[i]->name))
			continue;
		chosen_policy = policies[i];
		return true;
	}
	return false;
}

const char *sched_policy_name(void)
{
	return chosen_policy->name;
}

uint64_t sched_slice_ns(void)
{
	return chosen_policy->slice_ns;
}

const char *sched_policy_names(void)
{
	return "bvt, credit, rr";
}

struct run_queue *sched_queue(unsigned pcpu)
{
	return &queues[pcpu];
}

/* The CPU that made the queue longer set the timer, so it may fire on any. */
static void slice_over(struct timer *t)
{
	queue_decide(container_of(t, struct run_queue, slice));
}

void queues_init(void)
{
	sched_policy = chosen_policy;
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < MAX_PCPUS; i++) {
		list_init(&queues[i].vcpus);
		timer_init(&queues[i].slice, slice_over);
		sched_policy->queue_init(&queues[i]);
	}
}

void queue_lock(struct run_queue *q)
{
	spin_lock(&q->lock, LOCK_RUNQ);
}

void queue_unlock(struct run_queue *q)
{
	spin_unlock(&q->lock, LOCK_RUNQ);
}

/* Acquire: whoever finds it moved here sees what was done under the lock it came from. */
unsigned sched_pcpu(const struct vcpu *v)
{
	return __atomic_load_n(&v->sched.pcpu, __ATOMIC_ACQUIRE);
}

struct run_queue *queue_lock_vcpu(const struct vcpu *v)
{
	for (;;) {
		struct run_queue *q = &queues[sched_pcpu(v)];

		queue_lock(q);
		if (q == &queues[sched_pcpu(v)])
			return q;
		queue_unlock(q);
	}
}

void queue_decide(struct run_queue *q)
{
	/* Set already: its CPU has been told and is on its way. */
	if (!__atomic_exchange_n(&q->decide, true, __ATOMIC_SEQ_CST))
		cpu_request(queue_pcpu(q));
}

uint64_t queue_account(struct run_queue *q)
{
	uint64_t now = time_now();

	if (q->current && now > q->since) {
		uint64_t ns = now - q->since;

		q->since = now;
		sched_policy->charge(q, q->current, ns, now);
		cap_charge(q->current, ns);
	}
	return now;
}

static void set_slice(struct run_queue *q, uint64_t when)
{
	if (when == q->slice_at)
		return;
	q->slice_at = when;
	if (when)
		timer_set(&q->slice, when);
	else
		timer_stop(&q->slice);
}

/* When the current one has to stop: 0: nobody says so. */
static uint64_t time_up(struct run_queue *q, uint64_t now)
{
	uint64_t left = cap_left(q->current, now);
	uint64_t when = q->count > 1 ? sched_policy->until(q, now) : UINT64_MAX;

	if (left != UINT64_MAX)
		when = min_t(uint64_t, when, now + left);
	return when == UINT64_MAX ? 0 : when;
}

void queue_check(struct run_queue *q, uint64_t now)
{
	struct vcpu *v = q->current;
	uint64_t when;

	if (!v || !v->sched.queued) {
		queue_decide(q);
		return;
	}
	when = time_up(q, now);
	if (when && when <= now)
		queue_decide(q);
	else if (!when || !q->slice_at || when < q->slice_at) /* a timer that is early does no harm */
		set_slice(q, when);
}

static void put_on(struct run_queue *q, struct vcpu *v)
{
	WRITE_ONCE(v->sched.queued, true);
	list_add_tail(&q->vcpus, &v->sched.link);
	WRITE_ONCE(q->count, q->count + 1);
}

static void take_off(struct run_queue *q, struct vcpu *v, uint64_t now)
{
	sched_policy->leave(q, v, now);
	WRITE_ONCE(v->sched.queued, false);
	list_del(&v->sched.link);
	WRITE_ONCE(q->count, q->count - 1);
}

void queue_arrive(struct run_queue *q, struct vcpu *v, enum sched_arrival why)
{
	uint64_t now;

	if (v->sched.queued)
		return;
	now = queue_account(q);
	put_on(q, v);
	sched_policy->arrive(q, v, why, now);
	queue_check(q, now);
}

void queue_leave(struct run_queue *q, struct vcpu *v)
{
	uint64_t now;

	if (!v->sched.queued)
		return;
	now = queue_account(q);
	take_off(q, v, now);
	if (v == q->current)
		queue_decide(q);
	else if (q->count == 1)
		queue_check(q, now);
}

/* Whoever has reached its domain's cap waits for the next period, as if it were blocked. */
static struct vcpu *pick_uncapped(struct run_queue *q, uint64_t now)
{
	while (q->count) {
		struct vcpu *v = sched_policy->pick(q, now);

		if (cap_left(v, now))
			return v;
		__atomic_fetch_or(&v->sched.pause_flags, VPF_CAPPED, __ATOMIC_SEQ_CST);
		take_off(q, v, now);
	}
	return NULL;
}

static struct vcpu *choose(struct run_queue *q)
{
	uint64_t now;
	struct vcpu *v;

	__atomic_store_n(&q->decide, false, __ATOMIC_SEQ_CST);
	now = queue_account(q);
	v = pick_uncapped(q, now);
	if (v != q->current) {
		WRITE_ONCE(q->current, v);
		q->chosen = now;
	}
	q->since = now;
	q->yielding = false;
	set_slice(q, v ? time_up(q, now) : 0);
	return v;
}

/* Chosen, but its affinity has changed since it came here, and nobody holds it any more. */
static bool belongs_elsewhere(const struct run_queue *q, const struct vcpu *v)
{
	return v && !vcpu_may_run_on(v, queue_pcpu(q)) && !READ_ONCE(v->sched.running) &&
	       !READ_ONCE(v->sched.loaded);
}

static struct vcpu *decide(struct run_queue *q)
{
	struct vcpu *v;

	do {
		queue_lock(q);
		v = choose(q);
		while (belongs_elsewhere(q, v)) {
			WRITE_ONCE(q->current, NULL);
			balance_move(q, v, balance_awake(q, v), ARRIVES_MOVED);
			queue_lock(q);
			v = choose(q);
		}
		queue_unlock(q);
	} while (!v && balance_steal(q));
	return v;
}

struct vcpu *sched_pick(void)
{
	struct run_queue *q = &queues[plat_cpu_id()];
	struct vcpu *v = READ_ONCE(q->current);

	if (v && !__atomic_load_n(&q->decide, __ATOMIC_ACQUIRE))
		return v;
	return decide(q);
}

void sched_yield_vcpu(struct vcpu *v)
{
	struct run_queue *q = queue_lock_vcpu(v);

	if (v == q->current && q->count > 1) {
		q->yielding = true;
		queue_decide(q);
	}
	queue_unlock(q);
}

void sched_forget(struct vcpu *v)
{
	struct run_queue *q = queue_lock_vcpu(v);

	if (q->current == v)
		WRITE_ONCE(q->current, NULL);
	queue_unlock(q);
}
