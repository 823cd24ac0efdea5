/* SPDX-License-Identifier: MIT */
/*
 * Choosing a decompressor, giving it memory, and judging what it returns.
 *
 * The output buffer is an anonymous mapping as large as the output may become. Pages cost memory only
 * once they are written, so a file that lies about its size gains nothing, and the data needs to be
 * neither moved nor grown while it is unpacked.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "unpack.h"

/*
 * Room behind the expected size. Some decoders look for the end of their stream only while they have
 * room to write; a few bytes more let them, and also show when a stream holds more than was said.
 */
#define SLACK	64

#define MAGIC(s)	(s), sizeof(s) - 1

static const struct unpack_method methods[] = {
	{ "gzip",  MAGIC("\x1f\x8b\x08"),		unpack_gzip },
	{ "bzip2", MAGIC("BZh"),			unpack_bzip2 },
	{ "xz",    MAGIC("\xfd" "7zXZ\0"),		unpack_xz },
	{ "lzma",  MAGIC("\x5d\0\0"),			unpack_lzma },
	{ "zstd",  MAGIC("\x28\xb5\x2f\xfd"),		unpack_zstd },
	{ "lz4",   MAGIC("\x02\x21\x4c\x18"),		unpack_lz4 },
	{ "lzo",   MAGIC("\x89LZO\0\r\n\x1a\n"),	unpack_lzo },
};

const struct unpack_method *unpack_identify(const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
		const struct unpack_method *m = &methods[i];

		if (len >= m->magic_len && memcmp(in, m->magic, m->magic_len) == 0)
			return m;
	}
	return NULL;
}

static bool complain(const struct loader_kernel *k, const struct unpack_method *m,
		     enum unpack_status status, size_t expected, GError **err)
{
	switch (status) {
	case UNPACK_OK:
		return true;
	case UNPACK_SHORT:
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "its %s data ends too early; fetch or build the kernel again",
				   m->name);
	case UNPACK_DAMAGED:
		return loader_fail(k, err, LOADER_ERROR_COMPRESSION,
				   "its %s data is damaged; fetch or build the kernel again",
				   m->name);
	case UNPACK_FULL:
		if (expected)
			return loader_fail(k, err, LOADER_ERROR_COMPRESSION,
					   "its %s data unpacks to more than the %zu bytes it announces;"
					   " fetch or build the kernel again", m->name, expected);
		return loader_fail(k, err, LOADER_ERROR_TOO_BIG,
				   "its %s data unpacks to more than %zu MiB; no kernel is that large,"
				   " strip it or give another file", m->name,
				   LOADER_MAX_IMAGE >> 20);
	case UNPACK_UNSUPPORTED:
		return loader_fail(k, err, LOADER_ERROR_COMPRESSION,
				   "its %s data uses a variant that kernels are not packed with;"
				   " pack it again with default options", m->name);
	case UNPACK_NO_MEMORY:
		break;
	}
	return loader_fail(k, err, LOADER_ERROR_FILE,
			   "not enough memory to unpack its %s data; free some", m->name);
}

bool unpack_into(struct loader_kernel *k, const struct unpack_method *m, const uint8_t *in,
		 size_t len, size_t expected, GError **err)
{
	struct unpack_buf out = { .cap = (expected ? expected : LOADER_MAX_IMAGE) + SLACK };
	enum unpack_status status;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), used;

	if (expected > LOADER_MAX_IMAGE)
		return loader_fail(k, err, LOADER_ERROR_TOO_BIG,
				   "announces an image of %zu MiB, more than %zu MiB;"
				   " fetch or build the kernel again",
				   expected >> 20, LOADER_MAX_IMAGE >> 20);
	if (len > LOADER_MAX_IMAGE)
		return loader_fail(k, err, LOADER_ERROR_TOO_BIG,
				   "has %zu MiB of compressed data, more than any kernel; give another"
				   " file", len >> 20);

	out.p = mmap(NULL, out.cap, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (out.p == MAP_FAILED)
		return loader_fail(k, err, LOADER_ERROR_FILE,
				   "cannot get %zu MiB to unpack it: %s", out.cap >> 20,
				   g_strerror(errno));

	status = m->run(in, len, &out);
	if (status == UNPACK_OK && out.len > (expected ? expected : LOADER_MAX_IMAGE))
		status = UNPACK_FULL;
	if (status == UNPACK_OK && out.len < expected)
		status = UNPACK_SHORT;
	if (status == UNPACK_OK && out.len == 0)
		status = UNPACK_SHORT;
	if (!complain(k, m, status, expected, err)) {
		munmap(out.p, out.cap);
		return false;
	}

	used = (out.len + page - 1) / page * page;
	if (used < out.cap)
		munmap(out.p + used, out.cap - used);
	k->unpacked = out.p;
	k->unpacked_len = used < out.cap ? used : out.cap;
	k->image = out.p;
	k->image_len = out.len;
	return true;
}
