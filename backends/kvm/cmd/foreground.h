/* SPDX-License-Identifier: MIT */
/*
 * A machine with one domain in the foreground: threads, the terminal as console, signals, how it ended.
 */
#ifndef XENOPUS_FOREGROUND_H
#define XENOPUS_FOREGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include <xenopus/domain.h>

/**
 * struct foreground - @started_ns: when the process began (CLOCK_MONOTONIC); the other times are filled
 * in, 0 where it never happened.
 */
struct foreground {
	struct domain *domain;
	uint64_t started_ns, first_instruction_ns, first_output_ns, ended_ns;
	bool left;             /* by Ctrl-] */
	int signal;            /* or by this signal */
	bool shut_down;        /* or the domain stopped by itself ... */
	unsigned reason;       /* ... for this SHUTDOWN_* reason */
};

/** foreground_run() - let fg->domain run until it stops, the user leaves, or a signal says so. */
void foreground_run(struct foreground *fg);

#endif
