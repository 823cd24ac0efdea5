/* SPDX-License-Identifier: MIT */
/*
 * What a scheduling policy is: one file that defines these functions. The flags that say whether a
 * virtual CPU may run at all, and all accounting, are not its business (vcpu.c).
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
 * policy_pick() - who runs now on this physical CPU; NULL: nobody. Cheap when nothing has changed.
 */
struct vcpu *policy_pick(void);

#endif
