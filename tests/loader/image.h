/* SPDX-License-Identifier: MIT */
/*
 * Making kernels for the loader's tests: ELF images with any notes, packed in every way.
 *
 * The builders write what they are told, also when it is nonsense; that is their use.
 */
#ifndef XENOPUS_TESTS_LOADER_IMAGE_H
#define XENOPUS_TESTS_LOADER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "loader.h"

#define MAX_SEGMENTS	8

/** struct spec_segment - A PT_LOAD; its bytes are segment_byte() of their place. */
struct spec_segment {
	uint64_t paddr;
	uint64_t vaddr;
	uint64_t filesz;
	uint64_t memsz;
	uint32_t flags;
};

/** struct spec - What elf_build() builds. */
struct spec {
	unsigned int machine;
	unsigned int type;
	uint64_t entry;
	struct spec_segment segments[MAX_SEGMENTS];
	unsigned int nr_segments;
	GByteArray *notes;
	bool notes_by_section;	/* SHT_NOTE instead of PT_NOTE */
	const char *legacy;	/* text of __xen_guest */
};

/** spec_linux() - An image laid out like Linux, small, with no notes yet (an empty array). */
struct spec spec_linux(void);

/** spec_free() - Free the notes. */
void spec_free(struct spec *spec);

/** linux_notes() - Add the notes that Linux has. */
void linux_notes(GByteArray *notes);

void note_bytes(GByteArray *notes, const char *name, uint32_t type, const void *desc, size_t len);
void note_u64(GByteArray *notes, uint32_t type, uint64_t value);
void note_u32(GByteArray *notes, uint32_t type, uint32_t value);
void note_string(GByteArray *notes, uint32_t type, const char *value);

/** elf_build() - The image; the caller frees it. */
GByteArray *elf_build(const struct spec *spec);

/** elf_linux() - spec_linux() with linux_notes(), built. */
GByteArray *elf_linux(void);

/** segment_byte() - The byte at @offset of segment @index. */
uint8_t segment_byte(unsigned int index, uint64_t offset);

/** struct packer - One way of compressing, with the library. */
struct packer {
	const char *name;
	GByteArray *(*pack)(const uint8_t *in, size_t len);
};

extern const struct packer packers[];
extern const unsigned int nr_packers;

/** packer_named() - One of them. */
const struct packer *packer_named(const char *name);

/** bzimage_build() - Put a payload into a bzImage, and behind it its unpacked size unless @raw. */
GByteArray *bzimage_build(const GByteArray *payload, uint32_t unpacked, bool raw);

/** bzimage_packed() - The whole way: compress @elf with @packer, wrap it as the kernel's build does. */
GByteArray *bzimage_packed(const GByteArray *elf, const struct packer *packer);

void put_le16(uint8_t *p, uint16_t v);
void put_le32(uint8_t *p, uint32_t v);

/** expect_loads() - The bytes must load; checks what loader.h promises of every loaded kernel. */
void expect_loads(const GByteArray *bytes, struct loader_kernel *k);

/** check_promises() - The invariants of a loaded kernel. */
void check_promises(const struct loader_kernel *k);

/** expect_refused() - The bytes must be refused with this code, in one line that has all of @words. */
void expect_refused(const GByteArray *bytes, enum loader_error code, const char *words);

#endif
