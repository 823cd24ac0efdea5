/* SPDX-License-Identifier: MIT */
/*
 * Finding the ELF image inside a file: as it is, compressed, or as the payload of a bzImage.
 *
 *	bzImage:  | boot sector, setup: (setup_sects + 1) * 512 | protected-mode code              |
 *	                                                          ^payload_offset ... payload_length
 *
 * The payload is the compressed vmlinux. Its last four bytes are the unpacked size, little-endian: gzip
 * ends that way by itself, for all others the kernel's build appends it.
 */
#include "internal.h"
#include "unpack.h"

/* Offsets in a bzImage, from the kernel's boot protocol. */
#define BZ_SETUP_SECTS		0x1f1
#define BZ_BOOT_FLAG		0x1fe
#define BZ_HEADER		0x202
#define BZ_VERSION		0x206
#define BZ_PAYLOAD_OFFSET	0x248
#define BZ_PAYLOAD_LENGTH	0x24c
#define BZ_HEADER_END		0x250

#define SECTOR			512
#define FIRST_WITH_PAYLOAD	0x0208

bool loader_is_elf(const uint8_t *data, size_t len)
{
	return len >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

static bool is_bzimage(const uint8_t *data, size_t len)
{
	return len >= BZ_HEADER + 4 && memcmp(data + BZ_HEADER, "HdrS", 4) == 0;
}

static char *first_bytes(const uint8_t *data, size_t len)
{
	GString *s = g_string_new(NULL);

	for (size_t i = 0; i < MIN(len, 8); i++)
		g_string_append_printf(s, "%s%02x", i ? " " : "", data[i]);
	return g_string_free(s, FALSE);
}

/* Name what people give by mistake; "what is this" costs them more time than these lines. */
static bool refuse(const struct loader_kernel *k, const uint8_t *data, size_t len, GError **err)
{
	char *hex;

	if (len >= 60 && memcmp(data + 56, "ARM\x64", 4) == 0)
		return loader_fail(k, err, LOADER_ERROR_MACHINE,
				   "is a kernel for aarch64; give one for x86-64");
	if (len >= 6 && (memcmp(data, "070701", 6) == 0 || memcmp(data, "070702", 6) == 0))
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is an initramfs, not a kernel; give it with --initrd");
	if (len >= 8 && memcmp(data, "!<arch>\n", 8) == 0)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is an archive; unpack it (dpkg-deb -x) and give its vmlinuz");
	if (len >= 2 && memcmp(data, "MZ", 2) == 0)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is an EFI program without a Linux setup header; give the bzImage or"
				   " vmlinux it was made from");

	hex = first_bytes(data, len);
	loader_fail(k, err, LOADER_ERROR_FORMAT,
		    "is neither an ELF image nor a bzImage nor compressed in a known way (starts with"
		    " %s); give a vmlinuz or vmlinux", hex);
	g_free(hex);
	return false;
}

static void set_image(struct loader_kernel *k, const char *container, const char *packing,
		      const uint8_t *image, size_t len)
{
	k->format = g_strconcat(container, container[0] && packing[0] ? ", " : "", packing, NULL);
	k->image = image;
	k->image_len = len;
}

static bool from_bzimage(struct loader_kernel *k, const uint8_t *data, size_t len, GError **err)
{
	const struct unpack_method *m;
	const uint8_t *payload;
	uint64_t start, end;
	uint32_t version, length, expected;
	unsigned int sects;
	char *hex;

	if (len < BZ_HEADER_END)
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "is a bzImage cut off inside its setup header (%zu bytes); fetch the"
				   " kernel again", len);
	version = get_le16(data + BZ_VERSION);
	if (version < FIRST_WITH_PAYLOAD)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is a bzImage of boot protocol %u.%02u, which does not say where its"
				   " payload is; give its vmlinux or a kernel since Linux 2.6.26",
				   version >> 8, version & 0xff);

	/* None of these sums can overflow 64 bits; that is why they are 64 bits wide. */
	sects = data[BZ_SETUP_SECTS] ? data[BZ_SETUP_SECTS] : 4;
	length = get_le32(data + BZ_PAYLOAD_LENGTH);
	start = (uint64_t)(sects + 1) * SECTOR + get_le32(data + BZ_PAYLOAD_OFFSET);
	end = start + length;
	if (end > len)
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "is a truncated bzImage: its payload ends at byte %" G_GUINT64_FORMAT
				   ", the file at byte %zu; fetch the kernel again", end, len);
	if (length < 8)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is a bzImage without a payload (%u bytes); give its vmlinux",
				   length);

	payload = data + start;
	if (loader_is_elf(payload, length)) {
		set_image(k, "bzImage", "not compressed", payload, length);
		return true;
	}
	m = unpack_identify(payload, length);
	if (!m) {
		hex = first_bytes(payload, length);
		loader_fail(k, err, LOADER_ERROR_COMPRESSION,
			    "is a bzImage with unknown compression (payload at byte %" G_GUINT64_FORMAT
			    " starts with %s); give its vmlinux", start, hex);
		g_free(hex);
		return false;
	}
	expected = get_le32(payload + length - 4);
	if (expected == 0)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is a bzImage that announces an image of 0 bytes; fetch or build the"
				   " kernel again");
	if (m->run != unpack_gzip)
		length -= 4;
	if (!unpack_into(k, m, payload, length, expected, err))
		return false;
	set_image(k, "bzImage", m->name, k->image, k->image_len);
	return true;
}

bool loader_find_image(struct loader_kernel *k, const uint8_t *data, size_t len, GError **err)
{
	const struct unpack_method *m;

	if (loader_is_elf(data, len)) {
		set_image(k, "ELF", "", data, len);
		return true;
	}
	if (is_bzimage(data, len)) {
		if (!from_bzimage(k, data, len, err))
			return false;
	} else {
		m = unpack_identify(data, len);
		if (!m)
			return refuse(k, data, len, err);
		if (!unpack_into(k, m, data, len, 0, err))
			return false;
		set_image(k, "ELF", m->name, k->image, k->image_len);
	}
	return loader_is_elf(k->image, k->image_len) || refuse(k, k->image, k->image_len, err);
}
