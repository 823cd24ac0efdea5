/* SPDX-License-Identifier: MIT */
/*
 * A distribution's kernel, as it is: $XENOPUS_TEST_KERNEL names it; without it the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/elfnote.h>
#include <xen/features.h>

#include "image.h"

static const char *path;

static void stock_kernel_loads(void **state)
{
	struct loader_kernel k;
	GError *err = NULL;
	gint64 start = g_get_monotonic_time();

	if (!loader_open(path, &k, &err))
		fail_msg("%s", err->message);
	print_message("loaded in %.3f s\n", (double)(g_get_monotonic_time() - start) / 1e6);
	loader_dump(&k, stdout);
	check_promises(&k);
	assert_true(g_str_has_prefix(k.format, "bzImage, "));
	assert_string_equal(k.notes.guest_os, "linux");
	assert_int_equal(k.notes.virt_base, 0xffffffff80000000);
	assert_true(loader_has_note(&k, XEN_ELFNOTE_INIT_P2M));
	assert_true(k.notes.mod_start_pfn);
	assert_true(loader_check_features(&k, LOADER_FEATURE(writable_page_tables), NULL));
	loader_free(&k);
}

/* Cut to half, it must be refused at once: the header tells, nothing needs unpacking. */
static void half_of_it_is_refused(void **state)
{
	struct loader_kernel k;
	GError *err = NULL;
	char *bytes;
	gsize len;

	assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	assert_false(loader_from_memory(bytes, len / 2, "half", &k, &err));
	assert_int_equal(err->code, LOADER_ERROR_TRUNCATED);
	assert_non_null(strstr(err->message, "truncated bzImage"));
	g_clear_error(&err);

	memset(bytes + len / 2, 0, 64);
	assert_false(loader_from_memory(bytes, len, "damaged", &k, &err));
	assert_int_equal(err->code, LOADER_ERROR_COMPRESSION);
	g_clear_error(&err);
	g_free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stock_kernel_loads),
		cmocka_unit_test(half_of_it_is_refused),
	};

	path = getenv("XENOPUS_TEST_KERNEL");
	if (!path || !*path) {
		puts("XENOPUS_TEST_KERNEL does not name a kernel: skipped");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
