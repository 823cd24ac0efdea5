/* SPDX-License-Identifier: MIT */
/*
 * alu.h - the arithmetic that executed instructions share
 */
#ifndef XENOPUS_ARCH_X86_ALU_H
#define XENOPUS_ARCH_X86_ALU_H

#include <xenopus/decode.h>

#define FL_CF 0x0001u
#define FL_PF 0x0004u
#define FL_AF 0x0010u
#define FL_ZF 0x0040u
#define FL_SF 0x0080u
#define FL_DF 0x0400u
#define FL_OF 0x0800u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static inline uint64_t mask_of(unsigned int size)
{
	return size >= 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

/**
 * insn_alu() - @a @op @b at @size bytes; the arithmetic flags in *@rflags are read and written
 * AF of the logical operations, undefined by the manual, is cleared.
 */
uint64_t insn_alu(enum alu_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *rflags);

/** insn_condition() - does condition code @cc (as in setcc, cmovcc) hold with @flags? */
bool insn_condition(unsigned int cc, uint64_t flags);

#endif
