/* SPDX-License-Identifier: MIT */
/* Loads and stores that may fault, on any number of virtual CPUs at once. */
#include "guest.h"
#include "touch.h"

extern char touch_page_fault[];

__asm__(".pushsection .text\n"
	".globl touch_load, touch_store\n"
	"touch_load:\n"
	"touch_load_at: mov (%rdi), %rax\n"
	"	mov %rax, (%rsi)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"touch_store:\n"
	"touch_store_at: mov %rsi, (%rdi)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"touch_faulted:\n"
	"	mov $1, %eax\n"
	"	ret\n"
	/* rcx, r11, error code, rip, ... as it was, but that it goes on at touch_faulted */
	"touch_page_fault:\n"
	"	pop %rcx\n"
	"	pop %r11\n"
	"	add $8, %rsp\n"
	"	cmpq $touch_load_at, (%rsp)\n"
	"	je 1f\n"
	"	cmpq $touch_store_at, (%rsp)\n"
	"	je 1f\n"
	"	ud2\n"
	"1:	movq $touch_faulted, (%rsp)\n"
	"	push $0\n"
	"	push %rcx\n"
	"	push %r11\n"
	"	push %rax\n"
	"	mov $23, %eax\n" /* iret */
	"	syscall\n"
	"	ud2\n"
	".popsection");

void touch_init(void)
{
	struct trap_info t[2] = {
		{ .vector = 14, .flags = 3, .cs = FLAT_KERNEL_CS, .address = (uint64_t)touch_page_fault },
		{ 0 },
	};

	HC1(set_trap_table, t);
}
