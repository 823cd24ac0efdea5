/* SPDX-License-Identifier: MIT */
/*
 * Runner of the self-check: every topic in a process of its own with a time limit, one "ok NAME" or
 * "FAIL NAME why" line each, and one summary line at the end.
 *
 *	xcheck			all topics
 *	xcheck NAME...		only these
 *	xcheck --scale N ...	as above, with every repetition divided by N, for emulated machines
 *	xcheck --exit N		exit with status N (what the fork/exec topics execute)
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	TOPIC_SECONDS = 180, /* far beyond need even where the whole machine is emulated */
	REASON_SIZE = 256,
	STATUS_SKIP = 77,
};

static const struct check_topic *const topic_lists[] = {
	process_topics, thread_topics, memory_topics, fault_topics,   signal_topics,
	time_topics,	vector_topics, debug_topics,  segment_topics, system_topics,
};

/* Shared with the topics' processes, so that a child of a child can leave its reason too. */
static char *reason;
static int scale = 1;

int check_times(int full)
{
	int n = full / scale;

	return n < 2 ? 2 : n;
}

void check_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, REASON_SIZE, fmt, args);
	va_end(args);
	_exit(STATUS_SKIP);
}

void check_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	/* The first reason is the interesting one. */
	if (!reason[0])
		vsnprintf(reason, REASON_SIZE, fmt, args);
	va_end(args);
	_exit(1);
}

void check_wait(pid_t pid, int status)
{
	int got;

	require(waitpid(pid, &got, 0) == pid, "waitpid: %m");
	require(!WIFSIGNALED(got), "a child died of signal %d", WTERMSIG(got));
	require(WIFEXITED(got) && WEXITSTATUS(got) == status, "a child exited with %d, not %d",
		WEXITSTATUS(got), status);
}

pid_t check_fork(void)
{
	pid_t pid = fork();

	require(pid >= 0, "fork: %m");
	return pid;
}

void check_handler(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO | flags;
	require(sigaction(sig, &action, NULL) == 0, "sigaction %d: %m", sig);
}

void *check_map(size_t size, int prot)
{
	void *area = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(area != MAP_FAILED, "mmap of %zu bytes: %m", size);
	return area;
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(name, argv[i]))
			return 1;
	}
	return argc < 2;
}

enum outcome { PASSED, FAILED, SKIPPED };

/* Runs one topic and prints its line. */
static enum outcome run_topic(const struct check_topic *topic)
{
	struct timespec start, end;
	int status;
	pid_t pid;

	reason[0] = '\0';
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		alarm(TOPIC_SECONDS);
		topic->run();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("FAIL %s the topic could not be started: %m\n", topic->name);
		return FAILED;
	}
	/* A topic that died may leave children behind; they are in its process group. */
	kill(-pid, SIGKILL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !reason[0]) {
		printf("ok %s (%ld ms)\n", topic->name,
		       (long)((end.tv_sec - start.tv_sec) * 1000 +
			      (end.tv_nsec - start.tv_nsec) / 1000000));
		return PASSED;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIP) {
		printf("skip %s %s\n", topic->name, reason);
		return SKIPPED;
	}
	if (reason[0])
		printf("FAIL %s %s\n", topic->name, reason);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("FAIL %s no end after %d seconds\n", topic->name, TOPIC_SECONDS);
	else if (WIFSIGNALED(status))
		printf("FAIL %s died of signal %d\n", topic->name, WTERMSIG(status));
	else
		printf("FAIL %s exit status %d\n", topic->name, WEXITSTATUS(status));
	return FAILED;
}

int main(int argc, char **argv)
{
	int count[SKIPPED + 1] = {0};

	if (argc == 3 && !strcmp(argv[1], "--exit"))
		return atoi(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "--scale")) {
		scale = atoi(argv[2]) > 0 ? atoi(argv[2]) : 1;
		argv += 2;
		argc -= 2;
	}
	reason = mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reason == MAP_FAILED) {
		perror("xcheck: mmap");
		return 1;
	}
	for (size_t i = 0; i < sizeof(topic_lists) / sizeof(topic_lists[0]); i++) {
		for (const struct check_topic *topic = topic_lists[i]; topic->name; topic++) {
			if (wanted(topic->name, argc, argv))
				count[run_topic(topic)]++;
		}
	}
	printf("xenopus-selfcheck: %d passed, %d failed\n", count[PASSED], count[FAILED]);
	return count[FAILED] || !count[PASSED];
}
