/* SPDX-License-Identifier: MIT */
/*
 * Decompressors behind one shape: bytes in, at most so many bytes out, a verdict.
 *
 * Each method is one function over its own library. They write straight into the destination, never
 * past its capacity, and say which of a few things went wrong; unpack.c turns that into words.
 */
#ifndef XENOPUS_LOADER_UNPACK_H
#define XENOPUS_LOADER_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "loader.h"

enum unpack_status {
	UNPACK_OK,
	UNPACK_SHORT,		/* the input ends before the data does */
	UNPACK_DAMAGED,		/* the library refuses the data */
	UNPACK_FULL,		/* the output does not fit */
	UNPACK_UNSUPPORTED,	/* valid, but of a kind kernels are not packed with */
	UNPACK_NO_MEMORY,
};

/** struct unpack_buf - Where the output goes: @len of @cap bytes at @p are filled. */
struct unpack_buf {
	uint8_t *p;
	size_t len;
	size_t cap;
};

/**
 * struct unpack_method - A kind of compression.
 * @name: for people
 * @magic: how its data starts
 * @magic_len: bytes of @magic
 * @run: unpack @len bytes at @in, append to @out
 */
struct unpack_method {
	const char *name;
	const char *magic;
	size_t magic_len;
	enum unpack_status (*run)(const uint8_t *in, size_t len, struct unpack_buf *out);
};

/** unpack_identify() - The method whose magic the data starts with, or NULL. */
const struct unpack_method *unpack_identify(const uint8_t *in, size_t len);

/**
 * unpack_into() - Unpack into fresh memory.
 * @k: kernel that gets unpacked/unpacked_len/image/image_len, and whose name errors use
 * @m: the method
 * @in: compressed data
 * @len: its length
 * @expected: size it must unpack to, or 0 if nobody said
 * @err: where to put the error
 */
bool unpack_into(struct loader_kernel *k, const struct unpack_method *m, const uint8_t *in,
		 size_t len, size_t expected, GError **err);

enum unpack_status unpack_gzip(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_bzip2(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_xz(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_lzma(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_zstd(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_lz4(const uint8_t *in, size_t len, struct unpack_buf *out);
enum unpack_status unpack_lzo(const uint8_t *in, size_t len, struct unpack_buf *out);

#endif
