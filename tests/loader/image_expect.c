/* SPDX-License-Identifier: MIT */
/*
 * What every answer of the loader must be like, good or bad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "image.h"

#define NAME	"test.img"

void check_promises(const struct loader_kernel *k)
{
	uint64_t total = 0;

	assert_true(k->nr_segments > 0);
	assert_true(k->vstart < k->vend && k->vend - k->vstart <= LOADER_MAX_EXTENT);
	assert_true(k->notes.virt_base <= k->vstart);
	assert_true(k->entry >= k->vstart && k->entry < k->vend);
	for (unsigned int i = 0; i < k->nr_segments; i++) {
		const struct loader_segment *s = &k->segments[i];

		assert_true(s->data >= k->image && s->data <= k->image + k->image_len);
		assert_true(s->filesz <= (size_t)(k->image + k->image_len - s->data));
		assert_true(s->memsz >= s->filesz);
		assert_true(s->va >= k->vstart && s->memsz <= k->vend - s->va);
		assert_true(s->va - s->phys == k->notes.virt_base);
		total += s->memsz;
	}
	assert_true(total <= 2 * (k->vend - k->vstart));
}

/* Bytes at the very end of an allocation, so that a sanitizer sees every read beyond them. */
static uint8_t *tight_copy(const GByteArray *bytes)
{
	uint8_t *copy = g_malloc(bytes->len ? bytes->len : 1);

	if (bytes->len)
		memcpy(copy, bytes->data, bytes->len);
	return copy;
}

void expect_loads(const GByteArray *bytes, struct loader_kernel *k)
{
	GError *err = NULL;

	if (!loader_from_memory(bytes->data, bytes->len, NAME, k, &err))
		fail_msg("refused: %s", err->message);
	assert_null(err);
	check_promises(k);
}

void expect_refused(const GByteArray *bytes, enum loader_error code, const char *words)
{
	static const struct loader_kernel zeroed;
	char **list = g_strsplit(words, "|", -1);
	uint8_t *copy = tight_copy(bytes);
	struct loader_kernel k;
	GError *err = NULL;

	if (loader_from_memory(copy, bytes->len, NAME, &k, &err))
		fail_msg("accepted, although: %s", words);
	assert_memory_equal(&k, &zeroed, sizeof(k));
	assert_true(err->domain == LOADER_ERROR);
	if (err->code != (int)code)
		fail_msg("code %d instead of %d: %s", err->code, (int)code, err->message);
	assert_true(g_str_has_prefix(err->message, NAME ": "));
	assert_null(strchr(err->message, '\n'));
	/* The remedy follows a semicolon. */
	assert_non_null(strchr(err->message, ';'));
	for (char **word = list; *word; word++)
		if (!strstr(err->message, *word))
			fail_msg("'%s' is not in: %s", *word, err->message);
	g_error_free(err);
	g_strfreev(list);
	g_free(copy);
}
