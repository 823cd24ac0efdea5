/* SPDX-License-Identifier: MIT */
/*
 * Micro benchmarks of what a program asks of the kernel, the paper's lmbench lines. They are counted with the
 * time-stamp counter, which under QEMU's "-icount shift=0" counts instructions: the same figure every time.
 *
 *	kbench [NAME...]	run all or these; per benchmark one line "kbench NAME TICKS", of one operation
 *	kbench --now		one line "kbench now TICKS": what the counter, 0 at power-on, says
 *	kbench --nothing	end at once: what the fork+exec line executes
 *
 * Each line is the median of some samples, so a timer interrupt that falls into a few of them does not show.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
	SAMPLES = 21,
	WARM_UP = 3,
	PAGE = 4096,
	FAULT_PAGES = 256,
	MAP_PAGES = 16,
};

static const char *myself = "/proc/self/exe";

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map_pages(long n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("kbench: mmap");
	/* Small pages on every side; a kernel under a hypervisor has no others. */
	madvise(p, n * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/* ---- each of these does its operation n times and returns the ticks that took ---- */

static uint64_t null_call(int n)
{
	uint64_t start = __rdtsc();

	for (int i = 0; i < n; i++)
		syscall(SYS_getppid);
	return __rdtsc() - start;
}

static uint64_t page_fault(int n)
{
	char *p = map_pages(n + 1);
	uint64_t start;

	/* The first page of all brings the page table with it. */
	p[0] = 1;
	start = __rdtsc();
	for (long i = 1; i <= n; i++)
		p[i * PAGE] = 1;
	start = __rdtsc() - start;
	munmap(p, (n + 1) * PAGE);
	return start;
}

static uint64_t map_unmap(int n)
{
	uint64_t start = __rdtsc();

	for (int i = 0; i < n; i++) {
		char *p = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || munmap(p, MAP_PAGES * PAGE))
			fail("kbench: mmap");
	}
	return __rdtsc() - start;
}

static uint64_t map_touch_unmap(int n)
{
	uint64_t start = __rdtsc();

	for (int i = 0; i < n; i++) {
		char *p = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			fail("kbench: mmap");
		for (long j = 0; j < MAP_PAGES; j++)
			p[j * PAGE] = 1;
		munmap(p, MAP_PAGES * PAGE);
	}
	return __rdtsc() - start;
}

/* Of one page between two that nobody may touch, so that no areas are split and joined: what is left is the entry. */
static uint64_t protect_pair(int n)
{
	char *p = map_pages(3);
	uint64_t start;

	p[PAGE] = 1;
	if (mprotect(p, PAGE, PROT_NONE) || mprotect(p + 2 * PAGE, PAGE, PROT_NONE))
		fail("kbench: mprotect");
	start = __rdtsc();
	for (int i = 0; i < n; i++) {
		if (mprotect(p + PAGE, PAGE, PROT_READ) || mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE))
			fail("kbench: mprotect");
	}
	start = __rdtsc() - start;
	munmap(p, 3 * PAGE);
	return start;
}

static void spawn(int execute)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		fail("kbench: fork");
	if (pid == 0) {
		if (execute)
			execl(myself, "kbench", "--nothing", (char *)NULL);
		_exit(execute);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		fail("kbench: the child failed");
}

static uint64_t fork_exit(int n)
{
	uint64_t start = __rdtsc();

	for (int i = 0; i < n; i++)
		spawn(0);
	return __rdtsc() - start;
}

static uint64_t fork_exec(int n)
{
	uint64_t start = __rdtsc();

	for (int i = 0; i < n; i++)
		spawn(1);
	return __rdtsc() - start;
}

/* There and back: two switches of process. */
static uint64_t ping_pong(int n)
{
	int there[2], back[2];
	uint64_t start;
	char byte = 0;
	pid_t pid;

	if (pipe(there) || pipe(back))
		fail("kbench: pipe");
	pid = fork();
	if (pid < 0)
		fail("kbench: fork");
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	start = 0;
	for (int i = -WARM_UP; i < n; i++) {
		if (i == 0)
			start = __rdtsc();
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("kbench: pipe");
	}
	start = __rdtsc() - start;
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	waitpid(pid, NULL, 0);
	return start;
}

static volatile int signals;

static void on_signal(int number)
{
	signals += number != 0;
}

static uint64_t signal_self(int n)
{
	pid_t pid = getpid();
	uint64_t start;

	signal(SIGUSR1, on_signal);
	signals = 0;
	start = __rdtsc();
	for (int i = 0; i < n; i++)
		kill(pid, SIGUSR1);
	start = __rdtsc() - start;
	if (signals != n)
		fail("kbench: signals were lost");
	return start;
}

static const struct {
	const char *name;
	uint64_t (*run)(int n);
	int n;
} benches[] = {
	{"getppid", null_call, 100},
	{"page-fault", page_fault, FAULT_PAGES},
	{"mmap-munmap", map_unmap, 50},
	{"mmap-touch16-munmap", map_touch_unmap, 20},
	{"mprotect-pair", protect_pair, 50},
	{"fork-exit", fork_exit, 1},
	{"fork-exec", fork_exec, 1},
	{"pipe-ping-pong", ping_pong, 50},
	{"signal", signal_self, 50},
};

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
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
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	if (argc == 2 && !strcmp(argv[1], "--now")) {
		printf("kbench now %llu\n", (unsigned long long)__rdtsc());
		return 0;
	}
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		uint64_t samples[SAMPLES];

		if (!wanted(benches[i].name, argc, argv))
			continue;
		for (int j = 0; j < WARM_UP; j++)
			benches[i].run(benches[i].n);
		for (int j = 0; j < SAMPLES; j++)
			samples[j] = benches[i].run(benches[i].n);
		qsort(samples, SAMPLES, sizeof(samples[0]), by_size);
		printf("kbench %s %llu\n", benches[i].name,
		       (unsigned long long)(samples[SAMPLES / 2] / benches[i].n));
		fflush(stdout);
	}
	return 0;
}
