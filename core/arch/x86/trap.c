/* SPDX-License-Identifier: MIT */
/*
 * trap.c - what to do with each way a guest leaves ring 3
 *
 *	SYSCALL from guest kernel	a hypercall
 *	SYSCALL from guest user		bounced to the kernel's syscall callback
 *	page fault on a page table	the store is done for the guest (core/mm)
 *	#GP, #UD			perhaps an instruction the ABI emulates, else the guest's own
 *	anything else			the guest's own: bounced to its handler
 */
#include "internal.h"
#include <xenopus/hypercall.h>

/* A return address beyond the canonical ones cannot be resumed; the guest gets what a jump there gives. */
static bool check_rip(struct vcpu *v)
{
	if (likely(va_canonical(v->gate.regs.rip)))
		return true;
	arch_inject_exception(v, X86_GP, 0, 0);
	return false;
}

/* SYSCALL by guest user code. rcx and r11 hold its rip and rflags, for the frame too. */
static void user_syscall(struct vcpu *v, bool compat)
{
	struct gate_vcpu *g = &v->gate;
	uint32_t masks = compat ? GATE_SYSCALL32_MASKS : GATE_SYSCALL_MASKS;
	struct bounce b = {
		.rip = compat ? g->syscall32_callback : g->syscall_callback,
		.mask_events = g->flags & masks,
		.what = "system call",
	};

	if (!b.rip) {
		g->regs.rip -= 2;
		arch_inject_exception(v, X86_UD, 0, 0);
		return;
	}
	stat_inc(&v->stats.guest_syscalls);
	g->regs.cs = compat ? FLAT_USER_CS32 : FLAT_USER_CS64;
	g->regs.ss = FLAT_USER_SS;
	if (bounce_to_kernel(v, &b))
		g->regs.rflags &= ~X86_FL_DF; /* there is no virtual SFMASK; the ABI fixes this one */
}

/* SYSENTER by guest user code: where it came from is not told, by this instruction's design. */
static bool user_sysenter(struct vcpu *v)
{
	struct gate_vcpu *g = &v->gate;
	struct bounce b = {
		.rip = g->sysenter_callback,
		.mask_events = g->flags & GATE_SYSENTER_MASKS,
		.what = "sysenter",
	};

	if (!b.rip || gate_kernel_mode(g))
		return false;
	stat_inc(&v->stats.guest_syscalls);
	g->regs.rip = 0;
	g->regs.cs = 3;
	g->regs.rsp = 0;
	g->regs.ss = FLAT_USER_SS;
	bounce_to_kernel(v, &b);
	return true;
}

static void soft_int(struct vcpu *v, const struct insn *insn, unsigned vector)
{
	count_emulated(v, EMUL_SOFT_INT);
	if (!soft_int_allowed(v, vector)) {
		arch_inject_exception(v, X86_GP, vector * 8 + 2, 0);
		return;
	}
	v->gate.regs.rip = insn_next_rip(insn, v->gate.regs.rip);
	inject_soft_int(v, vector);
}

/*
 * INT n, INT3 and INTO that trapped instead of going through a gate: some hosts raise #UD for them,
 * and gates of DPL 0 raise #GP. The error code is not trusted to name the vector.
 */
static bool software_interrupt(struct vcpu *v, const struct insn *insn, unsigned cause)
{
	if (insn->map != INSN_MAP_ONE || insn->forced)
		return false;
	switch (insn->opcode) {
	case 0xcd:
		soft_int(v, insn, (uint8_t)insn->imm);
		return true;
	case 0xcc: case 0xce:
		if (cause != X86_UD)
			return false;
		if (insn->opcode == 0xce && !(v->gate.regs.rflags & (1u << 11)))
			return false;
		v->gate.regs.rip = insn_next_rip(insn, v->gate.regs.rip);
		arch_inject_exception(v, insn->opcode == 0xcc ? X86_BP : X86_OF, 0, 0);
		return true;
	default:
		return false;
	}
}

/* Fast system calls of 32-bit code on a CPU (or host) that does not take them in this mode. */
static bool fast_syscall(struct vcpu *v, const struct insn *insn)
{
	struct cpu_user_regs *regs = &v->gate.regs;

	if (insn->mode != INSN_MODE_32 || insn->forced || gate_kernel_mode(&v->gate))
		return false;
	if (insn_is(insn, INSN_MAP_0F, 0x34))
		return user_sysenter(v);
	if (!insn_is(insn, INSN_MAP_0F, 0x05) || !v->gate.syscall32_callback)
		return false;
	regs->rip = insn_next_rip(insn, regs->rip);
	regs->rcx = regs->rip;
	regs->r11 = regs->rflags;
	user_syscall(v, true);
	return true;
}

static void handle_instruction_trap(struct vcpu *v, const struct trap *t)
{
	struct insn_regs regs;
	uint32_t pf_error;
	uint64_t fault_va;
	struct insn insn;

	switch (arch_insn_fetch(v, &insn, &regs, &fault_va, &pf_error)) {
	case INSN_OK:
		if (software_interrupt(v, &insn, t->vector) || fast_syscall(v, &insn))
			return;
		/* Of undefined opcodes only the forced ones are the core's. */
		if ((t->vector == X86_GP || insn.forced || insn_is(&insn, INSN_MAP_0F, 0xa2)) &&
		    emulate_privileged(v, &insn, &regs)) {
			check_rip(v);
			return;
		}
		break;
	case INSN_MORE:
		/* It was there when it trapped; now its tail is not. The guest may mend that. */
		arch_inject_pf(v, fault_va, pf_error);
		return;
	default:
		break;
	}
	arch_inject_exception(v, t->vector, t->error, 0);
}

static void handle_page_fault(struct vcpu *v, const struct trap *t)
{
	const uint32_t write_protected = PFEC_PRESENT | PFEC_WRITE;

	if (gate_kernel_mode(&v->gate) &&
	    (t->error & (write_protected | PFEC_RSVD | PFEC_FETCH)) == write_protected &&
	    va_guest_ok(t->cr2) && mm_ptwr_emulate(v, t->cr2, t->error))
		return;
	if (t->cr2 - RESERVED_VIRT_START < M2P_VIRT - RESERVED_VIRT_START && emulate_m2p_load(v, t))
		return;
	arch_inject_exception(v, X86_PF, t->error, t->cr2);
}

static void handle_device_not_available(struct vcpu *v)
{
	bool guest_wants_it = v->arch.ts;

	/* One trap per set: the guest's handler finds the FPU usable. */
	v->arch.ts = false;
	plat_ts_set(v, false);
	if (guest_wants_it)
		arch_inject_exception(v, X86_NM, 0, 0);
}

static void handle_exception(struct vcpu *v, const struct trap *t)
{
	if (t->vector >= 32) {
		domain_crash(v, "trap with vector %u from the home", t->vector);
		return;
	}
	stat_inc(&v->stats.exceptions[t->vector]);
	switch (t->vector) {
	case X86_PF:
		handle_page_fault(v, t);
		break;
	case X86_GP: case X86_UD:
		handle_instruction_trap(v, t);
		break;
	case X86_NM:
		handle_device_not_available(v);
		break;
	case X86_DB:
		v->arch.dr[6] = plat_debugreg_get(v, 6);
		arch_inject_exception(v, X86_DB, 0, 0);
		break;
	case X86_DF:
		domain_crash(v, "double fault");
		break;
	default:
		arch_inject_exception(v, t->vector, t->error, 0);
	}
}

inline bool arch_hypercall(struct vcpu *v)
{
	bool plain = hypercall_dispatch(v);

	return check_rip(v) && plain;
}

void arch_handle_trap(struct vcpu *v, const struct trap *t)
{
	switch (t->cause) {
	case TRAP_EXCEPTION:
		handle_exception(v, t);
		break;
	case TRAP_SYSCALL:
		if (gate_kernel_mode(&v->gate)) {
			arch_hypercall(v);
			break;
		}
		user_syscall(v, false);
		check_rip(v);
		break;
	case TRAP_SYSCALL32:
		/* No hypercalls from 32-bit code: a kernel that runs some is treated as hardware would. */
		if (gate_kernel_mode(&v->gate)) {
			v->gate.regs.rip -= 2;
			arch_inject_exception(v, X86_UD, 0, 0);
		} else {
			user_syscall(v, true);
		}
		break;
	case TRAP_SYSENTER:
		if (!user_sysenter(v))
			arch_inject_exception(v, X86_GP, 0, 0);
		break;
	case TRAP_BAD_RETURN:
		arch_resume_failed(v);
		break;
	case TRAP_SOFT_INT:
		if (t->vector < 256 && soft_int_allowed(v, t->vector)) {
			inject_soft_int(v, t->vector);
			break;
		}
		/* What a gate of the handler's DPL would have done. */
		v->gate.regs.rip -= 2;
		arch_inject_exception(v, X86_GP, (t->vector & 0xff) * 8 + 2, 0);
		break;
	case TRAP_NMI:
	case TRAP_KICK:
	case TRAP_HANDLED:
		break;
	}
}
