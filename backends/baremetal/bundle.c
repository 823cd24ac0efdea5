/* SPDX-License-Identifier: MIT */
/*
 * From a boot bundle to running domains. The whole bundle is checked before anything is built from it: damaged,
 * cut off or of another version, it is refused with one line and the machine ends.
 */
#include <xenopus/control.h>
#include "bundle_format.h"
#include "metal.h"

#define CPUID1_ECX_SSE4_2 (1u << 20)

static uint32_t crc_table[256];

static uint32_t crc_bytes(uint32_t crc, const uint8_t *p, uint64_t n)
{
	while (n--)
		crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 0xff];
	return crc;
}

/* The processor's own CRC-32C instruction works on general registers and does eight bytes at a time. */
static uint32_t crc_words(uint32_t crc, const uint64_t *p, uint64_t n)
{
	uint64_t c = crc;

	while (n--)
		__asm__("crc32q %1, %0" : "+r"(c) : "m"(*p++));
	return (uint32_t)c;
}

static uint32_t crc_part(uint32_t crc, const uint8_t *p, uint64_t n)
{
	uint32_t r[4];
	uint64_t words = 0;

	cpuid(1, 0, r);
	if (r[2] & CPUID1_ECX_SSE4_2) {
		words = n / 8;
		crc = crc_words(crc, (const uint64_t *)(const void *)p, words);
	}
	return crc_bytes(crc, p + words * 8, n - words * 8);
}

static uint32_t crc_of(const struct bundle_header *h)
{
	const uint8_t *p = (const uint8_t *)h;
	const uint64_t after = offsetof(struct bundle_header, crc) + sizeof(h->crc);
	uint32_t crc = ~0u;

	for (unsigned i = 0; i < 256; i++)
		crc_table[i] = bundle_crc_byte(0, (uint8_t)i);
	crc = crc_part(crc, p, offsetof(struct bundle_header, crc));
	for (unsigned i = 0; i < sizeof(h->crc); i++)
		crc = bundle_crc_byte(crc, 0);
	return ~crc_part(crc, p + after, h->size - after);
}

static bool inside(const struct bundle_header *h, uint64_t offset, uint64_t size)
{
	return offset <= h->size && size <= h->size - offset;
}

static const void *at(const struct bundle_header *h, uint64_t offset)
{
	return (const char *)h + offset;
}

static bool string_ok(const struct bundle_header *h, uint64_t offset)
{
	while (offset < h->size)
		if (!*(const char *)at(h, offset++))
			return true;
	return false;
}

static const char *header_fault(const struct bundle_header *h, uint64_t module_size)
{
	if (module_size < sizeof(*h) || memcmp(h->magic, BUNDLE_MAGIC, sizeof(h->magic)))
		return "is none";
	if (h->version != BUNDLE_VERSION || h->header_size != sizeof(*h) ||
	    h->domain_size != sizeof(struct bundle_domain))
		return "is of another version; make it with the xenopus-bundle of this build";
	if (h->size < sizeof(*h) || h->size > module_size)
		return "is cut off";
	if (crc_of(h) != h->crc)
		return "is damaged (its checksum is wrong)";
	if (!h->nr_domains || h->nr_domains > BUNDLE_MAX_DOMAINS ||
	    !inside(h, sizeof(*h), h->nr_domains * sizeof(struct bundle_domain)))
		return "has an impossible number of domains";
	return NULL;
}

static const char *domain_fault(const struct bundle_header *h, const struct bundle_domain *b)
{
	const struct bundle_segment *s = at(h, b->segments);

	if (!string_ok(h, b->name) || !string_ok(h, b->cmdline))
		return "has a name or command line outside itself";
	if (!inside(h, b->initrd, b->initrd_size))
		return "has an initrd outside itself";
	if (!b->nr_segments || b->nr_segments > BUNDLE_MAX_SEGMENTS || b->segments & 7 ||
	    !inside(h, b->segments, b->nr_segments * sizeof(*s)))
		return "has an impossible list of segments";
	for (uint32_t i = 0; i < b->nr_segments; i++, s++)
		if (s->filesz > s->memsz || !inside(h, s->data, s->filesz) || s->va < b->vstart ||
		    s->va > b->vend || s->memsz > b->vend - s->va)
			return "has a segment outside itself or its kernel";
	if ((b->flags & ~BUNDLE_FLAGS) || b->reserved)
		return "asks for what this build does not know";
	return NULL;
}

static void start_domain(const struct bundle_header *h, const struct bundle_domain *b)
{
	struct kernel_segment *segments = heap_alloc(b->nr_segments * sizeof(*segments));
	const struct bundle_segment *s = at(h, b->segments);
	char why[160] = "";
	struct kernel_image image = {
		.segments = segments,
		.nr_segments = b->nr_segments,
		.entry = b->entry,
		.virt_base = b->virt_base,
		.vstart = b->vstart,
		.vend = b->vend,
		.hypercall_page = b->hypercall_page,
		.init_p2m = b->init_p2m,
		.mod_start_pfn = b->flags & BUNDLE_MOD_START_PFN,
	};
	struct domain_config cfg = {
		.name = at(h, b->name),
		.memory_pages = b->memory_pages,
		.max_pages = b->max_pages,
		.vcpus = b->vcpus,
		.cmdline = at(h, b->cmdline),
		.kernel = &image,
		.initrd = b->initrd_size ? at(h, b->initrd) : NULL,
		.initrd_size = b->initrd_size,
		.error = why,
		.error_size = sizeof(why),
	};
	struct domain *d;

	if (!segments)
		refuse("no memory for the segments of domain %s", cfg.name);
	for (uint32_t i = 0; i < b->nr_segments; i++)
		segments[i] = (struct kernel_segment){ s[i].va, at(h, s[i].data), s[i].filesz, s[i].memsz };
	d = domain_create(&cfg);
	if (!d)
		refuse("domain %s: %s", cfg.name, why);
	heap_free(segments);
	home_domain_added(d);
	domain_unpause(d);
}

void bundle_start(const void *data, uint64_t size)
{
	const struct bundle_header *h = data;
	const struct bundle_domain *b = (const void *)(h + 1);
	const char *why = header_fault(h, size);

	for (uint32_t i = 0; !why && i < h->nr_domains; i++)
		why = domain_fault(h, &b[i]);
	if (why)
		refuse("the boot bundle %s", why);
	for (uint32_t i = 0; i < h->nr_domains; i++)
		start_domain(h, &b[i]);
}
