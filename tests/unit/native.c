/* SPDX-License-Identifier: MIT */
/*
 * native.c - see native.h
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "native.h"

/* Load the registers (not rsp, r14, r15) and flags, call the code, store them again. */
__asm__(".text\n"
	".globl run_native\n"
	".type run_native, @function\n"
	"run_native:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rdi, %r14; mov %rsi, %r15\n"
	"pushq 136(%r15); popfq\n"
	"mov 0(%r15), %rax; mov 8(%r15), %rcx; mov 16(%r15), %rdx; mov 24(%r15), %rbx\n"
	"mov 40(%r15), %rbp; mov 48(%r15), %rsi; mov 56(%r15), %rdi; mov 64(%r15), %r8\n"
	"mov 72(%r15), %r9; mov 80(%r15), %r10; mov 88(%r15), %r11; mov 96(%r15), %r12\n"
	"mov 104(%r15), %r13\n"
	"call *%r14\n"
	"pushfq; popq 136(%r15); cld\n"
	"mov %rax, 0(%r15); mov %rcx, 8(%r15); mov %rdx, 16(%r15); mov %rbx, 24(%r15)\n"
	"mov %rbp, 40(%r15); mov %rsi, 48(%r15); mov %rdi, 56(%r15); mov %r8, 64(%r15)\n"
	"mov %r9, 72(%r15); mov %r10, 80(%r15); mov %r11, 88(%r15); mov %r12, 96(%r15)\n"
	"mov %r13, 104(%r15)\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n"
	".size run_native, .-run_native\n");

uint8_t *native_code_page(void)
{
	uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

uint64_t random_operand(void)
{
	uint64_t v = (uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ (uint64_t)random();

	switch (random() % 6) { /* corners more often than they deserve */
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << (v & 63);
	case 3:
		return (1ull << (v & 63)) - 1;
	default:
		return v;
	}
}
