/* SPDX-License-Identifier: MIT */
/*
 * From other threads to the main one. g_idle_add() would do, but GLib's locks are none that
 * ThreadSanitizer sees: so there is a queue with one that it does, and the loop only waits for a
 * file descriptor.
 */
#include "later.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

struct call {
	void (*fn)(void *data);
	void *data;
	GDestroyNotify done;
	struct call *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *first, **last = &first;
static int waker = -1;
static guint source;

static void end_call(struct call *c)
{
	if (c->done)
		c->done(c->data);
	g_free(c);
}

static struct call *take(void)
{
	struct call *c;

	pthread_mutex_lock(&lock);
	c = first;
	if (c) {
		first = c->next;
		if (!first)
			last = &first;
	}
	pthread_mutex_unlock(&lock);
	return c;
}

/* One at a time, so that nothing else the loop waits for waits for all of them. */
static gboolean on_waker(gint fd, GIOCondition condition, gpointer unused)
{
	struct call *c;
	eventfd_t n;

	eventfd_read(fd, &n);
	c = take();
	if (!c)
		return G_SOURCE_CONTINUE;
	eventfd_write(fd, 1);
	c->fn(c->data);
	end_call(c);
	return G_SOURCE_CONTINUE;
}

void later(void (*fn)(void *data), void *data, GDestroyNotify done)
{
	struct call *c = g_new(struct call, 1);

	*c = (struct call){ fn, data, done, NULL };
	pthread_mutex_lock(&lock);
	*last = c;
	last = &c->next;
	pthread_mutex_unlock(&lock);
	eventfd_write(waker, 1);
}

void later_init(void)
{
	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waker < 0)
		g_error("no file descriptor to be woken by");
	source = g_unix_fd_add(waker, G_IO_IN, on_waker, NULL);
}

void later_end(void)
{
	struct call *c;

	g_clear_handle_id(&source, g_source_remove);
	while ((c = take()))
		end_call(c);
	close(waker);
	waker = -1;
}
