/* SPDX-License-Identifier: MIT */
/* core/control: what people type (words.c) and the columns they read (table.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "testplat.h"
#include "xenopus/cpu.h"
#include "xenopus/words.h"

static void numbers(void **state)
{
	static const char *const bad[] = { "", "x", "-1", "+1", " 1", "1 ", "0x10", "3", "64", "99999999999999999999" };
	uint64_t n = 77;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(words_number(bad[i], 4, 63, &n));
	assert_int_equal(n, 77);
	assert_true(words_number("4", 4, 63, &n) && n == 4);
	assert_true(words_number("0063", 4, 63, &n) && n == 63);
	assert_true(words_number("18446744073709551615", 0, UINT64_MAX, &n) && n == UINT64_MAX);
	assert_false(words_number("18446744073709551616", 0, UINT64_MAX, &n));
	assert_false(words_number("7", 0, 5, &n));
}

static void memory(void **state)
{
	static const char *const bad[] = { "", "m", "12mm", "12 m", "-1", "1b", "12x", "2000000000t", "1.5g" };
	uint64_t kib = 77;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(words_memory(bad[i], &kib));
	assert_int_equal(kib, 77);
	assert_true(words_memory("64", &kib) && kib == 64 << 10);
	assert_true(words_memory("64k", &kib) && kib == 64);
	assert_true(words_memory("64M", &kib) && kib == 64 << 10);
	assert_true(words_memory("2g", &kib) && kib == 2 << 20);
	assert_true(words_memory("1T", &kib) && kib == UINT64_C(1) << 30);
}

static void processors(void **state)
{
	static const char *const bad[] = { "", ",", "1,", "2-1", "64", "1-64", "a", "1-", "^1", "1;2", "all1", "1 2" };
	static const struct {
		const char *text, *back;
		uint64_t cpus;
	} good[] = {
		{ "0", "0", 1 }, { "1-3", "1-3", 0xe }, { "0-3,^1,7", "0,2-3,7", 0x8d }, { " 2 , 5 ", "2,5", 0x24 },
		{ "all", "all", ~UINT64_C(0) }, { "all,^0", "1-63", ~UINT64_C(1) }, { "63", "63", UINT64_C(1) << 63 },
	};
	uint64_t cpus = 77;
	char text[WORDS_CPUS];

	tp.info.pcpus = 64;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(words_cpus(bad[i], &cpus));
	assert_int_equal(cpus, 77);
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(words_cpus(good[i].text, &cpus));
		assert_int_equal(cpus, good[i].cpus);
		words_cpus_text(cpus, text, sizeof(text));
		assert_string_equal(text, good[i].back);
	}
	/* The longest there is fits. */
	words_cpus_text(UINT64_C(0x5555555555555555), text, sizeof(text));
	assert_string_equal(text + strlen(text) - 3, ",62");
	tp.info.pcpus = 2;
	words_cpus_text(3, text, sizeof(text));
	assert_string_equal(text, "all");
}

static void names(void **state)
{
	static const char *const bad[] = { "", "12", "a/b", "a\nb", "a\033b", "a\177",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	char why[160];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		assert_false(words_name(bad[i], why, sizeof(why)));
		assert_true(why[0] && !strpbrk(why, "\n\033"));
	}
	assert_true(words_name("12a", why, sizeof(why)));
	assert_true(words_name("one.two-3 Gr\xc3\xbc\xc3\x9f" "e", why, sizeof(why)));
}

static void columns(void **state)
{
	const struct row_domain d = { "frog", 3, "shutdown", "crash", 65536, 2, UINT64_C(12349999999) };
	const struct row_vcpu v = { "frog", 3, 1, "running", 0, UINT64_C(12350000000), "0-1" };
	const struct row_vcpu off = { "frog", 3, 2, "offline", -1, 0, "all" };
	const struct row_rates r = { { "toad", 4, "blocked", NULL, 2048, 1, 0 }, false, 2000000000, 500000000, 3000, 5 };
	const struct row_rates unknown = { { "toad", 4, "blocked", NULL, 2048, 1, 0 }, false, 0, 1, 1, 1 };
	const struct row_scheduling s = { "frog", 3, 256, true, 1, 2, 3, 50 };
	char row[TABLE_ROW];

	table_domain(&d, row, sizeof(row));
	assert_string_equal(row, "frog                                         3    64     2     ---sc-      12.3");
	table_vcpu(&v, row, sizeof(row));
	assert_string_equal(row, "frog                                 3     1     0   r--      12.4  0-1 / all");
	table_vcpu(&off, row, sizeof(row));
	assert_string_equal(row, "frog                                 3     2     -   --p       0.0  all / all");
	table_uptime("frog", 3, 3661, row, sizeof(row));
	assert_string_equal(row, "frog                                 3  1:01:01");
	table_uptime("frog", 3, 2 * 86400 + 59, row, sizeof(row));
	assert_string_equal(row, "frog                                 3 2 days,  0:00:59");
	table_sched(&s, row, sizeof(row));
	assert_string_equal(row, "frog                                 3    256   on         1         2          3    50");
	assert_int_equal(strlen(row), strlen(table_scheduling));
	table_rate(&r, row, sizeof(row));
	assert_string_equal(row,
		"toad                         4 blocked        0.0   25.0        2     1      1500         2");
	assert_int_equal(strlen(row), strlen(table_rates));
	table_rate(&unknown, row, sizeof(row));
	assert_string_equal(row,
		"toad                         4 blocked        0.0    0.0        2     1         0         0");
}

static void picks(void **state)
{
	static const struct {
		const char *name;
		int other;
	} verbs[] = { { "list", 1 }, { "vcpu-list", 2 }, { "vcpu-set", 3 }, { "listen", 4 }, { "top", 5 } };

	assert_int_equal(words_pick("list", verbs, sizeof(verbs[0]), 5), 0);
	assert_int_equal(words_pick("liste", verbs, sizeof(verbs[0]), 5), 3);
	assert_int_equal(words_pick("t", verbs, sizeof(verbs[0]), 5), 4);
	assert_int_equal(words_pick("vcpu-s", verbs, sizeof(verbs[0]), 5), 2);
	assert_int_equal(words_pick("lis", verbs, sizeof(verbs[0]), 5), -2);
	assert_int_equal(words_pick("v", verbs, sizeof(verbs[0]), 5), -2);
	assert_int_equal(words_pick("tops", verbs, sizeof(verbs[0]), 5), -1);
	assert_int_equal(words_pick("top", verbs, sizeof(verbs[0]), 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(picks),
		cmocka_unit_test(numbers), cmocka_unit_test(memory), cmocka_unit_test(processors),
		cmocka_unit_test(names),   cmocka_unit_test(columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
