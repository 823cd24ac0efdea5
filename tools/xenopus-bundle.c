/* SPDX-License-Identifier: MIT */
/*
 * xenopus-bundle: pack a domain (kernel unpacked into its segments, initrd, arguments, settings) into the boot
 * bundle of the bare-metal home, so that ring 0 neither parses ELF nor decompresses. docs/bundle.md has the format.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include <xenopus/domain.h>
#include <xenopus/features.h>
#include "../backends/baremetal/bundle_format.h"
#include "../backends/kvm/loader/loader.h"

#define STATUS_FAILED 1
#define STATUS_USAGE  2

static struct {
	char *initrd, *name, *output;
	gint memory, vcpus;
	char **rest;
} opt = { .memory = 256, .vcpus = 1 };

static const GOptionEntry entries[] = {
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &opt.output, "Where to write the bundle", "FILE" },
	{ "initrd", 'i', 0, G_OPTION_ARG_FILENAME, &opt.initrd, "Initial ramdisk", "FILE" },
	{ "memory", 'm', 0, G_OPTION_ARG_INT, &opt.memory, "Memory of the domain in MiB (256)", "MIB" },
	{ "vcpus", 'c', 0, G_OPTION_ARG_INT, &opt.vcpus, "Virtual CPUs (1)", "N" },
	{ "name", 'n', 0, G_OPTION_ARG_STRING, &opt.name, "Name of the domain (the kernel's file name)",
	  "NAME" },
	{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt.rest, NULL, NULL },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

static int fail(int status, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static int fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("xenopus-bundle: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return status;
}

static void align(GByteArray *to, guint n)
{
	static const guint8 zero[4096];

	g_byte_array_append(to, zero, (n - to->len % n) % n);
}

/* Append @size bytes at the next multiple of @alignment; returns their offset. */
static uint64_t append(GByteArray *to, const void *data, size_t size, guint alignment)
{
	uint64_t at;

	align(to, alignment);
	at = to->len;
	g_byte_array_append(to, data, (guint)size);
	return at;
}

static uint32_t crc_of(const guint8 *p, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	for (unsigned i = 0; i < 256; i++)
		table[i] = bundle_crc_byte(0, (uint8_t)i);
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

static void append_segments(GByteArray *to, struct bundle_domain *d, const struct loader_kernel *k)
{
	g_autofree struct bundle_segment *s = g_new0(struct bundle_segment, k->nr_segments);

	for (unsigned i = 0; i < k->nr_segments; i++)
		s[i] = (struct bundle_segment){
			.va = k->segments[i].va,
			.data = append(to, k->segments[i].data, k->segments[i].filesz, 4096),
			.filesz = k->segments[i].filesz,
			.memsz = k->segments[i].memsz,
		};
	d->nr_segments = k->nr_segments;
	d->segments = append(to, s, k->nr_segments * sizeof(*s), 8);
}

static GByteArray *pack(const struct loader_kernel *k, GMappedFile *initrd, const char *cmdline)
{
	GByteArray *to = g_byte_array_new();
	struct bundle_header h = { .version = BUNDLE_VERSION, .header_size = sizeof(h), .nr_domains = 1,
				   .domain_size = sizeof(struct bundle_domain) };
	struct bundle_domain d = {
		.memory_pages = (uint64_t)opt.memory << (20 - PAGE_SHIFT),
		.max_pages = (uint64_t)opt.memory << (20 - PAGE_SHIFT),
		.vcpus = (uint32_t)opt.vcpus,
		.flags = k->notes.mod_start_pfn ? BUNDLE_MOD_START_PFN : 0,
		.entry = k->entry,
		.virt_base = k->notes.virt_base,
		.vstart = k->vstart,
		.vend = k->vend,
		.hypercall_page = k->notes.hypercall_page,
		.init_p2m = k->notes.init_p2m,
	};

	memcpy(h.magic, BUNDLE_MAGIC, sizeof(h.magic));
	g_byte_array_append(to, (const guint8 *)&h, sizeof(h));
	g_byte_array_append(to, (const guint8 *)&d, sizeof(d));
	d.name = append(to, opt.name, strlen(opt.name) + 1, 1);
	d.cmdline = append(to, cmdline, strlen(cmdline) + 1, 1);
	append_segments(to, &d, k);
	if (initrd) {
		d.initrd_size = g_mapped_file_get_length(initrd);
		d.initrd = append(to, g_mapped_file_get_contents(initrd), d.initrd_size, 4096);
	}
	h.size = to->len;
	memcpy(to->data + sizeof(h), &d, sizeof(d));
	memcpy(to->data, &h, sizeof(h));
	h.crc = crc_of(to->data, to->len);
	memcpy(to->data, &h, sizeof(h));
	return to;
}

static GMappedFile *open_initrd(GError **error)
{
	GMappedFile *file;
	struct stat st;

	/* Before it is opened: a fifo would be waited for. */
	if (!stat(opt.initrd, &st) && !S_ISREG(st.st_mode)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: is not a regular file; give the "
			    "file of an initrd", opt.initrd);
		return NULL;
	}
	file = g_mapped_file_new(opt.initrd, FALSE, error);
	/* The bundle is built in one array, whose length is an unsigned int. */
	if (file && (!g_mapped_file_get_length(file) || g_mapped_file_get_length(file) > 1u << 31)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: is empty or larger than 2 GiB",
			    opt.initrd);
		g_clear_pointer(&file, g_mapped_file_unref);
	}
	return file;
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

static int make(const char *cmdline)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GMappedFile) initrd = NULL;
	g_autoptr(GByteArray) bundle = NULL;
	struct loader_kernel kernel;

	if (opt.initrd && !(initrd = open_initrd(&error)))
		return fail(STATUS_FAILED, "%s", error->message);
	if (!loader_open(opt.rest[0], &kernel, &error))
		return fail(STATUS_FAILED, "%s", error->message);
	if (!loader_check_features(&kernel, CORE_NOTE_FEATURES, &error)) {
		loader_free(&kernel);
		return fail(STATUS_FAILED, "%s", error->message);
	}
	if (kernel.nr_segments > BUNDLE_MAX_SEGMENTS) {
		loader_free(&kernel);
		return fail(STATUS_FAILED, "%s: has more than %u segments", opt.rest[0], BUNDLE_MAX_SEGMENTS);
	}
	bundle = pack(&kernel, initrd, cmdline);
	loader_free(&kernel);
	if (!g_file_set_contents(opt.output, (const char *)bundle->data, bundle->len, &error))
		return fail(STATUS_FAILED, "%s", error->message);
	return 0;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *cmdline = take_kernel_arguments(&argc, argv);
	g_autoptr(GOptionContext) context = g_option_context_new("-o FILE KERNEL [-- kernel arguments]");
	g_autofree char *base = NULL;

	g_option_context_set_summary(context, "Packs a Xen PV kernel (bzImage or ELF) and its domain's settings "
				     "into a boot bundle for xenopus.elf.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return fail(STATUS_USAGE, "%s", error->message);
	if (!opt.rest || !opt.rest[0] || !opt.output)
		return fail(STATUS_USAGE, "give a kernel and, with -o, where to write the bundle");
	if (opt.rest[1])
		return fail(STATUS_USAGE, "unexpected argument '%s': kernel arguments come after '--'",
			    opt.rest[1]);
	if (opt.memory < 1 || opt.memory > 1024 * 1024)
		return fail(STATUS_USAGE, "memory of %d MiB: give 1 to 1048576", opt.memory);
	if (opt.vcpus < 1 || opt.vcpus > MAX_VCPUS)
		return fail(STATUS_USAGE, "%d virtual CPUs: give 1 to %d", opt.vcpus, MAX_VCPUS);
	if (!opt.name)
		opt.name = base = g_path_get_basename(opt.rest[0]);
	return make(cmdline);
}
