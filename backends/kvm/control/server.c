/* SPDX-License-Identifier: MIT */
/*
 * Clients are not trusted to be well: one may send rubbish, half a message, too much, or not read
 * what it asked for. Each costs bounded memory, none makes another wait, and what cannot go on is
 * told so in one message and dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include "../cmd/cmd.h"
#include "rpc.h"
#include "server.h"

#define MAX_CLIENTS  256u
#define MAX_OUT	     (1u << 20) /* not yet taken by a client */
#define PATIENCE_S   10		/* for the rest of a message, or for taking the last answer */
#define READ_AT_ONCE 65536u

struct client {
	gint refs;
	int fd; /* -1: gone */
	GByteArray *in, *out;
	guint in_source, out_source, patience;
	bool subscribed, leaving; /* leaving: when @out is out */
	void (*taker)(int fd, unsigned id);
	unsigned taker_id;
	gint64 heard; /* monotonic us, when it last said something */
};

static GPtrArray *clients;
static int listener = -1;
static guint listener_source;
static char *socket_path;

struct client *client_ref(struct client *c)
{
	c->refs++;
	return c;
}

void client_unref(struct client *c)
{
	if (--c->refs)
		return;
	g_assert(!c->in_source && !c->out_source && !c->patience);
	g_byte_array_unref(c->in);
	g_byte_array_unref(c->out);
	g_free(c);
}

/* Out of the list; the last request under way frees it. */
static int detach(struct client *c)
{
	int fd = c->fd;

	g_clear_handle_id(&c->in_source, g_source_remove);
	g_clear_handle_id(&c->out_source, g_source_remove);
	g_clear_handle_id(&c->patience, g_source_remove);
	c->fd = -1;
	if (fd >= 0) {
		g_ptr_array_remove(clients, c);
		client_unref(c);
	}
	return fd;
}

static void drop(struct client *c)
{
	int fd = detach(c);

	if (fd >= 0)
		close(fd);
}

static gboolean on_impatient(gpointer data)
{
	struct client *c = data;

	c->patience = 0;
	client_ref(c);
	if (!c->leaving && !c->taker)
		rpc_refuse(c, RPC_INVALID, "the rest of the message did not come");
	drop(c);
	client_unref(c);
	return G_SOURCE_REMOVE;
}

static void be_patient(struct client *c)
{
	if (!c->patience)
		c->patience = g_timeout_add_seconds(PATIENCE_S, on_impatient, c);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

/* Everything is out: whoever only waited for that goes. */
static void settle(struct client *c)
{
	if (c->taker) {
		void (*taker)(int fd, unsigned id) = c->taker;
		unsigned id = c->taker_id;

		taker(detach(c), id);
	} else if (c->leaving) {
		drop(c);
	}
}

static void flush(struct client *c)
{
	while (c->fd >= 0 && c->out->len) {
		ssize_t n = send(c->fd, c->out->data, c->out->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!c->out_source)
				c->out_source = g_unix_fd_add(c->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR,
							      on_writable, c);
			return;
		}
		if (n < 0) {
			drop(c);
			return;
		}
		g_byte_array_remove_range(c->out, 0, (guint)n);
	}
	if (c->fd >= 0)
		settle(c);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
	struct client *c = data;

	c->out_source = 0;
	client_ref(c);
	flush(c);
	client_unref(c);
	return G_SOURCE_REMOVE;
}

void client_send(struct client *c, const char *text, size_t len)
{
	if (c->fd < 0)
		return;
	if (len > MAX_OUT || c->out->len > MAX_OUT - len) {
		drop(c);
		return;
	}
	g_byte_array_append(c->out, (const guint8 *)text, (guint)len);
	client_ref(c);
	flush(c);
	client_unref(c);
}

void client_subscribe(struct client *c)
{
	c->subscribed = true;
}

void client_take_socket(struct client *c, void (*taker)(int fd, unsigned id), unsigned id)
{
	/* It may have gone away while it was told that it gets the console. */
	if (c->fd < 0)
		return;
	c->taker = taker;
	c->taker_id = id;
	g_clear_handle_id(&c->in_source, g_source_remove);
	be_patient(c);
	flush(c);
}

static void leave(struct client *c)
{
	c->leaving = true;
	g_clear_handle_id(&c->in_source, g_source_remove);
	be_patient(c);
	flush(c);
}

static bool listens(const struct client *c)
{
	return c->fd >= 0 && !c->taker && !c->leaving;
}

/* The whole lines of what came. A client that becomes a console is not listened to any further. */
static void take_lines(struct client *c)
{
	bool too_long = false;
	guint8 *end;
	guint at = 0;

	while (listens(c) && at < c->in->len &&
	       (end = memchr(c->in->data + at, '\n', c->in->len - at))) {
		size_t len = (size_t)(end - (c->in->data + at));

		too_long = len > RPC_MAX_MESSAGE;
		if (too_long)
			break;
		/* First, for with what the message asks for another may begin. */
		g_clear_handle_id(&c->patience, g_source_remove);
		if (len)
			rpc_receive(c, (const char *)c->in->data + at, len);
		at += (guint)len + 1;
	}
	g_byte_array_remove_range(c->in, 0, at);
	if (!listens(c))
		return;
	if (too_long || c->in->len > RPC_MAX_MESSAGE) {
		rpc_refuse(c, RPC_INVALID, "the message is too long: it may have 262144 bytes");
		if (c->fd >= 0)
			leave(c);
	} else if (c->in->len) {
		be_patient(c);
	}
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct client *c = data;
	g_autofree guint8 *buf = g_malloc(READ_AT_ONCE);
	ssize_t n = recv(fd, buf, READ_AT_ONCE, MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	client_ref(c);
	if (n <= 0) {
		drop(c);
	} else {
		c->heard = g_get_monotonic_time();
		g_byte_array_append(c->in, buf, (guint)n);
		take_lines(c);
	}
	client_unref(c);
	return G_SOURCE_CONTINUE;
}

/* The owner of this process, or root. */
static bool may_connect(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void turn_away(int fd, const char *message)
{
	g_autofree char *text =
		g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":%d,"
				"\"message\":\"%s\"}}\n",
				RPC_INVALID, message);

	send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* Who neither waits for anything nor has said anything for the longest time; NULL: all are busy. */
static struct client *find_idle(void)
{
	struct client *idle = NULL;

	for (guint i = 0; i < clients->len; i++) {
		struct client *c = g_ptr_array_index(clients, i);

		if (c->refs == 1 && !c->subscribed && listens(c) &&
		    (!idle || c->heard < idle->heard))
			idle = c;
	}
	return idle;
}

/* A crowd that only sits there must not lock out a person who has something to say. */
static bool make_room(void)
{
	struct client *idle;

	if (clients->len < MAX_CLIENTS)
		return true;
	idle = find_idle();
	if (!idle)
		return false;
	client_ref(idle);
	rpc_refuse(idle, RPC_INVALID, "too many clients: this one has been idle the longest");
	drop(idle);
	client_unref(idle);
	return true;
}

static gboolean on_connection(gint unused, GIOCondition condition, gpointer data)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0) {
		/* Out of file descriptors, most likely: that passes, a busy loop would not help. */
		if (errno == EMFILE || errno == ENFILE)
			g_usleep(10000);
		return G_SOURCE_CONTINUE;
	}
	if (!may_connect(fd)) {
		turn_away(fd, "this machine belongs to another user");
		return G_SOURCE_CONTINUE;
	}
	if (!make_room()) {
		turn_away(fd, "too many clients: let one of them go");
		return G_SOURCE_CONTINUE;
	}
	c = g_new0(struct client, 1);
	c->refs = 1;
	c->fd = fd;
	c->heard = g_get_monotonic_time();
	c->in = g_byte_array_new();
	c->out = g_byte_array_new();
	g_ptr_array_add(clients, c);
	c->in_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, c);
	return G_SOURCE_CONTINUE;
}

void server_tell(const char *text, size_t len)
{
	for (guint i = clients ? clients->len : 0; i-- > 0;) {
		struct client *c = g_ptr_array_index(clients, i);

		if (c->subscribed && !c->taker)
			client_send(c, text, len);
	}
}

static bool fail(GError **error, const char *path, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path, why);
	return false;
}

/* What an earlier machine left behind when it was killed. */
static bool clear_place(const char *path, const struct sockaddr_un *at, GError **error)
{
	struct stat st;
	int fd;
	bool alive;

	if (lstat(path, &st))
		return true;
	if (!S_ISSOCK(st.st_mode))
		return fail(error, path,
			    "is there and no socket: give another place with --socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	alive = fd >= 0 && !connect(fd, (const struct sockaddr *)at, sizeof(*at));
	if (fd >= 0)
		close(fd);
	if (alive)
		return fail(error, path,
			    "another machine is served there: give another place with --socket");
	if (unlink(path))
		return fail(error, path, g_strerror(errno));
	return true;
}

/* Whoever sees the place may connect there: it gets its name when it listens. */
static int listen_at(const char *path, const char *unfinished)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	mode_t mask = umask(0177);
	int rc;

	strcpy(at.sun_path, unfinished);
	unlink(unfinished);
	rc = bind(listener, (const struct sockaddr *)&at, sizeof(at));
	umask(mask);
	if (rc)
		return errno;
	/* Not rename(): of two machines that find the place free, one must be told. */
	rc = listen(listener, 64) || link(unfinished, path) ? errno : 0;
	unlink(unfinished);
	return rc;
}

bool server_open(const char *path, GError **error)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	g_autofree char *dir = g_path_get_dirname(path), *unfinished = g_strdup_printf("%s.%d", path, (int)getpid());
	int e;

	if (strlen(unfinished) >= sizeof(at.sun_path))
		return fail(error, path,
			    "is too long for a socket: give a shorter path with --socket");
	strcpy(at.sun_path, path);
	if (g_mkdir_with_parents(dir, 0700))
		return fail(error, dir, g_strerror(errno));
	if (!clear_place(path, &at, error))
		return false;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0)
		return fail(error, path, g_strerror(errno));
	e = listen_at(path, unfinished);
	if (e) {
		close(listener);
		listener = -1;
		return fail(error, path, g_strerror(e));
	}
	clients = g_ptr_array_new();
	socket_path = g_strdup(path);
	listener_source = g_unix_fd_add(listener, G_IO_IN, on_connection, NULL);
	return true;
}

void server_close(void)
{
	if (listener < 0)
		return;
	g_clear_handle_id(&listener_source, g_source_remove);
	close(listener);
	listener = -1;
	unlink(socket_path);
	while (clients->len)
		drop(g_ptr_array_index(clients, 0));
	g_clear_pointer(&clients, g_ptr_array_unref);
	g_clear_pointer(&socket_path, g_free);
}
