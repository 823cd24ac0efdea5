/* SPDX-License-Identifier: MIT */
/* The control socket: who may connect, and bytes to and from those who do. */
#ifndef XENOPUS_SERVER_H
#define XENOPUS_SERVER_H

#include <stdbool.h>
#include <glib.h>

/** server_open() - listen at @path (mode 0600); false with @error, also if another machine serves
 * there. */
bool server_open(const char *path, GError **error);
/** server_close() - no more clients; the socket's file goes. */
void server_close(void);
/** server_tell() - @text, a whole line, to all who have subscribed to events. */
void server_tell(const char *text, size_t len);

#endif
