/* SPDX-License-Identifier: MIT */
/*
 * Micro benchmarks of user-space computation. The same static binary runs on the host and in the guest;
 * each benchmark does a fixed amount of work, so its time is comparable between the two.
 *
 *	ubench [NAME...]	run all or these; per benchmark one line "bench NAME NANOSECONDS"
 *	ubench --data FILE	write the fixed data that the compressor benchmark works on
 *	ubench --time NAME COMMAND [ARGUMENT...]
 *				the same line for a command, its output thrown away
 *
 * The time is the best of a few repetitions: what the machine can do without its neighbours.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	REPETITIONS = 7,
	COMMAND_REPETITIONS = 1, /* of tens of seconds: page faults of the start, each three exits, are then little */
	STREAM_WORDS = 2 << 20, /* 16 MiB an array, three arrays: far more than a cache of one core */
	DATA_BYTES = 24 << 20,
};

static volatile uint64_t sink;
static volatile double float_sink;

static void integer(void)
{
	uint64_t x = 88172645463325252ull, sum = 0;

	for (uint64_t i = 0; i < 40000000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sum += x % 1009 + (x & 1 ? sum >> 3 : i);
	}
	sink = sum;
}

static void scalar_float(void)
{
	long inside = 0;

	for (int py = 0; py < 320; py++) {
		for (int px = 0; px < 480; px++) {
			double cx = px / 160.0 - 2.0, cy = py / 160.0 - 1.0, x = 0, y = 0;
			int n = 0;

			while (x * x + y * y < 4 && n < 500) {
				double t = x * x - y * y + cx;

				y = 2 * x * y + cy;
				x = t;
				n++;
			}
			inside += n;
		}
	}
	sink = (uint64_t)inside;
}

typedef double doubles __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) void vector_work(void)
{
	doubles a[8], m = {1.0000001, 0.9999999, 1.0000002, 0.9999998};

	for (int i = 0; i < 8; i++)
		a[i] = m + i;
	for (long i = 0; i < 12000000; i++) {
		for (int j = 0; j < 8; j++)
			a[j] = a[j] * m + 1e-9;
	}
	for (int i = 1; i < 8; i++)
		a[0] += a[i];
	float_sink = a[0][0] + a[0][1] + a[0][2] + a[0][3];
}

__attribute__((target("avx2,fma"))) static void vector_avx(void)
{
	vector_work();
}

static void vector_sse(void)
{
	vector_work();
}

static void vector_float(void)
{
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		vector_avx();
	else
		vector_sse();
}

static double *stream[3];

static void streaming(void)
{
	for (int round = 0; round < 12; round++) {
		for (long i = 0; i < STREAM_WORDS; i++)
			stream[0][i] = stream[1][i] + 3.0 * stream[2][i];
		for (long i = 0; i < STREAM_WORDS; i++)
			stream[1][i] = stream[0][i];
	}
	float_sink = stream[0][STREAM_WORDS / 2];
}

static const struct {
	const char *name;
	void (*run)(void);
} benches[] = {
	{"integer", integer},
	{"float", scalar_float},
	{"vector", vector_float},
	{"stream", streaming},
};

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int prepare(void)
{
	for (int i = 0; i < 3; i++) {
		size_t size = STREAM_WORDS * sizeof(double);

		stream[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stream[i] == MAP_FAILED) {
			perror("ubench: mmap");
			return 1;
		}
		/*
		 * Small pages on both sides: whether a kernel gives this process large ones is a matter of
		 * its settings and its luck, and not what is measured.
		 */
		madvise(stream[i], size, MADV_NOHUGEPAGE);
		for (long j = 0; j < STREAM_WORDS; j++)
			stream[i][j] = (double)(i + j % 7);
	}
	return 0;
}

/* Text-like data: words of a small made-up language, so that a compressor has something to find. */
static int write_data(const char *name)
{
	FILE *file = fopen(name, "wb");
	uint64_t x = 1;
	long written = 0;

	if (!file) {
		perror(name);
		return 1;
	}
	while (written < DATA_BYTES) {
		uint64_t word;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		/* Skewed: low numbers are frequent words. */
		word = (x >> 33) % ((x >> 50) % 4000 + 1);
		written += fprintf(file, "%c%llx%s ", (int)('a' + word % 26),
				   (unsigned long long)(word * 2654435761u % 65536),
				   word % 17 ? "" : ".\n");
	}
	return fclose(file) != 0;
}

static int time_command(const char *name, char **argv)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < COMMAND_REPETITIONS; i++) {
		int64_t start = now(), took;
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			if (!freopen("/dev/null", "w", stdout))
				_exit(126);
			execvp(argv[0], argv);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "ubench: %s failed\n", argv[0]);
			return 1;
		}
		took = now() - start;
		if (took < best)
			best = took;
	}
	printf("bench %s %lld\n", name, (long long)best);
	return 0;
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(name, argv[i]))
			return 1;
	}
	return argc < 2;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--data"))
		return write_data(argv[2]);
	if (argc > 3 && !strcmp(argv[1], "--time"))
		return time_command(argv[2], argv + 3);
	if (prepare())
		return 1;
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		int64_t best = INT64_MAX;

		if (!wanted(benches[i].name, argc, argv))
			continue;
		for (int j = 0; j < REPETITIONS; j++) {
			int64_t start = now(), took;

			benches[i].run();
			took = now() - start;
			if (took < best)
				best = took;
		}
		printf("bench %s %lld\n", benches[i].name, (long long)best);
		fflush(stdout);
	}
	return 0;
}
