/* SPDX-License-Identifier: MIT */
/*
 * dump.c - a virtual CPU's registers and stack in the log, for the person who must find out why
 */
#include "internal.h"

#define STACK_WORDS 16

static void dump_stack(struct vcpu *v)
{
	uint64_t word[STACK_WORDS];
	unsigned n, i;

	for (n = 0; n < STACK_WORDS; n++)
		if (guest_copy_from(v, &word[n], v->gate.regs.rsp + n * 8, 8))
			break;
	if (!n) {
		xlog(LOG_ERROR, "  stack at %016lx: unreadable", (unsigned long)v->gate.regs.rsp);
		return;
	}
	xlog(LOG_ERROR, "  stack at %016lx:", (unsigned long)v->gate.regs.rsp);
	for (i = 0; i + 4 <= n; i += 4)
		xlog(LOG_ERROR, "    %016lx %016lx %016lx %016lx", (unsigned long)word[i],
		     (unsigned long)word[i + 1], (unsigned long)word[i + 2],
		     (unsigned long)word[i + 3]);
	for (; i < n; i++)
		xlog(LOG_ERROR, "    %016lx", (unsigned long)word[i]);
}

void arch_dump_vcpu(struct vcpu *v)
{
	const struct cpu_user_regs *r = &v->gate.regs;
	const struct { const char *name; uint64_t value; } regs[] = {
		{ "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx }, { "rdx", r->rdx },
		{ "rsi", r->rsi }, { "rdi", r->rdi }, { "rbp", r->rbp }, { "rsp", r->rsp },
		{ "r8 ", r->r8 },  { "r9 ", r->r9 },  { "r10", r->r10 }, { "r11", r->r11 },
		{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
	};
	unsigned i;

	xlog(LOG_ERROR, "d%u v%u: %s mode, rip %04x:%016lx rflags %08lx ss %04x events %s",
	     v->domain->id, v->id, gate_kernel_mode(&v->gate) ? "kernel" : "user", r->cs,
	     (unsigned long)r->rip, (unsigned long)r->rflags, r->ss,
	     READ_ONCE(v->gate.vcpu_info->evtchn_upcall_mask) ? "masked" : "on");
	for (i = 0; i < ARRAY_SIZE(regs); i += 4)
		xlog(LOG_ERROR, "  %s %016lx  %s %016lx  %s %016lx  %s %016lx", regs[i].name,
		     (unsigned long)regs[i].value, regs[i + 1].name,
		     (unsigned long)regs[i + 1].value, regs[i + 2].name,
		     (unsigned long)regs[i + 2].value, regs[i + 3].name,
		     (unsigned long)regs[i + 3].value);
	xlog(LOG_ERROR, "  cr3 kernel %lx user %lx  cr2 %016lx  fs %016lx gs %016lx other gs %016lx",
	     (unsigned long)v->gate.cr3_kernel, (unsigned long)v->gate.cr3_user,
	     (unsigned long)v->gate.cr2, (unsigned long)plat_base_get(v, PLAT_FS),
	     (unsigned long)plat_base_get(v, PLAT_GS), (unsigned long)v->gate.gs_base_other);
	dump_stack(v);
}
