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

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(bvt_shares_by_weight),
		T(credit_shares_by_weight),
		T(rr_shares_alike),
		T(extreme_weights),
		T(odd_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
