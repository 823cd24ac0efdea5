/* SPDX-License-Identifier: MIT */
/*
 * core/lib: strings, printf against the C library's, the log with its limits, assertions; and the
 * bare-metal memory functions against the C library's, under other names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "testplat.h"
#include "xenopus/lib.h"

/* core/lib/mem.c, renamed beside the C library's. */
void *metal_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *metal_memset(void *dst, int c, size_t n);
void *metal_memmove(void *dst, const void *src, size_t n);
int metal_memcmp(const void *a, const void *b, size_t n);

static void strings(void **state)
{
	char buf[5];

	assert_int_equal(xstrlen(""), 0);
	assert_int_equal(xstrlen("frog"), 4);
	assert_int_equal(xstrcmp("a", "a"), 0);
	assert_true(xstrcmp("a", "b") < 0 && xstrcmp("b", "a") > 0);
	assert_true(xstrcmp("a", "ab") < 0 && xstrcmp("\xff", "a") > 0);
	assert_int_equal(xstrncmp("abc", "abd", 2), 0);
	assert_true(xstrncmp("abc", "abd", 3) < 0);
	assert_int_equal(xstrncmp("ab", "ab", 10), 0);

	assert_int_equal(xstrlcpy(buf, "toad", sizeof(buf)), 4);
	assert_string_equal(buf, "toad");
	assert_int_equal(xstrlcpy(buf, "tadpole", sizeof(buf)), 7);
	assert_string_equal(buf, "tadp");
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(xstrlcpy(buf, "a", 0), 1);
	assert_int_equal(buf[0], 'x');
}

/* The C library's snprintf is the model; the formats are no literals for it. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"

__attribute__((format(printf, 1, 2))) static void same(const char *fmt, ...)
{
	char want[300], got[300];
	int want_len, got_len;
	va_list ap;

	va_start(ap, fmt);
	want_len = vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	va_start(ap, fmt);
	got_len = xvsnprintf(got, sizeof(got), fmt, ap);
	va_end(ap);
	if (strcmp(want, got) || want_len != got_len)
		fail_msg("\"%s\": \"%s\" (%d), the C library says \"%s\" (%d)", fmt, got, got_len,
			 want, want_len);
}

static void printf_matches_libc(void **state)
{
	static const char *const flags[] = { "", "-", "0", "+", " ", "#", "-+", "0+", "#0", "-#" };
	static const char *const sizes[] = { "", "3", "12", ".0", ".1", ".7", "12.7", "3.12" };
	static const int64_t values[] = { 0,	     1,		-1,	   42,	     -12345,
					  INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN };

	for (unsigned f = 0; f < ARRAY_SIZE(flags); f++)
		for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++)
			for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
				for (const char *conv = "dixXu"; *conv; conv++) {
					static const char *const lengths[] = { "hh", "h",  "",
									       "l",  "ll", "z" };
					char fmt[32];

					for (unsigned l = 0; l < ARRAY_SIZE(lengths); l++) {
						snprintf(fmt, sizeof(fmt), "<%%%s%s%s%c>", flags[f],
							 sizes[s], lengths[l], *conv);
						if (l < 3)
							same(fmt, (int)values[i]);
						else
							same(fmt, (long)values[i]);
					}
				}
	same("%s|%10s|%-10s|%.2s|%10.3s|%%", "frog", "frog", "frog", "frog", "frog");
	same("%c%c|%5c|%-5c|", 'a', 'b', 'c', 'd');
	same("%*d|%-*d|%.*s|%*s|", 6, 42, 6, 42, 2, "toad", -8, "left");
	same("%.*d|", -1, 5);
	same("%p", (void *)0x1234abcd);
	same("no conversion at all");
}

static void printf_never_overruns(void **state)
{
	const char *volatile nothing = NULL; /* hidden from the compiler, which would object */
	char buf[16];

	for (size_t size = 0; size <= 12; size++) {
		memset(buf, '#', sizeof(buf));
		assert_int_equal(xsnprintf(buf, size, "%s-%d", "abcdef", 12345), 12);
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], '#');
		if (size) {
			assert_int_equal(strlen(buf), size - 1 < 12 ? size - 1 : 12);
			assert_memory_equal(buf, "abcdef-12345", size - 1);
		}
	}
	assert_int_equal(xsnprintf(buf, sizeof(buf), "%s", nothing), 6);
	assert_string_equal(buf, "(null)");
}

static void memory_functions(void **state)
{
	unsigned char a[128], b[128];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t from = (size_t)rand() % 64, to = (size_t)rand() % 64,
		       n = (size_t)rand() % 64;

		for (size_t i = 0; i < sizeof(a); i++)
			a[i] = b[i] = (unsigned char)(rand() % 3);
		switch (round % 4) {
		case 0:
			assert_ptr_equal(metal_memmove(a + to, a + from, n), a + to);
			memmove(b + to, b + from, n);
			break;
		case 1:
			assert_ptr_equal(metal_memset(a + to, round, n), a + to);
			memset(b + to, round, n);
			break;
		case 2:
			assert_ptr_equal(metal_memcpy(a + 64, a, n), a + 64);
			memcpy(b + 64, b, n);
			break;
		case 3: {
			int x = metal_memcmp(a + from, a + to, n), y = memcmp(b + from, b + to, n);

			assert_int_equal((x > 0) - (x < 0), (y > 0) - (y < 0));
			break;
		}
		}
		assert_memory_equal(a, b, sizeof(a));
	}
}

static int start(void **state)
{
	testplat_start(16);
	log_threshold = LOG_INFO;
	return 0;
}

static int stop(void **state)
{
	testplat_stop();
	return 0;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < tp.log_len; i++)
		n += tp.log[i] == '\n';
	return n;
}

static void log_levels(void **state)
{
	xlog(LOG_DEBUG, "not seen");
	assert_int_equal(lines(), 0);
	xlog(LOG_INFO, "seen %d", 1);
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(tp.log, "seen 1"));
	log_threshold = LOG_ERROR;
	xlog(LOG_WARN, "not seen either");
	assert_int_equal(lines(), 1);
}

static void log_is_clean(void **state)
{
	char long_text[2000];

	xlog(LOG_ERROR, "a\033[2Jb\nc\x7f");
	assert_non_null(strstr(tp.log, "a?[2Jb?c?"));
	memset(long_text, 'y', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	testplat_clear();
	xlog(LOG_ERROR, "%s", long_text);
	assert_int_equal(lines(), 1);
	assert_true(tp.log_len < 600);
}

/* The ring has what people were not shown, in order; what was overwritten is gone by whole lines. */
static void log_ring_remembers(void **state)
{
	char line[64], want[64];
	uint64_t from = 0;
	unsigned n = 0, first = 0;

	log_threshold = LOG_ERROR;
	xlog(LOG_INFO, "hidden from people");
	xlog(LOG_DEBUG, "hidden from all");
	assert_int_equal(lines(), 0);
	log_threshold = LOG_INFO;
	while (log_ring_line(&from, line, sizeof(line))) {
		n += !!strstr(line, "] hidden from people");
		assert_null(strstr(line, "hidden from all"));
	}
	assert_int_equal(n, 1);
	for (unsigned i = 0; i < 2000; i++)
		xlog(LOG_INFO, "line %u", i);
	for (n = 0; log_ring_line(&from, line, sizeof(line)); n++) {
		if (!n)
			assert_int_equal(sscanf(strchr(line, ']'), "] line %u", &first), 1);
		snprintf(want, sizeof(want), "] line %u", first + n);
		assert_non_null(strstr(line, want));
	}
	assert_in_range(n, 500, 1999);
	assert_int_equal(first + n, 2000);
	/* What was cleared is not shown again, and what comes later is. */
	log_ring_clear(from);
	from = 0;
	assert_int_equal(log_ring_line(&from, line, sizeof(line)), 0);
	xlog(LOG_INFO, "later");
	from = 0;
	assert_int_not_equal(log_ring_line(&from, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "later"));
}

static void log_is_limited_per_domain(void **state)
{
	static struct domain a, b;
	unsigned first;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.id = 7;
	b.id = 8;
	tp.tsc_step = 0;
	for (int i = 0; i < 1000; i++)
		dlog(&a, LOG_WARN, "noise %d", i);
	first = lines();
	assert_in_range(first, 2, 50);
	assert_non_null(strstr(tp.log, "d7: noise 0"));
	assert_non_null(strstr(tp.log, "d7: further messages suppressed"));

	/* Errors pass, and another domain has a budget of its own. */
	dlog(&a, LOG_ERROR, "crash");
	dlog(&b, LOG_WARN, "hello");
	assert_int_equal(lines(), first + 2);

	/* A second later there is a new budget. */
	tp.tsc += 1000ULL * tp.info.tsc_khz;
	dlog(&a, LOG_WARN, "again");
	assert_non_null(strstr(tp.log, "d7: again"));
}

static void assertion_panics(void **state)
{
	jmp_buf out;

	tp.panic_jmp = &out;
	if (!setjmp(out)) {
		ASSERT(1 + 1 == 3);
		fail_msg("a false assertion went on");
	}
	assert_non_null(strstr(tp.panic_line, "1 + 1 == 3"));
	assert_non_null(strstr(tp.panic_line, "test_lib.c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(printf_matches_libc),
		cmocka_unit_test(printf_never_overruns),
		cmocka_unit_test(memory_functions),
		cmocka_unit_test_setup_teardown(log_levels, start, stop),
		cmocka_unit_test_setup_teardown(log_is_clean, start, stop),
		cmocka_unit_test_setup_teardown(log_ring_remembers, start, stop),
		cmocka_unit_test_setup_teardown(log_is_limited_per_domain, start, stop),
		cmocka_unit_test_setup_teardown(assertion_panics, start, stop),
	};

	return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
