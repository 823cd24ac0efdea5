/* SPDX-License-Identifier: MIT */
/*
 * The vector-heavy load: several processes that hash, multiply, sort, copy, fork and exec for a while and
 * compare every result with the right one, known beforehand. A hypervisor that loses vector
 * state, mixes up pages or drops a register gives itself away by a wrong result.
 *
 *	vload [SECONDS [PROCESSES]]	default 60 seconds, 5 processes
 *	vload --answers			print the table of right answers (of this machine)
 *	vload --job N SEED		one job; exit status says if its result was right
 *
 * Ends with the line "xenopus-vload: N rounds, N wrong", N rounds being jobs done.
 */
#include "vload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HASH_ANSWERS \
	{0xe1b37d0cb9fc87be, 0xcdda63f7b0ec7c5a, \
	 0x9fe64ef271d8f84d, 0x71fa72a6980b1cb9}
#define MATRIX_ANSWERS \
	{0x5abf7de89b11a9f5, 0x8e5be0777fb8ef9d, \
	 0x24704873a6c76f7b, 0xc1a936952e09ad3a}
#define SORT_ANSWERS \
	{0x4c4a6a176106754a, 0xe07d770a2aa64b23, \
	 0x67a1b1ad22031fa3, 0x736ed1509666e120}
#define COPY_ANSWERS \
	{0x9acce0194a6f8555, 0x8bd5950400c51c0e, \
	 0x550bbf4eb6456dd8, 0xaf6927325beef91e}

static const struct vload_job jobs[] = {
	{"hash", vload_hash_baseline, HASH_ANSWERS},
	{"matrix", vload_matrix_baseline, MATRIX_ANSWERS},
	{"sort", vload_sort, SORT_ANSWERS},
	{"copy", vload_copy, COPY_ANSWERS},
	/* From here on only where the processor can. */
	{"hash-avx2", vload_hash_avx2, HASH_ANSWERS},
	{"matrix-avx2", vload_matrix_avx2, MATRIX_ANSWERS},
	{"hash-avx512", vload_hash_avx512, HASH_ANSWERS},
	{"matrix-avx512", vload_matrix_avx512, MATRIX_ANSWERS},
};

enum { BASELINE_JOBS = 4, AVX2_JOBS = 6, AVX512_JOBS = 8 };

struct totals {
	long rounds, wrong;
};

static int usable_jobs(void)
{
	/* The compiler's run-time support looks at cpuid and xgetbv, like the C library. */
	if (__builtin_cpu_supports("avx512f"))
		return AVX512_JOBS;
	return __builtin_cpu_supports("avx2") ? AVX2_JOBS : BASELINE_JOBS;
}

/* Runs one job; true if its result is right. */
static int job_right(int job, int seed)
{
	uint64_t got = jobs[job].run((uint64_t)seed), right = jobs[job].right[seed];

	if (got == right)
		return 1;
	printf("vload: %s(%d) gave %016llx, not %016llx\n", jobs[job].name, seed,
	       (unsigned long long)got, (unsigned long long)right);
	fflush(stdout);
	return 0;
}

/* The job in a child; every fourth time in a fresh program image. */
static int job_forked(int job, int seed, long round)
{
	char number[2][16];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (round % 4 == 0) {
			snprintf(number[0], sizeof(number[0]), "%d", job);
			snprintf(number[1], sizeof(number[1]), "%d", seed);
			execl("/proc/self/exe", "vload", "--job", number[0], number[1], (char *)NULL);
			_exit(2);
		}
		_exit(!job_right(job, seed));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		printf("vload: a child for %s ended with 0x%x\n", jobs[job].name, pid < 0 ? -1 : status);
		fflush(stdout);
		return 0;
	}
	return 1;
}

static void work(struct totals *totals, int self, time_t end)
{
	int usable = usable_jobs();

	for (long round = self * 7; time(NULL) < end || totals->rounds < usable; round++) {
		int job = (int)(round % usable), seed = (int)(round / usable % VLOAD_SEEDS);
		int right = round % 5 ? job_right(job, seed) : job_forked(job, seed, round / 5);

		totals->rounds++;
		totals->wrong += !right;
	}
}

static int load(long seconds, int processes)
{
	struct totals *totals = mmap(NULL, processes * sizeof(*totals), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct totals all = {0, 0};
	time_t end = time(NULL) + seconds;
	pid_t pid[64];

	if (totals == MAP_FAILED) {
		perror("vload: mmap");
		return 1;
	}
	printf("vload: %d processes for %ld s, %s\n", processes, seconds,
	       usable_jobs() == AVX512_JOBS ? "AVX-512"
	       : usable_jobs() == AVX2_JOBS ? "AVX2"
					    : "SSE2");
	fflush(stdout);
	for (int i = 0; i < processes; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			work(&totals[i], i, end);
			_exit(0);
		}
	}
	for (int i = 0; i < processes; i++) {
		int status;

		/* A worker that died is a wrong result, too. */
		if (pid[i] < 0 || waitpid(pid[i], &status, 0) != pid[i] || status != 0) {
			printf("vload: a worker ended with status 0x%x\n", pid[i] < 0 ? -1 : status);
			all.wrong++;
		}
		all.rounds += totals[i].rounds;
		all.wrong += totals[i].wrong;
	}
	printf("xenopus-vload: %ld rounds, %ld wrong\n", all.rounds, all.wrong);
	return all.wrong != 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--answers")) {
		for (int i = 0; i < usable_jobs(); i++) {
			printf("%s:", jobs[i].name);
			for (int seed = 0; seed < VLOAD_SEEDS; seed++)
				printf(" 0x%016llx,", (unsigned long long)jobs[i].run(seed));
			printf("\n");
		}
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "--job")) {
		int job = atoi(argv[2]), seed = atoi(argv[3]);

		if (job < 0 || job >= usable_jobs() || seed < 0 || seed >= VLOAD_SEEDS)
			return 2;
		return !job_right(job, seed);
	}
	long seconds = argc > 1 ? atol(argv[1]) : 60;
	int processes = argc > 2 ? atoi(argv[2]) : 5;

	if (seconds < 1 || processes < 1 || processes > 64) {
		fprintf(stderr, "usage: vload [SECONDS [PROCESSES, at most 64]]\n");
		return 2;
	}
	return load(seconds, processes);
}
