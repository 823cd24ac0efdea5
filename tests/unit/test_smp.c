/* SPDX-License-Identifier: MIT */
/*
 * A thread for each physical CPU, and virtual CPUs of two domains that make hypercalls at random: mappings, page tables
 * pinned and given up, memory given back and taken again, event channels bound, sent on, closed. Pages and ports are
 * shared by the virtual CPUs of a domain, so they get into each other's way all the time. Afterwards the
 * frame table must be right, everything given back, and ThreadSanitizer must have found nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/core.h"
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define PCPUS   3u
#define DOMAINS 2u
#define VCPUS   3u
#define ROUNDS  80000u
#define FIRST_PAGE 8u /* the pages before are the virtual CPUs' arguments; the last of them is everybody's */
#define PAGES   24u
#define PORTS   64u

#define FLAGS (PTE_P | PTE_US | PTE_A | PTE_D)

#define LINES	100u /* of what is looked at meanwhile */

static unsigned rounds, done_well[8], lines;
static _Thread_local uint64_t seed;

static unsigned roll(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

static uint64_t args_va(const struct vcpu *v)
{
	return SW_VA + v->id * PAGE_SIZE;
}

/* A hypercall with a structure in memory of the virtual CPU's own. */
static long op(struct vcpu *v, hypercall_fn *fn, uint64_t cmd, void *arg, size_t size)
{
	void *place = sw_ptr(v->domain, args_va(v));
	long ret;

	memcpy(place, arg, size);
	ret = sw_call(v, fn, cmd, args_va(v), 0);
	memcpy(arg, place, size);
	return ret;
}

static uint64_t some_va(void)
{
	return SW_VA + (FIRST_PAGE + roll(PAGES)) * PAGE_SIZE;
}

static long map(struct vcpu *v)
{
	static const uint64_t flush[] = { 0, UVMF_INVLPG, UVMF_INVLPG | UVMF_ALL, UVMF_TLB_FLUSH | UVMF_ALL };
	uint64_t mfn = sw_mfn(v->domain, FIRST_PAGE + roll(PAGES)).n;

	return sw_call(v, do_update_va_mapping, some_va(), roll(4) ? mfn << PAGE_SHIFT | FLAGS | (roll(2) ? PTE_RW : 0) : 0,
		       flush[roll(4)]);
}

static long pin(struct vcpu *v)
{
	struct mmuext_op m = { .cmd = roll(2) ? MMUEXT_PIN_L1_TABLE : MMUEXT_UNPIN_TABLE };
	void *place = sw_ptr(v->domain, args_va(v));
	struct hypercall_args a = { .arg = { args_va(v), 1, 0, DOMID_SELF } };

	m.arg1.mfn = sw_mfn(v->domain, FIRST_PAGE + roll(PAGES)).n;
	memcpy(place, &m, sizeof(m));
	return do_mmuext_op(v, &a);
}

/* One frame more and, mostly, less again. */
static long balloon(struct vcpu *v)
{
	uint64_t list = args_va(v) + 1024, *frame = sw_ptr(v->domain, list);
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };
	long ret;

	r.extent_start.p = (void *)(uintptr_t)list;
	*frame = 500;
	ret = op(v, do_memory_op, XENMEM_populate_physmap, &r, sizeof(r));
	if (ret != 1)
		return -1;
	return op(v, do_memory_op, XENMEM_decrease_reservation, &r, sizeof(r)) == 1 ? 0 : -1;
}

static long event(struct vcpu *v)
{
	struct evtchn_bind_ipi bind = { .vcpu = roll(VCPUS) };
	struct evtchn_send send = { .port = 1 + roll(PORTS) };

	switch (roll(4)) {
	case 0:
		return op(v, do_event_channel_op, EVTCHNOP_bind_ipi, &bind, sizeof(bind));
	case 1:
		return op(v, do_event_channel_op, EVTCHNOP_close, &send, sizeof(send));
	default:
		return op(v, do_event_channel_op, EVTCHNOP_send, &send, sizeof(send));
	}
}

/* The few timers are fought for; none is to bite within this test. */
static long watchdog(struct vcpu *v)
{
	struct sched_watchdog w = { .id = roll(3) };

	if (!w.id || roll(2))
		w.timeout = 100000 + roll(9);
	return op(v, do_sched_op, SCHEDOP_watchdog, &w, sizeof(w)) < 0 ? -1 : 0;
}

static long timers(struct vcpu *v)
{
	struct vcpu_set_periodic_timer p = { .period_ns = NSEC_PER_MSEC };
	unsigned other = roll(VCPUS);

	switch (roll(4)) {
	case 0:
		return sw_call(v, do_set_timer_op, time_now() + roll(100000), 0, 0);
	case 1:
		return sw_call(v, do_vcpu_op, VCPUOP_stop_periodic_timer, other, 0);
	default:
		memcpy(sw_ptr(v->domain, args_va(v)), &p, sizeof(p));
		return sw_call(v, do_vcpu_op, VCPUOP_set_periodic_timer, other, args_va(v));
	}
}

static long sleep_or_wake(struct vcpu *v)
{
	struct vcpu *other = v->domain->vcpu[roll(VCPUS)];

	if (!roll(4))
		vcpu_sleep(other, VPF_PAUSED);
	else
		vcpu_wake(other, VPF_PAUSED);
	return 0;
}

/*
 * Virtual CPUs that hand each other a stack do so behind the back of the core, which copies to it and from it. Several in a
 * row, with no lock between them that would order them after all.
 */
static long copies(struct vcpu *v)
{
	uint64_t va = SW_VA + (FIRST_PAGE - 1) * PAGE_SIZE, words[16] = { 0 };
	size_t left = 0;

	for (unsigned i = 0; i < 32; i++) {
		size_t n = 1 + roll(sizeof(words));

		switch (roll(4)) {
		case 0:
			left |= guest_copy_to(v, va, words, n);
			break;
		case 1:
			left |= guest_copy_from(v, words, va, n);
			break;
		case 2:
			left |= guest_copy_to(v, va, words, 5 * sizeof(*words));
			break;
		default:
			left |= guest_copy_from(v, words, va, 5 * sizeof(*words));
		}
	}
	return left ? -1 : 0;
}

static void guest(struct vcpu *v, struct trap *t)
{
	static long (*const deeds[])(struct vcpu *v) = { map, pin, balloon, event, sleep_or_wake, watchdog, timers, copies };
	unsigned deed = roll(ARRAY_SIZE(done_well));

	/* What follows happens in the core: the hypercall a guest has made. */
	t->cause = TRAP_KICK;
	if (deeds[deed](v) == 0)
		__atomic_fetch_add(&done_well[deed], 1, __ATOMIC_RELAXED);
	/* CPU 0 may have had no time to look yet. */
	if (__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED) >= ROUNDS && __atomic_load_n(&lines, __ATOMIC_RELAXED) >= LINES)
		core_stop();
}

/* Everybody may have been put to sleep. */
static void idle(void)
{
	struct list *pos;

	list_for_each (pos, &domain_list)
		for (unsigned i = 0; i < VCPUS; i++)
			vcpu_wake(list_entry(pos, struct domain, link)->vcpu[i], VPF_PAUSED);
	sched_yield();
}

static void one_more(void *opaque, const char *text)
{
	__atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);
}

/* On CPU 0 somebody asks now and then what all of them are doing. */
static void curious(void)
{
	static unsigned polls;

	if (plat_cpu_id() || ++polls % 64)
		return;
	debug_key('0', one_more, NULL);
	debug_key('q', one_more, NULL);
}

static void *cpu(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;

	testplat_thread_is(id);
	seed = id + 1;
	core_cpu_loop();
	return NULL;
}

static void hypercalls_of_many(void **state)
{
	struct domain *d[DOMAINS];
	uint64_t pages[DOMAINS];
	pthread_t thread[PCPUS];

	(void)state;
	smallworld_start_on(PCPUS);
	for (unsigned i = 0; i < DOMAINS; i++) {
		d[i] = sw_domain(VCPUS);
		d[i]->mm.max_pages += 8;
		pages[i] = d[i]->mm.tot_pages;
		for (unsigned n = 0; n < VCPUS; n++)
			sw_run(d[i]->vcpu[n]);
	}
	tp.threaded = true;
	tp.run = guest;
	tp.idle = idle;
	tp.poll = curious;
	time_init();
	for (unsigned i = 0; i < PCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, cpu, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < PCPUS; i++)
		pthread_join(thread[i], NULL);
	tp.threaded = false;
	for (unsigned i = 0; i < ARRAY_SIZE(done_well); i++)
		assert_in_range(done_well[i], 100, ~0u);
	for (unsigned i = 0; i < DOMAINS; i++) {
		assert_int_equal(d[i]->state, DOM_RUNNING);
		assert_int_equal(d[i]->mm.tot_pages, pages[i]);
	}
	assert_int_equal(mm_audit(), 0);
	smallworld_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(hypercalls_of_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
