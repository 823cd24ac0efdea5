/* SPDX-License-Identifier: MIT */
/*
 * The shortest handlers there can be, so that what is counted is the hypervisor's part: each goes back at once by the
 * iret hypercall. A bounce frame is rcx, r11, [error code], rip, cs, rflags, rsp, ss from the stack pointer up.
 */
#define __ASSEMBLY__
#include <xen/xen.h>

	.macro go_back flags
	pushq $\flags
	push %rcx
	push %r11
	push %rax
	mov $__HYPERVISOR_iret, %eax
	syscall
	ud2
	.endm

	.text
/* int3: on behind it. */
	.globl bench_breakpoint
bench_breakpoint:
	pop %rcx
	pop %r11
	go_back 0

/* A page fault of an instruction of two bytes: on behind it. */
	.globl bench_fault
bench_fault:
	pop %rcx
	pop %r11
	add $8, %rsp
	addq $2, (%rsp)
	go_back 0

	.globl bench_event
bench_event:
	pop %rcx
	pop %r11
	push %rax
	mov vcpu_info0(%rip), %rax
	movb $0, (%rax) /* evtchn_upcall_pending */
	pop %rax
	incq event_upcalls(%rip)
	go_back 0

	.globl bench_syscall
bench_syscall:
	pop %rcx
	pop %r11
	go_back VGCF_in_syscall

	.section .note.GNU-stack, "", @progbits
