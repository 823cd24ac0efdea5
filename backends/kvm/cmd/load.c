/* SPDX-License-Identifier: MIT */
/* A thread that unpacks, later one that stores: see load.h. */
#include <xenopus/lib.h>
#include "../loader/cache.h"
#include "../machine.h"
#include "load.h"

static gpointer unpack(gpointer data)
{
	struct load *l = data;

	cache_open(l->path, l->cache_dir, &l->kernel, &l->note, &l->error);
	l->loaded_ns = clock_ns();
	return NULL;
}

static gpointer store(gpointer data)
{
	struct load *l = data;
	g_autoptr(GError) error = NULL;

	if (!cache_store(&l->kernel, l->cache_dir, &error))
		xlog(LOG_INFO, "kernel not kept in the cache: %s", error->message);
	loader_free(&l->kernel);
	return NULL;
}

static void join(struct load *l)
{
	if (l->thread)
		g_thread_join(l->thread);
	l->thread = NULL;
}

void load_start(struct load *l, const char *path, gboolean cached)
{
	*l = (struct load){ .path = path, .cache_dir = cached ? cache_default_dir() : NULL };
	l->thread = g_thread_new("unpack", unpack, l);
}

gboolean load_wait(struct load *l, GError **error)
{
	join(l);
	if (l->note)
		xlog(LOG_INFO, "%s", l->note);
	if (!l->error)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&l->error));
	return FALSE;
}

void load_placed(struct load *l)
{
	if (l->kernel.cache_key)
		l->thread = g_thread_new("store", store, l);
	else
		loader_free(&l->kernel);
}

void load_done(struct load *l)
{
	join(l);
	loader_free(&l->kernel);
	g_clear_error(&l->error);
	g_free(l->cache_dir);
	g_free(l->note);
}
