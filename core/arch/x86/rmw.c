/* SPDX-License-Identifier: MIT */
/*
 * rmw.c - the arithmetic of instructions that write integers to memory
 *
 * A guest that stores into a page table it only has mapped read-only faults; the store is then done
 * for it, after validation. These are the instructions with which kernels do that. Two functions
 * share one classification: the plan says which memory is touched, the execution computes from
 * values. Neither touches memory itself.
 */
#include "alu.h"

enum rmw_kind {
	RMW_NONE,
	RMW_STORE,   /* mov */
	RMW_XCHG,
	RMW_ALU,     /* add or adc sbb and sub xor cmp, number in @alu */
	RMW_INC,
	RMW_DEC,
	RMW_NOT,
	RMW_NEG,
	RMW_CMPXCHG,
	RMW_CMPXCHG2, /* cmpxchg8b, cmpxchg16b */
	RMW_XADD,
	RMW_BIT,     /* bt bts btr btc, number in @alu */
	RMW_MOVS,
	RMW_STOS,
	RMW_SETCC,
};

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/* Where the second operand of a store, an ALU or a bit operation comes from. */
enum rmw_source { SRC_REG, SRC_IMM, SRC_RAX };

struct rmw {
	enum rmw_kind kind;
	enum rmw_source source;
	unsigned int alu;
};

static struct rmw classify_one(const struct insn *insn)
{
	unsigned int group = insn_group(insn);
	struct rmw none = { RMW_NONE, SRC_REG, 0 };

	if (insn->opcode < 0x40 && (insn->opcode & 7) < 2)
		return (struct rmw){ RMW_ALU, SRC_REG, insn->opcode >> 3 };

	switch (insn->opcode) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		return (struct rmw){ RMW_ALU, SRC_IMM, group };
	case 0x86: case 0x87:
		return (struct rmw){ RMW_XCHG, SRC_REG, 0 };
	case 0x88: case 0x89:
		return (struct rmw){ RMW_STORE, SRC_REG, 0 };
	case 0xa2: case 0xa3:
		return (struct rmw){ RMW_STORE, SRC_RAX, 0 };
	case 0xa4: case 0xa5:
		return (struct rmw){ RMW_MOVS, SRC_REG, 0 };
	case 0xaa: case 0xab:
		return (struct rmw){ RMW_STOS, SRC_RAX, 0 };
	case 0xc6: case 0xc7:
		return (struct rmw){ RMW_STORE, SRC_IMM, 0 };
	case 0xf6: case 0xf7:
		if (group == 2)
			return (struct rmw){ RMW_NOT, SRC_REG, 0 };
		if (group == 3)
			return (struct rmw){ RMW_NEG, SRC_REG, 0 };
		return none;
	case 0xfe: case 0xff:
		if (group < 2)
			return (struct rmw){ group ? RMW_DEC : RMW_INC, SRC_REG, 0 };
		return none;
	default:
		return none;
	}
}

static struct rmw classify_0f(const struct insn *insn)
{
	struct rmw none = { RMW_NONE, SRC_REG, 0 };

	switch (insn->opcode) {
	case 0xab:
		return (struct rmw){ RMW_BIT, SRC_REG, BIT_SET };
	case 0xb3:
		return (struct rmw){ RMW_BIT, SRC_REG, BIT_RESET };
	case 0xbb:
		return (struct rmw){ RMW_BIT, SRC_REG, BIT_COMPLEMENT };
	case 0xba:
		return (struct rmw){ RMW_BIT, SRC_IMM, insn_group(insn) & 3 };
	case 0xb0: case 0xb1:
		return (struct rmw){ RMW_CMPXCHG, SRC_REG, 0 };
	case 0xc0: case 0xc1:
		return (struct rmw){ RMW_XADD, SRC_REG, 0 };
	case 0xc3: /* movnti; with another prefix it is something else */
		if (insn->prefix & (INSN_PFX_OPSIZE | INSN_PFX_REP | INSN_PFX_REPNE))
			return none;
		return (struct rmw){ RMW_STORE, SRC_REG, 0 };
	case 0xc7:
		if (insn_group(insn) == 1)
			return (struct rmw){ RMW_CMPXCHG2, SRC_REG, 0 };
		return none;
	default:
		if ((insn->opcode & 0xf0) == 0x90)
			return (struct rmw){ RMW_SETCC, SRC_REG, insn->opcode & 15 };
		return none;
	}
}

static struct rmw classify(const struct insn *insn)
{
	struct rmw rmw = { RMW_NONE, SRC_REG, 0 };

	if (insn->map == INSN_MAP_ONE)
		rmw = classify_one(insn);
	else if (insn->map == INSN_MAP_0F)
		rmw = classify_0f(insn);
	if (rmw.kind != RMW_MOVS && rmw.kind != RMW_STOS && !insn->is_mem)
		rmw.kind = RMW_NONE;
	return rmw;
}

static bool is_string(const struct rmw *rmw)
{
	return rmw->kind == RMW_MOVS || rmw->kind == RMW_STOS;
}

static bool repeated(const struct insn *insn)
{
	return insn->prefix & (INSN_PFX_REP | INSN_PFX_REPNE);
}

/* A register that holds an address or a count, cut to the address size. */
static uint64_t address_gpr(const struct insn *insn, const struct insn_regs *regs, unsigned int nr)
{
	return regs->gpr[nr] & mask_of(insn->addr_size);
}

static void step_gpr(const struct insn *insn, struct insn_regs *regs, unsigned int nr, uint64_t by)
{
	insn_write_gpr(insn, regs, nr, insn->addr_size, regs->gpr[nr] + by);
}

/* With a register as bit number, the operand is a bit string: which of its words is meant? */
static uint64_t bit_string_offset(const struct insn *insn, const struct insn_regs *regs)
{
	uint64_t raw = insn_read_gpr(insn, regs, insn->reg, insn->op_size);
	int64_t bit;

	switch (insn->op_size) {
	case 2:
		bit = (int16_t)raw;
		break;
	case 4:
		bit = (int32_t)raw;
		break;
	default:
		bit = (int64_t)raw;
	}
	/* Arithmetic shift: bit -1 is the last bit of the word before. */
	return (uint64_t)(bit >> 3) & ~(uint64_t)(insn->op_size - 1);
}

static bool plan(const struct insn *insn, const struct insn_regs *regs, const struct rmw *rmw,
		 struct insn_access *access)
{
	uint64_t offset;

	*access = (struct insn_access){ .size = insn->op_size };
	switch (rmw->kind) {
	case RMW_NONE:
		return false;
	case RMW_MOVS:
		access->has_src = true;
		access->src = insn_linear(insn, regs, insn->seg, address_gpr(insn, regs, GPR_RSI));
		/* fall through */
	case RMW_STOS:
		access->skip = repeated(insn) && !address_gpr(insn, regs, GPR_RCX);
		access->dst = insn_linear(insn, regs, SEG_ES, address_gpr(insn, regs, GPR_RDI));
		return true;
	case RMW_CMPXCHG2:
		access->size = insn->op_size == 8 ? 16 : 8;
		break;
	default:
		break;
	}
	access->reads_dst = rmw->kind != RMW_STORE && rmw->kind != RMW_SETCC;
	offset = insn_offset(insn, regs);
	if (rmw->kind == RMW_BIT && rmw->source == SRC_REG)
		offset = (offset + bit_string_offset(insn, regs)) & mask_of(insn->addr_size);
	access->dst = insn_linear(insn, regs, insn->seg, offset);
	return true;
}

bool insn_plan_rmw(const struct insn *insn, const struct insn_regs *regs,
		   struct insn_access *access)
{
	struct rmw rmw = classify(insn);

	return plan(insn, regs, &rmw, access);
}

static uint64_t result_flags(uint64_t value, unsigned int size)
{
	uint64_t flags = 0;

	value &= mask_of(size);
	if (!value)
		flags |= FL_ZF;
	if (value >> (8 * size - 1))
		flags |= FL_SF;
	if (!__builtin_parity((unsigned int)value & 0xff))
		flags |= FL_PF;
	return flags;
}

/*
 * One ALU operation. Carry, auxiliary carry and overflow of sums and differences all follow from
 * which bits the operands and the result have, so no wider type is needed.
 */
uint64_t insn_alu(enum alu_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *rflags)
{
	uint64_t carry_in = *rflags & FL_CF, carries = 0, overflow = 0, r;
	unsigned int top = 8 * size - 1;
	uint64_t flags = 0;

	if (op != ALU_ADC && op != ALU_SBB)
		carry_in = 0;
	switch (op) {
	case ALU_ADD: case ALU_ADC:
		r = a + b + carry_in;
		carries = (a & b) | ((a | b) & ~r);
		overflow = (a ^ r) & (b ^ r);
		break;
	case ALU_SUB: case ALU_SBB: case ALU_CMP:
		r = a - b - carry_in;
		carries = (~a & b) | ((~a | b) & r);
		overflow = (a ^ b) & (a ^ r);
		break;
	case ALU_OR:
		r = a | b;
		break;
	case ALU_AND:
		r = a & b;
		break;
	default:
		r = a ^ b;
		break;
	}
	if ((carries >> top) & 1)
		flags |= FL_CF;
	if ((carries >> 3) & 1)
		flags |= FL_AF;
	if ((overflow >> top) & 1)
		flags |= FL_OF;
	*rflags = (*rflags & ~(uint64_t)FL_ARITH) | flags | result_flags(r, size);
	return r & mask_of(size);
}

static uint64_t second_operand(const struct insn *insn, const struct insn_regs *regs,
			       enum rmw_source source)
{
	switch (source) {
	case SRC_IMM:
		return (uint64_t)insn->imm & mask_of(insn->op_size);
	case SRC_RAX:
		return insn_read_gpr(insn, regs, GPR_RAX, insn->op_size);
	default:
		return insn_read_gpr(insn, regs, insn->reg, insn->op_size);
	}
}

static void do_bit(const struct insn *insn, struct insn_regs *regs, const struct rmw *rmw,
		   uint64_t old, struct insn_result *result)
{
	unsigned int nr = second_operand(insn, regs, rmw->source) & (8 * insn->op_size - 1);
	uint64_t bit = 1ull << nr;

	regs->rflags = (regs->rflags & ~(uint64_t)FL_CF) | (old & bit ? FL_CF : 0);
	result->write = rmw->alu != BIT_TEST;
	if (rmw->alu == BIT_SET)
		old |= bit;
	else if (rmw->alu == BIT_RESET)
		old &= ~bit;
	else if (rmw->alu == BIT_COMPLEMENT)
		old ^= bit;
	result->value[0] = old;
}

static void do_cmpxchg(const struct insn *insn, struct insn_regs *regs, uint64_t old,
		       struct insn_result *result)
{
	uint64_t acc = insn_read_gpr(insn, regs, GPR_RAX, insn->op_size);

	insn_alu(ALU_CMP, acc, old, insn->op_size, &regs->rflags);
	result->write = acc == old;
	if (result->write)
		result->value[0] = insn_read_gpr(insn, regs, insn->reg, insn->op_size);
	else
		insn_write_gpr(insn, regs, GPR_RAX, insn->op_size, old);
}

static void do_cmpxchg2(const struct insn *insn, struct insn_regs *regs, const uint64_t old[2],
			struct insn_result *result)
{
	unsigned int half = insn->op_size == 8 ? 8 : 4;
	uint64_t lo = old[0] & mask_of(half);
	uint64_t hi = half == 8 ? old[1] : old[0] >> 32;
	uint64_t want_lo = regs->gpr[GPR_RBX] & mask_of(half);
	uint64_t want_hi = regs->gpr[GPR_RCX] & mask_of(half);

	result->write = (regs->gpr[GPR_RAX] & mask_of(half)) == lo &&
			(regs->gpr[GPR_RDX] & mask_of(half)) == hi;
	if (!result->write) {
		regs->rflags &= ~(uint64_t)FL_ZF;
		regs->gpr[GPR_RAX] = lo;
		regs->gpr[GPR_RDX] = hi;
		return;
	}
	regs->rflags |= FL_ZF;
	result->value[0] = half == 8 ? want_lo : want_lo | want_hi << 32;
	result->value[1] = half == 8 ? want_hi : 0;
}

/* After one element of movs or stos: pointers move, and a repeat stays until the count is out. */
static void string_step(const struct insn *insn, struct insn_regs *regs, bool movs,
			uint64_t next_rip)
{
	uint64_t by = regs->rflags & FL_DF ? -(uint64_t)insn->op_size : insn->op_size;

	step_gpr(insn, regs, GPR_RDI, by);
	if (movs)
		step_gpr(insn, regs, GPR_RSI, by);
	if (repeated(insn)) {
		step_gpr(insn, regs, GPR_RCX, ~0ull);
		if (address_gpr(insn, regs, GPR_RCX))
			return;
	}
	regs->rip = next_rip;
}

bool insn_condition(unsigned int cc, uint64_t flags)
{
	bool less = !(flags & FL_SF) != !(flags & FL_OF);
	bool yes;

	switch (cc >> 1) {
	case 0:
		yes = flags & FL_OF;
		break;
	case 1:
		yes = flags & FL_CF;
		break;
	case 2:
		yes = flags & FL_ZF;
		break;
	case 3:
		yes = flags & (FL_CF | FL_ZF);
		break;
	case 4:
		yes = flags & FL_SF;
		break;
	case 5:
		yes = flags & FL_PF;
		break;
	case 6:
		yes = less;
		break;
	default:
		yes = less || (flags & FL_ZF);
		break;
	}
	return yes != (cc & 1);
}

bool insn_execute_rmw(const struct insn *insn, struct insn_regs *regs, const uint64_t old[2],
		      uint64_t src, struct insn_result *result)
{
	unsigned int size = insn->op_size;
	uint64_t next = insn_next_rip(insn, regs->rip);
	uint64_t a = old[0] & mask_of(size), b, carry;
	struct rmw rmw = classify(insn);
	struct insn_access access;

	if (!plan(insn, regs, &rmw, &access))
		return false;
	*result = (struct insn_result){ .write = !access.skip };
	if (access.skip) {
		regs->rip = next;
		return true;
	}

	switch (rmw.kind) {
	case RMW_STORE: case RMW_STOS:
		result->value[0] = second_operand(insn, regs, rmw.source);
		break;
	case RMW_MOVS:
		result->value[0] = src & mask_of(size);
		break;
	case RMW_XCHG:
		result->value[0] = insn_read_gpr(insn, regs, insn->reg, size);
		insn_write_gpr(insn, regs, insn->reg, size, a);
		break;
	case RMW_ALU:
		b = second_operand(insn, regs, rmw.source);
		result->value[0] = insn_alu(rmw.alu, a, b, size, &regs->rflags);
		result->write = rmw.alu != ALU_CMP;
		break;
	case RMW_INC: case RMW_DEC: /* as add and sub, but the carry is left alone */
		carry = regs->rflags & FL_CF;
		result->value[0] = insn_alu(rmw.kind == RMW_INC ? ALU_ADD : ALU_SUB, a, 1, size,
				       &regs->rflags);
		regs->rflags = (regs->rflags & ~(uint64_t)FL_CF) | carry;
		break;
	case RMW_NOT:
		result->value[0] = ~a & mask_of(size);
		break;
	case RMW_NEG:
		result->value[0] = insn_alu(ALU_SUB, 0, a, size, &regs->rflags);
		break;
	case RMW_XADD:
		b = insn_read_gpr(insn, regs, insn->reg, size);
		result->value[0] = insn_alu(ALU_ADD, a, b, size, &regs->rflags);
		insn_write_gpr(insn, regs, insn->reg, size, a);
		break;
	case RMW_CMPXCHG:
		do_cmpxchg(insn, regs, a, result);
		break;
	case RMW_CMPXCHG2:
		do_cmpxchg2(insn, regs, old, result);
		break;
	case RMW_BIT:
		do_bit(insn, regs, &rmw, a, result);
		break;
	case RMW_SETCC:
		result->value[0] = insn_condition(rmw.alu, regs->rflags);
		break;
	default:
		break;
	}
	if (is_string(&rmw))
		string_step(insn, regs, rmw.kind == RMW_MOVS, next);
	else
		regs->rip = next;
	return true;
}
