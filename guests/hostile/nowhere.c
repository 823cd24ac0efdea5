/* SPDX-License-Identifier: MIT */
/* A jump to an address that cannot be, with handlers that lie in the same nowhere. */
#include "hostile.h"

const char guest_topic[] = "nowhere";

void guest_main(void)
{
	struct trap_info t[3] = {
		{ .vector = 13, .cs = FLAT_KERNEL_CS, .address = 0x123456789000 },
		{ .vector = 14, .cs = FLAT_KERNEL_CS, .address = 0x123456789000 },
		{ 0 },
	};

	HC1(set_trap_table, t);
	__asm__ volatile("mov $0x0123456789abcdef, %%rax\n\tjmp *%%rax" : : : "rax");
	survived();
}
