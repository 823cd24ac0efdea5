/* SPDX-License-Identifier: MIT */
/*
 * Formats: every compression in a bzImage and alone, lying sizes, files that are something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static GByteArray *bytes_of(const void *data, size_t len)
{
	return g_byte_array_append(g_byte_array_new(), data, (guint)len);
}

static void expect_same_image(const GByteArray *packed, const GByteArray *elf, const char *format)
{
	struct loader_kernel k;

	expect_loads(packed, &k);
	assert_int_equal(k.image_len, elf->len);
	assert_memory_equal(k.image, elf->data, elf->len);
	assert_string_equal(k.format, format);
	loader_free(&k);
}

/* An image larger than a block of every format, partly compressible, partly not. */
static GByteArray *elf_large(void)
{
	GByteArray *elf = elf_linux();
	size_t start = elf->len;
	uint32_t x = 1;

	g_byte_array_set_size(elf, (guint)(start + (9u << 20)));
	memset(elf->data + start, 0, elf->len - start);
	for (size_t i = start; i < start + (1u << 20); i++) {
		x = x * 1664525 + 1013904223;
		elf->data[i] = (uint8_t)(x >> 24);
	}
	return elf;
}

static void every_compression_round_trips(void **state)
{
	GByteArray *small = elf_linux(), *large = elf_large();

	for (unsigned int i = 0; i < nr_packers; i++) {
		const GByteArray *both[] = { small, large };

		for (size_t j = 0; j < G_N_ELEMENTS(both); j++) {
			GByteArray *bz = bzimage_packed(both[j], &packers[i]);
			GByteArray *plain = packers[i].pack(both[j]->data, both[j]->len);
			char *bz_format = g_strconcat("bzImage, ", packers[i].name, NULL);
			char *plain_format = g_strconcat("ELF, ", packers[i].name, NULL);

			expect_same_image(bz, both[j], bz_format);
			expect_same_image(plain, both[j], plain_format);
			g_free(bz_format);
			g_free(plain_format);
			g_byte_array_unref(bz);
			g_byte_array_unref(plain);
		}
	}
	g_byte_array_unref(small);
	g_byte_array_unref(large);
}

static void uncompressed_payload_loads(void **state)
{
	GByteArray *elf = elf_linux(), *bz = bzimage_build(elf, 0, true);

	expect_same_image(bz, elf, "bzImage, not compressed");
	expect_same_image(elf, elf, "ELF");
	g_byte_array_unref(bz);
	g_byte_array_unref(elf);
}

static void joined_streams_are_one_image(void **state)
{
	static const char *const names[] = { "gzip", "bzip2", "xz", "zstd", "lz4" };
	GByteArray *elf = elf_linux();

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const struct packer *p = packer_named(names[i]);
		GByteArray *first = p->pack(elf->data, 5000);
		GByteArray *second = p->pack(elf->data + 5000, elf->len - 5000);
		char *format = g_strconcat("ELF, ", names[i], NULL);

		g_byte_array_append(first, second->data, second->len);
		if (strcmp(names[i], "lz4") != 0) {
			expect_same_image(first, elf, format);
		} else {
			/* Its blocks only join at their full size, else the file is damaged. */
			struct loader_kernel k;

			expect_loads(first, &k);
			loader_free(&k);
		}
		g_free(format);
		g_byte_array_unref(first);
		g_byte_array_unref(second);
	}
	g_byte_array_unref(elf);
}

static void lying_sizes_are_refused(void **state)
{
	GByteArray *elf = elf_linux();

	for (unsigned int i = 0; i < nr_packers; i++) {
		GByteArray *bz = bzimage_packed(elf, &packers[i]);
		uint8_t *size = bz->data + bz->len - 4;
		enum loader_error more = LOADER_ERROR_TRUNCATED;

		/* gzip compares the size itself, as it is part of its stream. */
		if (strcmp(packers[i].name, "gzip") == 0)
			more = LOADER_ERROR_COMPRESSION;
		put_le32(size, elf->len + 1);
		expect_refused(bz, more, packers[i].name);
		put_le32(size, elf->len + 4000);
		expect_refused(bz, more, packers[i].name);
		put_le32(size, elf->len - 1);
		expect_refused(bz, LOADER_ERROR_COMPRESSION, packers[i].name);
		put_le32(size, elf->len - 4000);
		expect_refused(bz, LOADER_ERROR_COMPRESSION, packers[i].name);
		put_le32(size, 0xffffffff);
		expect_refused(bz, LOADER_ERROR_TOO_BIG, "4095 MiB|1024 MiB");
		put_le32(size, 0);
		expect_refused(bz, LOADER_ERROR_FORMAT, "0 bytes");
		g_byte_array_unref(bz);
	}
	g_byte_array_unref(elf);
}

static void damaged_data_is_refused(void **state)
{
	GByteArray *elf = elf_large();

	for (unsigned int i = 0; i < nr_packers; i++) {
		GByteArray *bz = bzimage_packed(elf, &packers[i]);
		struct loader_kernel k;

		/* lz4's legacy frame has no checksum: it may notice nothing, and must not crash. */
		memset(bz->data + bz->len / 2, 0x55, 1000);
		if (strcmp(packers[i].name, "lz4") != 0)
			expect_refused(bz, LOADER_ERROR_COMPRESSION, packers[i].name);
		else if (loader_from_memory(bz->data, bz->len, "lz4", &k, NULL))
			loader_free(&k);
		g_byte_array_unref(bz);
	}
	g_byte_array_unref(elf);
}

/* A gigabyte and more of zeros behind an ELF header: small to store, too large to unpack. */
static void bombs_are_stopped(void **state)
{
	const struct packer *zstd = packer_named("zstd");
	size_t chunk = 64u << 20;
	uint8_t *zeros = g_malloc0(chunk);
	GByteArray *stream = zstd->pack(zeros, chunk), *bomb = g_byte_array_new();

	for (int i = 0; i < 17; i++)
		g_byte_array_append(bomb, stream->data, stream->len);
	expect_refused(bomb, LOADER_ERROR_TOO_BIG, "zstd|1024 MiB");
	g_byte_array_unref(bomb);
	g_byte_array_unref(stream);
	g_free(zeros);
}

static void bad_setup_headers_are_refused(void **state)
{
	GByteArray *elf = elf_linux(), *good = bzimage_packed(elf, packer_named("zstd"));
	GByteArray *bz = bytes_of(good->data, good->len);

	put_le16(bz->data + 0x206, 0x0207);
	expect_refused(bz, LOADER_ERROR_FORMAT, "protocol 2.07|2.6.26");
	put_le16(bz->data + 0x206, 0x020f);

	put_le32(bz->data + 0x24c, 0xffffffff);
	expect_refused(bz, LOADER_ERROR_TRUNCATED, "truncated bzImage");
	put_le32(bz->data + 0x24c, 7);
	expect_refused(bz, LOADER_ERROR_FORMAT, "without a payload");
	put_le32(bz->data + 0x24c, 0);
	expect_refused(bz, LOADER_ERROR_FORMAT, "without a payload");
	memcpy(bz->data + 0x24c, good->data + 0x24c, 4);

	put_le32(bz->data + 0x248, 0xffffffff);
	expect_refused(bz, LOADER_ERROR_TRUNCATED, "truncated bzImage");
	put_le32(bz->data + 0x248, 0);
	expect_refused(bz, LOADER_ERROR_COMPRESSION, "unknown compression|cc cc cc cc");

	g_byte_array_set_size(bz, 0x24f);
	expect_refused(bz, LOADER_ERROR_TRUNCATED, "setup header");
	g_byte_array_unref(bz);
	g_byte_array_unref(good);
	g_byte_array_unref(elf);
}

static void other_files_are_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum loader_error code;
		const char *words;
	} cases[] = {
		{ "", 0, LOADER_ERROR_FORMAT, "neither" },
		{ "x", 1, LOADER_ERROR_FORMAT, "starts with 78)" },
		{ "#!/bin/sh\n", 10, LOADER_ERROR_FORMAT, "neither|23 21 2f 62" },
		{ "070701000000", 12, LOADER_ERROR_FORMAT, "initramfs|--initrd" },
		{ "!<arch>\ndebian-binary", 20, LOADER_ERROR_FORMAT, "archive|dpkg-deb" },
		{ "MZ\x90\0\3\0\0\0", 8, LOADER_ERROR_FORMAT, "EFI|vmlinux" },
		{ "\x7f" "ELF", 4, LOADER_ERROR_TRUNCATED, "ELF header|4 bytes" },
		{ "\x1f\x8b\x08", 3, LOADER_ERROR_TRUNCATED, "gzip" },
		{ "BZh", 3, LOADER_ERROR_TRUNCATED, "bzip2" },
		{ "\x02\x21\x4c\x18", 4, LOADER_ERROR_TRUNCATED, "lz4" },
	};
	uint8_t arm[64] = "MZ";
	GByteArray *a;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		a = bytes_of(cases[i].bytes, cases[i].len);
		expect_refused(a, cases[i].code, cases[i].words);
		g_byte_array_unref(a);
	}
	memcpy(arm + 56, "ARM\x64", 4);
	a = bytes_of(arm, sizeof(arm));
	expect_refused(a, LOADER_ERROR_MACHINE, "aarch64");
	g_byte_array_unref(a);
}

static void compressed_other_things_are_named(void **state)
{
	static const char text[] = "070701 this is an initramfs, in a way";

	for (unsigned int i = 0; i < nr_packers; i++) {
		GByteArray *a = packers[i].pack((const uint8_t *)text, sizeof(text));

		expect_refused(a, LOADER_ERROR_FORMAT, "initramfs|--initrd");
		g_byte_array_unref(a);
	}
}

static void expect_open_refused(const char *path, const char *words)
{
	struct loader_kernel k;
	GError *err = NULL;

	assert_false(loader_open(path, &k, &err));
	assert_true(g_str_has_prefix(err->message, path));
	if (!strstr(err->message, words))
		fail_msg("'%s' is not in: %s", words, err->message);
	assert_null(k.file);
	g_error_free(err);
}

static void files_open_and_are_let_go(void **state)
{
	char *dir = g_dir_make_tmp("xenopus-loader-XXXXXX", NULL);
	char *path = g_build_filename(dir, "vmlinuz", NULL);
	char *fifo = g_build_filename(dir, "fifo", NULL);
	GByteArray *elf = elf_linux(), *bz = bzimage_packed(elf, packer_named("gzip"));
	struct loader_kernel k;

	expect_open_refused(path, "No such file");
	expect_open_refused(dir, "directory");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_open_refused(fifo, "not a regular file");
	assert_true(g_file_set_contents(path, "", 0, NULL));
	expect_open_refused(path, "empty");
	assert_true(g_file_set_contents(path, (char *)bz->data, (gssize)bz->len / 2, NULL));
	expect_open_refused(path, "truncated bzImage");

	/* Once unpacked, the file is not needed any more; a plain ELF stays mapped. */
	assert_true(g_file_set_contents(path, (char *)bz->data, (gssize)bz->len, NULL));
	assert_true(loader_open(path, &k, NULL));
	check_promises(&k);
	assert_null(k.file);
	assert_string_equal(k.name, path);
	loader_free(&k);
	assert_true(g_file_set_contents(path, (char *)elf->data, (gssize)elf->len, NULL));
	assert_true(loader_open(path, &k, NULL));
	check_promises(&k);
	assert_ptr_equal(k.file, k.image);
	loader_free(&k);
	loader_free(&k);

	g_unlink(fifo);
	g_unlink(path);
	g_rmdir(dir);
	g_free(fifo);
	g_free(path);
	g_free(dir);
	g_byte_array_unref(bz);
	g_byte_array_unref(elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_compression_round_trips),
		cmocka_unit_test(uncompressed_payload_loads),
		cmocka_unit_test(joined_streams_are_one_image),
		cmocka_unit_test(lying_sizes_are_refused),
		cmocka_unit_test(damaged_data_is_refused),
		cmocka_unit_test(bombs_are_stopped),
		cmocka_unit_test(bad_setup_headers_are_refused),
		cmocka_unit_test(other_files_are_named),
		cmocka_unit_test(compressed_other_things_are_named),
		cmocka_unit_test(files_open_and_are_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
