/* SPDX-License-Identifier: MIT */
/*
 * context.c - the state of a virtual CPU: reset, whole contexts, segment bases, FPU ownership
 *
 * arch_set_context() checks everything that can be checked before it changes anything; what takes
 * references (GDT frames, page tables) comes last and is undone when a later one fails.
 */
#include "internal.h"
#include <xenopus/hypercall.h>

#define CR4_VISIBLE UINT64_C(0x660) /* PAE, MCE, OSFXSR, OSXMMEXCPT: always on */
#define DR6_RESET   UINT64_C(0xffff0ff0)
#define DR7_RESET   UINT64_C(0x00000400)

int arch_vcpu_init(struct vcpu *v)
{
	memset(&v->arch, 0, sizeof(v->arch));
	v->arch.cr4 = CR4_VISIBLE;
	v->arch.dr[6] = DR6_RESET;
	v->arch.dr[7] = DR7_RESET;
	v->arch.xcr0 = 1;
	v->gate.flags = GATE_KERNEL_MODE;
	v->gate.regs.cs = FLAT_KERNEL_CS;
	v->gate.regs.ss = FLAT_KERNEL_SS;
	v->gate.regs.rflags = X86_FL_IF | X86_FL_MBS;
	return 0;
}

void arch_vcpu_destroy(struct vcpu *v)
{
	/* What these refer to is counted: nobody could give it up any more. */
	ASSERT(!v->arch.gdt_entries && !v->arch.ldt_entries);
	v->gate.pf_handler = 0;
	/* No handler, table or callback is left that something late could follow. */
	memset(&v->arch, 0, sizeof(v->arch));
}

static bool context_addresses_ok(const struct vcpu_guest_context *ctx)
{
	unsigned i;

	if (!va_canonical(ctx->user_regs.rip) || !va_canonical(ctx->event_callback_eip) ||
	    !va_canonical(ctx->failsafe_callback_eip) || !va_canonical(ctx->syscall_callback_eip) ||
	    !va_canonical(ctx->fs_base) || !va_canonical(ctx->gs_base_kernel) ||
	    !va_canonical(ctx->gs_base_user))
		return false;
	for (i = 0; i < 256; i++)
		if (!va_canonical(ctx->trap_ctxt[i].address))
			return false;
	/* An LDT lies on whole pages, outside the hypervisor's slots, and has 8192 entries at most. */
	if (ctx->ldt_ents &&
	    (ctx->ldt_ents > 8192 || (ctx->ldt_base & ~PAGE_MASK) || !va_guest_ok(ctx->ldt_base) ||
	     !va_guest_ok(ctx->ldt_base + ctx->ldt_ents * 8 - 1)))
		return false;
	return ctx->gdt_ents <= FIRST_RESERVED_GDT_ENTRY;
}

static int check_context(const struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	bool kernel = ctx->flags & VGCF_in_kernel;

	if (!context_addresses_ok(ctx))
		return -XEN_EINVAL;
	if (!(ctx->ctrlreg[3] & PTE_ADDR) || (!kernel && !(ctx->ctrlreg[1] & PTE_ADDR)))
		return -XEN_EINVAL;
	return v->initialised ? -XEN_EBUSY : 0;
}

static void take_registers(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	struct gate_vcpu *g = &v->gate;
	struct cpu_user_regs *regs = &g->regs;
	bool kernel = ctx->flags & VGCF_in_kernel;

	*regs = ctx->user_regs;
	regs->cs |= 3;
	/* Ring 3 cannot have a null stack selector, as kernels of ring 0 can. */
	regs->ss = regs->ss > 3 ? regs->ss | 3 : FLAT_KERNEL_SS;
	regs->rflags = (regs->rflags & X86_FL_ALL & ~(X86_FL_IOPL | X86_FL_VM)) | X86_FL_IF |
		       X86_FL_MBS;
	g->flags = kernel ? GATE_KERNEL_MODE : 0;
	if (ctx->flags & VGCF_failsafe_disables_events)
		g->flags |= GATE_FAILSAFE_MASKS;
	if (ctx->flags & VGCF_syscall_disables_events)
		g->flags |= GATE_SYSCALL_MASKS;
	g->event_callback = ctx->event_callback_eip;
	g->failsafe_callback = ctx->failsafe_callback_eip;
	g->syscall_callback = ctx->syscall_callback_eip;
	g->kernel_ss = ctx->kernel_ss | 3;
	g->kernel_sp = ctx->kernel_sp;
	g->gs_base_other = kernel ? ctx->gs_base_user : ctx->gs_base_kernel;
}

static void take_system_state(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	struct vcpu_arch *arch = &v->arch;
	bool kernel = ctx->flags & VGCF_in_kernel;
	unsigned i;

	for (i = 0; i < 256; i++) {
		arch->traps[i] = ctx->trap_ctxt[i];
		arch->traps[i].cs |= 3;
	}
	traps_changed(v);
	arch->iopl = (ctx->user_regs.rflags & X86_FL_IOPL) >> 12;
	arch->ts = ctx->ctrlreg[0] & X86_CR0_TS;
	arch->cr4 = CR4_VISIBLE | (ctx->ctrlreg[4] & (X86_CR4_TSD | X86_CR4_DE | X86_CR4_FSGSBASE |
						      X86_CR4_OSXSAVE));
	mm_set_ldt(v, ctx->ldt_base, ctx->ldt_ents); /* checked above; pages not mapped now fault when used */

	/* Selectors first: loading one sets the base that the next lines set for good. */
	plat_descriptors_changed(v);
	plat_seg_load(v, PLAT_DS, ctx->user_regs.ds);
	plat_seg_load(v, PLAT_ES, ctx->user_regs.es);
	plat_seg_load(v, PLAT_FS, ctx->user_regs.fs);
	plat_seg_load(v, PLAT_GS, ctx->user_regs.gs);
	plat_base_set(v, PLAT_FS, ctx->fs_base);
	plat_base_set(v, PLAT_GS, kernel ? ctx->gs_base_kernel : ctx->gs_base_user);
	plat_ts_set(v, arch->ts);
	plat_xcr0_set(v, arch->xcr0);
	if (ctx->flags & VGCF_i387_valid)
		plat_fpu_set(v, &ctx->fpu_ctxt);

	/* Values a guest could not write by hypercall either are left out. */
	for (i = 0; i < 8; i++)
		if (i != 4 && i != 5)
			arch_set_debugreg(v, i, ctx->debugreg[i]);
}

/*
 * The page tables, which may take several attempts: what one has got, the next finds there. So the descriptor tables come
 * after them.
 */
static int take_tables(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	int rc = mm_set_kernel_base(v, pte_mfn(ctx->ctrlreg[3]));

	if (!rc)
		rc = mm_set_user_base(v, pte_mfn(ctx->ctrlreg[1] & PTE_ADDR));
	if (!rc && ctx->gdt_ents)
		rc = mm_set_gdt(v, (const uint64_t *)ctx->gdt_frames, ctx->gdt_ents);
	return rc;
}

int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	int rc = check_context(v, ctx);

	if (rc)
		return rc;
	rc = take_tables(v, ctx);
	if (rc) {
		if (rc != -XEN_ERESTART)
			mm_drop_bases(v);
		return rc;
	}
	take_registers(v, ctx);
	take_system_state(v, ctx);
	return 0;
}

/* The inverse of take_registers() and take_system_state(). */
void arch_get_context(struct vcpu *v, struct vcpu_guest_context *ctx)
{
	const struct gate_vcpu *g = &v->gate;
	const struct vcpu_arch *arch = &v->arch;
	uint64_t gs_base = plat_base_get(v, PLAT_GS);
	bool kernel = gate_kernel_mode(g);
	unsigned i;

	memset(ctx, 0, sizeof(*ctx));
	ctx->user_regs = g->regs;
	ctx->user_regs.rflags |= (uint64_t)arch->iopl << 12;
	ctx->user_regs.ds = plat_seg_get(v, PLAT_DS);
	ctx->user_regs.es = plat_seg_get(v, PLAT_ES);
	ctx->user_regs.fs = plat_seg_get(v, PLAT_FS);
	ctx->user_regs.gs = plat_seg_get(v, PLAT_GS);
	ctx->user_regs.saved_upcall_mask = READ_ONCE(g->vcpu_info->evtchn_upcall_mask);
	ctx->flags = (kernel ? VGCF_in_kernel : 0) |
		     (g->flags & GATE_FAILSAFE_MASKS ? VGCF_failsafe_disables_events : 0) |
		     (g->flags & GATE_SYSCALL_MASKS ? VGCF_syscall_disables_events : 0) |
		     (READ_ONCE(v->sched.pause_flags) & VPF_DOWN ? 0 : VGCF_online);
	for (i = 0; i < 256; i++)
		ctx->trap_ctxt[i] = arch->traps[i];
	ctx->ldt_base = arch->ldt_base;
	ctx->ldt_ents = arch->ldt_entries;
	ctx->gdt_ents = arch->gdt_entries;
	for (i = 0; i < (arch->gdt_entries + 511) / 512; i++)
		ctx->gdt_frames[i] = arch->gdt_frames[i].n;
	ctx->kernel_ss = g->kernel_ss;
	ctx->kernel_sp = g->kernel_sp;
	ctx->ctrlreg[0] = arch->ts ? X86_CR0_TS : 0;
	ctx->ctrlreg[1] = g->cr3_user;
	ctx->ctrlreg[2] = g->cr2;
	ctx->ctrlreg[3] = g->cr3_kernel;
	ctx->ctrlreg[4] = arch->cr4;
	for (i = 0; i < 8; i++)
		ctx->debugreg[i] = arch->dr[i];
	ctx->event_callback_eip = g->event_callback;
	ctx->failsafe_callback_eip = g->failsafe_callback;
	ctx->syscall_callback_eip = g->syscall_callback;
	ctx->vm_assist = READ_ONCE(v->domain->mm.vm_assist);
	ctx->fs_base = plat_base_get(v, PLAT_FS);
	ctx->gs_base_kernel = kernel ? gs_base : g->gs_base_other;
	ctx->gs_base_user = kernel ? g->gs_base_other : gs_base;
}

long do_fpu_taskswitch(struct vcpu *v, struct hypercall_args *a)
{
	v->arch.ts = (int)a->arg[0];
	plat_ts_set(v, v->arch.ts);
	return 0;
}

/*
 * Load a selector into the GS of guest user, as the kernel cannot by itself: the base that follows
 * from the descriptor is the user's, while the kernel's own, now active, stays. The ABI has no error
 * for a bad selector: it becomes null.
 */
static void load_user_gs(struct vcpu *v, uint16_t selector)
{
	uint64_t kernel_base = plat_base_get(v, PLAT_GS);

	if (selector > 3)
		selector |= 3;
	if (plat_seg_load(v, PLAT_GS, selector)) {
		selector = 0;
		plat_seg_load(v, PLAT_GS, selector);
	}
	v->gate.gs_base_other = selector > 3 ? plat_base_get(v, PLAT_GS) : 0;
	plat_base_set(v, PLAT_GS, kernel_base);
}

long do_set_segment_base(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t base = a->arg[1];
	unsigned which = (unsigned)a->arg[0];

	switch (which) {
	case SEGBASE_FS:
	case SEGBASE_GS_USER:
	case SEGBASE_GS_KERNEL:
		if (!va_canonical(base))
			return -XEN_EINVAL;
		if (which == SEGBASE_FS)
			plat_base_set(v, PLAT_FS, base);
		else if (which == SEGBASE_GS_USER)
			v->gate.gs_base_other = base; /* hypercalls come from kernel mode */
		else
			plat_base_set(v, PLAT_GS, base);
		return 0;
	case SEGBASE_GS_USER_SEL:
		load_user_gs(v, (uint16_t)base);
		return 0;
	default:
		return -XEN_EINVAL;
	}
}
