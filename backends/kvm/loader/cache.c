/* SPDX-License-Identifier: MIT */
/*
 * The cache of unpacked kernels: keys, look-up, storing. See cache.h for what it promises; the
 * directory is cache_dir.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "cache_dir.h"
#include "internal.h"
#include "shrink.h"

#define CACHE_MAGIC "xenopus-kernel1" /* 16 bytes with its NUL */
#define HEADER_SIZE 4096
#define MAX_PACKED  ((size_t)256 << 20) /* whoever gives a disk image shall not wait for its CRC */

/**
 * struct cache_header - The first page of an entry.
 * @magic: CACHE_MAGIC
 * @image_len: length of the image; the file ends behind it
 * @image_crc: CRC-64 of the image
 * @format: loader_kernel.format, NUL-padded
 * @key: the entry's name, NUL-padded
 * @crc: CRC-64 of all fields before this
 */
struct cache_header {
	char magic[16];
	uint64_t image_len;
	uint64_t image_crc;
	char format[64];
	char key[72];
	uint64_t crc;
};

char *cache_default_dir(void)
{
	const char *own = g_getenv("XENOPUS_CACHE_DIR");

	if (own && *own)
		return g_build_filename(own, "kernels", NULL);
	return g_build_filename(g_get_user_cache_dir(), "xenopus", "kernels", NULL);
}

static char *key_of(const struct stat *st, const void *data, size_t len)
{
	char *text =
		g_strdup_printf("%ju %ju %zu %jd.%09ld %jd.%09ld %016jx", (uintmax_t)st->st_dev,
				(uintmax_t)st->st_ino, len, (intmax_t)st->st_mtim.tv_sec,
				st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
				st->st_ctim.tv_nsec, (uintmax_t)lzma_crc64(data, len, 0));
	char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	g_free(text);
	return key;
}

static uint64_t header_crc(const struct cache_header *h)
{
	return lzma_crc64((const uint8_t *)h, offsetof(struct cache_header, crc), 0);
}

static bool header_fits(const struct cache_header *h, const char *key, size_t file_len)
{
	return memcmp(h->magic, CACHE_MAGIC, sizeof(h->magic)) == 0 && h->crc == header_crc(h) &&
	       h->format[sizeof(h->format) - 1] == '\0' &&
	       strncmp(h->key, key, sizeof(h->key)) == 0 && h->image_len > 0 &&
	       h->image_len == file_len - HEADER_SIZE;
}

/* Map the entry and take it for the kernel's image if every byte of it is as it was stored. */
static bool take_entry(int fd, struct loader_kernel *k, const char *key)
{
	struct cache_header h;
	struct stat st;
	void *map;
	size_t len;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= HEADER_SIZE)
		return false;
	len = (size_t)st.st_size;
	map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return false;
	shrink_watch(map, len);
	madvise(map, len, MADV_WILLNEED);
	memcpy(&h, map, sizeof(h));
	k->file = map;
	k->file_len = len;
	k->image = (const uint8_t *)map + HEADER_SIZE;
	if (!header_fits(&h, key, len) || lzma_crc64(k->image, h.image_len, 0) != h.image_crc)
		return false;
	k->image_len = h.image_len;
	k->format = g_strdup(h.format);
	return true;
}

/* Is there an entry that is right? A damaged one is removed, so that it gets stored anew. */
static bool look_up(const char *path, int dirfd, const char *key, struct loader_kernel *out)
{
	int fd = openat(dirfd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct loader_kernel k = {0};
	bool ok;

	if (fd < 0)
		return false;
	k.name = g_strdup(path);
	ok = take_entry(fd, &k, key) && loader_parse_elf(&k, NULL);
	if (ok) {
		k.cached = true;
		futimens(fd, NULL); /* used last: pruned last */
		*out = k;
	} else {
		loader_free(&k);
		unlinkat(dirfd, key, 0);
	}
	close(fd);
	return ok;
}

bool cache_open(const char *path, const char *dir, struct loader_kernel *out, char **note,
		GError **err)
{
	struct loader_kernel packed = {.name = g_strdup(path)};
	gint64 start = g_get_monotonic_time();
	GError *trouble = NULL;
	char *key = NULL;
	struct stat st;
	int dirfd = -1;

	*note = NULL;
	memset(out, 0, sizeof(*out));
	if (!loader_map_file(&packed, path, &st, err)) {
		loader_free(&packed);
		return false;
	}
	if (dir && packed.file_len <= MAX_PACKED && !loader_is_elf(packed.file, packed.file_len)) {
		dirfd = cache_dir_open(dir, false, &trouble);
		if (trouble) {
			*note = g_strdup_printf("kernel cache not used: %s", trouble->message);
			g_error_free(trouble);
		} else {
			key = key_of(&st, packed.file, packed.file_len);
		}
	}
	if (dirfd >= 0 && look_up(path, dirfd, key, out)) {
		*note = g_strdup_printf("kernel cache: hit in %.1f ms (%s/%s)",
					(double)(g_get_monotonic_time() - start) / 1e3, dir, key);
		loader_free(&packed);
		g_free(key);
		close(dirfd);
		return true;
	}
	if (dirfd >= 0)
		close(dirfd);
	if (!loader_unpack(&packed, err)) {
		g_free(key);
		g_clear_pointer(note, g_free);
		return false;
	}
	*out = packed;
	if (key && !out->unpacked) {
		g_free(key); /* a bzImage around a plain ELF image: nothing to gain */
	} else if (key) {
		*note = g_strdup_printf("kernel cache: miss, unpacked in %.1f ms",
					(double)(g_get_monotonic_time() - start) / 1e3);
		out->cache_key = key;
	}
	return true;
}

static bool write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_entry(int fd, const struct loader_kernel *k)
{
	uint8_t page[HEADER_SIZE] = {0};
	struct cache_header h = {.image_len = k->image_len};

	memcpy(h.magic, CACHE_MAGIC, sizeof(h.magic));
	g_strlcpy(h.format, k->format, sizeof(h.format));
	g_strlcpy(h.key, k->cache_key, sizeof(h.key));
	h.image_crc = lzma_crc64(k->image, k->image_len, 0);
	h.crc = header_crc(&h);
	memcpy(page, &h, sizeof(h));
	return write_all(fd, page, sizeof(page)) && write_all(fd, k->image, k->image_len);
}

bool cache_store(const struct loader_kernel *k, const char *dir, GError **err)
{
	char temporary[40];
	int dirfd, fd;
	bool ok;

	if (!k->cache_key || !k->unpacked || k->image_len > CACHE_MAX_BYTES / 2)
		return true;
	dirfd = cache_dir_open(dir, true, err);
	if (dirfd < 0)
		return false;
	g_snprintf(temporary, sizeof(temporary), CACHE_TEMPORARY "%d-%u", (int)getpid(),
		   g_random_int());
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0 && write_entry(fd, k);
	if (ok)
		ok = renameat(dirfd, temporary, dirfd, k->cache_key) == 0;
	if (!ok) {
		g_set_error(err, LOADER_ERROR, LOADER_ERROR_FILE, "%s: %s", dir, g_strerror(errno));
		if (fd >= 0)
			unlinkat(dirfd, temporary, 0);
	}
	if (fd >= 0)
		close(fd);
	cache_dir_prune(dirfd);
	close(dirfd);
	return ok;
}
