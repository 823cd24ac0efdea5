/* SPDX-License-Identifier: MIT */
/*
 * A piece of computation for guests that measure how much of a processor they get, the same in our own kernel
 * (guests/worker) and in a program of Linux (guests/linux/agent.c): about a millisecond, in registers alone.
 */
#ifndef JOB_H
#define JOB_H

#include <stdint.h>

/** job_unit() - do one; @x is what the last one returned, at first anything but 0. */
static inline uint64_t job_unit(uint64_t x)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 400000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sum += x;
	}
	return sum | 1;
}

#endif
