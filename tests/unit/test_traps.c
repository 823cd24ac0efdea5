/* SPDX-License-Identifier: MIT */
/*
 * test_traps.c - bounce frames, system calls, software interrupts, iret, callbacks, contexts
 */
#include "archfake.h"
#include <xen/callback.h>
#include <xen/nmi.h>

#define HANDLER UINT64_C(0xffffffff81000000)

#define REGS (&fake.v.gate.regs)

static const uint64_t *frame(void)
{
	return fake_mem(REGS->rsp);
}

static void assert_at_handler(uint64_t rip)
{
	assert_false(fake.crashed);
	assert_int_equal(REGS->rip, rip);
	assert_int_equal(REGS->cs, FLAT_KERNEL_CS);
	assert_int_equal(REGS->ss, FLAT_KERNEL_SS);
	assert_true(gate_kernel_mode(&fake.v.gate));
}

/* From kernel mode: below the stack pointer, aligned, RPL 0 in cs, the mask in its upper half. */
static void test_frame_kernel(void **state)
{
	uint64_t sp = REGS->rsp, rip = REGS->rip;

	fake_handler(X86_DE, HANDLER, 0, false);
	REGS->rflags = 0x246 | X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_AC | X86_FL_DF | X86_FL_IOPL;
	fake.info.evtchn_upcall_mask = 1;
	fake_trap(X86_DE, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(REGS->rsp, (sp & ~15ull) - 7 * 8);
	assert_int_equal(frame()[0], 0xc0c0);
	assert_int_equal(frame()[1], 0x1111);
	assert_int_equal(frame()[2], rip);
	assert_int_equal(frame()[3], (1ull << 32) | (FLAT_KERNEL_CS & ~3));
	/* events were masked: IF reads clear; IOPL is never shown without the assist */
	assert_int_equal(frame()[4], 0x46 | X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_AC | X86_FL_DF);
	assert_int_equal(frame()[5], sp);
	assert_int_equal(frame()[6], FLAT_KERNEL_SS);
	assert_int_equal(REGS->rflags & (X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_AC), 0);
	assert_true(REGS->rflags & X86_FL_DF);
	assert_true(REGS->rflags & X86_FL_IF);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1);
	assert_int_equal(fake.v.stats.exceptions[X86_DE], 1);
}

/* From user mode: on the kernel's stack, GS bases exchanged, error code in its place. */
static void test_frame_user_error(void **state)
{
	plat_base_set(&fake.v, PLAT_GS, 0x7000);
	fake.v.gate.gs_base_other = KERNEL_VA;
	fake.v.gate.kernel_sp = KERNEL_SP + 9;
	fake_user();
	fake_handler(X86_NP, HANDLER, 0, true);
	REGS->rflags = 0x202;
	fake_trap(X86_NP, 0x28, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(REGS->rsp, KERNEL_SP - 8 * 8);
	assert_int_equal(frame()[2], 0x28);
	assert_int_equal(frame()[3], USER_CODE);
	assert_int_equal(frame()[4], FLAT_USER_CS64); /* mask was 0, RPL stays 3 */
	assert_int_equal(frame()[5], 0x202);
	assert_int_equal(frame()[6], USER_SP);
	assert_int_equal(frame()[7], FLAT_USER_SS64);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), KERNEL_VA);
	assert_int_equal(fake.v.gate.gs_base_other, 0x7000);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1); /* the handler asked for it */
}

static void test_architectural_iopl(void **state)
{
	fake.d.mm.vm_assist = 1ull << VMASST_TYPE_architectural_iopl;
	fake.v.arch.iopl = 3;
	fake_handler(X86_DE, HANDLER, 0, false);
	fake_trap(X86_DE, 0, 0);
	assert_int_equal(frame()[4] & X86_FL_IOPL, X86_FL_IOPL);
}

static void test_page_fault(void **state)
{
	fake_handler(X86_PF, HANDLER, 0, false);
	fake_trap(X86_PF, PFEC_USER | PFEC_WRITE, 0xdead000);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], PFEC_WRITE); /* the guest's own idea of user: it was its kernel */
	assert_int_equal(fake.info.arch.cr2, 0xdead000);
	assert_int_equal(fake.ptwr, 0);

	fake_user();
	fake_trap(X86_PF, PFEC_USER | PFEC_PRESENT | PFEC_WRITE, 0x1000);
	assert_int_equal(frame()[2], PFEC_USER | PFEC_PRESENT | PFEC_WRITE);
	assert_int_equal(fake.ptwr, 0); /* never for user mode */
}

static void test_page_table_write(void **state)
{
	uint64_t rip = REGS->rip;

	fake_handler(X86_PF, HANDLER, 0, false);
	fake.ptwr_answer = true;
	fake_trap(X86_PF, PFEC_USER | PFEC_PRESENT | PFEC_WRITE, KERNEL_VA);
	assert_int_equal(fake.ptwr, 1);
	assert_int_equal(REGS->rip, rip);
	fake.ptwr_answer = false;
	fake_trap(X86_PF, PFEC_USER | PFEC_PRESENT | PFEC_WRITE, KERNEL_VA);
	assert_at_handler(HANDLER);
	assert_int_equal(fake.ptwr, 2);
	/* Not for the hypervisor's slots, nor with reserved bits. */
	fake_trap(X86_PF, PFEC_USER | PFEC_PRESENT | PFEC_WRITE, RESERVED_VIRT_START);
	fake_trap(X86_PF, PFEC_USER | PFEC_PRESENT | PFEC_WRITE | PFEC_RSVD, KERNEL_VA);
	assert_int_equal(fake.ptwr, 2);
}

/* No handler, no stack, a stack in the hypervisor's slots: the domain ends, with a reason. */
static void test_crashes(void **state)
{
	fake_trap(X86_DE, 0, 0);
	assert_true(fake.crashed);
	assert_non_null(strstr(fake.crash, "divide error"));

	fake.crashed = false;
	fake_handler(X86_DE, HANDLER, 0, true);
	fake.hole = KERNEL_SP - 16;
	fake.hole_end = KERNEL_SP;
	fake_user();
	fake_trap(X86_DE, 0, 0);
	assert_true(fake.crashed);
	assert_non_null(strstr(fake.crash, "no room"));
	assert_int_equal(fake.info.evtchn_upcall_mask, 0);

	fake.crashed = false;
	fake_user();
	fake.v.gate.kernel_sp = RESERVED_VIRT_START + 64;
	fake_trap(X86_DE, 0, 0);
	assert_true(fake.crashed);

	fake.crashed = false;
	fake_user();
	fake.v.gate.kernel_sp = RESERVED_VIRT_END + 8; /* its lower end reaches into the slots */
	fake_trap(X86_DE, 0, 0);
	assert_true(fake.crashed);

	fake.crashed = false;
	fake_trap(X86_PF, 0, 0x1234);
	assert_true(fake.crashed);
	assert_non_null(strstr(fake.crash, "1234"));

	fake.crashed = false;
	fake_trap(X86_DF, 0, 0);
	assert_true(fake.crashed);
}

static void test_syscall_user(void **state)
{
	struct trap t = { TRAP_SYSCALL, 0, 0, 0 };

	fake_user();
	fake.v.gate.syscall_callback = HANDLER;
	fake.v.gate.flags |= GATE_SYSCALL_MASKS;
	REGS->cs = 0x33; /* whatever selector it had */
	REGS->rip = REGS->rcx = USER_CODE + 2;
	REGS->rflags = REGS->r11 = 0x202 | X86_FL_DF;
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[0], USER_CODE + 2);
	assert_int_equal(frame()[1], 0x202 | X86_FL_DF);
	assert_int_equal(frame()[2], USER_CODE + 2);
	assert_int_equal(frame()[3], FLAT_USER_CS64);
	assert_int_equal(frame()[6], FLAT_USER_SS64);
	assert_false(REGS->rflags & X86_FL_DF);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1);
	assert_int_equal(fake.v.stats.guest_syscalls, 1);
	assert_int_equal(fake.hypercalls, 0);
}

static void test_syscall_kernel(void **state)
{
	struct trap t = { TRAP_SYSCALL, 0, 0, 0 };

	arch_handle_trap(&fake.v, &t);
	assert_int_equal(fake.hypercalls, 1);
	assert_false(fake.crashed);
	/* At the last canonical address the return goes nowhere: the guest gets a #GP. */
	fake_handler(X86_GP, HANDLER, 0, false);
	REGS->rip = UINT64_C(0x800000000000);
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[3], UINT64_C(0x800000000000));
}

static void test_syscall_without_callback(void **state)
{
	struct trap t = { TRAP_SYSCALL, 0, 0, 0 };

	fake_handler(X86_UD, HANDLER, 0, false);
	fake_user();
	REGS->rip = USER_CODE + 2;
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], USER_CODE);
}

static void test_syscall32_sysenter(void **state)
{
	struct trap t = { TRAP_SYSCALL32, 0, 0, 0 };

	fake.v.gate.syscall32_callback = HANDLER;
	fake.v.gate.sysenter_callback = HANDLER + 64;
	fake_user();
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[3], FLAT_USER_CS32);

	fake_user();
	t.cause = TRAP_SYSENTER;
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER + 64);
	assert_int_equal(frame()[2], 0);
	assert_int_equal(frame()[3], 3);
	assert_int_equal(frame()[5], 0);

	/* The same instructions where the host raised #UD or #GP for them. */
	fake_code(false, "0f05");
	REGS->cs = FLAT_USER_CS32;
	fake_trap(X86_UD, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[0], USER_CODE + 2);
	fake_code(false, "0f34");
	REGS->cs = FLAT_USER_CS32;
	fake_trap(X86_GP, 0, 0);
	assert_at_handler(HANDLER + 64);

	/* Without a callback, sysenter is a #GP. */
	fake.v.gate.sysenter_callback = 0;
	fake_handler(X86_GP, HANDLER + 128, 0, false);
	fake_code(false, "0f34");
	REGS->cs = FLAT_USER_CS32;
	fake_trap(X86_GP, 0, 0);
	assert_at_handler(HANDLER + 128);
}

/* int n: by DPL, whatever way the host reports it, and whatever error code it makes up. */
static void test_soft_int(void **state)
{
	struct trap t = { TRAP_SOFT_INT, 0x80, 0, 0 };

	fake_handler(0x80, HANDLER, 3, false);
	fake_handler(0x81, HANDLER + 16, 1, true);
	fake_handler(X86_GP, HANDLER + 32, 0, false);
	fake_user();
	REGS->rip = USER_CODE + 2;
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], USER_CODE + 2);

	fake_code(false, "cd80");
	fake_trap(X86_UD, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], USER_CODE + 2);

	fake_code(false, "cd80");
	fake_trap(X86_GP, 0x80 * 16 + 2, 0);
	assert_at_handler(HANDLER);

	/* DPL 1: the guest's kernel may, its user may not. */
	fake_code(false, "cd81");
	fake_trap(X86_GP, 0x81 * 16 + 2, 0);
	assert_at_handler(HANDLER + 32);
	assert_int_equal(frame()[2], 0x81 * 8 + 2);
	assert_int_equal(frame()[3], USER_CODE);
	fake_code(true, "cd81");
	fake_trap(X86_GP, 0x81 * 8 + 2, 0);
	assert_at_handler(HANDLER + 16);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1);

	fake_user();
	t.vector = 0x81;
	REGS->rip = USER_CODE + 2;
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER + 32);
	assert_int_equal(frame()[3], USER_CODE);
	assert_int_equal(fake.v.stats.soft_ints, 4);
}

/* int3 in 32-bit code, where a host gives #UD; and a real ud2 stays one. */
static void test_compat_int3(void **state)
{
	fake_handler(X86_BP, HANDLER, 3, false);
	fake_handler(X86_UD, HANDLER + 16, 0, false);
	fake_code(false, "cc");
	REGS->cs = FLAT_USER_CS32;
	fake_trap(X86_UD, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], USER_CODE + 1);
	assert_int_equal(frame()[3], FLAT_USER_CS32);
	fake_code(false, "0f0b");
	fake_trap(X86_UD, 0, 0);
	assert_at_handler(HANDLER + 16);
	assert_int_equal(frame()[2], USER_CODE);
}

static void test_nm(void **state)
{
	uint64_t rip = REGS->rip;

	/* Not asked for: just go on. */
	fake_trap(X86_NM, 0, 0);
	assert_int_equal(REGS->rip, rip);
	fake.v.arch.ts = true;
	fake_handler(X86_NM, HANDLER, 0, false);
	fake_trap(X86_NM, 0, 0);
	assert_at_handler(HANDLER);
	assert_false(fake.v.arch.ts);
}

static void test_db(void **state)
{
	fake_handler(X86_DB, HANDLER, 0, false);
	tp_vcpu(&fake.v)->debugreg[6] = 0xffff4ff1;
	fake_trap(X86_DB, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(fake.v.arch.dr[6], 0xffff4ff1);
}

static long call(hypercall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct hypercall_args a = { .arg = { a0, a1, a2 } };

	return fn(&fake.v, &a);
}

static void test_upcall_nmi(void **state)
{
	fake.v.gate.event_callback = HANDLER;
	arch_deliver_upcall(&fake.v);
	assert_at_handler(HANDLER);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1);
	assert_int_equal(frame()[3] >> 32, 0);
	assert_true(frame()[4] & X86_FL_IF);

	/* An NMI without a handler is lost; with one it does not nest until the iret. */
	fake.v.arch.nmi_pending = true;
	arch_deliver_nmi(&fake.v);
	assert_false(fake.v.arch.nmi_pending);
	assert_int_equal(REGS->rip, HANDLER);
	*(struct xennmi_callback *)fake_mem(KERNEL_VA) =
		(struct xennmi_callback){ .handler_address = HANDLER + 16 };
	assert_int_equal(call(do_nmi_op, XENNMI_register_callback, KERNEL_VA, 0), 0);
	fake.v.arch.nmi_pending = true;
	arch_deliver_nmi(&fake.v);
	assert_at_handler(HANDLER + 16);
	REGS->rip = KERNEL_CODE;
	fake.v.arch.nmi_pending = true;
	arch_deliver_nmi(&fake.v);
	assert_int_equal(REGS->rip, KERNEL_CODE);
	assert_true(fake.v.arch.nmi_pending);
	assert_int_equal(call(do_nmi_op, XENNMI_unregister_callback, 0, 0), 0);
	assert_int_equal(fake.v.arch.traps[X86_NMI].address, 0);
	assert_int_equal(call(do_nmi_op, 77, 0, 0), -XEN_ENOSYS);
}

static void test_failsafe(void **state)
{
	struct trap t = { TRAP_BAD_RETURN, X86_GP, 0, 0 };

	fake.v.gate.failsafe_callback = HANDLER;
	tp_vcpu(&fake.v)->selector[PLAT_DS] = 0x2b;
	tp_vcpu(&fake.v)->selector[PLAT_GS] = 0x63;
	fake_user();
	arch_handle_trap(&fake.v, &t);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[2], 0x2b);
	assert_int_equal(frame()[5], 0x63);
	assert_int_equal(frame()[6], USER_CODE);
	assert_int_equal(frame()[10], FLAT_USER_SS64);
	assert_int_equal(fake.info.evtchn_upcall_mask, 0);
}

static struct iret_context *iret_frame(void)
{
	struct iret_context *f = fake_mem(REGS->rsp);

	*f = (struct iret_context){
		.rax = 0xaaaa, .r11 = 0xbbbb, .rcx = 0xcccc, .rip = USER_CODE + 5, .cs = FLAT_USER_CS64,
		.rflags = 0x202 | X86_FL_IOPL | X86_FL_VM | X86_FL_DF, .rsp = USER_SP - 8,
		.ss = FLAT_USER_SS64,
	};
	return f;
}

static void test_iret_user(void **state)
{
	iret_frame();
	fake.info.evtchn_upcall_mask = 1;
	fake.v.arch.nmi_masked = true;
	plat_base_set(&fake.v, PLAT_GS, KERNEL_VA);
	fake.v.gate.gs_base_other = 0x7000;
	assert_int_equal(call(do_iret, 0, 0, 0), 0xaaaa);
	assert_false(gate_kernel_mode(&fake.v.gate));
	assert_int_equal(gate_cr3(&fake.v.gate), 0x3000);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), 0x7000);
	assert_int_equal(REGS->rip, USER_CODE + 5);
	assert_int_equal(REGS->rsp, USER_SP - 8);
	assert_int_equal(REGS->rcx, 0xcccc);
	assert_int_equal(REGS->r11, 0xbbbb);
	assert_int_equal(REGS->rax, 0xaaaa);
	assert_int_equal(REGS->rflags, 0x202 | X86_FL_DF); /* no IOPL, no VM */
	assert_int_equal(fake.info.evtchn_upcall_mask, 0);
	assert_false(fake.v.arch.nmi_masked);
}

static void test_iret_kernel(void **state)
{
	struct iret_context *f = iret_frame();

	f->cs = FLAT_KERNEL_CS & ~3;
	f->ss = FLAT_KERNEL_SS & ~3;
	f->rip = KERNEL_CODE;
	f->rflags = 2; /* events stay masked */
	f->flags = VGCF_in_syscall;
	call(do_iret, 0, 0, 0);
	assert_true(gate_kernel_mode(&fake.v.gate));
	assert_int_equal(REGS->cs, FLAT_KERNEL_CS);
	assert_int_equal(REGS->ss, FLAT_KERNEL_SS);
	assert_true(REGS->rflags & X86_FL_IF);
	assert_int_equal(fake.info.evtchn_upcall_mask, 1);
	assert_int_equal(REGS->rcx, KERNEL_CODE);
}

static void test_iret_bad(void **state)
{
	struct iret_context *f = iret_frame();

	f->rip = UINT64_C(0x123400000000000);
	fake.v.gate.failsafe_callback = HANDLER;
	call(do_iret, 0, 0, 0);
	assert_at_handler(HANDLER);
	assert_int_equal(frame()[6], UINT64_C(0x123400000000000));

	iret_frame();
	fake.v.gate.cr3_user = 0;
	call(do_iret, 0, 0, 0);
	assert_true(fake.crashed);

	fake.crashed = false;
	fake.v.gate.cr3_user = 0x3000;
	REGS->rsp = 0x10;
	call(do_iret, 0, 0, 0);
	assert_true(fake.crashed);
}

static void test_set_trap_table(void **state)
{
	struct trap_info *t = fake_mem(KERNEL_VA);
	struct hypercall_args a = { .arg = { KERNEL_VA } };

	memset(t, 0, 4 * sizeof(*t));
	t[0] = (struct trap_info){ .vector = 14, .flags = 4, .cs = 0xe030, .address = HANDLER };
	t[1] = (struct trap_info){ .vector = 3, .flags = 3, .cs = 0xe033, .address = HANDLER + 8 };
	assert_int_equal(do_set_trap_table(&fake.v, &a), 0);
	assert_int_equal(fake.v.arch.traps[14].address, HANDLER);
	assert_int_equal(fake.v.arch.traps[14].cs, 0xe033);
	assert_int_equal(fake.v.arch.traps[3].address, HANDLER + 8);

	t[1].address = UINT64_C(0x8000000000000000);
	assert_int_equal(call(do_set_trap_table, KERNEL_VA, 0, 0), -XEN_EINVAL);
	assert_int_equal(call(do_set_trap_table, 0x10, 0, 0), -XEN_EFAULT);

	/* Stopped half way, it can go on from its arguments. */
	t[1].address = HANDLER + 24;
	a.arg[0] = KERNEL_VA;
	fake.preempt_calls = 0;
	fake.preempt_after = 1;
	assert_int_equal(do_set_trap_table(&fake.v, &a), -XEN_ERESTART);
	assert_int_equal(do_set_trap_table(&fake.v, &a), 0);
	assert_int_equal(fake.v.arch.traps[3].address, HANDLER + 24);

	assert_int_equal(call(do_set_trap_table, 0, 0, 0), 0);
	assert_int_equal(fake.v.arch.traps[14].address, 0);
}

static long reg_callback(uint16_t type, uint16_t flags, uint64_t address)
{
	struct callback_register *r = fake_mem(KERNEL_VA);

	*r = (struct callback_register){ .type = type, .flags = flags, .address = address };
	return call(do_callback_op, CALLBACKOP_register, KERNEL_VA, 0);
}

static void test_callbacks(void **state)
{
	struct gate_vcpu *g = &fake.v.gate;
	struct callback_unregister *u = fake_mem(KERNEL_VA);

	assert_int_equal(reg_callback(CALLBACKTYPE_event, 0, HANDLER), 0);
	assert_int_equal(reg_callback(CALLBACKTYPE_failsafe, CALLBACKF_mask_events, HANDLER + 1), 0);
	assert_int_equal(reg_callback(CALLBACKTYPE_syscall, CALLBACKF_mask_events, HANDLER + 2), 0);
	assert_int_equal(reg_callback(CALLBACKTYPE_syscall32, 0, HANDLER + 3), 0);
	assert_int_equal(reg_callback(CALLBACKTYPE_sysenter, CALLBACKF_mask_events, HANDLER + 4), 0);
	assert_int_equal(g->event_callback, HANDLER);
	assert_int_equal(g->failsafe_callback, HANDLER + 1);
	assert_int_equal(g->syscall_callback, HANDLER + 2);
	assert_int_equal(g->syscall32_callback, HANDLER + 3);
	assert_int_equal(g->sysenter_callback, HANDLER + 4);
	assert_int_equal(g->flags, GATE_KERNEL_MODE | GATE_FAILSAFE_MASKS | GATE_SYSCALL_MASKS |
					   GATE_SYSENTER_MASKS);
	assert_int_equal(reg_callback(CALLBACKTYPE_syscall, 0, HANDLER + 2), 0);
	assert_false(g->flags & GATE_SYSCALL_MASKS);
	assert_int_equal(reg_callback(CALLBACKTYPE_event, 0, 1ull << 60), -XEN_EINVAL);
	assert_int_equal(reg_callback(99, 0, HANDLER), -XEN_ENOSYS);
	u->type = CALLBACKTYPE_event;
	assert_int_equal(call(do_callback_op, CALLBACKOP_unregister, KERNEL_VA, 0), -XEN_EINVAL);
	assert_int_equal(call(do_callback_op, CALLBACKOP_register, 8, 0), -XEN_EFAULT);
	assert_int_equal(call(do_callback_op, 9, KERNEL_VA, 0), -XEN_ENOSYS);

	assert_int_equal(call(do_set_callbacks, HANDLER + 8, HANDLER + 16, HANDLER + 24), 0);
	assert_int_equal(g->syscall_callback, HANDLER + 24);
	assert_int_equal(call(do_set_callbacks, HANDLER, 1ull << 50, HANDLER), -XEN_EINVAL);
	assert_int_equal(g->event_callback, HANDLER + 8);

	assert_int_equal(call(do_stack_switch, 0xe028, KERNEL_SP, 0), 0);
	assert_int_equal(g->kernel_sp, KERNEL_SP);
	assert_int_equal(g->kernel_ss, 0xe02b);
}

static void test_segment_bases(void **state)
{
	assert_int_equal(call(do_set_segment_base, SEGBASE_FS, 0x1000, 0), 0);
	assert_int_equal(call(do_set_segment_base, SEGBASE_GS_KERNEL, KERNEL_VA, 0), 0);
	/* It is an unsigned int. */
	assert_int_equal(call(do_set_segment_base, SEGBASE_GS_USER | UINT64_C(7) << 32, 0x2000, 0), 0);
	assert_int_equal(plat_base_get(&fake.v, PLAT_FS), 0x1000);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), KERNEL_VA);
	assert_int_equal(fake.v.gate.gs_base_other, 0x2000);
	assert_int_equal(call(do_set_segment_base, SEGBASE_FS, 1ull << 47, 0), -XEN_EINVAL);
	assert_int_equal(call(do_set_segment_base, 17, 0, 0), -XEN_EINVAL);
	/* Loading a selector for user leaves the kernel's base alone. */
	assert_int_equal(call(do_set_segment_base, SEGBASE_GS_USER_SEL, 0, 0), 0);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), KERNEL_VA);
	assert_int_equal(fake.v.gate.gs_base_other, 0);

	assert_int_equal(call(do_fpu_taskswitch, 1, 0, 0), 0);
	assert_true(fake.v.arch.ts && tp_vcpu(&fake.v)->ts);
	assert_int_equal(call(do_fpu_taskswitch, 0, 0, 0), 0);
	assert_false(fake.v.arch.ts || tp_vcpu(&fake.v)->ts);
}

static void test_debug_registers(void **state)
{
	assert_int_equal(call(do_set_debugreg, 0, KERNEL_VA, 0), 0);
	assert_int_equal(call(do_get_debugreg, 0, 0, 0), KERNEL_VA);
	assert_int_equal(tp_vcpu(&fake.v)->debugreg[0], KERNEL_VA);
	assert_int_equal(call(do_set_debugreg, 1, RESERVED_VIRT_START, 0), -XEN_EPERM);
	assert_int_equal(call(do_set_debugreg, 1, 1ull << 50, 0), -XEN_EPERM);
	assert_int_equal(call(do_set_debugreg, 6, 1ull << 32, 0), -XEN_EINVAL);
	assert_int_equal(call(do_set_debugreg, 6, 0, 0), 0);
	assert_int_equal(call(do_get_debugreg, 4, 0, 0), 0xffff0ff0); /* 4 is 6 without CR4.DE */
	assert_int_equal(call(do_set_debugreg, 7, 0x2401, 0), -XEN_EPERM);  /* GD */
	assert_int_equal(call(do_set_debugreg, 7, 0x20401, 0), -XEN_EPERM); /* a port */
	assert_int_equal(call(do_set_debugreg, 7, 0xd401 | 0xf0000, 0), 0);
	assert_int_equal(call(do_get_debugreg, 7, 0, 0), 0xf0401);
	assert_int_equal(call(do_set_debugreg, 8, 0, 0), -XEN_ENODEV);
	assert_int_equal(call(do_get_debugreg, 9, 0, 0), -XEN_ENODEV);
	fake.v.arch.cr4 |= X86_CR4_DE;
	assert_int_equal(call(do_get_debugreg, 5, 0, 0), -XEN_ENODEV);
	assert_int_equal(call(do_set_debugreg, 4, 0, 0), -XEN_ENODEV);
}

static struct vcpu_guest_context ctx;

static void good_context(void)
{
	memset(&ctx, 0, sizeof(ctx));
	ctx.flags = VGCF_in_kernel | VGCF_syscall_disables_events;
	ctx.user_regs.rip = KERNEL_CODE;
	ctx.user_regs.rsp = KERNEL_SP;
	ctx.user_regs.rflags = X86_FL_IOPL | X86_FL_VM;
	ctx.user_regs.cs = 0xe030;
	ctx.kernel_sp = KERNEL_SP;
	ctx.ctrlreg[3] = 0x5000;
	ctx.ctrlreg[1] = 0x6000;
	ctx.ctrlreg[0] = X86_CR0_TS;
	ctx.fs_base = 0x11000;
	ctx.gs_base_kernel = KERNEL_VA;
	ctx.gs_base_user = 0x22000;
	ctx.gdt_ents = 16;
	ctx.gdt_frames[0] = 3;
	ctx.trap_ctxt[14].address = HANDLER;
	ctx.debugreg[7] = 0x400;
}

static void test_context(void **state)
{
	good_context();
	assert_int_equal(arch_set_context(&fake.v, &ctx), 0);
	assert_int_equal(REGS->rip, KERNEL_CODE);
	assert_int_equal(REGS->cs, 0xe033);
	assert_int_equal(REGS->ss, FLAT_KERNEL_SS); /* null cannot be loaded in ring 3 */
	assert_int_equal(REGS->rflags, 0x202);
	assert_int_equal(fake.v.gate.cr3_kernel, 0x5000);
	assert_int_equal(fake.v.gate.cr3_user, 0x6000);
	assert_int_equal(fake.v.gate.flags, GATE_KERNEL_MODE | GATE_SYSCALL_MASKS);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), KERNEL_VA);
	assert_int_equal(fake.v.gate.gs_base_other, 0x22000);
	assert_int_equal(fake.v.arch.traps[14].address, HANDLER);
	assert_int_equal(fake.v.arch.iopl, 3);
	assert_true(fake.v.arch.ts);
	assert_int_equal(fake.gdts, 1);
	assert_int_equal(tp_vcpu(&fake.v)->fpu[0], 0);
}

/* What was taken is what is told, but for what cannot be as it was asked for. */
static void test_context_told(void **state)
{
	struct vcpu_guest_context told;

	good_context();
	ctx.user_regs.rax = 7;
	assert_int_equal(arch_set_context(&fake.v, &ctx), 0);
	arch_get_context(&fake.v, &told);
	assert_int_equal(told.flags & (VGCF_in_kernel | VGCF_syscall_disables_events | VGCF_failsafe_disables_events),
			 ctx.flags);
	assert_int_equal(told.user_regs.rip, ctx.user_regs.rip);
	assert_int_equal(told.user_regs.rsp, ctx.user_regs.rsp);
	assert_int_equal(told.user_regs.rax, 7);
	assert_int_equal(told.user_regs.cs, 0xe033);
	assert_int_equal(told.user_regs.rflags & X86_FL_IOPL, X86_FL_IOPL);
	assert_int_equal(told.kernel_sp, ctx.kernel_sp);
	assert_int_equal(told.ctrlreg[0], ctx.ctrlreg[0]);
	assert_int_equal(told.ctrlreg[1], ctx.ctrlreg[1]);
	assert_int_equal(told.ctrlreg[3], ctx.ctrlreg[3]);
	assert_int_equal(told.fs_base, ctx.fs_base);
	assert_int_equal(told.gs_base_kernel, ctx.gs_base_kernel);
	assert_int_equal(told.gs_base_user, ctx.gs_base_user);
	assert_int_equal(told.trap_ctxt[14].address, HANDLER);
	arch_toggle_mode(&fake.v);
	arch_get_context(&fake.v, &told);
	assert_int_equal(told.flags & VGCF_in_kernel, 0);
	assert_int_equal(told.gs_base_kernel, ctx.gs_base_kernel);
	assert_int_equal(told.gs_base_user, ctx.gs_base_user);
}

/* The FPU's state is taken when it is said to be there. */
static void test_context_fpu(void **state)
{
	good_context();
	memset(&ctx.fpu_ctxt, 0x5a, sizeof(ctx.fpu_ctxt));
	assert_int_equal(arch_set_context(&fake.v, &ctx), 0);
	assert_int_equal(tp_vcpu(&fake.v)->fpu[0], 0);
	ctx.flags |= VGCF_i387_valid;
	assert_int_equal(arch_set_context(&fake.v, &ctx), 0);
	assert_memory_equal(tp_vcpu(&fake.v)->fpu, &ctx.fpu_ctxt, sizeof(ctx.fpu_ctxt));
}

/* Each of these is refused before anything has changed. */
static void test_context_bad(void **state)
{
	static uint64_t *const address[] = {
		&ctx.user_regs.rip, &ctx.event_callback_eip, &ctx.failsafe_callback_eip,
		&ctx.syscall_callback_eip, &ctx.fs_base, &ctx.gs_base_kernel, &ctx.gs_base_user,
		&ctx.trap_ctxt[200].address,
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(address); i++) {
		good_context();
		*address[i] = UINT64_C(0x800000000000);
		assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	}
	good_context();
	ctx.ctrlreg[3] = 0;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	good_context();
	ctx.flags = 0;
	ctx.ctrlreg[1] = 0;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	good_context();
	ctx.gdt_ents = 7169;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	good_context();
	ctx.ldt_ents = 8193;
	ctx.ldt_base = KERNEL_VA;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	ctx.ldt_ents = 1;
	ctx.ldt_base = KERNEL_VA + 8;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	assert_int_equal(fake.gdts, 0);
	assert_int_equal(fake.v.gate.cr3_kernel, 0x2000);

	good_context();
	fake.gdt_rc = -XEN_EPERM;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EPERM);
	fake.gdt_rc = 0;
	fake.base_rc = -XEN_EINVAL;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_EINVAL);
	assert_int_equal(fake.v.arch.gdt_entries, 0);
	assert_int_equal(fake.drops, 2);
	/* To be continued: what it has got stays. */
	fake.base_rc = -XEN_ERESTART;
	assert_int_equal(arch_set_context(&fake.v, &ctx), -XEN_ERESTART);
	assert_int_equal(fake.drops, 2);
}

static void test_dump(void **state)
{
	REGS->rsp = KERNEL_VA + WINDOW - 24;
	arch_dump_vcpu(&fake.v);
	assert_non_null(strstr(tp.log, "kernel mode"));
	assert_non_null(strstr(tp.log, "stack at"));
	REGS->rsp = 0x10;
	arch_dump_vcpu(&fake.v);
	assert_non_null(strstr(tp.log, "unreadable"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_frame_kernel), T(test_frame_user_error), T(test_architectural_iopl),
		T(test_page_fault), T(test_page_table_write), T(test_crashes), T(test_syscall_user),
		T(test_syscall_kernel), T(test_syscall_without_callback), T(test_syscall32_sysenter),
		T(test_soft_int), T(test_compat_int3), T(test_nm), T(test_db), T(test_upcall_nmi),
		T(test_failsafe), T(test_iret_user), T(test_iret_kernel), T(test_iret_bad),
		T(test_set_trap_table), T(test_callbacks), T(test_segment_bases),
		T(test_debug_registers), T(test_context), T(test_context_told), T(test_context_fpu), T(test_context_bad), T(test_dump),
	};

	return cmocka_run_group_tests_name("traps", tests, NULL, NULL);
}
