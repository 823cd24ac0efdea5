/* SPDX-License-Identifier: MIT */
/*
 * Consoles of domains that nobody need look at:
 *
 *	guest -> ring of the last 64 KiB -> each viewer's socket, from where that viewer is
 *	viewers' sockets -> typed[] -> the core's console
 *
 * A viewer that does not read loses the oldest output, never holds anybody up. What a guest does
 * not take is offered again after a while; while too much of it waits, viewers are not listened to.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "../machine.h"
#include "guest.h"
#include "later.h"

#define RING	    65536u
#define MAX_TYPED   65536u
#define RETRY_MS    20
#define MAX_VIEWERS 16u
#define PATIENCE_MS 10000 /* with viewers, once the domain is gone */

struct guest_console {
	pthread_mutex_t lock; /* of the ring */
	uint64_t produced;
	bool told; /* the main thread will look */
	char ring[RING];
	gint refs;
	/* the main thread's */
	struct guest *g;
	GPtrArray *viewers;
	GByteArray *typed;
	guint retry; /* or, when closing, the end of patience */
	bool closing;
};

struct viewer {
	struct guest_console *c;
	int fd;
	uint64_t at;
	guint in, out; /* sources; 0: not waiting */
};

struct guest_console *guest_console_new(void)
{
	struct guest_console *c = g_new0(struct guest_console, 1);

	pthread_mutex_init(&c->lock, NULL);
	c->refs = 1;
	c->viewers = g_ptr_array_new();
	c->typed = g_byte_array_new();
	return c;
}

static void console_unref(struct guest_console *c)
{
	if (!g_atomic_int_dec_and_test(&c->refs))
		return;
	g_ptr_array_unref(c->viewers);
	g_byte_array_unref(c->typed);
	pthread_mutex_destroy(&c->lock);
	g_free(c);
}

static void viewer_free(struct viewer *v)
{
	g_clear_handle_id(&v->in, g_source_remove);
	g_clear_handle_id(&v->out, g_source_remove);
	g_ptr_array_remove(v->c->viewers, v);
	close(v->fd);
	g_free(v);
}

void guest_console_owner(struct guest_console *c, struct guest *g)
{
	c->g = g;
	g_byte_array_set_size(c->typed, 0);
}

/* ---- guest to people ---- */

/* Up to @size bytes from position *@at on, which skips what is no longer remembered. */
static size_t ring_read(struct guest_console *c, uint64_t *at, char *buf, size_t size)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	if (c->produced - *at > RING)
		*at = c->produced - RING;
	n = MIN(size, (size_t)(c->produced - *at));
	for (size_t i = 0; i < n; i++)
		buf[i] = c->ring[(*at + i) % RING];
	pthread_mutex_unlock(&c->lock);
	return n;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

/* False: the viewer is gone. */
static bool viewer_write(struct viewer *v)
{
	char buf[4096];
	size_t n;

	while ((n = ring_read(v->c, &v->at, buf, sizeof(buf)))) {
		ssize_t sent = send(v->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN) {
			if (!v->out)
				v->out = g_unix_fd_add(v->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR,
						       on_writable, v);
			return true;
		}
		if (sent < 0) {
			viewer_free(v);
			return false;
		}
		v->at += (uint64_t)sent;
	}
	if (v->c->closing) {
		viewer_free(v);
		return false;
	}
	return true;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
	struct viewer *v = data;

	v->out = 0;
	viewer_write(v);
	return G_SOURCE_REMOVE;
}

static void write_all_viewers(struct guest_console *c)
{
	for (guint i = c->viewers->len; i-- > 0;) {
		struct viewer *v = g_ptr_array_index(c->viewers, i);

		if (!v->out)
			viewer_write(v);
	}
}

static void on_output(void *data)
{
	struct guest_console *c = data;

	pthread_mutex_lock(&c->lock);
	c->told = false;
	pthread_mutex_unlock(&c->lock);
	write_all_viewers(c);
	console_unref(c);
}

void guest_console_output(struct guest_console *c, const char *buf, size_t len)
{
	bool tell;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < len; i++)
		c->ring[(c->produced + i) % RING] = buf[i];
	c->produced += len;
	tell = !c->told;
	c->told = true;
	pthread_mutex_unlock(&c->lock);
	if (tell) {
		g_atomic_int_inc(&c->refs);
		later(on_output, c, NULL);
	}
}

/* ---- people to guest ---- */

struct offer {
	struct guest_console *c;
	size_t taken;
};

static void offer_in_core(struct domain *d, void *data)
{
	struct offer *o = data;

	o->taken = console_input(d, (const char *)o->c->typed->data, o->c->typed->len);
}

static void offer_typed(struct guest_console *c);

static gboolean on_retry(gpointer data)
{
	struct guest_console *c = data;

	c->retry = 0;
	offer_typed(c);
	return G_SOURCE_REMOVE;
}

static gboolean on_typed(gint fd, GIOCondition condition, gpointer data);

static void listen_to_viewers(struct guest_console *c)
{
	for (guint i = 0; i < c->viewers->len; i++) {
		struct viewer *v = g_ptr_array_index(c->viewers, i);

		if (!v->in)
			v->in = g_unix_fd_add(v->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_typed, v);
	}
}

static void offer_typed(struct guest_console *c)
{
	struct offer o = { .c = c };

	/* A guest that has stopped takes nothing, and what was typed is for that one only. */
	if (!c->g || c->g->state != GUEST_LIVE)
		o.taken = c->typed->len;
	else if (c->typed->len)
		guest_with(c->g, offer_in_core, &o);
	g_byte_array_remove_range(c->typed, 0, (guint)o.taken);
	if (c->closing)
		return;
	if (c->typed->len && !c->retry)
		c->retry = g_timeout_add(RETRY_MS, on_retry, c);
	if (c->typed->len < MAX_TYPED)
		listen_to_viewers(c);
}

static gboolean on_typed(gint fd, GIOCondition condition, gpointer data)
{
	struct viewer *v = data;
	struct guest_console *c = v->c;
	guint8 buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		v->in = 0;
		viewer_free(v);
		return G_SOURCE_REMOVE;
	}
	g_byte_array_append(c->typed, buf, (guint)n);
	if (c->typed->len >= MAX_TYPED && !c->closing) {
		v->in = 0;
		offer_typed(c);
		return G_SOURCE_REMOVE;
	}
	if (!c->retry || c->closing)
		offer_typed(c);
	return G_SOURCE_CONTINUE;
}

void guest_console_view(struct guest_console *c, int fd)
{
	struct viewer *v;

	if (c->viewers->len >= MAX_VIEWERS)
		viewer_free(g_ptr_array_index(c->viewers, 0));
	v = g_new0(struct viewer, 1);
	v->c = c;
	v->fd = fd;
	g_ptr_array_add(c->viewers, v);
	if (c->typed->len < MAX_TYPED)
		listen_to_viewers(c);
	viewer_write(v);
}

static gboolean on_patience_end(gpointer data)
{
	struct guest_console *c = data;

	c->retry = 0;
	while (c->viewers->len)
		viewer_free(g_ptr_array_index(c->viewers, 0));
	console_unref(c);
	return G_SOURCE_REMOVE;
}

void guest_console_retire(struct guest_console *c)
{
	guest_console_owner(c, NULL);
	g_clear_handle_id(&c->retry, g_source_remove);
	c->closing = true;
	write_all_viewers(c);
	c->retry = g_timeout_add(c->viewers->len ? PATIENCE_MS : 0, on_patience_end, c);
}

char *guest_console_tail(struct guest_console *c, size_t max)
{
	g_autofree char *raw = g_malloc(max + 1);
	uint64_t at = 0;
	size_t n;

	pthread_mutex_lock(&c->lock);
	at = c->produced > max ? c->produced - max : 0;
	pthread_mutex_unlock(&c->lock);
	n = ring_read(c, &at, raw, max);
	raw[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((guint8)raw[i] < ' ' && raw[i] != '\n' && raw[i] != '\t')
			raw[i] = raw[i] == '\r' ? ' ' : '?';
	return g_utf8_make_valid(raw, (gssize)n);
}
