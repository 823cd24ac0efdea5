/* SPDX-License-Identifier: MIT */
/*
 * The first and only program of a Linux guest that somebody else drives by lines on its console; tools/bench domains
 * starts many of them. It also runs on the host, where it shows what the processors do without a hypervisor.
 *
 *	say WORDS	say them again
 *	work N		N pieces of work (guests/lib/job.h)
 *	hog		pieces of work until something is typed
 *	bomb		a fork bomb, and a process that takes all memory again and again, to the end of the guest
 *
 * Each is answered by a line "agent: WHAT ...", times in ns. guests/worker knows the same words, but for the last.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "job.h"

static volatile uint64_t result = 88172645463325252u;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void work(uint64_t units)
{
	uint64_t start = now();

	for (uint64_t i = 0; i < units; i++)
		result = job_unit(result);
	printf("agent: work %lu %lu\n", units, now() - start);
}

static void hog(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	uint64_t start = now(), units = 0;

	for (; poll(&in, 1, 0) <= 0; units++)
		result = job_unit(result);
	printf("agent: hog %lu %lu\n", units, now() - start);
}

/* Every process makes more of itself, as long as the kernel lets it. */
static void forks(void)
{
	for (;;) {
		if (fork() < 0)
			result = job_unit(result);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* Write into every page there is, until the kernel ends it. */
static void grab(void)
{
	const size_t size = 1 << 20;

	for (;;) {
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t i = 0; p != MAP_FAILED && i < size; i += 4096)
			p[i] = 1;
	}
}

static void bomb(void)
{
	printf("agent: bomb\n");
	fflush(stdout);
	if (!fork())
		forks();
	for (;;) {
		pid_t child = fork();

		if (!child)
			grab();
		if (child > 0)
			waitpid(child, NULL, 0);
	}
}

static void obey(char *line)
{
	line[strcspn(line, "\r\n")] = '\0';
	if (!strncmp(line, "say ", 4))
		printf("agent: say %s\n", line + 4);
	else if (!strncmp(line, "work ", 5))
		work(strtoull(line + 5, NULL, 10));
	else if (!strcmp(line, "hog"))
		hog();
	else if (!strcmp(line, "bomb"))
		bomb();
	else if (*line)
		printf("agent: what is '%s'?\n", line);
	fflush(stdout);
}

int main(void)
{
	struct termios t;
	char line[80];

	/* What is typed is not to be said again by the terminal. */
	if (!tcgetattr(0, &t)) {
		t.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(0, TCSANOW, &t);
	}
	printf("agent: ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
