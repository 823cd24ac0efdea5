/* SPDX-License-Identifier: MIT */
/* `xenopus run [options] KERNEL [-- kernel arguments]`: a machine and one domain in the foreground. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <xenopus/control.h>
#include <xenopus/core.h>
#include <xenopus/features.h>
#include <xen/sched.h>
#include "../loader/loader.h"
#include "../machine.h"
#include "cmd.h"
#include "foreground.h"
#include "load.h"

#define MAX_MEMORY_MIB (250 * 1024) /* and what the core needs beside it: MACHINE_MAX_FRAMES */

static struct {
	char *initrd, *log_level, *name, *kvm;
	gint memory, vcpus;
	gboolean stats, verbose, no_cache, attendant;
	char **rest;
} opt = { .memory = 256, .vcpus = 1, .attendant = TRUE };

static const GOptionEntry entries[] = {
	{ "initrd", 'i', 0, G_OPTION_ARG_FILENAME, &opt.initrd, "Initial ramdisk", "FILE" },
	{ "memory", 'm', 0, G_OPTION_ARG_INT, &opt.memory, "Memory of the domain in MiB (256)", "MIB" },
	{ "vcpus", 'c', 0, G_OPTION_ARG_INT, &opt.vcpus, "Virtual CPUs (1)", "N" },
	{ "name", 'n', 0, G_OPTION_ARG_STRING, &opt.name, "Name of the domain (the kernel's file name)",
	  "NAME" },
	{ "stats", 's', 0, G_OPTION_ARG_NONE, &opt.stats,
	  "At the end print exits, hypercalls, page-table stores and times", NULL },
	{ "log-level", 'l', 0, G_OPTION_ARG_STRING, &opt.log_level,
	  "Least important lines to log: error, warn, info, debug (warn)", "LEVEL" },
	{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &opt.verbose,
	  "Tell about host, kernel image and domain (log level info)", NULL },
	{ "no-attendant", 0, G_OPTION_FLAG_REVERSE, G_OPTION_ARG_NONE, &opt.attendant,
	  "No second host thread that answers hypercalls where exits are slow", NULL },
	{ "no-cache", 0, 0, G_OPTION_ARG_NONE, &opt.no_cache,
	  "Unpack the kernel anew and do not keep it for the next time", NULL },
	{ "kvm", 0, 0, G_OPTION_ARG_FILENAME, &opt.kvm, "KVM device (/dev/kvm)", "FILE" },
	{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt.rest, NULL, NULL },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

static bool set_log_level(void)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	log_threshold = opt.verbose ? LOG_INFO : LOG_WARN;
	if (!opt.log_level)
		return true;
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!strcmp(opt.log_level, names[i])) {
			log_threshold = (enum log_level)i;
			return true;
		}
	}
	return false;
}

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

static GMappedFile *open_initrd(GError **error)
{
	g_autoptr(GError) why = NULL;
	GMappedFile *file = NULL;
	struct stat st;

	/* Before it is opened: a fifo would be waited for, a device read. */
	if (stat(opt.initrd, &st) < 0)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: cannot open the initrd: %s; check "
			    "the path", opt.initrd, g_strerror(errno));
	else if (!S_ISREG(st.st_mode))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: is %s; give the file of an initrd",
			    opt.initrd, S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	else if (st.st_size == 0)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: is empty; make the initrd again, or "
			    "leave out --initrd", opt.initrd);
	else if (!(file = g_mapped_file_new(opt.initrd, FALSE, &why)))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: cannot read the initrd: %s; check "
			    "its permissions", opt.initrd, why->message);
	return file;
}

static void print_line(void *to, const char *text)
{
	fprintf(to, "%s\n", text);
}

static void print_status_line(const char *key)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
		return;
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		if (g_str_has_prefix(*l, key))
			fprintf(stderr, "%s\n", *l);
}

static void print_stats(const struct foreground *fg, uint64_t loaded_ns)
{
	fprintf(stderr, "\n");
	kvm_stats_print(print_line, stderr);
	stats_print(fg->domain, print_line, stderr);
	fprintf(stderr, "start to kernel unpacked: %.1f ms\n", (double)(loaded_ns - fg->started_ns) / 1e6);
	fprintf(stderr, "start to first guest instruction: %.1f ms\n",
		(double)(fg->first_instruction_ns - fg->started_ns) / 1e6);
	if (fg->first_output_ns)
		fprintf(stderr, "start to first console output: %.1f ms\n",
			(double)(fg->first_output_ns - fg->started_ns) / 1e6);
	fprintf(stderr, "start to end: %.1f ms\n", (double)(fg->ended_ns - fg->started_ns) / 1e6);
	/* In a stopped machine; says so on the log if an invariant of the frame table is broken. */
	fprintf(stderr, "frame table audit: %u violations\n", mm_audit());
	print_status_line("RssAnon:");
	print_status_line("RssFile:");
	print_status_line("RssShmem:");
}

static struct domain *create(const struct loader_kernel *lk, GMappedFile *initrd, const char *cmdline,
			     char *why, size_t why_size)
{
	g_autofree struct kernel_segment *segments = g_new0(struct kernel_segment, lk->nr_segments);
	struct kernel_image image = {
		.segments = segments,
		.nr_segments = lk->nr_segments,
		.entry = lk->entry,
		.virt_base = lk->notes.virt_base,
		.vstart = lk->vstart,
		.vend = lk->vend,
		.hypercall_page = lk->notes.hypercall_page,
		.init_p2m = lk->notes.init_p2m,
		.mod_start_pfn = lk->notes.mod_start_pfn,
	};
	struct domain_config cfg = {
		.name = opt.name,
		.memory_pages = (uint64_t)opt.memory << (20 - PAGE_SHIFT),
		.max_pages = (uint64_t)opt.memory << (20 - PAGE_SHIFT),
		.vcpus = (unsigned)opt.vcpus,
		.cmdline = cmdline,
		.kernel = &image,
		.initrd = initrd ? g_mapped_file_get_contents(initrd) : NULL,
		.initrd_size = initrd ? g_mapped_file_get_length(initrd) : 0,
		.error = why,
		.error_size = why_size,
	};

	for (unsigned i = 0; i < lk->nr_segments; i++)
		segments[i] = (struct kernel_segment){ lk->segments[i].va, lk->segments[i].data,
						       lk->segments[i].filesz, lk->segments[i].memsz };
	return domain_create(&cfg);
}

static const char *reason_name(unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot", "suspend", "crash", "watchdog",
					     "soft reset" };

	return reason < G_N_ELEMENTS(names) ? names[reason] : "an unknown reason";
}

static int verdict(const struct foreground *fg)
{
	if (fg->left) {
		fprintf(stderr, "\nxenopus: console left, domain destroyed\n");
		return STATUS_OK;
	}
	if (fg->signal)
		return cmd_error(128 + fg->signal, "stopped by %s", g_strsignal(fg->signal));
	if (fg->reason == SHUTDOWN_poweroff || fg->reason == SHUTDOWN_reboot)
		return STATUS_OK;
	return cmd_error(STATUS_FAILED, "domain %s stopped: %s", fg->domain->name, reason_name(fg->reason));
}

/* The kernel is being loaded; meanwhile make a machine, then a domain in it, and run that to its end. */
static int run(struct load *load, GMappedFile *initrd, const char *cmdline, uint64_t started_ns)
{
	g_autoptr(GError) error = NULL;
	/* Frame table, M2P, page tables of the tables: 2 % and a floor. */
	uint64_t pages = (uint64_t)opt.memory << (20 - PAGE_SHIFT);
	char why[256] = "";

	if (!machine_init(opt.kvm ? opt.kvm : "/dev/kvm", pages + pages / 50 + 4096, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	machine.timed = opt.stats;
	machine.attendant = opt.attendant;
	probe_print();
	if (core_init())
		return cmd_error(STATUS_FAILED, "the core cannot start in a machine of %d MiB: give another "
				 "amount with --memory", opt.memory);
	if (!load_wait(load, &error) ||
	    !loader_check_features(&load->kernel, CORE_NOTE_FEATURES, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	if (opt.verbose)
		loader_dump(&load->kernel, stderr);

	struct foreground fg = { .started_ns = started_ns };

	fg.domain = create(&load->kernel, initrd, cmdline, why, sizeof(why));
	if (!fg.domain)
		return cmd_error(STATUS_FAILED, "%s", why);
	load_placed(load);
	foreground_run(&fg);
	if (opt.stats)
		print_stats(&fg, load->loaded_ns);

	int status = verdict(&fg);

	domain_pause(fg.domain);
	domain_destroy(fg.domain);
	return status;
}

int cmd_run(int argc, char **argv)
{
	uint64_t started_ns = clock_ns();
	g_autoptr(GError) error = NULL;
	g_autofree char *cmdline = take_kernel_arguments(&argc, argv);
	g_autoptr(GOptionContext) context = g_option_context_new("KERNEL [-- kernel arguments]");
	g_autofree char *base = NULL;

	g_set_prgname("xenopus run");
	g_option_context_set_summary(context,
				     "Runs a Xen PV kernel (bzImage or ELF) as a domain of this process.\n"
				     "Its console is this terminal; Ctrl-] leaves and destroys the domain.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return cmd_error(STATUS_USAGE, "%s ('xenopus run --help' lists the options)",
				 error->message);
	if (!opt.rest || !opt.rest[0])
		return cmd_error(STATUS_USAGE, "no kernel given: xenopus run [options] KERNEL "
				 "[-- kernel arguments]");
	if (opt.rest[1])
		return cmd_error(STATUS_USAGE, "unexpected argument '%s': kernel arguments come after '--'",
				 opt.rest[1]);
	if (!set_log_level())
		return cmd_error(STATUS_USAGE, "unknown log level '%s': use error, warn, info or debug",
				 opt.log_level);
	if (!*opt.rest[0] || (opt.initrd && !*opt.initrd))
		return cmd_error(STATUS_USAGE, "an empty file name as %s: give a path",
				 *opt.rest[0] ? "initrd" : "kernel");
	if (opt.memory < 1 || opt.memory > MAX_MEMORY_MIB)
		return cmd_error(STATUS_USAGE, "memory of %d MiB: give 1 to %d", opt.memory, MAX_MEMORY_MIB);
	if (opt.vcpus < 1 || opt.vcpus > MAX_VCPUS)
		return cmd_error(STATUS_USAGE, "%d virtual CPUs: give 1 to %d", opt.vcpus, MAX_VCPUS);
	if (!opt.name)
		opt.name = base = g_path_get_basename(opt.rest[0]);

	g_autoptr(GMappedFile) initrd = NULL;
	struct load load;

	if (opt.initrd && !(initrd = open_initrd(&error)))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	load_start(&load, opt.rest[0], !opt.no_cache);

	int status = run(&load, initrd, cmdline, started_ns);

	load_done(&load);
	machine_free();
	return status;
}
