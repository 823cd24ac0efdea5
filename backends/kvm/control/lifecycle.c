/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a domain that stops: on_poweroff, on_reboot, on_crash, on_watchdog of its
 * configuration. A domain that does not stay up is started again after 1, 2, 4 ... 64 seconds.
 */
#include <string.h>

#include <xenopus/arch.h>
#include "../machine.h"
#include "later.h"
#include "lifecycle.h"
#include <xen/sched.h>

static char *crash_dir;
static bool ending;

/* In core context, of any domain that writes. */
static void on_console(struct domain *d, const char *buf, size_t len)
{
	if (d->plat)
		guest_console_output(d->plat, buf, len);
}

struct stop {
	unsigned id, reason;
	GString *registers;
};

static void stop_free(gpointer data)
{
	struct stop *s = data;

	g_string_free(s->registers, TRUE);
	g_free(s);
}

static void add_line(void *opaque, const char *text)
{
	g_string_append_printf(opaque, "%s\n", text);
}

static void restarted(struct guest *g, const GError *error, void *data)
{
	if (!g)
		xlog(LOG_ERROR, "domain %s was not started again: %s", (char *)data,
		     error->message);
	g_free(data);
}

static gboolean on_restart(gpointer data)
{
	struct guest *g = data;

	g->timer = 0;
	guest_start(g, false, restarted, g_strdup(g->name));
	return G_SOURCE_REMOVE;
}

/* @g, which has no domain (any more), gets one; the sooner the last ones went, the later. */
static void start_again(struct guest *g)
{
	unsigned delay;

	delay = restart_delay(&g->quick, (uint64_t)(g_get_monotonic_time() - g->started) * 1000);
	g->state = GUEST_WAITING;
	if (delay) {
		g_autofree char *text = g_strdup_printf("%u", delay);

		guest_event("waiting", g, text);
		g->timer = g_timeout_add(delay * 1000, on_restart, g);
	} else {
		on_restart(g);
	}
}

static void restart(struct guest *g)
{
	guest_undo(g);
	guest_renew(g);
	start_again(g);
}

/* The old one stays, under another name, and the new one takes its place. */
static void rename_restart(struct guest *g)
{
	struct guest_config *cfg = guest_config_new();
	struct guest *new;
	g_autofree char *name = NULL;

	*cfg = *g->cfg;
	cfg->name = g_strdup(g->cfg->name);
	cfg->kernel = g_strdup(g->cfg->kernel);
	cfg->ramdisk = g_strdup(g->cfg->ramdisk);
	cfg->cmdline = g_strdup(g->cfg->cmdline);
	cfg->cpus = g_strdup(g->cfg->cpus);
	guest_config_new_uuid(cfg);
	for (unsigned i = 1; !name || guest_find(name); i++) {
		g_free(name);
		name = g_strdup_printf("%.50s-%u", cfg->name, i);
	}
	if (!guest_rename(g, name, NULL)) {
		guest_config_free(cfg);
		return;
	}
	new = guest_add(cfg);
	new->started = g->started;
	new->quick = g->quick;
	start_again(new);
}

static enum stop_action action_of(const struct guest *g)
{
	return g->reason < G_N_ELEMENTS(g->cfg->on) ? g->cfg->on[g->reason] : ACTION_DESTROY;
}

static void end(struct guest *g)
{
	enum stop_action action = action_of(g);

	if (ending)
		action = ACTION_DESTROY;
	switch (action) {
	case ACTION_DESTROY:
	case ACTION_COREDUMP_DESTROY:
		guest_destroy(g);
		break;
	case ACTION_RESTART:
	case ACTION_COREDUMP_RESTART:
		restart(g);
		break;
	case ACTION_RENAME_RESTART:
		rename_restart(g);
		break;
	case ACTION_PRESERVE:
		break;
	}
}

static void dumped(struct guest *g, const GError *error, void *data)
{
	g_autofree char *path = data;

	if (!error)
		guest_event("core-dumped", g, path);
	else
		xlog(LOG_WARN, "no core file of domain %s: %s", g->name, error->message);
	if (!g->dropped)
		end(g);
}

static void act(struct guest *g)
{
	g_autofree char *name = g_strdup_printf("%s-%u.core", g->name, g->id);
	char *path;

	if (action_of(g) != ACTION_COREDUMP_DESTROY && action_of(g) != ACTION_COREDUMP_RESTART) {
		end(g);
		return;
	}
	path = g_build_filename(crash_dir, name, NULL);
	g_mkdir_with_parents(crash_dir, 0700);
	coredump_start(g, path, dumped, path);
}

void guest_dumped(struct guest *g)
{
	if (g->due && !g->dropped) {
		g->due = false;
		act(g);
	}
}

static void note_crash(struct guest *g, const char *registers)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = crash_note(crash_dir, g, registers, &error);

	if (path)
		xlog(LOG_WARN,
		     "domain %s (%u) crashed; its registers and last console lines are in %s",
		     g->name, g->id, path);
	else
		xlog(LOG_WARN, "domain %s (%u) crashed; no note of it: %s", g->name, g->id,
		     error->message);
	guest_event("crashed", g, path);
}

static void on_stopped(void *data)
{
	const struct stop *s = data;
	struct guest *g = guest_find_id(s->id);

	/* Destroyed meanwhile. */
	if (!g || g->state != GUEST_LIVE)
		return;
	g->state = GUEST_STOPPED;
	g->reason = s->reason;
	guest_event("shutdown", g, stop_reason_name(s->reason));
	if (s->reason == SHUTDOWN_crash)
		note_crash(g, s->registers->str);
	/* Somebody has just asked for a core file of it: that comes first. */
	if (g->dump)
		g->due = true;
	else
		act(g);
}

/* In core context, once for each domain. */
static void on_shutdown(struct domain *d, unsigned reason)
{
	struct stop *s = g_new0(struct stop, 1);

	s->id = d->id;
	s->reason = reason;
	s->registers = g_string_new(NULL);
	for (unsigned i = 0; reason == SHUTDOWN_crash && i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->initialised)
			arch_print_vcpu(d->vcpu[i], add_line, s->registers);
	later(on_stopped, s, stop_free);
}

bool guests_ending(void)
{
	return ending;
}

void guests_end(void)
{
	ending = true;
	for (guint i = guests->len; i-- > 0;) {
		struct guest *g = g_ptr_array_index(guests, i);

		coredump_cancel(g);
		if (g->state != GUEST_LIVE)
			guest_destroy(g);
	}
}

void lifecycle_init(const char *dir)
{
	static const struct home_hooks hooks = { .console = on_console, .shutdown = on_shutdown };

	crash_dir = g_strdup(dir);
	ending = false;
	home_set_hooks(&hooks);
}
