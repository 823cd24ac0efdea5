/* SPDX-License-Identifier: MIT */
/*
 * xenopus-bundle: pack a domain (kernel unpacked into its segments, initrd, arguments, settings) into the boot
 * bundle of the bare-metal home, so that ring 0 neither parses ELF nor decompresses. docs/bundle.md has the format.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include <xenopus/features.h>
#include "../backends/kvm/cmd/cmd.h"
#include "../backends/kvm/cmd/options.h"
#include "../backends/kvm/cmd/pack.h"

static struct domain_options opt;
static char *output;

static const GOptionEntry entries[] = {
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Where to write the bundle", "FILE" },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Beside the output first, so that there is never half a bundle under its name. */
static int write_bundle(const struct domain_config *cfg)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_strconcat(output, ".XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0666);
	uint64_t size;
	bool packed;

	if (fd < 0)
		return cmd_error(STATUS_FAILED, "%s: cannot be written: %s", output, g_strerror(errno));
	packed = pack_bundle(cfg, opt.on, fd, &size, &error);
	if (!close(fd) && packed && !g_rename(path, output))
		return STATUS_OK;
	if (packed)
		cmd_error(STATUS_FAILED, "%s: cannot be written: %s", output, g_strerror(errno));
	else
		cmd_error(STATUS_FAILED, "%s", error->message);
	g_unlink(path);
	return STATUS_FAILED;
}

static int make(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GMappedFile) initrd = NULL;
	struct loader_kernel kernel;
	struct pack p;
	int status;

	if (!options_open_initrd(&opt, &initrd, &error) || !loader_open(opt.kernel, &kernel, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	if (loader_check_features(&kernel, CORE_NOTE_FEATURES, &error)) {
		pack_domain(&p, &opt, &kernel, initrd);
		status = write_bundle(&p.cfg);
		pack_free(&p);
	} else {
		status = cmd_error(STATUS_FAILED, "%s", error->message);
	}
	loader_free(&kernel);
	return status;
}

int main(int argc, char **argv)
{
	int status;

	cmd_program = "xenopus-bundle";
	g_set_prgname(cmd_program);
	status = options_parse(argc, argv, "Packs a Xen PV kernel (bzImage or ELF) and its domain's settings into a "
			       "boot bundle for xenopus.elf.", entries, &opt);
	if (!status)
		status = options_check_actions(&opt);
	if (!status)
		status = options_complete(&opt, 1024 * 1024);
	if (status)
		return status;
	if (!output || !*output)
		return cmd_error(STATUS_USAGE, "no place for the bundle given: xenopus-bundle -o FILE KERNEL "
				 "[-- kernel arguments]");
	return make();
}
