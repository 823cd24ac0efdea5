/* SPDX-License-Identifier: MIT */
/*
 * Instructions of the gate that not every processor knows, or that the command line switched off, become no-ops
 * once, at start-up, while the text can still be written. So what is not wanted costs one instruction and no
 * branch that a processor could mispredict.
 */
#include "metal.h"

struct alternative {
	uint64_t at;
	uint32_t len, feature;
};

unsigned gate_features;

/* The manual's recommended no-ops of 1 to 9 bytes. */
static const uint8_t nops[10][9] = {
	[1] = { 0x90 },
	[2] = { 0x66, 0x90 },
	[3] = { 0x0f, 0x1f, 0x00 },
	[4] = { 0x0f, 0x1f, 0x40, 0x00 },
	[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
	[6] = { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
	[7] = { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
	[8] = { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
	[9] = { 0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
};

void alternatives_apply(void)
{
	const struct alternative *a = (const void *)alternatives_start, *end = (const void *)alternatives_end;

	for (; a < end; a++) {
		uint8_t *to = (uint8_t *)(uintptr_t)a->at;
		uint32_t left = a->len;

		if (gate_features >> a->feature & 1)
			continue;
		while (left) {
			uint32_t n = min_t(uint32_t, left, 9);

			memcpy(to, nops[n], n);
			to += n;
			left -= n;
		}
	}
}
