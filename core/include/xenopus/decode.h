/* SPDX-License-Identifier: MIT */
/*
 * decode.h - the x86 instruction decoder
 *
 * Turns bytes that were already copied out of a guest into a description of one instruction: what
 * it is, how long it is, where its operands are. It promises to look only at the bytes it is given,
 * to have no state, and to be total: any byte string gives OK, MORE (the instruction continues
 * beyond the bytes given) or UD, never anything else.
 *
 * On top of it sits the arithmetic of read-modify-write instructions, as pure functions over a
 * register file and the value of the memory operand. Who touches memory, and whether it may, is
 * the caller's business.
 */
#ifndef XENOPUS_DECODE_H
#define XENOPUS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** INSN_MAX_LEN - longest instruction the architecture allows, in bytes */
#define INSN_MAX_LEN 15

/** INSN_FORCED_LEN - bytes of the forced-emulation prefix, "ud2; xen" */
#define INSN_FORCED_LEN 5

/** INSN_FETCH_MAX - how many bytes a caller should try to fetch */
#define INSN_FETCH_MAX (INSN_MAX_LEN + INSN_FORCED_LEN)

/** enum insn_mode - kind of code segment; the value is the default address size in bytes */
enum insn_mode {
	INSN_MODE_16 = 2,
	INSN_MODE_32 = 4,
	INSN_MODE_64 = 8,
};

enum insn_status {
	INSN_OK,
	INSN_MORE, /* the fetch of the byte at offset @len of the input would be next */
	INSN_UD,   /* undefined in this mode: #UD */
	INSN_LONG, /* more than 15 bytes: #GP(0) */
};

enum insn_map {
	INSN_MAP_ONE,	/* one-byte opcodes */
	INSN_MAP_0F,
	INSN_MAP_0F38,
	INSN_MAP_0F3A,
	INSN_MAP_VECTOR, /* VEX, EVEX or XOP: only the length is right */
};

/* Register numbers as the hardware encodes them; they index insn_regs.gpr[]. */
enum insn_gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	GPR_NONE,
	GPR_RIP, /* as a base: the address of the next instruction */
};

/* Segment numbers as the hardware encodes them; they index insn_regs.seg_base[]. */
enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE };

/* Prefixes seen, in insn.prefix. */
#define INSN_PFX_LOCK	0x01
#define INSN_PFX_REPNE	0x02 /* f2 */
#define INSN_PFX_REP	0x04 /* f3 */
#define INSN_PFX_OPSIZE 0x08
#define INSN_PFX_ADDR	0x10
#define INSN_PFX_REX	0x20 /* any REX: byte registers 4-7 are spl, bpl, sil, dil */
#define INSN_PFX_REX_W	0x40

/**
 * struct insn - one decoded instruction
 * @len:       bytes it occupies, the forced-emulation prefix included
 * @mode:      enum insn_mode it was decoded for
 * @forced:    preceded by the forced-emulation prefix
 * @map:       enum insn_map
 * @opcode:    the opcode byte within @map
 * @prefix:    INSN_PFX_* bits
 * @seg:       segment of the memory operand, override applied; of a string source likewise
 * @seg_override: the override seen, SEG_NONE without; fs and gs only in 64-bit code
 * @op_size:   operand size in bytes: 1, 2, 4 or 8
 * @addr_size: address size in bytes: 2, 4 or 8
 * @has_modrm: a ModRM byte is there, @mod, @reg and @rm hold its fields with REX applied
 * @is_mem:    the rm operand is memory; @base, @index, @scale and @disp tell where
 * @modrm:     the raw ModRM byte (group opcodes are told apart by it)
 * @base:      enum insn_gpr, or GPR_NONE, or GPR_RIP
 * @index:     enum insn_gpr or GPR_NONE
 * @scale:     1, 2, 4 or 8
 * @disp:      displacement, sign extended; for moffs forms the whole offset
 * @imm_size:  bytes of the immediate, 0 without one
 * @imm:       immediate, sign extended
 * @imm2:      second immediate: selector of a far pointer, nesting level of enter
 */
struct insn {
	uint8_t len;
	uint8_t mode;
	bool forced;
	uint8_t map;
	uint8_t opcode;
	uint8_t prefix;
	uint8_t seg;
	uint8_t seg_override;
	uint8_t op_size;
	uint8_t addr_size;
	bool has_modrm;
	bool is_mem;
	uint8_t modrm;
	uint8_t mod;
	uint8_t reg;
	uint8_t rm;
	uint8_t base;
	uint8_t index;
	uint8_t scale;
	uint8_t imm_size;
	uint16_t imm2;
	int64_t disp;
	int64_t imm;
};

/**
 * struct insn_regs - the register file instructions are executed on
 * @gpr:      general registers by hardware number
 * @rip:      address of the instruction before, of the next one after execution
 * @rflags:   flags
 * @seg_base: bases by enum insn_seg; only fs and gs are looked at in 64-bit code
 */
struct insn_regs {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
	uint64_t seg_base[6];
};

/**
 * insn_decode - decode the instruction at the start of a byte string
 * @insn:  result; on INSN_MORE and INSN_UD only @len is meaningful (bytes looked at)
 * @bytes: the code
 * @valid: how many bytes are there; more than INSN_FETCH_MAX are not looked at
 * @mode:  kind of the code segment
 */
enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t valid,
			     enum insn_mode mode);

/** insn_group - the /digit of a group opcode: the ModRM reg field without REX */
static inline unsigned int insn_group(const struct insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

/** insn_is - is it opcode @opcode of map @map? */
static inline bool insn_is(const struct insn *insn, enum insn_map map, uint8_t opcode)
{
	return insn->map == map && insn->opcode == opcode;
}

/**
 * insn_offset - the effective address of the memory operand, before segmentation
 * Truncated to the address size. Not meaningful when !insn->is_mem.
 */
uint64_t insn_offset(const struct insn *insn, const struct insn_regs *regs);

/** insn_linear - linear address of @offset in segment @seg, as the instruction's mode has it */
uint64_t insn_linear(const struct insn *insn, const struct insn_regs *regs, unsigned int seg,
		     uint64_t offset);

/** insn_read_gpr - value of register number @nr at size @size (ah..bh rules applied) */
uint64_t insn_read_gpr(const struct insn *insn, const struct insn_regs *regs, unsigned int nr,
		       unsigned int size);

/** insn_write_gpr - store into register @nr at @size; 4-byte stores clear the upper half */
void insn_write_gpr(const struct insn *insn, struct insn_regs *regs, unsigned int nr,
		    unsigned int size, uint64_t value);

/** insn_next_rip - address of the following instruction, wrapped as the mode wraps */
uint64_t insn_next_rip(const struct insn *insn, uint64_t rip);

/**
 * struct insn_access - what memory a read-modify-write instruction touches
 * @dst:       linear address of the destination
 * @size:      bytes of the destination: 1, 2, 4, 8 or 16
 * @reads_dst: the old value matters; insn_execute_rmw() wants it
 * @has_src:   a second memory operand is read first (movs), @size bytes at @src
 * @src:       its linear address
 * @skip:      repeat count zero: nothing is touched
 */
struct insn_access {
	uint64_t dst;
	uint64_t src;
	uint8_t size;
	bool reads_dst;
	bool has_src;
	bool skip;
};

/**
 * insn_plan_rmw - where would this instruction write?
 *
 * Return: false when it is not one of the integer memory writes that can be executed here
 * (vector stores, pushes, shifts, ...).
 */
bool insn_plan_rmw(const struct insn *insn, const struct insn_regs *regs,
		   struct insn_access *access);

/**
 * struct insn_result - outcome of a read-modify-write instruction
 * @write: the destination is to be written (false: a compare that failed, or cmp)
 * @value: what to write, low 8 bytes first; @value[1] only for 16-byte operands
 */
struct insn_result {
	bool write;
	uint64_t value[2];
};

/**
 * insn_execute_rmw - compute a read-modify-write instruction
 * @insn:   instruction for which insn_plan_rmw() said yes
 * @regs:   register file; general registers, flags and rip are updated
 * @old:    old value of the destination (two words, the second for 16-byte operands), and for
 *          instructions with a second memory operand @src, its value
 * @src:    value of the second memory operand
 * @result: what to write
 *
 * A repeated string instruction does one element: rip stays on it until the count is exhausted.
 * Nothing is changed unless the plan accepts the instruction.
 *
 * Return: as insn_plan_rmw().
 */
bool insn_execute_rmw(const struct insn *insn, struct insn_regs *regs, const uint64_t old[2],
		      uint64_t src, struct insn_result *result);

/**
 * insn_plan_load - what integer would this instruction read from memory, and only read?
 * @va:   linear address
 * @size: bytes: 1, 2, 4 or 8
 *
 * Return: false when it is none that can be executed here (vector loads, pops, strings, ...).
 */
bool insn_plan_load(const struct insn *insn, const struct insn_regs *regs, uint64_t *va, unsigned int *size);

/**
 * insn_execute_load - do it with @value, which it found there; registers, flags and rip are updated
 * Return: as insn_plan_load(); nothing is changed when false.
 */
bool insn_execute_load(const struct insn *insn, struct insn_regs *regs, uint64_t value);

#endif
