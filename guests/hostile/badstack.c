/* SPDX-License-Identifier: MIT */
/* A trap while the stack pointer points to nothing: no place for the bounce frame. */
#include "hostile.h"

const char guest_topic[] = "badstack";

void guest_main(void)
{
	__asm__ volatile("mov $0x123456789000, %%rsp\n\tud2" : : : "memory");
	survived();
}
