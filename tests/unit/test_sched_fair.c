/* SPDX-License-Identifier: MIT */
/*
 * What the scheduling policies promise, in simulated time: shares by weight, quick wake-ups by warp and the limits of
 * a warp, no credit for sleeping, caps, affinity, and several physical CPUs.
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
#define S  NSEC_PER_SEC

static int teardown(void **state)
{
	(void)state;
	sim_stop();
	return 0;
}

/* @s is to have had @permille of the time used; 2 % of that either way. */
static void share_is(const struct sim_vcpu *s, unsigned permille)
{
	assert_in_range(sim_permille(s), permille * 98 / 100, permille * 102 / 100 + 1);
}

/* ---- shares ---- */

static void weights_count(const char *policy)
{
	struct sim_vcpu *a, *b, *c;

	sim_start(1, policy);
	a = sim_domain(1, 256);
	b = sim_domain(1, 512);
	c = sim_domain(1, 1024);
	sim_run(20 * S);
	assert_int_equal(a->ran_ns + b->ran_ns + c->ran_ns, 20 * S);
	share_is(a, 143);
	share_is(b, 286);
	share_is(c, 571);
}

static void bvt_shares_by_weight(void **state)
{
	(void)state;
	weights_count("bvt");
	/* Turns are about as long as the allowance of 10 ms: longer for the heavy, never shorter. */
	assert_in_range(sim.switches, 500, 2000);
}

static void credit_shares_by_weight(void **state)
{
	(void)state;
	weights_count("credit");
	assert_in_range(sim.switches, 500, 3000);
}

static void rr_shares_alike(void **state)
{
	struct sim_vcpu *a, *b;

	(void)state;
	sim_start(1, "rr");
	a = sim_domain(1, 256);
	b = sim_domain(1, 1024);
	sim_run(5 * S);
	share_is(a, 500);
	share_is(b, 500);
}

static void extreme_weights(void **state)
{
	struct sim_vcpu *light, *heavy;

	(void)state;
	sim_start(1, "bvt");
	light = sim_domain(1, 1);
	heavy = sim_domain(1, SCHED_WEIGHT_MAX);
	/* 1 : 65535, in turns of at least the allowance: once in 655 s. */
	sim_run(700 * S);
	assert_in_range(light->ran_ns, 10 * MS, 30 * MS);
	assert_int_equal(light->ran_ns + heavy->ran_ns, 700 * S);
}

static void odd_weights(void **state)
{
	struct sim_vcpu *s;
	static const unsigned weight[] = { 3, 7, 11, 101 };

	(void)state;
	sim_start(1, "bvt");
	for (unsigned i = 0; i < 4; i++)
		sim_domain(1, weight[i]);
	s = sim.vcpu;
	sim_run(200 * S);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(s[i].ran_ns, 200 * S / 122 * weight[i] * 97 / 100,
				200 * S / 122 * weight[i] * 103 / 100);
}

/* Virtual time is 64 bits that wrap; nobody notices. */
static void virtual_time_wraps(void **state)
{
	struct sim_vcpu *a, *b;

	(void)state;
	sim_start(1, "bvt");
	sched_queue(0)->bvt.svt = UINT64_MAX - 2 * S;
	a = sim_domain(1, 256);
	b = sim_domain(1, 512);
	sim_interactive(sim_domain(1, 256), MS, 3 * MS);
	sim_run(10 * S);
	assert_true(sched_queue(0)->bvt.svt < 10 * S);
	assert_in_range(b->ran_ns * 1000 / a->ran_ns, 1960, 2040);
}

/* ---- waking ---- */

static struct sim_vcpu *beside_hogs(bool warp)
{
	struct sim_vcpu *s;

	sim_start(1, "bvt");
	sim_domain(3, 256);
	s = sim_domain(1, 256);
	if (warp)
		sim_warp(s, 50 * MS, 0, 0);
	sim_interactive(s, MS, 19 * MS);
	sim_run(20 * S);
	return s;
}

static void warp_wakes_promptly(void **state)
{
	struct sim_vcpu *s;
	uint64_t without;

	(void)state;
	s = beside_hogs(false);
	without = s->latency_ns / s->wakes;
	sim_stop();
	s = beside_hogs(true);
	assert_in_range(without, 2 * MS, 12 * MS);
	assert_true(s->wakes > 900);
	assert_true(s->latency_ns / s->wakes <= SIM_STEP_NS);
	assert_true(s->worst_ns <= 2 * SIM_STEP_NS);
}

/* Whoever computes on is stopped at the limit, and warps again only when the unwarp time has passed. */
static void warp_is_limited(void **state)
{
	struct sim_vcpu *s;

	(void)state;
	sim_start(1, "bvt");
	sim_domain(2, 256);
	s = sim_domain(1, 256);
	sim_warp(s, S, 0, 0);
	sim_interactive(s, 200 * MS, MS);
	sim_run(2 * S);
	assert_true(s->longest_ns >= 200 * MS); /* nobody stops it */

	sim_stop();
	sim_start(1, "bvt");
	sim_domain(2, 256);
	s = sim_domain(1, 256);
	sim_warp(s, S, 15 * MS, 300 * MS);
	sim_interactive(s, 200 * MS, MS);
	sim_run(20 * S);
	/* The limit, and what an unwarped one may run in a turn. */
	assert_in_range(s->longest_ns, 15 * MS, 15 * MS + 25 * MS);
	/* It borrowed; it was given nothing. */
	assert_in_range(sim_permille(s), 310, 345);

	/* The limit holds over several wakes, too: 15 ms of 1 ms each are warped, the others wait. */
	sim_stop();
	sim_start(1, "bvt");
	sim_domain(3, 256);
	s = sim_domain(1, 256);
	sim_warp(s, S, 15 * MS, 2 * S);
	sim_interactive(s, MS, 4 * MS);
	sim_run(S);
	assert_true(s->worst_ns >= 2 * MS);
	assert_true(!s->v->sched.bvt.warped && s->v->sched.bvt.warp_left < MS);
}

static void sleeper_gains_nothing(void **state)
{
	static const char *const policies[] = { "bvt", "credit" };
	struct sim_vcpu *s;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		sim_start(1, policies[i]);
		sim_domain(2, 256);
		s = sim_domain(1, 256);
		vcpu_sleep(s->v, VPF_PAUSED);
		sim_run(30 * S);
		assert_int_equal(s->ran_ns, 0);
		vcpu_wake(s->v, VPF_PAUSED);
		sim_forget();
		sim_run(600 * MS);
		assert_in_range(sim_permille(s), 290, 380);
		if (i == 0)
			sim_stop();
	}
}

static void yielder_gains_nothing(void **state)
{
	struct sim_vcpu *hogs, *s;

	(void)state;
	sim_start(1, "bvt");
	hogs = sim_domain(2, 256);
	s = sim_domain(1, 256);
	for (unsigned i = 0; i < 10000; i++) {
		sim_run(SIM_STEP_NS);
		if (sim.working[0] == s->v)
			sched_yield_vcpu(s->v);
	}
	assert_true(s->ran_ns < 100 * MS);
	assert_in_range(hogs[0].ran_ns * 1000 / hogs[1].ran_ns, 900, 1100);
	sim_forget();
	sim_run(300 * MS);
	assert_in_range(sim_permille(s), 290, 400);
}

/* ---- caps ---- */

static void set_cap(struct domain *d, unsigned percent)
{
	char error[128];

	assert_int_equal(sched_set_cap(d, percent, error, sizeof(error)), 0);
	assert_int_equal(sched_get_cap(d), percent);
}

static void caps_hold(void **state)
{
	static const char *const policies[] = { "credit", "bvt", "rr" };
	struct vcpu_runstate_info info;
	struct sim_vcpu *a, *b;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		sim_start(1, policies[i]);
		a = sim_domain(1, 256);
		set_cap(a->v->domain, 25);
		sim_run(10 * S); /* with nobody else there */
		assert_in_range(a->ran_ns, 10 * S * 245 / 1000, 10 * S * 255 / 1000);
		time_get_runstate(a->v, &info);
		assert_int_equal(info.time[RUNSTATE_blocked], 0);
		b = sim_domain(1, 256);
		sim_forget();
		sim_run(10 * S);
		assert_in_range(sim_permille(a), 240, 260);
		assert_int_equal(a->ran_ns + b->ran_ns, 10 * S); /* the rest is the other's */
		set_cap(b->v->domain, 5);
		sim_forget();
		sim_run(10 * S);
		assert_in_range(a->ran_ns, 10 * S * 245 / 1000, 10 * S * 255 / 1000);
		assert_in_range(b->ran_ns, 10 * S * 45 / 1000, 10 * S * 55 / 1000);
		set_cap(a->v->domain, 0);
		sim_forget();
		sim_run(10 * S);
		assert_in_range(sim_permille(a), 940, 960);
		if (i < 2)
			sim_stop();
	}
}

static void cap_is_the_domains(void **state)
{
	struct sim_vcpu *a;

	(void)state;
	sim_start(2, "credit");
	a = sim_domain(3, 256);
	set_cap(a->v->domain, 120);
	sim_run(10 * S);
	assert_in_range(a[0].ran_ns + a[1].ran_ns + a[2].ran_ns, 117 * S / 10, 123 * S / 10);
	/* It may sleep capped, and be destroyed so. */
	vcpu_sleep(a->v, VPF_PAUSED);
	sim_run(S);
	assert_int_equal(a->v->sched.queued, 0);
}

/* ---- several physical CPUs ---- */

static void equals_share_two_cpus(void **state)
{
	struct sim_vcpu *a;

	(void)state;
	sim_start(2, "bvt");
	a = sim_domain(3, 256);
	sim_run(20 * S);
	for (unsigned i = 0; i < 3; i++)
		share_is(&a[i], 333);
	assert_int_equal(a[0].ran_ns + a[1].ran_ns + a[2].ran_ns, 40 * S);
	/* They take turns at being alone, not at every turn. */
	assert_true(sim.switches < 3000);
}

static void weights_on_two_cpus(void **state)
{
	struct sim_vcpu *a, *b, *c, *d;

	(void)state;
	/* More than a CPU nobody can have; the others share what is left. */
	sim_start(2, "bvt");
	a = sim_domain(1, 256);
	b = sim_domain(1, 512);
	c = sim_domain(1, 1024);
	sim_run(20 * S);
	share_is(a, 167);
	share_is(b, 333);
	share_is(c, 500);
	sim_stop();

	/* 3 : 2 : 4 : 1 of two CPUs. */
	sim_start(2, "bvt");
	a = sim_domain(1, 300);
	b = sim_domain(1, 200);
	c = sim_domain(1, 400);
	d = sim_domain(1, 100);
	sim_run(60 * S);
	assert_in_range(sim_permille(a), 285, 315);
	assert_in_range(sim_permille(b), 190, 210);
	assert_in_range(sim_permille(c), 380, 420);
	assert_in_range(sim_permille(d), 95, 105);
}

/* A queue that was alone for ever, or idle, does not make others pay for it. */
static void history_is_forgotten(void **state)
{
	struct sim_vcpu *lone, *late;

	(void)state;
	sim_start(2, "bvt");
	lone = sim_domain(1, 256);
	sim_run(100 * S);
	late = sim_domain(3, 256);
	sim_run(S); /* to spread out */
	sim_forget();
	sim_run(10 * S);
	assert_in_range(sim_permille(lone), 240, 260);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(sim_permille(&late[i]), 240, 260);
}

static void many_on_four_cpus(void **state)
{
	static const char *const policies[] = { "bvt", "credit", "rr" };

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		sim_start(4, policies[p]);
		for (unsigned i = 0; i < 4; i++)
			sim_domain(4, 256);
		sim_run(10 * S);
		for (unsigned i = 0; i < 16; i++)
			assert_in_range(sim_permille(&sim.vcpu[i]), 60, 66);
		if (p < 2)
			sim_stop();
	}
}

static void idle_cpus_take_over(void **state)
{
	struct sim_vcpu *a;

	(void)state;
	sim_start(3, "bvt");
	a = sim_domain(3, 256);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sched_set_affinity(a[i].v, 1), 0);
	sim_run(S);
	assert_int_equal(a[0].ran_ns + a[1].ran_ns + a[2].ran_ns, S);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sched_set_affinity(a[i].v, ~UINT64_C(0)), 0);
	sim_forget();
	sim_run(S);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(a[i].ran_ns, 990 * MS, S);
}

static void wakes_where_there_is_room(void **state)
{
	struct sim_vcpu *hog, *s;

	(void)state;
	sim_start(2, "bvt");
	hog = sim_domain(1, 256);
	s = sim_domain(4, 256);
	assert_int_equal(sched_set_affinity(hog->v, 1), 0);
	for (unsigned i = 0; i < 4; i++)
		sim_interactive(&s[i], MS, 19 * MS + i * MS);
	sim_run(10 * S);
	for (unsigned i = 0; i < 4; i++)
		assert_true(s[i].latency_ns / s[i].wakes < 2 * MS);
	assert_true(hog->ran_ns > 9 * S);
}

/* ---- affinity ---- */

static struct vcpu *pinned;
static unsigned grace; /* steps in which it may still be elsewhere */

static void stays_in_its_place(void)
{
	for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++)
		if (sim.working[cpu] == pinned && !(pinned->sched.affinity & cpu_bit(cpu)))
			assert_true(grace > 0);
	if (grace)
		grace--;
}

static void affinity_is_kept(void **state)
{
	static const char *const policies[] = { "bvt", "credit", "rr" };

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		sim_start(3, policies[p]);
		sim_domain(4, 256);
		pinned = sim.vcpu[2].v;
		sim_interactive(&sim.vcpu[2], 7 * MS, 3 * MS);
		sim.each_step = stays_in_its_place;
		srand(p);
		for (unsigned i = 0; i < 500; i++) {
			uint64_t mask = (uint64_t)rand() % 7 + 1;

			tp.cpu = (unsigned)rand() % 3;
			grace = 2;
			assert_int_equal(sched_set_affinity(pinned, mask), 0);
			assert_int_equal(sched_set_affinity(pinned, mask << 3), -XEN_EINVAL);
			assert_int_equal(pinned->sched.affinity, mask);
			sim_run((uint64_t)(rand() % 200) * SIM_STEP_NS);
		}
		assert_true(sim.vcpu[2].ran_ns > S / 10);
		if (p < 2)
			sim_stop();
	}
}

/* ---- parameters ---- */

static void parameters_are_checked(void **state)
{
	struct sched_params p, q;
	struct sim_vcpu *a;
	char error[128];

	(void)state;
	sim_start(1, "bvt");
	a = sim_domain(2, 256);
	p = (struct sched_params){ .weight = 0 };
	assert_int_equal(sched_set_params(a->v->domain, 0, &p, error, sizeof(error)), -XEN_EINVAL);
	assert_string_equal(error, "weight 0 is out of range: 1 to 65535, 256 is usual");
	p.weight = SCHED_WEIGHT_MAX + 1;
	assert_int_equal(sched_set_params(a->v->domain, 0, &p, error, sizeof(error)), -XEN_EINVAL);
	p.weight = 100;
	p.warp_ns = SCHED_WARP_MAX_NS + 1000;
	assert_int_equal(sched_set_params(a->v->domain, 0, &p, error, sizeof(error)), -XEN_EINVAL);
	assert_string_equal(error, "warp of 10000001 us is too long: at most 10000000");
	p.warp_ns = SCHED_WARP_MAX_NS;
	p.warp_limit_ns = ~UINT64_C(0);
	assert_int_equal(sched_set_params(a->v->domain, 0, &p, error, sizeof(error)), -XEN_EINVAL);
	p.warp_limit_ns = 0;
	p.unwarp_ns = ~UINT64_C(0);
	assert_int_equal(sched_set_params(a->v->domain, 0, &p, error, sizeof(error)), -XEN_EINVAL);
	assert_int_equal(sched_get_params(a->v->domain, 0, &q), 0);
	assert_int_equal(q.weight, 256);
	p.unwarp_ns = 0;
	assert_int_equal(sched_set_params(a->v->domain, 2, &p, error, sizeof(error)), -XEN_ENOENT);
	assert_int_equal(sched_set_params(a->v->domain, -2, &p, error, sizeof(error)), -XEN_ENOENT);
	assert_int_equal(sched_get_params(a->v->domain, 2, &q), -XEN_ENOENT);
	assert_int_equal(sched_set_params(a->v->domain, 1, &p, error, sizeof(error)), 0);
	assert_int_equal(sched_get_params(a->v->domain, SCHED_ALL_VCPUS, &q), 0);
	assert_int_equal(q.weight, 256);
	assert_int_equal(sched_get_params(a->v->domain, 1, &q), 0);
	assert_memory_equal(&q, &p, sizeof(q));
	assert_int_equal(sched_set_cap(a->v->domain, SCHED_CAP_MAX + 1, error, sizeof(error)), -XEN_EINVAL);
	assert_int_equal(sched_get_cap(a->v->domain), 0);
	assert_int_equal(sched_set_allowance(SCHED_ALLOWANCE_MIN_NS - 1), -XEN_EINVAL);
	assert_int_equal(sched_set_allowance(SCHED_ALLOWANCE_MAX_NS + 1), -XEN_EINVAL);
	assert_int_equal(sched_get_allowance(), SCHED_ALLOWANCE_DEFAULT_NS);
	assert_false(sched_choose_policy("edf"));
	assert_string_equal(sched_policy_name(), "bvt");
}

/* New weights count at once, old times as they were. */
static void weights_change(void **state)
{
	struct sim_vcpu *a, *b;
	struct sched_params p = { .weight = 768 };
	char error[128];

	(void)state;
	sim_start(1, "bvt");
	a = sim_domain(1, 256);
	b = sim_domain(1, 256);
	sim_run(5 * S);
	share_is(a, 500);
	assert_int_equal(sched_set_params(b->v->domain, SCHED_ALL_VCPUS, &p, error, sizeof(error)), 0);
	sim_forget();
	sim_run(10 * S);
	share_is(a, 250);
	share_is(b, 750);
}

static void allowance_sets_the_turns(void **state)
{
	uint64_t quick;

	(void)state;
	assert_int_equal(sched_set_allowance(MS), 0);
	sim_start(1, "bvt");
	sim_domain(3, 256);
	sim_run(3 * S);
	quick = sim.switches;
	sim_stop();
	assert_int_equal(sched_set_allowance(50 * MS), 0);
	sim_start(1, "bvt");
	sim_domain(3, 256);
	sim_run(3 * S);
	assert_int_equal(sched_set_allowance(SCHED_ALLOWANCE_DEFAULT_NS), 0);
	assert_in_range(quick, 1500, 3000);
	assert_in_range(sim.switches, 30, 60);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(bvt_shares_by_weight),
		T(credit_shares_by_weight),
		T(rr_shares_alike),
		T(extreme_weights),
		T(odd_weights),
		T(virtual_time_wraps),
		T(warp_wakes_promptly),
		T(warp_is_limited),
		T(sleeper_gains_nothing),
		T(yielder_gains_nothing),
		T(caps_hold),
		T(cap_is_the_domains),
		T(equals_share_two_cpus),
		T(weights_on_two_cpus),
		T(history_is_forgotten),
		T(many_on_four_cpus),
		T(idle_cpus_take_over),
		T(wakes_where_there_is_room),
		T(affinity_is_kept),
		T(parameters_are_checked),
		T(weights_change),
		T(allowance_sets_the_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
