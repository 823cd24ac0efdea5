/* SPDX-License-Identifier: MIT */
/*
 * The decompressors whose libraries take whole streams: gzip, bzip2, xz, lzma, zstd.
 *
 * All of them get all the input and all the room at once, so one call does nearly all the work. When a
 * library stops early without an error, what ran out decides: room left over means that the input was
 * too short. Sizes fit 32 bits: unpack_into() bounds input and output by LOADER_MAX_IMAGE.
 */
#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "internal.h"
#include "unpack.h"

/* A dictionary larger than this is no kernel's: `xz -9` takes 64 MiB, the kernel's build 32 or 128. */
#define LZMA_MEMORY_LIMIT	(UINT64_C(256) << 20)

static enum unpack_status what_ran_out(size_t room_left)
{
	return room_left ? UNPACK_SHORT : UNPACK_FULL;
}

enum unpack_status unpack_gzip(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)len,
		.next_out = out->p,
		.avail_out = (uInt)out->cap,
	};
	int ret;

	/* 16: a gzip header is expected, not a zlib one */
	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK)
		return UNPACK_NO_MEMORY;

	/* A gzip file may be several members in a row, whose contents are joined. */
	do {
		ret = inflate(&z, Z_FINISH);
	} while (ret == Z_STREAM_END && z.avail_in >= 2 && z.next_in[0] == 0x1f &&
		 z.next_in[1] == 0x8b && inflateReset(&z) == Z_OK);

	out->len = out->cap - z.avail_out;
	inflateEnd(&z);

	switch (ret) {
	case Z_STREAM_END:
		return UNPACK_OK;
	case Z_OK:
	case Z_BUF_ERROR:
		return what_ran_out(z.avail_out);
	case Z_MEM_ERROR:
		return UNPACK_NO_MEMORY;
	default:
		return UNPACK_DAMAGED;
	}
}

static enum unpack_status bunzip_one(bz_stream *z)
{
	unsigned int before;
	int ret;

	if (BZ2_bzDecompressInit(z, 0, 0) != BZ_OK)
		return UNPACK_NO_MEMORY;
	do {
		before = z->avail_in;
		ret = BZ2_bzDecompress(z);
	} while (ret == BZ_OK && z->avail_out && z->avail_in && z->avail_in < before);
	BZ2_bzDecompressEnd(z);

	switch (ret) {
	case BZ_STREAM_END:
		return UNPACK_OK;
	case BZ_OK:
		return what_ran_out(z->avail_out);
	case BZ_MEM_ERROR:
		return UNPACK_NO_MEMORY;
	default:
		return UNPACK_DAMAGED;
	}
}

enum unpack_status unpack_bzip2(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	bz_stream z = {
		.next_in = (char *)(uintptr_t)in,
		.avail_in = (unsigned int)len,
		.next_out = (char *)out->p,
		.avail_out = (unsigned int)out->cap,
	};
	enum unpack_status status;

	/* Parallel compressors write one stream per block of input. */
	do {
		status = bunzip_one(&z);
	} while (status == UNPACK_OK && z.avail_in >= 3 && memcmp(z.next_in, "BZh", 3) == 0);

	out->len = out->cap - z.avail_out;
	return status;
}

static enum unpack_status run_lzma(lzma_stream *s, const uint8_t *in, size_t len,
				   struct unpack_buf *out)
{
	lzma_ret ret;

	s->next_in = in;
	s->avail_in = len;
	s->next_out = out->p;
	s->avail_out = out->cap;
	do {
		ret = lzma_code(s, LZMA_FINISH);
	} while (ret == LZMA_OK);

	out->len = out->cap - s->avail_out;
	lzma_end(s);

	switch (ret) {
	case LZMA_STREAM_END:
		return UNPACK_OK;
	case LZMA_BUF_ERROR:
		return what_ran_out(s->avail_out);
	case LZMA_MEM_ERROR:
		return UNPACK_NO_MEMORY;
	case LZMA_MEMLIMIT_ERROR:
	case LZMA_OPTIONS_ERROR:
		return UNPACK_UNSUPPORTED;
	default:
		return UNPACK_DAMAGED;
	}
}

enum unpack_status unpack_xz(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	lzma_stream s = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&s, LZMA_MEMORY_LIMIT, LZMA_CONCATENATED) != LZMA_OK)
		return UNPACK_NO_MEMORY;
	return run_lzma(&s, in, len, out);
}

enum unpack_status unpack_lzma(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	lzma_stream s = LZMA_STREAM_INIT;

	if (lzma_alone_decoder(&s, LZMA_MEMORY_LIMIT) != LZMA_OK)
		return UNPACK_NO_MEMORY;
	return run_lzma(&s, in, len, out);
}

enum unpack_status unpack_zstd(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	/* In one go no window is kept: the output is the window. */
	size_t ret = ZSTD_decompress(out->p, out->cap, in, len);

	if (!ZSTD_isError(ret)) {
		out->len = ret;
		return UNPACK_OK;
	}
	switch (ZSTD_getErrorCode(ret)) {
	case ZSTD_error_srcSize_wrong:
		return UNPACK_SHORT;
	case ZSTD_error_dstSize_tooSmall:
		return UNPACK_FULL;
	case ZSTD_error_memory_allocation:
		return UNPACK_NO_MEMORY;
	case ZSTD_error_version_unsupported:
	case ZSTD_error_frameParameter_unsupported:
	case ZSTD_error_frameParameter_windowTooLarge:
	case ZSTD_error_dictionary_wrong:
		return UNPACK_UNSUPPORTED;
	default:
		return UNPACK_DAMAGED;
	}
}
