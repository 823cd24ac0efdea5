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
SAME(P_ERROR, offsetof(struct percpu, error));
SAME(22 * 8, sizeof(struct hyp_frame));
SAME(0, offsetof(struct vcpu, gate));
