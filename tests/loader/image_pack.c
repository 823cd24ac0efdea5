/* SPDX-License-Identifier: MIT */
/*
 * Compressing kernels for the loader's tests, each with the library and in the format that the kernel's
 * own build uses (at quicker levels), and wrapping them as a bzImage.
 */
#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "image.h"

/* More than any packer adds to incompressible input of this size. */
static GByteArray *output_for(size_t len)
{
	GByteArray *out = g_byte_array_new();

	g_byte_array_set_size(out, (guint)(len + len / 8 + 4096));
	return out;
}

static GByteArray *cut(GByteArray *out, size_t len, bool ok)
{
	g_assert_true(ok && len <= out->len);
	g_byte_array_set_size(out, (guint)len);
	return out;
}

static GByteArray *pack_gzip(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len,
		       .next_out = out->data, .avail_out = out->len };
	int ret;

	g_assert_true(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY) ==
		      Z_OK);
	ret = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return cut(out, z.total_out, ret == Z_STREAM_END);
}

static GByteArray *pack_bzip2(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	unsigned int size = out->len;
	int ret = BZ2_bzBuffToBuffCompress((char *)out->data, &size, (char *)(uintptr_t)in,
					   (unsigned int)len, 1, 0, 0);

	return cut(out, size, ret == BZ_OK);
}

static GByteArray *pack_xz(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	lzma_options_lzma lzma2;
	lzma_filter filters[] = {
		{ LZMA_FILTER_X86, NULL },
		{ LZMA_FILTER_LZMA2, &lzma2 },
		{ LZMA_VLI_UNKNOWN, NULL },
	};
	size_t size = 0;
	lzma_ret ret;

	g_assert_false(lzma_lzma_preset(&lzma2, 0));
	ret = lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in, len, out->data, &size,
					out->len);
	return cut(out, size, ret == LZMA_OK);
}

static GByteArray *pack_lzma(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	lzma_ret ret;

	g_assert_false(lzma_lzma_preset(&options, 0));
	g_assert_true(lzma_alone_encoder(&s, &options) == LZMA_OK);
	s.next_in = in;
	s.avail_in = len;
	s.next_out = out->data;
	s.avail_out = out->len;
	ret = lzma_code(&s, LZMA_FINISH);
	lzma_end(&s);
	return cut(out, s.total_out, ret == LZMA_STREAM_END);
}

static GByteArray *pack_zstd(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t size;

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	size = ZSTD_compress2(c, out->data, out->len, in, len);
	ZSTD_freeCCtx(c);
	return cut(out, size, !ZSTD_isError(size));
}

#define LZ4_BLOCK	(8u << 20)

static GByteArray *pack_lz4(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	size_t at = 4;

	put_le32(out->data, 0x184c2102);
	while (len) {
		size_t n = MIN(len, LZ4_BLOCK);
		int size = LZ4_compress_default((const char *)in, (char *)out->data + at + 4, (int)n,
						(int)(out->len - at - 4));

		g_assert_cmpint(size, >, 0);
		put_le32(out->data + at, (uint32_t)size);
		at += 4 + (size_t)size;
		in += n;
		len -= n;
	}
	return cut(out, at, true);
}

#define LZO_BLOCK	(256u << 10)

static void put_be32(uint8_t *p, uint32_t v)
{
	put_le32(p, GUINT32_SWAP_LE_BE(v));
}

/* lzop 1.04's header: flags say one Adler-32 per block, over its unpacked bytes. */
static size_t lzo_header(uint8_t *p)
{
	static const uint8_t magic[] = { 0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n' };
	uint8_t h[] = {
		0x10, 0x40, 0x20, 0xa0, 0x09, 0x40,	/* version, library, needed to extract */
		3, 9,					/* lzo1x_999, level 9 */
		0x03, 0, 0, 0x01,			/* Unix, Adler-32 of unpacked data */
		0, 0, 0x81, 0xa4,			/* mode */
		0x65, 0, 0, 0, 0, 0, 0, 0,		/* time, low and high half */
		7, 'v', 'm', 'l', 'i', 'n', 'u', 'x',
	};

	memcpy(p, magic, sizeof(magic));
	memcpy(p + sizeof(magic), h, sizeof(h));
	put_be32(p + sizeof(magic) + sizeof(h), lzo_adler32(1, h, sizeof(h)));
	return sizeof(magic) + sizeof(h) + 4;
}

static GByteArray *pack_lzo(const uint8_t *in, size_t len)
{
	GByteArray *out = output_for(len);
	void *work = g_malloc(LZO1X_1_MEM_COMPRESS);
	size_t at;

	g_assert_true(lzo_init() == LZO_E_OK);
	at = lzo_header(out->data);
	while (len) {
		size_t n = MIN(len, LZO_BLOCK);
		uint8_t *block = out->data + at + 12;
		lzo_uint size = out->len - at - 12;

		g_assert_true(lzo1x_1_compress(in, n, block, &size, work) == LZO_E_OK);
		if (size >= n) {
			memcpy(block, in, n);
			size = n;
		}
		put_be32(out->data + at, (uint32_t)n);
		put_be32(out->data + at + 4, (uint32_t)size);
		put_be32(out->data + at + 8, lzo_adler32(1, in, n));
		at += 12 + size;
		in += n;
		len -= n;
	}
	g_free(work);
	put_be32(out->data + at, 0);
	return cut(out, at + 4, true);
}

const struct packer packers[] = {
	{ "gzip", pack_gzip }, { "bzip2", pack_bzip2 }, { "xz", pack_xz }, { "lzma", pack_lzma },
	{ "zstd", pack_zstd }, { "lz4", pack_lz4 },	{ "lzo", pack_lzo },
};
const unsigned int nr_packers = G_N_ELEMENTS(packers);

const struct packer *packer_named(const char *name)
{
	for (unsigned int i = 0; i < nr_packers; i++)
		if (strcmp(packers[i].name, name) == 0)
			return &packers[i];
	g_assert_not_reached();
}

#define SETUP_SECTS	3
#define CODE_BEFORE	0x60

GByteArray *bzimage_build(const GByteArray *payload, uint32_t unpacked, bool raw)
{
	GByteArray *a = g_byte_array_new();
	size_t start = (SETUP_SECTS + 1) * 512 + CODE_BEFORE;
	uint8_t size[4];

	g_byte_array_set_size(a, (guint)start);
	memset(a->data, 0xcc, a->len);
	a->data[0x1f1] = SETUP_SECTS;
	put_le16(a->data + 0x1fe, 0xaa55);
	memcpy(a->data + 0x202, "HdrS", 4);
	put_le16(a->data + 0x206, 0x020f);
	put_le32(a->data + 0x248, CODE_BEFORE);
	put_le32(a->data + 0x24c, payload->len + (raw ? 0 : 4));
	g_byte_array_append(a, payload->data, payload->len);
	if (!raw) {
		put_le32(size, unpacked);
		g_byte_array_append(a, size, sizeof(size));
	}
	return a;
}

GByteArray *bzimage_packed(const GByteArray *elf, const struct packer *packer)
{
	GByteArray *payload = packer->pack(elf->data, elf->len);
	GByteArray *bz;

	/* A gzip stream ends with its unpacked size; nothing is appended. */
	bz = bzimage_build(payload, elf->len, packer->pack == pack_gzip);
	g_byte_array_unref(payload);
	return bz;
}
