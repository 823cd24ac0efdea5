/* SPDX-License-Identifier: MIT */
/*
 * The jobs of the vector-heavy load: hashing and matrix products over 512-bit vectors, which the compiler
 * turns into SSE2, AVX2 or AVX-512 code per target, with bit-identical results (no contraction to fused
 * multiply-add: built with -ffp-contract=off); sorting; copying.
 */
#include "vload.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_ROUNDS = 600000, MATRIX = 96, SORT_WORDS = 40000, COPY_BYTES = 1 << 20 };

typedef uint32_t words __attribute__((vector_size(64)));
typedef double doubles __attribute__((vector_size(64)));

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t fold(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

/* Inlined into one function per target. All state lives in vector registers for milliseconds. */
static inline __attribute__((always_inline)) uint64_t hash_job(uint64_t seed)
{
	words a, b, c, d, w;
	uint64_t state = seed;

	for (int i = 0; i < 16; i++) {
		a[i] = (uint32_t)next(&state);
		b[i] = (uint32_t)next(&state);
		c[i] = (uint32_t)next(&state);
		d[i] = (uint32_t)next(&state);
	}
	w = a + b + c + d;
	for (int i = 0; i < HASH_ROUNDS; i++) {
		a = (a ^ w) * 0x9e3779b1u;
		b = (b << 13 | b >> 19) + a;
		c = (c ^ b) * 0x85ebca6bu;
		d = (d << 7 | d >> 25) ^ c;
		w = w * 5 + d;
	}
	w = a ^ b ^ c ^ d ^ w;
	return fold(&w, sizeof(w));
}

static inline __attribute__((always_inline)) uint64_t matrix_job(uint64_t seed)
{
	static double a[MATRIX][MATRIX], b[MATRIX][MATRIX], c[MATRIX][MATRIX];
	uint64_t state = seed;

	for (int i = 0; i < MATRIX; i++) {
		for (int j = 0; j < MATRIX; j++) {
			a[i][j] = (double)(next(&state) >> 40) / 65536;
			b[i][j] = (double)(next(&state) >> 40) / 65536;
		}
	}
	for (int i = 0; i < MATRIX; i++) {
		for (int j = 0; j < MATRIX; j += 8) {
			doubles sum = {0}, row;

			for (int k = 0; k < MATRIX; k++) {
				memcpy(&row, &b[k][j], sizeof(row));
				sum = sum + row * a[i][k];
			}
			memcpy(&c[i][j], &sum, sizeof(sum));
		}
	}
	return fold(c, sizeof(c));
}

#define PER_TARGET(job)                                                                            \
	uint64_t vload_##job##_baseline(uint64_t seed)                                             \
	{                                                                                          \
		return job##_job(seed);                                                            \
	}                                                                                          \
	__attribute__((target("avx2"))) uint64_t vload_##job##_avx2(uint64_t seed)                 \
	{                                                                                          \
		return job##_job(seed);                                                            \
	}                                                                                          \
	__attribute__((target("avx512f,prefer-vector-width=512"))) uint64_t                        \
		vload_##job##_avx512(uint64_t seed)                                                \
	{                                                                                          \
		return job##_job(seed);                                                            \
	}

PER_TARGET(hash)
PER_TARGET(matrix)

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t vload_sort(uint64_t seed)
{
	static uint64_t data[SORT_WORDS];
	uint64_t state = seed;

	for (int i = 0; i < SORT_WORDS; i++)
		data[i] = next(&state);
	qsort(data, SORT_WORDS, sizeof(data[0]), by_value);
	for (int i = 1; i < SORT_WORDS; i++) {
		if (data[i - 1] > data[i])
			return 0;
	}
	return fold(data, sizeof(data));
}

/* The C library's copies are vector code that picks its width by cpuid, as every program's are. */
uint64_t vload_copy(uint64_t seed)
{
	char *from = malloc(COPY_BYTES + 64), *to = malloc(COPY_BYTES + 64);
	uint64_t state = seed, hash = 0;

	if (!from || !to)
		return 0;
	for (int i = 0; i < COPY_BYTES; i += 8) {
		uint64_t word = next(&state);

		memcpy(from + i, &word, 8);
	}
	for (int i = 0; i < 24; i++) {
		size_t shift = next(&state) % 64, length = COPY_BYTES - next(&state) % 4096;

		memcpy(to + shift, from, length);
		memmove(to + 64 - shift, to + shift, length - 64);
		memcpy(from, to + 64 - shift, length - 64);
		hash += (uint64_t)memcmp(from, to + 64 - shift, length - 64);
	}
	hash += fold(from, COPY_BYTES);
	free(from);
	free(to);
	return hash;
}
