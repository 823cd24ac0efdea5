/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses. The table is room in the image that add_symbols.py fills after the link: entries sorted by
 * address, then the names. An image that did not go through it has none, and panics show bare addresses.
 */
#include "metal.h"

struct symbol {
	uint32_t address; /* minus IMAGE_VIRT */
	uint32_t name;    /* offset in the table */
};

struct symbol_table {
	uint32_t nr;
	uint32_t size; /* of the whole room */
	struct symbol symbol[6143];
};

extern const struct symbol_table symbol_table;
const struct symbol_table symbol_table = { .size = sizeof(symbol_table) };

const char *symbol_at(uint64_t address, uint64_t *offset)
{
	const struct symbol_table *t = &symbol_table;
	uint32_t low = 0, high, at = (uint32_t)(address - IMAGE_VIRT);

	/* The compiler believes to know what is in it. */
	__asm__("" : "+r"(t));
	high = t->nr;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (t->symbol[mid].address <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	*offset = at - t->symbol[low - 1].address;
	return (const char *)t + t->symbol[low - 1].name;
}
