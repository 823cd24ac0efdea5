/* SPDX-License-Identifier: MIT */
/*
 * The cache of unpacked kernels: what took a second to unpack is mapped the next time.
 *
 *	$XENOPUS_CACHE_DIR or $XDG_CACHE_HOME/xenopus or ~/.cache/xenopus
 *	    kernels/        0700, ours, no symbolic link
 *	        <key>       0600: one page of header, then the ELF image
 *
 * The key is the packed file's identity (device, inode, size, times of change) and a checksum of
 *its bytes: the checksum notices an accident, the identity keeps a hostile kernel, whose author can
 *choose a checksum, from passing for another file.
 *
 * Promises: nothing here can make a run fail. Whatever is wrong with the cache, a kernel is
 *unpacked as if there were none. An entry appears complete or not at all (rename), is never changed
 *afterwards, and its bytes are checked before they are used.
 */
#ifndef XENOPUS_LOADER_CACHE_H
#define XENOPUS_LOADER_CACHE_H

#include "loader.h"

/** CACHE_MAX_ENTRIES, CACHE_MAX_BYTES - What is kept after storing: the entries used last. */
#define CACHE_MAX_ENTRIES 8
#define CACHE_MAX_BYTES	  ((uint64_t)1 << 30)

/** cache_default_dir() - Where entries lie according to the environment; free it with g_free(). */
char *cache_default_dir(void);

/**
 * cache_open() - As loader_open(), with a cache.
 * @path: the file
 * @dir: cache_default_dir(), or NULL for no cache
 * @out: filled on success, zeroed on failure; out->cache_key is set if the image is worth storing
 * @note: what the cache did, one line for people (NULL if there was nothing to do); free with
 * g_free()
 * @err: where to put the error, or NULL
 *
 * Return: true on success.
 */
bool cache_open(const char *path, const char *dir, struct loader_kernel *out, char **note,
		GError **err);

/**
 * cache_store() - Keep an unpacked image for the next time, and drop the entries used least
 * recently.
 * @k: a kernel from cache_open(); nothing is done if it has no cache_key
 * @dir: as given to cache_open()
 * @err: why it was not stored, or NULL
 *
 * Return: true if there is nothing to tell.
 */
bool cache_store(const struct loader_kernel *k, const char *dir, GError **err);

#endif
