/* SPDX-License-Identifier: MIT */
/*
 * Does time go backwards, from whichever virtual CPU it is read? And does the kernel's account of where each virtual
 * CPU's time went add up?
 *
 *	xclock			until SIGTERM, beside whatever else runs; one line "xclock: ok ..." or "xclock: FAIL ..."
 *	xclock --accounts N	N seconds, with every virtual CPU busy all along; the lines of /proc/stat too
 *
 * A thread per virtual CPU reads the clock and compares it with the latest that anybody has read before: a virtual CPU
 * whose clock is behind sees the past, one whose clock is ahead shows the others that they are behind.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CPUS = 64, FIELDS = 8, STEAL = 7, BURST = 100, TICK_NS = 10000000 };

static int64_t latest[2];
static volatile sig_atomic_t ended;
static bool busy;
static uint64_t readings;
static int64_t worst;
static int64_t start;
static int64_t away[MAX_CPUS]; /* how long each thread did not look: pauses of more than a tick */

static int64_t now(clockid_t clock, bool syscall_)
{
	struct timespec ts;

	if (syscall_)
		syscall(SYS_clock_gettime, clock, &ts);
	else
		clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* The clock (by a true system call, or as the vDSO has it), but not before what anybody has seen of it: by how much it is, is kept. */
static int64_t look(unsigned which, clockid_t clock, bool syscall_)
{
	int64_t before = __atomic_load_n(&latest[which], __ATOMIC_SEQ_CST), time = now(clock, syscall_), w;

	if (time < before) {
		w = __atomic_load_n(&worst, __ATOMIC_RELAXED);
		while (before - time > w && !__atomic_compare_exchange_n(&worst, &w, before - time, 0, __ATOMIC_SEQ_CST,
									 __ATOMIC_SEQ_CST))
			;
	}
	while (time > before && !__atomic_compare_exchange_n(&latest[which], &before, time, 0, __ATOMIC_SEQ_CST,
							     __ATOMIC_SEQ_CST))
		;
	return time;
}

static void *reader(void *cpu)
{
	int64_t last = start, time;
	struct timespec pause = { 0, 20000000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((int)(intptr_t)cpu, &set);
	/* A virtual CPU that goes away meanwhile leaves its thread to another: nothing wrong with that. */
	sched_setaffinity(0, sizeof(set), &set);
	while (!ended) {
		for (int i = 0; i < BURST; i++) {
			time = look(0, CLOCK_MONOTONIC, i == 0);
			if (time - last > TICK_NS)
				away[(intptr_t)cpu] += time - last;
			last = time;
			look(1, CLOCK_MONOTONIC_RAW, i == 1);
		}
		__atomic_add_fetch(&readings, 2 * BURST, __ATOMIC_RELAXED);
		if (!busy)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* The fields of each virtual CPU's line: user, nice, system, idle, iowait, irq, softirq, steal. */
static void read_accounts(long ticks[MAX_CPUS][FIELDS])
{
	char line[512];
	FILE *f = fopen("/proc/stat", "r");

	memset(ticks, 0, sizeof(long) * MAX_CPUS * FIELDS);
	while (f && fgets(line, sizeof(line), f)) {
		char *at = line + 3;
		long cpu;

		if (strncmp(line, "cpu", 3) || line[3] == ' ')
			continue;
		cpu = strtol(at, &at, 10);
		for (int i = 0; i < FIELDS && cpu >= 0 && cpu < MAX_CPUS; i++)
			ticks[cpu][i] = strtol(at, &at, 10);
	}
	if (f)
		fclose(f);
}

/*
 * The kernel counts ticks, and those are lost for which the physical processor itself did not run, as one of a busy
 * machine's emulator: too little is only what is missing of the time in which the thread did look.
 * The kernel samples, and hands out stolen time when it has the CPU again: a quarter and a second either way are the
 * rounding of a machine with other things to do, not an account that is wrong.
 */
static int judge_accounts(long before[MAX_CPUS][FIELDS], int64_t elapsed)
{
	long after[MAX_CPUS][FIELDS], wall = elapsed / TICK_NS, stolen = 0, total = 0;
	int failed = 0;

	read_accounts(after);
	for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
		long seen, sum = 0, steal = after[cpu][STEAL] - before[cpu][STEAL];

		if (!after[cpu][0] && !after[cpu][STEAL])
			continue;
		for (int i = 0; i < FIELDS; i++) {
			if (after[cpu][i] < before[cpu][i]) {
				printf("xclock: FAIL cpu%d: field %d of /proc/stat goes back\n", cpu, i);
				failed++;
			}
			sum += after[cpu][i] - before[cpu][i];
		}
		seen = wall - away[cpu] / TICK_NS;
		if (sum < seen - seen / 4 - 100 || sum > wall + wall / 4 + 100) {
			printf("xclock: FAIL cpu%d: %ld ticks accounted in %ld, of which %ld were seen\n", cpu, sum, wall, seen);
			failed++;
		}
		stolen += steal;
		total += sum;
	}
	printf("xclock: %ld of %ld ticks stolen\n", stolen, total);
	return failed;
}

static void stop(int signal)
{
	(void)signal;
	ended = 1;
}

int main(int argc, char **argv)
{
	static long before[MAX_CPUS][FIELDS];
	pthread_t threads[MAX_CPUS];
	struct timespec second = { 1, 0 };
	int nr = (int)sysconf(_SC_NPROCESSORS_CONF), seconds = 0, failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--accounts"))
		seconds = atoi(argv[2]);
	if (argc != 1 && !seconds) {
		fprintf(stderr, "usage: xclock [--accounts SECONDS]\n");
		return 2;
	}
	busy = seconds != 0;
	start = now(CLOCK_MONOTONIC, false);
	nr = nr > MAX_CPUS ? MAX_CPUS : nr;
	signal(SIGTERM, stop);
	if (busy)
		read_accounts(before);
	for (int i = 0; i < nr; i++) {
		errno = pthread_create(&threads[i], NULL, reader, (void *)(intptr_t)i);
		if (errno) {
			perror("xclock: FAIL a thread");
			return 1;
		}
	}
	while (!ended) {
		if (busy && now(CLOCK_MONOTONIC, false) - start >= seconds * 1000000000ll)
			ended = 1;
		else
			nanosleep(&second, NULL);
	}
	for (int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	if (busy)
		failed += judge_accounts(before, now(CLOCK_MONOTONIC, false) - start);
	if (worst || !readings) {
		printf("xclock: FAIL time went back by up to %ld ns (%lu readings)\n", (long)worst, (unsigned long)readings);
		failed++;
	}
	if (!failed)
		printf("xclock: ok %lu readings, none goes back\n", (unsigned long)readings);
	return failed != 0;
}
