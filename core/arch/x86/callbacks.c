/* SPDX-License-Identifier: MIT */
/*
 * callbacks.c - hypercalls with which a guest kernel tells where it wants to be entered, and the one
 * with which it goes back
 *
 * set_trap_table, set_callbacks, callback_op, nmi_op, stack_switch; and iret.
 */
#include "internal.h"
#include <xen/callback.h>
#include <xen/nmi.h>
#include <xenopus/hypercall.h>

/* A selector of RPL 0 means ring 1 of old; every guest is in ring 3 here. */
static uint16_t guest_selector(uint16_t selector)
{
	return selector & 3 ? selector : selector | 3;
}

void traps_changed(struct vcpu *v)
{
	const struct trap_info *ti = &v->arch.traps[X86_PF];

	v->gate.pf_handler = TI_GET_IF(ti) ? ti->address : 0;
}

long do_set_trap_table(struct vcpu *v, struct hypercall_args *a)
{
	struct trap_info ti;

	if (!a->arg[0]) {
		memset(v->arch.traps, 0, sizeof(v->arch.traps));
		traps_changed(v);
		return 0;
	}
	/* The table ends with an entry of address 0; nothing else bounds it, so stop now and then. */
	for (;;) {
		if (guest_copy_from(v, &ti, a->arg[0], sizeof(ti)))
			return -XEN_EFAULT;
		if (!ti.address)
			return 0;
		if (!va_canonical(ti.address))
			return -XEN_EINVAL;
		ti.cs = guest_selector(ti.cs);
		v->arch.traps[ti.vector] = ti;
		traps_changed(v);
		a->arg[0] += sizeof(ti);
		if (hypercall_preempt())
			return -XEN_ERESTART;
	}
}

static void set_flag(struct gate_vcpu *g, uint32_t flag, bool on)
{
	g->flags = on ? g->flags | flag : g->flags & ~flag;
}

static void set_nmi_handler(struct vcpu *v, uint64_t address)
{
	struct trap_info *ti = &v->arch.traps[X86_NMI];

	*ti = (struct trap_info){ .vector = X86_NMI, .cs = FLAT_KERNEL_CS, .address = address };
	TI_SET_IF(ti, 1);
}

static long register_callback(struct vcpu *v, const struct callback_register *reg)
{
	struct gate_vcpu *g = &v->gate;
	bool masks = reg->flags & CALLBACKF_mask_events;

	if (!va_canonical(reg->address))
		return -XEN_EINVAL;

	switch (reg->type) {
	case CALLBACKTYPE_event:
		g->event_callback = reg->address;
		return 0;
	case CALLBACKTYPE_failsafe:
		g->failsafe_callback = reg->address;
		set_flag(g, GATE_FAILSAFE_MASKS, masks);
		return 0;
	case CALLBACKTYPE_syscall:
		g->syscall_callback = reg->address;
		set_flag(g, GATE_SYSCALL_MASKS, masks);
		return 0;
	case CALLBACKTYPE_syscall32:
		g->syscall32_callback = reg->address;
		set_flag(g, GATE_SYSCALL32_MASKS, masks);
		return 0;
	case CALLBACKTYPE_sysenter:
		g->sysenter_callback = reg->address;
		set_flag(g, GATE_SYSENTER_MASKS, masks);
		return 0;
	case CALLBACKTYPE_nmi:
		set_nmi_handler(v, reg->address);
		return 0;
	default:
		return -XEN_ENOSYS;
	}
}

static long unregister_callback(struct vcpu *v, unsigned type)
{
	switch (type) {
	case CALLBACKTYPE_nmi:
		memset(&v->arch.traps[X86_NMI], 0, sizeof(v->arch.traps[X86_NMI]));
		return 0;
	case CALLBACKTYPE_event:
	case CALLBACKTYPE_failsafe:
	case CALLBACKTYPE_syscall:
	case CALLBACKTYPE_syscall32:
	case CALLBACKTYPE_sysenter:
		return -XEN_EINVAL; /* a guest cannot do without them */
	default:
		return -XEN_ENOSYS;
	}
}

long do_callback_op(struct vcpu *v, struct hypercall_args *a)
{
	struct callback_register reg;
	struct callback_unregister unreg;

	switch ((int)a->arg[0]) {
	case CALLBACKOP_register:
		if (guest_copy_from(v, &reg, a->arg[1], sizeof(reg)))
			return -XEN_EFAULT;
		return register_callback(v, &reg);
	case CALLBACKOP_unregister:
		if (guest_copy_from(v, &unreg, a->arg[1], sizeof(unreg)))
			return -XEN_EFAULT;
		return unregister_callback(v, unreg.type);
	default:
		return -XEN_ENOSYS;
	}
}

long do_set_callbacks(struct vcpu *v, struct hypercall_args *a)
{
	static const uint16_t types[3] = {
		CALLBACKTYPE_event, CALLBACKTYPE_failsafe, CALLBACKTYPE_syscall,
	};
	unsigned i;

	for (i = 0; i < 3; i++)
		if (!va_canonical(a->arg[i]))
			return -XEN_EINVAL;
	for (i = 0; i < 3; i++) {
		struct callback_register reg = { .type = types[i], .address = a->arg[i] };

		register_callback(v, &reg);
	}
	return 0;
}

long do_nmi_op(struct vcpu *v, struct hypercall_args *a)
{
	struct xennmi_callback cb;

	switch ((unsigned)a->arg[0]) {
	case XENNMI_register_callback:
		if (guest_copy_from(v, &cb, a->arg[1], sizeof(cb)))
			return -XEN_EFAULT;
		if (!va_canonical(cb.handler_address))
			return -XEN_EINVAL;
		set_nmi_handler(v, cb.handler_address);
		return 0;
	case XENNMI_unregister_callback:
		return unregister_callback(v, CALLBACKTYPE_nmi);
	default:
		return -XEN_ENOSYS;
	}
}

long do_stack_switch(struct vcpu *v, struct hypercall_args *a)
{
	v->gate.kernel_ss = guest_selector(a->arg[0]);
	v->gate.kernel_sp = a->arg[1];
	return 0;
}

long do_iret(struct vcpu *v, struct hypercall_args *a)
{
	struct cpu_user_regs *regs = &v->gate.regs;
	struct iret_context frame;

	a->left = true;
	if (guest_copy_from(v, &frame, regs->rsp, sizeof(frame))) {
		domain_crash(v, "iret: cannot read the frame at stack %016lx",
			     (unsigned long)regs->rsp);
		return 0;
	}
	if ((frame.cs & 3) == 3) {
		if (!v->gate.cr3_user) {
			domain_crash(v, "iret to user mode without user page tables (rip %016lx)",
				     (unsigned long)frame.rip);
			return 0;
		}
		arch_toggle_mode(v);
	}
	if (assist(v, VMASST_TYPE_architectural_iopl))
		v->arch.iopl = (frame.rflags & X86_FL_IOPL) >> 12;

	regs->rip = frame.rip;
	regs->cs = frame.cs | 3;
	regs->rflags = (frame.rflags & X86_FL_ALL & ~(X86_FL_IOPL | X86_FL_VM)) | X86_FL_IF |
		       X86_FL_MBS;
	regs->rsp = frame.rsp;
	regs->ss = frame.ss | 3;
	if (!(frame.flags & VGCF_in_syscall)) {
		regs->r11 = frame.r11;
		regs->rcx = frame.rcx;
	} else {
		/* As SYSRET leaves them. */
		regs->r11 = regs->rflags;
		regs->rcx = regs->rip;
	}
	regs->rax = frame.rax;
	v->arch.nmi_masked = false;
	gate_slow(&v->gate, GATE_SLOW_NMI, false);
	WRITE_ONCE(v->gate.vcpu_info->evtchn_upcall_mask, !(frame.rflags & X86_FL_IF));

	/* The hardware would refuse to return there, and the guest must hear of it. */
	if (!va_canonical(regs->rip))
		arch_resume_failed(v);
	return regs->rax;
}
