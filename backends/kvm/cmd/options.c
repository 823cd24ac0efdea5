/* SPDX-License-Identifier: MIT */
/* The options of a domain: see options.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <xenopus/domain.h>
#include "../loader/shrink.h"
#include "cmd.h"
#include "options.h"
#include <xen/sched.h>

const char *const options_log_levels[] = { "error", "warn", "info", "debug", NULL };

/* Everything behind "--" is the kernel's; take it off before GOption sees it. */
static char *take_kernel_arguments(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		char *joined = g_strjoinv(" ", argv + i + 1);

		*argc = i;
		argv[i] = NULL;
		return joined;
	}
	return g_strdup("");
}

/* "512", "512M" or "2G": MiB; -1: none of these. */
static gint64 parse_memory(const char *text)
{
	char *end;
	gint64 n = g_ascii_isdigit(*text) ? g_ascii_strtoll(text, &end, 10) : -1;

	if (n < 0)
		return -1;
	if (g_ascii_toupper(*end) == 'G') {
		n = n > G_MAXINT ? G_MAXINT : n * 1024;
		end++;
	} else if (g_ascii_toupper(*end) == 'M') {
		end++;
	}
	return *end ? -1 : MIN(n, G_MAXINT);
}

static int take_memory(struct domain_options *opt, const char *text)
{
	gint64 mib = parse_memory(text);

	if (mib < 0)
		return cmd_error(STATUS_USAGE,
				 "memory of '%s': give MiB, or a number with M or G behind it",
				 text);
	opt->memory = (gint)mib;
	return 0;
}

/* The options, by SHUTDOWN_*. */
static const char *const action_options[STOP_REASONS] = {
	[SHUTDOWN_poweroff] = "--on-poweroff",
	[SHUTDOWN_reboot] = "--on-reboot",
	[SHUTDOWN_crash] = "--on-crash",
	[SHUTDOWN_watchdog] = "--on-watchdog",
};

static int take_actions(struct domain_options *opt, char *const words[STOP_REASONS])
{
	for (unsigned i = 0; i < STOP_REASONS; i++) {
		opt->on[i] = words[i] ? stop_action_named(words[i]) : -1;
		if (words[i] && opt->on[i] < 0)
			return cmd_error(STATUS_USAGE,
					 "%s of '%s': give destroy, restart, rename-restart or preserve",
					 action_options[i], words[i]);
	}
	return 0;
}

int options_check_actions(const struct domain_options *opt)
{
	for (unsigned i = 0; i < STOP_REASONS; i++)
		if (opt->on[i] == ACTION_COREDUMP_DESTROY || opt->on[i] == ACTION_COREDUMP_RESTART)
			return cmd_error(STATUS_USAGE,
					 "%s of '%s': on bare metal there is no disk for a core file; give "
					 "destroy, restart, rename-restart or preserve",
					 action_options[i], stop_actions[opt->on[i]]);
	return 0;
}

const char *options_actions_given(const struct domain_options *opt)
{
	for (unsigned i = 0; i < STOP_REASONS; i++)
		if (opt->on[i] >= 0 && !opt->on_of_file[i])
			return action_options[i];
	return NULL;
}

static int check(struct domain_options *opt, char **rest)
{
	if (!rest || !rest[0])
		return cmd_error(STATUS_USAGE,
				 "no kernel given: %s [options] KERNEL [-- kernel arguments]",
				 g_get_prgname());
	if (rest[1])
		return cmd_error(STATUS_USAGE,
				 "unexpected argument '%s': kernel arguments come after '--'",
				 rest[1]);
	if (!*rest[0] || (opt->initrd && !*opt->initrd))
		return cmd_error(STATUS_USAGE, "an empty file name as %s: give a path",
				 *rest[0] ? "initrd" : "kernel");
	opt->kernel = rest[0];
	return 0;
}

int options_complete(struct domain_options *opt, int max_memory)
{
	if (opt->memory == OPTIONS_NOT_GIVEN)
		opt->memory = 256;
	if (opt->vcpus == OPTIONS_NOT_GIVEN)
		opt->vcpus = 1;
	if (opt->memory < 1 || opt->memory > max_memory)
		return cmd_error(STATUS_USAGE, "memory of %d MiB: give 1 to %d", opt->memory,
				 max_memory);
	if (opt->vcpus < 1 || opt->vcpus > MAX_VCPUS)
		return cmd_error(STATUS_USAGE, "%d virtual CPUs: give 1 to %d", opt->vcpus,
				 MAX_VCPUS);
	if (!opt->name)
		opt->name = g_path_get_basename(opt->kernel);
	return 0;
}

int options_parse(int argc, char **argv, const char *summary, const GOptionEntry *more,
		  struct domain_options *opt)
{
	static char **rest; /* what @opt points into */
	g_autofree char *memory = NULL;
	char *on[STOP_REASONS] = { NULL };
	int status;
	const GOptionEntry entries[] = {
		{ "initrd", 'i', 0, G_OPTION_ARG_FILENAME, &opt->initrd, "Initial ramdisk",
		  "FILE" },
		{ "memory", 'm', 0, G_OPTION_ARG_STRING, &memory,
		  "Memory of the domain in MiB, or as in 2G (256)", "MIB" },
		{ "vcpus", 'c', 0, G_OPTION_ARG_INT, &opt->vcpus, "Virtual CPUs (1)", "N" },
		{ "name", 'n', 0, G_OPTION_ARG_STRING, &opt->name,
		  "Name of the domain (the kernel's file name)", "NAME" },
		{ "on-poweroff", 0, 0, G_OPTION_ARG_STRING, &on[SHUTDOWN_poweroff],
		  "On bare metal, when it powers off: destroy, restart, rename-restart, preserve",
		  "ACTION" },
		{ "on-reboot", 0, 0, G_OPTION_ARG_STRING, &on[SHUTDOWN_reboot],
		  "The same, when it asks for a reboot", "ACTION" },
		{ "on-crash", 0, 0, G_OPTION_ARG_STRING, &on[SHUTDOWN_crash],
		  "The same, when it crashes", "ACTION" },
		{ "on-watchdog", 0, 0, G_OPTION_ARG_STRING, &on[SHUTDOWN_watchdog],
		  "The same, when its watchdog ends it", "ACTION" },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &rest, NULL, NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(GOptionContext) context = g_option_context_new("KERNEL [-- kernel arguments]");

	*opt = (struct domain_options){ .memory = OPTIONS_NOT_GIVEN, .vcpus = OPTIONS_NOT_GIVEN };
	opt->cmdline = take_kernel_arguments(&argc, argv);
	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_add_main_entries(context, more, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return cmd_error(STATUS_USAGE, "%s ('%s --help' lists the options)", error->message,
				 g_get_prgname());
	status = take_actions(opt, on);
	for (unsigned i = 0; i < STOP_REASONS; i++)
		g_free(on[i]);
	if (!status && memory)
		status = take_memory(opt, memory);
	return status ? status : check(opt, rest);
}

void options_close_initrd(GMappedFile **initrd)
{
	if (*initrd)
		shrink_unwatch(g_mapped_file_get_contents(*initrd));
	g_clear_pointer(initrd, g_mapped_file_unref);
}

gboolean options_open_initrd(const struct domain_options *opt, GMappedFile **initrd, GError **error)
{
	g_autoptr(GError) why = NULL;
	const char *path = opt->initrd;
	struct stat st;

	*initrd = NULL;
	if (!path)
		return TRUE;
	/* Before it is opened: a fifo would be waited for, a device read. */
	if (stat(path, &st) < 0)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			    "%s: cannot open the initrd: %s; check "
			    "the path",
			    path, g_strerror(errno));
	else if (!S_ISREG(st.st_mode))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			    "%s: is %s; give the file of an initrd", path,
			    S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	else if (st.st_size == 0)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			    "%s: is empty; make the initrd again, or "
			    "leave out --initrd",
			    path);
	else if (!(*initrd = g_mapped_file_new(path, FALSE, &why)))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			    "%s: cannot read the initrd: %s; check "
			    "its permissions",
			    path, why->message);
	else
		shrink_watch(g_mapped_file_get_contents(*initrd), g_mapped_file_get_length(*initrd));
	return *initrd != NULL;
}
