/* SPDX-License-Identifier: MIT */
/*
 * The loader's front door: open, free, and the one way to make an error.
 *
 * Promises: on failure the caller's structure is zeroed and nothing stays open, mapped or allocated.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "shrink.h"

GQuark loader_error_quark(void)
{
	return g_quark_from_static_string("xenopus-loader");
}

bool loader_fail(const struct loader_kernel *k, GError **err, enum loader_error code,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(err, LOADER_ERROR, (int)code, "%s: %s", k->name, text);
	g_free(text);
	return false;
}

char *loader_printable(const uint8_t *bytes, size_t len)
{
	char *s = g_strndup((const char *)bytes, len);

	for (char *p = s; *p; p++)
		if (!g_ascii_isprint(*p))
			*p = '?';
	return s;
}

static void unmap_file(struct loader_kernel *k)
{
	shrink_unwatch(k->file);
	if (k->file)
		munmap(k->file, k->file_len);
	k->file = NULL;
	k->file_len = 0;
}

void loader_free(struct loader_kernel *k)
{
	if (k->unpacked)
		munmap(k->unpacked, k->unpacked_len);
	unmap_file(k);
	g_free(k->segments);
	g_free(k->notes.features);
	g_free(k->notes.guest_os);
	g_free(k->notes.guest_version);
	g_free(k->notes.xen_version);
	g_free(k->notes.loader);
	g_free(k->notes.pae_mode);
	g_free(k->format);
	g_free(k->cache_key);
	g_free(k->name);
	memset(k, 0, sizeof(*k));
}

bool loader_map_file(struct loader_kernel *k, const char *path, struct stat *examined, GError **err)
{
	/* O_NONBLOCK so that a fifo is refused below instead of waited for here. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st = { 0 };
	bool ok = false;

	if (fd < 0)
		return loader_fail(k, err, LOADER_ERROR_FILE, "cannot open the kernel: %s%s",
				   g_strerror(errno),
				   errno == ENOENT ? "; check the path" :
				   errno == EACCES ? "; make it readable for you" : "");

	if (fstat(fd, &st) < 0) {
		loader_fail(k, err, LOADER_ERROR_FILE, "cannot examine the kernel: %s",
			    g_strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		loader_fail(k, err, LOADER_ERROR_FILE, "is %s; give the file of a kernel",
			    S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	} else if (st.st_size == 0) {
		loader_fail(k, err, LOADER_ERROR_TRUNCATED, "is empty; fetch the kernel again");
	} else {
		k->file_len = (size_t)st.st_size;
		k->file = mmap(NULL, k->file_len, PROT_READ, MAP_PRIVATE, fd, 0);
		ok = k->file != MAP_FAILED;
		if (!ok) {
			k->file = NULL;
			loader_fail(k, err, LOADER_ERROR_FILE, "cannot map the kernel: %s; is it a vmlinuz or vmlinux?",
				    g_strerror(errno));
		} else {
			shrink_watch(k->file, k->file_len);
		}
	}
	close(fd);
	if (examined)
		*examined = st;
	return ok;
}

bool loader_unpack(struct loader_kernel *k, GError **err)
{
	bool good = loader_find_image(k, k->file, k->file_len, err) && loader_parse_elf(k, err);

	/* Whatever else seemed wrong with it. */
	if (shrink_happened(k->file)) {
		g_clear_error(err);
		good = loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "became shorter while it was read; give it when it is complete");
	}
	if (!good) {
		loader_free(k);
		return false;
	}
	/* A compressed file has done its part; only its unpacked image is pointed into. */
	if (k->unpacked)
		unmap_file(k);
	return true;
}

bool loader_open(const char *path, struct loader_kernel *out, GError **err)
{
	memset(out, 0, sizeof(*out));
	out->name = g_strdup(path);
	if (loader_map_file(out, path, NULL, err))
		return loader_unpack(out, err);
	loader_free(out);
	return false;
}

bool loader_from_memory(const void *data, size_t len, const char *name, struct loader_kernel *out,
			GError **err)
{
	memset(out, 0, sizeof(*out));
	out->name = g_strdup(name);
	if (loader_find_image(out, data, len, err) && loader_parse_elf(out, err))
		return true;
	loader_free(out);
	return false;
}
