/* SPDX-License-Identifier: MIT */
/*
 * What a scheduling policy is: one file that defines these functions. The flags that say whether a
 * virtual CPU may run at all, accounting, locks and moving to other physical CPUs are not its business (vcpu.c).
 * Every function but policy_init(), policy_place() and policy_keep() is called with the run queue of the
 * physical CPU in question locked.
 */
#ifndef XENOPUS_POLICY_H
#define XENOPUS_POLICY_H

#include <xenopus/domain.h>

void policy_init(void);
/** policy_place() - choose the physical CPU (v->sched.pcpu) of a new virtual CPU. */
void policy_place(struct vcpu *v);
/** policy_enqueue() / policy_dequeue() - @v has become / is no longer runnable; running or not. */
void policy_enqueue(struct vcpu *v);
void policy_dequeue(struct vcpu *v);
/** policy_forget() - @v goes away; it is dequeued already. */
void policy_forget(struct vcpu *v);
void policy_yield(struct vcpu *v);
/**
 * policy_keep() - is there nothing to decide on physical CPU @pcpu? Then *@v (or NULL) goes on. Without the
 * lock, once per exit: cheap, and now and then a round late.
 */
bool policy_keep(unsigned pcpu, struct vcpu **v);
/** policy_pick() - who runs now on physical CPU @pcpu; NULL: nobody. */
struct vcpu *policy_pick(unsigned pcpu);
/** policy_spare() - is there more than one to run on @pcpu? Without the lock. */
bool policy_spare(unsigned pcpu);
/**
 * policy_steal() - a virtual CPU that waits on @pcpu and whose state no physical CPU holds, taken off the
 * queue; NULL: none.
 */
struct vcpu *policy_steal(unsigned pcpu);

#endif
