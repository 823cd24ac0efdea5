/* SPDX-License-Identifier: MIT */
/* The kernel takes its own code away. */
#include "hostile.h"

const char guest_topic[] = "lostcode";

void guest_main(void)
{
	for (uint64_t va = (uint64_t)_text & ~(PAGE_SIZE - 1);
	     va < (uint64_t)_text + 16 * PAGE_SIZE; va += PAGE_SIZE)
		hc_update_va_mapping(va, 0, UVMF_INVLPG);
	survived();
}
