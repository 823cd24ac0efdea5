/* SPDX-License-Identifier: MIT */
/* core/control/stopped.c: words for what becomes of a domain that stops, and how soon it starts again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "testplat.h"
#include "xenopus/stopped.h"
#include "xenopus/time.h"
#include <xen/sched.h>

static void words(void **state)
{
	assert_int_equal(stop_action_named("destroy"), ACTION_DESTROY);
	assert_int_equal(stop_action_named("restart"), ACTION_RESTART);
	assert_int_equal(stop_action_named("rename-restart"), ACTION_RENAME_RESTART);
	assert_int_equal(stop_action_named("preserve"), ACTION_PRESERVE);
	assert_int_equal(stop_action_named("coredump-destroy"), ACTION_COREDUMP_DESTROY);
	assert_int_equal(stop_action_named("coredump-restart"), ACTION_COREDUMP_RESTART);
	assert_int_equal(stop_action_named(""), -1);
	assert_int_equal(stop_action_named("rest"), -1);
	assert_int_equal(stop_action_named("restarts"), -1);
	assert_string_equal(stop_keys[SHUTDOWN_watchdog], "on_watchdog");
	assert_string_equal(stop_reason_name(SHUTDOWN_crash), "crash");
	assert_string_equal(stop_reason_name(77), "unknown");
}

static void delays(void **state)
{
	static const unsigned expected[] = { 0, 1, 2, 4, 8, 16, 32, 64, 64, 64 };
	unsigned quick = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(restart_delay(&quick, NSEC_PER_SEC), expected[i]);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(restart_delay(&quick, 10 * NSEC_PER_SEC), 64);
	/* One that lasted, and all is as at first. */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(restart_delay(&quick, 10 * NSEC_PER_SEC + 1), 0);
	assert_int_equal(restart_delay(&quick, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
