/* SPDX-License-Identifier: MIT */
/*
 * The CPU loop and the scheduler with a thread for each physical CPU: virtual CPUs block, wake each other, yield, are
 * pinned, capped and re-weighted at random. No virtual CPU may run in two places, none may be forgotten, and
 * ThreadSanitizer must find nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "smallworld.h"
#include "../../core/sched/policy.h"
#include "xenopus/control.h"
#include "xenopus/core.h"

#define PCPUS  3u
#define VCPUS  8u
#define ROUNDS 60000u

static struct vcpu *vcpu[VCPUS];
static bool inside[VCPUS];
static unsigned rounds, ran[VCPUS], misplaced;
static _Thread_local uint64_t seed;

static unsigned roll(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

static unsigned number(const struct vcpu *v)
{
	return (v->domain->id - 1) * (VCPUS / 2) + v->id;
}

static void set_params(struct vcpu *v)
{
	struct sched_params p = { .weight = 1 + roll(1000), .warp = roll(2), .warp_ns = roll(30) * NSEC_PER_MSEC };
	char error[128];

	if (sched_set_params(v->domain, roll(2) ? (int)v->id : SCHED_ALL_VCPUS, &p, error, sizeof(error)))
		abort();
}

static void deed(struct vcpu *v)
{
	struct vcpu *other = vcpu[roll(VCPUS)];
	char error[128];

	switch (roll(40)) {
	case 0:
		vcpu_sleep(other, VPF_PAUSED);
		break;
	case 1:
		sched_set_affinity(other, 1 + roll((1u << PCPUS) - 1));
		break;
	case 2:
		set_params(other);
		break;
	case 3:
		sched_set_cap(other->domain, roll(2) * 50, error, sizeof(error));
		break;
	case 4:
	case 5:
	case 6:
		sched_yield_vcpu(v);
		break;
	case 7:
	case 8:
	case 9:
		vcpu_block(v);
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < 2; i++)
		vcpu_wake(vcpu[roll(VCPUS)], VPF_PAUSED | VPF_BLOCKED);
}

/* The guest: it is alone in this virtual CPU for as long as it is in here. */
static void guest(struct vcpu *v, struct trap *t)
{
	unsigned n = number(v);

	if (__atomic_exchange_n(&inside[n], true, __ATOMIC_SEQ_CST))
		abort();
	if (sched_pcpu(v) != plat_cpu_id())
		__atomic_fetch_add(&misplaced, 1, __ATOMIC_RELAXED);
	for (unsigned i = roll(200); i; i--)
		__asm__ volatile("pause");
	__atomic_fetch_add(&ran[n], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&inside[n], false, __ATOMIC_SEQ_CST);
	/* What follows happens in the core, still by this CPU. */
	deed(v);
	if (__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED) == ROUNDS)
		core_stop();
	t->cause = TRAP_KICK;
}

static void idle(void)
{
	/* Somebody may have put everybody to sleep. */
	vcpu_wake(vcpu[roll(VCPUS)], VPF_PAUSED | VPF_BLOCKED);
	sched_yield();
}

static void *cpu(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;

	testplat_thread_is(id);
	seed = id + 1;
	core_cpu_loop();
	return NULL;
}

static void run_policy(const char *policy)
{
	pthread_t thread[PCPUS];

	assert_true(sched_choose_policy(policy));
	smallworld_start_on(PCPUS);
	tp.threaded = true;
	tp.run = guest;
	tp.idle = idle;
	/* The clock has changed. */
	time_init();
	memset(ran, 0, sizeof(ran));
	rounds = misplaced = 0;
	for (unsigned i = 0; i < VCPUS; i++) {
		static struct domain *d;

		if (i % (VCPUS / 2) == 0)
			d = sw_domain(VCPUS / 2);
		vcpu[i] = d->vcpu[i % (VCPUS / 2)];
		time_set_periodic(vcpu[i], 0);
	}
	for (unsigned i = 0; i < VCPUS; i++)
		sw_run(vcpu[i]);
	for (unsigned i = 0; i < PCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, cpu, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < PCPUS; i++)
		pthread_join(thread[i], NULL);

	assert_int_equal(misplaced, 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *v = vcpu[i];
		struct list *pos;
		bool listed = false;

		assert_true(ran[i] > ROUNDS / VCPUS / 20);
		assert_false(v->sched.running || v->sched.loaded);
		assert_int_equal(v->sched.queued, !v->sched.pause_flags);
		list_for_each(pos, &sched_queue(v->sched.pcpu)->vcpus)
			listed |= queue_entry(pos) == v;
		assert_int_equal(listed, v->sched.queued);
		assert_int_equal(v->time.runstate, vcpu_idle_runstate(v));
	}
	testplat_thread_is(0);
	smallworld_stop();
	assert_true(sched_choose_policy("bvt"));
}

static void borrowed_virtual_time(void **state)
{
	(void)state;
	run_policy("bvt");
}

static void credit(void **state)
{
	(void)state;
	run_policy("credit");
}

static void round_robin(void **state)
{
	(void)state;
	run_policy("rr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(borrowed_virtual_time),
		cmocka_unit_test(credit),
		cmocka_unit_test(round_robin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
