/* SPDX-License-Identifier: MIT */
/* The iret hypercall with its frame in nowhere. */
#include "hostile.h"

const char guest_topic[] = "badiret";

void guest_main(void)
{
	__asm__ volatile("mov $0x123456789000, %%rsp\n\tmov %0, %%eax\n\tsyscall"
			 :
			 : "i"(__HYPERVISOR_iret)
			 : "memory");
	survived();
}
