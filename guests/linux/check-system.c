/* SPDX-License-Identifier: MIT */
/*
 * Self-check, the system as a whole: 32-bit programs, the pseudo file systems, a shell pipeline, and at the
 * very end what the kernel has to say about all that was done to it.
 */
#include "check.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a program; its output, at most @size - 1 bytes, goes to @out. Returns its wait status. */
static int run(char *out, size_t size, const char *const argv[])
{
	size_t have = 0;
	int fd[2], status;
	pid_t pid;
	ssize_t n;

	require(pipe(fd) == 0, "pipe: %m");
	pid = check_fork();
	if (pid == 0) {
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		execv(argv[0], (char *const *)argv);
		check_fail("exec of %s: %m", argv[0]);
	}
	close(fd[1]);
	while ((n = read(fd[0], out + have, size - 1 - have)) > 0)
		have += n;
	out[have] = '\0';
	close(fd[0]);
	require(waitpid(pid, &status, 0) == pid, "waitpid: %m");
	out[strcspn(out, "\n")] = '\0';
	return status;
}

static void compat(const char *topic)
{
	const char *const argv[] = {"/bin/check32", topic, NULL};
	char out[256];
	int status = run(out, sizeof(out), argv);

	require(!WIFSIGNALED(status), "the 32-bit program died of signal %d", WTERMSIG(status));
	require(WEXITSTATUS(status) == 0, "%s", out);
	require(!strcmp(out, "ok"), "the 32-bit program said '%s'", out);
}

#define COMPAT(name, topic)                                                                        \
	static void compat_##name(void)                                                            \
	{                                                                                          \
		compat(topic);                                                                     \
	}

COMPAT(int80, "int80")
COMPAT(vdso, "vdso")
COMPAT(fork, "fork")
COMPAT(signal, "signal")
COMPAT(memory, "memory")
COMPAT(tls, "tls")
COMPAT(traps, "traps")

static void pseudo_files(void)
{
	static const char *const names[] = {
		"/proc/self/maps",  "/proc/self/smaps", "/proc/meminfo",  "/proc/cpuinfo",
		"/proc/interrupts", "/proc/stat",	"/proc/vmstat",	  "/proc/mounts",
		"/proc/iomem",	    "/proc/timer_list", "/proc/self/stat", "/sys/kernel/notes",
		"/sys/devices/system/cpu/online",
	};
	static char text[1 << 16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = open(names[i], O_RDONLY);

		require(fd >= 0, "open of %s: %m", names[i]);
		require(read(fd, text, sizeof(text)) > 0, "%s is empty", names[i]);
		close(fd);
	}
}

static void shell(void)
{
	/* A hundred short processes, pipelines, arithmetic: a build script in small. */
	static const char script[] =
		"n=%d; i=0; sum=0; while [ $i -lt $n ]; do i=$((i+1));"
		" sum=$((sum + $(echo $i | cat | wc -c))); done;"
		" seq 1 2000 | sort -rn | head -n 1000 | md5sum | cut -c1-8; [ $sum = %d ]";
	/* Two bytes a number of one digit, three of two. */
	int n = check_times(30), sum = n < 10 ? 2 * n : 18 + 3 * (n - 9);
	char text[sizeof(script) + 32];
	const char *const argv[] = {"/bin/busybox", "sh", "-c", text, NULL};
	char out[256];
	int status;

	snprintf(text, sizeof(text), script, n, sum);
	status = run(out, sizeof(out), argv);
	require(WIFEXITED(status) && !WEXITSTATUS(status), "the shell ended with 0x%x", status);
	require(!strcmp(out, "c9377195"), "a pipeline of the shell gave '%s'", out);
}

/* @word in @line as a word of its own: DEBUGCTL is no BUG. */
static int has_word(const char *line, const char *word)
{
	for (const char *at = line; (at = strstr(at, word)) != NULL; at++) {
		if ((at == line || !isalpha((unsigned char)at[-1])) &&
		    !isalpha((unsigned char)at[strlen(word)]))
			return 1;
	}
	return 0;
}

static void kernel_log(void)
{
	enum { ACTION_READ_ALL = 3, ACTION_SIZE = 10 };
	static const char *const bad[] = {"BUG", "WARNING", "Call Trace", "general protection",
					  "Oops", "unable to handle", "rcu_sched self-detected"};
	int size = klogctl(ACTION_SIZE, NULL, 0);
	char *log = malloc(size + 1);
	int n;

	require(size > 0 && log, "no kernel log: %m");
	n = klogctl(ACTION_READ_ALL, log, size);
	require(n > 100, "the kernel log has %d bytes", n);
	log[n] = '\0';
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		/* Advice about the processor, the same on bare hardware; nothing has gone wrong. */
		if (strstr(line, "RETBleed: WARNING: Spectre v2 mitigation") ||
		    strstr(line, "Spectre V2 : WARNING: Unprivileged eBPF"))
			continue;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			require(!has_word(line, bad[i]), "the kernel says: %.180s", line);
	}
}

const struct check_topic system_topics[] = {
	{"pseudo-files", pseudo_files}, {"shell", shell},
	{"compat-int80", compat_int80}, {"compat-vdso", compat_vdso},
	{"compat-fork", compat_fork},	{"compat-signal", compat_signal},
	{"compat-memory", compat_memory}, {"compat-tls", compat_tls},
	{"compat-traps", compat_traps}, {"kernel-log", kernel_log},
	{NULL, NULL},
};
