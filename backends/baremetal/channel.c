/* SPDX-License-Identifier: MIT */
/*
 * QEMU's debug console (a byte written to a port is a byte in a file) for the hypervisor's own lines, so that the
 * serial line is the guest's alone and a program can tell them apart: `xenopus run --home=metal`. Its lines are those
 * of the hosted home.
 */
#include "metal.h"

#define DEBUGCON_PORT 0xe9 /* reads as itself where there is one */

static bool is_open;

void channel_open(void)
{
	is_open = in8(DEBUGCON_PORT) == DEBUGCON_PORT;
}

bool channel_is_open(void)
{
	return is_open;
}

static void put(const char *buf, size_t len)
{
	while (len--)
		out8(DEBUGCON_PORT, (uint8_t)*buf++);
}

bool channel_line(const char *head, const char *line, size_t len)
{
	if (!is_open)
		return false;
	put(head, xstrlen(head));
	put(line, len);
	put("\n", 1);
	return true;
}

void last_words(const char *line)
{
	if (!channel_line("xenopus: ", line, xstrlen(line)))
		xlog(LOG_ERROR, "%s", line);
}
