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

#define P_HOST_RSP 0x00
#define P_GATE     0x08
#define P_SCRATCH  0x10
#define P_ERROR    0x18

/* What gate_enter() returns beyond an exception's or interrupt's vector. */
#define GATE_EV_SYSCALL   0x100
#define GATE_EV_SYSCALL32 0x101
#define GATE_EV_SYSENTER  0x102
#define GATE_EV_BAD_IRET  0x200 /* plus the vector */

/* RFLAGS that ring 3 may own (arithmetic, TF, DF, AC, ID), and those it always has. */
#define GATE_RFLAGS_GUEST  0x240fd5
#define GATE_RFLAGS_ALWAYS 0x202

#endif
