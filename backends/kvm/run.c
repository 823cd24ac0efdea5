/* SPDX-License-Identifier: MIT */
/*
 * Running a virtual CPU in ring 3 until it traps.
 *
 *	v->gate.regs --load--> KVM_RUN --+-- ring 3 --SYSCALL--> door --OUT--+
 *	     ^                           |           --trap-> IDT stub --OUT-+
 *	     |                           +-- signal -------------------------+
 *	     +----------------------------- save <---------------------------+
 *
 * The guest is entered straight in ring 3, by giving KVM its registers and segments; only when page-table
 * stores or a TLB flush are owed does the way lead through a resume stub in ring 0 that ends in IRETQ.
 * Exceptions push their frame on the gate stack, where we read it.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine.h"

#define RFLAGS_GUEST (0xfd5u | 0x40000u | 0x200000u) /* arithmetic, TF, DF; AC, ID: what ring 3 may own */
#define RFLAGS_ALWAYS 0x202u

/* Hand over what changed; from here to the end of KVM_RUN nobody touches the shared registers. */
static void commit_dirty(struct kvcpu *k)
{
	k->run->kvm_dirty_regs = k->dirty;
	k->dirty = 0;
}

static int kvm_run(struct kvcpu *k)
{
	if (ioctl(k->fd, KVM_RUN, 0)) {
		int e = errno;

		return -(e == EAGAIN ? EINTR : e);
	}
	return 0;
}

int kvcpu_run_raw(struct kvcpu *k)
{
	commit_dirty(k);
	return kvm_run(k);
}

static int run_guest(struct pcpu *p, struct kvcpu *k, bool fresh)
{
	uint64_t t0 = machine.timed ? clock_ns() : 0;

	commit_dirty(k);
	door_enter_guest(p, k, fresh);

	int rc = kvm_run(k);

	door_leave_guest(p, k);
	if (machine.timed)
		p->run_ns += clock_ns() - t0;
	return rc;
}

static void load_gprs(struct kvm_regs *k, const struct cpu_user_regs *r)
{
	k->rax = r->rax;
	k->rbx = r->rbx;
	k->rcx = r->rcx;
	k->rdx = r->rdx;
	k->rsi = r->rsi;
	k->rdi = r->rdi;
	k->rbp = r->rbp;
	k->r8 = r->r8;
	k->r9 = r->r9;
	k->r10 = r->r10;
	k->r11 = r->r11;
	k->r12 = r->r12;
	k->r13 = r->r13;
	k->r14 = r->r14;
	k->r15 = r->r15;
}

static void save_gprs(struct cpu_user_regs *r, const struct kvm_regs *k)
{
	r->rax = k->rax;
	r->rbx = k->rbx;
	r->rcx = k->rcx;
	r->rdx = k->rdx;
	r->rsi = k->rsi;
	r->rdi = k->rdi;
	r->rbp = k->rbp;
	r->r8 = k->r8;
	r->r9 = k->r9;
	r->r10 = k->r10;
	r->r11 = k->r11;
	r->r12 = k->r12;
	r->r13 = k->r13;
	r->r14 = k->r14;
	r->r15 = k->r15;
}

/* The gate stack holds, from its top down: IRET frame, rdi, (rax when flushing), then the stores. */
static void load_through_stub(struct pcpu *p, struct kvcpu *k, struct vcpu *v, bool flush)
{
	const struct cpu_user_regs *r = &v->gate.regs;
	uint64_t *s = (uint64_t *)(void *)(k->stack_page + PAGE_SIZE);
	unsigned n;

	*--s = r->ss;
	*--s = r->rsp;
	*--s = (r->rflags & RFLAGS_GUEST) | RFLAGS_ALWAYS;
	*--s = r->cs;
	*--s = r->rip;
	*--s = r->rdi;
	if (flush)
		*--s = r->rax;
	n = pt_send(p, s);
	s -= n;
	load_gprs(k->regs, r);
	if (flush)
		k->regs->rax = gate_cr3(&v->gate);
	k->regs->rip = GATE_VIRT + GATE_STUB_OFF + (flush ? GATE_FLUSH_OFF : GATE_RESUME_OFF) +
		       (GATE_STORES - n) * GATE_STORE_SIZE;
	k->regs->rsp = k->stack_top - (uint64_t)(k->stack_page + PAGE_SIZE - (uint8_t *)s);
	k->regs->rflags = 2;
	k->sregs->cs = gate_code;
	k->sregs->ss = gate_data;
}

static bool load_guest(struct pcpu *p, struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	const struct cpu_user_regs *r = &v->gate.regs;
	uint64_t flush_gen = atomic_load(&p->flush_gen);
	bool flush = flush_gen != k->flush_seen &&
		     (!machine.traits.host_stores_unseen || machine.traits.stores_wait_for_cr3);

	if (machine.nr_pcpus > 1 && flush_gen != k->flush_seen && machine.traits.host_stores_unseen)
		pt_collect(p);
	if (machine.nr_pcpus > 1)
		pt_forget(p);
	/* First: a KVM vCPU that served another domain before still has that one's tables, which may be gone. */
	if (k->sregs->cr3 != gate_cr3(&v->gate))
		k->sregs->cr3 = gate_cr3(&v->gate);
	if (p->nr_stores > GATE_STORES)
		pt_drain(p, k);
	if (!return_segments(k, v, &t->vector, &t->error)) {
		t->cause = TRAP_BAD_RETURN;
		return false;
	}
	if (p->nr_stores || flush) {
		load_through_stub(p, k, v, flush);
		p->exits[EXIT_STORES]++;
	} else {
		load_gprs(k->regs, r);
		k->regs->rip = r->rip;
		k->regs->rsp = r->rsp;
		k->regs->rflags = (r->rflags & RFLAGS_GUEST) | RFLAGS_ALWAYS;
	}
	k->flush_seen = flush_gen;
	k->dirty |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return true;
}

static void save_direct(struct kvcpu *k, struct cpu_user_regs *r)
{
	save_gprs(r, k->regs);
	r->rip = k->regs->rip;
	r->rsp = k->regs->rsp;
	r->rflags = k->regs->rflags;
	r->cs = k->sregs->cs.selector;
	r->ss = k->sregs->ss.selector;
}

static bool has_error_code(unsigned vector)
{
	return (1u << vector) & (1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 |
				 1u << 21 | 1u << 29 | 1u << 30);
}

/*
 * The guest used a selector whose LDT page is not mapped in the gate: the core may take the guest's page now.
 * If it does not, the fault is the guest's, at the address where its LDT has that page.
 */
static void ldt_fault(struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	uint64_t offset = t->cr2 - (gate_area_va(k) + GATE_VCPU_LDT);

	if (mm_ldt_fault(v, (unsigned)(offset / PAGE_SIZE))) {
		plat_descriptors_changed(v);
		t->cause = TRAP_KICK;
	} else {
		t->cr2 = v->arch.ldt_base + offset;
	}
}

/* A stub has written its vector to its port; the processor's frame lies on the gate stack. */
static bool save_stub(struct pcpu *p, struct kvcpu *k, struct vcpu *v, unsigned port, struct trap *t)
{
	struct cpu_user_regs *r = &v->gate.regs;
	uint64_t depth = k->stack_top - k->regs->rsp;
	const uint64_t *f;

	if (depth > PAGE_SIZE || depth < 5 * 8)
		return false;
	f = (const uint64_t *)(void *)(k->stack_page + PAGE_SIZE - depth);
	t->vector = port;
	t->error = 0;
	t->cr2 = k->sregs->cr2;
	if (port < 32 && has_error_code(port))
		t->error = (uint32_t)*f++;
	if ((f[1] & 3) != 3)
		return false; /* a fault of the gate itself */
	save_gprs(r, k->regs);
	r->rip = f[0];
	r->cs = (uint16_t)f[1];
	r->rflags = f[2];
	r->rsp = f[3];
	r->ss = (uint16_t)f[4];
	t->cause = port < 32 ? TRAP_EXCEPTION : TRAP_SOFT_INT;
	if (port == X86_PF && t->cr2 - (gate_area_va(k) + GATE_VCPU_LDT) < 16 * PAGE_SIZE)
		ldt_fault(k, v, t);
	p->exits[port < 32 ? EXIT_EXCEPTION : EXIT_SOFT_INT]++;
	return true;
}

static void save_syscall(struct pcpu *p, struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	struct cpu_user_regs *r = &v->gate.regs;

	save_gprs(r, k->regs);
	r->rip = r->rcx;
	r->rflags = r->r11;
	r->rsp = k->regs->rsp;
	r->cs = FLAT_RING3_CS64;
	r->ss = FLAT_RING3_SS64;
	if (k->answered) {
		k->answered = false;
		t->cause = TRAP_KICK; /* rax has the result already */
		p->exits[EXIT_ATTENDED]++;
		return;
	}
	t->cause = TRAP_SYSCALL;
	p->exits[EXIT_SYSCALL]++;
	if (gate_kernel_mode(&v->gate))
		door_note_hypercall(p, k);
}

/* Ring 3 used the door's port itself (the I/O bitmap lets it): what it deserves is #GP, at the OUT. */
static void refuse_port(struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	save_direct(k, &v->gate.regs);
	*t = (struct trap){ .cause = TRAP_EXCEPTION, .vector = X86_GP };
	if (machine.traits.syscall_stays_in_ring3) {
		uint8_t code[2];

		v->gate.regs.rip -= 2;
		if (guest_fetch(v, code, v->gate.regs.rip, 2, NULL, NULL) ||
		    (code[0] != 0xe6 && code[0] != 0xe4) || code[1] != GATE_PORT_LSTAR)
			v->gate.regs.rip += 1;
	}
}

static bool at_door(const struct kvcpu *k, unsigned offset)
{
	uint64_t at = k->regs->rip - (gate_area_va(k) + GATE_VCPU_DOOR + offset);

	return at == 0 || at == 2;
}

/* True when the exit is the guest's business. */
static bool handle_io(struct pcpu *p, struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	unsigned port = k->run->io.port;
	bool ring0 = (k->sregs->cs.selector & 3) == 0;

	switch (port) {
	case GATE_PORT_LSTAR:
		if (at_door(k, GATE_LEAVE_OFF))
			save_syscall(p, k, v, t);
		else
			refuse_port(k, v, t);
		return true;
	case GATE_PORT_CSTAR:
		if (!at_door(k, GATE_CSTAR_OFF))
			break;
		save_syscall(p, k, v, t);
		t->cause = TRAP_SYSCALL32;
		return true;
	default:
		if (ring0 && port < 256 && save_stub(p, k, v, port, t))
			return true;
		break;
	}
	return false;
}

/* KVM could not go on. Tell the core what real hardware would have done: a double fault. */
static void report_dead(struct pcpu *p, struct kvcpu *k, struct vcpu *v, struct trap *t, int rc)
{
	save_direct(k, &v->gate.regs);
	*t = (struct trap){ .cause = TRAP_EXCEPTION, .vector = X86_DF, .cr2 = k->sregs->cr2 };
	p->exits[EXIT_OTHER]++;
	xlog(LOG_ERROR,
	     "KVM stopped vcpu %u: rc %d exit %u suberror %u port %#x cs %#x rip %#llx rsp %#llx cr2 %#llx",
	     v->id, rc, k->run->exit_reason,
	     k->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? k->run->internal.suberror : 0,
	     k->run->exit_reason == KVM_EXIT_IO ? k->run->io.port : 0, k->sregs->cs.selector,
	     k->regs->rip, k->regs->rsp, k->sregs->cr2);
	if (k->run->exit_reason == KVM_EXIT_IO && k->regs->rsp <= k->stack_top &&
	    k->stack_top - k->regs->rsp < PAGE_SIZE) {
		const uint64_t *f = (const uint64_t *)(void *)(k->stack_page + PAGE_SIZE -
							       (k->stack_top - k->regs->rsp));

		for (unsigned i = 0; (const uint8_t *)(f + i) < k->stack_page + PAGE_SIZE && i < 8; i++)
			xlog(LOG_ERROR, "  gate stack %u: %#lx", i, f[i]);
	}
}

static bool in_door(const struct kvcpu *k)
{
	return (k->sregs->cs.selector & 3) == 3 &&
	       k->regs->rip - (gate_area_va(k) + GATE_VCPU_DOOR) < PAGE_SIZE;
}

/* Only the attendant can have queued stores while the guest ran. */
static bool stores_owed(const struct pcpu *p)
{
	return p->nr_stores > p->nr_sent;
}

/*
 * Is an exception on its way into the guest, or the gate in the middle of its work? Then go on. A guest that stays
 * in the door on purpose gets no more than its share: what is lost then is its own state.
 */
static bool must_rerun(struct kvcpu *k, struct vcpu *v)
{
	const struct kvm_vcpu_events *e = &k->run->s.regs.events;
	uint8_t code[2];

	k->reruns++;
	if (e->exception.injected || e->exception.pending || (k->sregs->cs.selector & 3) == 0)
		return true;
	if (in_door(k))
		return k->reruns <= 50;
	/* KVM does not tell of a breakpoint exception on its way; behind an INT3 assume there is one. */
	return k->reruns <= 3 && !stores_owed(this_pcpu()) &&
	       !guest_fetch(v, code, k->regs->rip - 2, 2, NULL, NULL) &&
	       (code[1] == 0xcc || (code[0] == 0xcd && code[1] == 3));
}

/* False: it could not even be entered. */
static bool run_until_trap(struct pcpu *p, struct kvcpu *k, struct vcpu *v, struct trap *t)
{
	if (!load_guest(p, k, v, t))
		return false;
	k->reruns = 0;
	for (bool fresh = true;; fresh = false) {
		int rc = run_guest(p, k, fresh);

		/* Unless a signal came in the middle of the stub. */
		if (rc != -EINTR || (k->sregs->cs.selector & 3) == 3)
			pt_sent(p);

		if (rc == -EINTR) {
			if (must_rerun(k, v)) {
				clock_kick_later(k); /* let the guest get out of the gate first */
				p->exits[EXIT_RERUN]++;
				if (in_door(k) && stores_owed(p)) {
					/* It must not pass the door with old translations. */
					save_direct(k, &v->gate.regs);
					if (!load_guest(p, k, v, t))
						return true;
				}
				continue;
			}
			/* A kick from here on is seen by the core, on its way round, or raises these again. */
			atomic_store(&p->kicked, false);
			k->run->immediate_exit = 0;
			save_direct(k, &v->gate.regs);
			t->cause = TRAP_KICK;
			p->exits[EXIT_SIGNAL]++;
			return true;
		}
		if (rc == 0 && k->run->exit_reason == KVM_EXIT_IO && handle_io(p, k, v, t))
			return true;
		report_dead(p, k, v, t, rc);
		return true;
	}
}

void plat_cpu_run(struct vcpu *v, struct trap *t)
{
	struct kvcpu *k = v->plat;

	if (run_until_trap(this_pcpu(), k, v, t))
		door_take_notes(k, v);
}
