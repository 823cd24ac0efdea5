/* SPDX-License-Identifier: MIT */
#ifndef XENOPUS_LATER_H
#define XENOPUS_LATER_H

#include <glib.h>

/**
 * later() - have the main thread call @fn, once; from any thread. @done (or NULL) is called with @data behind it, or instead
 * if the main loop ends before. What this thread has stored by now @fn sees.
 */
void later(void (*fn)(void *data), void *data, GDestroyNotify done);

#endif
