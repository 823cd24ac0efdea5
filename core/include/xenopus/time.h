/* SPDX-License-Identifier: MIT */
/*
 * Real, virtual and wall-clock time (paper, 3.3.2); timers of the core. System time is nanoseconds since the
 * machine started, computed from the TSC with one scale, the same the guests are told. Owned by core/time.
 */
#ifndef XENOPUS_TIME_H
#define XENOPUS_TIME_H

#include "lib.h"

struct timer {
	struct list link;
	uint64_t expires; /* system time, ns */
	void (*fn)(struct timer *t);
	bool active;
	unsigned pcpu;
};

struct vcpu_time {
	struct timer singleshot, periodic, poll;
	uint64_t period_ns;
	int runstate;                        /* RUNSTATE_* */
	uint64_t runstate_entry, runstate_ns[4];
	uint64_t runstate_guest_va;          /* registered area, 0: none */
	uint64_t time_guest_va;              /* VCPUOP_register_vcpu_time_memory_area */
};

void time_init(void);
uint64_t time_now(void);                       /* system time, ns */
uint64_t time_ns_to_tsc(uint64_t system_ns);   /* for plat_timer_set() */

void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_set(struct timer *t, uint64_t expires_ns); /* re-arms; may be in the past: fires at the next run */
void timer_stop(struct timer *t);
/** timers_run() - fire what is due on this CPU, then program the platform for the next. */
void timers_run(void);

void vcpu_time_init(struct vcpu *v);
void vcpu_time_destroy(struct vcpu *v);
/** time_update_vcpu() - refresh vcpu_time_info (versioned) before @v runs, when it is stale. */
void time_update_vcpu(struct vcpu *v);
/** time_update_wallclock() - fill the wall clock of d's shared_info. */
void time_update_wallclock(struct domain *d);
/** time_set_runstate() - account the old state of @v, enter @state, update the guest's area. */
void time_set_runstate(struct vcpu *v, int state);

#endif
