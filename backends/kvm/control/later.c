/* SPDX-License-Identifier: MIT */
/*
 * From other threads to the main one. GLib's loop would do alone, but it keeps its order by locks that ThreadSanitizer cannot
 * see: so there is one here that it can.
 */
#include "later.h"

#include <pthread.h>

struct call {
	void (*fn)(void *data);
	void *data;
	GDestroyNotify done;
};

static pthread_mutex_t handing_over = PTHREAD_MUTEX_INITIALIZER;

static gboolean make_call(gpointer data)
{
	struct call *c = data;

	pthread_mutex_lock(&handing_over);
	pthread_mutex_unlock(&handing_over);
	c->fn(c->data);
	return G_SOURCE_REMOVE;
}

static void free_call(gpointer data)
{
	struct call *c = data;

	if (c->done)
		c->done(c->data);
	g_free(c);
}

void later(void (*fn)(void *data), void *data, GDestroyNotify done)
{
	struct call *c = g_new(struct call, 1);

	*c = (struct call){ fn, data, done };
	pthread_mutex_lock(&handing_over);
	g_idle_add_full(G_PRIORITY_DEFAULT, make_call, c, free_call);
	pthread_mutex_unlock(&handing_over);
}
