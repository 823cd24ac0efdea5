/* SPDX-License-Identifier: MIT */
/*
 * operand.c - registers and addresses as a decoded instruction means them
 */
#include <xenopus/decode.h>

static uint64_t truncate(uint64_t value, unsigned int size)
{
	return size >= 8 ? value : value & ((1ull << (8 * size)) - 1);
}

uint64_t insn_next_rip(const struct insn *insn, uint64_t rip)
{
	return truncate(rip + insn->len, insn->mode == INSN_MODE_64 ? 8 : 4);
}

uint64_t insn_offset(const struct insn *insn, const struct insn_regs *regs)
{
	uint64_t offset = insn->disp;

	if (insn->base == GPR_RIP)
		offset += insn_next_rip(insn, regs->rip);
	else if (insn->base < 16)
		offset += regs->gpr[insn->base];
	if (insn->index < 16)
		offset += regs->gpr[insn->index] * insn->scale;
	return truncate(offset, insn->addr_size);
}

uint64_t insn_linear(const struct insn *insn, const struct insn_regs *regs, unsigned int seg,
		     uint64_t offset)
{
	if (insn->mode != INSN_MODE_64)
		return truncate(offset + regs->seg_base[seg], 4);
	return seg == SEG_FS || seg == SEG_GS ? offset + regs->seg_base[seg] : offset;
}

/* Without REX, byte registers 4 to 7 are the second bytes of the first four. */
static bool high_byte(const struct insn *insn, unsigned int nr, unsigned int size)
{
	return size == 1 && nr >= 4 && nr < 8 && !(insn->prefix & INSN_PFX_REX);
}

uint64_t insn_read_gpr(const struct insn *insn, const struct insn_regs *regs, unsigned int nr,
		       unsigned int size)
{
	if (high_byte(insn, nr, size))
		return (regs->gpr[nr & 3] >> 8) & 0xff;
	return truncate(regs->gpr[nr & 15], size);
}

void insn_write_gpr(const struct insn *insn, struct insn_regs *regs, unsigned int nr,
		    unsigned int size, uint64_t value)
{
	uint64_t *gpr = &regs->gpr[nr & 15];

	if (high_byte(insn, nr, size)) {
		gpr = &regs->gpr[nr & 3];
		*gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
	} else if (size == 1) {
		*gpr = (*gpr & ~0xffull) | (value & 0xff);
	} else if (size == 2) {
		*gpr = (*gpr & ~0xffffull) | (value & 0xffff);
	} else {
		*gpr = truncate(value, size);
	}
}
