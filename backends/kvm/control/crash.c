/* SPDX-License-Identifier: MIT */
/* A note about a domain that crashed, for the person who must find out why. */
#include <errno.h>
#include <sys/stat.h>

#include "guest.h"

#define TAIL 8192 /* bytes of console */

char *crash_note(const char *dir, const struct guest *g, const char *registers, GError **error)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *when = g_date_time_format_iso8601(now);
	g_autofree char *tail = guest_console_tail(g->console, TAIL);
	g_autofree char *name = g_strdup_printf("%s-%u.crash", g->name, g->id);
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autofree char *text = g_strdup_printf(
		"domain %s (%u), %s\nkernel %s\nramdisk %s\narguments %s\n\n"
		"registers\n%s\nlast lines of the console\n%s\n",
		g->name, g->id, when, g->cfg->kernel, g->cfg->ramdisk ? g->cfg->ramdisk : "none",
		g->cfg->cmdline ? g->cfg->cmdline : "", registers, tail);

	if (g_mkdir_with_parents(dir, 0700)) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", dir,
			    g_strerror(errno));
		return NULL;
	}
	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
					error) ?
		       g_steal_pointer(&path) :
		       NULL;
}
