/* SPDX-License-Identifier: MIT */
/*
 * xenopus-bundle-join: several boot bundles in one, for loaders that take one module only (PVH). Each goes into the new
 * one as it is, with all its offsets moved by where it begins:
 *
 *	header | domains of all | first bundle | second bundle | ...
 */
#include <string.h>

#include <glib.h>

#include "../backends/baremetal/bundle_format.h"
#include "../backends/kvm/cmd/cmd.h"
#include "../backends/kvm/cmd/pack.h"

#define ALIGNMENT 4096u

static char *output, **inputs;

static const GOptionEntry entries[] = {
	{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Where to write the bundle", "FILE" },
	{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &inputs, NULL, NULL },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void align(GByteArray *to)
{
	static const guint8 zero[ALIGNMENT];

	g_byte_array_append(to, zero, (ALIGNMENT - to->len % ALIGNMENT) % ALIGNMENT);
}

/* The checksum with its own field taken as zero. */
static uint32_t checksum(const guint8 *bundle, gsize size)
{
	const size_t at = offsetof(struct bundle_header, crc);
	uint32_t crc = pack_crc(~0u, bundle, at), zero = 0;

	crc = pack_crc(crc, (const uint8_t *)&zero, sizeof(zero));
	return ~pack_crc(crc, bundle + at + sizeof(zero), size - at - sizeof(zero));
}

/* What is wrong with @h of @size bytes, or NULL. Offsets are for ring 0 to check; the checksum says they are ours. */
static const char *fault(const struct bundle_header *h, gsize size)
{
	if (size < sizeof(*h) || memcmp(h->magic, BUNDLE_MAGIC, sizeof(h->magic)))
		return "is no boot bundle";
	if (h->version != BUNDLE_VERSION || h->header_size != sizeof(*h) ||
	    h->domain_size != sizeof(struct bundle_domain))
		return "is of another version: make it anew";
	if (h->size != size || h->nr_domains > BUNDLE_MAX_DOMAINS ||
	    sizeof(*h) + h->nr_domains * sizeof(struct bundle_domain) > size ||
	    checksum((const guint8 *)h, size) != h->crc)
		return "is damaged: make it anew";
	return NULL;
}

/* Moves domain @d, whose bundle now begins at @base of @to. False: it points beyond its bundle. */
static gboolean move(GByteArray *to, struct bundle_domain *d, uint64_t base, gsize size)
{
	struct bundle_segment *s = (void *)(to->data + base + d->segments);

	if (d->name >= size || !memchr(to->data + base + d->name, '\0', size - d->name))
		return FALSE;
	if (d->segments > size || d->nr_segments > BUNDLE_MAX_SEGMENTS ||
	    d->nr_segments * sizeof(*s) > size - d->segments || d->segments % 8)
		return FALSE;
	for (uint32_t i = 0; i < d->nr_segments; i++)
		s[i].data += base;
	d->name += base;
	d->cmdline += base;
	d->segments += base;
	if (d->initrd_size)
		d->initrd += base;
	return TRUE;
}

/* Both have been moved. */
static gboolean is_called(const GByteArray *to, const struct bundle_domain *d, const struct bundle_domain *other)
{
	return !strcmp((const char *)to->data + d->name, (const char *)to->data + other->name);
}

/* Appends @path to @to, and its domains to @domains. */
static int join_one(GByteArray *to, GArray *domains, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree gchar *data = NULL;
	const struct bundle_header *h;
	const char *why;
	uint64_t base;
	gsize size;

	if (!g_file_get_contents(path, &data, &size, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	h = (const void *)data;
	why = fault(h, size);
	if (why)
		return cmd_error(STATUS_FAILED, "%s: %s", path, why);
	align(to);
	base = to->len;
	if (size > G_MAXINT32 || base + size > G_MAXINT32)
		return cmd_error(STATUS_FAILED, "%s: all together are larger than 2 GiB", path);
	g_byte_array_append(to, (const guint8 *)data, (guint)size);
	for (uint32_t i = 0; i < h->nr_domains; i++) {
		struct bundle_domain d = ((const struct bundle_domain *)(h + 1))[i];

		if (!move(to, &d, base, size))
			return cmd_error(STATUS_FAILED, "%s: is damaged: make it anew", path);
		for (guint j = 0; j < domains->len; j++)
			if (is_called(to, &d, &g_array_index(domains, struct bundle_domain, j)))
				return cmd_error(STATUS_FAILED, "%s: there is a domain %s already: give this one another name "
						 "(xenopus-bundle --name)", path, (const char *)to->data + d.name);
		g_array_append_val(domains, d);
	}
	return STATUS_OK;
}

static int join(void)
{
	const guint room = sizeof(struct bundle_header) + BUNDLE_MAX_DOMAINS * sizeof(struct bundle_domain);
	g_autoptr(GByteArray) to = g_byte_array_set_size(g_byte_array_new(), room);
	g_autoptr(GArray) domains = g_array_new(FALSE, FALSE, sizeof(struct bundle_domain));
	g_autoptr(GError) error = NULL;
	struct bundle_header h = { .version = BUNDLE_VERSION, .header_size = sizeof(h),
				   .domain_size = sizeof(struct bundle_domain) };

	memset(to->data, 0, room);
	for (char **path = inputs; *path; path++) {
		int status = join_one(to, domains, *path);

		if (status)
			return status;
	}
	if (domains->len > BUNDLE_MAX_DOMAINS)
		return cmd_error(STATUS_FAILED, "%u domains: a bundle has at most %u", domains->len, BUNDLE_MAX_DOMAINS);
	memcpy(h.magic, BUNDLE_MAGIC, sizeof(h.magic));
	h.nr_domains = domains->len;
	h.size = to->len;
	memcpy(to->data, &h, sizeof(h));
	memcpy(to->data + sizeof(h), domains->data, domains->len * sizeof(struct bundle_domain));
	h.crc = checksum(to->data, to->len);
	memcpy(to->data, &h, sizeof(h));
	if (!g_file_set_contents(output, (const gchar *)to->data, (gssize)to->len, &error))
		return cmd_error(STATUS_FAILED, "%s", error->message);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new("BUNDLE...");
	g_autoptr(GError) error = NULL;

	cmd_program = "xenopus-bundle-join";
	g_set_prgname(cmd_program);
	g_option_context_set_summary(context, "Makes one boot bundle of several; their domains start in this order.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return cmd_error(STATUS_USAGE, "%s ('%s --help' lists the options)", error->message, cmd_program);
	if (!output || !*output || !inputs)
		return cmd_error(STATUS_USAGE, "nothing to do: %s -o FILE BUNDLE...", cmd_program);
	return join();
}
