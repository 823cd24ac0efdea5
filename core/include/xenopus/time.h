/* SPDX-License-Identifier: MIT */
/*
 * Real, virtual and wall-clock time (paper, 3.3.2); timers of the core. System time is nanoseconds
 * since the machine started, computed from the TSC with one scale, the same the guests are told.
 * Owned by core/time.
 */
#ifndef XENOPUS_TIME_H
#define XENOPUS_TIME_H

#include "lib.h"
#include "lock.h"

#define NSEC_PER_SEC  UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)

/** struct timer - one-shot; zeroed memory is a stopped timer without a function. */
struct timer {
	struct list link;
	uint64_t expires; /* system time, ns */
	void (*fn)(struct timer *t);
	bool active;
	unsigned pcpu;    /* whose queue holds it while active */
};

/*
 * vcpu_time.stale: copies in guest memory that could not be written while the guest was in user
 * mode.
 */
#define TIME_STALE_RUNSTATE 0x01u
#define TIME_STALE_AREA     0x02u

struct vcpu_time {
	struct timer singleshot, periodic, poll;
	uint64_t period_ns;                  /* 0: off */
	uint64_t periodic_last;              /* when the periodic timer last ticked */
	struct spinlock runstate_lock;
	int runstate;                        /* RUNSTATE_* */
	uint64_t runstate_entry, runstate_ns[4];
	uint64_t runstate_guest_va;          /* registered area, 0: none */
	uint64_t time_guest_va;              /* VCPUOP_register_vcpu_time_memory_area */
	const struct vcpu_info *written;     /* the vcpu_info that holds the present time record */
	uint32_t stale;
};

void time_init(void);
uint64_t time_now(void);                       /* system time, ns */
/** time_ns_to_tsc() - the first TSC value at which time_now() is at least @system_ns (< 2^63). */
uint64_t time_ns_to_tsc(uint64_t system_ns);
/** time_from_tsc() - system time at TSC value @tsc, by the formula guests use. */
uint64_t time_from_tsc(uint64_t tsc);

void timer_init(struct timer *t, void (*fn)(struct timer *t));
/** timer_set() - (re-)arm; a time in the past fires at the next timers_run(). */
void timer_set(struct timer *t, uint64_t expires_ns);
void timer_stop(struct timer *t);
/** timer_kill() - stop @t and wait for its function, should it be running on another CPU; no lock is held. */
void timer_kill(struct timer *t);
/** timers_run() - fire what is due on this CPU, then program the platform for the next. */
void timers_run(void);
/**
 * timers_program() - tell the platform the next deadline of this CPU, if it is another than it
 * knows.
 */
void timers_program(void);
/**
 * timers_kicked() - the platform's timer may have been used up: tell it again whatever comes next.
 */
void timers_kicked(void);

void vcpu_time_init(struct vcpu *v);
void vcpu_time_destroy(struct vcpu *v);
/** time_update_vcpu() - refresh vcpu_time_info (versioned) and areas before @v runs, when stale. */
void time_update_vcpu(struct vcpu *v);
/** time_update_wallclock() - fill the wall clock of d's shared_info. */
void time_update_wallclock(struct domain *d);
/** time_set_runstate() - account the old state of @v, enter @state, update the guest's area. */
void time_set_runstate(struct vcpu *v, int state);
/** time_get_runstate() - the record with the time of the present state included. */
struct vcpu_runstate_info;
void time_get_runstate(const struct vcpu *v, struct vcpu_runstate_info *info);

/**
 * time_register_runstate() / time_register_area() - VCPUOP_register_*_memory_area of @v by @caller.
 */
int time_register_runstate(struct vcpu *caller, struct vcpu *v, uint64_t va);
int time_register_area(struct vcpu *caller, struct vcpu *v, uint64_t va);

/**
 * time_set_singleshot() - VIRQ_TIMER of @v at system time @ns; at once when that is past.
 * time_set_periodic() - VIRQ_TIMER every @ns while @v runs; 0: never.
 */
void time_set_singleshot(struct vcpu *v, uint64_t ns);
void time_set_periodic(struct vcpu *v, uint64_t ns);
/**
 * time_sched_in() / time_sched_out() - @v gets / loses a physical CPU: its periodic timer goes with
 * it.
 */
void time_sched_in(struct vcpu *v);
/** time_timer_bound() - @v has just bound VIRQ_TIMER: its periodic timer has somebody to tick for. */
void time_timer_bound(struct vcpu *v);
void time_sched_out(struct vcpu *v);

#endif
