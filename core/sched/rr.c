/* SPDX-License-Identifier: MIT */
/*
 * Round robin with a time slice: one queue per physical CPU that holds every runnable virtual CPU
 * placed there, the running one included. The slice timer runs only while there is somebody to
 * switch to, so a virtual CPU that is alone is never interrupted for nothing.
 *
 * policy_pick() is called once per exit. Unless somebody slept, yielded or used up a slice it is
 * two loads.
 */
#include <xenopus/platform.h>
#include "policy.h"

#define SLICE_NS  (10 * NSEC_PER_MSEC)
#define MAX_PCPUS 64

static struct run_queue {
	struct list vcpus;
	unsigned count;
	struct vcpu *current; /* chosen last, NULL: nobody or gone */
	bool decide;          /* do not keep current just because it can run */
	struct timer slice;
} queues[MAX_PCPUS];
static unsigned next_pcpu;

static void slice_over(struct timer *t)
{
	struct run_queue *q = container_of(t, struct run_queue, slice);

	q->decide = true;
	if (q->current)
		q->current->sched.reconsider = true;
}

void policy_init(void)
{
	unsigned i;

	next_pcpu = 0;
	for (i = 0; i < MAX_PCPUS; i++) {
		memset(&queues[i], 0, sizeof(queues[i]));
		list_init(&queues[i].vcpus);
		timer_init(&queues[i].slice, slice_over);
	}
}

void policy_place(struct vcpu *v)
{
	v->sched.pcpu = __atomic_fetch_add(&next_pcpu, 1, __ATOMIC_RELAXED) % plat_info()->pcpus;
	list_init(&v->sched.link);
}

void policy_enqueue(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (v->sched.queued)
		return;
	v->sched.queued = true;
	list_add_tail(&q->vcpus, &v->sched.link);
	q->count++;
	if (q->count > 1 && !q->slice.active)
		timer_set(&q->slice, time_now() + SLICE_NS);
}

void policy_dequeue(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (!v->sched.queued)
		return;
	v->sched.queued = false;
	list_del(&v->sched.link);
	q->count--;
	if (q->count <= 1)
		timer_stop(&q->slice);
}

void policy_forget(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (q->current == v)
		q->current = NULL;
}

void policy_yield(struct vcpu *v)
{
	queues[v->sched.pcpu].decide = true;
	v->sched.reconsider = true;
}

struct vcpu *policy_pick(void)
{
	struct run_queue *q = &queues[plat_cpu_id()];
	struct vcpu *v = q->current;

	if (v && v->sched.queued && !q->decide)
		return v;
	q->decide = false;
	if (v && v->sched.queued) {
		list_del(&v->sched.link);
		list_add_tail(&q->vcpus, &v->sched.link);
	}
	if (list_empty(&q->vcpus)) {
		q->current = NULL;
		return NULL;
	}
	q->current = list_entry(q->vcpus.next, struct vcpu, sched.link);
	if (q->count > 1)
		timer_set(&q->slice, time_now() + SLICE_NS);
	return q->current;
}
