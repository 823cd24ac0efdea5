/* SPDX-License-Identifier: MIT */
/*
 * Guest user mode: its own L4 that shares only the lowest slot with the kernel's, as a kernel of
 * this ABI keeps its user and kernel tables apart.
 */
#include "guest.h"

uint64_t user_l4_mfn;
uint64_t *user_data;
static uint8_t *user_code;

void user_init(void)
{
	uint64_t *l4 = page_alloc();
	void *stack = page_alloc();

	user_code = page_alloc();
	user_data = page_alloc();
	map_page(USER_CODE, virt_to_mfn(user_code) * PAGE_SIZE | PTE_LEAF);
	map_page(USER_STACK - PAGE_SIZE, virt_to_mfn(stack) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	map_page(USER_DATA, virt_to_mfn(user_data) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	l4[0] = kernel_l4[0] & (PTE_ADDR | PTE_TABLE);
	user_l4_mfn = virt_to_mfn(l4);
	if (protect(l4, PTE_LEAF) || mmuext(MMUEXT_PIN_L4_TABLE, user_l4_mfn, 0))
		panic("the user page tables are refused");
	if (mmuext(MMUEXT_NEW_USER_BASEPTR, user_l4_mfn, 0))
		panic("NEW_USER_BASEPTR is refused");
}

void user_run_frame(const struct frame *f)
{
	trap_clear();
	memset(&user_exit, 0, sizeof(user_exit));
	user_enter(f);
}

void user_run(const void *code, size_t len, uint64_t arg)
{
	struct frame f = {
		.rdi = arg,
		.rip = USER_CODE,
		.cs = FLAT_USER_CS,
		.rflags = RFLAGS_IF,
		.rsp = USER_STACK,
		.ss = FLAT_USER_SS,
	};

	memcpy(user_code, code, len);
	user_run_frame(&f);
}
