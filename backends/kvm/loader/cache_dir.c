/* SPDX-License-Identifier: MIT */
/*
 * The directory of the kernel cache. Everything is done relative to one open descriptor, so nobody
 * can exchange the directory between a check and a use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "cache_dir.h"

#define TEMPORARY_MAX_AGE 3600 /* seconds; storing takes less than one */

struct entry {
	char *name;
	struct timespec used;
	uint64_t size;
};

static int refuse(GError **err, const char *dir, const char *why)
{
	g_set_error(err, LOADER_ERROR, LOADER_ERROR_FILE, "%s: %s", dir, why);
	return -1;
}

int cache_dir_open(const char *dir, bool make, GError **err)
{
	struct stat st;
	int fd;

	if (make && g_mkdir_with_parents(dir, 0700) < 0)
		return refuse(err, dir, g_strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !make)
		return -1;
	if (fd < 0)
		return refuse(err, dir, g_strerror(errno));
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	return refuse(err, dir, "is writable for others than you");
}

static void entry_free(gpointer data)
{
	struct entry *e = data;

	g_free(e->name);
	g_free(e);
}

static gint newest_first(gconstpointer a, gconstpointer b)
{
	const struct timespec *x = &(*(struct entry *const *)a)->used;
	const struct timespec *y = &(*(struct entry *const *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static GPtrArray *list_entries(int dirfd, DIR *dir)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(entry_free);
	time_t now = time(NULL);
	struct dirent *de;
	struct stat st;

	while ((de = readdir(dir))) {
		if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (g_str_has_prefix(de->d_name, CACHE_TEMPORARY)) {
			if (now - st.st_mtime > TEMPORARY_MAX_AGE)
				unlinkat(dirfd, de->d_name, 0);
			continue;
		}
		struct entry *e = g_new(struct entry, 1);

		*e = (struct entry){g_strdup(de->d_name), st.st_mtim, (uint64_t)st.st_size};
		g_ptr_array_add(list, e);
	}
	g_ptr_array_sort(list, newest_first);
	return list;
}

void cache_dir_prune(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closedir() closes it */
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;
	GPtrArray *list;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	list = list_entries(dirfd, dir);
	for (guint i = 0; i < list->len; i++) {
		struct entry *e = g_ptr_array_index(list, i);

		bytes += e->size;
		if (i >= CACHE_MAX_ENTRIES || bytes > CACHE_MAX_BYTES)
			unlinkat(dirfd, e->name, 0);
	}
	g_ptr_array_free(list, TRUE);
	closedir(dir);
}
