/* SPDX-License-Identifier: MIT */
/* A page-fault handler that faults itself, until the stack is used up. */
#include "hostile.h"

const char guest_topic[] = "loop";

void guest_main(void)
{
	uint64_t stack = va_reserve(3); /* one page of stack between two holes */
	struct trap_info t[2] = {
		{ .vector = 14, .cs = FLAT_KERNEL_CS, .address = 0x123456789000 },
	};

	map_page(stack + PAGE_SIZE, virt_to_mfn(page_alloc()) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	HC1(set_trap_table, t);
	__asm__ volatile("mov %0, %%rsp\n\tmov 0, %%rax"
			 :
			 : "r"(stack + 2 * PAGE_SIZE)
			 : "rax", "memory");
	survived();
}
