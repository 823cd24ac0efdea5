/* SPDX-License-Identifier: MIT */
/*
 * bounce.c - entering the guest kernel
 *
 * A guest kernel runs in ring 3, so the hardware cannot call its handlers. The core builds the frame
 * the hardware would have built, with the ABI's additions, and lets the guest continue there:
 *
 *	higher addresses	ss
 *				rsp
 *				rflags	(IF: events were not masked)
 *				cs	(bits 32-39: the event mask as it was; RPL 0 from guest kernel)
 *				rip
 *				gs fs es ds	(failsafe callback only)
 *				error code	(some exceptions only)
 *				r11
 *	rsp ->			rcx
 *
 * From guest user the frame goes to the stack the kernel registered with stack_switch, from guest
 * kernel below its present stack pointer; both aligned to 16 bytes first. A frame that cannot be
 * written is this machine's double fault: the domain is crashed.
 */
#include "internal.h"

/* Exceptions with an error code on the frame. */
#define HAS_ERROR_CODE \
	(1u << X86_DF | 1u << X86_TS | 1u << X86_NP | 1u << X86_SS | 1u << X86_GP | 1u << X86_PF | \
	 1u << X86_AC | 1u << X86_CP)

/* Shortest and longest frame, in words. */
#define FRAME_MIN 7
#define FRAME_MAX 12

void arch_toggle_mode(struct vcpu *v)
{
	struct gate_vcpu *g = &v->gate;
	uint64_t base = plat_base_get(v, PLAT_GS);

	plat_base_set(v, PLAT_GS, g->gs_base_other);
	g->gs_base_other = base;
	g->flags ^= GATE_KERNEL_MODE;
}

static unsigned frame_words(const struct bounce *b)
{
	return FRAME_MIN + b->has_error + (b->failsafe ? 4 : 0);
}

/* @kernel: the guest was in its kernel. @frame: mostly its stack itself, which other virtual CPUs of its may reach. */
static inline void fill_frame(struct vcpu *v, const struct bounce *b, bool kernel, uint8_t mask, uint64_t frame[])
{
	const struct cpu_user_regs *regs = &v->gate.regs;
	uint64_t rflags = regs->rflags & ~(X86_FL_IF | X86_FL_IOPL);
	uint64_t cs = regs->cs;
	unsigned n = 0;

	if (kernel)
		cs &= ~UINT64_C(3);
	if (!mask)
		rflags |= X86_FL_IF;
	if (assist(v, VMASST_TYPE_architectural_iopl))
		rflags |= (uint64_t)v->arch.iopl << 12;

	WRITE_ONCE(frame[n++], regs->rcx);
	WRITE_ONCE(frame[n++], regs->r11);
	if (b->has_error)
		WRITE_ONCE(frame[n++], b->error);
	if (b->failsafe) {
		WRITE_ONCE(frame[n++], plat_seg_get(v, PLAT_DS));
		WRITE_ONCE(frame[n++], plat_seg_get(v, PLAT_ES));
		WRITE_ONCE(frame[n++], plat_seg_get(v, PLAT_FS));
		WRITE_ONCE(frame[n++], plat_seg_get(v, PLAT_GS));
	}
	WRITE_ONCE(frame[n++], regs->rip);
	WRITE_ONCE(frame[n++], cs | (uint64_t)mask << 32);
	WRITE_ONCE(frame[n++], rflags);
	WRITE_ONCE(frame[n++], regs->rsp);
	WRITE_ONCE(frame[n++], regs->ss);
}

/* The frame onto the stack of the guest kernel, in the mode the guest is in now. False: a page fault at *@fault_va. */
static bool write_frame(struct vcpu *v, const struct bounce *b, bool kernel, uint8_t mask, uint64_t sp, uint64_t *fault_va,
			uint32_t *pf_error)
{
	size_t size = frame_words(b) * sizeof(uint64_t);
	uint64_t *at = guest_reach_write(v, sp, size), frame[FRAME_MAX];

	if (likely(at)) {
		fill_frame(v, b, kernel, mask, at);
		guest_written(at);
		return true;
	}
	fill_frame(v, b, kernel, mask, frame);
	return !guest_copy_to_fault(v, sp, frame, size, fault_va, pf_error);
}

bool bounce_to_kernel(struct vcpu *v, const struct bounce *b)
{
	struct gate_vcpu *g = &v->gate;
	struct cpu_user_regs *regs = &g->regs;
	uint8_t mask = READ_ONCE(g->vcpu_info->evtchn_upcall_mask);
	uint64_t sp = regs->rsp, fault_va = 0, size = frame_words(b) * sizeof(uint64_t);
	bool kernel = gate_kernel_mode(g);
	uint32_t pf_error = 0;

	if (!b->rip) {
		domain_crash(v, "%s: no handler (rip %016lx)", b->what, (unsigned long)regs->rip);
		return false;
	}
	if (!kernel) {
		arch_toggle_mode(v);
		sp = g->kernel_sp;
	}
	sp = (sp & ~UINT64_C(15)) - size;

	if (!va_guest_ok(sp) || !va_guest_ok(sp + size - 1) ||
	    !write_frame(v, b, kernel, mask, sp, &fault_va, &pf_error)) {
		domain_crash(v, "%s: no room for the frame at stack %016lx (fault at %016lx, error %x)",
			     b->what, (unsigned long)sp, (unsigned long)fault_va, pf_error);
		return false;
	}
	if (b->mask_events)
		WRITE_ONCE(g->vcpu_info->evtchn_upcall_mask, 1);

	/* As the hardware does on a trap; AC too, so that no alignment check hits the kernel. */
	regs->rflags &= ~(X86_FL_AC | X86_FL_VM | X86_FL_RF | X86_FL_NT | X86_FL_TF);
	regs->rflags |= X86_FL_IF | X86_FL_MBS;
	regs->rsp = sp;
	regs->ss = FLAT_KERNEL_SS;
	regs->cs = FLAT_KERNEL_CS;
	regs->rip = b->rip;
	return true;
}

static const char *const exception_names[] = {
	"divide error", "debug exception", "NMI", "breakpoint", "overflow", "bound range",
	"invalid opcode", "device not available", "double fault", "coprocessor segment overrun",
	"invalid TSS", "segment not present", "stack fault", "general protection", "page fault",
	"spurious interrupt", "x87 error", "alignment check", "machine check", "SIMD error",
	"virtualization exception", "control protection",
};

void arch_inject_exception(struct vcpu *v, unsigned vector, uint32_t error, uint64_t cr2)
{
	const struct trap_info *ti;
	struct bounce b = { .error = error, .what = "exception" };

	ASSERT(vector < 32);
	ti = &v->arch.traps[vector];
	b.rip = ti->address;
	b.mask_events = TI_GET_IF(ti);
	b.has_error = (HAS_ERROR_CODE >> vector) & 1;
	if (vector < ARRAY_SIZE(exception_names))
		b.what = exception_names[vector];

	if (vector == X86_PF) {
		/* All of the guest is ring 3 to the hardware; tell which of its modes it was. */
		b.error &= ~PFEC_USER;
		if (!gate_kernel_mode(&v->gate))
			b.error |= PFEC_USER;
		v->gate.cr2 = cr2;
		WRITE_ONCE(v->gate.vcpu_info->arch.cr2, cr2);
		if (!b.rip) {
			domain_crash(v, "page fault at %016lx, error %x: no handler", (unsigned long)cr2,
				     error);
			return;
		}
	}
	bounce_to_kernel(v, &b);
}

void arch_inject_pf(struct vcpu *v, uint64_t va, uint32_t error)
{
	arch_inject_exception(v, X86_PF, error, va);
}

bool soft_int_allowed(const struct vcpu *v, unsigned vector)
{
	/* DPL 0 is the hypervisor's; the guest kernel counts as ring 1, as it once ran there. */
	unsigned cpl = gate_kernel_mode(&v->gate) ? 1 : 3;

	return TI_GET_DPL(&v->arch.traps[vector]) >= cpl;
}

void inject_soft_int(struct vcpu *v, unsigned vector)
{
	const struct trap_info *ti = &v->arch.traps[vector];
	struct bounce b = {
		.rip = ti->address, .mask_events = TI_GET_IF(ti), .what = "software interrupt",
	};

	stat_inc(&v->stats.soft_ints);
	bounce_to_kernel(v, &b);
}

void arch_deliver_upcall(struct vcpu *v)
{
	struct bounce b = {
		.rip = v->gate.event_callback, .mask_events = true, .what = "event upcall",
	};

	bounce_to_kernel(v, &b);
}

void arch_deliver_nmi(struct vcpu *v)
{
	const struct trap_info *ti = &v->arch.traps[X86_NMI];
	struct bounce b = { .rip = ti->address, .mask_events = TI_GET_IF(ti), .what = "NMI" };

	if (!READ_ONCE(v->arch.nmi_pending) || v->arch.nmi_masked)
		return;
	WRITE_ONCE(v->arch.nmi_pending, false);
	if (!b.rip)
		return; /* nobody listens: the edge is lost, as on hardware without a handler */
	v->arch.nmi_masked = true;
	gate_slow(&v->gate, GATE_SLOW_NMI, true);
	bounce_to_kernel(v, &b);
}

void arch_resume_failed(struct vcpu *v)
{
	struct bounce b = {
		.rip = v->gate.failsafe_callback,
		.mask_events = v->gate.flags & GATE_FAILSAFE_MASKS,
		.failsafe = true,
		.what = "failsafe callback",
	};

	bounce_to_kernel(v, &b);
}
