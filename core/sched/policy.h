/* SPDX-License-Identifier: MIT */
/*
 * What a scheduling policy is: one file with one struct sched_policy (bvt.c, credit.c, rr.c).
 *
 * A policy answers two questions about one run queue: who of those on it runs now, and until when at most. It
 * knows nothing of sleeping, locks, timers, other physical CPUs or caps: queue.c has the queues, moves virtual CPUs
 * between them (balance.c) and keeps the hot path, which asks no policy at all.
 *
 * Every function is called with the queue locked. @now is system time in ns; it never goes backwards on a queue
 * by more than what two physical CPUs' reading of the clock differs, so a policy treats earlier as equal.
 */
#ifndef XENOPUS_POLICY_H
#define XENOPUS_POLICY_H

#include <xenopus/cpu.h>
#include <xenopus/domain.h>

/**
 * struct run_queue - one per physical CPU.
 * @current: chosen by the last decision; it may have left the queue since. Read without the lock.
 * @decide: the next round of the CPU loop must decide anew. Read without the lock.
 * @vcpus, @count: the runnable ones placed here, @current included (vcpu_sched.link); a policy may reorder them
 * @since: @current has been charged for its time up to here
 * @chosen: when the last decision began that changed @current
 * @yielding: @current asked to let others go first; holds for one decision
 * @slice, @slice_at: fires when @current's time is over; set only while there is somebody else, or a cap
 * @bvt, @credit: of the policy in use
 */
struct run_queue {
	struct vcpu *current;
	bool decide;
	bool yielding;
	struct spinlock lock;
	struct list vcpus;
	unsigned count;
	uint64_t since, chosen;
	struct timer slice;
	uint64_t slice_at; /* 0: not set */
	uint64_t balanced; /* when balance.c last compared this queue with the others */
	union {
		struct {
			uint64_t svt;
			uint64_t emptied;
		} bvt;
		struct {
			uint64_t granted;
		} credit;
	};
} __attribute__((aligned(64)));

/** enum sched_arrival - why a virtual CPU comes onto a queue. */
enum sched_arrival {
	ARRIVES_AWAKE, /* it has slept */
	ARRIVES_MOVED, /* from another physical CPU's queue, runnable all the time */
};

/**
 * struct sched_policy - see above.
 * @name: as people select it
 * @slice_ns: how long one runs while others like it wait; 0: that depends
 * @queue_init: the queue of @pcpu at start, zeroed
 * @vcpu_init: a new virtual CPU; its struct vcpu_sched is zeroed but for the parameters
 * @arrive: @v has just been put at the end of @q
 * @leave: @v is about to be taken off @q; @current has been charged
 * @charge: @v was @q's current for @ns
 * @pick: one of those on @q, which is not empty. May be the current one, if it is still there.
 * @until: how long may @current go on at most, others being there? A time not after @now: no longer.
 * @retune: parameters of @v have changed
 * @owed: may be NULL. How far @v is behind what the @other physical CPU's virtual CPUs have had, in ns of its
 *	run time as it would count there; negative: ahead. For moving waiting ones between busy CPUs.
 * @catch_up: together with @owed. Let @q's virtual CPUs be behind @other's by no more than @bound, in ns of a virtual
 *	CPU of the default weight.
 */
struct sched_policy {
	const char *name;
	uint64_t slice_ns;
	void (*queue_init)(struct run_queue *q);
	void (*vcpu_init)(struct vcpu *v);
	void (*arrive)(struct run_queue *q, struct vcpu *v, enum sched_arrival why, uint64_t now);
	void (*leave)(struct run_queue *q, struct vcpu *v, uint64_t now);
	void (*charge)(struct run_queue *q, struct vcpu *v, uint64_t ns, uint64_t now);
	struct vcpu *(*pick)(struct run_queue *q, uint64_t now);
	uint64_t (*until)(struct run_queue *q, uint64_t now);
	void (*retune)(struct run_queue *q, struct vcpu *v, uint64_t now);
	int64_t (*owed)(const struct vcpu *v, const struct run_queue *other);
	void (*catch_up)(struct run_queue *q, const struct run_queue *other, uint64_t bound);
};

extern const struct sched_policy policy_bvt, policy_credit, policy_rr;

/** sched_policy - the one in use, from sched_init() on. */
extern const struct sched_policy *sched_policy;

/** sched_queue() - the run queue of @pcpu. */
struct run_queue *sched_queue(unsigned pcpu);

static inline struct vcpu *queue_entry(const struct list *pos)
{
	return list_entry(pos, struct vcpu, sched.link);
}

/** queue_pcpu() - whose @q is. */
static inline unsigned queue_pcpu(const struct run_queue *q)
{
	return (unsigned)(q - sched_queue(0));
}

/** queue_count() - how many are there to run on @q? Without the lock a moment old. */
static inline unsigned queue_count(const struct run_queue *q)
{
	return READ_ONCE(q->count);
}

/* ---- queue.c for vcpu.c, balance.c, params.c and cap.c ---- */

void queues_init(void);
void queue_lock(struct run_queue *q);
void queue_unlock(struct run_queue *q);
/** queue_lock_vcpu() - the queue @v is placed on, locked. */
struct run_queue *queue_lock_vcpu(const struct vcpu *v);
/**
 * queue_arrive() / queue_leave() - @v, placed here, is / is no longer to run; nothing happens when that is so
 * already. The caller has the lock.
 */
void queue_arrive(struct run_queue *q, struct vcpu *v, enum sched_arrival why);
void queue_leave(struct run_queue *q, struct vcpu *v);
/** queue_account() - charge @q's current for its time until now, and return that. */
uint64_t queue_account(struct run_queue *q);
/** queue_decide() - @q's CPU must decide anew; it hears of it when the lock is given back. */
void queue_decide(struct run_queue *q);
/** sched_forget() - @v, which does not run and is on no queue, goes away. */
void sched_forget(struct vcpu *v);
/** queue_check() - something changed: has @current's time to end earlier? */
void queue_check(struct run_queue *q, uint64_t now);

/* ---- balance.c ---- */

/** vcpu_may_run_on() - is @pcpu in the affinity of @v? */
static inline bool vcpu_may_run_on(const struct vcpu *v, unsigned pcpu)
{
	return READ_ONCE(v->sched.affinity) & cpu_bit(pcpu);
}

/** balance_first() - the physical CPU of a new virtual CPU. */
unsigned balance_first(void);
/** balance_awake() - where @v, which wakes on locked queue @q, should run. */
unsigned balance_awake(const struct run_queue *q, const struct vcpu *v);
/** balance_move() - take @v, which nobody runs or holds, from locked @q to @pcpu. @q is unlocked afterwards. */
void balance_move(struct run_queue *q, struct vcpu *v, unsigned pcpu, enum sched_arrival why);
/** balance_steal() - @q is empty: bring somebody who waits elsewhere. False: nobody. */
bool balance_steal(struct run_queue *q);
void balance_even(struct run_queue *q);

/* ---- cap.c ---- */

/** cap_charge() - @v's domain has used @ns. */
void cap_charge(struct vcpu *v, uint64_t ns);
/** cap_left() - how long may @v run before its domain's cap is reached; 0: it is, UINT64_MAX: no cap. */
uint64_t cap_left(struct vcpu *v, uint64_t now);
/** cap_set() - from now on; 0: none. cap_stop() - @d goes away. */
void cap_set(struct domain *d, uint32_t percent);
void cap_stop(struct domain *d);

#endif
