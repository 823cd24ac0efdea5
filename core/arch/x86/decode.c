/* SPDX-License-Identifier: MIT */
/*
 * decode.c - the x86 instruction decoder
 *
 *	[ud2 "xen"]  legacy prefixes  [REX]  opcode  [ModRM [SIB] [disp]]  [imm]
 *	             `- or VEX / EVEX / XOP -'
 *
 * One table per opcode map says what follows the opcode; the code only walks. The instructions of
 * which the core executes something are decoded exactly, undefined encodings included; of all the
 * others (vector code above all) the length is right, which is what skipping and diagnosis need.
 */
#include "opcodes.h"
#include <xenopus/decode.h>

/* The walk: the input, where we are, and whether we ran over its end. */
struct cursor {
	const uint8_t *bytes;
	size_t pos;
	size_t valid; /* bytes there are */
	size_t limit; /* where the architecture ends an instruction */
	bool more;
	bool toolong;
};

static uint8_t take(struct cursor *c)
{
	if (c->more || c->toolong)
		return 0;
	if (c->pos >= c->limit) {
		c->toolong = true;
		return 0;
	}
	if (c->pos >= c->valid) {
		c->more = true;
		return 0;
	}
	return c->bytes[c->pos++];
}

/* The next byte without taking it; a byte that is not there is found missing when it is taken. */
static uint8_t peek(const struct cursor *c)
{
	return c->pos < c->valid ? c->bytes[c->pos] : 0;
}

static int64_t take_signed(struct cursor *c, unsigned int size)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		v |= (uint64_t)take(c) << (8 * i);
	switch (size) {
	case 1:
		return (int8_t)v;
	case 2:
		return (int16_t)v;
	case 4:
		return (int32_t)v;
	default:
		return (int64_t)v;
	}
}

struct rex {
	bool w, r, x, b;
};

static bool legacy_prefix(struct insn *insn, uint8_t byte)
{
	unsigned int seg;

	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		seg = (byte >> 3) & 3;
		break;
	case 0x64: case 0x65:
		seg = byte & 7;
		break;
	case 0x66:
		insn->prefix |= INSN_PFX_OPSIZE;
		return true;
	case 0x67:
		insn->prefix |= INSN_PFX_ADDR;
		return true;
	case 0xf0:
		insn->prefix |= INSN_PFX_LOCK;
		return true;
	case 0xf2: /* of f2 and f3 the last one counts */
		insn->prefix = (insn->prefix & ~INSN_PFX_REP) | INSN_PFX_REPNE;
		return true;
	case 0xf3:
		insn->prefix = (insn->prefix & ~INSN_PFX_REPNE) | INSN_PFX_REP;
		return true;
	default:
		return false;
	}
	/* 64-bit code has no es, cs, ss, ds: those prefixes change nothing, nor undo an fs. */
	if (insn->mode != INSN_MODE_64 || seg >= SEG_FS)
		insn->seg_override = seg;
	return true;
}

/* Prefixes up to and including the first opcode byte, which is returned. */
static uint8_t take_prefixes(struct insn *insn, struct cursor *c, struct rex *rex)
{
	uint8_t byte, last_rex = 0;

	for (;;) {
		byte = take(c);
		if (c->more || c->toolong)
			return 0;
		if (insn->mode == INSN_MODE_64 && (byte & 0xf0) == 0x40) {
			last_rex = byte;
			continue;
		}
		if (!legacy_prefix(insn, byte))
			break;
		last_rex = 0; /* a REX not directly before the opcode is ignored */
	}
	if (last_rex) {
		insn->prefix |= INSN_PFX_REX;
		if (last_rex & 8)
			insn->prefix |= INSN_PFX_REX_W;
	}
	rex->w = last_rex & 8;
	rex->r = last_rex & 4;
	rex->x = last_rex & 2;
	rex->b = last_rex & 1;
	return byte;
}

static void memory_operand16(struct insn *insn, struct cursor *c)
{
	static const struct {
		uint8_t base, index;
	} form[8] = {
		{ GPR_RBX, GPR_RSI }, { GPR_RBX, GPR_RDI },  { GPR_RBP, GPR_RSI },
		{ GPR_RBP, GPR_RDI }, { GPR_RSI, GPR_NONE }, { GPR_RDI, GPR_NONE },
		{ GPR_RBP, GPR_NONE }, { GPR_RBX, GPR_NONE },
	};
	unsigned int rm = insn->modrm & 7;

	insn->base = form[rm].base;
	insn->index = form[rm].index;
	if (insn->mod == 0 && rm == 6) {
		insn->base = GPR_NONE;
		insn->disp = take_signed(c, 2);
	} else if (insn->mod) {
		insn->disp = take_signed(c, insn->mod == 1 ? 1 : 2);
	}
	insn->seg = insn->base == GPR_RBP ? SEG_SS : SEG_DS;
}

static void memory_operand(struct insn *insn, struct cursor *c, const struct rex *rex)
{
	unsigned int rm = insn->modrm & 7;
	unsigned int low = rm;

	insn->base = rm | (rex->b ? 8 : 0);
	if (rm == 4) {
		uint8_t sib = take(c);

		low = sib & 7;
		insn->base = low | (rex->b ? 8 : 0);
		insn->index = ((sib >> 3) & 7) | (rex->x ? 8 : 0);
		insn->scale = 1u << (sib >> 6);
		if (insn->index == GPR_RSP)
			insn->index = GPR_NONE;
	}
	if (insn->mod == 0 && low == 5) {
		/* No base: a bare displacement, or without SIB in 64-bit code, rip-relative. */
		insn->base = rm == 5 && insn->mode == INSN_MODE_64 ? GPR_RIP : GPR_NONE;
		insn->disp = take_signed(c, 4);
	} else if (insn->mod) {
		insn->disp = take_signed(c, insn->mod == 1 ? 1 : 4);
	}
	insn->seg = insn->base == GPR_RSP || insn->base == GPR_RBP ? SEG_SS : SEG_DS;
}

static void take_modrm(struct insn *insn, struct cursor *c, const struct rex *rex, bool registers)
{
	insn->modrm = take(c);
	insn->has_modrm = true;
	insn->mod = insn->modrm >> 6;
	insn->reg = insn_group(insn) | (rex->r ? 8 : 0);
	insn->rm = (insn->modrm & 7) | (rex->b ? 8 : 0);
	insn->is_mem = insn->mod != 3 && !registers;
	if (!insn->is_mem)
		return;
	if (insn->addr_size == 2)
		memory_operand16(insn, c);
	else
		memory_operand(insn, c, rex);
}

/*
 * VEX, EVEX and XOP instructions: find the length. @lead is the byte that announced them.
 * All but vzeroupper have a ModRM byte; which have an immediate goes by map and opcode.
 */
static enum insn_status decode_vector(struct insn *insn, struct cursor *c, uint8_t lead)
{
	static const struct rex no_rex = { false, false, false, false };
	uint8_t b1 = take(c);
	struct rex rex = no_rex;
	unsigned int map = 1, imm = 0;

	if (insn->prefix & (INSN_PFX_LOCK | INSN_PFX_REP | INSN_PFX_REPNE | INSN_PFX_OPSIZE |
			    INSN_PFX_REX))
		return INSN_UD;
	rex.r = !(b1 & 0x80);
	if (lead != 0xc5) {
		map = lead == 0x62 ? b1 & 0x07 : b1 & 0x1f;
		rex.x = !(b1 & 0x40);
		rex.b = !(b1 & 0x20);
		take(c);
		if (lead == 0x62)
			take(c);
	}
	if (insn->mode != INSN_MODE_64)
		rex = no_rex;
	insn->map = INSN_MAP_VECTOR;
	insn->opcode = take(c);

	switch (map) {
	case 1:
		imm = (map_0f[insn->opcode] & I8) && insn->opcode >= 0x70 ? 1 : 0;
		break;
	case 2: case 5: case 6: case 9:
		break;
	case 3: case 8:
		imm = 1;
		break;
	case 10:
		imm = 4;
		break;
	default:
		return INSN_UD;
	}
	if (!(map == 1 && insn->opcode == 0x77 && lead != 0x62))
		take_modrm(insn, c, &rex, false);
	insn->imm_size = imm;
	insn->imm = imm ? take_signed(c, imm) : 0;
	return INSN_OK;
}

/* Is @lead the start of a vector instruction here, or one of the old opcodes that share its byte? */
static bool is_vector(const struct insn *insn, const struct cursor *c, uint8_t lead)
{
	switch (lead) {
	case 0xc4: case 0xc5: case 0x62:
		return insn->mode == INSN_MODE_64 || peek(c) >= 0xc0;
	case 0x8f: /* XOP: the map number makes an impossible /digit of pop */
		return (peek(c) & 0x1f) >= 8;
	default:
		return false;
	}
}

/* Group opcodes where the table cannot say it: immediates, operand sizes, undefined /digits. */
static enum insn_status refine_one(struct insn *insn, uint16_t *attr)
{
	unsigned int group = insn_group(insn);

	switch (insn->opcode) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		if (group == 7)
			*attr &= ~LK;
		break;
	case 0x8f:
		return group ? INSN_UD : INSN_OK;
	case 0x8c: case 0x8e:
		if (group > SEG_GS || (insn->opcode == 0x8e && group == SEG_CS))
			return INSN_UD;
		break;
	case 0x8d: case 0xc4: case 0xc5: case 0x62:
		return insn->is_mem ? INSN_OK : INSN_UD;
	case 0xc6: case 0xc7: /* f8 is xabort and xbegin */
		return group && insn->modrm != 0xf8 ? INSN_UD : INSN_OK;
	case 0xf6: case 0xf7:
		if (group < 2)
			*attr |= insn->opcode == 0xf6 ? I8 : IZ;
		if (group != 2 && group != 3)
			*attr &= ~LK;
		break;
	case 0xfe:
		return group > 1 ? INSN_UD : INSN_OK;
	case 0xff:
		if (group == 7 || (!insn->is_mem && (group == 3 || group == 5)))
			return INSN_UD;
		if (group > 1)
			*attr &= ~LK;
		if (group == 2 || group == 4)
			*attr |= F64;
		if (group == 6)
			*attr |= D64;
		break;
	}
	return INSN_OK;
}

static enum insn_status refine_0f(struct insn *insn, uint16_t *attr)
{
	unsigned int group = insn_group(insn);

	switch (insn->opcode) {
	case 0x20: case 0x22:
		/* Only these control registers exist. */
		if (insn->reg != 0 && insn->reg != 2 && insn->reg != 3 && insn->reg != 4 &&
		    insn->reg != 8)
			return INSN_UD;
		break;
	case 0x21: case 0x23:
		if (insn->reg > 7)
			return INSN_UD;
		break;
	case 0x78: /* extrq and insertq with two immediate bytes, as one of two */
		if (insn->prefix & (INSN_PFX_OPSIZE | INSN_PFX_REPNE))
			*attr |= IW;
		break;
	case 0xba:
		if (group < 4)
			return INSN_UD;
		if (group == 4)
			*attr &= ~LK;
		break;
	case 0xc3:
		return insn->is_mem ? INSN_OK : INSN_UD;
	case 0xc7:
		if (group == 0 || group == 2)
			return INSN_UD;
		if (insn->is_mem ? group == 1 : group >= 6) {
			if (group != 1)
				*attr &= ~LK;
			return INSN_OK;
		}
		*attr &= ~LK;
		return insn->is_mem ? INSN_OK : INSN_UD;
	}
	return INSN_OK;
}

static unsigned int operand_size(const struct insn *insn, uint16_t attr)
{
	bool prefix = insn->prefix & INSN_PFX_OPSIZE;

	if (attr & B)
		return 1;
	if (attr & REG) /* control and debug registers: a whole register, whatever is in front */
		return insn->mode == INSN_MODE_64 ? 8 : 4;
	if (insn->mode == INSN_MODE_16)
		return prefix ? 4 : 2;
	if (insn->mode == INSN_MODE_32)
		return prefix ? 2 : 4;
	if ((attr & F64) || (insn->prefix & INSN_PFX_REX_W))
		return 8;
	if (prefix)
		return 2;
	return attr & D64 ? 8 : 4;
}

static void take_immediate(struct insn *insn, struct cursor *c, uint16_t attr)
{
	unsigned int size = 0;

	if (attr & MO) {
		insn->is_mem = true;
		insn->seg = SEG_DS;
		insn->disp = take_signed(c, insn->addr_size);
	}
	if (attr & I8)
		size = 1;
	else if (attr & IW)
		size = 2;
	else if (attr & IV)
		size = insn->op_size;
	else if (attr & (IZ | FP))
		size = insn->op_size == 2 ? 2 : 4;
	if (size) {
		insn->imm_size = size;
		insn->imm = take_signed(c, size);
	}
	if (attr & FP)
		insn->imm2 = (uint16_t)take_signed(c, 2);
	if (insn->map == INSN_MAP_ONE && insn->opcode == 0xc8)
		insn->imm2 = take(c);
}

static enum insn_status decode_opcode(struct insn *insn, struct cursor *c, uint8_t first,
				      const struct rex *rex)
{
	enum insn_status status = INSN_OK;
	uint16_t attr;

	insn->opcode = first;
	attr = map_one[first];
	if (first == 0x0f) {
		insn->map = INSN_MAP_0F;
		insn->opcode = take(c);
		attr = map_0f[insn->opcode];
		if (insn->opcode == 0x38 || insn->opcode == 0x3a) {
			attr = insn->opcode == 0x38 ? M : M | I8;
			insn->map = insn->opcode == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
			insn->opcode = take(c);
		}
	}
	if (c->more || c->toolong)
		return INSN_OK; /* the caller says so */
	if ((attr & UD) || ((attr & N64) && insn->mode == INSN_MODE_64))
		return INSN_UD;
	if (attr & M)
		take_modrm(insn, c, rex, attr & REG);
	if (c->more || c->toolong)
		return INSN_OK;
	if (insn->map == INSN_MAP_ONE)
		status = refine_one(insn, &attr);
	else if (insn->map == INSN_MAP_0F)
		status = refine_0f(insn, &attr);
	if (status != INSN_OK)
		return status;
	insn->op_size = operand_size(insn, attr);
	take_immediate(insn, c, attr);
	if ((insn->prefix & INSN_PFX_LOCK) && !((attr & LK) && insn->is_mem))
		return INSN_UD;
	return INSN_OK;
}

static bool forced_prefix(const uint8_t *bytes, size_t valid)
{
	static const uint8_t sig[INSN_FORCED_LEN] = { 0x0f, 0x0b, 'x', 'e', 'n' };
	unsigned int i;

	for (i = 0; i < INSN_FORCED_LEN; i++)
		if (i >= valid || bytes[i] != sig[i])
			return false;
	return true;
}

enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t valid,
			     enum insn_mode mode)
{
	struct cursor c = { bytes, 0, valid, INSN_MAX_LEN, false, false };
	enum insn_status status;
	struct rex rex;
	uint8_t first;

	*insn = (struct insn){
		.mode = mode, .seg = SEG_DS, .seg_override = SEG_NONE, .base = GPR_NONE,
		.index = GPR_NONE, .scale = 1,
	};
	if (forced_prefix(bytes, valid)) {
		insn->forced = true;
		c.pos = INSN_FORCED_LEN;
		c.limit += INSN_FORCED_LEN;
	}

	first = take_prefixes(insn, &c, &rex);
	insn->addr_size = mode;
	if (insn->prefix & INSN_PFX_ADDR)
		insn->addr_size = mode == INSN_MODE_32 ? 2 : 4;
	insn->op_size = operand_size(insn, 0);

	if (c.more || c.toolong)
		status = INSN_OK;
	else if (is_vector(insn, &c, first))
		status = decode_vector(insn, &c, first);
	else
		status = decode_opcode(insn, &c, first, &rex);

	insn->len = c.pos;
	if (c.toolong)
		return INSN_LONG;
	if (c.more)
		return INSN_MORE;
	if (insn->seg_override != SEG_NONE)
		insn->seg = insn->seg_override;
	return status;
}
