/* SPDX-License-Identifier: MIT */
/* `xenopus run` in the hosted home: the machine is this process. */
#include <stdio.h>
#include <unistd.h>

#include <xenopus/control.h>
#include <xenopus/core.h>
#include <xen/sched.h>
#include "../machine.h"
#include "cmd.h"
#include "foreground.h"
#include "pack.h"
#include "run.h"

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

static void print_stats(const struct run *r, const struct foreground *fg)
{
	fprintf(stderr, "\n");
	kvm_stats_print(print_line, stderr);
	stats_print(fg->domain, print_line, stderr);
	run_print_time(r, "kernel unpacked", r->load.loaded_ns);
	run_print_time(r, "first guest instruction", fg->first_instruction_ns);
	run_print_time(r, "first console output", fg->first_output_ns);
	run_print_time(r, "end", fg->ended_ns);
	/* In a stopped machine; says so on the log if an invariant of the frame table is broken. */
	fprintf(stderr, "frame table audit: %u violations\n", mm_audit());
	print_status_line("RssAnon:");
	print_status_line("RssFile:");
	print_status_line("RssShmem:");
}

static const char *reason_name(unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot",   "suspend",
					     "crash",	 "watchdog", "soft reset" };

	return reason < G_N_ELEMENTS(names) ? names[reason] : "an unknown reason";
}

static int verdict(const struct foreground *fg)
{
	int status = terminal_verdict(&fg->terminal);

	if (status >= 0)
		return status;
	if (fg->reason == SHUTDOWN_poweroff || fg->reason == SHUTDOWN_reboot)
		return STATUS_OK;
	return run_stopped(fg->domain->name, reason_name(fg->reason));
}

static struct domain *create(struct run *r)
{
	struct pack p;
	struct domain *d;

	pack_domain(&p, &r->domain, &r->load.kernel, r->initrd);
	d = domain_create(&p.cfg);
	if (d && pack_shrunk(&p)) {
		domain_destroy(d);
		d = NULL;
	}
	if (!d)
		cmd_error(STATUS_FAILED, "%s", p.error);
	pack_free(&p);
	return d;
}

/* The kernel is being loaded; meanwhile make a machine, then a domain in it, and run that to its
 * end. */
int run_hosted(struct run *r)
{
	g_autoptr(GError) error = NULL;
	struct foreground fg = { .domain = NULL };
	int status;

	if (r->paused)
		return cmd_error(
			STATUS_USAGE,
			"--paused is for --home=metal; here start it under gdb: gdb --args "
			"xenopus run ...");
	if (!machine_init(run_machine_frames(r), r->pcpus, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	if (r->gdb_port)
		cmd_note("the hypervisor is this process: gdb -p %d -x tools/gdb/xenopus.py",
			 getpid());
	machine.timed = r->stats;
	machine.attendant = r->attendant;
	probe_print();
	if (core_init())
		return cmd_error(STATUS_FAILED,
				 "the core cannot start in a machine of %d MiB: give another "
				 "amount with --memory",
				 r->domain.memory);
	if (!run_kernel(r, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	fg.domain = create(r);
	if (!fg.domain)
		return STATUS_FAILED;
	load_placed(&r->load);
	foreground_run(&fg);
	if (r->stats)
		print_stats(r, &fg);
	status = verdict(&fg);
	domain_pause(fg.domain);
	domain_destroy(fg.domain);
	return status;
}
