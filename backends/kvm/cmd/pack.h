/* SPDX-License-Identifier: MIT */
/*
 * From a loaded kernel to what a home takes: the domain builder's configuration (hosted), the boot
 * bundle (bare metal; docs/bundle.md has its format).
 */
#ifndef XENOPUS_PACK_H
#define XENOPUS_PACK_H

#include <stdint.h>
#include <glib.h>

#include <xenopus/control.h>
#include "../loader/loader.h"
#include "options.h"

/** struct pack - a domain_config with everything it points to; for pack_free(). */
struct pack {
	struct domain_config cfg;
	struct kernel_image image;
	struct kernel_segment *segments;
	const char *kernel_name;
	const void *kernel_file, *initrd; /* mapped, or NULL */
	char error[256];
};

/**
 * pack_domain() - What domain_create() needs.
 * @p: filled; not to be moved. Points into the others, so they must stay.
 * @initrd: NULL: none
 */
void pack_domain(struct pack *p, const struct domain_options *opt,
		 const struct loader_kernel *kernel, GMappedFile *initrd);
void pack_free(struct pack *p);
/** pack_shrunk() - Was one of the files too short, when what it points to was read? Then p->error says so. */
bool pack_shrunk(struct pack *p);

/**
 * pack_bundle() - Write the boot bundle of one domain.
 * @cfg: the domain; pack_domain() made it
 * @on: what becomes of it when it stops, as in struct domain_options
 * @fd: a file that can be written at any place
 * @size: of the bundle
 * @error: why not, if false is returned
 */
gboolean pack_bundle(const struct domain_config *cfg, const int on[STOP_REASONS], int fd,
		     uint64_t *size, GError **error);

/** pack_crc() - a bundle's checksum, part by part: start with ~0, end with ~. */
uint32_t pack_crc(uint32_t crc, const uint8_t *p, size_t n);

#endif
