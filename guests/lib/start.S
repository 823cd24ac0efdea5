/* SPDX-License-Identifier: MIT */
/*
 * First instruction, Xen ELF notes and every entry from the hypervisor of a conformance kernel.
 *
 * A bounce frame is rcx, r11, [error code], rip, cs, rflags, rsp, ss from the stack pointer up (xen-x86_64.h).
 * Each stub makes it a struct frame (guest.h): vector and error code, then all registers below.
 *
 * Built once per kernel: GUEST_HYPERCALL_PAGE, GUEST_INIT_P2M and GUEST_MOD_START_PFN choose notes.
 */
#define __ASSEMBLY__
#define VIRT_BASE 0xffffffff80000000
#include <xen/xen.h>
#include <xen/elfnote.h>

.macro note type:req, op:req, value:vararg
	.pushsection .note.Xen, "a", @note
	.balign 4
	.long 2f - 1f, 4f - 3f, \type
1:	.asciz "Xen"
2:	.balign 4
3:	\op \value
4:	.balign 4
	.popsection
.endm

	note XEN_ELFNOTE_GUEST_OS, .asciz, "xenopus-conformance"
	note XEN_ELFNOTE_GUEST_VERSION, .asciz, "1"
	note XEN_ELFNOTE_LOADER, .asciz, "generic"
	note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
	note XEN_ELFNOTE_VIRT_BASE, .quad, VIRT_BASE
	note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
	note XEN_ELFNOTE_ENTRY, .quad, _start
	note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"
#ifdef GUEST_HYPERCALL_PAGE
	note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
#endif
#ifdef GUEST_INIT_P2M
	note XEN_ELFNOTE_INIT_P2M, .quad, 0x8000000000
#endif
#ifdef GUEST_MOD_START_PFN
	note XEN_ELFNOTE_MOD_START_PFN, .quad, 1
#endif

	.section .text.start, "ax"
	.globl _start
_start:
	mov %rsp, boot_rsp(%rip)
	mov %cs, boot_selectors(%rip)
	mov %ss, boot_selectors+2(%rip)
	pushfq
	pop %rax
	mov %rax, boot_rflags(%rip)
	cld
	mov %rsi, start_info(%rip)
	lea boot_stack_end(%rip), %rsp
	xor %ebp, %ebp
	call guest_start
	ud2

	.text
#ifdef GUEST_HYPERCALL_PAGE
	.balign 4096
	.globl hypercall_page
hypercall_page:
	.skip 4096
#endif

/* One stub of 16 bytes for every vector, in order; trap.c computes their addresses. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	vector = 0
	.rept 256
	.balign 16
	pop %rcx
	pop %r11
	.if vector > 31 || !((1 << (vector & 31)) & 0x227d00) /* those with an error code */
	push $0
	.endif
	pushq $vector
	jmp common
	vector = vector + 1
	.endr

.macro callback name:req, number:req
	.globl \name
\name:
	pop %rcx
	pop %r11
	push $0
	pushq $\number
	jmp common
.endm

	callback event_callback, 0x100
	callback syscall_callback, 0x101
	callback syscall32_callback, 0x102
	callback sysenter_callback, 0x103
	callback nmi_callback, 2

/* The failsafe frame has ds, es, fs, gs between r11 and rip. */
	.globl failsafe_callback
failsafe_callback:
	pop %rcx
	pop %r11
	popq failsafe_segments(%rip)
	popq failsafe_segments+8(%rip)
	popq failsafe_segments+16(%rip)
	popq failsafe_segments+24(%rip)
	push $0
	pushq $0x104
	jmp common

common:
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	push %rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	pushfq
	popq trap_rflags(%rip)
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call trap_entry
	mov %rbp, %rdi
	/* fall through */

/* frame_return(struct frame *) - go where the frame says, by the iret hypercall. */
	.globl frame_return
frame_return:
	mov %rdi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rax
	pop %rcx
	pop %rdx
	pop %rsi
	pop %rdi
	add $16, %rsp
	pushq iret_flags(%rip)
	push %rcx
	push %r11
	push %rax
	mov $__HYPERVISOR_iret, %eax
	syscall
	ud2

/* user_enter(struct frame *) - run guest user code; returns when user_leave() is called. */
	.globl user_enter
user_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, user_resume_sp(%rip)
	jmp frame_return

	.globl user_leave
user_leave:
	mov user_resume_sp(%rip), %rsp
	movq $0, user_resume_sp(%rip)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.bss
	.balign 4096
	.globl shared_info_page
shared_info_page: /* the shared info frame is mapped over this page */
	.skip 4096
	.skip 16384
	.globl boot_stack_end
boot_stack_end:
	.skip 16384
	.globl trap_stack_end
trap_stack_end:

	.section .note.GNU-stack, "", @progbits
