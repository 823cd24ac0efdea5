/* SPDX-License-Identifier: MIT */
/* The directory of the kernel cache: made, judged, kept small. Private to cache.c and its test. */
#ifndef XENOPUS_LOADER_CACHE_DIR_H
#define XENOPUS_LOADER_CACHE_DIR_H

#include <stdbool.h>
#include <glib.h>

/** CACHE_TEMPORARY - How the names of entries begin that are still being written. */
#define CACHE_TEMPORARY ".new-"

/**
 * cache_dir_open() - Open the directory.
 * @dir: its path
 * @make: make it if it is not there
 * @err: why not; left alone if there is none and none was to be made
 *
 * Refused is a directory that another user owns or may write to: what lies there would be run.
 *
 * Return: a descriptor, or -1.
 */
int cache_dir_open(const char *dir, bool make, GError **err);

/**
 * cache_dir_prune() - Keep the entries used last, CACHE_MAX_ENTRIES and CACHE_MAX_BYTES at most.
 * @dirfd: from cache_dir_open()
 *
 * Temporary files that nobody can still be writing go too.
 */
void cache_dir_prune(int dirfd);

#endif
