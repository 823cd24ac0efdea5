/* SPDX-License-Identifier: MIT */
/*
 * Round robin with a time slice: one queue per physical CPU that holds every runnable virtual CPU
 * placed there, the running one included. The slice timer runs only while there is somebody to
 * switch to, so a virtual CPU that is alone is never interrupted for nothing.
 *
 * policy_keep() is called once per exit. Unless somebody slept, yielded or used up a slice it is
 * three loads.
 */
#include <xenopus/cpu.h>
#include <xenopus/platform.h>
#include "policy.h"

#define SLICE_NS (10 * NSEC_PER_MSEC)

static struct run_queue {
	struct list vcpus;
	unsigned count;
	struct vcpu *current; /* chosen last, NULL: nobody or gone */
	bool decide;          /* do not keep current just because it can run */
	struct timer slice;
} __attribute__((aligned(64))) queues[MAX_PCPUS];
static unsigned next_pcpu;

/* The CPU that made the queue longer set the timer, so it may fire on any. */
static void slice_over(struct timer *t)
{
	struct run_queue *q = container_of(t, struct run_queue, slice);
	unsigned pcpu = (unsigned)(q - queues);

	__atomic_store_n(&q->decide, true, __ATOMIC_RELEASE);
	cpu_request(pcpu);
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

static void set_queued(struct vcpu *v, bool queued)
{
	__atomic_store_n(&v->sched.queued, queued, __ATOMIC_RELAXED);
}

static void count(struct run_queue *q, int by)
{
	__atomic_store_n(&q->count, q->count + (unsigned)by, __ATOMIC_RELAXED);
}

static void set_current(struct run_queue *q, struct vcpu *v)
{
	__atomic_store_n(&q->current, v, __ATOMIC_RELAXED);
}

void policy_enqueue(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (v->sched.queued)
		return;
	set_queued(v, true);
	list_add_tail(&q->vcpus, &v->sched.link);
	count(q, 1);
	if (q->count == 2)
		timer_set(&q->slice, time_now() + SLICE_NS);
}

void policy_dequeue(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (!v->sched.queued)
		return;
	set_queued(v, false);
	list_del(&v->sched.link);
	count(q, -1);
	if (q->count == 1)
		timer_stop(&q->slice);
}

void policy_forget(struct vcpu *v)
{
	struct run_queue *q = &queues[v->sched.pcpu];

	if (q->current == v)
		set_current(q, NULL);
}

void policy_yield(struct vcpu *v)
{
	__atomic_store_n(&queues[v->sched.pcpu].decide, true, __ATOMIC_RELEASE);
	cpu_request(v->sched.pcpu);
}

bool policy_keep(unsigned pcpu, struct vcpu **v)
{
	struct run_queue *q = &queues[pcpu];

	*v = __atomic_load_n(&q->current, __ATOMIC_RELAXED);
	return *v && __atomic_load_n(&(*v)->sched.queued, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&q->decide, __ATOMIC_RELAXED);
}

struct vcpu *policy_pick(unsigned pcpu)
{
	struct run_queue *q = &queues[pcpu];
	struct vcpu *v = q->current;

	__atomic_store_n(&q->decide, false, __ATOMIC_RELAXED);
	if (v && v->sched.queued && v->sched.pcpu == pcpu) {
		list_del(&v->sched.link);
		list_add_tail(&q->vcpus, &v->sched.link);
	}
	if (list_empty(&q->vcpus)) {
		set_current(q, NULL);
		return NULL;
	}
	set_current(q, list_entry(q->vcpus.next, struct vcpu, sched.link));
	if (q->count > 1)
		timer_set(&q->slice, time_now() + SLICE_NS);
	return q->current;
}

bool policy_spare(unsigned pcpu)
{
	return __atomic_load_n(&queues[pcpu].count, __ATOMIC_RELAXED) > 1;
}

struct vcpu *policy_steal(unsigned pcpu)
{
	struct run_queue *q = &queues[pcpu];
	struct list *pos;

	list_for_each(pos, &q->vcpus) {
		struct vcpu *v = list_entry(pos, struct vcpu, sched.link);

		if (v == q->current || __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST) ||
		    __atomic_load_n(&v->sched.loaded, __ATOMIC_SEQ_CST))
			continue;
		policy_dequeue(v);
		return v;
	}
	return NULL;
}
