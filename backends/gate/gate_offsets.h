/* SPDX-License-Identifier: MIT */
/*
 * Offsets of struct gate_vcpu and of the bare-metal struct percpu for assembly. Numbers, since the assembler
 * cannot read C; backends/baremetal/offsets.c refuses to compile when one of them is wrong.
 */
#ifndef XENOPUS_GATE_OFFSETS_H
#define XENOPUS_GATE_OFFSETS_H

#define G_R15    0x00
#define G_R14    0x08
#define G_R13    0x10
#define G_R12    0x18
#define G_RBP    0x20
#define G_RBX    0x28
#define G_R11    0x30
#define G_R10    0x38
#define G_R9     0x40
#define G_R8     0x48
#define G_RAX    0x50
#define G_RCX    0x58
#define G_RDX    0x60
#define G_RSI    0x68
#define G_RDI    0x70
#define G_RIP    0x80
#define G_CS     0x88
#define G_RFLAGS 0x90
#define G_RSP    0x98
#define G_SS     0xa0

/* The rest of struct gate_vcpu, as far as fast paths use it. */
#define G_KERNEL_SP    0xd0
#define G_KERNEL_SS    0xd8
#define G_SYSCALL      0xe0
#define G_CR3_KERNEL   0x108
#define G_CR3_USER     0x110
#define G_GS_OTHER     0x118
#define G_FLAGS        0x120
#define G_SLOW         0x121
#define G_PF_HANDLER   0x128
#define G_CR2          0x130
#define G_INFO         0x138
#define G_FINISHED     0x140

/* struct vcpu_info and struct iret_context of the ABI. */
#define I_PENDING 0x00
#define I_MASK    0x01
#define I_CR2     0x10
#define R_RAX     0x00
#define R_R11     0x08
#define R_RCX     0x10
#define R_FLAGS   0x18
#define R_RIP     0x20
#define R_CS      0x28
#define R_RFLAGS  0x30
#define R_RSP     0x38
#define R_SS      0x40

/* Values that C knows as enumerations or by other names. */
#define GATE_A_KERNEL_MODE   0x01
#define GATE_A_SYSCALL_MASKS 0x02
#define DID_SYSCALL          0
#define DID_IRET             1
#define DID_PAGE_FAULT       2
#define DID_STACK_SWITCH     3
#define DID_SEGMENT_BASE     4

#define P_HOST_RSP 0x00
#define P_GATE     0x08
#define P_SCRATCH  0x10
#define P_ERROR    0x18
#define P_STACK    0x20
#define P_CR3      0x28
#define P_ENTER    0x30

/* What instructions may depend on: bits of gate_features (alternatives.c). */
#define GATE_ALT_SMAP  0
#define GATE_ALT_SPLIT 1
#define GATE_ALT_SPEC_CTRL 2 /* C code and ring 3 have different values of SPEC_CTRL */
#define GATE_ALT_VERW  3
#define GATE_ALT_RSB   4
#define GATE_ALT_PCID  5

/* What metal_event() gets beyond an exception's or interrupt's vector. */
#define GATE_EV_SYSCALL   0x100
#define GATE_EV_SYSCALL32 0x101
#define GATE_EV_SYSENTER  0x102
#define GATE_EV_BAD_IRET  0x200 /* plus the vector */

/* What it answers, and metal_hypercall(): return from gate_enter(), or go to ring 3. */
#define GATE_STOP   0
#define GATE_IRET   1
#define GATE_SYSRET 2 /* rcx and r11 become RIP and RFLAGS */

/* RFLAGS that ring 3 may own (arithmetic, TF, DF, AC, ID), and those it always has. */
#define GATE_RFLAGS_GUEST  0x240fd5
#define GATE_RFLAGS_ALWAYS 0x202
/* Of these, what a handler of the guest kernel starts with: no TF, no AC; a system call without DF, too. */
#define GATE_RFLAGS_HANDLER 0x200ed5
#define GATE_RFLAGS_SYSCALL 0x200ad5
#define RFLAGS_TF           0x100
#define RFLAGS_IF           0x200

#endif
