/* SPDX-License-Identifier: MIT */
/*
 * Files that become shorter while they are mapped. Whoever looks at a page that the file does not have any more gets
 * SIGBUS, which is the end of a process; but whose kernels and initrds a machine reads are its clients', and it must
 * survive them. So such pages read as zeros here, and it is noted.
 */
#ifndef XENOPUS_SHRINK_H
#define XENOPUS_SHRINK_H

#include <stdbool.h>
#include <stddef.h>

/** shrink_watch() - the @len bytes at @map are a file, mapped for reading. */
void shrink_watch(const void *map, size_t len);
/** shrink_happened() - were pages of @map looked at that its file did not have any more? */
bool shrink_happened(const void *map);
/** shrink_unwatch() - it is about to be unmapped. Harmless if it was not watched. */
void shrink_unwatch(const void *map);

#endif
