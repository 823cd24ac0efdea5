/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for the loader: meson setup -Dfuzz=true with CC=clang, then run
 * tests/loader/fuzz_loader -rss_limit_mb=4096 CORPUS. Any kernel is a good start of a corpus.
 */
#include <stdlib.h>

#include "loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	struct loader_kernel k;
	GError *err = NULL;
	volatile uint8_t sum = 0;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!loader_from_memory(data, size, "fuzz", &k, &err)) {
		check(err && err->message[0]);
		g_error_free(err);
		return 0;
	}
	check(!err && k.entry >= k.vstart && k.entry < k.vend);
	for (unsigned int i = 0; i < k.nr_segments; i++) {
		const struct loader_segment *s = &k.segments[i];

		check(s->filesz <= s->memsz && s->va >= k.vstart && s->memsz <= k.vend - s->va);
		if (s->filesz)
			sum = (uint8_t)(sum + s->data[0] + s->data[s->filesz - 1]);
	}
	loader_dump(&k, nowhere);
	loader_check_features(&k, 0, NULL);
	loader_free(&k);
	return 0;
}
