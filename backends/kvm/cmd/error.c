/* SPDX-License-Identifier: MIT */
/* What the programs tell their user: see cmd.h. */
#include <glib.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd.h"

const char *cmd_program = "xenopus";

static void say(const char *fmt, va_list ap)
{
	g_autofree char *line = g_strdup_vprintf(fmt, ap);

	/* It quotes file names, and those may hold anything: one line it is, and no terminal is
	 * steered. */
	for (char *c = line; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	fprintf(stderr, "%s: %s\n", cmd_program, line);
}

int cmd_error(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return status;
}

void cmd_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}
