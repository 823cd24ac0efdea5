/* SPDX-License-Identifier: MIT */
/*
 * emul_umip.c - SGDT, SIDT, SLDT, STR and SMSW where the processor keeps them from ring 3
 *
 * They would tell any program where the hypervisor's descriptor tables are, so a home switches UMIP on
 * where there is one, and they trap with #GP. Old programs use them all the same (Wine, DOS emulators), and
 * a kernel may: they get harmless values of the right size. Without UMIP nothing of this is reached.
 */
#include "internal.h"

/* As Linux answers its programs; addresses no guest uses. */
#define DUMMY_GDT UINT64_C(0xfffffffffffe0000)
#define DUMMY_IDT UINT64_C(0xffffffffffff0000)
#define DUMMY_TR  0xe040
#define DUMMY_LDT 0xe050

static bool store(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, const void *value, size_t size)
{
	uint64_t va = insn_linear(insn, regs, insn->seg, insn_offset(insn, regs)), fault_va;
	uint32_t pf_error;

	if (guest_copy_to_fault(v, va, value, size, &fault_va, &pf_error)) {
		arch_inject_pf(v, fault_va, pf_error);
		return true;
	}
	regs->rip = insn_next_rip(insn, regs->rip);
	arch_insn_retire(v, regs);
	return true;
}

/* Limit 0, then a base as wide as the mode has it. */
static bool store_table(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, uint64_t base)
{
	uint8_t value[10] = { 0 };

	memcpy(value + 2, &base, sizeof(base));
	return store(v, insn, regs, value, insn->mode == INSN_MODE_64 ? 10 : 6);
}

/* To memory always two bytes; SMSW fills a register as wide as it is named, the others clear above. */
static bool store_word(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, uint64_t value)
{
	uint16_t word = (uint16_t)value;

	if (insn->is_mem)
		return store(v, insn, regs, &word, sizeof(word));
	insn_write_gpr(insn, regs, insn->rm, insn->op_size, value);
	regs->rip = insn_next_rip(insn, regs->rip);
	arch_insn_retire(v, regs);
	return true;
}

bool emulate_umip(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	unsigned group = insn->modrm >> 3 & 7;
	bool done;

	if (insn->opcode == 0x00 && group == 0)
		done = store_word(v, insn, regs, v->arch.ldt_entries ? DUMMY_LDT : 0);
	else if (insn->opcode == 0x00 && group == 1)
		done = store_word(v, insn, regs, DUMMY_TR);
	else if (insn->opcode == 0x01 && group == 4)
		done = store_word(v, insn, regs, GUEST_CR0);
	else if (insn->opcode == 0x01 && group <= 1 && insn->is_mem)
		done = store_table(v, insn, regs, group ? DUMMY_IDT : DUMMY_GDT);
	else
		return false;
	count_emulated(v, EMUL_UMIP);
	return done;
}
