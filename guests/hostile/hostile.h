/* SPDX-License-Identifier: MIT */
/*
 * Guests that break rules on purpose. Those that must be crashed for it never come to the line
 * printed by survived(); those that are only refused say so and power off. Either way the process
 * that runs them stays in order.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "guest.h"

/* survived() - the guest should be dead by now. */
static inline void survived(void)
{
	check(false, "is crashed", "it lives on");
}

/* random64() - the same sequence in every run (xorshift64*). */
static inline uint64_t random64(void)
{
	static uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* random_number() - as random64(), but often one of those at which code breaks. */
static inline uint64_t random_number(void)
{
	uint64_t r = random64();

	switch (r >> 60) {
	case 0:
		return 0;
	case 1:
		return ~UINT64_C(0);
	case 2:
		return r & 0xff;
	case 3:
		return r & 0xffffff;
	case 4:
		return UINT64_C(1) << (r & 63);
	case 5:
		return (UINT64_C(1) << (r & 63)) - 1;
	case 6:
		return UINT64_C(0xffff800000000000) + (r & 0xfffffffffff);
	case 7:
		return UINT64_C(0x7fffffffffff) - (r & 0xfff);
	case 8:
		return (uint64_t)(int64_t)(int32_t)r;
	case 9:
		return r & UINT64_C(0xffffffffff000);
	default:
		return r;
	}
}

#endif
