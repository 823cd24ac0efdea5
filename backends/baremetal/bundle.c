/* SPDX-License-Identifier: MIT */
/* Is a boot bundle whole? Every offset and length in it is checked here, and nowhere after. */
#include "bundle.h"
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

static bool string_ok(const struct bundle_header *h, uint64_t offset)
{
	while (offset < h->size)
		if (!*(const char *)bundle_at(h, offset++))
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
	const struct bundle_segment *s = bundle_at(h, b->segments);

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
	if (b->flags & ~BUNDLE_FLAGS)
		return "asks for what this build does not know";
	for (unsigned i = 0; i < BUNDLE_ACTIONS; i++)
		if (b->on[i] > BUNDLE_MAX_ACTION)
			return "says of a domain that stops what this build does not know";
	return NULL;
}

const char *bundle_fault(const struct bundle_header *h, uint64_t module_size)
{
	const struct bundle_domain *b = (const void *)(h + 1);
	const char *why = header_fault(h, module_size);

	for (uint32_t i = 0; !why && i < h->nr_domains; i++)
		why = domain_fault(h, &b[i]);
	return why;
}
