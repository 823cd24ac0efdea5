/* SPDX-License-Identifier: MIT */
/*
 * The gate on bare metal: ring 0 under every guest. gate_enter() goes to ring 3 as struct gate_vcpu says. When the
 * guest has trapped, its registers are put back into the struct and C code is called on the stack of gate_enter()'s
 * caller, to which that returns when C says so:
 *
 *	gate_enter() -> IRETQ -> ring 3 -> registers into the struct -> metal_event() ---+-> return from gate_enter()
 *	                            ^                                                    |
 *	                            +------- registers out of the struct <---------------+
 *
 * A hypercall has a door of its own, metal_hypercall(), and goes back by SYSRET if that does what IRETQ would.
 *
 * What can be finished without the core does not come here, or only after doubts: gate_fast.S.
 *
 * Everything here runs with interrupts off. The base of GS is the CPU's struct percpu in ring 0 and the guest's in
 * ring 3; the swap happens on the way from or to ring 3 and nowhere else, judged by the privilege level in the
 * frame, so what the guest has put into its base does not matter. NMI, #DB, #DF and #MC come on stacks of their
 * own and touch GS only when they come from ring 3: they may hit between a door and its SWAPGS.
 *
 * With split tables (GATE_ALT_SPLIT) the guest's tables show this code, its stacks and what it reads, and no more; CR3 is
 * the guest's from gate_again to gate_leave or gate_hypercall, and the hypervisor's while C code runs.
 */
#include "gate_offsets.h"
#include "gate_macros.h"
#include "../baremetal/metal_layout.h"

	.macro	save_gprs base
	movq	%r15, G_R15(\base)
	movq	%r14, G_R14(\base)
	movq	%r13, G_R13(\base)
	movq	%r12, G_R12(\base)
	movq	%rbp, G_RBP(\base)
	movq	%rbx, G_RBX(\base)
	movq	%r11, G_R11(\base)
	movq	%r10, G_R10(\base)
	movq	%r9, G_R9(\base)
	movq	%r8, G_R8(\base)
	movq	%rax, G_RAX(\base)
	movq	%rcx, G_RCX(\base)
	movq	%rdx, G_RDX(\base)
	movq	%rsi, G_RSI(\base)
	.endm

	/* What the processor does not save. rsp: struct gate_vcpu, in which the other registers are already. */
	.macro	save_syscall
	movq	%rdi, G_RDI(%rsp)
	movq	%rcx, G_RIP(%rsp)
	movq	%r11, G_RFLAGS(%rsp)
	movw	$0xe033, G_CS(%rsp)
	movw	$0xe02b, G_SS(%rsp)
	movq	%gs:P_SCRATCH, %rcx
	movq	%rcx, G_RSP(%rsp)
	.endm

	.macro	restore_gprs base
	movq	G_R15(\base), %r15
	movq	G_R14(\base), %r14
	movq	G_R13(\base), %r13
	movq	G_R12(\base), %r12
	movq	G_RBP(\base), %rbp
	movq	G_RBX(\base), %rbx
	movq	G_R11(\base), %r11
	movq	G_R10(\base), %r10
	movq	G_R9(\base), %r9
	movq	G_R8(\base), %r8
	movq	G_RAX(\base), %rax
	movq	G_RCX(\base), %rcx
	movq	G_RDX(\base), %rdx
	movq	G_RSI(\base), %rsi
	.endm

	/* What C code would keep for its caller: nothing of the guest's is to be in these. */
	.macro	clear_kept
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	.endm

	/* To C code: its tables, its stack, its predictions. */
	.macro	to_c tmp, number
	load_hypervisor_cr3 \tmp
	movq	%gs:P_HOST_RSP, %rsp
	when	GATE_ALT_RSB, jmp fill_rsb_\number
rsb_filled_\number:
	when	GATE_ALT_SPEC_CTRL, call spec_ctrl_hypervisor
	clear_kept
	.endm

	.section .text.gate, "ax"
	.code64

/* void gate_enter(struct gate_vcpu *g) */
	.globl	gate_enter
gate_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp /* calls from here on find it aligned */
	movq	%rsp, %gs:P_HOST_RSP
	movq	%rdi, %gs:P_GATE
gate_again:
	when	GATE_ALT_SPEC_CTRL, call spec_ctrl_guest
	when	GATE_ALT_VERW, verw verw_selector(%rip)
	when	GATE_ALT_SPLIT, movq %gs:P_ENTER, %rax
	movq	%gs:P_STACK, %rsp
	when	GATE_ALT_SPLIT, movq %rax, %cr3
	movzwl	G_SS(%rdi), %eax
	pushq	%rax
	pushq	G_RSP(%rdi)
	movl	G_RFLAGS(%rdi), %eax
	andl	$GATE_RFLAGS_GUEST, %eax
	orl	$GATE_RFLAGS_ALWAYS, %eax
	pushq	%rax
	movzwl	G_CS(%rdi), %eax
	pushq	%rax
	pushq	G_RIP(%rdi)
	restore_gprs %rdi
	movq	G_RDI(%rdi), %rdi
	swapgs
gate_iret:
	iretq

/* A hypercall that gate_fast.S leaves to the core. rsp: struct gate_vcpu; all other registers are the guest's. */
	.globl	gate_hypercall
	.balign	16
gate_hypercall:
	save_gprs %rsp
	save_syscall
	to_c	%rcx, 1
	call	metal_hypercall
	movq	%gs:P_GATE, %rdi
	cmpl	$GATE_SYSRET, %eax
	jne	gate_other_way

	/* rcx and r11 are what SYSRET wants; nothing faults from here on. */
	when	GATE_ALT_SPEC_CTRL, call spec_ctrl_guest
	when	GATE_ALT_VERW, verw verw_selector(%rip)
	when	GATE_ALT_SPLIT, movq %gs:P_ENTER, %rax
	when	GATE_ALT_SPLIT, movq %rax, %cr3
	restore_gprs %rdi
	movq	G_RSP(%rdi), %rsp
	movq	G_RDI(%rdi), %rdi
	swapgs
	sysretq

/* eax: what happened. The flags become ours again: no AC, DF, TF or NT of the guest's. */
gate_leave:
	to_c	%rcx, 2
	pushq	$2
	popfq
	movl	%eax, %edi
	call	metal_event
	movq	%gs:P_GATE, %rdi
gate_other_way:
	testl	%eax, %eax
	jnz	gate_again
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* eax is kept; the others are not needed any more. */
spec_ctrl_hypervisor:
	movl	%eax, %r8d
	movl	$0x48, %ecx
	movl	gate_spec_hypervisor(%rip), %eax
	xorl	%edx, %edx
	wrmsr
	movl	%r8d, %eax
	ret

/* Before the guest's registers are loaded; rdi is kept. */
spec_ctrl_guest:
	movl	$0x48, %ecx
	movl	gate_spec_guest(%rip), %eax
	xorl	%edx, %edx
	wrmsr
	ret

/* 32 calls that never return, so that no prediction of a return is the guest's. */
	.macro	fill_rsb number
fill_rsb_\number:
	movl	$16, %ecx
1:	call	3f
2:	pause
	lfence
	jmp	2b
3:	call	5f
4:	pause
	lfence
	jmp	4b
5:	decl	%ecx
	jnz	1b
	addq	$32 * 8, %rsp
	jmp	rsb_filled_\number
	.endm
	fill_rsb 1
	fill_rsb 2

/* SYSCALL of user code that gate_fast.S leaves to the core. rsp: struct gate_vcpu; all other registers are the guest's. */
	.globl	gate_syscall_slow, gate_syscall32, gate_sysenter
	.balign	16
gate_syscall_slow:
	save_gprs %rsp
	movl	$GATE_EV_SYSCALL, %eax
gate_syscall_common:
	save_syscall
	jmp	gate_leave

	.balign	16
gate_syscall32:
	swapgs
	movq	%rsp, %gs:P_SCRATCH
	movq	%gs:P_GATE, %rsp
	save_gprs %rsp
	movl	$GATE_EV_SYSCALL32, %eax
	jmp	gate_syscall_common

	.balign	16
gate_sysenter:
	swapgs
	movq	%gs:P_GATE, %rsp
	save_gprs %rsp
	movq	%rdi, G_RDI(%rsp)
	movq	%rsp, %rdi
	movq	%gs:P_STACK, %rsp
	pushfq
	popq	%rax
	orl	$0x200, %eax
	movq	%rax, G_RFLAGS(%rdi)
	xorl	%eax, %eax
	movq	%rax, G_RIP(%rdi)
	movq	%rax, G_RSP(%rdi)
	movw	$0xe033, G_CS(%rdi)
	movw	$0xe02b, G_SS(%rdi)
	movl	$GATE_EV_SYSENTER, %eax
	jmp	gate_leave

/* Stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
	.globl	gate_trap_ring3, gate_trap_ring0
	.balign	16
gate_trap:
	testb	$3, 24(%rsp)
	jz	gate_trap_ring0
	swapgs
	lfence
gate_trap_ring3:
	pushq	%rdi
	movq	%gs:P_GATE, %rdi
	save_gprs %rdi
	popq	G_RDI(%rdi)
	popq	%rax
	popq	%gs:P_ERROR
	popq	G_RIP(%rdi)
	popq	%rcx
	movw	%cx, G_CS(%rdi)
	popq	G_RFLAGS(%rdi)
	popq	G_RSP(%rdi)
	popq	%rcx
	movw	%cx, G_SS(%rdi)
	jmp	gate_leave

/* Ours: a fault that was expected (fixups), an interrupt while idle, or the end. */
gate_trap_ring0:
	cld
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	when	GATE_ALT_SPLIT, movq %cr3, %rbx
	load_hypervisor_cr3 %rax
	leaq	gate_iret(%rip), %rax
	cmpq	%rax, 17 * 8(%rsp)
	je	gate_bad_iret
	leaq	gate_fast_iret(%rip), %rax
	cmpq	%rax, 17 * 8(%rsp)
	je	gate_bad_fast_iret
	movq	%rsp, %rdi
	call	metal_trap
	when	GATE_ALT_SPLIT, movq %rbx, %cr3
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	addq	$16, %rsp
	iretq

/* IRETQ to the guest faulted, its GS base already in place. The struct still holds its registers. */
gate_bad_iret:
	movl	15 * 8(%rsp), %eax
	cmpl	$2, %eax
	je	1f
	cmpl	$8, %eax
	je	1f
	cmpl	$18, %eax
	je	1f
	swapgs
	lfence
	movq	16 * 8(%rsp), %rcx
	movq	%rcx, %gs:P_ERROR
	orl	$GATE_EV_BAD_IRET, %eax
	jmp	gate_leave
1:	movq	%rsp, %rdi
	call	metal_trap
	ud2

/*
 * The same with the IRETQ of the iret hypercall: its frame lies where the stack pointer was, the registers are those
 * of the guest, and the struct has none of them yet.
 */
gate_bad_fast_iret:
	movl	15 * 8(%rsp), %eax
	cmpl	$2, %eax
	je	1b
	cmpl	$8, %eax
	je	1b
	cmpl	$18, %eax
	je	1b
	swapgs
	lfence
	movq	%gs:P_GATE, %rdi
	popq	G_R15(%rdi)
	popq	G_R14(%rdi)
	popq	G_R13(%rdi)
	popq	G_R12(%rdi)
	popq	G_RBP(%rdi)
	popq	G_RBX(%rdi)
	popq	G_R11(%rdi)
	popq	G_R10(%rdi)
	popq	G_R9(%rdi)
	popq	G_R8(%rdi)
	popq	G_RAX(%rdi)
	popq	G_RCX(%rdi)
	popq	G_RDX(%rdi)
	popq	G_RSI(%rdi)
	popq	G_RDI(%rdi)
	popq	%rax
	popq	%gs:P_ERROR
	movq	24(%rsp), %rsp
	popq	G_RIP(%rdi)
	popq	%rcx
	movw	%cx, G_CS(%rdi)
	popq	G_RFLAGS(%rdi)
	popq	G_RSP(%rdi)
	popq	%rcx
	movw	%cx, G_SS(%rdi)
	orl	$GATE_EV_BAD_IRET, %eax
	jmp	gate_leave

/* NMIs are counted and otherwise ignored. */
	.balign	16
gate_nmi:
	lock incq gate_nmis(%rip)
	cmpq	$0, gate_halt(%rip)	/* another CPU has ended the machine */
	jne	1f
	iretq
1:	cli
	hlt
	jmp	1b

/* One stub per vector, 16 bytes each; those whose exception has no error code push one. */
	.globl	gate_stubs
	.balign	16
gate_stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	vector == 2
	jmp	gate_nmi
	.elseif	vector == 14
	jmp	gate_page_fault
	.else
	.ifeq	(vector - 8) * (vector - 10) * (vector - 11) * (vector - 12) * (vector - 13) * (vector - 14) * (vector - 17) * (vector - 21) * (vector - 29) * (vector - 30)
	.else
	pushq	$0
	.endif
	pushq	$vector
	jmp	gate_trap
	.endif
	.set	vector, vector + 1
	.endr

/*
 * int gate_load_XX(unsigned selector): load a data segment register of the guest's. 1 when that faults; the
 * register is then null. GS is loaded while the guest's base is in place, so that this one changes.
 */
	.macro	loader reg, swap
	.globl	gate_load_\reg
gate_load_\reg:
	\swap
1:	movl	%edi, %\reg
	\swap
	xorl	%eax, %eax
	ret
2:	xorl	%edi, %edi
	movl	%edi, %\reg
	\swap
	movl	$1, %eax
	ret
	.pushsection .fixups, "a"
	.quad	1b, 2b
	.popsection
	.endm
	loader	ds
	loader	es
	loader	fs
	loader	gs, swapgs

	.section .exposed, "aw"
	.globl	gate_nmis, gate_halt, gate_hyp_cr3
	.balign	8
gate_nmis:
	.quad	0
gate_halt:
	.quad	0
gate_hyp_cr3:
	.quad	0
	.globl	pcid_kernel, pcid_user
pcid_kernel:
	.quad	0x8000000000000001 /* the number, and: flush nothing */
pcid_user:
	.quad	0x8000000000000002
verw_selector:
	.short	HYP_DS

	.section .note.GNU-stack, "", @progbits
