/* SPDX-License-Identifier: MIT */
/* One line out, one line in: see client.h and docs/control.md. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

#define MAX_ANSWER (16u << 20)

char *client_default_socket(void)
{
	const char *wanted = g_getenv("XENOPUS_SOCKET"), *runtime = g_getenv("XDG_RUNTIME_DIR");

	if (wanted && *wanted)
		return g_strdup(wanted);
	if (runtime && *runtime)
		return g_build_filename(runtime, "xenopus", "control.sock", NULL);
	if (geteuid() == 0)
		return g_strdup("/run/xenopus/control.sock");
	return g_strdup_printf("/tmp/xenopus-%u/control.sock", geteuid());
}

bool client_open(struct connection *c, const char *path, GError **error)
{
	g_autofree char *at = path ? g_strdup(path) : client_default_socket();
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*c = (struct connection){ .fd = -1, .next_id = 1, .in = g_string_new(NULL) };
	if (strlen(at) >= sizeof(address.sun_path)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
			    "%s is too long for a socket: give a shorter "
			    "path with --socket",
			    at);
		return false;
	}
	strcpy(address.sun_path, at);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd >= 0 && !connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
		return true;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
		    "no machine answers at %s: %s; start one with "
		    "'xenopus serve', or say where it is with --socket",
		    at, g_strerror(errno));
	return false;
}

void client_close(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->in)
		g_string_free(c->in, TRUE);
	*c = (struct connection){ .fd = -1 };
}

static bool lost(GError **error, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO,
		    "the machine does not answer any more: %s", why);
	return false;
}

static bool send_all(struct connection *c, const char *text, size_t len, GError **error)
{
	while (len) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lost(error, g_strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* A byte at a time would be slow; what is behind the line stays for the next. */
static char *read_line(struct connection *c, GError **error)
{
	char buf[16384], *end;

	while (!(end = memchr(c->in->str, '\n', c->in->len))) {
		ssize_t n = recv(c->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || c->in->len > MAX_ANSWER) {
			lost(error, n < 0 ? g_strerror(errno) :
				    n	  ? "its answer is too long" :
					    "it has closed the "
					    "connection");
			return NULL;
		}
		g_string_append_len(c->in, buf, n);
	}
	char *line = g_strndup(c->in->str, (gsize)(end - c->in->str));

	g_string_erase(c->in, 0, end - c->in->str + 1);
	return line;
}

static JsonNode *read_message(struct connection *c, GError **error)
{
	g_autofree char *line = read_line(c, error);
	JsonNode *root = line ? json_from_string(line, error) : NULL;

	if (root && !JSON_NODE_HOLDS_OBJECT(root)) {
		json_node_unref(root);
		lost(error, "what it said is no message");
		return NULL;
	}
	return root;
}

JsonNode *client_next(struct connection *c, GError **error)
{
	for (;;) {
		g_autoptr(JsonNode) root = read_message(c, error);

		if (!root)
			return NULL;
		if (json_object_has_member(json_node_get_object(root), "method"))
			return g_steal_pointer(&root);
	}
}

static char *request_text(struct connection *c, const char *method, JsonObject *params)
{
	JsonObject *o = json_object_new();
	g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), o);
	g_autofree char *text = NULL;

	json_object_unref(o);
	json_object_set_string_member(o, "jsonrpc", "2.0");
	json_object_set_int_member(o, "id", c->next_id);
	json_object_set_string_member(o, "method", method);
	if (params)
		json_object_set_object_member(o, "params", params);
	text = json_to_string(root, FALSE);
	return g_strconcat(text, "\n", NULL);
}

static JsonNode *take_answer(JsonObject *o, GError **error)
{
	JsonObject *wrong;

	if (json_object_has_member(o, "result"))
		return json_node_copy(json_object_get_member(o, "result"));
	wrong = json_object_has_member(o, "error") ? json_object_get_object_member(o, "error") :
						     NULL;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
		    wrong && json_object_has_member(wrong, "message") ?
			    json_object_get_string_member(wrong, "message") :
			    "the machine gave no reason");
	return NULL;
}

JsonNode *client_call(struct connection *c, const char *method, JsonObject *params, GError **error)
{
	g_autofree char *text = request_text(c, method, params);

	bool sent = send_all(c, text, strlen(text), error);

	for (;;) {
		/* Whoever is turned away finds the reason before the end. */
		g_autoptr(JsonNode) root = read_message(c, sent ? error : NULL);
		JsonObject *o;

		if (!root)
			return NULL;
		if (!sent)
			g_clear_error(error);
		sent = true;
		o = json_node_get_object(root);
		if (json_object_has_member(o, "method"))
			continue; /* an event came first */
		c->next_id++;
		return take_answer(o, error);
	}
}
