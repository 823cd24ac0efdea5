/* SPDX-License-Identifier: MIT */
#ifndef XENOPUS_LATER_H
#define XENOPUS_LATER_H

#include <glib.h>

/** later_init() / later_end() - in the main thread, before others call later() and when no other
 * does any more. */
void later_init(void);
void later_end(void);

/**
 * later() - have the main thread call @fn, once; from any thread. @done (or NULL) is called with
 * @data behind it, or instead if the main loop ends before. What this thread has stored by now @fn
 * sees.
 */
void later(void (*fn)(void *data), void *data, GDestroyNotify done);

#endif
