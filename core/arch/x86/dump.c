/* SPDX-License-Identifier: MIT */
/*
 * dump.c - a virtual CPU's registers and stack in the log, for the person who must find out why
 */
#include "internal.h"

#define STACK_WORDS 16

struct out {
	void (*line)(void *opaque, const char *text);
	void *opaque;
};

__attribute__((format(printf, 2, 3))) static void say(const struct out *o, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->line(o->opaque, text);
}

static void print_stack(struct vcpu *v, const struct out *o)
{
	uint64_t word[STACK_WORDS];
	unsigned n, i;

	for (n = 0; n < STACK_WORDS; n++)
		if (guest_copy_from_any(v, &word[n], v->gate.regs.rsp + n * 8, 8))
			break;
	if (!n) {
		say(o, "  stack at %016lx: unreadable", (unsigned long)v->gate.regs.rsp);
		return;
	}
	say(o, "  stack at %016lx:", (unsigned long)v->gate.regs.rsp);
	for (i = 0; i + 4 <= n; i += 4)
		say(o, "    %016lx %016lx %016lx %016lx", (unsigned long)word[i],
		     (unsigned long)word[i + 1], (unsigned long)word[i + 2],
		     (unsigned long)word[i + 3]);
	for (; i < n; i++)
		say(o, "    %016lx", (unsigned long)word[i]);
}

void arch_print_vcpu(struct vcpu *v, void (*line)(void *opaque, const char *text), void *opaque)
{
	const struct out o = { line, opaque };
	const struct cpu_user_regs *r = &v->gate.regs;
	const struct { const char *name; uint64_t value; } regs[] = {
		{ "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx }, { "rdx", r->rdx },
		{ "rsi", r->rsi }, { "rdi", r->rdi }, { "rbp", r->rbp }, { "rsp", r->rsp },
		{ "r8 ", r->r8 },  { "r9 ", r->r9 },  { "r10", r->r10 }, { "r11", r->r11 },
		{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
	};
	unsigned i;

	say(&o, "d%u v%u: %s mode, rip %04x:%016lx rflags %08lx ss %04x events %s",
	     v->domain->id, v->id, gate_kernel_mode(&v->gate) ? "kernel" : "user", r->cs,
	     (unsigned long)r->rip, (unsigned long)r->rflags, r->ss,
	     READ_ONCE(v->gate.vcpu_info->evtchn_upcall_mask) ? "masked" : "on");
	for (i = 0; i < ARRAY_SIZE(regs); i += 4)
		say(&o, "  %s %016lx  %s %016lx  %s %016lx  %s %016lx", regs[i].name,
		     (unsigned long)regs[i].value, regs[i + 1].name,
		     (unsigned long)regs[i + 1].value, regs[i + 2].name,
		     (unsigned long)regs[i + 2].value, regs[i + 3].name,
		     (unsigned long)regs[i + 3].value);
	say(&o, "  cr3 kernel %lx user %lx  cr2 %016lx  fs %016lx gs %016lx other gs %016lx",
	     (unsigned long)v->gate.cr3_kernel, (unsigned long)v->gate.cr3_user,
	     (unsigned long)v->gate.cr2, (unsigned long)plat_base_get(v, PLAT_FS),
	     (unsigned long)plat_base_get(v, PLAT_GS), (unsigned long)v->gate.gs_base_other);
	print_stack(v, &o);
}

static void log_line(void *unused, const char *text)
{
	xlog(LOG_ERROR, "%s", text);
}

void arch_dump_vcpu(struct vcpu *v)
{
	arch_print_vcpu(v, log_line, NULL);
}
