/* SPDX-License-Identifier: MIT */
/*
 * gnttab.h - the inside of the grant tables
 *
 * A grant table is an array of entries in pages of the core's that its domain may map and write.
 * Version 1 entries are 8 bytes; version 2 entries are 16, and what the hypervisor reports about
 * them is in separate status pages. Pages once given stay given until the domain ends: the guest
 * may have them mapped.
 */
#ifndef XENOPUS_GNTTAB_H
#define XENOPUS_GNTTAB_H

#include <xenopus/domain.h>
#include <xenopus/grant.h>
#include <xenopus/hypercall.h>
#include <xen/grant_table.h>

#define GNTTAB_MAX_FRAMES      64u
#define GNTTAB_STATUS_PER_PAGE (unsigned)(PAGE_SIZE / sizeof(grant_status_t))
#define GNTTAB_MAX_STATUS_FRAMES                                                    \
	(GNTTAB_MAX_FRAMES * (unsigned)(PAGE_SIZE / sizeof(union grant_entry_v2)) / \
	 GNTTAB_STATUS_PER_PAGE)

struct domain_grant {
	unsigned version; /* 1 or 2 */
	unsigned nr_frames, nr_status;
	void *frames[GNTTAB_MAX_FRAMES];
	void *status[GNTTAB_MAX_STATUS_FRAMES];
};

/** gnttab_get() - d's grant table, made at the first use with one page. NULL when out of memory. */
struct domain_grant *gnttab_get(struct domain *d);
/**
 * gnttab_grow() - at least @frames pages of entries, and status pages for them in version 2. 0 or
 * -errno.
 */
int gnttab_grow(struct domain *d, unsigned frames);
/**
 * gnttab_set_version() - change the layout; the reserved entries survive. 0 or -errno, nothing
 * changed.
 */
int gnttab_set_version(struct domain *d, unsigned version);
/** gnttab_nr_entries() - how many grant references the table has room for. */
unsigned gnttab_nr_entries(const struct domain_grant *gt);
/** gnttab_v1() / gnttab_v2() / gnttab_status() - where entry @ref is; @ref must be in range. */
struct grant_entry_v1 *gnttab_v1(const struct domain_grant *gt, grant_ref_t ref);
union grant_entry_v2 *gnttab_v2(const struct domain_grant *gt, grant_ref_t ref);
grant_status_t *gnttab_status(const struct domain_grant *gt, grant_ref_t ref);

#endif
