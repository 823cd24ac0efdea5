/* SPDX-License-Identifier: MIT */
/*
 * ACPI's static tables, as firmware left them in memory. They are read before paging_init(), while the first 4 GiB
 * are shown whole: firmware may have put them where the real page tables show nothing. What is wanted from a table is
 * copied out then.
 */
#ifndef XENOPUS_METAL_ACPI_H
#define XENOPUS_METAL_ACPI_H

#include <xenopus/types.h>

/** struct acpi_table - the header of every table; @length includes it. */
struct acpi_table {
	char signature[4];
	uint32_t length;
	char rest[28];
};

/** acpi_init() - find the root: where the loader said, or else where a BIOS puts it. */
void acpi_init(void);

/** acpi_find() - the first table of @signature with a good checksum, or NULL. Before paging_init() only. */
const struct acpi_table *acpi_find(const char *signature);

/** acpi_table_at() - the table at a physical address below 4 GiB, or NULL. Before paging_init() only. */
const struct acpi_table *acpi_table_at(uint64_t phys);

/** acpi_get() - a number of 1, 2, 4 or 8 bytes at @offset of @t; 0 where the table is too short for it. */
uint64_t acpi_get(const struct acpi_table *t, uint32_t offset, unsigned size);

#endif
