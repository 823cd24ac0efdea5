/* SPDX-License-Identifier: MIT */
/* The client's side of the control socket, for the verbs. */
#ifndef XENOPUS_CLIENT_H
#define XENOPUS_CLIENT_H

#include <stdbool.h>
#include <glib.h>
#include <json-glib/json-glib.h>

/** client_default_socket() - where `serve` listens if nobody says; free it with g_free(). */
char *client_default_socket(void);

/** struct connection - to one machine; client_close() ends it. */
struct connection {
	int fd;
	gint64 next_id;
	GString *in;
};

/** client_open() - NULL @path: the default. False with @error. */
bool client_open(struct connection *c, const char *path, GError **error);
void client_close(struct connection *c);

/**
 * client_call() - one request, and its answer: the result (json_node_unref()), or NULL with @error.
 * @params: taken over, NULL: none
 */
JsonNode *client_call(struct connection *c, const char *method, JsonObject *params, GError **error);

/** client_next() - the next message that comes by itself, an event; NULL with @error at the end. */
JsonNode *client_next(struct connection *c, GError **error);

#endif
