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

	/*
	 * n addresses on the stack: each entry is stored again as it is now. Enter at (GATE_STORES - n) *
	 * GATE_STORE_SIZE. Locked, since other virtual CPUs and the process store there, too.
	 */
	.macro	stores
	.rept	GATE_STORES
	popq	%rdi
	lock orq $0, (%rdi)
	.endr
	.endm

	.section .rodata.gate, "a"
	.balign 4096
/*
 * The door, entered by SYSCALL: in ring 3 on a host that virtualises by software, else in ring 0. While an
 * attendant waits behind the box page (backends/kvm/door.c), a hypercall is put there and answered by another
 * host CPU, without leaving the VM. No stack is used: it may be anything. rcx and r11 (return address and
 * flags) stay untouched throughout.
 *
 * One question needs no attendant: whether a virtual CPU is up that the domain does not have. Linux asks it for every
 * CPU it was built for, thousands of times. Two calls that every switch of a process makes, and that mean nothing
 * before the next exit, are left as notes for that; the notes page has one address, in each domain its own frame.
 */
#define BOX(field)  (gate_door_page + GATE_VCPU_BOX - GATE_VCPU_DOOR + field)(%rip)
#define SIGN(field) (gate_door_page + GATE_VCPU_SIGN - GATE_VCPU_DOOR + field)(%rip)
#define NOTES(field) (GATE_VIRT + GATE_NOTES_OFF + field)

	/* The arithmetic flags of r11, and on to rcx with @result; OF by an addition, the others by SAHF. */
	.macro	go_on result
	movl	%r11d, %eax
	shrl	$11, %eax
	andl	$1, %eax
	addl	$0x7fffffff, %eax
	movl	%r11d, %eax
	movb	%al, %ah
	sahf
	movq	\result, %rax
	jmp	*%rcx
	.endm

	.globl	gate_door_page
gate_door_page:
	cmpq	$DOOR_VCPU_OP, %rax
	je	vcpu_op
	jmp	other
	.org	gate_door_page + GATE_LEAVE_OFF
leave_vm:
	leave	GATE_PORT_LSTAR
	.org	gate_door_page + GATE_CSTAR_OFF
	leave	GATE_PORT_CSTAR

vcpu_op:
	cmpl	$DOOR_IS_UP, %edi
	jne	attended
	cmpl	SIGN(SIGN_LAST_VCPU), %esi
	jbe	attended
	testl	$0x4100, %r11d		/* TF or NT: only the core can go on exactly */
	jnz	leave_vm
	incl	BOX(BOX_NO_SUCH_VCPU)
	go_on	$-DOOR_ENOENT

other:
	cmpl	$0, SIGN(SIGN_NOTES)
	je	attended
	testl	$0x4100, %r11d
	jnz	leave_vm
	cmpq	$DOOR_STACK_SWITCH, %rax
	je	stack_switch
	cmpq	$DOOR_SEGMENT_BASE, %rax
	jne	attended
	cmpq	$DOOR_GS_USER, %rdi
	jne	attended
	movq	%rsi, %rax
	sarq	$47, %rax
	incq	%rax
	cmpq	$1, %rax		/* a canonical address: all ones, or none */
	movl	$DOOR_SEGMENT_BASE, %eax
	ja	leave_vm
	movq	%rsi, %rax
	movabsq	%rax, NOTES(NOTES_GS_BASE)
	movl	$1, %eax
	movabsl	%eax, NOTES(NOTES_GS)
	go_on	$0
stack_switch:
	movq	%rdi, %rax
	movabsq	%rax, NOTES(NOTES_SS)
	movq	%rsi, %rax
	movabsq	%rax, NOTES(NOTES_SP)
	movl	$1, %eax
	movabsl	%eax, NOTES(NOTES_STACK)
	go_on	$0

attended:
	cmpl	$0, SIGN(SIGN_OPEN)
	je	leave_vm
	testl	$0x4100, %r11d
	jnz	leave_vm
	movq	%rax, BOX(BOX_RAX)
	movq	%rdi, BOX(BOX_RDI)
	movq	%rsi, BOX(BOX_RSI)
	movq	%rdx, BOX(BOX_RDX)
	movq	%r10, BOX(BOX_R10)
	movq	%r8, BOX(BOX_R8)
	movq	%r9, BOX(BOX_R9)
	movq	%rbx, BOX(BOX_RBX)
	movl	$BOX_ASKED, BOX(BOX_STATE)
again:
	movl	$BOX_PATIENCE, %ebx
wait:
	pause
	movl	BOX(BOX_STATE), %eax
	cmpl	$BOX_DONE, %eax
	je	done
	cmpl	$BOX_DONE_LEAVE, %eax
	je	done_leave
	cmpl	$BOX_ASKED, %eax
	jne	refused_or_taken
	decl	%ebx
	jnz	wait
	movl	$BOX_ASKED, %eax
	movl	$BOX_GIVEN_UP, %ebx
	lock cmpxchgl %ebx, BOX(BOX_STATE)
	jne	again
refused:
	movq	BOX(BOX_RBX), %rbx
	movq	BOX(BOX_RAX), %rax
	jmp	leave_vm
refused_or_taken:
	cmpl	$BOX_TAKEN, %eax
	je	wait
	jmp	refused
done_leave:
	movq	BOX(BOX_RBX), %rbx
	movq	BOX(BOX_RESULT), %rax
	jmp	leave_vm
done:
	movq	BOX(BOX_RBX), %rbx
	go_on	BOX(BOX_RESULT)
	.org	gate_door_page + 4096

	.globl	gate_stub_page
gate_stub_page:
	.set	vector, 0
	.rept	256
	leave	vector
	.set	vector, vector + 1
	.endr

	/* Stack: addresses, guest rdi, then the IRET frame. */
	.org	gate_stub_page + GATE_RESUME_OFF
	stores
	popq	%rdi
	iretq

	/* Stack: addresses, guest rax, guest rdi, IRET frame. rax: the CR3 to load. */
	.org	gate_stub_page + GATE_FLUSH_OFF
	stores
	movq	%rax, %cr3
	popq	%rax
	popq	%rdi
	iretq

	.org	gate_stub_page + GATE_STORE_OFF
	stores
	leave	GATE_PORT_DONE
	.org	gate_stub_page + 4096

	.section .note.GNU-stack, "", @progbits
