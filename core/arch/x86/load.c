/* SPDX-License-Identifier: MIT */
/*
 * load.c - instructions that read an integer from memory into registers and flags
 *
 * The other half of rmw.c, in the same two steps: the plan says what is read, the execution computes
 * from the value. Neither touches memory itself. cmp with the memory first is in both: rmw.c meets it among
 * those that write, here it is one of those that only read.
 */
#include "alu.h"

enum load_kind {
	LOAD_NONE,
	LOAD_MOV,
	LOAD_ZERO_EXTEND,
	LOAD_SIGN_EXTEND,
	LOAD_ALU,	/* register and memory; the register is written, unless it is cmp */
	LOAD_COMPARE,	/* memory and register or immediate: cmp */
	LOAD_TEST,
	LOAD_IF,	/* cmovcc */
};

struct load {
	enum load_kind kind;
	uint8_t size;	/* bytes of memory */
	uint8_t alu;	/* enum alu_op, or the condition */
	bool imm;	/* the other operand is the immediate, not a register */
};

static struct load classify_one(const struct insn *insn)
{
	unsigned int group = insn_group(insn);
	uint8_t size = insn->op_size;

	if (insn->opcode < 0x40 && (insn->opcode & 6) == 2)
		return (struct load){ LOAD_ALU, size, insn->opcode >> 3, false };
	switch (insn->opcode) {
	case 0x38: case 0x39:
		return (struct load){ LOAD_COMPARE, size, ALU_CMP, false };
	case 0x80: case 0x81: case 0x83:
		return (struct load){ group == 7 ? LOAD_COMPARE : LOAD_NONE, size, ALU_CMP, true };
	case 0x63:
		return (struct load){ insn->mode == INSN_MODE_64 ? LOAD_SIGN_EXTEND : LOAD_NONE,
				      size < 4 ? size : 4, 0, false };
	case 0x84: case 0x85:
		return (struct load){ LOAD_TEST, size, 0, false };
	case 0x8a: case 0x8b: case 0xa0: case 0xa1:
		return (struct load){ LOAD_MOV, size, 0, false };
	case 0xf6: case 0xf7:
		return (struct load){ group < 2 ? LOAD_TEST : LOAD_NONE, size, 0, true };
	default:
		return (struct load){ .kind = LOAD_NONE };
	}
}

static struct load classify_0f(const struct insn *insn)
{
	switch (insn->opcode) {
	case 0xb6: case 0xb7:
		return (struct load){ LOAD_ZERO_EXTEND, insn->opcode & 1 ? 2 : 1, 0, false };
	case 0xbe: case 0xbf:
		return (struct load){ LOAD_SIGN_EXTEND, insn->opcode & 1 ? 2 : 1, 0, false };
	default:
		if ((insn->opcode & 0xf0) == 0x40)
			return (struct load){ LOAD_IF, insn->op_size, insn->opcode & 15, false };
		return (struct load){ .kind = LOAD_NONE };
	}
}

static struct load classify(const struct insn *insn)
{
	if (insn->is_mem && insn->map == INSN_MAP_ONE)
		return classify_one(insn);
	if (insn->is_mem && insn->map == INSN_MAP_0F)
		return classify_0f(insn);
	return (struct load){ .kind = LOAD_NONE };
}

bool insn_plan_load(const struct insn *insn, const struct insn_regs *regs, uint64_t *va, unsigned int *size)
{
	struct load load = classify(insn);

	if (load.kind == LOAD_NONE)
		return false;
	*va = insn_linear(insn, regs, insn->seg, insn_offset(insn, regs));
	*size = load.size;
	return true;
}

static uint64_t sign_extend(uint64_t value, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

bool insn_execute_load(const struct insn *insn, struct insn_regs *regs, uint64_t value)
{
	struct load load = classify(insn);
	/* The forms with an offset in the instruction have no ModRM byte, and rax. */
	unsigned int reg = insn->has_modrm ? insn->reg : GPR_RAX;
	uint64_t other = load.imm ? (uint64_t)insn->imm & mask_of(insn->op_size)
				  : insn_read_gpr(insn, regs, reg, insn->op_size);
	bool write = true;

	value &= mask_of(load.size);
	switch (load.kind) {
	case LOAD_MOV: case LOAD_ZERO_EXTEND:
		break;
	case LOAD_SIGN_EXTEND:
		value = sign_extend(value, load.size);
		break;
	case LOAD_ALU:
		value = insn_alu(load.alu, other, value, insn->op_size, &regs->rflags);
		write = load.alu != ALU_CMP;
		break;
	case LOAD_COMPARE:
		insn_alu(ALU_CMP, value, other, insn->op_size, &regs->rflags);
		write = false;
		break;
	case LOAD_TEST:
		insn_alu(ALU_AND, value, other, insn->op_size, &regs->rflags);
		write = false;
		break;
	case LOAD_IF:
		/* Four bytes clear the upper half even if the condition does not hold. */
		if (!insn_condition(load.alu, regs->rflags))
			value = other;
		break;
	default:
		return false;
	}
	if (write)
		insn_write_gpr(insn, regs, reg, insn->op_size, value);
	regs->rip = insn_next_rip(insn, regs->rip);
	return true;
}
