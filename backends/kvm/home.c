/* SPDX-License-Identifier: MIT */
/* People and other threads: the log, consoles, panic, and work handed into core context. */
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

struct work {
	void (*fn)(void *data);
	void *data;
};

static struct home_hooks hooks;
static void (*restore_terminal)(void);
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER; /* not GLib's: ThreadSanitizer cannot see that one */
static GArray *work_queue;
static _Atomic bool work_waiting;

void home_set_hooks(const struct home_hooks *h)
{
	hooks = *h;
}

void home_restore_terminal_on_panic(void (*restore)(void))
{
	restore_terminal = restore;
}

void home_post(void (*fn)(void *data), void *data)
{
	struct work w = { fn, data };

	pthread_mutex_lock(&work_lock);
	if (!work_queue)
		work_queue = g_array_new(FALSE, FALSE, sizeof(struct work));
	g_array_append_val(work_queue, w);
	atomic_store(&work_waiting, true);
	pthread_mutex_unlock(&work_lock);
	plat_cpu_kick(0);
}

void plat_poll(void)
{
	if (!atomic_load_explicit(&work_waiting, memory_order_relaxed) || plat_cpu_id() != 0)
		return;
	pthread_mutex_lock(&work_lock);
	GArray *todo = work_queue;

	work_queue = NULL;
	atomic_store(&work_waiting, false);
	pthread_mutex_unlock(&work_lock);
	if (!todo)
		return;
	for (guint i = 0; i < todo->len; i++) {
		struct work *w = &g_array_index(todo, struct work, i);

		w->fn(w->data);
	}
	g_array_free(todo, TRUE);
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0)
			return;
		buf += n;
		len -= (size_t)n;
	}
}

void plat_log(int level, const char *line, size_t len)
{
	char buf[1200];
	int n = snprintf(buf, sizeof(buf), "(xenopus) %.*s%s", (int)len, line, isatty(2) ? "\r\n" : "\n");

	if (n > 0)
		write_all(2, buf, MIN((size_t)n, sizeof(buf) - 1));
}

void plat_console_write(struct domain *d, const char *buf, size_t len)
{
	if (hooks.console)
		hooks.console(d, buf, len);
}

void plat_domain_shutdown(struct domain *d, unsigned reason)
{
	if (hooks.shutdown)
		hooks.shutdown(d, reason);
}

void plat_panic(const char *line)
{
	void *frames[64];

	if (restore_terminal)
		restore_terminal();
	plat_log(LOG_ERROR, line, strlen(line));
	backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
	abort();
}
