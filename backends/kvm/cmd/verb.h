/* SPDX-License-Identifier: MIT */
/* What the verbs that talk to a served machine share: options, the connection, answers. */
#ifndef XENOPUS_VERB_H
#define XENOPUS_VERB_H

#include <glib.h>
#include <json-glib/json-glib.h>

#include "client.h"
#include "cmd.h"

/**
 * struct verb - @arguments: for --help; @min, @max: how many there may be; @more: options of its
 * own, NULL: none. The rest is filled by verb_open().
 */
struct verb {
	const char *arguments, *summary;
	int min, max;
	const GOptionEntry *more;
	gboolean json;
	const char *socket;
	char **args;
	int nr_args;
	struct connection c;
};

/** verb_parse() - options and arguments only. 0, or an exit status after a line that says why. */
int verb_parse(struct verb *v, int argc, char **argv);
/** verb_connect() - 0, or an exit status after a line. verb_close() ends it. */
int verb_connect(struct verb *v);
/** verb_open() - both. */
int verb_open(struct verb *v, int argc, char **argv);
/** verb_close() - returns @status. */
int verb_close(struct verb *v, int status);

/** verb_call() - client_call(), and a line if it fails. */
JsonNode *verb_call(struct verb *v, const char *method, JsonObject *params);
/** verb_domain() - params with the domain that @word means. */
JsonObject *verb_domain(const char *word);
/** verb_print_json() - if --json was given: the whole result. */
bool verb_print_json(const struct verb *v, JsonNode *result);
/** verb_finish() - of a verb without an answer to show: call, perhaps print, close. */
int verb_finish(struct verb *v, const char *method, JsonObject *params);

/** verb_int() / verb_text() - a member that must be there, else 0 or "". */
gint64 verb_int(JsonObject *o, const char *name);
const char *verb_text(JsonObject *o, const char *name);

/** verb_console() - the connection has become a console: be its terminal to its end. */
int verb_console(struct verb *v);

#endif
