/* SPDX-License-Identifier: MIT */
/*
 * Who runs next. One small interface; the policy behind it is one file. Owned by core/sched.
 */
#ifndef XENOPUS_SCHED_H
#define XENOPUS_SCHED_H

#include "lib.h"
#include "lock.h"
#include "time.h"

/* vcpu_sched.pause_flags: any bit set keeps the virtual CPU off the run queue. */
#define VPF_DOWN     0x01u /* not brought up yet / VCPUOP_down */
#define VPF_BLOCKED  0x02u /* SCHEDOP_block or _poll */
#define VPF_PAUSED   0x04u /* by control */
#define VPF_DEAD     0x08u /* domain shut down */
#define VPF_CAPPED   0x10u /* its domain has used up its cap of this period */

#define POLL_SEVERAL (~UINT32_C(0))

/**
 * struct sched_params - what a person sets for a virtual CPU, checked by sched_set_params(); docs/scheduling.md.
 * @weight: its share beside others, 1 .. SCHED_WEIGHT_MAX
 * @warp: (bvt) may it borrow when it wakes?
 * @warp_ns: (bvt) how far back in virtual time that puts it, in ns of a virtual CPU of the default weight
 * @warp_limit_ns: (bvt) CPU time it may use while it borrows, until it has not borrowed for @unwarp_ns; 0: any
 * @unwarp_ns: (bvt) see @warp_limit_ns
 */
struct sched_params {
	uint32_t weight;
	bool warp;
	uint64_t warp_ns, warp_limit_ns, unwarp_ns;
};

#define SCHED_WEIGHT_DEFAULT 256u
#define SCHED_WEIGHT_MAX     65535u

/**
 * struct vcpu_sched - @link, @queued, @pcpu, @affinity, @params and what follows from @pause_flags change under the
 * lock of @pcpu's run queue (queue.c); all but @params are read without.
 * @running: a physical CPU is working for it (between two decisions of its loop)
 * @loaded: its FPU and segment state is on physical CPU @pcpu
 * @rounds: of the CPU loop that are left before this looks around (core/control/loop.c)
 * @evict: whoever has it loaded shall give it up
 * @poll_port: SCHEDOP_poll: 0: not in one, POLL_SEVERAL: not just one port
 * @affinity: bitmap of the physical CPUs it may run on, never without one that exists
 * @bvt, @credit: of the policy in use
 */
struct vcpu_sched {
	struct list link; /* run queue */
	bool queued;
	bool running;
	bool loaded;
	bool evict;
	uint32_t rounds;
	uint32_t pause_flags;
	unsigned pcpu;
	uint32_t poll_port;
	uint64_t affinity;
	struct sched_params params;
	union {
		struct {
			uint64_t avt;       /* actual virtual time */
			uint32_t rest;      /* of the last division by the weight */
			bool warped;
			uint64_t warp_left; /* CPU time, ns, while @params.warp_limit_ns is set */
			uint64_t unwarped;  /* since when it is not warped */
			uint64_t left;      /* when it left its queue last */
		} bvt;
		struct {
			int64_t credit; /* ns */
			uint32_t rest;
			bool boosted;
		} credit;
	};
};

#define SCHED_WATCHDOGS 2

/**
 * struct domain_sched - SCHEDOP_watchdog and SCHEDOP_shutdown_code of a domain; zeroed is right to
 * start with.
 */
struct domain_sched {
	struct spinlock dog_lock;
	struct sched_dog {
		struct timer timer;
		struct domain *domain; /* NULL: not in use */
	} dog[SCHED_WATCHDOGS];
	bool code_set;
	unsigned code;
	uint32_t cap;        /* percent of one physical CPU for all its virtual CPUs, 0: none */
	int64_t cap_left;    /* ns in this period */
	bool cap_armed;
	struct timer cap_refill;
};

/**
 * sched_choose_policy() - "bvt" (what it is otherwise), "credit" or "rr", before core_init(). False: no such one.
 * sched_policy_name() - of the one chosen. sched_policy_names() - those there are, for people.
 * sched_slice_ns() - how long, with the one chosen, one runs while others like it wait; 0: that depends.
 */
bool sched_choose_policy(const char *name);
const char *sched_policy_name(void);
const char *sched_policy_names(void);
uint64_t sched_slice_ns(void);

void sched_init(void);
/**
 * sched_vcpu_init() - @v starts VPF_DOWN | VPF_PAUSED: bringing it up and domain_unpause() let it
 * run.
 */
void sched_vcpu_init(struct vcpu *v);
void sched_vcpu_destroy(struct vcpu *v);
/**
 * vcpu_set_context() - give @v its first registers: arch_set_context(), then it counts as
 * initialised and, with VGCF_online, as up. Else as that.
 */
struct vcpu_guest_context;
int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
/** sched_pick() - the virtual CPU to run now on this CPU, or NULL. */
struct vcpu *sched_pick(void);
/** sched_put() - this CPU does not work for @v any more; its runstate follows. */
void sched_put(struct vcpu *v);
/**
 * sched_let_go() - this CPU holds nothing of @v any more; should it be on its way to another, it goes.
 * sched_stays() - may @v, held by this CPU, remain here?
 */
void sched_let_go(struct vcpu *v);
bool sched_stays(const struct vcpu *v);
/** sched_pcpu() - the physical CPU @v is placed on now. */
unsigned sched_pcpu(const struct vcpu *v);
/** sched_yield_vcpu() - @v goes behind its equals. */
void sched_yield_vcpu(struct vcpu *v);
/**
 * vcpu_sleep() / vcpu_wake() - set / clear a VPF_ flag and follow it up (dequeue, enqueue, kick).
 */
void vcpu_sleep(struct vcpu *v, uint32_t flag);
void vcpu_wake(struct vcpu *v, uint32_t flag);
/** vcpu_flags_runnable() - does nothing keep @v off a CPU? */
static inline bool vcpu_flags_runnable(const struct vcpu_sched *s)
{
	return !__atomic_load_n(&s->pause_flags, __ATOMIC_ACQUIRE);
}
/** vcpu_something_due() - is there an upcall or NMI that @v would take now, were it running? */
bool vcpu_something_due(const struct vcpu *v);
/** vcpu_block() - SCHEDOP_block: sleep unless an upcall is pending. */
void vcpu_block(struct vcpu *v);
/** vcpu_unblock() - an event arrived for @v: it blocks or polls no longer. */
void vcpu_unblock(struct vcpu *v);
/**
 * vcpu_attention() - @v has an upcall or NMI to take: unblock it, and get it out of ring 3 if it
 * runs elsewhere.
 */
void vcpu_attention(struct vcpu *v);
/** vcpu_idle_runstate() - RUNSTATE_* of @v while no physical CPU works for it. */
int vcpu_idle_runstate(const struct vcpu *v);

/**
 * sched_note_death() / sched_take_deaths() - a virtual CPU was marked VPF_DEAD / any since the last
 * call?
 */
void sched_note_death(void);
bool sched_take_deaths(void);

/**
 * cpu_unload() - (core/control/loop.c) wait until no physical CPU works for @v or holds its state; it cannot
 * run and no lock is held.
 */
void cpu_unload(struct vcpu *v);

#endif
