/* SPDX-License-Identifier: MIT */
/*
 * Self-check, processes: fork, exec, vfork, wait, pipes. Page tables are built, copied and torn down by
 * the hundred here.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXECS = 200, PIPE_WORDS = 1 << 18 };

static void exec_exit(int status)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", status);
	execl("/proc/self/exe", "xcheck", "--exit", number, (char *)NULL);
}

static void fork_exec(void)
{
	for (int i = 0; i < check_times(EXECS); i++) {
		pid_t pid = check_fork();

		if (pid == 0) {
			exec_exit(i % 251);
			check_fail("exec: %m");
		}
		check_wait(pid, i % 251);
	}
}

/* Every process the parent of two more, down to a depth: 127 in all at depth 6, 64 of them at once. */
static int fork_tree(int depth)
{
	pid_t child[2];
	int sum = 1;

	for (int i = 0; i < 2 && depth > 0; i++) {
		child[i] = check_fork();
		if (child[i] == 0)
			_exit(fork_tree(depth - 1));
	}
	for (int i = 0; i < 2 && depth > 0; i++) {
		int status;

		require(waitpid(child[i], &status, 0) == child[i], "waitpid: %m");
		require(WIFEXITED(status), "a process of the tree died of signal %d",
			WTERMSIG(status));
		sum += WEXITSTATUS(status);
	}
	return sum;
}

static void fork_many(void)
{
	int depth = check_times(6), all = (2 << depth) - 1, count = fork_tree(depth);

	require(count == all, "a tree of %d processes counted %d", all, count);
}

static void vfork_exec(void)
{
	volatile int touched = 0;

	for (volatile int i = 0; i < check_times(30); i = i + 1) {
		pid_t pid = vfork();

		require(pid >= 0, "vfork: %m");
		if (pid == 0) {
			/* Shared with the suspended parent: the one effect vfork() promises. */
			touched = touched + 1;
			execl("/proc/self/exe", "xcheck", "--exit", "7", (char *)NULL);
			_exit(99);
		}
		check_wait(pid, 7);
	}
	require(touched == check_times(30), "the parent sees %d stores of its vforks", touched);
}

static void pipe_writer(int fd)
{
	uint64_t block[512];

	for (uint64_t i = 0; i < PIPE_WORDS; i += 512) {
		for (int j = 0; j < 512; j++)
			block[j] = check_pattern(3, i + j);
		for (size_t done = 0; done < sizeof(block);) {
			ssize_t n = write(fd, (char *)block + done, sizeof(block) - done);

			require(n > 0, "write to a pipe: %m");
			done += n;
		}
	}
}

static void pipes(void)
{
	uint64_t count = 0, word;
	size_t have = 0;
	int fd[2];
	pid_t pid;
	ssize_t n;

	require(pipe(fd) == 0, "pipe: %m");
	pid = check_fork();
	if (pid == 0) {
		close(fd[0]);
		pipe_writer(fd[1]);
		_exit(0);
	}
	close(fd[1]);
	/* Reads of an odd size, so that words straddle them. */
	for (;;) {
		char bytes[4093];

		n = read(fd[0], bytes, sizeof(bytes));
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++) {
			memcpy((char *)&word + have, bytes + i, 1);
			if (++have < sizeof(word))
				continue;
			require(word == check_pattern(3, count), "word %llu of a pipe is wrong",
				(unsigned long long)count);
			have = 0;
			count++;
		}
	}
	require(n == 0 && have == 0 && count == PIPE_WORDS, "a pipe ended after %llu words",
		(unsigned long long)count);
	check_wait(pid, 0);

	/* Nobody reads: SIGPIPE, or EPIPE if that is ignored. */
	signal(SIGPIPE, SIG_IGN);
	require(pipe(fd) == 0, "pipe: %m");
	close(fd[0]);
	require(write(fd[1], "x", 1) == -1 && errno == EPIPE, "no EPIPE from a pipe nobody reads");
}

static void wait_status(void)
{
	static const int deaths[] = {SIGKILL, SIGSEGV, SIGTERM, SIGUSR1, SIGFPE};

	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		pid_t pid = check_fork();
		int status;

		if (pid == 0) {
			kill(getpid(), deaths[i]);
			_exit(0);
		}
		require(waitpid(pid, &status, 0) == pid, "waitpid: %m");
		require(WIFSIGNALED(status) && WTERMSIG(status) == deaths[i],
			"death by signal %d was reported as status 0x%x", deaths[i], status);
	}
	require(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, "a child too many");
}

const struct check_topic process_topics[] = {
	{"fork-exec", fork_exec}, {"fork-tree", fork_many},	{"vfork", vfork_exec},
	{"pipes", pipes},	  {"wait-status", wait_status}, {NULL, NULL},
};
