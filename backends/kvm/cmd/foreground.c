/* SPDX-License-Identifier: MIT */
/*
 * Two threads: the physical CPU runs core and guest; the main thread waits in GLib's main loop for
 * keyboard and signals (terminal.c), and what they mean is handed into core context with
 * home_post().
 */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include <xenopus/control.h>
#include <xenopus/core.h>
#include "../machine.h"
#include "../../../console/tty.h"
#include "foreground.h"

static struct foreground *fg;
static GMainLoop *loop;

static gboolean quit_loop(gpointer unused)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void stop_core(void *unused)
{
	core_stop();
}

/* Called on the main thread: the machine must end. */
static void end_machine(void)
{
	home_post(stop_core, NULL);
	g_main_loop_quit(loop);
}

static void on_console(struct domain *d, const char *buf, size_t len)
{
	if (!fg->first_output_ns)
		fg->first_output_ns = clock_ns();
	while (len) {
		ssize_t n = write(STDOUT_FILENO, buf, len);

		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return;
		}
		buf += n;
		len -= (size_t)n;
	}
}

static void on_shutdown(struct domain *d, unsigned reason)
{
	fg->shut_down = true;
	fg->reason = reason;
	core_stop();
	/* Not g_main_context_invoke(): before the loop runs that would quit it here, in vain. */
	g_idle_add(quit_loop, NULL);
}

/* Typed, in order, and not yet taken by the console. Core context only. */
static GByteArray *typed;
static bool offering;

/* What does not fit into the console ring yet is offered again at the next poll; what comes later
 * waits behind it. */
static void offer_input(void *again)
{
	guint taken = (guint)console_input(fg->domain, (const char *)typed->data, typed->len);

	g_byte_array_remove_range(typed, 0, taken);
	terminal_taken(taken);
	offering = typed->len > 0;
	if (offering)
		home_post(offer_input, NULL);
}

static void give_input(void *data)
{
	g_autoptr(GBytes) bytes = data;

	g_byte_array_append(typed, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
	if (!offering)
		offer_input(NULL);
}

static void post_input(GBytes *bytes)
{
	home_post(give_input, bytes);
}

/* The first thing done in core context. */
static void begin(void *unused)
{
	domain_unpause(fg->domain);
	fg->first_instruction_ns = clock_ns();
}

void foreground_run(struct foreground *f)
{
	static const struct home_hooks hooks = { .console = on_console, .shutdown = on_shutdown };

	fg = f;
	loop = g_main_loop_new(NULL, FALSE);
	typed = g_byte_array_new();
	home_set_hooks(&hooks);
	home_restore_terminal_on_panic(tty_restore);
	f->terminal = (struct terminal){ .typed = post_input, .stop = end_machine };
	terminal_open(&f->terminal);

	home_post(begin, NULL);
	cpus_start();
	g_main_loop_run(loop);
	cpus_join();
	f->ended_ns = clock_ns();
	terminal_close();
	g_main_loop_unref(loop);
	g_byte_array_unref(typed);
}
