/* SPDX-License-Identifier: MIT */
/*
 * Three streams between QEMU and us, each a socket or file without a name:
 *
 *	keyboard, stdin  -> typed[]  -> console socket -> serial line of the machine
 *	stdout           <- stream   <- console socket
 *	stderr           <- stream   <- log socket     <- debug console of the machine
 *
 * A stream takes a piece only when the last one is gone, so whoever does not read makes the machine
 * wait, not us.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "../machine.h"
#include "emulator.h"

#define PIECE 2048 /* twice of it can be written without blocking to what can be written at all */

struct stream {
	int from, to;
	bool returns; /* a line feed becomes carriage return and line feed: for a raw terminal */
	bool ended;
	char buf[2 * PIECE];
	size_t len, done;
	void (*look)(const char *buf, size_t len);
};

static struct emulator *emulator;
static GMainLoop *loop;
static GPid pid;
static bool exited, stopping, sending;
static struct stream console, log_lines;
static GByteArray *typed;
static GString *last_line;

static void end_if_over(void)
{
	if (exited && (stopping || (console.ended && log_lines.ended)))
		g_main_loop_quit(loop);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data);

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
	struct stream *s = data;
	ssize_t n = write(fd, s->buf + s->done, s->len - s->done);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	/* To nobody: the machine goes on, as it would without a screen. */
	s->done = n < 0 ? s->len : s->done + (size_t)n;
	if (s->done < s->len)
		return G_SOURCE_CONTINUE;
	g_unix_fd_add(s->from, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, s);
	return G_SOURCE_REMOVE;
}

static void fill(struct stream *s, const char *buf, size_t n)
{
	s->len = s->done = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->returns && buf[i] == '\n')
			s->buf[s->len++] = '\r';
		s->buf[s->len++] = buf[i];
	}
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	struct stream *s = data;
	char buf[PIECE];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		s->ended = true;
		end_if_over();
		return G_SOURCE_REMOVE;
	}
	s->look(buf, (size_t)n);
	fill(s, buf, (size_t)n);
	g_unix_fd_add(s->to, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable, s);
	return G_SOURCE_REMOVE;
}

static void look_at_console(const char *buf, size_t len)
{
	if (!emulator->first_output_ns)
		emulator->first_output_ns = clock_ns();
}

static void look_at_log(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '\n') {
			emulator->said_why = g_str_has_prefix(last_line->str, "xenopus: ");
			g_string_truncate(last_line, 0);
		} else if (last_line->len < 64) {
			g_string_append_c(last_line, buf[i]);
		}
	}
}

static gboolean on_sendable(gint fd, GIOCondition condition, gpointer unused)
{
	ssize_t n = send(fd, typed->data, typed->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n < 0)
		n = (ssize_t)typed->len;
	g_byte_array_remove_range(typed, 0, (guint)n);
	terminal_taken((size_t)n);
	sending = typed->len > 0;
	return sending;
}

static void send_typed(GBytes *bytes)
{
	g_byte_array_append(typed, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
	g_bytes_unref(bytes);
	if (!sending)
		g_unix_fd_add(console.from, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_sendable, NULL);
	sending = true;
}

static void stop(void)
{
	stopping = true;
	if (!exited)
		kill(pid, SIGKILL);
	end_if_over();
}

static void on_exit_of(GPid which, gint wait_status, gpointer unused)
{
	emulator->wait_status = wait_status;
	emulator->ended_ns = clock_ns();
	exited = true;
	end_if_over();
}

/* In the child: dies with its parent; Ctrl-C at a shell is the parent's to understand. */
static void in_child(gpointer parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != GPOINTER_TO_INT(parent))
		_exit(127);
	setpgid(0, 0);
}

static bool no_files(GError **error)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
		    "cannot make the files that QEMU is given: "
		    "%s",
		    g_strerror(errno));
	return false;
}

static bool spawn(char **argv, int bundle, int complaints, GError **error)
{
	int console_ends[2], log_ends[2] = { -1, -1 };
	bool done;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console_ends))
		return no_files(error);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, log_ends)) {
		close(console_ends[0]);
		close(console_ends[1]);
		return no_files(error);
	}
	const int theirs[] = { console_ends[1], log_ends[1], bundle };
	const int numbers[] = { EMULATOR_CONSOLE, EMULATOR_LOG, EMULATOR_BUNDLE };

	emulator->spawned_ns = clock_ns();
	done = g_spawn_async_with_pipes_and_fds(
		NULL, (const char *const *)argv, NULL,
		G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDIN_FROM_DEV_NULL |
			G_SPAWN_STDOUT_TO_DEV_NULL,
		in_child, GINT_TO_POINTER(getpid()), -1, -1, complaints, theirs, numbers,
		G_N_ELEMENTS(theirs), &pid, NULL, NULL, NULL, error);
	close(console_ends[1]);
	close(log_ends[1]);
	console = (struct stream){ .from = console_ends[0],
				   .to = STDOUT_FILENO,
				   .look = look_at_console };
	log_lines = (struct stream){ .from = log_ends[0],
				     .to = STDERR_FILENO,
				     .look = look_at_log,
				     .returns = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) };
	return done;
}

/* What QEMU wrote on its standard error: the first line that is no mere warning. */
static char *first_complaint(int fd)
{
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	g_auto(GStrv) lines = NULL;

	text[MAX(n, 0)] = '\0';
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		if (**l && !strstr(*l, "warning:"))
			return g_strdup(*l);
	return NULL;
}

static void converse(void)
{
	emulator->terminal.typed = send_typed;
	emulator->terminal.stop = stop;
	g_child_watch_add(pid, on_exit_of, NULL);
	g_unix_fd_add(console.from, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, &console);
	g_unix_fd_add(log_lines.from, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, &log_lines);
	terminal_open(&emulator->terminal);
	g_main_loop_run(loop);
	terminal_close();
}

bool emulator_run(struct emulator *e, char **argv, int bundle, GError **error)
{
	int complaints = memfd_create("complaints", MFD_CLOEXEC);
	bool done;

	if (complaints < 0)
		return no_files(error);
	emulator = e;
	loop = g_main_loop_new(NULL, FALSE);
	typed = g_byte_array_new();
	last_line = g_string_new(NULL);
	done = spawn(argv, bundle, complaints, error);
	if (done)
		converse();
	if (done)
		e->complaint = first_complaint(complaints);
	close(console.from);
	close(log_lines.from);
	close(complaints);
	g_string_free(last_line, TRUE);
	g_byte_array_unref(typed);
	g_main_loop_unref(loop);
	return done;
}
