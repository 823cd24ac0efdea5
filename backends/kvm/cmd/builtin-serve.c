/* SPDX-License-Identifier: MIT */
/* `xenopus serve`: a machine without a domain at first, which a control socket drives
 * (docs/control.md). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib-unix.h>

#include <xenopus/core.h>
#include <xenopus/lib.h>
#include "../control/methods.h"
#include "../control/server.h"
#include "../machine.h"
#include "client.h"
#include "cmd.h"
#include "options.h"

#define MAX_MEMORY_MIB (250 * 1024)

static struct {
	char *socket, *crash_dir, *sched, *log_level, *kvm;
	gint memory, pcpus, grace;
} opt;

static const GOptionEntry entries[] = {
	{ "memory", 'm', 0, G_OPTION_ARG_INT, &opt.memory, "Memory of the machine in MiB (1024)",
	  "MIB" },
	{ "pcpus", 'p', 0, G_OPTION_ARG_INT, &opt.pcpus,
	  "Physical CPUs of the machine (the host's)", "N" },
	{ "sched", 0, 0, G_OPTION_ARG_STRING, &opt.sched,
	  "How virtual CPUs share physical ones: bvt, credit or rr (bvt)", "POLICY" },
	{ "socket", 0, 0, G_OPTION_ARG_FILENAME, &opt.socket, "Control socket (see xenopus(1))",
	  "PATH" },
	{ "crash-dir", 0, 0, G_OPTION_ARG_FILENAME, &opt.crash_dir,
	  "Where crash notes and core files go (beside the socket)", "DIR" },
	{ "grace", 0, 0, G_OPTION_ARG_INT, &opt.grace,
	  "Seconds that domains have to shut down when the machine ends (30)", "SECONDS" },
	{ "log-level", 'l', 0, G_OPTION_ARG_STRING, &opt.log_level,
	  "Least important lines to log: error, warn, info, debug (warn)", "LEVEL" },
	{ "kvm", 0, 0, G_OPTION_ARG_FILENAME, &opt.kvm, "KVM device (/dev/kvm)", "FILE" },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

static GMainLoop *loop;
static gint64 deadline; /* monotonic us; 0: not ending */

static int parse(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;

	opt.memory = 1024;
	opt.grace = 30;
	g_option_context_set_summary(
		context,
		"Makes a machine on KVM that runs domains until it gets SIGTERM. The other "
		"verbs drive it\nby its control socket.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return cmd_error(STATUS_USAGE, "%s ('xenopus serve --help' lists the options)",
				 error->message);
	if (argc > 1)
		return cmd_error(STATUS_USAGE,
				 "unexpected argument '%s': domains are made with 'xenopus create'",
				 argv[1]);
	if (opt.memory < 16 || opt.memory > MAX_MEMORY_MIB)
		return cmd_error(STATUS_USAGE, "memory of %d MiB: give 16 to %d", opt.memory,
				 MAX_MEMORY_MIB);
	if (opt.pcpus < 0 || opt.pcpus > MAX_PCPUS)
		return cmd_error(STATUS_USAGE, "%d physical CPUs: give 1 to %d", opt.pcpus,
				 MAX_PCPUS);
	if (opt.grace < 0 || opt.grace > 3600)
		return cmd_error(STATUS_USAGE, "grace of %d seconds: give 0 to 3600", opt.grace);
	if (opt.log_level && !options_set_log_level(opt.log_level))
		return cmd_error(STATUS_USAGE,
				 "unknown log level '%s': use error, warn, info or debug",
				 opt.log_level);
	if (options_choose_sched(opt.sched))
		return STATUS_USAGE;
	if (!opt.socket)
		opt.socket = client_default_socket();
	if (!opt.crash_dir) {
		g_autofree char *dir = g_path_get_dirname(opt.socket);

		opt.crash_dir = g_build_filename(dir, "crash", NULL);
	}
	return 0;
}

static void ask_to_power_off(struct domain *d, void *unused)
{
	domain_shutdown_request(d, "poweroff");
}

/* Every 50 ms while the machine ends. */
static gboolean see_whether_over(gpointer unused)
{
	if (guests->len && g_get_monotonic_time() < deadline)
		return G_SOURCE_CONTINUE;
	while (guests->len) {
		struct guest *g = g_ptr_array_index(guests, 0);

		cmd_note("domain %s did not shut down in time and was destroyed", g->name);
		guest_destroy(g);
	}
	if (coredump_running()) /* given up, but a thread still reads what the domain had */
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/* The first signal asks, the second does not. */
static gboolean on_signal(gpointer unused)
{
	if (deadline) {
		deadline = g_get_monotonic_time();
		return G_SOURCE_CONTINUE;
	}
	deadline = g_get_monotonic_time() + opt.grace * G_USEC_PER_SEC;
	guests_end();
	for (guint i = 0; i < guests->len; i++) {
		guest_with(g_ptr_array_index(guests, i), ask_to_power_off, NULL);
		/* A paused one would never hear of it. */
		guest_pause(g_ptr_array_index(guests, i), false);
	}
	g_timeout_add(50, see_whether_over, NULL);
	return G_SOURCE_CONTINUE;
}

static void stop_core(void *unused)
{
	core_stop();
}

/* Before anybody can see the socket; the loop hears of those that come before it runs. */
static void expect_signals(void)
{
	loop = g_main_loop_new(NULL, FALSE);
	signal(SIGPIPE, SIG_IGN);
	g_unix_signal_add(SIGINT, on_signal, NULL);
	g_unix_signal_add(SIGTERM, on_signal, NULL);
	g_unix_signal_add(SIGHUP, on_signal, NULL);
}

static void serve(void)
{
	static const struct guest_hooks hooks = { .event = methods_event };

	guests_init(&hooks, opt.crash_dir);
	cpus_start();
	fprintf(stderr, "xenopus: serving a machine of %d MiB at %s\n", opt.memory, opt.socket);
	g_main_loop_run(loop);
	server_close();
	home_post(stop_core, NULL);
	cpus_join();
	guests_free();
}

/* A file descriptor for each client, viewer and virtual CPU. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int cmd_serve(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	int status;

	g_set_prgname("xenopus serve");
	status = parse(argc, argv);
	if (status)
		return status;
	allow_many_files();
	expect_signals();
	if (!machine_open(opt.kvm ? opt.kvm : "/dev/kvm", &error) ||
	    !machine_init((uint64_t)opt.memory << (20 - PAGE_SHIFT),
			  opt.pcpus ? (unsigned)opt.pcpus : machine_host_cpus(), &error)) {
		status = cmd_error(STATUS_FAILED, "%s", error->message);
	} else if (core_init()) {
		status = cmd_error(
			STATUS_FAILED,
			"the core cannot start in a machine of %d MiB: give another amount "
			"with --memory",
			opt.memory);
	} else if (!server_open(opt.socket, &error)) {
		status = cmd_error(STATUS_FAILED, "%s", error->message);
	} else {
		serve();
	}
	machine_free();
	g_main_loop_unref(loop);
	return status;
}
