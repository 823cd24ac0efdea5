/* SPDX-License-Identifier: MIT */
/* Proves that backends/gate/gate_offsets.h says what the compiler does. No code. */
#include "metal.h"

#define SAME(name, offset) _Static_assert((name) == (offset), #name " is wrong in gate_offsets.h")
#define REG(name, field)   SAME(name, offsetof(struct gate_vcpu, regs) + offsetof(struct cpu_user_regs, field))

REG(G_R15, r15);
REG(G_R14, r14);
REG(G_R13, r13);
REG(G_R12, r12);
REG(G_RBP, rbp);
REG(G_RBX, rbx);
REG(G_R11, r11);
REG(G_R10, r10);
REG(G_R9, r9);
REG(G_R8, r8);
REG(G_RAX, rax);
REG(G_RCX, rcx);
REG(G_RDX, rdx);
REG(G_RSI, rsi);
REG(G_RDI, rdi);
REG(G_RIP, rip);
REG(G_CS, cs);
REG(G_RFLAGS, rflags);
REG(G_RSP, rsp);
REG(G_SS, ss);
SAME(P_HOST_RSP, offsetof(struct percpu, host_rsp));
SAME(P_GATE, offsetof(struct percpu, gate));
SAME(P_SCRATCH, offsetof(struct percpu, scratch));
SAME(P_STACK, offsetof(struct percpu, trap_stack));
SAME(P_ENTER, offsetof(struct percpu, enter_cr3));
SAME(P_CR3, offsetof(struct percpu, cr3));
SAME(P_ERROR, offsetof(struct percpu, error));
SAME(22 * 8, sizeof(struct hyp_frame));
SAME(0, offsetof(struct vcpu, gate));

#define GATE(name, field) SAME(name, offsetof(struct gate_vcpu, field))

GATE(G_KERNEL_SP, kernel_sp);
GATE(G_KERNEL_SS, kernel_ss);
GATE(G_SYSCALL, syscall_callback);
GATE(G_CR3_KERNEL, cr3_kernel);
GATE(G_CR3_USER, cr3_user);
GATE(G_GS_OTHER, gs_base_other);
GATE(G_FLAGS, flags);
GATE(G_SLOW, slow);
GATE(G_PF_HANDLER, pf_handler);
GATE(G_CR2, cr2);
GATE(G_INFO, info_seen);
GATE(G_FINISHED, finished);
SAME(I_PENDING, offsetof(struct vcpu_info, evtchn_upcall_pending));
SAME(I_MASK, offsetof(struct vcpu_info, evtchn_upcall_mask));
SAME(I_CR2, offsetof(struct vcpu_info, arch.cr2));
SAME(R_RAX, offsetof(struct iret_context, rax));
SAME(R_R11, offsetof(struct iret_context, r11));
SAME(R_RCX, offsetof(struct iret_context, rcx));
SAME(R_FLAGS, offsetof(struct iret_context, flags));
SAME(R_RIP, offsetof(struct iret_context, rip));
SAME(R_CS, offsetof(struct iret_context, cs));
SAME(R_RFLAGS, offsetof(struct iret_context, rflags));
SAME(R_RSP, offsetof(struct iret_context, rsp));
SAME(R_SS, offsetof(struct iret_context, ss));
SAME(GATE_A_KERNEL_MODE, GATE_KERNEL_MODE);
SAME(GATE_A_SYSCALL_MASKS, GATE_SYSCALL_MASKS);
SAME(DID_SYSCALL, GATE_DID_SYSCALL);
SAME(DID_IRET, GATE_DID_IRET);
SAME(DID_PAGE_FAULT, GATE_DID_PAGE_FAULT);
SAME(DID_STACK_SWITCH, GATE_DID_STACK_SWITCH);
SAME(DID_SEGMENT_BASE, GATE_DID_SEGMENT_BASE);
SAME(GATE_RFLAGS_HANDLER, GATE_RFLAGS_GUEST & ~(X86_FL_TF | X86_FL_AC));
SAME(GATE_RFLAGS_SYSCALL, GATE_RFLAGS_HANDLER & ~X86_FL_DF);
