/* SPDX-License-Identifier: MIT */
/* The last kernel a machine started: see shelf.h. */
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "../loader/cache.h"
#include "shelf.h"

#define KEEP_SECONDS   10 /* after the last use */
#define STEADY_SECONDS 2  /* more than the resolution of a file system's times */

struct shelved {
	gint refs;
	struct stat file;
	struct loader_kernel kernel;
};

static pthread_mutex_t lock =
	PTHREAD_MUTEX_INITIALIZER; /* not GLib's: ThreadSanitizer cannot see that one */
static struct shelved *last;
static guint timer; /* the main thread's */

static void unref(struct shelved *s)
{
	if (!s || !g_atomic_int_dec_and_test(&s->refs))
		return;
	loader_free(&s->kernel);
	g_free(s);
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

static bool steady(const struct stat *st)
{
	time_t now = time(NULL);

	return st->st_ctim.tv_sec + STEADY_SECONDS < now &&
	       st->st_mtim.tv_sec + STEADY_SECONDS < now;
}

/* Whatever was there before goes. */
static void keep(struct shelved *s)
{
	struct shelved *old;

	if (s)
		g_atomic_int_inc(&s->refs);
	pthread_mutex_lock(&lock);
	old = last;
	last = s;
	pthread_mutex_unlock(&lock);
	unref(old);
}

static struct shelved *find(const struct stat *st)
{
	struct shelved *s = NULL;

	pthread_mutex_lock(&lock);
	if (last && same_file(&last->file, st)) {
		s = last;
		g_atomic_int_inc(&s->refs);
	}
	pthread_mutex_unlock(&lock);
	return s;
}

struct shelved *shelf_take(const char *path, const char *cache_dir, char **note, GError **err)
{
	/* Looked at before it is opened: a file put there in between is then another one. */
	struct stat st;
	bool known = !stat(path, &st);
	struct shelved *s = known ? find(&st) : NULL;

	*note = NULL;
	if (s)
		return s;
	s = g_new0(struct shelved, 1);
	s->refs = 1;
	if (!cache_open(path, cache_dir, &s->kernel, note, err)) {
		g_free(s);
		return NULL;
	}
	if (known && s->kernel.cached && steady(&st)) {
		s->file = st;
		keep(s);
	}
	return s;
}

const struct loader_kernel *shelf_kernel(const struct shelved *s)
{
	return &s->kernel;
}

static gboolean on_timer(gpointer unused)
{
	timer = 0;
	keep(NULL);
	return G_SOURCE_REMOVE;
}

void shelf_put(struct shelved *s)
{
	if (!s)
		return;
	unref(s);
	g_clear_handle_id(&timer, g_source_remove);
	timer = g_timeout_add_seconds(KEEP_SECONDS, on_timer, NULL);
}

void shelf_clear(void)
{
	g_clear_handle_id(&timer, g_source_remove);
	keep(NULL);
}
