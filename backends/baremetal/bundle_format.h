/* SPDX-License-Identifier: MIT */
/*
 * The boot bundle: everything ring 0 needs to build domains without parsing ELF or unpacking anything, in one
 * module. Written by tools/xenopus-bundle.c, read by bundle.c, described in docs/bundle.md. All numbers little-endian;
 * offsets count from the start of the bundle. Freestanding, so that both sides use it.
 */
#ifndef XENOPUS_BUNDLE_FORMAT_H
#define XENOPUS_BUNDLE_FORMAT_H

#include <stdint.h>

#define BUNDLE_MAGIC        "XENOBNDL"
#define BUNDLE_VERSION      1u
#define BUNDLE_MAX_DOMAINS  64u
#define BUNDLE_MAX_SEGMENTS 64u

/**
 * struct bundle_header - at offset 0, followed by @nr_domains struct bundle_domain.
 * @header_size, @domain_size: sizeof of the two structures, to tell bundles of another build
 * @size: of the whole bundle
 * @crc: CRC-32C of the whole bundle, this field taken as zero
 */
struct bundle_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint64_t size;
	uint32_t crc;
	uint32_t nr_domains;
	uint32_t domain_size;
	uint32_t reserved;
};

#define BUNDLE_MOD_START_PFN 1u /* the kernel takes an initrd outside the initial mapping */
#define BUNDLE_FLAGS         BUNDLE_MOD_START_PFN

/*
 * Which of struct bundle_domain.on, by SHUTDOWN_*, and what it says: 0 that the machine decides (all of them in bundles
 * of the first kind, whose four bytes were reserved), else 1 more than enum stop_action, of those that need no file.
 */
#define BUNDLE_ACTIONS 4u /* poweroff, reboot, crash, watchdog */
#define BUNDLE_UNSAID  0u
#define BUNDLE_MAX_ACTION 4u

/* BUNDLE_ACTIONS: this reason has none. */
static inline unsigned bundle_action_of(unsigned reason)
{
	return reason < 2 ? reason : reason == 3 || reason == 4 ? reason - 1 : BUNDLE_ACTIONS;
}

/** struct bundle_domain - one domain; the kernel's part is struct kernel_image of xenopus/control.h. */
struct bundle_domain {
	uint64_t memory_pages, max_pages;
	uint32_t vcpus;
	uint32_t flags;
	uint64_t entry, virt_base, vstart, vend, hypercall_page, init_p2m;
	uint64_t name, cmdline;       /* offsets of NUL-terminated strings */
	uint64_t initrd, initrd_size; /* size 0: none */
	uint64_t segments;            /* offset, aligned to 8 */
	uint32_t nr_segments;
	uint8_t on[BUNDLE_ACTIONS];   /* what becomes of it when it stops */
};

struct bundle_segment {
	uint64_t va;
	uint64_t data; /* offset */
	uint64_t filesz, memsz;
};

_Static_assert(sizeof(struct bundle_header) == 40, "bundle format");
_Static_assert(sizeof(struct bundle_domain) == 120, "bundle format");
_Static_assert(sizeof(struct bundle_segment) == 32, "bundle format");

/** bundle_crc_byte() - CRC-32C (polynomial 0x1edc6f41, reflected), a byte at a time; start with ~0, end with ~. */
static inline uint32_t bundle_crc_byte(uint32_t crc, uint8_t byte)
{
	crc ^= byte;
	for (unsigned i = 0; i < 8; i++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	return crc;
}

#endif
