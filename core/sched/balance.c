/* SPDX-License-Identifier: MIT */
/*
 * Which physical CPU a virtual CPU runs on. It changes on four occasions:
 *
 *	waking		its CPU is busy, another it may use has nothing to do
 *	stealing	a CPU that has nothing left looks for somebody who waits elsewhere
 *	evening out	somebody waits on a queue whose virtual CPUs get less than those of another queue
 *	affinity	it may not stay where it is
 *
 * Only one that no CPU runs, holds the registers of, or has just chosen is moved, under the lock of the queue it
 * leaves. Between the two queues it is on none; whoever wakes it meanwhile finds it placed on the new one already.
 * The two locks are never held together.
 */
#include <xenopus/control.h>
#include <xenopus/platform.h>
#include "policy.h"

/* How often a queue is compared with the others, and how big a difference is worth moving somebody. */
#define EVEN_PERIOD (20 * NSEC_PER_MSEC)
#define EVEN_NS     (30 * (int64_t)NSEC_PER_MSEC)

/* Is it somebody's who must not lose it under way? */
static bool held(const struct run_queue *q, const struct vcpu *v)
{
	return v == q->current || __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&v->sched.loaded, __ATOMIC_SEQ_CST);
}

static uint64_t allowed(const struct vcpu *v)
{
	return READ_ONCE(v->sched.affinity) & cpu_all();
}

/* Round the machine from @start: the first with nothing to do, else the one with the fewest. */
static unsigned least_busy(uint64_t cpus, unsigned start)
{
	unsigned n = plat_info()->pcpus, best = start, best_count = ~0u;

	for (unsigned i = 0; i < n && best_count; i++) {
		unsigned pcpu = (start + i) % n, count = queue_count(sched_queue(pcpu));

		if (!(cpus & cpu_bit(pcpu)) || count >= best_count)
			continue;
		best = pcpu;
		best_count = count;
	}
	return best;
}

unsigned balance_first(void)
{
	static unsigned next;

	return __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % plat_info()->pcpus;
}

unsigned balance_awake(const struct run_queue *q, const struct vcpu *v)
{
	unsigned here = queue_pcpu(q), there;

	if (held(q, v))
		return here;
	if (vcpu_may_run_on(v, here) && !q->count)
		return here;
	there = least_busy(allowed(v), here);
	if (vcpu_may_run_on(v, here) && queue_count(sched_queue(there)))
		return here;
	return there;
}

void balance_move(struct run_queue *q, struct vcpu *v, unsigned pcpu, enum sched_arrival why)
{
	struct run_queue *to = sched_queue(pcpu);

	queue_leave(q, v);
	__atomic_store_n(&v->sched.pcpu, pcpu, __ATOMIC_RELEASE);
	queue_unlock(q);
	queue_lock(to);
	/* In between it may have gone to sleep, and even have been moved again. */
	if (sched_pcpu(v) == pcpu && vcpu_flags_runnable(&v->sched))
		queue_arrive(to, v, why);
	queue_unlock(to);
}

/* Of those who wait on locked @q and may run on @pcpu: who is owed most? */
static struct vcpu *best_to_move(struct run_queue *q, unsigned pcpu, int64_t *owed)
{
	const struct run_queue *to = sched_queue(pcpu);
	struct vcpu *best = NULL;
	struct list *pos;

	list_for_each(pos, &q->vcpus) {
		struct vcpu *v = queue_entry(pos);
		int64_t o;

		if (held(q, v) || !vcpu_may_run_on(v, pcpu))
			continue;
		o = sched_policy->owed ? sched_policy->owed(v, to) : 0;
		if (best && o <= *owed)
			continue;
		best = v;
		*owed = o;
	}
	return best;
}

bool balance_steal(struct run_queue *q)
{
	unsigned me = queue_pcpu(q);
	uint64_t left = cpu_all() & ~cpu_bit(me);

	for (; left; left &= left - 1) {
		struct run_queue *from = sched_queue((unsigned)__builtin_ctzll(left));
		struct vcpu *v;
		int64_t owed;

		if (queue_count(from) < 2)
			continue;
		queue_lock(from);
		v = best_to_move(from, me, &owed);
		if (v) {
			balance_move(from, v, me, ARRIVES_MOVED);
			return true; /* it may be gone again, then the next decision says so */
		}
		queue_unlock(from);
	}
	return false;
}

static uint64_t weight_on(const struct run_queue *q)
{
	struct list *pos;
	uint64_t sum = 0;

	list_for_each(pos, &q->vcpus)
		sum += queue_entry(pos)->sched.params.weight;
	return sum;
}

/* Of those who wait on @q, who should go to @pcpu first? EVEN_NS of its running as the policy counts, 0: nobody. */
static uint64_t bound_for(struct run_queue *q, unsigned pcpu)
{
	uint64_t bound = 0;
	struct vcpu *v;
	int64_t owed;

	queue_lock(q);
	v = best_to_move(q, pcpu, &owed);
	if (v)
		bound = (uint64_t)EVEN_NS * SCHED_WEIGHT_DEFAULT / v->sched.params.weight;
	queue_unlock(q);
	return bound;
}

/*
 * How much weight is on @to? Its account is brought up to date, and should it be behind @q for good (one heavy
 * virtual CPU can have no more than a CPU), what it cannot make good any more is forgotten.
 */
static uint64_t look_at(struct run_queue *to, const struct run_queue *q, uint64_t bound)
{
	uint64_t weight;

	queue_lock(to);
	queue_account(to);
	if (sched_policy->catch_up)
		sched_policy->catch_up(to, q, bound);
	weight = weight_on(to);
	queue_unlock(to);
	return weight;
}

/*
 * Move somebody to @pcpu when that makes the weights more even, or when those here have fallen behind those there
 * because the weights cannot be even (three equals on two CPUs take turns at being alone).
 */
static bool even_with(struct run_queue *q, unsigned pcpu)
{
	uint64_t bound = bound_for(q, pcpu), here, there;
	struct run_queue *to = sched_queue(pcpu);
	struct vcpu *v;
	int64_t owed;

	if (!bound)
		return false;
	there = look_at(to, q, bound);
	queue_lock(q);
	here = weight_on(q);
	v = best_to_move(q, pcpu, &owed);
	if (v && (!there || there + v->sched.params.weight < here || (here > there && owed > EVEN_NS))) {
		balance_move(q, v, pcpu, ARRIVES_MOVED);
		return true;
	}
	if (here <= there && sched_policy->catch_up)
		sched_policy->catch_up(q, to, 0);
	queue_unlock(q);
	return false;
}

/* Of those who wait on @q, somebody may be better off elsewhere. */
static void even(struct run_queue *q)
{
	uint64_t now, left = cpu_all() & ~cpu_bit(queue_pcpu(q));

	if (!left)
		return;
	now = time_now();
	/* Only this CPU decides for its queue. */
	if (now < q->balanced + EVEN_PERIOD)
		return;
	q->balanced = now;
	for (; left; left &= left - 1)
		if (even_with(q, (unsigned)__builtin_ctzll(left)))
			return;
}

/* @v waits here and could be taken elsewhere: tell a CPU that has nothing to do. */
static void offer(const struct vcpu *v)
{
	uint64_t left = allowed(v) & ~cpu_bit(plat_cpu_id());

	for (; left; left &= left - 1) {
		unsigned pcpu = (unsigned)__builtin_ctzll(left);

		if (queue_count(sched_queue(pcpu)))
			continue;
		cpu_request(pcpu);
		return;
	}
}

bool sched_stays(const struct vcpu *v)
{
	return vcpu_may_run_on(v, plat_cpu_id());
}

void sched_let_go(struct vcpu *v)
{
	struct run_queue *q;

	if (sched_stays(v)) {
		if (!READ_ONCE(v->sched.queued))
			return;
		offer(v);
		even(sched_queue(plat_cpu_id()));
		return;
	}
	q = queue_lock_vcpu(v);
	if (q == sched_queue(plat_cpu_id()) && q->current == v) {
		WRITE_ONCE(q->current, NULL);
		queue_decide(q);
	}
	if (!vcpu_may_run_on(v, queue_pcpu(q)) && !held(q, v))
		balance_move(q, v, balance_awake(q, v), ARRIVES_MOVED); /* unlocks */
	else
		queue_unlock(q);
}

int sched_set_affinity(struct vcpu *v, uint64_t pcpus)
{
	struct run_queue *q;

	if (!(pcpus & cpu_all()))
		return -XEN_EINVAL;
	q = queue_lock_vcpu(v);
	/* Before it is asked who holds it: whoever lets go of it looks here afterwards. */
	__atomic_store_n(&v->sched.affinity, pcpus, __ATOMIC_SEQ_CST);
	if (vcpu_may_run_on(v, queue_pcpu(q))) {
		queue_unlock(q);
		return 0;
	}
	if (!held(q, v)) {
		balance_move(q, v, balance_awake(q, v), ARRIVES_MOVED); /* unlocks */
		return 0;
	}
	/* Whoever holds it lets it go at the top of its loop. */
	queue_decide(q);
	queue_unlock(q);
	cpu_request(queue_pcpu(q));
	return 0;
}
