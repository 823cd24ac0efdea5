/* SPDX-License-Identifier: MIT */
/*
 * The gate as the hosted home uses it: code that is copied into two pages of machine memory, so it must be
 * position independent and touch no data but its stack. Every stub leaves the virtual machine by an OUT;
 * what it means is decided on the other side. On hosts that interpret ring 0 each instruction here costs as
 * much as a thousand native ones, hence the terseness.
 */
#include "gate_layout.h"

	.macro	leave port
	outb	%al, $\port
	hlt
	nop
	.endm

	/* n pairs (address, value) on the stack are stored, enter at (GATE_STORES - n) * GATE_STORE_SIZE. */
	.macro	stores
	.rept	GATE_STORES
	popq	%rdi
	popq	(%rdi)
	.endr
	.endm

	.section .rodata.gate, "a"
	.balign 4096
	.globl	gate_entry_page
gate_entry_page:
	.org	gate_entry_page + GATE_LSTAR_OFF
	leave	GATE_PORT_LSTAR
	.org	gate_entry_page + GATE_CSTAR_OFF
	leave	GATE_PORT_CSTAR
	.org	gate_entry_page + GATE_SYSENTER_OFF
	leave	GATE_PORT_SYSENTER
	.org	gate_entry_page + 4096

	.globl	gate_stub_page
gate_stub_page:
	.set	vector, 0
	.rept	256
	leave	vector
	.set	vector, vector + 1
	.endr

	/* Stack: pairs, guest rdi, then the IRET frame. */
	.org	gate_stub_page + GATE_RESUME_OFF
	stores
	popq	%rdi
	iretq

	/* Stack: pairs, guest rax, guest rdi, IRET frame. rax: the CR3 to load. */
	.org	gate_stub_page + GATE_FLUSH_OFF
	stores
	movq	%rax, %cr3
	popq	%rax
	popq	%rdi
	iretq

	.org	gate_stub_page + GATE_STORE_OFF
	stores
	leave	GATE_PORT_DONE

	/* rsi = rdi = a page in the direct map, rcx = quadwords. */
	.org	gate_stub_page + GATE_SELFCOPY_OFF
	rep movsq
	leave	GATE_PORT_DONE
	.org	gate_stub_page + 4096

	.section .note.GNU-stack, "", @progbits
