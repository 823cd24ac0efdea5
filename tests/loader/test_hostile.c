/* SPDX-License-Identifier: MIT */
/*
 * Hostile input: every truncation and many random changes. Under the sanitizers any read outside the
 * input is fatal; without them the promises of loader.h are still checked on whatever is accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"
#include "shrink.h"

/* Load a copy that ends where its allocation ends. Was it accepted? */
static bool survives(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = g_malloc(len ? len : 1);
	struct loader_kernel k;
	GError *err = NULL;
	bool ok;

	memcpy(copy, bytes, len);
	ok = loader_from_memory(copy, len, "hostile", &k, &err);
	if (ok) {
		check_promises(&k);
		assert_null(err);
	} else {
		assert_true(g_str_has_prefix(err->message, "hostile: "));
		assert_null(strchr(err->message, '\n'));
		g_error_free(err);
	}
	loader_free(&k);
	g_free(copy);
	return ok;
}

static GByteArray *variant(unsigned int i, const GByteArray *elf)
{
	if (i == 0)
		return g_byte_array_append(g_byte_array_new(), elf->data, elf->len);
	if (i <= nr_packers)
		return bzimage_packed(elf, &packers[i - 1]);
	return packers[i - 1 - nr_packers].pack(elf->data, elf->len);
}

static unsigned int nr_variants(void)
{
	return 1 + 2 * nr_packers;
}

/* Where the last byte lies that loading needs: the notes, which are behind the segments. */
static size_t needed(const GByteArray *elf)
{
	struct loader_kernel k;
	const struct loader_segment *last;
	size_t end;

	expect_loads(elf, &k);
	last = &k.segments[k.nr_segments - 1];
	end = (size_t)(last->data - k.image) + last->filesz;
	loader_free(&k);
	return end;
}

static void no_truncation_is_accepted(void **state)
{
	GByteArray *elf = elf_linux();
	size_t must = needed(elf);

	for (unsigned int i = 0; i < nr_variants(); i++) {
		GByteArray *v = variant(i, elf);

		for (size_t len = 0; len < v->len; len++) {
			bool ok = survives(v->data, len);

			if (ok && (i > 0 || len < must))
				fail_msg("variant %u accepted with %zu of %u bytes", i, len, v->len);
		}
		assert_true(survives(v->data, v->len));
		g_byte_array_unref(v);
	}
	g_byte_array_unref(elf);
}

static void random_bits_do_no_harm(void **state)
{
	GByteArray *elf = elf_linux();
	GRand *random = g_rand_new_with_seed(20031019);
	unsigned int accepted = 0, refused = 0;

	for (unsigned int i = 0; i < nr_variants(); i++) {
		GByteArray *v = variant(i, elf);

		for (int round = 0; round < 3000; round++) {
			GByteArray *w = g_byte_array_append(g_byte_array_new(), v->data, v->len);
			int flips = g_rand_int_range(random, 1, 8);

			while (flips--) {
				guint32 bit = (guint32)g_rand_int_range(random, 0,
									(gint32)w->len * 8);

				w->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			}
			survives(w->data, w->len) ? accepted++ : refused++;
			g_byte_array_unref(w);
		}
		g_byte_array_unref(v);
	}
	/* Flips in a segment's bytes pass, flips in what is checked do not: both must have happened. */
	assert_true(accepted > 100 && refused > 100);
	g_rand_free(random);
	g_byte_array_unref(elf);
}

/* The headers and notes are where the parsing is: hit them harder than the rest. */
static void random_words_in_headers_do_no_harm(void **state)
{
	static const uint64_t nasty[] = { 0, 1, 4, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX,
					  UINT64_MAX - 4095, 0x1000, 0x10000 };
	GByteArray *elf = elf_linux();
	GRand *random = g_rand_new_with_seed(42);
	size_t must = needed(elf), headers = 64 + 5 * 56;
	unsigned int refused = 0;

	for (int round = 0; round < 60000; round++) {
		GByteArray *w = g_byte_array_append(g_byte_array_new(), elf->data, elf->len);
		int hits = g_rand_int_range(random, 1, 4);

		while (hits--) {
			size_t at, width = 1u << g_rand_int_range(random, 0, 4);
			uint64_t value = nasty[g_rand_int_range(random, 0, G_N_ELEMENTS(nasty))];

			/* Half of them in the front headers, half in notes and section headers. */
			if (g_rand_boolean(random))
				at = (size_t)g_rand_int_range(random, 4, (gint32)headers);
			else
				at = (size_t)g_rand_int_range(random, (gint32)must,
							      (gint32)w->len - 8);
			memcpy(w->data + at / 2 * 2, &value, width);
		}
		refused += !survives(w->data, w->len);
		g_byte_array_unref(w);
	}
	assert_true(refused > 1000);
	g_rand_free(random);
	g_byte_array_unref(elf);
}

static void random_setup_headers_do_no_harm(void **state)
{
	GByteArray *elf = elf_linux(), *bz = bzimage_packed(elf, packer_named("lz4"));
	GRand *random = g_rand_new_with_seed(7);
	unsigned int refused = 0;

	for (int round = 0; round < 5000; round++) {
		GByteArray *w = g_byte_array_append(g_byte_array_new(), bz->data, bz->len);
		size_t at = (size_t)g_rand_int_range(random, 0x1f0, 0x250);
		uint32_t value = g_rand_int(random) >> g_rand_int_range(random, 0, 32);

		memcpy(w->data + at, &value, 4);
		refused += !survives(w->data, w->len);
		g_byte_array_unref(w);
	}
	assert_true(refused > 500);
	g_rand_free(random);
	g_byte_array_unref(bz);
	g_byte_array_unref(elf);
}

/* A mapped file that becomes shorter reads as zeros from there on, and that is known; its neighbour's does not matter. */
static void shorter_files_read_as_zeros(void **state)
{
	enum { SIZE = 4 * 4096 };
	volatile char *map[2];
	int fd[2];

	for (unsigned i = 0; i < 2; i++) {
		fd[i] = memfd_create("shrinks", 0);
		assert_true(fd[i] >= 0);
		for (unsigned at = 0; at < SIZE; at++)
			assert_int_equal(write(fd[i], "x", 1), 1);
		map[i] = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd[i], 0);
		assert_true(map[i] != MAP_FAILED);
		shrink_watch((const char *)map[i], SIZE);
	}
	assert_int_equal(ftruncate(fd[0], 4097), 0);
	assert_int_equal(map[0][4096], 'x');
	assert_false(shrink_happened((const char *)map[0]));
	assert_int_equal(map[0][SIZE - 1], 0);
	assert_true(shrink_happened((const char *)map[0]));
	assert_int_equal(map[1][SIZE - 1], 'x');
	assert_false(shrink_happened((const char *)map[1]));
	for (unsigned i = 0; i < 2; i++) {
		shrink_unwatch((const char *)map[i]);
		assert_false(shrink_happened((const char *)map[i]));
		assert_int_equal(munmap((char *)map[i], SIZE), 0);
		close(fd[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_truncation_is_accepted),
		cmocka_unit_test(random_bits_do_no_harm),
		cmocka_unit_test(random_words_in_headers_do_no_harm),
		cmocka_unit_test(random_setup_headers_do_no_harm),
		cmocka_unit_test(shorter_files_read_as_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
