/* SPDX-License-Identifier: MIT */
/*
 * A machine of this process with one domain in the foreground: threads, its console, how it ended.
 */
#ifndef XENOPUS_FOREGROUND_H
#define XENOPUS_FOREGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include <xenopus/domain.h>
#include "terminal.h"

/** struct foreground - @domain is the caller's; times are CLOCK_MONOTONIC, 0 where it never
 * happened. */
struct foreground {
	struct domain *domain;
	uint64_t first_instruction_ns, first_output_ns, ended_ns;
	struct terminal terminal; /* whether somebody ended it */
	bool shut_down;		  /* or the domain stopped by itself ... */
	unsigned reason;	  /* ... for this SHUTDOWN_* reason */
};

/** foreground_run() - let fg->domain run until it stops, the user leaves, or a signal says so. */
void foreground_run(struct foreground *fg);

#endif
