/* SPDX-License-Identifier: MIT */
/* Finding ACPI's tables; acpi.h says when. Nothing in them is believed beyond its length and checksum. */
#include "acpi.h"
#include "metal.h"

static uint64_t root;
static unsigned entry_size;

static bool sum_is_zero(const void *p, uint32_t length)
{
	uint8_t sum = 0;

	while (length--)
		sum = (uint8_t)(sum + ((const uint8_t *)p)[length]);
	return !sum;
}

const struct acpi_table *acpi_table_at(uint64_t phys)
{
	const struct acpi_table *t = phys_ptr(phys);

	if (!phys || phys >= (UINT64_C(1) << 32) - PAGE_SIZE || t->length < sizeof(*t) || t->length > 1u << 22 ||
	    phys + t->length > UINT64_C(1) << 32)
		return NULL;
	return sum_is_zero(t, t->length) ? t : NULL;
}

uint64_t acpi_get(const struct acpi_table *t, uint32_t offset, unsigned size)
{
	uint64_t v = 0;

	if (offset <= t->length && size <= t->length - offset)
		memcpy(&v, (const char *)t + offset, size);
	return v;
}

const struct acpi_table *acpi_find(const char *signature)
{
	const struct acpi_table *r = acpi_table_at(root);

	if (!r)
		return NULL;
	for (uint32_t at = sizeof(*r); at + entry_size <= r->length; at += entry_size) {
		const struct acpi_table *t = acpi_table_at(acpi_get(r, at, entry_size));

		if (t && !memcmp(t->signature, signature, 4))
			return t;
	}
	return NULL;
}

static bool is_rsdp(uint64_t phys)
{
	const char *p = phys_ptr(phys);

	return !memcmp(p, "RSD PTR ", 8) && sum_is_zero(p, 20);
}

/* A BIOS puts the pointer into the first KiB of its extended data, or into its ROM, on 16 bytes. */
static uint64_t search_bios(void)
{
	uint16_t segment;
	uint64_t ebda;

	memcpy(&segment, phys_ptr(0x40e), sizeof(segment));
	ebda = (uint64_t)segment << 4;
	for (uint64_t at = ebda; ebda >= 0x80000 && at < ebda + 1024; at += 16)
		if (is_rsdp(at))
			return at;
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16)
		if (is_rsdp(at))
			return at;
	return 0;
}

void acpi_init(void)
{
	uint64_t at = boot_info.rsdp;
	const char *rsdp;
	uint32_t rsdt;

	if (!at || at >= (UINT64_C(1) << 32) - PAGE_SIZE || !is_rsdp(at))
		at = search_bios();
	if (!at)
		return;
	rsdp = phys_ptr(at);
	if (rsdp[15] >= 2) {
		memcpy(&root, rsdp + 24, 8);
		entry_size = 8;
	}
	if (!root) {
		memcpy(&rsdt, rsdp + 16, 4);
		root = rsdt;
		entry_size = 4;
	}
}
