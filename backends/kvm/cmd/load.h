/* SPDX-License-Identifier: MIT */
/*
 * Loading the kernel beside everything else: unpacking it takes longer than setting up the machine,
 * and storing what was unpacked can wait until the guest runs. Each does so on a thread of its own.
 */
#ifndef XENOPUS_LOAD_H
#define XENOPUS_LOAD_H

#include <stdint.h>
#include <glib.h>

#include "../loader/loader.h"

/**
 * struct load - A kernel on its way from the file to the domain.
 * @kernel: valid after load_wait() until load_done()
 * @loaded_ns: clock_ns() when it was unpacked
 * Everything else is private to load.c.
 */
struct load {
	struct loader_kernel kernel;
	uint64_t loaded_ns;

	const char *path;
	char *cache_dir, *note;
	GError *error;
	GThread *thread;
};

/** load_start() - Begin to load @path, with the cache of unpacked kernels or without. */
void load_start(struct load *l, const char *path, gboolean cached);

/**
 * load_wait() - Until the kernel is there; tells (log level info) what the cache did.
 * @l: from load_start(); load_done() is still to be called
 * @error: why there is none
 */
gboolean load_wait(struct load *l, GError **error);

/** load_placed() - The segments are in the guest: store the image if it is new to the cache, and
 * drop it. */
void load_placed(struct load *l);

/** load_done() - Wait for whatever still goes on and free everything. */
void load_done(struct load *l);

#endif
