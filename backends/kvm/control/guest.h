/* SPDX-License-Identifier: MIT */
/*
 * The domains of a served machine, as the main thread knows them: what they were made from, their
 * consoles, what is done when they stop. The core's own objects are touched in core context only
 * (home_call()).
 *
 *	guest_create() -> CREATING -> LIVE --stops--> STOPPED (kept) or gone or
 *	       ^      (a thread loads the kernel)        |
 *	       +---- WAITING (to be started again) <-----+
 */
#ifndef XENOPUS_GUEST_H
#define XENOPUS_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include <xenopus/control.h>
#include <xenopus/domain.h>
#include <xenopus/stopped.h>

/**
 * struct guest_config - a domain as it was asked for, kept to start it again.
 * @on: by SHUTDOWN_*: poweroff, reboot, (suspend), crash, watchdog
 * @memory, @maxmem: MiB
 * @vcpus: up at start, of @maxvcpus
 * @cpus: NULL, or for each virtual CPU, separated by ';', the physical ones it may run on; one
 * alone is for all
 * @weight, @cap: of the scheduler, 0: as it is
 */
struct guest_config {
	char *name, *kernel, *ramdisk, *cmdline, *cpus;
	uint8_t uuid[16];
	unsigned memory, maxmem, vcpus, maxvcpus, weight, cap;
	enum stop_action on[STOP_REASONS];
};

/** guest_config_new() - with xl's defaults for what may be left out, and a uuid of its own. */
struct guest_config *guest_config_new(void);
void guest_config_new_uuid(struct guest_config *c);
/** guest_uuid_parse() - false if @text is none. guest_uuid_text(): the other way; g_free() it. */
bool guest_uuid_parse(const char *text, uint8_t uuid[16]);
char *guest_uuid_text(const uint8_t uuid[16]);
void guest_config_free(struct guest_config *c);
typedef struct guest_config guest_config;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(guest_config, guest_config_free)

enum guest_state { GUEST_CREATING, GUEST_WAITING, GUEST_LIVE, GUEST_STOPPED };

struct guest_console;
struct dump;

/**
 * struct guest - @d: core context only, NULL unless LIVE or STOPPED; @started: monotonic us of the
 * last start;
 * @quick: starts in a row that did not last; @reason: SHUTDOWN_* when STOPPED; @timer: when
 * WAITING; @dump: a core file of it is being written; @due: it has stopped meanwhile, and what is
 * to become of it waits for that
 */
struct guest {
	gint refs;
	unsigned id;
	char *name;
	enum guest_state state;
	struct guest_config *cfg;
	struct domain *d;
	struct guest_console *console;
	gint64 started;
	unsigned quick, reason;
	guint timer;
	struct dump *dump;
	bool due;
	bool dropped; /* destroyed while its kernel was being loaded or its core file written */
};

/** guests - struct guest, in the order of their creation. */
extern GPtrArray *guests;

/** struct guest_hooks - the main thread hears of what happens by itself; @what as docs/control.md
 * has it. */
struct guest_hooks {
	void (*event)(const char *what, const struct guest *g, const char *detail);
};

/**
 * guests_init() - before the machine runs; @crash_dir: where crash notes and core files go.
 * guests_free() - after it has stopped.
 */
void guests_init(const struct guest_hooks *hooks, const char *crash_dir);
void guests_free(void);

/** guest_find() - by name, or by id if @name is a number and nobody's name; NULL if there is none.
 */
struct guest *guest_find(const char *name);
struct guest *guest_find_id(unsigned id);

/**
 * guest_created_fn - @g is LIVE, or NULL and @error says why. Called on the main thread.
 */
typedef void guest_created_fn(struct guest *g, const GError *error, void *data);

/**
 * guest_create() - Begin to make a domain; takes @cfg over. @done is called exactly once, perhaps
 * at once.
 * @paused: it does not start before it is unpaused
 */
void guest_create(struct guest_config *cfg, bool paused, guest_created_fn *done, void *data);

/** guest_destroy() - At once and for good, whatever it is doing. The record may be gone afterwards.
 */
void guest_destroy(struct guest *g);

/** guest_pause() - of one that is LIVE: it stands still, or goes on. */
void guest_pause(struct guest *g, bool pause);

/** guest_rename() - false with @error if that is no name or somebody else's. */
bool guest_rename(struct guest *g, const char *name, GError **error);

/** guests_end() - No domain starts any more: every stop is the end, and what waits for a start is
 * dropped. */
void guests_end(void);

/** guest_with() - In core context: fn(d, data) for a domain that exists, that is LIVE or STOPPED.
 */
void guest_with(struct guest *g, void (*fn)(struct domain *d, void *data), void *data);

GQuark guest_error_quark(void);
#define GUEST_ERROR guest_error_quark()
enum guest_error { GUEST_ERROR_INVALID, GUEST_ERROR_EXISTS, GUEST_ERROR_FAILED };

/* ---- console.c ---- */

/**
 * A console remembers the last output, for whoever looks later, and any number of viewers follow
 * it. @viewer_fd is a socket that is closed when the viewer or the console goes.
 */
struct guest_console *guest_console_new(void);
/** guest_console_owner() - the domain behind it is @g, or (NULL) none for now. */
void guest_console_owner(struct guest_console *c, struct guest *g);
/** guest_console_output() - from any thread; never waits. */
void guest_console_output(struct guest_console *c, const char *buf, size_t len);
/** guest_console_view() - @fd shows the console from what it remembers on, and types at it. */
void guest_console_view(struct guest_console *c, int fd);
/** guest_console_retire() - The domain is gone: the console goes, too, when viewers have taken what
 * was said. */
void guest_console_retire(struct guest_console *c);
/** guest_console_tail() - the last lines, printable; free it with g_free(). */
char *guest_console_tail(struct guest_console *c, size_t max);

/* ---- crash.c ---- */

/** crash_note() - write what is known of a crash to a file in @dir; its path, or NULL. */
char *crash_note(const char *dir, const struct guest *g, const char *registers, GError **error);

/* ---- coredump.c ---- */

/** coredump_done_fn - on the main thread; no @error: the file is there. @g may have been destroyed
 * meanwhile. */
typedef void coredump_done_fn(struct guest *g, const GError *error, void *data);

/**
 * coredump_start() - Write an ELF core file of a domain that is LIVE or STOPPED; it is paused until
 * that is done. @done is called exactly once, perhaps at once.
 */
void coredump_start(struct guest *g, const char *path, coredump_done_fn *done, void *data);
/** coredump_cancel() - it is not wanted any more; nothing happens when none is being written. */
void coredump_cancel(struct guest *g);
/** coredump_set_paused() - whether @g shall be paused afterwards; false when no core file is being
 * written. */
bool coredump_set_paused(struct guest *g, bool paused);
/** coredump_running() - how many are being written. */
unsigned coredump_running(void);

#endif
