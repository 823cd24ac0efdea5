/* SPDX-License-Identifier: MIT */
/*
 * A boot bundle is written front to back, the checksum last:
 *
 *	header | domain | name | arguments | segment list | data of the segments ... | initrd
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../baremetal/bundle_format.h"
#include "../loader/shrink.h"
#include "pack.h"

#define ALIGNMENT 4096 /* of segments and initrd */

void pack_domain(struct pack *p, const struct domain_options *opt,
		 const struct loader_kernel *kernel, GMappedFile *initrd)
{
	uint64_t pages = (uint64_t)opt->memory << 8;

	*p = (struct pack){
		.kernel_name = kernel->name,
		.kernel_file = kernel->file,
		.initrd = initrd ? g_mapped_file_get_contents(initrd) : NULL,
		.segments = g_new0(struct kernel_segment, kernel->nr_segments),
		.image = {
			.nr_segments = kernel->nr_segments,
			.entry = kernel->entry,
			.virt_base = kernel->notes.virt_base,
			.vstart = kernel->vstart,
			.vend = kernel->vend,
			.hypercall_page = kernel->notes.hypercall_page,
			.init_p2m = kernel->notes.init_p2m,
			.mod_start_pfn = kernel->notes.mod_start_pfn,
		},
		.cfg = {
			.name = opt->name,
			.memory_pages = pages,
			.max_pages = pages,
			.vcpus = (unsigned)opt->vcpus,
			.cmdline = opt->cmdline,
			.initrd = initrd ? g_mapped_file_get_contents(initrd) : NULL,
			.initrd_size = initrd ? g_mapped_file_get_length(initrd) : 0,
		},
	};
	for (unsigned i = 0; i < kernel->nr_segments; i++)
		p->segments[i] =
			(struct kernel_segment){ kernel->segments[i].va, kernel->segments[i].data,
						 kernel->segments[i].filesz,
						 kernel->segments[i].memsz };
	p->image.segments = p->segments;
	p->cfg.kernel = &p->image;
	p->cfg.error = p->error;
	p->cfg.error_size = sizeof(p->error);
}

bool pack_shrunk(struct pack *p)
{
	bool kernel = shrink_happened(p->kernel_file);

	if (!kernel && !shrink_happened(p->initrd))
		return false;
	g_snprintf(p->error, sizeof(p->error), "%s became shorter while it was read; give it when it is complete",
		   kernel ? p->kernel_name : "the initrd");
	return true;
}

void pack_free(struct pack *p)
{
	g_clear_pointer(&p->segments, g_free);
}

struct writer {
	int fd, error;
	uint64_t at;
	uint32_t crc;
};

static uint32_t crc_of(uint32_t crc, const uint8_t *p, size_t n)
{
	static uint32_t table[256];

	for (unsigned i = 0; !table[255] && i < 256; i++)
		table[i] = bundle_crc_byte(0, (uint8_t)i);
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

/* The same by the processor's own instruction, eight bytes at a time. */
__attribute__((target("sse4.2"))) static uint32_t crc_of_fast(uint32_t crc, const uint8_t *p,
							      size_t n)
{
	uint64_t c = crc, word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		c = __builtin_ia32_crc32di(c, word);
	}
	return crc_of((uint32_t)c, p, n);
}

uint32_t pack_crc(uint32_t crc, const uint8_t *p, size_t n)
{
	return __builtin_cpu_supports("sse4.2") ? crc_of_fast(crc, p, n) : crc_of(crc, p, n);
}

static void put(struct writer *w, const void *data, uint64_t size)
{
	const uint8_t *p = data;

	if (w->error)
		return;
	w->crc = pack_crc(w->crc, p, size);
	while (size) {
		ssize_t n = write(w->fd, p, MIN(size, (uint64_t)1 << 30));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			w->error = n ? errno : ENOSPC;
			return;
		}
		p += n;
		w->at += (uint64_t)n;
		size -= (uint64_t)n;
	}
}

static uint64_t round_up(uint64_t n, uint64_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

static void put_at(struct writer *w, uint64_t at, const void *data, uint64_t size)
{
	static const uint8_t zero[ALIGNMENT];

	put(w, zero, at - w->at);
	put(w, data, size);
}

/* Where everything goes; returns the bundle's size. */
static uint64_t lay_out(const struct domain_config *cfg, struct bundle_domain *d,
			struct bundle_segment *s)
{
	const struct kernel_image *k = cfg->kernel;
	uint64_t end;

	d->name = sizeof(struct bundle_header) + sizeof(*d);
	d->cmdline = d->name + strlen(cfg->name) + 1;
	d->segments = round_up(d->cmdline + strlen(cfg->cmdline) + 1, 8);
	end = d->segments + k->nr_segments * sizeof(*s);
	for (unsigned i = 0; i < k->nr_segments; i++) {
		s[i] = (struct bundle_segment){ k->segments[i].va, round_up(end, ALIGNMENT),
						k->segments[i].filesz, k->segments[i].memsz };
		end = s[i].data + s[i].filesz;
	}
	if (cfg->initrd_size) {
		d->initrd = round_up(end, ALIGNMENT);
		end = d->initrd + cfg->initrd_size;
	}
	return end;
}

gboolean pack_bundle(const struct domain_config *cfg, const int on[STOP_REASONS], int fd,
		     uint64_t *size, GError **error)
{
	const struct kernel_image *k = cfg->kernel;
	g_autofree struct bundle_segment *s = g_new0(struct bundle_segment, k->nr_segments);
	struct bundle_header h = { .version = BUNDLE_VERSION,
				   .header_size = sizeof(h),
				   .nr_domains = 1,
				   .domain_size = sizeof(struct bundle_domain) };
	struct bundle_domain d = {
		.memory_pages = cfg->memory_pages,
		.max_pages = cfg->max_pages,
		.vcpus = cfg->vcpus,
		.flags = k->mod_start_pfn ? BUNDLE_MOD_START_PFN : 0,
		.entry = k->entry,
		.virt_base = k->virt_base,
		.vstart = k->vstart,
		.vend = k->vend,
		.hypercall_page = k->hypercall_page,
		.init_p2m = k->init_p2m,
		.initrd_size = cfg->initrd_size,
		.nr_segments = k->nr_segments,
	};
	struct writer w = { .fd = fd, .crc = ~0u };

	if (k->nr_segments > BUNDLE_MAX_SEGMENTS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "the kernel has %u segments: a boot "
			    "bundle takes %u",
			    k->nr_segments, BUNDLE_MAX_SEGMENTS);
		return FALSE;
	}
	for (unsigned i = 0; i < STOP_REASONS; i++)
		if (on[i] >= 0 && bundle_action_of(i) < BUNDLE_ACTIONS)
			d.on[bundle_action_of(i)] = (uint8_t)(on[i] + 1);
	memcpy(h.magic, BUNDLE_MAGIC, sizeof(h.magic));
	h.size = *size = lay_out(cfg, &d, s);
	put(&w, &h, sizeof(h));
	put(&w, &d, sizeof(d));
	put_at(&w, d.name, cfg->name, strlen(cfg->name) + 1);
	put_at(&w, d.cmdline, cfg->cmdline, strlen(cfg->cmdline) + 1);
	put_at(&w, d.segments, s, k->nr_segments * sizeof(*s));
	for (unsigned i = 0; i < k->nr_segments; i++)
		put_at(&w, s[i].data, k->segments[i].data, s[i].filesz);
	if (cfg->initrd_size)
		put_at(&w, d.initrd, cfg->initrd, cfg->initrd_size);
	h.crc = ~w.crc;
	if (!w.error && pwrite(fd, &h, sizeof(h), 0) != sizeof(h))
		w.error = errno;
	if (w.error)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(w.error),
			    "cannot write the boot "
			    "bundle of %" G_GUINT64_FORMAT " MiB: %s",
			    *size >> 20, g_strerror(w.error));
	return !w.error;
}
