/* SPDX-License-Identifier: MIT */
/*
 * Self-check, time: clocks agree and never go back, sleeps last as long as they should and end.
 *
 * Upper bounds are very wide, because the machine may be loaded; lower bounds are exact.
 */
#include "check.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	require(clock_gettime(clock, &ts) == 0, "clock_gettime: %m");
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* The same clock by a true system call, past the vDSO. */
static int64_t now_syscall(clockid_t clock)
{
	struct timespec ts;

	require(syscall(SYS_clock_gettime, clock, &ts) == 0, "clock_gettime: %m");
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void monotonic(void)
{
	int64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t end;
	pid_t pid;

	require(shared != MAP_FAILED, "mmap: %m");
	/* Two processes that hand the time on to each other, over one second. */
	shared[0] = now(CLOCK_MONOTONIC);
	end = shared[0] + 1000000000;
	pid = check_fork();
	for (int64_t last = 0; last < end;) {
		int64_t before = __atomic_load_n(&shared[0], __ATOMIC_SEQ_CST), time;

		time = now(CLOCK_MONOTONIC);
		require(time >= before, "the clock went back %ld ns between processes",
			(long)(before - time));
		require(time >= last, "the clock went back %ld ns", (long)(last - time));
		/* Only forwards: the other process may have written a later time meanwhile. */
		__atomic_compare_exchange_n(&shared[0], &before, time, 0, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		last = time;
		time = now_syscall(CLOCK_MONOTONIC);
		require(time >= last, "the clock by system call is %ld ns behind the vDSO's",
			(long)(last - time));
		last = time;
	}
	if (pid == 0)
		_exit(0);
	check_wait(pid, 0);
}

static void sleeps(void)
{
	for (int i = 1; i <= 10; i++) {
		struct timespec ts = {0, i * 5000000};
		int64_t start = now(CLOCK_MONOTONIC), took;

		require(nanosleep(&ts, NULL) == 0, "nanosleep: %m");
		took = now(CLOCK_MONOTONIC) - start;
		require(took >= ts.tv_nsec, "a sleep of %d ms took %ld us", i * 5,
			(long)(took / 1000));
		require(took < ts.tv_nsec + 10000000000ll, "a sleep of %d ms took %ld ms", i * 5,
			(long)(took / 1000000));
	}
	/* A poll with nothing to wait for. */
	int64_t start = now(CLOCK_MONOTONIC);

	require(poll(NULL, 0, 30) == 0, "poll: %m");
	require(now(CLOCK_MONOTONIC) - start >= 30000000, "a poll of 30 ms was too short");
}

static void timer_descriptor(void)
{
	struct itimerspec every = {{0, 10000000}, {0, 10000000}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t start = now(CLOCK_MONOTONIC);
	uint64_t total = 0, count;

	require(fd >= 0 && timerfd_settime(fd, 0, &every, NULL) == 0, "timerfd: %m");
	while (total < 20) {
		require(read(fd, &count, sizeof(count)) == sizeof(count), "timerfd: %m");
		total += count;
	}
	require(now(CLOCK_MONOTONIC) - start >= (int64_t)total * 10000000,
		"%d periods of 10 ms took less", (int)total);
	close(fd);
}

/* All clocks advance alike; the wall clock is a plausible one; the TSC goes forward. */
static void clocks(void)
{
	int64_t mono = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME), raw = now(CLOCK_MONOTONIC_RAW);
	int64_t boot = now(CLOCK_BOOTTIME);
	struct timespec ts = {0, 300000000};
	uint64_t tsc = __builtin_ia32_rdtsc();
	int64_t d;

	require(real / 1000000000 > 1700000000, "the wall clock says %ld seconds since 1970",
		(long)(real / 1000000000));
	nanosleep(&ts, NULL);
	require(__builtin_ia32_rdtsc() > tsc, "the TSC stands still");
	d = now(CLOCK_MONOTONIC) - mono;
	/* Read one after the other, so equal only to within a scheduling delay. */
	real = now(CLOCK_REALTIME) - real - d;
	raw = now(CLOCK_MONOTONIC_RAW) - raw - d;
	boot = now(CLOCK_BOOTTIME) - boot - d;
	require(real > -200000000 && real < 5000000000, "wall clock and monotonic differ by %ld us",
		(long)(real / 1000));
	require(raw > -200000000 && raw < 5000000000, "raw and monotonic clock differ by %ld us",
		(long)(raw / 1000));
	require(boot > -200000000 && boot < 5000000000, "boot and monotonic clock differ by %ld us",
		(long)(boot / 1000));
}

static void accounting(void)
{
	volatile uint64_t work = 1;
	int64_t start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall;

	while (now(CLOCK_PROCESS_CPUTIME_ID) - cpu < 200000000)
		for (int i = 0; i < 100000; i++)
			work = work * 5 + 3;
	wall = now(CLOCK_MONOTONIC) - start;
	/* A process cannot use more processor time than there is; a tick of slack for the rounding. */
	require(wall >= 190000000, "200 ms of processor time in %ld ms", (long)(wall / 1000000));
}

const struct check_topic time_topics[] = {
	{"time-monotonic", monotonic}, {"time-sleep", sleeps},
	{"timerfd", timer_descriptor}, {"time-clocks", clocks},
	{"time-accounting", accounting}, {NULL, NULL},
};
