/* SPDX-License-Identifier: MIT */
/*
 * Who runs next. One small interface; the policy behind it is one file. Owned by core/sched.
 */
#ifndef XENOPUS_SCHED_H
#define XENOPUS_SCHED_H

#include "lib.h"

/* vcpu_sched.pause_flags: any bit set keeps the virtual CPU off the run queue. */
#define VPF_DOWN     0x01u /* not brought up yet / VCPUOP_down */
#define VPF_BLOCKED  0x02u /* SCHEDOP_block or _poll */
#define VPF_PAUSED   0x04u /* by control */
#define VPF_DEAD     0x08u /* domain shut down */

struct vcpu_sched {
	struct list link; /* run queue */
	bool queued;
	uint32_t pause_flags;
	unsigned pcpu;
	uint32_t poll_port;  /* SCHEDOP_poll: 0 none, ~0u several */
};

void sched_init(void);
void sched_vcpu_init(struct vcpu *v);
void sched_vcpu_destroy(struct vcpu *v);
/** sched_pick() - the virtual CPU to run now on this CPU, or NULL. */
struct vcpu *sched_pick(void);
/** sched_yield_vcpu() - @v goes behind its equals. */
void sched_yield_vcpu(struct vcpu *v);
/** vcpu_sleep() / vcpu_wake() - set / clear a VPF_ flag and follow it up (dequeue, enqueue, kick). */
void vcpu_sleep(struct vcpu *v, uint32_t flag);
void vcpu_wake(struct vcpu *v, uint32_t flag);
/** vcpu_block() - SCHEDOP_block: sleep unless an upcall is pending. */
void vcpu_block(struct vcpu *v);
/** vcpu_unblock() - an event arrived for @v. */
void vcpu_unblock(struct vcpu *v);

#endif
