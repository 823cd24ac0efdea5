/* SPDX-License-Identifier: MIT */
/*
 * Domains that come and go in a machine that stays: see guest.h. Everything here is the main
 * thread's, but for the functions that end in _in_core and the two hooks.
 */
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include <xenopus/lib.h>
#include <xenopus/words.h>
#include "../cmd/pack.h"
#include "../loader/cache.h"
#include "../machine.h"
#include "later.h"
#include "lifecycle.h"
#include "shelf.h"

GPtrArray *guests;

static const struct guest_hooks *hooks;
static unsigned last_id;
/* A kernel on its way out of its archive takes 100 MB, and of many with the same one only the first
 * have to. */
#define LOADING_AT_ONCE 2
static sem_t loading; /* not GLib's pool: ThreadSanitizer cannot see that one */

struct guest *guest_ref(struct guest *g)
{
	g_atomic_int_inc(&g->refs);
	return g;
}

void guest_unref(gpointer data)
{
	struct guest *g = data;

	if (!g_atomic_int_dec_and_test(&g->refs))
		return;
	guest_config_free(g->cfg);
	g_free(g->name);
	g_free(g);
}

void guest_event(const char *what, const struct guest *g, const char *detail)
{
	hooks->event(what, g, detail);
}

struct guest *guest_find_id(unsigned id)
{
	for (guint i = 0; i < guests->len; i++) {
		struct guest *g = g_ptr_array_index(guests, i);

		if (g->id == id)
			return g;
	}
	return NULL;
}

static struct guest *find_name(const char *name)
{
	for (guint i = 0; i < guests->len; i++) {
		struct guest *g = g_ptr_array_index(guests, i);

		if (!strcmp(g->name, name))
			return g;
	}
	return NULL;
}

struct guest *guest_find(const char *name)
{
	struct guest *g = find_name(name);
	guint64 id;

	if (g || !g_ascii_string_to_unsigned(name, 10, 0, DOMID_FIRST_RESERVED - 1, &id, NULL))
		return g;
	return guest_find_id((unsigned)id);
}

/* Not one that was somebody's a moment ago. */
static unsigned next_id(void)
{
	do {
		last_id = last_id + 1 < DOMID_FIRST_RESERVED ? last_id + 1 : 1;
	} while (guest_find_id(last_id));
	return last_id;
}

struct with {
	struct guest *g;
	void (*fn)(struct domain *d, void *data);
	void *data;
};

static void with_in_core(void *data)
{
	struct with *w = data;

	if (w->g->d)
		w->fn(w->g->d, w->data);
}

void guest_with(struct guest *g, void (*fn)(struct domain *d, void *data), void *data)
{
	struct with w = { g, fn, data };

	home_call(with_in_core, &w);
}

static void check_name(const char *name, const struct guest *owner, GError **error)
{
	struct guest *other = find_name(name);
	char why[160];

	if (!words_name(name, why, sizeof(why)))
		g_set_error(error, GUEST_ERROR, GUEST_ERROR_INVALID, "%s", why);
	else if (other && other != owner)
		g_set_error(error, GUEST_ERROR, GUEST_ERROR_EXISTS,
			    "a domain %s exists already: give another name, "
			    "or destroy that one",
			    name);
}

/* A domain that is started again keeps its own, so one that is not there just now has it, too. */
static void check_uuid(const uint8_t uuid[16], GError **error)
{
	for (guint i = 0; i < guests->len; i++) {
		const struct guest *g = g_ptr_array_index(guests, i);

		if (memcmp(g->cfg->uuid, uuid, sizeof(g->cfg->uuid)))
			continue;
		g_set_error(error, GUEST_ERROR, GUEST_ERROR_EXISTS,
			    "uuid is that of domain %s: give another one, or none", g->name);
		return;
	}
}

/* ---- making one ---- */

/* On the way through the loading thread. */
struct creation {
	struct guest *g;
	unsigned id; /* that the domain will have */
	bool paused;
	char *kernel_path;
	struct domain_options opt;
	GMappedFile *initrd;
	struct shelved *kernel;
	char *cache_dir;
	GError *error;
	guest_created_fn *done;
	void *data;
};

static void creation_free(struct creation *c)
{
	guest_unref(c->g);
	shelf_put(c->kernel);
	options_close_initrd(&c->initrd);
	g_free(c->opt.kernel);
	g_free(c->opt.initrd);
	g_free(c->opt.name);
	g_free(c->opt.cmdline);
	g_free(c->cache_dir);
	g_clear_error(&c->error);
	g_free(c);
}

struct building {
	struct creation *c;
	struct pack pack;
	bool failed;
};

/* Who may run where and how much; what is asked for was checked as far as it can be without the
 * machine. */
static void schedule_in_core(struct domain *d, const struct guest_config *cfg)
{
	g_auto(GStrv) parts = cfg->cpus ? g_strsplit(cfg->cpus, ";", MAX_VCPUS) : NULL;
	unsigned nr = parts ? g_strv_length(parts) : 0;
	struct sched_params p;
	char why[160];
	uint64_t cpus;

	for (unsigned i = 0; i < d->max_vcpus && nr; i++)
		if ((nr == 1 || i < nr) && words_cpus(parts[nr == 1 ? 0 : i], &cpus))
			sched_set_affinity(d->vcpu[i], cpus);
	if (cfg->weight && !sched_get_params(d, SCHED_ALL_VCPUS, &p)) {
		p.weight = cfg->weight;
		if (sched_set_params(d, SCHED_ALL_VCPUS, &p, why, sizeof(why)))
			xlog(LOG_WARN, "domain %s: %s", d->name, why);
	}
	if (cfg->cap && sched_set_cap(d, cfg->cap, why, sizeof(why)))
		xlog(LOG_WARN, "domain %s: %s", d->name, why);
}

static void build_in_core(void *data)
{
	struct building *b = data;
	struct guest *g = b->c->g;
	struct domain *d = domain_create(&b->pack.cfg);

	if (d && pack_shrunk(&b->pack)) {
		domain_destroy(d);
		d = NULL;
	}
	if (!d) {
		b->failed = true;
		return;
	}
	d->plat = g->console;
	g->d = d;
	if (g->cfg->vcpus < g->cfg->maxvcpus)
		domain_set_online(d, g->cfg->vcpus);
	schedule_in_core(d, g->cfg);
	if (!b->c->paused)
		domain_unpause(d);
}

static bool build(struct creation *c)
{
	struct guest *g = c->g;
	struct building b = { .c = c };

	c->opt.memory = (gint)g->cfg->memory;
	c->opt.vcpus = (gint)g->cfg->maxvcpus;
	pack_domain(&b.pack, &c->opt, shelf_kernel(c->kernel), c->initrd);
	b.pack.cfg.id = (domid_t)c->id;
	b.pack.cfg.max_pages = (uint64_t)g->cfg->maxmem << (20 - PAGE_SHIFT);
	b.pack.cfg.uuid = g->cfg->uuid;
	home_call(build_in_core, &b);
	if (b.failed)
		g_set_error(&c->error, GUEST_ERROR, GUEST_ERROR_FAILED, "%s", b.pack.error);
	pack_free(&b.pack);
	return !b.failed;
}

static void forget(struct guest *g)
{
	guest_console_retire(g->console);
	g->console = NULL;
	g_ptr_array_remove(guests, g);
}

static void finish(struct creation *c, bool good)
{
	struct guest *g = c->g;

	if (good) {
		g->state = GUEST_LIVE;
		g->started = g_get_monotonic_time();
		guest_event("created", g, c->paused ? "paused" : NULL);
	} else if (!g->dropped) {
		guest_event("failed", g, c->error->message);
		forget(g);
	}
	c->done(good ? g : NULL, c->error, c->data);
}

static void on_loaded(void *data)
{
	struct creation *c = data;

	if (!c->error && c->g->dropped)
		g_set_error(&c->error, GUEST_ERROR, GUEST_ERROR_FAILED,
			    "domain %s was destroyed before its kernel "
			    "was there",
			    c->g->name);
	finish(c, !c->error && build(c));
}

/* A thread: the kernel unpacked or found, the initrd mapped; the cache fed when the domain is
 * built. */
static gpointer load(gpointer data)
{
	struct creation *c = data;
	g_autofree char *note = NULL;

	while (sem_wait(&loading) && errno == EINTR)
		;
	if (options_open_initrd(&c->opt, &c->initrd, &c->error) &&
	    (c->kernel = shelf_take(c->opt.kernel, c->cache_dir, &note, &c->error))) {
		if (note)
			xlog(LOG_INFO, "%s", note);
		loader_check_features(shelf_kernel(c->kernel), CORE_NOTE_FEATURES, &c->error);
	}
	if (!c->error && shelf_kernel(c->kernel)->cache_key) {
		g_autoptr(GError) error = NULL;

		if (!cache_store(shelf_kernel(c->kernel), c->cache_dir, &error))
			xlog(LOG_INFO, "kernel not kept in the cache: %s", error->message);
	}
	sem_post(&loading);
	later(on_loaded, c, (GDestroyNotify)creation_free);
	return NULL;
}

void guest_start(struct guest *g, bool paused, guest_created_fn *done, void *data)
{
	struct creation *c = g_new0(struct creation, 1);

	c->g = guest_ref(g);
	c->id = g->id;
	c->paused = paused;
	c->opt.kernel = g_strdup(g->cfg->kernel);
	c->opt.initrd = g_strdup(g->cfg->ramdisk);
	c->opt.name = g_strdup(g->name);
	c->opt.cmdline = g_strdup(g->cfg->cmdline ? g->cfg->cmdline : "");
	c->cache_dir = cache_default_dir();
	c->done = done;
	c->data = data;
	g->state = GUEST_CREATING;
	g_thread_unref(g_thread_new("load", load, c));
}

struct guest *guest_add(struct guest_config *cfg)
{
	struct guest *g = g_new0(struct guest, 1);

	g->refs = 1;
	g->id = next_id();
	g->cfg = cfg;
	g->name = g_strdup(cfg->name);
	g->console = guest_console_new();
	guest_console_owner(g->console, g);
	g_ptr_array_add(guests, g);
	return g;
}

void guest_create(struct guest_config *cfg, bool paused, guest_created_fn *done, void *data)
{
	g_autoptr(GError) error = NULL;

	check_name(cfg->name, NULL, &error);
	if (!error)
		check_uuid(cfg->uuid, &error);
	if (!error && guests_ending())
		g_set_error(&error, GUEST_ERROR, GUEST_ERROR_FAILED,
			    "the machine is ending: no domain starts any more");
	if (error) {
		guest_config_free(cfg);
		done(NULL, error, data);
		return;
	}
	cfg->maxvcpus = MAX(cfg->maxvcpus, cfg->vcpus);
	cfg->maxmem = MAX(cfg->maxmem, cfg->memory);
	guest_start(guest_add(cfg), paused, done, data);
}

/* ---- ending one ---- */

static void destroy_in_core(void *data)
{
	struct guest *g = data;
	struct domain *d = g->d;

	if (!d)
		return;
	g->d = NULL;
	domain_pause(d);
	domain_destroy(d);
}

void guest_undo(struct guest *g)
{
	home_call(destroy_in_core, g);
}

void guest_destroy(struct guest *g)
{
	guest_ref(g);
	g_clear_handle_id(&g->timer, g_source_remove);
	coredump_cancel(g);
	if (g->state == GUEST_CREATING || g->dump)
		g->dropped = true;
	else
		guest_undo(g);
	forget(g);
	guest_event("destroyed", g, NULL);
	guest_unref(g);
}

static void pause_in_core(struct domain *d, void *data)
{
	if (*(bool *)data)
		domain_pause(d);
	else
		domain_unpause(d);
}

void guest_pause(struct guest *g, bool pause)
{
	if (!coredump_set_paused(g, pause))
		guest_with(g, pause_in_core, &pause);
}

struct renaming {
	const char *name;
	int rc;
};

static void rename_in_core(struct domain *d, void *data)
{
	struct renaming *r = data;

	r->rc = domain_rename(d, r->name);
}

bool guest_rename(struct guest *g, const char *name, GError **error)
{
	struct renaming r = { .name = name };
	g_autoptr(GError) why = NULL;

	check_name(name, g, &why);
	if (!why && g->state == GUEST_CREATING)
		why = g_error_new(GUEST_ERROR, GUEST_ERROR_FAILED,
				  "domain %s is being created: try again when it is "
				  "there",
				  g->name);
	if (!why)
		guest_with(g, rename_in_core, &r);
	if (!why && r.rc)
		why = g_error_new(GUEST_ERROR, GUEST_ERROR_FAILED,
				  "domain %s cannot be renamed: error %d", g->name, -r.rc);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	g_free(g->name);
	g->name = g_strdup(name);
	g_free(g->cfg->name);
	g->cfg->name = g_strdup(name);
	guest_event("renamed", g, name);
	return true;
}

/* For a start over, with everything but the domain itself. */
void guest_renew(struct guest *g)
{
	g->id = next_id();
	guest_console_owner(g->console, g);
}

void guests_init(const struct guest_hooks *h, const char *crash_dir)
{
	hooks = h;
	sem_init(&loading, 0, LOADING_AT_ONCE);
	guests = g_ptr_array_new_with_free_func(guest_unref);
	later_init();
	lifecycle_init(crash_dir);
}

void guests_free(void)
{
	later_end();
	shelf_clear();
	g_ptr_array_unref(guests);
	guests = NULL;
}
