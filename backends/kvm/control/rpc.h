/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0 over a stream, one message a line (docs/control.md). A request is answered once, at
 * once or later; the client may be gone by then.
 */
#ifndef XENOPUS_RPC_H
#define XENOPUS_RPC_H

#include <stdbool.h>
#include <glib.h>
#include <json-glib/json-glib.h>

#define RPC_MAX_MESSAGE 262144u
#define RPC_MAX_NESTING 16u

/** What went wrong, beside JSON-RPC's own codes: numbers of the protocol. */
enum {
	RPC_PARSE = -32700,
	RPC_INVALID = -32600,
	RPC_NO_METHOD = -32601,
	RPC_PARAMS = -32602,
	RPC_FAILED = 1,	   /* it cannot be done; the message says why */
	RPC_NO_DOMAIN = 2, /* there is no such domain */
	RPC_STATE = 3,	   /* not in the state the domain is in */
	RPC_EXISTS = 4,	   /* the name is taken */
};

struct client; /* server.c */

/** struct request - @id NULL: a notification, nobody waits for an answer */
struct request {
	struct client *client;
	JsonNode *id;
};

/** rpc_receive() - a line of @len bytes came from @client: do what it says. */
void rpc_receive(struct client *client, const char *line, size_t len);

/** rpc_result() / rpc_error() - answer and free @rq; the first takes @result over. */
void rpc_result(struct request *rq, JsonNode *result);
void rpc_error(struct request *rq, int code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/** rpc_done() - the result of what has none. */
void rpc_done(struct request *rq);

/** rpc_refuse() - tell @client, outside any request. */
void rpc_refuse(struct client *client, int code, const char *message);

/** rpc_text() - one line of @root, newline included; free it with g_free(). */
char *rpc_text(JsonNode *root);

/**
 * struct rpc_method - @fn answers, or keeps @rq and answers later. @params is never NULL and
 * belongs to the caller.
 */
struct rpc_method {
	const char *name;
	void (*fn)(struct request *rq, JsonObject *params);
};
extern const struct rpc_method rpc_methods[]; /* ended by a NULL name */

enum param_kind { PARAM_STRING, PARAM_INT, PARAM_BOOL, PARAM_DOMAIN };

/**
 * struct param - what a method takes; the array ends with a NULL name.
 * @to: const char *, gint64, bool, or struct guest * (given by id or name); untouched where it is
 * left out
 * @min, @max: of numbers; of a string's bytes @max, 0: 4095
 */
struct param {
	const char *name;
	enum param_kind kind;
	bool needed;
	void *to;
	gint64 min, max;
};

/** params_take() - all of @params into their places; false after an answer that says what is wrong.
 */
bool params_take(struct request *rq, JsonObject *params, const struct param *table);

/* ---- server.c ---- */

/** client_send() - queue @text; a client that does not read is dropped. */
void client_send(struct client *c, const char *text, size_t len);
struct client *client_ref(struct client *c);
void client_unref(struct client *c);
void client_subscribe(struct client *c);
/** client_take_socket() - when all answers are out the socket is given to @taker and the client
 * forgotten. */
void client_take_socket(struct client *c, void (*taker)(int fd, unsigned id), unsigned id);

#endif
