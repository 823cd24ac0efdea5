/* SPDX-License-Identifier: MIT */
/*
 * Running a virtual CPU in ring 3, and what the gate reports of it, in the core's terms.
 *
 *	plat_cpu_run() -> gate_enter() -> ring 3 -> metal_hypercall(), metal_event() -> core
 *	      ^                              ^                      |
 *	      +---- the core looks around ---|----------------------+
 *	                                     +--- to ring 3 again --+
 *
 * As long as the core has no other wish the way is the short one: what was called by the gate returns to it.
 */
#include <xenopus/core.h>
#include "metal.h"

/* CR2 lies in the window of @v's LDT: the page of an LDT the guest had not mapped when it set it. */
static bool in_ldt_window(const struct vcpu *v, uint64_t cr2, uint64_t *offset)
{
	const struct metal_vcpu *m = v->plat;

	*offset = cr2 - (WINDOW_VIRT + (uint64_t)m->window * WINDOW_SIZE + WINDOW_LDT);
	return *offset < 16 * PAGE_SIZE;
}

/* What IRETQ does not check for us: it would as readily return to ring 0 as to ring 3. */
static bool return_allowed(const struct cpu_user_regs *r, struct trap *t)
{
	uint32_t error;

	if ((r->cs & 3) != 3)
		error = r->cs & 0xfffc;
	else if ((r->ss & 3) != 3)
		error = r->ss & 0xfffc;
	else if ((int64_t)(r->rip << 16) >> 16 != (int64_t)r->rip)
		error = 0;
	else
		return true;
	*t = (struct trap){ .cause = TRAP_BAD_RETURN, .vector = X86_GP, .error = error };
	return false;
}

/* False: nothing the guest has to hear of, go on. */
static bool exception(struct vcpu *v, unsigned vector, uint32_t error, struct trap *t)
{
	uint64_t offset;

	*t = (struct trap){ .cause = TRAP_EXCEPTION, .vector = vector, .error = error };
	if (vector == X86_MC)
		plat_panic("machine check");
	if (vector != X86_PF)
		return true;
	t->cr2 = cr2_read();
	if (in_ldt_window(v, t->cr2, &offset)) {
		if (mm_ldt_fault(v, (unsigned)(offset >> PAGE_SHIFT)))
			return false;
		t->cr2 = v->arch.ldt_base + offset;
		t->error = 0;
	}
	return true;
}

static bool bad_return(struct vcpu *v, unsigned vector, uint32_t error, struct trap *t)
{
	uint64_t offset;

	*t = (struct trap){ .cause = TRAP_BAD_RETURN, .vector = vector, .error = error };
	if (vector == X86_PF) {
		if (in_ldt_window(v, cr2_read(), &offset) &&
		    mm_ldt_fault(v, (unsigned)(offset >> PAGE_SHIFT)))
			return false;
		t->vector = X86_GP;
		t->error = 0;
	}
	return true;
}

/* The guest has moved its vcpu_info: show the gate where. The dummy before that lies among other things of the core's. */
static void show_info(struct vcpu *v, struct metal_vcpu *m)
{
	bool dummy = v->gate.vcpu_info == v->event.dummy;

	m->info_shown = v->gate.vcpu_info;
	gate_slow(&v->gate, GATE_SLOW_INFO, dummy);
	v->gate.info_seen = !split_tables ? (uintptr_t)v->gate.vcpu_info :
			    dummy ? 0 : window_show(m, WINDOW_INFO, v->gate.vcpu_info);
}

/* What p->enter_cr3 was made of. */
static inline uint64_t tables_key(const struct vcpu *v)
{
	return gate_cr3(&v->gate) | gate_kernel_mode(&v->gate);
}

/* With PCIDs a load of CR3 flushes nothing, so what is to be flushed is. */
static __attribute__((noinline)) void load_tables(struct percpu *p, const struct vcpu *v)
{
	/* In one step: what another CPU asks for from here on is not for this flush, and must not be forgotten. */
	bool flush = READ_ONCE(p->flush) && __atomic_exchange_n(&p->flush, false, __ATOMIC_SEQ_CST);
	uint64_t cr3 = gate_cr3(&v->gate);

	/* The gate may have changed the mode, and p->cr3 with it, since this was last decided. */
	if (!split_tables && p->cr3 == cr3 && !flush)
		return;
	if (use_pcid && flush)
		invpcid(INVPCID_ALL_LOCAL, 0, 0);
	p->cr3 = cr3;
	if (use_pcid)
		cr3 |= CR3_NOFLUSH | (gate_kernel_mode(&v->gate) ? PCID_KERNEL : PCID_USER);
	p->enter_cr3 = cr3;
	if (split_tables)
		p->enter_key = tables_key(v);
	else
		cr3_write(cr3);
}

/* All that must be right before ring 3. With split tables CR3 is loaded on the way there anyhow; what, is known mostly. */
static inline void prepare(struct percpu *p, struct vcpu *v)
{
	struct metal_vcpu *m = v->plat;

	if (p->enter_key != tables_key(v) || READ_ONCE(p->flush))
		load_tables(p, v);
	if (unlikely(m->info_shown != v->gate.vcpu_info))
		show_info(v, m);
}

/* @on: the core is content. */
static inline unsigned go_on(struct percpu *p, struct vcpu *v, bool on)
{
	for (; on; on = core_trap(v, &p->trap)) {
		if (unlikely(!return_allowed(&v->gate.regs, &p->trap)))
			continue;
		prepare(p, v);
		return GATE_IRET;
	}
	p->trap.cause = TRAP_HANDLED;
	return GATE_STOP;
}

/* Does SYSRET what IRETQ would? rcx and r11 are RIP and RFLAGS since the guest's SYSCALL, and its selectors SYSRET's. */
static inline bool sysret_does(const struct cpu_user_regs *r)
{
	return !(r->rflags & X86_FL_TF);
}

unsigned metal_hypercall(void)
{
	struct percpu *p = this_cpu();
	struct vcpu *v = p->loaded;
	enum core_next next = core_hypercall(v);

	if (unlikely(next != CORE_GO_PLAIN || !sysret_does(&v->gate.regs)))
		return go_on(p, v, next != CORE_STOP);
	prepare(p, v);
	return GATE_SYSRET;
}

unsigned metal_event(unsigned event)
{
	struct percpu *p = this_cpu();
	struct vcpu *v = p->loaded;
	struct trap *t = &p->trap;
	bool told = true; /* is it the core's business? */

	switch (event) {
	case GATE_EV_SYSCALL:
		t->cause = TRAP_SYSCALL;
		break;
	case GATE_EV_SYSCALL32:
		t->cause = TRAP_SYSCALL32;
		break;
	case GATE_EV_SYSENTER:
		t->cause = TRAP_SYSENTER;
		break;
	default:
		if (event & GATE_EV_BAD_IRET) {
			told = bad_return(v, event & 0xff, (uint32_t)p->error, t);
		} else if (event < 32) {
			told = exception(v, event, (uint32_t)p->error, t);
		} else if (interrupt(event)) {
			t->cause = TRAP_KICK;
			return GATE_STOP;
		} else {
			t->cause = TRAP_SOFT_INT;
			t->vector = event;
		}
	}
	return go_on(p, v, !told || core_trap(v, t));
}

void plat_cpu_run(struct vcpu *v, struct trap *t)
{
	struct percpu *p = this_cpu();
	const struct metal_vcpu *m = v->plat;

	if (!return_allowed(&v->gate.regs, t))
		return;
	prepare(p, v);
	gate_enter(m->gate);
	*t = p->trap;
}
