/* SPDX-License-Identifier: MIT */
/*
 * A QEMU of our own in the foreground: its serial line is the terminal, its debug console carries
 * the hypervisor's lines to standard error. Nothing of it outlives this process, however that ends,
 * and nothing is left on a disk.
 */
#ifndef XENOPUS_EMULATOR_H
#define XENOPUS_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "terminal.h"

/** The emulator's file descriptors, for its command line. */
enum { EMULATOR_CONSOLE = 3, EMULATOR_LOG, EMULATOR_BUNDLE };

/**
 * struct emulator - how it went; filled by emulator_run().
 * @wait_status: as waitpid() has it
 * @said_why: the last line of the log was last words ("xenopus: ...")
 * @complaint: what QEMU itself had to say; free with g_free()
 * @spawned_ns, @first_output_ns, @ended_ns: CLOCK_MONOTONIC, 0: never
 */
struct emulator {
	struct terminal terminal;
	int wait_status;
	bool said_why;
	char *complaint;
	uint64_t spawned_ns, first_output_ns, ended_ns;
};

/**
 * emulator_run() - Start QEMU and be its console until it ends.
 * @argv: its command line
 * @bundle: the file it sees as EMULATOR_BUNDLE
 * @error: why it could not be started, if false is returned
 */
bool emulator_run(struct emulator *e, char **argv, int bundle, GError **error);

#endif
