/* SPDX-License-Identifier: MIT */
/* A trap while the stack pointer points into the hypervisor's part of the address space. */
#include "hostile.h"

const char guest_topic[] = "xenstack";

void guest_main(void)
{
	__asm__ volatile("mov $0xffff810000002000, %%rsp\n\tud2" : : : "memory");
	survived();
}
