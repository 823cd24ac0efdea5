/* SPDX-License-Identifier: MIT */
/*
 * logring.c - the last lines of the log, for whoever comes later
 *
 *	text: ... tail of an overwritten line \n [seconds] line \n [seconds] line \n
 *	                                                                           ^ produced
 *
 * It also remembers lines of LOG_INFO that the threshold keeps from people. Several CPUs may write
 * at once: each reserves its room first. A reader that is overtaken skips to the oldest whole line.
 */
#include <xenopus/lib.h>
#include <xenopus/platform.h>

#define RING_SIZE 16384u

static struct log_ring {
	uint64_t produced, cleared; /* what lies before @cleared is not shown any more */
	char text[RING_SIZE];
} log_ring;

static void put(uint64_t at, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		__atomic_store_n(&log_ring.text[(at + i) % RING_SIZE], text[i], __ATOMIC_RELAXED);
}

void log_ring_add(const char *line, size_t len)
{
	uint32_t khz = plat_info()->tsc_khz;
	uint64_t ms = khz ? plat_tsc() / khz : 0, at;
	char stamp[32];
	size_t n = (size_t)xsnprintf(stamp, sizeof(stamp), "[%llu.%03llu] ",
				     (unsigned long long)(ms / 1000),
				     (unsigned long long)(ms % 1000));

	at = __atomic_fetch_add(&log_ring.produced, n + len + 1, __ATOMIC_RELAXED);
	put(at, stamp, n);
	put(at + n, line, len);
	put(at + n + len, "\n", 1);
}

static char get(uint64_t at)
{
	return __atomic_load_n(&log_ring.text[at % RING_SIZE], __ATOMIC_RELAXED);
}

void log_ring_clear(uint64_t upto)
{
	__atomic_store_n(&log_ring.cleared, upto, __ATOMIC_RELAXED);
}

size_t log_ring_line(uint64_t *from, char *buf, size_t size)
{
	uint64_t end = __atomic_load_n(&log_ring.produced, __ATOMIC_RELAXED), at = *from;
	uint64_t cleared = __atomic_load_n(&log_ring.cleared, __ATOMIC_RELAXED);
	size_t n = 0;

	at = at < cleared ? cleared : at;
	if (end - at > RING_SIZE) {
		at = end - RING_SIZE;
		while (at < end && get(at) != '\n')
			at++;
		at++;
	}
	for (; at < end; at++) {
		char c = get(at);

		if (c == '\n') {
			*from = at + 1;
			buf[n] = '\0';
			return n;
		}
		if (n < size - 1)
			buf[n++] = c;
	}
	*from = end;
	return 0;
}
