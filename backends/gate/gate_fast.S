/* SPDX-License-Identifier: MIT */
/*
 * What the gate finishes without the core, on bare metal: system calls of guest user code, bounced to the guest
 * kernel's callback; page faults, bounced to its handler; and the hypercalls iret, stack_switch and
 * set_segment_base. Each does exactly what core/arch/x86 would do (bounce.c, callbacks.c, context.c), and only in
 * the plain case. On any doubt, and when the guest's stack faults, nothing has been changed yet and the trap goes
 * to the core as if this file did not exist:
 *
 *	SYSCALL, #PF -> doubts? -> registers back as they were -> gate_metal.S -> core
 *	                  |
 *	                  no -> frame written or read -> commit -> SYSRET or IRETQ -> ring 3
 *
 * Ring 0 here reads and writes the guest's stack through the guest's own tables, at addresses outside the
 * hypervisor's slots; that ring 3 cannot reach less than ring 0 there is what GATE_SLOW_LINEAR is about. SYSRET is
 * used with a return address known to be canonical only.
 *
 * rdi is the struct gate_vcpu throughout; its registers rax, rsi and rdi (rcx and r11 for iret) wait in the struct.
 */
#include "gate_offsets.h"
#include "gate_macros.h"
#include "../baremetal/metal_layout.h"

#define USER_CS64    0xe033
#define KERNEL_CS    0xe030 /* as frames show it */
#define FLAT_SS      0xe02b
#define VGCF_SYSCALL 0x100

#define NR_STACK_SWITCH     3
#define NR_IRET             23
#define NR_SET_SEGMENT_BASE 25

/* Sixteen L4 slots from 256 on are 2^43 bytes at -2^47. */
#define RESERVED_SHIFT 43
#define RESERVED_TOP   -16

	.section .text.gate, "ax"
	.code64

	/* An access to guest memory; when it faults, go on at @otherwise. */
	.macro	guest otherwise:req, instruction:vararg
88:	\instruction
	.pushsection .fixups, "a"
	.quad	88b, \otherwise
	.popsection
	.endm

	/* To @otherwise unless @address may be used. @tmp is destroyed. */
	.macro	check_guest_address address, tmp, otherwise
	movq	\address, \tmp
	sarq	$RESERVED_SHIFT, \tmp
	cmpq	$RESERVED_TOP, \tmp
	je	\otherwise
	.endm

	/* To @otherwise unless @address is canonical. @tmp is destroyed. */
	.macro	check_canonical address, tmp, otherwise
	movq	\address, \tmp
	shlq	$16, \tmp
	sarq	$16, \tmp
	cmpq	\address, \tmp
	jne	\otherwise
	.endm

	.macro	load_cr3 field, tmp, pcid
	movq	\field(%rdi), \tmp
	movq	\tmp, %gs:P_CR3
	when	GATE_ALT_PCID, orq \pcid(%rip), \tmp
	movq	\tmp, %cr3
	.endm

	/*
	 * The last step on the way to the other mode. rsp may be the guest's already: nothing below faults, and
	 * what can interrupt has a stack of its own.
	 */
	.macro	leave_to_other_mode
	movq	G_GS_OTHER(%rdi), %rax
	swapgs
	rdgsbase %rsi
	movq	%rsi, G_GS_OTHER(%rdi)
	wrgsbase %rax
	movq	G_RAX(%rdi), %rax
	movq	G_RSI(%rdi), %rsi
	movq	G_RDI(%rdi), %rdi
	.endm

	/* The frame is read: events are on, the mode is user's. rax is the guest's, rsi is free. */
	.macro	iret_commit
	when	GATE_ALT_SMAP, clac
	movq	%rax, G_RAX(%rdi)
	movq	G_INFO(%rdi), %rax
	movb	$0, I_MASK(%rax)
	andb	$~GATE_A_KERNEL_MODE, G_FLAGS(%rdi)
	incq	G_FINISHED + 8 * DID_IRET(%rdi)
	load_cr3 G_CR3_USER, %rax, pcid_user
	leave_to_other_mode
	.endm

/* ---- SYSCALL ---- */

	.globl	gate_syscall
	.balign	64
gate_syscall:
	swapgs
	movq	%rsp, %gs:P_SCRATCH
	movq	%gs:P_GATE, %rsp
	testb	$GATE_A_KERNEL_MODE, G_FLAGS(%rsp)
	jnz	hypercall
	movq	%rdi, G_RDI(%rsp)
	movq	%rsi, G_RSI(%rsp)
	movq	%rax, G_RAX(%rsp)
	movq	%rsp, %rdi
	movq	%gs:P_STACK, %rsp
	movzwl	G_FLAGS(%rdi), %eax
	andl	$(0xff00 | GATE_A_SYSCALL_MASKS), %eax
	cmpl	$GATE_A_SYSCALL_MASKS, %eax
	jne	syscall_slow
	movq	G_INFO(%rdi), %rsi
	cmpb	$0, I_MASK(%rsi)
	jne	syscall_slow
	cmpq	$0, G_SYSCALL(%rdi)
	je	syscall_slow
	movq	G_KERNEL_SP(%rdi), %rax
	andq	$~15, %rax
	subq	$56, %rax
	check_guest_address %rax, %rsi, syscall_slow
	load_cr3 G_CR3_KERNEL, %rsi, pcid_kernel
	when	GATE_ALT_SMAP, stac
	guest	syscall_slow, movq %rcx, 0(%rax)
	guest	syscall_slow, movq %r11, 8(%rax)
	guest	syscall_slow, movq %rcx, 16(%rax)
	guest	syscall_slow, movq $USER_CS64, 24(%rax)
	guest	syscall_slow, movq %r11, 32(%rax)
	movq	%gs:P_SCRATCH, %rsi
	guest	syscall_slow, movq %rsi, 40(%rax)
	guest	syscall_slow, movq $FLAT_SS, 48(%rax)

	when	GATE_ALT_SMAP, clac
	movq	G_INFO(%rdi), %rsi
	movb	$1, I_MASK(%rsi)
	orb	$GATE_A_KERNEL_MODE, G_FLAGS(%rdi)
	incq	G_FINISHED + 8 * DID_SYSCALL(%rdi)
	movq	G_SYSCALL(%rdi), %rcx
	andl	$GATE_RFLAGS_SYSCALL, %r11d
	orl	$GATE_RFLAGS_ALWAYS, %r11d
	movq	%rax, %rsp
	leave_to_other_mode
	sysretq

/* rdi, rsi and rax back; then the way of every SYSCALL. */
syscall_slow:
	movq	%rdi, %rsp
	movq	G_RAX(%rsp), %rax
	movq	G_RSI(%rsp), %rsi
	movq	G_RDI(%rsp), %rdi
	jmp	gate_syscall_slow

/* ---- hypercalls: rsp is the struct gate_vcpu, all other registers are the guest's ---- */

hypercall:
	cmpb	$0, G_SLOW(%rsp)
	jne	gate_hypercall
	cmpq	$NR_IRET, %rax
	je	iret_hypercall
	cmpq	$NR_STACK_SWITCH, %rax
	je	stack_switch
	cmpq	$NR_SET_SEGMENT_BASE, %rax
	jne	gate_hypercall

	/* set_segment_base(which, base): FS and the GS of user mode, when the base is good. */
	testl	$RFLAGS_TF, %r11d
	jnz	segment_base_slow
	check_canonical %rcx, %rax, segment_base_slow
	check_canonical %rsi, %rax, segment_base_slow
	cmpq	$1, %rdi
	ja	segment_base_slow
	je	1f
	wrfsbase %rsi
	jmp	2f
1:	movq	%rsi, G_GS_OTHER(%rsp)
2:	incq	G_FINISHED + 8 * DID_SEGMENT_BASE(%rsp)
	jmp	hypercall_done
segment_base_slow:
	movl	$NR_SET_SEGMENT_BASE, %eax
	jmp	gate_hypercall

stack_switch:
	testl	$RFLAGS_TF, %r11d
	jnz	stack_switch_slow
	check_canonical %rcx, %rax, stack_switch_slow
	movzwl	%di, %eax
	testb	$3, %al
	jnz	1f
	orl	$3, %eax
1:	movq	%rax, G_KERNEL_SS(%rsp)
	movq	%rsi, G_KERNEL_SP(%rsp)
	incq	G_FINISHED + 8 * DID_STACK_SWITCH(%rsp)

/* Result 0. */
hypercall_done:
	xorl	%eax, %eax
	movq	%gs:P_SCRATCH, %rsp
	swapgs
	sysretq
stack_switch_slow:
	movl	$NR_STACK_SWITCH, %eax
	jmp	gate_hypercall

/* ---- iret: struct iret_context is on the guest's stack; what is used is read once ---- */

	.balign	16
iret_hypercall:
	movq	%rdi, G_RDI(%rsp)
	movq	%rsi, G_RSI(%rsp)
	movq	%rcx, G_RCX(%rsp)
	movq	%r11, G_R11(%rsp)
	movq	%rsp, %rdi
	movq	%gs:P_STACK, %rsp
	movq	%gs:P_SCRATCH, %rax
	check_guest_address %rax, %rcx, iret_slow
	movq	G_INFO(%rdi), %rcx
	cmpb	$0, I_PENDING(%rcx)
	jne	iret_slow
	when	GATE_ALT_SMAP, stac
	guest	iret_slow, movzwl R_CS(%rax), %ecx
	guest	iret_slow, movzwl R_SS(%rax), %esi
	movl	%ecx, %r11d
	andl	%esi, %r11d
	notl	%r11d
	testb	$3, %r11b
	jnz	iret_to_kernel

	/* To user mode. The frame for IRETQ grows on our stack; whether its selectors are good IRETQ will tell. */
	pushq	%rsi
	guest	iret_slow, movq R_RSP(%rax), %rsi
	pushq	%rsi
	guest	iret_slow, movq R_RFLAGS(%rax), %r11
	movl	%r11d, %esi
	andl	$(RFLAGS_TF | RFLAGS_IF), %esi
	cmpl	$RFLAGS_IF, %esi
	jne	iret_slow
	andl	$GATE_RFLAGS_GUEST, %r11d
	orl	$GATE_RFLAGS_ALWAYS, %r11d
	pushq	%r11
	pushq	%rcx
	guest	iret_slow, movq R_RIP(%rax), %rcx
	movq	%rcx, %rsi
	shrq	$47, %rsi
	jnz	iret_slow
	pushq	%rcx
	cmpq	$0, G_CR3_USER(%rdi)
	je	iret_slow
	guest	iret_slow, testl $VGCF_SYSCALL, R_FLAGS(%rax)
	jnz	iret_from_syscall
	guest	iret_slow, movq R_R11(%rax), %r11
	guest	iret_slow, movq R_RCX(%rax), %rcx
	guest	iret_slow, movq R_RAX(%rax), %rax
	iret_commit
	.globl	gate_fast_iret
gate_fast_iret:
	iretq

/* What SYSRET leaves in rcx, r11, CS and SS is what the guest asks for. */
iret_from_syscall:
	cmpw	$USER_CS64, 8(%rsp)
	jne	iret_slow
	cmpw	$FLAT_SS, 32(%rsp)
	jne	iret_slow
	guest	iret_slow, movq R_RAX(%rax), %rax
	movq	24(%rsp), %rsp
	iret_commit
	sysretq

iret_to_kernel:
	cmpl	$KERNEL_CS, %ecx
	jne	iret_slow
	cmpl	$FLAT_SS, %esi
	jne	iret_slow
	pushq	%rsi
	guest	iret_slow, movq R_RSP(%rax), %rsi
	pushq	%rsi
	guest	iret_slow, movq R_RFLAGS(%rax), %r11
	movl	%r11d, %esi
	andl	$(RFLAGS_TF | RFLAGS_IF), %esi
	cmpl	$RFLAGS_IF, %esi
	jne	iret_slow
	andl	$GATE_RFLAGS_GUEST, %r11d
	orl	$GATE_RFLAGS_ALWAYS, %r11d
	pushq	%r11
	pushq	$USER_CS64
	guest	iret_slow, movq R_RIP(%rax), %rcx
	check_canonical %rcx, %rsi, iret_slow
	pushq	%rcx
	guest	iret_slow, testl $VGCF_SYSCALL, R_FLAGS(%rax)
	jnz	iret_slow
	guest	iret_slow, movq R_R11(%rax), %r11
	guest	iret_slow, movq R_RCX(%rax), %rcx
	guest	iret_slow, movq R_RAX(%rax), %rax
	when	GATE_ALT_SMAP, clac
	movq	G_INFO(%rdi), %rsi
	movb	$0, I_MASK(%rsi)
	incq	G_FINISHED + 8 * DID_IRET(%rdi)
	movq	G_RSI(%rdi), %rsi
	movq	G_RDI(%rdi), %rdi
	swapgs
	iretq

iret_slow:
	movq	%rdi, %rsp
	movq	G_R11(%rsp), %r11
	movq	G_RCX(%rsp), %rcx
	movq	G_RSI(%rsp), %rsi
	movq	G_RDI(%rsp), %rdi
	movl	$NR_IRET, %eax
	jmp	gate_hypercall

/* ---- page faults. Stack: error code, RIP, CS, RFLAGS, RSP, SS ---- */

	.globl	gate_page_fault
	.balign	64
gate_page_fault:
	testb	$3, 16(%rsp)
	jz	page_fault_ring0
	swapgs
	lfence
	pushq	%rdi
	movq	%gs:P_GATE, %rdi
	movq	%rsi, G_RSI(%rdi)
	movq	%rax, G_RAX(%rdi)
	popq	%rax
	movq	%rax, G_RDI(%rdi)
	cmpb	$0, G_SLOW(%rdi)
	jne	page_fault_slow
	movq	%cr2, %rsi
	movq	%rsi, G_CR2(%rdi)
	check_guest_address %rsi, %rax, page_fault_slow
	cmpq	$0, G_PF_HANDLER(%rdi)
	je	page_fault_slow
	testb	$GATE_A_KERNEL_MODE, G_FLAGS(%rdi)
	jnz	page_fault_in_kernel
	movq	G_INFO(%rdi), %rsi
	cmpb	$0, I_MASK(%rsi)
	jne	page_fault_slow
	movq	G_KERNEL_SP(%rdi), %rax
	andq	$~15, %rax
	subq	$64, %rax
	check_guest_address %rax, %rsi, page_fault_slow
	load_cr3 G_CR3_KERNEL, %rsi, pcid_kernel
	when	GATE_ALT_SMAP, stac
	movzwl	16(%rsp), %esi
	guest	page_fault_undo, movq %rsi, 32(%rax)
	movl	0(%rsp), %esi
	guest	page_fault_undo, movq %rsi, 16(%rax)
	movq	24(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 40(%rax)
	guest	page_fault_undo, movq %rcx, 0(%rax)
	guest	page_fault_undo, movq %r11, 8(%rax)
	movq	8(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 24(%rax)
	movq	32(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 48(%rax)
	movzwl	40(%rsp), %esi
	guest	page_fault_undo, movq %rsi, 56(%rax)

	when	GATE_ALT_SMAP, clac
	movl	24(%rsp), %r11d
	andl	$GATE_RFLAGS_HANDLER, %r11d
	orl	$GATE_RFLAGS_ALWAYS, %r11d
	movq	G_INFO(%rdi), %rsi
	movb	$1, I_MASK(%rsi)
	movq	G_CR2(%rdi), %rcx
	movq	%rcx, I_CR2(%rsi)
	orb	$GATE_A_KERNEL_MODE, G_FLAGS(%rdi)
	incq	G_FINISHED + 8 * DID_PAGE_FAULT(%rdi)
	movq	G_PF_HANDLER(%rdi), %rcx
	movq	%rax, %rsp
	leave_to_other_mode
	sysretq

/* A store into a write-protected page may be one into a page table, which is the core's to do. */
page_fault_in_kernel:
	movl	0(%rsp), %eax
	notl	%eax
	testl	$3, %eax
	jz	page_fault_slow
	movq	G_INFO(%rdi), %rsi
	cmpb	$0, I_MASK(%rsi)
	jne	page_fault_slow
	movq	32(%rsp), %rax
	andq	$~15, %rax
	subq	$64, %rax
	check_guest_address %rax, %rsi, page_fault_slow
	when	GATE_ALT_SMAP, stac
	guest	page_fault_undo, movq %rcx, 0(%rax)
	guest	page_fault_undo, movq %r11, 8(%rax)
	movl	0(%rsp), %esi
	andl	$~4, %esi
	guest	page_fault_undo, movq %rsi, 16(%rax)
	movq	8(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 24(%rax)
	movq	32(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 48(%rax)
	movzwl	40(%rsp), %esi
	guest	page_fault_undo, movq %rsi, 56(%rax)
	movzwl	16(%rsp), %esi
	andl	$~3, %esi
	guest	page_fault_undo, movq %rsi, 32(%rax)
	movq	24(%rsp), %rsi
	guest	page_fault_undo, movq %rsi, 40(%rax)

	when	GATE_ALT_SMAP, clac
	movl	%esi, %r11d
	andl	$GATE_RFLAGS_HANDLER, %r11d
	orl	$GATE_RFLAGS_ALWAYS, %r11d
	movq	G_INFO(%rdi), %rsi
	movb	$1, I_MASK(%rsi)
	movq	G_CR2(%rdi), %rcx
	movq	%rcx, I_CR2(%rsi)
	incq	G_FINISHED + 8 * DID_PAGE_FAULT(%rdi)
	movq	G_PF_HANDLER(%rdi), %rcx
	movq	%rax, %rsp
	movq	G_RAX(%rdi), %rax
	movq	G_RSI(%rdi), %rsi
	movq	G_RDI(%rdi), %rdi
	swapgs
	sysretq

/* The guest's stack faulted: CR2 tells of that one now, and the core shall hear of the first. */
page_fault_undo:
	movq	G_CR2(%rdi), %rax
	movq	%rax, %cr2
page_fault_slow:
	movq	G_RAX(%rdi), %rax
	movq	G_RSI(%rdi), %rsi
	movq	G_RDI(%rdi), %rdi
	pushq	$14
	jmp	gate_trap_ring3

page_fault_ring0:
	pushq	$14
	jmp	gate_trap_ring0

	.section .note.GNU-stack, "", @progbits
