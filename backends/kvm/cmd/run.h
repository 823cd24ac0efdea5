/* SPDX-License-Identifier: MIT */
/* `xenopus run`: what was asked for, and the two homes that can do it. */
#ifndef XENOPUS_RUN_H
#define XENOPUS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "load.h"
#include "options.h"

/**
 * struct run - @pcpus: physical CPUs; @kernel is being loaded; @gdb_port 0: none; @started_ns: when
 * the process began.
 */
struct run {
	struct domain_options domain;
	struct load load;
	GMappedFile *initrd;
	uint64_t started_ns;
	unsigned pcpus;
	bool stats, verbose, attendant, paused;
	int gdb_port;
};

/** run_hosted() - in the VM that machine_open() made. Returns the exit status, as the next one. */
int run_hosted(struct run *r);

/** run_metal() - on bare metal, in a machine that QEMU emulates. */
int run_metal(struct run *r);

/** run_is_config() - by its name a configuration file, not a kernel? */
bool run_is_config(const char *path);

/** run_read_config() - @opt->kernel is one of xl's: what it says counts where no option does.
 * Returns 0 or a status. */
int run_read_config(struct domain_options *opt);

/** run_kernel() - wait for the kernel, and see whether it can run here. */
bool run_kernel(struct run *r, GError **error);

/** run_print_time() - "start to WHAT: N ms" for --stats; @ns 0: it never happened, and nothing is
 * printed. */
void run_print_time(const struct run *r, const char *what, uint64_t ns);

/** run_machine_frames() - frames of a machine for a domain of so much: what the core needs beside
 * it, too. */
uint64_t run_machine_frames(const struct run *r);

/** run_stopped() - the line about a domain that stopped for a bad @reason; returns the exit status.
 */
int run_stopped(const char *name, const char *reason);

#endif
