/* SPDX-License-Identifier: MIT */
/*
 * Kernels that a machine has just started and may soon start again: the unpacked image stays mapped
 * for a while, found by what its file is (device, inode, size, times), so that the next domain
 * waits for no checksum and no page of it.
 *
 * Only an image from the kernel cache is kept, whose files nobody changes, and only of a file that
 * has not been changed in the last seconds: later changes then show in its times.
 */
#ifndef XENOPUS_SHELF_H
#define XENOPUS_SHELF_H

#include "../loader/loader.h"

struct shelved;

/**
 * shelf_take() - as cache_open(), from any thread.
 *
 * Return: what shelf_put() gives back; NULL on failure, with @err set.
 */
struct shelved *shelf_take(const char *path, const char *cache_dir, char **note, GError **err);

/** shelf_kernel() - nobody changes it. */
const struct loader_kernel *shelf_kernel(const struct shelved *s);

/** shelf_put() - from the main thread, NULL is nothing. The last one used stays for some seconds.
 */
void shelf_put(struct shelved *s);

/** shelf_clear() - from the main thread. */
void shelf_clear(void);

#endif
