/* SPDX-License-Identifier: MIT */
/* Keyboard and signals of a machine in the foreground: see terminal.h. */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../console/tty.h"
#include "cmd.h"
#include "terminal.h"

static struct terminal *terminal;
static gint backlog; /* bytes read and not yet taken; atomic */

#define MAX_BACKLOG 65536

static void give(GBytes *bytes)
{
	g_atomic_int_add(&backlog, (gint)g_bytes_get_size(bytes));
	terminal->typed(bytes);
}

/*
 * Piped input has an end, a console has none. So that a program of the guest that reads on finds
 * one too, it gets Ctrl-D from now on, once a second: whoever reads may only come to it later.
 */
static gboolean on_input_end(gpointer unused)
{
	if (g_atomic_int_get(&backlog) <= MAX_BACKLOG)
		give(g_bytes_new_static("\004", 1));
	return G_SOURCE_CONTINUE;
}

static gboolean on_typed(gint fd, GIOCondition condition, gpointer unused)
{
	char buf[512];

	/* A guest that does not read must not make us keep all that others have to say. */
	if (g_atomic_int_get(&backlog) > MAX_BACKLOG) {
		g_usleep(10000);
		return G_SOURCE_CONTINUE;
	}
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		if (!isatty(fd))
			g_timeout_add(1000, on_input_end, NULL);
		return G_SOURCE_REMOVE;
	}
	size_t len = isatty(fd) ? tty_find_escape(buf, (size_t)n) : (size_t)n;

	if (len)
		give(g_bytes_new(buf, len));
	if (len < (size_t)n) {
		terminal->left = true;
		terminal->stop();
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer number)
{
	/* A second one must not end this process before the terminal has its mode again. */
	if (!terminal->signal) {
		terminal->signal = GPOINTER_TO_INT(number);
		terminal->stop();
	}
	return G_SOURCE_CONTINUE;
}

void terminal_open(struct terminal *t)
{
	terminal = t;
	g_unix_signal_add(SIGINT, on_signal, GINT_TO_POINTER(SIGINT));
	g_unix_signal_add(SIGTERM, on_signal, GINT_TO_POINTER(SIGTERM));
	g_unix_signal_add(SIGHUP, on_signal, GINT_TO_POINTER(SIGHUP));
	signal(SIGPIPE, SIG_IGN);
	tty_raw(STDIN_FILENO);
	g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_typed, NULL);
}

void terminal_taken(size_t n)
{
	g_atomic_int_add(&backlog, -(gint)n);
}

void terminal_close(void)
{
	tty_restore();
}

int terminal_verdict(const struct terminal *t)
{
	if (t->left) {
		fprintf(stderr, "\nxenopus: console left, domain destroyed\n");
		return STATUS_OK;
	}
	if (t->signal)
		return cmd_error(128 + t->signal, "stopped by %s", g_strsignal(t->signal));
	return -1;
}
