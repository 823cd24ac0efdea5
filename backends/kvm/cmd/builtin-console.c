/* SPDX-License-Identifier: MIT */
/* `xenopus console`: the terminal as the console of a domain that runs elsewhere. Ctrl-] leaves,
 * the domain goes on. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../console/tty.h"
#include "verb.h"

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

enum outcome { GO_ON, INPUT_ENDED, LEFT, ENDED };

static enum outcome take_typed(int to)
{
	char buf[512];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
	size_t len;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return GO_ON;
	if (n <= 0)
		return INPUT_ENDED;
	len = isatty(STDIN_FILENO) ? tty_find_escape(buf, (size_t)n) : (size_t)n;
	if (!write_all(to, buf, len))
		return ENDED;
	return len < (size_t)n ? LEFT : GO_ON;
}

static enum outcome take_output(int from)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return GO_ON;
	if (n <= 0 || !write_all(STDOUT_FILENO, buf, (size_t)n))
		return ENDED;
	return GO_ON;
}

int verb_console(struct verb *v)
{
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { v->c.fd, POLLIN, 0 } };
	enum outcome outcome = GO_ON;

	signal(SIGPIPE, SIG_IGN);
	tty_raw(STDIN_FILENO);
	/* What came behind the answer is the console's already. */
	if (!write_all(STDOUT_FILENO, v->c.in->str, v->c.in->len))
		return STATUS_FAILED;
	while (outcome != LEFT && outcome != ENDED) {
		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
			continue;
		outcome = GO_ON;
		if (fds[1].revents)
			outcome = take_output(v->c.fd);
		if (outcome == GO_ON && fds[0].revents)
			outcome = take_typed(v->c.fd);
		if (outcome == INPUT_ENDED)
			fds[0].fd = -1; /* nothing more is typed; the console is watched on */
	}
	tty_restore();
	if (outcome == LEFT)
		fprintf(stderr, "\nxenopus: console left, the domain runs on\n");
	return STATUS_OK;
}

int cmd_console(int argc, char **argv)
{
	g_autofree char *type = NULL, *escape = NULL;
	gint number = 0;
	const GOptionEntry more[] = {
		{ "type", 't', 0, G_OPTION_ARG_STRING, &type, "Kind of console: pv, the only one",
		  "TYPE" },
		{ "num", 'n', 0, G_OPTION_ARG_INT, &number, "Which console: 0, the only one", "N" },
		{ "escape", 'e', 0, G_OPTION_ARG_STRING, &escape, "What leaves the console: a character, or ^ and one for Ctrl with it (^])", "CHAR" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "DOMAIN",
			  .summary = "Attaches the terminal to a domain's console, which shows its "
				     "last 64 KiB first.\nCtrl-] leaves, and the domain runs on.",
			  .min = 1,
			  .max = 1,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	g_autoptr(JsonNode) result = NULL;

	if (!status && type && strcmp(type, "pv"))
		status = cmd_error(STATUS_USAGE,
				   "console of type '%s': a PV domain has one of type pv only",
				   type);
	if (!status && number)
		status = cmd_error(STATUS_USAGE, "console number %d: a domain has one console, 0",
				   number);
	if (!status && escape && !tty_set_escape(escape))
		status = cmd_error(STATUS_USAGE, "'%s' is no character to leave the console with: give one, as in -e x, or ^ and one, as in -e ^A",
				   escape);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	result = verb_call(&v, "domain.console", verb_domain(v.args[0]));
	if (!result)
		return verb_close(&v, STATUS_FAILED);
	verb_print_json(&v, result);
	return verb_close(&v, verb_console(&v));
}
