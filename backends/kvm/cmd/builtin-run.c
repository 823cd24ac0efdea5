/* SPDX-License-Identifier: MIT */
/* `xenopus run [options] KERNEL [-- kernel arguments]`: a machine and one domain in the foreground.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xenopus/features.h>
#include <xenopus/lib.h>
#include <xenopus/mm.h>
#include <xenopus/sched.h>
#include "../../../console/tty.h"
#include "../machine.h"
#include "cmd.h"
#include "run.h"

#define MAX_MEMORY_MIB (250 * 1024) /* and what the core needs beside it: MACHINE_MAX_FRAMES */
#define GDB_PORT       "1234"

static struct {
	char *home, *sched, *log_level, *kvm;
	gint gdb, audit, pcpus;
	gboolean stats, verbose, no_cache, no_attendant, paused;
} opt;

static const GOptionEntry entries[] = {
	{ "home", 0, 0, G_OPTION_ARG_STRING, &opt.home,
	  "Where: kvm, or metal, in a machine emulated by QEMU (kvm if it can be used)", "HOME" },
	{ "pcpus", 'p', 0, G_OPTION_ARG_INT, &opt.pcpus,
	  "Physical CPUs of the machine (as many as virtual ones, if the host has so many)", "N" },
	{ "sched", 0, 0, G_OPTION_ARG_STRING, &opt.sched,
	  "How virtual CPUs share physical ones: bvt, credit or rr (bvt)", "POLICY" },
	{ "stats", 's', 0, G_OPTION_ARG_NONE, &opt.stats,
	  "At the end print exits, hypercalls, page-table stores and times", NULL },
	{ "log-level", 'l', 0, G_OPTION_ARG_STRING, &opt.log_level,
	  "Least important lines to log: error, warn, info, debug (warn)", "LEVEL" },
	{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &opt.verbose,
	  "Tell about host, kernel image and domain (log level info)", NULL },
	{ "gdb", 0, 0, G_OPTION_ARG_INT, &opt.gdb,
	  "Let gdb look at the hypervisor, for --home=metal on this port of localhost (" GDB_PORT
	  ")",
	  "PORT" },
	{ "paused", 0, 0, G_OPTION_ARG_NONE, &opt.paused,
	  "With --gdb: do not start before gdb says so", NULL },
	{ "no-attendant", 0, 0, G_OPTION_ARG_NONE, &opt.no_attendant,
	  "No second host thread that answers hypercalls where exits are slow", NULL },
	{ "no-cache", 0, 0, G_OPTION_ARG_NONE, &opt.no_cache,
	  "Unpack the kernel anew and do not keep it for the next time", NULL },
	{ "audit", 0, 0, G_OPTION_ARG_INT, &opt.audit,
	  "Check the whole frame table every N hypercalls, and stop if it is wrong", "N" },
	{ "kvm", 0, 0, G_OPTION_ARG_FILENAME, &opt.kvm, "KVM device (/dev/kvm)", "FILE" },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

static bool set_log_level(void)
{
	log_threshold = opt.verbose ? LOG_INFO : LOG_WARN;
	return !opt.log_level || options_set_log_level(opt.log_level);
}

/* GOption would take the next argument for the port. */
static void complete_gdb_option(int argc, char **argv)
{
	static char with_port[] = "--gdb=" GDB_PORT;

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--gdb"))
			argv[i] = with_port;
}

static int check_options(void)
{
	if (!set_log_level())
		return cmd_error(STATUS_USAGE,
				 "unknown log level '%s': use error, warn, info or debug",
				 opt.log_level);
	if (opt.home && strcmp(opt.home, "kvm") && strcmp(opt.home, "metal"))
		return cmd_error(STATUS_USAGE, "unknown home '%s': use kvm or metal", opt.home);
	if (!g_strcmp0(opt.home, "metal") && opt.kvm)
		return cmd_error(STATUS_USAGE, "--kvm is for --home=kvm");
	if (opt.gdb < 0 || opt.gdb > 65535)
		return cmd_error(STATUS_USAGE, "port %d for gdb: give 1 to 65535", opt.gdb);
	if (opt.audit < 0)
		return cmd_error(STATUS_USAGE, "an audit every %d hypercalls: give 1 or more",
				 opt.audit);
	if (opt.pcpus < 0 || opt.pcpus > MAX_PCPUS)
		return cmd_error(STATUS_USAGE, "%d physical CPUs: give 1 to %d", opt.pcpus,
				 MAX_PCPUS);
	if (opt.paused && !opt.gdb)
		return cmd_error(STATUS_USAGE, "--paused waits for gdb: give --gdb, too");
	return options_choose_sched(opt.sched);
}

bool run_kernel(struct run *r, GError **error)
{
	if (!load_wait(&r->load, error) ||
	    !loader_check_features(&r->load.kernel, CORE_NOTE_FEATURES, error))
		return false;
	if (r->verbose)
		loader_dump(&r->load.kernel, stderr);
	return true;
}

void run_print_time(const struct run *r, const char *what, uint64_t ns)
{
	if (ns)
		fprintf(stderr, "start to %s: %.1f ms\n", what, (double)(ns - r->started_ns) / 1e6);
}

uint64_t run_machine_frames(const struct run *r)
{
	uint64_t pages = (uint64_t)r->domain.memory << (20 - PAGE_SHIFT);

	/* Frame table, M2P, page tables of the tables: 2 % and a floor. */
	return pages + pages / 50 + 4096;
}

int run_stopped(const char *name, const char *reason)
{
	return cmd_error(STATUS_FAILED, "domain %s stopped: %s", name, reason);
}

/* KVM if it is there, else the machine that needs nothing of the host, with a line that says so. */
static int run_somewhere(struct run *r)
{
	g_autoptr(GError) error = NULL;

	if (!g_strcmp0(opt.home, "metal"))
		return run_metal(r);
	if (machine_open(opt.kvm ? opt.kvm : "/dev/kvm", &error)) {
		const char *given = options_actions_given(&r->domain);

		if (given)
			return cmd_error(STATUS_USAGE,
					 "%s is for --home=metal: here a domain that stops is gone; "
					 "'xenopus create' has more",
					 given);
		if (memchr(r->domain.on_of_file, true, sizeof(r->domain.on_of_file)))
			cmd_note("what the file says of stopping (on_poweroff, ...) is for 'xenopus create' and "
				 "--home=metal: here a domain that stops is gone");
		return run_hosted(r);
	}
	if (opt.home || opt.kvm)
		return cmd_error(STATUS_FAILED, "%s", error->message);
	cmd_note(
		"no KVM, so the machine is emulated by QEMU, which takes longer (--home=metal): %s",
		error->message);
	return run_metal(r);
}

int cmd_run(int argc, char **argv)
{
	static struct run r;
	g_autoptr(GError) error = NULL;
	int status;

	r.started_ns = clock_ns();
	g_set_prgname("xenopus run");
	complete_gdb_option(argc, argv);
	status = options_parse(
		argc, argv,
		"Runs a Xen PV kernel (bzImage or ELF) as a domain of this process, or on an "
		"emulated machine.\nKERNEL may be a configuration file of xl's (*.cfg), too. "
		"Its console is this terminal; Ctrl-] leaves and destroys the domain.",
		entries, &r.domain);
	if (!status)
		status = check_options();
	if (!status && run_is_config(r.domain.kernel))
		status = run_read_config(&r.domain);
	if (!status)
		status = options_complete(&r.domain, MAX_MEMORY_MIB);
	if (status)
		return status;
	mm_audit_every = (unsigned)opt.audit;
	r.stats = opt.stats;
	r.verbose = opt.verbose;
	r.attendant = !opt.no_attendant;
	r.paused = opt.paused;
	r.gdb_port = opt.gdb;
	r.pcpus = opt.pcpus ? (unsigned)opt.pcpus :
			      MIN((unsigned)r.domain.vcpus, machine_host_cpus());
	tty_catch_fatal(); /* before the files are opened: their loader has a use for SIGBUS, too */
	if (!options_open_initrd(&r.domain, &r.initrd, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	load_start(&r.load, r.domain.kernel, !opt.no_cache);
	status = run_somewhere(&r);
	load_done(&r.load);
	machine_free();
	options_close_initrd(&r.initrd);
	return status;
}
