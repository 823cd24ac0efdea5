/* SPDX-License-Identifier: MIT */
/*
 * insn.c - the instruction a virtual CPU stopped at: fetched, decoded, and retired
 *
 * Whether code is 64, 32 or 16 bits is the business of its segment descriptor. The flat segments are
 * known; others are looked up in the tables the guest gave.
 */
#include "alu.h"
#include "internal.h"

/* Descriptor bits (of the 8-byte entry; Intel SDM vol. 3, 3.4.5). */
#define DESC_CODE    (UINT64_C(1) << 43)
#define DESC_S	     (UINT64_C(1) << 44)
#define DESC_PRESENT (UINT64_C(1) << 47)
#define DESC_L	     (UINT64_C(1) << 53)
#define DESC_DB	     (UINT64_C(1) << 54)

/* The LDT is kernel memory, which the user page tables need not map. */
static size_t copy_from_kernel(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	uint32_t flags = v->gate.flags;
	size_t left;

	v->gate.flags |= GATE_KERNEL_MODE;
	left = guest_copy_from(v, dst, va, n);
	v->gate.flags = flags;
	return left;
}

static bool read_descriptor(struct vcpu *v, uint16_t selector, uint64_t *desc)
{
	unsigned index = selector >> 3;

	if (selector & 4)
		return index < v->arch.ldt_entries &&
		       !copy_from_kernel(v, desc, v->arch.ldt_base + index * 8, 8);
	if (index >= v->arch.gdt_entries)
		return false;
	memcpy(desc, (const char *)plat_frame_ptr(v->arch.gdt_frames[index / 512]) + index % 512 * 8, 8);
	return true;
}

static uint64_t descriptor_base(uint64_t desc)
{
	return ((desc >> 16) & 0xffffff) | ((desc >> 56) << 24);
}

static bool code_segment(struct vcpu *v, enum insn_mode *mode, uint64_t *base)
{
	uint16_t cs = v->gate.regs.cs;
	uint64_t desc;

	*base = 0;
	*mode = INSN_MODE_64;
	if ((cs & ~3) == (FLAT_RING3_CS64 & ~3))
		return true;
	*mode = INSN_MODE_32;
	if ((cs & ~3) == (FLAT_RING3_CS32 & ~3))
		return true;
	if (!read_descriptor(v, cs, &desc) ||
	    (desc & (DESC_CODE | DESC_S | DESC_PRESENT)) != (DESC_CODE | DESC_S | DESC_PRESENT))
		return false;
	if (desc & DESC_L) {
		*mode = INSN_MODE_64;
		return true;
	}
	*mode = desc & DESC_DB ? INSN_MODE_32 : INSN_MODE_16;
	*base = descriptor_base(desc);
	return true;
}

static uint64_t data_base(struct vcpu *v, enum plat_seg seg)
{
	uint16_t selector = plat_seg_get(v, seg);
	uint64_t desc;

	if (selector < 4 || (selector & ~3) == (FLAT_RING3_DS32 & ~3) ||
	    !read_descriptor(v, selector, &desc))
		return 0;
	return descriptor_base(desc);
}

static void load_regs(struct vcpu *v, struct insn_regs *r, const struct insn *insn, uint64_t cs_base)
{
	const struct cpu_user_regs *u = &v->gate.regs;

	*r = (struct insn_regs){
		.gpr = { u->rax, u->rcx, u->rdx, u->rbx, u->rsp, u->rbp, u->rsi, u->rdi,
			 u->r8, u->r9, u->r10, u->r11, u->r12, u->r13, u->r14, u->r15 },
		.rip = u->rip,
		.rflags = u->rflags,
	};
	if (insn->seg == SEG_FS || insn->mode != INSN_MODE_64)
		r->seg_base[SEG_FS] = plat_base_get(v, PLAT_FS);
	if (insn->seg == SEG_GS || insn->mode != INSN_MODE_64)
		r->seg_base[SEG_GS] = plat_base_get(v, PLAT_GS);
	if (insn->mode == INSN_MODE_64)
		return;
	r->seg_base[SEG_CS] = cs_base;
	r->seg_base[SEG_ES] = data_base(v, PLAT_ES);
	r->seg_base[SEG_DS] = data_base(v, PLAT_DS);
	r->seg_base[SEG_SS] = data_base(v, PLAT_SS);
}

/*
 * A kernel meets few such instructions, and these again and again. What is decoded depends on the bytes and the mode
 * alone, so that is what it is remembered by; where they lay only says in which place to look.
 */
static enum insn_status decode(struct vcpu *v, struct insn *insn, const uint8_t *bytes, size_t valid,
			       enum insn_mode mode)
{
	struct insn_memory *m = &v->arch.insns[v->gate.regs.rip / 2 % ARRAY_SIZE(v->arch.insns)];
	enum insn_status status;
	uint64_t key[2];

	__builtin_memcpy(key, bytes, sizeof(key));
	if (m->insn.len && m->insn.mode == mode && valid >= sizeof(key) && m->key[0] == key[0] && m->key[1] == key[1]) {
		*insn = m->insn;
		return INSN_OK;
	}
	status = insn_decode(insn, bytes, valid, mode);
	if (status == INSN_OK && valid >= sizeof(key) && insn->len <= sizeof(key)) {
		m->insn = *insn;
		m->key[0] = key[0];
		m->key[1] = key[1];
	}
	return status;
}

enum insn_status arch_insn_fetch(struct vcpu *v, struct insn *insn, struct insn_regs *regs,
				 uint64_t *fault_va, uint32_t *pf_error)
{
	uint8_t bytes[(INSN_FETCH_MAX + 7) / 8 * 8] = { 0 };
	uint64_t base, linear, va = 0;
	enum insn_status status;
	enum insn_mode mode;
	uint32_t error = 0;
	size_t valid;

	if (!code_segment(v, &mode, &base))
		return INSN_UD;
	linear = v->gate.regs.rip + base;
	if (mode != INSN_MODE_64)
		linear = (uint32_t)linear;
	valid = sizeof(bytes) - guest_fetch(v, bytes, linear, sizeof(bytes), &va, &error);
	if (fault_va)
		*fault_va = va;
	if (pf_error)
		*pf_error = error;
	status = decode(v, insn, bytes, valid, mode);
	load_regs(v, regs, insn, base);
	return status;
}

void arch_insn_retire(struct vcpu *v, const struct insn_regs *regs)
{
	struct cpu_user_regs *u = &v->gate.regs;
	const uint64_t *r = regs->gpr;

	u->rax = r[GPR_RAX];
	u->rcx = r[GPR_RCX];
	u->rdx = r[GPR_RDX];
	u->rbx = r[GPR_RBX];
	u->rsp = r[GPR_RSP];
	u->rbp = r[GPR_RBP];
	u->rsi = r[GPR_RSI];
	u->rdi = r[GPR_RDI];
	u->r8 = r[GPR_R8];
	u->r9 = r[GPR_R9];
	u->r10 = r[GPR_R10];
	u->r11 = r[GPR_R11];
	u->r12 = r[GPR_R12];
	u->r13 = r[GPR_R13];
	u->r14 = r[GPR_R14];
	u->r15 = r[GPR_R15];
	u->rip = regs->rip;
	u->rflags = (u->rflags & ~(uint64_t)(FL_ARITH | X86_FL_RF)) | (regs->rflags & FL_ARITH);

	if (u->rflags & X86_FL_TF) {
		v->arch.dr[6] |= 1u << 14; /* BS: a single step was done */
		plat_debugreg_set(v, 6, v->arch.dr[6]);
		arch_inject_exception(v, X86_DB, 0, 0);
	}
}
