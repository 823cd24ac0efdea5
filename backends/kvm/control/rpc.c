/* SPDX-License-Identifier: MIT */
/*
 * Messages, from bytes to methods and back: see rpc.h. JSON-GLib builds whatever tree it is told
 * to, so size (server.c) and nesting are bounded before it sees a message.
 */
#include <string.h>

#include "guest.h"
#include "rpc.h"

/* What JSON has outside strings. JSON-GLib takes comments and other quotes, too, in which a bracket
 * is none. */
static bool is_json(char c)
{
	return g_ascii_isalnum(c) || (c && strchr(" \t\r{}[]:,\"+-.", c));
}

/* Before JSON-GLib sees @text: NULL, or why it shall not. */
static const char *check_text(const char *text, size_t len)
{
	bool string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (string && text[i] == '\\') {
			i++;
			if (len - i >= 5 && !memcmp(text + i, "u0000", 5))
				return "the message has a zero byte in a string";
		} else if (text[i] == '"') {
			string = !string;
		} else if (!string && !is_json(text[i])) {
			return "the message is not JSON";
		} else if (!string && (text[i] == '{' || text[i] == '[') &&
			   ++depth > RPC_MAX_NESTING) {
			return "the message is nested too deeply";
		} else if (!string && (text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
	}
	return NULL;
}

char *rpc_text(JsonNode *root)
{
	g_autofree char *text = json_to_string(root, FALSE);

	return g_strconcat(text, "\n", NULL);
}

/* Frees @root. */
static void send_node(struct client *client, JsonNode *root)
{
	g_autofree char *text = rpc_text(root);

	client_send(client, text, strlen(text));
	json_node_unref(root);
}

static JsonObject *new_answer(JsonNode *id, JsonNode **root)
{
	JsonObject *o = json_object_new();

	*root = json_node_init_object(json_node_alloc(), o);
	json_object_set_string_member(o, "jsonrpc", "2.0");
	json_object_set_member(o, "id",
			       id ? json_node_copy(id) : json_node_init_null(json_node_alloc()));
	json_object_unref(o);
	return o;
}

static void request_free(struct request *rq)
{
	client_unref(rq->client);
	g_clear_pointer(&rq->id, json_node_unref);
	g_free(rq);
}

void rpc_result(struct request *rq, JsonNode *result)
{
	JsonNode *root;

	if (rq->id) {
		json_object_set_member(new_answer(rq->id, &root), "result", result);
		send_node(rq->client, root);
	} else {
		json_node_unref(result);
	}
	request_free(rq);
}

void rpc_done(struct request *rq)
{
	rpc_result(rq, json_node_init_boolean(json_node_alloc(), TRUE));
}

static void send_error(struct client *client, JsonNode *id, int code, const char *message)
{
	JsonObject *error = json_object_new();
	JsonNode *root;

	json_object_set_int_member(error, "code", code);
	json_object_set_string_member(error, "message", message);
	json_object_set_object_member(new_answer(id, &root), "error", error);
	send_node(client, root);
}

void rpc_error(struct request *rq, int code, const char *fmt, ...)
{
	g_autofree char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	if (rq->id)
		send_error(rq->client, rq->id, code, message);
	request_free(rq);
}

void rpc_refuse(struct client *client, int code, const char *message)
{
	send_error(client, NULL, code, message);
}

static const char *kind_name(enum param_kind kind)
{
	static const char *const names[] = { "a string", "a whole number", "true or false",
					     "a domain's id or name" };

	return names[kind];
}

/* NULL, or what is wrong with it. */
static char *take_domain(const struct param *p, JsonNode *node, int *code)
{
	GType type = json_node_get_value_type(node);
	const char *name;

	if (JSON_NODE_HOLDS_VALUE(node) && type == G_TYPE_INT64) {
		gint64 id = json_node_get_int(node);
		struct guest *g = id > 0 && id < G_MAXUINT16 ? guest_find_id((unsigned)id) : NULL;

		*(struct guest **)p->to = g;
		*code = RPC_NO_DOMAIN;
		return g ? NULL : g_strdup_printf("there is no domain %" G_GINT64_FORMAT, id);
	}
	if (!JSON_NODE_HOLDS_VALUE(node) || type != G_TYPE_STRING)
		return g_strdup_printf("%s must be %s", p->name, kind_name(p->kind));
	name = json_node_get_string(node);
	*(struct guest **)p->to = guest_find(name);
	*code = RPC_NO_DOMAIN;
	return *(struct guest **)p->to ? NULL : g_strdup_printf("there is no domain %.64s", name);
}

static char *take_one(const struct param *p, JsonNode *node, int *code)
{
	GType type = json_node_get_value_type(node);

	if (p->kind == PARAM_DOMAIN)
		return take_domain(p, node, code);
	if (!JSON_NODE_HOLDS_VALUE(node) || type != (p->kind == PARAM_STRING ? G_TYPE_STRING :
						     p->kind == PARAM_INT    ? G_TYPE_INT64 :
									       G_TYPE_BOOLEAN))
		return g_strdup_printf("%s must be %s", p->name, kind_name(p->kind));
	if (p->kind == PARAM_STRING) {
		const char *text = json_node_get_string(node);
		gint64 max = p->max ? p->max : 4095;

		if ((gint64)strlen(text) > max)
			return g_strdup_printf("%s has more than %" G_GINT64_FORMAT " bytes",
					       p->name, max);
		*(const char **)p->to = text;
	} else if (p->kind == PARAM_INT) {
		gint64 n = json_node_get_int(node);

		if (n < p->min || n > p->max)
			return g_strdup_printf("%s of %" G_GINT64_FORMAT ": give %" G_GINT64_FORMAT
					       " to %" G_GINT64_FORMAT,
					       p->name, n, p->min, p->max);
		*(gint64 *)p->to = n;
	} else {
		*(bool *)p->to = json_node_get_boolean(node);
	}
	return NULL;
}

static const struct param *find_param(const struct param *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

bool params_take(struct request *rq, JsonObject *params, const struct param *table)
{
	g_autofree char *wrong = NULL;
	int code = RPC_PARAMS;
	JsonObjectIter iter;
	const char *name;
	JsonNode *node;

	for (const struct param *p = table; p->name && !wrong; p++)
		if (p->needed && !json_object_has_member(params, p->name))
			wrong = g_strdup_printf("%s is missing", p->name);
	json_object_iter_init(&iter, params);
	while (!wrong && json_object_iter_next(&iter, &name, &node)) {
		const struct param *p = find_param(table, name);

		wrong = p ? take_one(p, node, &code) :
			    g_strdup_printf("there is no parameter %.64s", name);
	}
	if (wrong)
		rpc_error(rq, code, "%s", wrong);
	return !wrong;
}

static void call(struct client *client, JsonNode *id, const char *method, JsonObject *params)
{
	g_autoptr(JsonObject) none = json_object_new();
	struct request *rq = g_new0(struct request, 1);

	rq->client = client_ref(client);
	rq->id = id ? json_node_copy(id) : NULL;
	for (const struct rpc_method *m = rpc_methods; m->name; m++) {
		if (!strcmp(m->name, method)) {
			m->fn(rq, params ? params : none);
			return;
		}
	}
	rpc_error(rq, RPC_NO_METHOD, "there is no method %.64s", method);
}

static bool is_string(JsonNode *node)
{
	return node && JSON_NODE_HOLDS_VALUE(node) &&
	       json_node_get_value_type(node) == G_TYPE_STRING;
}

/* A number, a string or null. */
static bool id_is_good(JsonNode *id)
{
	GType type = id ? json_node_get_value_type(id) : G_TYPE_INVALID;

	return !id || JSON_NODE_HOLDS_NULL(id) ||
	       (JSON_NODE_HOLDS_VALUE(id) &&
		(type == G_TYPE_INT64 || type == G_TYPE_DOUBLE ||
		 (type == G_TYPE_STRING && strlen(json_node_get_string(id)) < 256)));
}

static void receive_object(struct client *client, JsonObject *o)
{
	JsonNode *id = json_object_get_member(o, "id"),
		 *method = json_object_get_member(o, "method");
	JsonNode *params = json_object_get_member(o, "params"),
		 *version = json_object_get_member(o, "jsonrpc");

	if (!id_is_good(id))
		rpc_refuse(client, RPC_INVALID, "id must be a number or a short string");
	else if (!is_string(version) || strcmp(json_node_get_string(version), "2.0"))
		send_error(client, id, RPC_INVALID, "jsonrpc must be \"2.0\"");
	else if (!is_string(method))
		send_error(client, id, RPC_INVALID, "method must be a string");
	else if (params && !JSON_NODE_HOLDS_OBJECT(params))
		send_error(client, id, RPC_PARAMS,
			   "params must be an object: they are given by name");
	else
		call(client, id, json_node_get_string(method),
		     params ? json_node_get_object(params) : NULL);
}

void rpc_receive(struct client *client, const char *line, size_t len)
{
	g_autoptr(JsonParser) parser = NULL;
	g_autoptr(GError) error = NULL;
	const char *wrong;
	JsonNode *root;

	if (!g_utf8_validate(line, (gssize)len, NULL)) {
		rpc_refuse(client, RPC_PARSE, "the message is not UTF-8 text");
		return;
	}
	wrong = check_text(line, len);
	if (wrong) {
		rpc_refuse(client, RPC_PARSE, wrong);
		return;
	}
	parser = json_parser_new_immutable();
	if (!json_parser_load_from_data(parser, line, (gssize)len, &error)) {
		rpc_refuse(client, RPC_PARSE, "the message is not JSON");
		return;
	}
	root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root))
		rpc_refuse(client, RPC_INVALID, "a message is one object; batches are not taken");
	else
		receive_object(client, json_node_get_object(root));
}
