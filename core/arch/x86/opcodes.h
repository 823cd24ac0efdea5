/* SPDX-License-Identifier: MIT */
/*
 * opcodes.h - the opcode maps of decode.c
 *
 * One word per opcode says what follows it and what it may be combined with. Where the ModRM byte
 * decides (group opcodes), the entry is what all members share and decode.c refines it.
 */
#ifndef XENOPUS_ARCH_X86_OPCODES_H
#define XENOPUS_ARCH_X86_OPCODES_H

#include <stdint.h>

/* What follows an opcode, and what it may be combined with. */
#define M   0x0001 /* ModRM */
#define B   0x0002 /* byte operand */
#define I8  0x0004 /* immediate of one byte */
#define IZ  0x0008 /* immediate of the operand size, but at most four bytes */
#define IV  0x0010 /* immediate of the operand size, up to eight bytes */
#define IW  0x0020 /* immediate of two bytes */
#define MO  0x0040 /* offset of the address size: the memory operand itself */
#define FP  0x0080 /* far pointer: offset of the operand size, selector */
#define D64 0x0100 /* 64-bit code: operand size defaults to 8, 2 with prefix */
#define F64 0x0200 /* 64-bit code: operand size is 8 */
#define N64 0x0400 /* undefined in 64-bit code */
#define LK  0x0800 /* may be locked when its destination is memory */
#define REG 0x1000 /* ModRM always names registers, whatever mod says */
#define UD  0x2000 /* undefined */
#define X   0x4000 /* a prefix or escape: never reached through the table */

#define ALU(lk) B | M | (lk), M | (lk), B | M, M, B | I8, IZ
#define X4(a)	a, a, a, a
#define X8(a)	X4(a), X4(a)
#define X16(a)	X8(a), X8(a)

static const uint16_t map_one[256] = {
	/* 00 */ ALU(LK), N64, N64, ALU(LK), N64, X,
	/* 10 */ ALU(LK), N64, N64, ALU(LK), N64, N64,
	/* 20 */ ALU(LK), X, N64, ALU(LK), X, N64,
	/* 30 */ ALU(LK), X, N64, ALU(0), X, N64,
	/* 40 */ X16(N64),
	/* 50 */ X16(D64),
	/* 60 */ N64, N64, M | N64, M, X, X, X, X,
	/* 68 */ IZ | D64, M | IZ, I8 | D64, M | I8, B, 0, B, 0,
	/* 70 */ X16(I8 | F64),
	/* 80 */ B | M | I8 | LK, M | IZ | LK, B | M | I8 | N64 | LK, M | I8 | LK,
	/* 84 */ B | M, M, B | M | LK, M | LK,
	/* 88 */ B | M, M, B | M, M, M, M, M, M | D64,
	/* 90 */ X8(0), 0, 0, FP | N64, 0, D64, D64, 0, 0,
	/* a0 */ B | MO, MO, B | MO, MO, B, 0, B, 0,
	/* a8 */ B | I8, IZ, B, 0, B, 0, B, 0,
	/* b0 */ X8(B | I8), X8(IV),
	/* c0 */ B | M | I8, M | I8, IW | F64, F64, M | N64, M | N64, B | M | I8, M | IZ,
	/* c8 */ IW | D64, D64, IW, 0, 0, I8, N64, 0,
	/* d0 */ B | M, M, B | M, M, I8 | N64, I8 | N64, N64, 0,
	/* d8 */ X8(M),
	/* e0 */ X4(I8 | F64), B | I8, I8, B | I8, I8,
	/* e8 */ IZ | F64, IZ | F64, FP | N64, I8 | F64, B, 0, B, 0,
	/* f0 */ X, 0, X, X, 0, 0, B | M | LK, M | LK,
	/* f8 */ 0, 0, 0, 0, 0, 0, B | M | LK, M | LK,
};

static const uint16_t map_0f[256] = {
	/* 00 */ M, M, M, M, UD, 0, 0, 0, 0, 0, UD, 0, UD, M, 0, M | I8,
	/* 10 */ X16(M),
	/* 20 */ X4(M | REG), X4(UD), X8(M),
	/* 30 */ 0, 0, 0, 0, 0, 0, UD, 0, X, UD, X, UD, X4(UD),
	/* 40 */ X16(M),
	/* 50 */ X16(M),
	/* 60 */ X16(M),
	/* 70 */ X4(M | I8), M, M, M, 0, M, M, UD, UD, X4(M),
	/* 80 */ X16(IZ | F64),
	/* 90 */ X16(B | M),
	/* a0 */ D64, D64, 0, M, M | I8, M, UD, UD, D64, D64, 0, M | LK, M | I8, M, M, M,
	/* b0 */ B | M | LK, M | LK, M, M | LK, M, M, M, M,
	/* b8 */ M, M, M | I8 | LK, M | LK, M, M, M, M,
	/* c0 */ B | M | LK, M | LK, M | I8, M, M | I8, M | I8, M | I8, M | LK, X8(0),
	/* d0 */ X16(M),
	/* e0 */ X16(M),
	/* f0 */ X16(M),
};

#endif
