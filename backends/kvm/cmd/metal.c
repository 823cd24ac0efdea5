/* SPDX-License-Identifier: MIT */
/*
 * `xenopus run` on bare metal: packs the boot bundle into a file without a name, gives it with
 * xenopus.elf to a QEMU that emulates the whole machine, and tells what became of it as the hosted
 * home would.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenopus/lib.h>
#include <xenopus/mm.h>
#include "../machine.h"
#include "cmd.h"
#include "config.h"
#include "emulator.h"
#include "pack.h"
#include "run.h"

#define QEMU "qemu-system-x86_64"

/* Statuses of isa-debug-exit, beside 0 for a power-off (docs/metal.md). */
enum { METAL_ENDED = 1, METAL_PANICKED = 3 };

#define MAX_BUNDLE_MIB 2900 /* it lies below 4 GiB, where QEMU's machine has 3 GiB of memory */

/* Beside the program, in the build tree or installed. */
static char *find_image(void)
{
	static const char *const places[] = { "../baremetal/xenopus.elf",
					      "../" XENOPUS_LIBDIR "/xenopus/xenopus.elf" };
	const char *wanted = g_getenv("XENOPUS_ELF");
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *directory = self ? g_path_get_dirname(self) : NULL;

	if (wanted)
		return g_strdup(wanted);
	for (unsigned i = 0; directory && i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(directory, places[i], NULL);
		char *image = g_canonicalize_filename(path, NULL);

		if (g_file_test(image, G_FILE_TEST_IS_REGULAR))
			return image;
		g_free(image);
	}
	return NULL;
}

static char *find_qemu(void)
{
	const char *wanted = g_getenv("XENOPUS_QEMU");

	return g_find_program_in_path(wanted ? wanted : QEMU);
}

/* MiB: the domain's, what the core needs beside it, the bundle, which stays where it was put; image
 * and firmware. */
static uint64_t machine_mib(const struct run *r, uint64_t bundle_size)
{
	uint64_t frames = run_machine_frames(r) + (bundle_size >> PAGE_SHIFT) + 2048;

	/* From 3 GiB on there is a gap of 1 GiB below 4 GiB, which the tables of frames include. */
	if (frames > 3u << 18)
		frames += (1u << 18) / 50;
	return (frames + 255) >> 8;
}

static char **command_line(const struct run *r, const char *qemu, const char *image, uint64_t mib)
{
	GPtrArray *words = g_ptr_array_new();
	/* Of what QEMU can emulate "max" is fastest: no registers and defences for other CPUs'
	 * defects. */
	const char *const fixed[] = {
		qemu,
		"-nodefaults",
		"-no-user-config",
		"-no-reboot",
		"-display",
		"none",
		"-monitor",
		"none",
		"-accel",
		"tcg",
		"-cpu",
		"max",
		"-initrd",
		"/proc/self/fd/5",
		"-chardev",
		"socket,id=console,fd=3",
		"-serial",
		"chardev:console",
		"-chardev",
		"socket,id=log,fd=4",
		"-device",
		"isa-debugcon,iobase=0xe9,chardev=log",
		"-device",
		"isa-debug-exit,iobase=0xf4,iosize=4",
	};

	G_STATIC_ASSERT(EMULATOR_CONSOLE == 3 && EMULATOR_LOG == 4 && EMULATOR_BUNDLE == 5);
	for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++)
		g_ptr_array_add(words, g_strdup(fixed[i]));
	g_ptr_array_add(words, g_strdup("-m"));
	g_ptr_array_add(words, g_strdup_printf("%" G_GUINT64_FORMAT "M", mib));
	g_ptr_array_add(words, g_strdup("-smp"));
	g_ptr_array_add(words, g_strdup_printf("%u", r->pcpus));
	g_ptr_array_add(words, g_strdup("-kernel"));
	g_ptr_array_add(words, g_strdup(image));
	g_ptr_array_add(words, g_strdup("-append"));
	g_ptr_array_add(words,
			g_strdup_printf("debug-exit debugcon audit=%u log-level=%s sched=%s%s",
					mm_audit_every, options_log_levels[log_threshold],
					sched_policy_name(), r->stats ? " stats" : ""));
	if (r->gdb_port) {
		g_ptr_array_add(words, g_strdup("-gdb"));
		g_ptr_array_add(words, g_strdup_printf("tcp:127.0.0.1:%d", r->gdb_port));
	}
	if (r->paused)
		g_ptr_array_add(words, g_strdup("-S"));
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(words, FALSE);
}

/* The bundle in a file of memory; its descriptor, or -1 after a line that says why. */
static int make_bundle(struct run *r, uint64_t *size)
{
	g_autoptr(GError) error = NULL;
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct pack p;
	bool good;

	if (fd < 0) {
		cmd_note("cannot make a file for the boot bundle: %s", g_strerror(errno));
		return -1;
	}
	pack_domain(&p, &r->domain, &r->load.kernel, r->initrd);
	/* The core asks about the machine, which is only planned so far. */
	machine.info.frames = run_machine_frames(r);
	good = !domain_check(&p.cfg);
	if (!good)
		cmd_note("%s", p.error);
	else if (!(good = pack_bundle(&p.cfg, r->domain.on, fd, size, &error)))
		cmd_note("%s", error->message);
	else if (!(good = !pack_shrunk(&p)))
		cmd_note("%s", p.error);
	else if (!(good = *size >> 20 <= MAX_BUNDLE_MIB))
		cmd_note("kernel and initrd of %" G_GUINT64_FORMAT
			 " MiB: at most %d MiB can be given to a machine "
			 "that QEMU emulates; use a smaller initrd",
			 *size >> 20, MAX_BUNDLE_MIB);
	pack_free(&p);
	if (good)
		return fd;
	close(fd);
	return -1;
}

static int verdict(const struct emulator *e)
{
	int status = terminal_verdict(&e->terminal);

	if (status >= 0)
		return status;
	if (WIFSIGNALED(e->wait_status))
		return cmd_error(STATUS_FAILED, QEMU " was ended by a signal: %s",
				 g_strsignal(WTERMSIG(e->wait_status)));
	status = WEXITSTATUS(e->wait_status);
	if (status == 0)
		return STATUS_OK;
	if (status == METAL_PANICKED)
		return cmd_error(128 + SIGABRT,
				 "the hypervisor panicked; the lines above say where");
	if (status == METAL_ENDED && e->said_why)
		return STATUS_FAILED;
	return cmd_error(STATUS_FAILED, "the emulated machine did not run: %s",
			 e->complaint ? e->complaint : "QEMU does not say why");
}

static void print_times(const struct run *r, const struct emulator *e)
{
	run_print_time(r, "kernel unpacked", r->load.loaded_ns);
	run_print_time(r, "power-on", e->spawned_ns);
	run_print_time(r, "first console output", e->first_output_ns);
	run_print_time(r, "end", e->ended_ns);
}

static int emulate(struct run *r, const char *qemu, const char *image, int bundle, uint64_t mib)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) argv = command_line(r, qemu, image, mib);
	struct emulator e = { .wait_status = 0 };
	int status;

	xlog(LOG_INFO, "a machine of %llu MiB for %d MiB of domain, started from %s",
	     (unsigned long long)mib, r->domain.memory, image);
	if (r->gdb_port)
		cmd_note("for gdb: gdb %s -ex 'target remote :%d' -x tools/gdb/xenopus.py%s", image,
			 r->gdb_port, r->paused ? "; the machine waits for its 'continue'" : "");
	if (!emulator_run(&e, argv, bundle, &error))
		return cmd_error(STATUS_FAILED, "cannot start %s: %s", qemu, error->message);
	if (r->stats)
		print_times(r, &e);
	status = verdict(&e);
	g_free(e.complaint);
	return status;
}

int run_metal(struct run *r)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *qemu = find_qemu(), *image = find_image();
	uint64_t size = 0;
	int bundle, status = options_check_actions(&r->domain);

	if (status)
		return status;
	if (!qemu)
		return cmd_error(STATUS_FAILED,
				 "there is no " QEMU " to emulate a machine: apt-get install "
				 "qemu-system-x86");
	if (!image)
		return cmd_error(
			STATUS_FAILED,
			"there is no xenopus.elf beside this program: build it (ninja), install "
			"it, or say in XENOPUS_ELF where it is");
	if (!machine_fits(machine_mib(r, 0) << 8, &error) || !run_kernel(r, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	bundle = make_bundle(r, &size);
	if (bundle < 0)
		return STATUS_FAILED;
	load_placed(&r->load);
	status = emulate(r, qemu, image, bundle, machine_mib(r, size));
	close(bundle);
	return status;
}
