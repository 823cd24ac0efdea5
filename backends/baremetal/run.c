/* SPDX-License-Identifier: MIT */
/* Running a virtual CPU in ring 3 until it traps: what the gate reports, in the core's terms. */
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
		if (mm_map_ldt_page(v, (unsigned)(offset >> PAGE_SHIFT)))
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
		    mm_map_ldt_page(v, (unsigned)(offset >> PAGE_SHIFT)))
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

/* With PCIDs a load of CR3 flushes nothing, so what is to be flushed is. */
static void load_tables(struct percpu *p, const struct vcpu *v, uint64_t cr3)
{
	/* In one step: what another CPU asks for from here on is not for this flush, and must not be forgotten. */
	bool flush = READ_ONCE(p->flush) && __atomic_exchange_n(&p->flush, false, __ATOMIC_SEQ_CST);

	if (use_pcid && flush)
		invpcid(INVPCID_ALL_LOCAL, 0, 0);
	p->cr3 = cr3;
	if (use_pcid)
		cr3 |= CR3_NOFLUSH | (gate_kernel_mode(&v->gate) ? PCID_KERNEL : PCID_USER);
	p->enter_cr3 = cr3;
	if (!split_tables)
		cr3_write(cr3);
}

void plat_cpu_run(struct vcpu *v, struct trap *t)
{
	struct metal_vcpu *m = v->plat;
	struct percpu *p = this_cpu();
	unsigned event;

	for (;;) {
		uint64_t cr3 = gate_cr3(&v->gate);

		if (!return_allowed(&v->gate.regs, t))
			return;
		/* The gate may have changed the mode, and p->cr3 with it, since this was last decided. */
		if (split_tables || p->cr3 != cr3 || READ_ONCE(p->flush))
			load_tables(p, v, cr3);
		if (m->info_shown != v->gate.vcpu_info)
			show_info(v, m);
		event = gate_enter(m->gate);
		if (event == GATE_EV_SYSCALL || event == GATE_EV_SYSCALL32 || event == GATE_EV_SYSENTER) {
			t->cause = event == GATE_EV_SYSCALL ? TRAP_SYSCALL :
				   event == GATE_EV_SYSCALL32 ? TRAP_SYSCALL32 : TRAP_SYSENTER;
			return;
		}
		if (event & GATE_EV_BAD_IRET) {
			if (bad_return(v, event & 0xff, (uint32_t)p->error, t))
				return;
		} else if (event < 32) {
			if (exception(v, event, (uint32_t)p->error, t))
				return;
		} else {
			*t = (struct trap){ .cause = interrupt(event) ? TRAP_KICK : TRAP_SOFT_INT,
					    .vector = event };
			return;
		}
	}
}
