/* SPDX-License-Identifier: MIT */
/*
 * The decompressors whose libraries know only blocks: lz4 and lzo. Their containers are read here.
 *
 * lz4, "legacy" frame, little-endian (what `lz4 -l` writes and the kernel's build uses):
 *
 *	magic  { size  block }...           a block holds 8 MiB, only the last one less
 *
 * It has no end mark: the data is complete when a block ends where the input does.
 *
 * lzo, the container of lzop, big-endian:
 *
 *	magic version libver [needver] method [level] flags [filter] mode mtime [mtime_high]
 *	namelen name hdrsum  { unpacked packed [sums] block }...  0
 */
#include <lz4.h>
#include <lzo/lzo1x.h>

#include "internal.h"
#include "unpack.h"

#define LZ4_MAGIC	0x184c2102
#define LZ4_BLOCK	(8u << 20)

enum unpack_status unpack_lz4(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	const uint8_t *end = in + len;

	while (in != end) {
		size_t size, room = out->cap - out->len;
		int got;

		if (end - in < 4)
			return UNPACK_SHORT;
		size = get_le32(in);
		in += 4;
		/* Files may be joined, and so the magic may come again. */
		if (size == LZ4_MAGIC)
			continue;
		if (size > (size_t)LZ4_COMPRESSBOUND(LZ4_BLOCK))
			return UNPACK_DAMAGED;
		if ((size_t)(end - in) < size)
			return UNPACK_SHORT;
		got = LZ4_decompress_safe((const char *)in, (char *)out->p + out->len, (int)size,
					  (int)MIN(room, LZ4_BLOCK));
		if (got < 0)
			return room < LZ4_BLOCK ? UNPACK_FULL : UNPACK_DAMAGED;
		in += size;
		out->len += (size_t)got;
	}
	return UNPACK_OK;
}

#define LZO_MAGIC_LEN		9
#define LZO_BLOCK_MAX		(64u << 20)
#define LZO_ADLER32_UNPACKED	0x00000001u
#define LZO_ADLER32_PACKED	0x00000002u
#define LZO_EXTRA_FIELD		0x00000040u
#define LZO_CRC32_UNPACKED	0x00000100u
#define LZO_CRC32_PACKED	0x00000200u
#define LZO_MULTIPART		0x00000400u
#define LZO_FILTER		0x00000800u
#define LZO_HEADER_CRC32	0x00001000u

/* A cursor that never reads past the end; once it would have, it stays failed. */
struct cursor {
	const uint8_t *p;
	size_t left;
	bool failed;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->failed || c->left < n) {
		c->failed = true;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static uint32_t take_be32(struct cursor *c)
{
	const uint8_t *p = take(c, 4);

	return p ? get_be32(p) : 0;
}

static unsigned int take_u8(struct cursor *c)
{
	const uint8_t *p = take(c, 1);

	return p ? *p : 0;
}

static unsigned int take_be16(struct cursor *c)
{
	unsigned int high = take_u8(c);

	return high << 8 | take_u8(c);
}

static enum unpack_status lzo_header(struct cursor *c, uint32_t *flags)
{
	const uint8_t *start;
	unsigned int version, method;
	uint32_t sum, want;

	take(c, LZO_MAGIC_LEN);
	start = c->p;
	version = take_be16(c);
	take_be16(c);
	if (version >= 0x0940)
		take_be16(c);
	method = take_u8(c);
	if (version >= 0x0940)
		take_u8(c);
	*flags = take_be32(c);
	if (*flags & LZO_FILTER)
		take_be32(c);
	take(c, 8);
	if (version >= 0x0940)
		take_be32(c);
	take(c, take_u8(c));
	if (c->failed)
		return UNPACK_SHORT;
	sum = *flags & LZO_HEADER_CRC32 ? lzo_crc32(0, start, (lzo_uint)(c->p - start)) :
					  lzo_adler32(1, start, (lzo_uint)(c->p - start));
	want = take_be32(c);
	if (c->failed)
		return UNPACK_SHORT;
	if (sum != want)
		return UNPACK_DAMAGED;
	/* 1 to 3 are the lzo1x family, which has one decompressor; filters were never used */
	if (method < 1 || method > 3 || (*flags & (LZO_FILTER | LZO_MULTIPART | LZO_EXTRA_FIELD)))
		return UNPACK_UNSUPPORTED;
	return UNPACK_OK;
}

static bool lzo_sums_right(uint32_t flags, uint32_t adler_flag, uint32_t crc_flag, uint32_t adler,
			   uint32_t crc, const uint8_t *p, size_t len)
{
	return (!(flags & adler_flag) || adler == lzo_adler32(1, p, len)) &&
	       (!(flags & crc_flag) || crc == lzo_crc32(0, p, len));
}

/* One block; *more is false at the end mark. */
static enum unpack_status lzo_block(struct cursor *c, uint32_t flags, struct unpack_buf *out,
				    bool *more)
{
	uint32_t unpacked = take_be32(c), packed;
	uint32_t adler = 0, crc = 0, packed_adler = 0, packed_crc = 0;
	uint8_t *to = out->p + out->len;
	const uint8_t *block;
	lzo_uint got = unpacked;

	*more = unpacked != 0;
	if (c->failed)
		return UNPACK_SHORT;
	if (!*more)
		return UNPACK_OK;

	packed = take_be32(c);
	if (flags & LZO_ADLER32_UNPACKED)
		adler = take_be32(c);
	if (flags & LZO_CRC32_UNPACKED)
		crc = take_be32(c);
	/* A block that did not shrink is stored as it is, and then its sums are not repeated. */
	if ((flags & LZO_ADLER32_PACKED) && packed < unpacked)
		packed_adler = take_be32(c);
	if ((flags & LZO_CRC32_PACKED) && packed < unpacked)
		packed_crc = take_be32(c);
	if (c->failed)
		return UNPACK_SHORT;
	if (unpacked > LZO_BLOCK_MAX || packed > unpacked || packed == 0)
		return UNPACK_DAMAGED;
	if (unpacked > out->cap - out->len)
		return UNPACK_FULL;
	block = take(c, packed);
	if (!block)
		return UNPACK_SHORT;

	if (packed == unpacked) {
		memcpy(to, block, packed);
	} else {
		if (!lzo_sums_right(flags, LZO_ADLER32_PACKED, LZO_CRC32_PACKED, packed_adler,
				    packed_crc, block, packed))
			return UNPACK_DAMAGED;
		if (lzo1x_decompress_safe(block, packed, to, &got, NULL) != LZO_E_OK ||
		    got != unpacked)
			return UNPACK_DAMAGED;
	}
	if (!lzo_sums_right(flags, LZO_ADLER32_UNPACKED, LZO_CRC32_UNPACKED, adler, crc, to,
			    unpacked))
		return UNPACK_DAMAGED;
	out->len += unpacked;
	return UNPACK_OK;
}

enum unpack_status unpack_lzo(const uint8_t *in, size_t len, struct unpack_buf *out)
{
	struct cursor c = { .p = in, .left = len };
	enum unpack_status status;
	uint32_t flags;
	bool more = true;

	if (lzo_init() != LZO_E_OK)
		return UNPACK_UNSUPPORTED;
	status = lzo_header(&c, &flags);
	while (status == UNPACK_OK && more)
		status = lzo_block(&c, flags, out, &more);
	return status;
}
