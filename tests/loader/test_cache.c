/* SPDX-License-Identifier: MIT */
/*
 * The cache of unpacked kernels: hits are the same kernel, whatever is damaged is a miss, nothing
 * makes loading fail, and the directory stays small and private.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "cache_dir.h"
#include "image.h"

static char *top, *dir, *file;
static GByteArray *elf;

static void write_kernel(const char *path, const GByteArray *bytes)
{
	assert_true(g_file_set_contents(path, (const char *)bytes->data, bytes->len, NULL));
}

static int set_up(void **state)
{
	GByteArray *packed;

	top = g_dir_make_tmp("xenopus-cache-XXXXXX", NULL);
	dir = g_build_filename(top, "deep", "kernels", NULL);
	file = g_build_filename(top, "vmlinuz", NULL);
	elf = elf_linux();
	packed = bzimage_packed(elf, packer_named("gzip"));
	write_kernel(file, packed);
	g_byte_array_unref(packed);
	return top ? 0 : -1;
}

static void remove_tree(const char *path)
{
	GDir *d = g_dir_open(path, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		char *inner = g_build_filename(path, name, NULL);

		if (g_file_test(inner, G_FILE_TEST_IS_DIR) &&
		    !g_file_test(inner, G_FILE_TEST_IS_SYMLINK))
			remove_tree(inner);
		g_remove(inner);
		g_free(inner);
	}
	if (d)
		g_dir_close(d);
	g_rmdir(path);
}

static int tear_down(void **state)
{
	remove_tree(top);
	g_byte_array_unref(elf);
	g_free(top);
	g_free(dir);
	g_free(file);
	return 0;
}

/* Load through the cache; the kernel must be right either way. Returns the note. */
static char *load(struct loader_kernel *k, const char *cache)
{
	GError *err = NULL;
	char *note;

	if (!cache_open(file, cache, k, &note, &err))
		fail_msg("%s", err->message);
	check_promises(k);
	assert_int_equal(k->image_len, elf->len);
	assert_memory_equal(k->image, elf->data, elf->len);
	assert_string_equal(k->format, "bzImage, gzip");
	assert_string_equal(k->name, file);
	return note;
}

static bool hits(void)
{
	struct loader_kernel k;
	char *note = load(&k, dir);
	bool hit = strstr(note, "hit") != NULL;

	assert_int_equal(hit, k.cache_key == NULL);
	assert_int_equal(hit, strstr(note, "miss") == NULL);
	loader_free(&k);
	g_free(note);
	return hit;
}

/* Load and store; returns the entry's path. */
static char *store(void)
{
	struct loader_kernel k;
	GError *err = NULL;
	char *entry;

	g_free(load(&k, dir));
	assert_non_null(k.cache_key);
	if (!cache_store(&k, dir, &err))
		fail_msg("%s", err->message);
	entry = g_build_filename(dir, k.cache_key, NULL);
	loader_free(&k);
	assert_true(g_file_test(entry, G_FILE_TEST_IS_REGULAR));
	return entry;
}

static unsigned int entries(void)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	unsigned int n = 0;

	assert_non_null(d);
	while (g_dir_read_name(d))
		n++;
	g_dir_close(d);
	return n;
}

static void second_time_hits(void **state)
{
	struct stat st;
	char *entry;

	assert_false(hits());
	assert_false(hits());
	assert_false(
		g_file_test(dir, G_FILE_TEST_EXISTS)); /* loading alone leaves nothing behind */
	entry = store();
	assert_true(hits());
	assert_true(hits());
	assert_int_equal(entries(), 1);
	assert_int_equal(g_stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(g_stat(entry, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	g_free(entry);
}

static void a_changed_file_misses(void **state)
{
	struct timespec times[2];
	struct stat st;
	FILE *f;

	g_free(store());
	/* A byte of the setup code, which is not part of the image, with the old time of change. */
	assert_int_equal(g_stat(file, &st), 0);
	f = fopen(file, "r+b");
	assert_non_null(f);
	fseek(f, 8, SEEK_SET);
	fputc('x', f);
	fclose(f);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
	assert_false(hits());
	g_free(store());
	assert_true(hits());
	assert_int_equal(entries(), 2);
}

static void another_file_of_equal_bytes_misses(void **state)
{
	char *bytes, *entry = store();
	gsize len;

	assert_true(g_file_get_contents(file, &bytes, &len, NULL));
	g_remove(file);
	g_usleep(20000); /* the clock of file times ticks slowly, and the inode may be the same */
	assert_true(g_file_set_contents(file, bytes, (gssize)len, NULL));
	assert_false(hits());
	g_free(bytes);
	g_free(entry);
}

static void flip(const char *entry, off_t at)
{
	int fd = open(entry, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void damage_misses(void **state)
{
	const off_t places[] = {0, 15, 16, 24, 32, 95, 96, 120, 4096, 4097, 4096 + 100, -1};

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		char *entry = store();

		assert_true(hits());
		flip(entry, places[i] < 0 ? (off_t)(4096 + elf->len - 1) : places[i]);
		assert_false(hits());
		assert_int_equal(entries(), 0); /* the damaged one is gone */
		g_free(entry);
	}
}

static void other_lengths_miss(void **state)
{
	const off_t lengths[] = {0, 1, 100, 4095, 4096, 4097, 4096 + 64, -1, -2};

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		off_t whole = (off_t)(4096 + elf->len);
		char *entry = store();
		off_t len = lengths[i] == -1   ? whole - 1
			    : lengths[i] == -2 ? whole + 1
					       : lengths[i];

		assert_int_equal(truncate(entry, len), 0);
		assert_false(hits());
		g_free(entry);
	}
}

/* An entry under another's name, whole and undamaged, is not that other's. */
static void exchanged_entries_miss(void **state)
{
	char *first = store(), *second;

	assert_int_equal(g_chmod(file, 0600), 0); /* another time of change: another key */
	second = store();
	assert_string_not_equal(first, second);
	assert_int_equal(g_rename(first, second), 0);
	assert_false(hits());
	g_free(first);
	g_free(second);
}

static void odd_files_miss(void **state)
{
	char *entry = store(), *aside = g_strconcat(top, "/aside", NULL);

	assert_int_equal(g_rename(entry, aside), 0);
	assert_int_equal(symlink(aside, entry), 0);
	assert_false(hits());
	g_remove(entry);
	assert_int_equal(mkfifo(entry, 0600), 0);
	assert_false(hits());
	g_remove(entry);
	assert_int_equal(g_mkdir(entry, 0700), 0);
	assert_false(hits());
	g_free(entry);
	g_free(aside);
}

static void expect_unused(const char *cache, const char *word)
{
	struct loader_kernel k;
	char *note = load(&k, cache);

	assert_non_null(strstr(note, "not used"));
	assert_non_null(strstr(note, word));
	assert_null(k.cache_key);
	assert_true(cache_store(&k, cache, NULL));
	loader_free(&k);
	g_free(note);
}

static void unusable_directories_are_no_trouble(void **state)
{
	char *below_a_file = g_build_filename(file, "kernels", NULL);
	char *link = g_build_filename(top, "link", NULL);

	expect_unused(below_a_file, "vmlinuz/kernels");
	expect_unused(file, file);
	g_free(store());
	assert_int_equal(symlink(dir, link), 0);
	expect_unused(link, link);
	assert_int_equal(g_chmod(dir, 0770), 0);
	expect_unused(dir, "writable");
	assert_int_equal(g_chmod(dir, 0707), 0);
	expect_unused(dir, "writable");
	assert_int_equal(g_chmod(dir, 0700), 0);
	assert_true(hits());
	g_free(below_a_file);
	g_free(link);
}

static void no_directory_no_cache(void **state)
{
	struct loader_kernel k;

	assert_null(load(&k, NULL));
	assert_null(k.cache_key);
	loader_free(&k);
}

static void what_is_not_packed_is_not_stored(void **state)
{
	struct loader_kernel k;
	GByteArray *bz = bzimage_build(elf, elf->len, true);
	char *note;

	write_kernel(file, elf);
	assert_true(cache_open(file, dir, &k, &note, NULL));
	assert_null(note);
	assert_null(k.cache_key);
	loader_free(&k);

	write_kernel(file, bz);
	assert_true(cache_open(file, dir, &k, &note, NULL));
	assert_null(note);
	assert_null(k.cache_key);
	loader_free(&k);
	g_byte_array_unref(bz);
}

static void a_bad_kernel_is_refused_and_not_stored(void **state)
{
	struct loader_kernel k;
	GError *err = NULL;
	char *note;

	assert_int_equal(truncate(file, 3000), 0);
	assert_false(cache_open(file, dir, &k, &note, &err));
	assert_int_equal(err->code, LOADER_ERROR_TRUNCATED);
	assert_null(note);
	assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
	g_clear_error(&err);

	g_remove(file);
	assert_false(cache_open(file, dir, &k, &note, &err));
	assert_int_equal(err->code, LOADER_ERROR_FILE);
	g_clear_error(&err);
}

/* A full disk, played by a limit on file sizes: an error, and nothing is left of the attempt. */
static void a_failed_write_leaves_nothing(void **state)
{
	struct rlimit old, tight = {4096 + 100, RLIM_INFINITY};
	struct loader_kernel k;
	GError *err = NULL;

	g_free(load(&k, dir));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	bool ok = cache_store(&k, dir, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

	assert_false(ok);
	assert_non_null(strstr(err->message, dir));
	assert_int_equal(entries(), 0);
	g_clear_error(&err);
	loader_free(&k);
}

static void age(const char *path, time_t seconds)
{
	struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void the_least_recently_used_go(void **state)
{
	char *old = store(), *young = g_build_filename(dir, CACHE_TEMPORARY "1-1", NULL);
	char *stale = g_build_filename(dir, CACHE_TEMPORARY "1-2", NULL), *newest;

	for (unsigned int i = 0; i < CACHE_MAX_ENTRIES + 2; i++) {
		char *other = g_strdup_printf("%s/other-%u", dir, i);

		assert_true(g_file_set_contents(other, "x", 1, NULL));
		age(other, 1000 + i);
		g_free(other);
	}
	assert_true(g_file_set_contents(young, "x", 1, NULL));
	assert_true(g_file_set_contents(stale, "x", 1, NULL));
	age(stale, 7200);
	age(old, 5000);
	assert_true(hits()); /* now it is the one used last */
	assert_int_equal(g_chmod(file, 0600), 0);
	newest = store();
	assert_true(g_file_test(newest, G_FILE_TEST_EXISTS));
	assert_true(g_file_test(old, G_FILE_TEST_EXISTS));
	assert_true(g_file_test(young, G_FILE_TEST_EXISTS));
	assert_false(g_file_test(stale, G_FILE_TEST_EXISTS));
	assert_int_equal(entries(), CACHE_MAX_ENTRIES + 1); /* and the temporary one */
	g_free(old);
	g_free(young);
	g_free(stale);
	g_free(newest);
}

static void many_bytes_go(void **state)
{
	char *big = g_build_filename(top, "deep/kernels/big", NULL), *entry = store();
	int fd = open(big, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)CACHE_MAX_BYTES), 0); /* sparse */
	close(fd);
	age(big, 1000);
	assert_int_equal(g_chmod(file, 0600), 0);
	g_free(store());
	assert_false(g_file_test(big, G_FILE_TEST_EXISTS));
	assert_true(g_file_test(entry, G_FILE_TEST_EXISTS));
	g_free(big);
	g_free(entry);
}

static void the_environment_says_where(void **state)
{
	char *d;

	g_setenv("XENOPUS_CACHE_DIR", "/somewhere", TRUE);
	d = cache_default_dir();
	assert_string_equal(d, "/somewhere/kernels");
	g_free(d);
	g_setenv("XENOPUS_CACHE_DIR", "", TRUE);
	d = cache_default_dir();
	assert_true(g_str_has_suffix(d, "/xenopus/kernels"));
	assert_true(g_str_has_prefix(d, g_get_user_cache_dir()));
	g_free(d);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(second_time_hits),
		CASE(a_changed_file_misses),
		CASE(another_file_of_equal_bytes_misses),
		CASE(damage_misses),
		CASE(other_lengths_miss),
		CASE(exchanged_entries_miss),
		CASE(odd_files_miss),
		CASE(unusable_directories_are_no_trouble),
		CASE(no_directory_no_cache),
		CASE(what_is_not_packed_is_not_stored),
		CASE(a_bad_kernel_is_refused_and_not_stored),
		CASE(a_failed_write_leaves_nothing),
		CASE(the_least_recently_used_go),
		CASE(many_bytes_go),
		CASE(the_environment_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
