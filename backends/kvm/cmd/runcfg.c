/* SPDX-License-Identifier: MIT */
/* `xenopus run FILE.cfg`: what xl.cfg(5) says of a domain, in place of options that are not given.
 */
#include <xenopus/types.h>
#include <xen/sched.h>

#include "cmd.h"
#include "run.h"
#include "xlcfg.h"

static void warn(const char *line)
{
	cmd_note("%s", line);
}

static void take_string(JsonObject *params, const char *key, char **to)
{
	if (json_object_has_member(params, key) && !*to)
		*to = g_strdup(json_object_get_string_member(params, key));
	json_object_remove_member(params, key);
}

/* What becomes of it when it stops; the words were checked by who read the file. */
static void take_action(JsonObject *params, const char *key, struct domain_options *opt, unsigned reason)
{
	if (json_object_has_member(params, key) && opt->on[reason] < 0) {
		opt->on[reason] = stop_action_named(json_object_get_string_member(params, key));
		opt->on_of_file[reason] = true;
	}
	json_object_remove_member(params, key);
}

static void take_number(JsonObject *params, const char *key, gint *to)
{
	if (json_object_has_member(params, key) && *to == OPTIONS_NOT_GIVEN)
		*to = (gint)CLAMP(json_object_get_int_member(params, key), 0, G_MAXINT);
	json_object_remove_member(params, key);
}

bool run_is_config(const char *path)
{
	return g_str_has_suffix(path, ".cfg");
}

/* The kernel's arguments of the command line follow those of the file, so that they win. */
static void join_cmdline(struct domain_options *opt, const char *of_file)
{
	g_autofree char *given = opt->cmdline;

	opt->cmdline =
		g_strconcat(of_file ? of_file : "", of_file && *given ? " " : "", given, NULL);
}

int run_read_config(struct domain_options *opt)
{
	g_autoptr(GError) error = NULL;
	const char *path = opt->kernel;
	JsonObject *params = xlcfg_read(path, NULL, warn, &error);
	char *kernel = NULL;
	g_autofree char *cmdline = NULL;

	if (!params)
		return cmd_error(STATUS_FAILED, "%s", error->message);
	take_string(params, "kernel", &kernel);
	take_string(params, "ramdisk", &opt->initrd);
	take_string(params, "name", &opt->name);
	take_string(params, "cmdline", &cmdline);
	take_number(params, "memory", &opt->memory);
	take_number(params, "vcpus", &opt->vcpus);
	take_action(params, "on_poweroff", opt, SHUTDOWN_poweroff);
	take_action(params, "on_reboot", opt, SHUTDOWN_reboot);
	take_action(params, "on_crash", opt, SHUTDOWN_crash);
	take_action(params, "on_watchdog", opt, SHUTDOWN_watchdog);
	join_cmdline(opt, cmdline);
	opt->kernel = kernel;

	g_autoptr(GList) rest = json_object_get_members(params);

	for (GList *l = rest; l; l = l->next)
		cmd_note("%s: '%s' is for 'xenopus create': 'run' does without", path,
			 (const char *)l->data);
	json_object_unref(params);
	return kernel ? 0 : cmd_error(STATUS_FAILED, "%s: has no 'kernel'", path);
}
