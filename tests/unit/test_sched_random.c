/* SPDX-License-Identifier: MIT */
/*
 * Random sleeping, waking, yielding and setting of parameters in simulated time, on one to four physical CPUs and with
 * every policy. After each step what must always hold is looked at from outside; and with Borrowed Virtual Time the
 * paper's promise is: two that want to run all along never come further apart than the allowance permits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "schedsim.h"
#include "../../core/sched/policy.h"
#include <xen/vcpu.h>

#define MS NSEC_PER_MSEC

#define VCPUS 9u

static unsigned waiting[VCPUS]; /* steps in which it waited although a CPU it may use was idle */
static unsigned deeds;          /* in 1000 steps */

static int teardown(void **state)
{
	(void)state;
	sim_stop();
	return 0;
}

static unsigned roll(unsigned n)
{
	return (unsigned)rand() % n;
}

static void change_params(struct vcpu *v)
{
	struct sched_params p = {
		.weight = 1u << roll(12),
		.warp = roll(2),
		.warp_ns = roll(100) * MS,
		.warp_limit_ns = roll(2) * roll(20) * MS,
		.unwarp_ns = roll(2) * roll(200) * MS,
	};
	char error[128];

	assert_int_equal(sched_set_params(v->domain, (int)v->id, &p, error, sizeof(error)), 0);
}

static void one_deed(void)
{
	struct vcpu *v = sim.vcpu[roll(VCPUS)].v;
	char error[128];

	tp.cpu = roll(tp.info.pcpus);
	switch (roll(10)) {
	case 0:
	case 1:
		vcpu_sleep(v, roll(2) ? VPF_PAUSED : VPF_BLOCKED);
		break;
	case 2:
	case 3:
	case 4:
		vcpu_wake(v, VPF_PAUSED | VPF_BLOCKED);
		break;
	case 5:
		vcpu_unblock(v);
		break;
	case 6:
		if (sim.working[tp.cpu])
			sched_yield_vcpu(sim.working[tp.cpu]);
		break;
	case 7:
		change_params(v);
		break;
	case 8:
		sched_set_affinity(v, roll(1u << tp.info.pcpus));
		break;
	case 9:
		assert_int_equal(sched_set_cap(v->domain, roll(2) * roll(150), error, sizeof(error)), 0);
		break;
	}
}

static bool on_list(const struct run_queue *q, const struct vcpu *v)
{
	struct list *pos;

	list_for_each(pos, &q->vcpus)
		if (queue_entry(pos) == v)
			return true;
	return false;
}

static void check_one(unsigned n)
{
	struct vcpu *v = sim.vcpu[n].v;
	unsigned works = 0, holds = 0;
	bool idle = false;

	assert_int_equal(v->sched.queued, !v->sched.pause_flags);
	for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++) {
		assert_int_equal(on_list(sched_queue(cpu), v), v->sched.queued && v->sched.pcpu == cpu);
		works += sim.working[cpu] == v;
		holds += sim.loaded[cpu] == v;
		if (sim.loaded[cpu] == v)
			assert_int_equal(v->sched.pcpu, cpu);
		idle |= !sim.working[cpu] && vcpu_may_run_on(v, cpu);
	}
	assert_int_equal(works, v->sched.running);
	assert_int_equal(holds, v->sched.loaded);
	assert_true(works <= holds && holds <= 1);
	assert_int_equal(v->time.runstate, works ? RUNSTATE_running : vcpu_idle_runstate(v));
	/* It is taken over within two rounds of the idle CPU. */
	waiting[n] = idle && v->sched.queued && !works ? waiting[n] + 1 : 0;
	assert_true(waiting[n] <= 2);
}

static void check_and_do(void)
{
	for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++) {
		const struct run_queue *q = sched_queue(cpu);
		struct list *pos;
		unsigned n = 0;

		list_for_each(pos, &q->vcpus)
			n++;
		assert_int_equal(q->count, n);
	}
	for (unsigned i = 0; i < VCPUS; i++)
		check_one(i);
	if (roll(1000) < deeds)
		one_deed();
}

static void nobody_is_lost(const char *policy, unsigned pcpus)
{
	uint64_t begin[VCPUS];

	sim_start(pcpus, policy);
	for (unsigned i = 0; i < VCPUS; i += 3)
		sim_domain(3, 256);
	for (unsigned i = 0; i < VCPUS; i++)
		begin[i] = sim.vcpu[i].v->time.runstate_entry - sim.vcpu[i].v->time.runstate_ns[0] -
			   sim.vcpu[i].v->time.runstate_ns[1] - sim.vcpu[i].v->time.runstate_ns[2] -
			   sim.vcpu[i].v->time.runstate_ns[3];
	sim.each_step = check_and_do;
	memset(waiting, 0, sizeof(waiting));
	for (deeds = 1; deeds <= 1000; deeds *= 10)
		sim_run(300 * MS);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu_runstate_info info;

		time_get_runstate(sim.vcpu[i].v, &info);
		assert_int_equal(info.time[0] + info.time[1] + info.time[2] + info.time[3], time_now() - begin[i]);
		/* The clock's scale rounds. */
		assert_in_range(info.time[RUNSTATE_running] + 10, sim.vcpu[i].ran_ns, sim.vcpu[i].ran_ns + 20);
	}
}

static void random_deeds(void **state)
{
	static const char *const policies[] = { "bvt", "credit", "rr" };

	(void)state;
	srand(42);
	for (unsigned p = 0; p < 3; p++) {
		for (unsigned pcpus = 1; pcpus <= 4; pcpus++) {
			nobody_is_lost(policies[p], pcpus);
			if (p < 2 || pcpus < 4)
				sim_stop();
		}
	}
}

/* ---- the promise ---- */

static struct pair {
	bool both;
	int64_t ahead; /* virtual time of the first over the second's when both began to want */
} pairs[VCPUS][VCPUS];

static int64_t virtual_time(unsigned i)
{
	return (int64_t)(sim.vcpu[i].ran_ns * SCHED_WEIGHT_DEFAULT / sim.vcpu[i].v->sched.params.weight);
}

static int64_t turn_of(unsigned i)
{
	return (int64_t)((SCHED_ALLOWANCE_DEFAULT_NS + 2 * SIM_STEP_NS) * SCHED_WEIGHT_DEFAULT /
			 sim.vcpu[i].v->sched.params.weight);
}

static void check_pairs(void)
{
	for (unsigned i = 0; i < VCPUS; i++) {
		for (unsigned j = 0; j < i; j++) {
			struct pair *p = &pairs[i][j];
			bool both = sim.vcpu[i].v->sched.queued && sim.vcpu[j].v->sched.queued;
			int64_t ahead = virtual_time(i) - virtual_time(j), apart;

			if (!both || !p->both) {
				p->both = both;
				p->ahead = ahead;
				continue;
			}
			apart = ahead - p->ahead;
			assert_true(llabs(apart) <= turn_of(i) + turn_of(j));
		}
	}
	if (roll(40) == 0) {
		struct vcpu *v = sim.vcpu[roll(VCPUS)].v;

		tp.cpu = 0;
		if (v->sched.pause_flags)
			vcpu_wake(v, VPF_PAUSED);
		else if (roll(3) == 0)
			vcpu_sleep(v, VPF_PAUSED);
	}
}

static void never_far_apart(void **state)
{
	(void)state;
	srand(7);
	sim_start(1, "bvt");
	for (unsigned i = 0; i < VCPUS; i += 3) {
		sim_domain(1, 128);
		sim_domain(2, 256 + 107 * i);
	}
	memset(pairs, 0, sizeof(pairs));
	sim.each_step = check_pairs;
	sim_run(10 * NSEC_PER_SEC);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(random_deeds),
		T(never_far_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
