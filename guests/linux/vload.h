/* SPDX-License-Identifier: MIT */
/*
 * The vector-heavy load: its jobs. Each is a pure function of a seed, computed with as much vector state
 * as the processor has, and each has the one right answer that vload.c knows beforehand.
 */
#ifndef XENOPUS_GUEST_VLOAD_H
#define XENOPUS_GUEST_VLOAD_H

#include <stdint.h>

enum { VLOAD_SEEDS = 4 };

struct vload_job {
	const char *name;
	uint64_t (*run)(uint64_t seed);
	uint64_t right[VLOAD_SEEDS];
};

uint64_t vload_hash_baseline(uint64_t seed);
uint64_t vload_hash_avx2(uint64_t seed);
uint64_t vload_hash_avx512(uint64_t seed);
uint64_t vload_matrix_baseline(uint64_t seed);
uint64_t vload_matrix_avx2(uint64_t seed);
uint64_t vload_matrix_avx512(uint64_t seed);
uint64_t vload_sort(uint64_t seed);
uint64_t vload_copy(uint64_t seed);

#endif
