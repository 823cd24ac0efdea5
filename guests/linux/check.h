/* SPDX-License-Identifier: MIT */
/*
 * The self-check of a Linux guest: what its topics share.
 *
 * A topic is one function that either returns (passed) or calls check_fail() (failed, with a reason). The
 * runner gives every topic a process of its own and a time limit, so a topic may die in any way it
 * likes and only fails itself.
 */
#ifndef XENOPUS_GUEST_CHECK_H
#define XENOPUS_GUEST_CHECK_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct check_topic {
	const char *name;
	void (*run)(void);
};

/* Each list ends with a topic without a name. */
extern const struct check_topic process_topics[];
extern const struct check_topic thread_topics[];
extern const struct check_topic memory_topics[];
extern const struct check_topic fault_topics[];
extern const struct check_topic signal_topics[];
extern const struct check_topic time_topics[];
extern const struct check_topic vector_topics[];
extern const struct check_topic debug_topics[];
extern const struct check_topic segment_topics[];
extern const struct check_topic system_topics[];

/**
 * check_fail() - fail the running topic with a reason, in words, and leave its process
 * @fmt: printf format of the reason; one line, no newline at its end
 *
 * Also usable in children of the topic's process; the topic then sees a child that failed.
 */
void check_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/**
 * check_skip() - end the running topic as neither passed nor failed
 * @fmt: printf format of the reason: what this machine does not have
 */
void check_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/**
 * check_times() - how often to repeat something
 * @full: how often on an ordinary machine
 *
 * Return: that, or less if the self-check runs where everything takes far longer (--scale); at least 2.
 */
int check_times(int full);

/* What must hold; everything behind the condition is the reason if it does not. */
#define require(cond, ...)                                                                         \
	do {                                                                                       \
		if (!(cond))                                                                       \
			check_fail(__VA_ARGS__);                                                   \
	} while (0)

/**
 * check_wait() - wait for a child that must exit with a given status
 * @pid: the child
 * @status: the exit status it must have
 */
void check_wait(pid_t pid, int status);

/**
 * check_fork() - fork that fails the topic if it does not work
 *
 * Return: 0 in the child, the child's process id in the parent.
 */
pid_t check_fork(void);

/**
 * check_handler() - install a signal handler that gets siginfo and context
 * @sig: signal
 * @handler: function
 * @flags: more SA_ flags
 */
void check_handler(int sig, void (*handler)(int, siginfo_t *, void *), int flags);

/**
 * check_map() - anonymous private memory, or the topic fails
 * @size: bytes
 * @prot: PROT_ flags
 */
void *check_map(size_t size, int prot);

/* A fixed pattern: the word that belongs at index @i in the area that was filled with @seed. */
static inline uint64_t check_pattern(uint64_t seed, uint64_t i)
{
	uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (i * 0xd1b54a32d192ed03ull);

	return x ^ (x >> 29);
}

#endif
