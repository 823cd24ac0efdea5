/* SPDX-License-Identifier: MIT */
/*
 * What the files of the loader share with each other and with nobody else.
 */
#ifndef XENOPUS_LOADER_INTERNAL_H
#define XENOPUS_LOADER_INTERNAL_H

#include <libelf.h>
#include <string.h>
#include <sys/stat.h>

#include "loader.h"

/** loader_fail() - Set an error "<kernel's name>: <message>" and return false. */
bool loader_fail(const struct loader_kernel *k, GError **err, enum loader_error code,
		 const char *format, ...) G_GNUC_PRINTF(4, 5);

/**
 * loader_map_file() - Map a kernel's file.
 * @k: kernel with a name; gets file and file_len
 * @path: the file
 * @examined: gets what fstat() said, unless NULL
 * @err: where to put the error
 */
bool loader_map_file(struct loader_kernel *k, const char *path, struct stat *examined, GError **err);

/** loader_unpack() - From a mapped file to a kernel; on failure @k is freed. */
bool loader_unpack(struct loader_kernel *k, GError **err);

/** loader_is_elf() - Is this an ELF image as it is? */
bool loader_is_elf(const uint8_t *data, size_t len);

/**
 * loader_find_image() - Find or unpack the ELF image in a file's bytes.
 * @k: kernel to fill: image, image_len, format, unpacked, unpacked_len
 * @data: the file
 * @len: its length
 * @err: where to put the error
 */
bool loader_find_image(struct loader_kernel *k, const uint8_t *data, size_t len, GError **err);

/**
 * loader_parse_elf() - Fill segments, notes and addresses from k->image.
 * @k: kernel with an image
 * @err: where to put the error
 */
bool loader_parse_elf(struct loader_kernel *k, GError **err);

/**
 * loader_parse_notes() - Fill k->notes from note segments, note sections or __xen_guest.
 * @k: kernel with an image
 * @elf: the image, opened
 * @err: where to put the error
 *
 * Values are taken as they are; loader_parse_elf() judges them once the segments are known.
 */
bool loader_parse_notes(struct loader_kernel *k, Elf *elf, GError **err);

/** loader_parse_legacy() - The same from the text of a __xen_guest section. */
bool loader_parse_legacy(struct loader_kernel *k, const uint8_t *text, size_t len, GError **err);

/**
 * loader_parse_features() - Add the names in a FEATURES string to the notes' masks.
 * @k: kernel to fill; k->notes.features is the string
 * @err: set if a name is required that nobody knows
 */
bool loader_parse_features(struct loader_kernel *k, GError **err);

/** loader_note_name() - "VIRT_BASE" and so on, or NULL. */
const char *loader_note_name(unsigned int note);

/** loader_printable() - Copy bytes up to a NUL, '?' for whatever a terminal should not see. */
char *loader_printable(const uint8_t *bytes, size_t len);

static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_le32(const uint8_t *p)
{
	return get_le16(p) | (uint32_t)get_le16(p + 2) << 16;
}

static inline uint64_t get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
