/* SPDX-License-Identifier: MIT */
/*
 * What can this host's KVM do? Hosts differ (hardware virtualisation; software virtualisation that interprets
 * ring 0 and shadows page tables), so we run six tiny programs in ring 3 of the new machine and look, rather
 * than believe a name. Costs about a millisecond.
 */
#include <errno.h>
#include <string.h>

#include <xenopus/layout.h>
#include "machine.h"

#define CODE_VA 0x1000
#define DATA_VA 0x3000

/* Each program ends in SYSCALL, or in the trap that is asked about. */
static const uint8_t prog_syscall[] = { 0x0f, 0x05 };
static const uint8_t prog_int80[] = { 0xcd, 0x80, 0x0f, 0x05 };
static const uint8_t prog_read[] = { 0x48, 0x8b, 0x03, 0x0f, 0x05 }; /* mov (%rbx),%rax */
/* mov $0x2b,%ds: a selector that is in Linux' own GDT, not in this machine's */
static const uint8_t prog_ds[] = { 0xb8, 0x2b, 0, 0, 0, 0x8e, 0xd8, 0x0f, 0x05 };
static const uint8_t prog_fpu[] = { 0xdb, 0xe3, 0x0f, 0x05 };        /* fninit */

struct probe {
	struct kvcpu *k;
	uint64_t l4, l3, l2, l1, code, a, b;
};

static uint64_t *words(uint64_t addr)
{
	return (uint64_t *)(void *)(machine.mem + addr);
}

/* How a program is entered: as it is; through the stub that loads CR3; through the one that repeats a store. */
enum enter { DIRECTLY, FLUSH, STORE };

/* Run @prog from ring 3, for STORE after a store at the direct map's @store; the port of its exit, or -1. */
static int probe_run(struct probe *pr, const uint8_t *prog, size_t len, uint64_t rbx, enum enter how, uint64_t store)
{
	static const struct kvm_segment cs = { .limit = ~0u, .selector = FLAT_RING3_CS64, .type = 11,
					       .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1 };
	static const struct kvm_segment ss = { .limit = ~0u, .selector = FLAT_RING3_SS64, .type = 3,
					       .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1 };
	struct kvcpu *k = pr->k;
	int rc;

	memcpy(words(pr->code), prog, len);
	memset(k->regs, 0, sizeof(*k->regs));
	k->regs->rbx = rbx;
	k->regs->rflags = 0x202;
	k->regs->rip = CODE_VA;
	k->regs->rsp = CODE_VA + 0x800;
	k->sregs->cs = cs;
	k->sregs->ss = ss;
	k->sregs->cr3 = pr->l4;
	if (how != DIRECTLY) {
		uint64_t *s = (uint64_t *)(void *)(k->stack_page + PAGE_SIZE) - 7;
		const uint64_t frame[] = { store, 0, CODE_VA, FLAT_RING3_CS64, 0x202, CODE_VA + 0x800,
					   FLAT_RING3_SS64 };
		unsigned stub = how == FLUSH ? GATE_FLUSH_OFF + GATE_STORES * GATE_STORE_SIZE :
			GATE_RESUME_OFF + (GATE_STORES - 1) * GATE_STORE_SIZE;

		memcpy(s, frame, sizeof(frame));
		k->regs->rax = pr->l4;
		k->regs->rsp = k->stack_top - sizeof(frame);
		k->regs->rip = GATE_VIRT + GATE_STUB_OFF + stub;
		k->regs->rflags = 2;
		k->sregs->cs = gate_code;
		k->sregs->ss = gate_data;
	}
	k->dirty = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	do {
		rc = kvcpu_run_raw(k);
		k->run->immediate_exit = 0;
	} while (rc == -EINTR);
	if (rc || k->run->exit_reason != KVM_EXIT_IO) {
		xlog(LOG_DEBUG, "probe: rc %d exit %u rip %#llx cr2 %#llx", rc, k->run->exit_reason,
		     k->regs->rip, k->sregs->cr2);
		return -1;
	}
	return k->run->io.port;
}

static bool build(struct probe *pr)
{
	uint64_t *frames[] = { &pr->l4, &pr->l3, &pr->l2, &pr->l1, &pr->code, &pr->a, &pr->b };
	const uint64_t flags = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;

	for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
		*frames[i] = gate_frame_alloc();
		if (!*frames[i])
			return false;
	}
	words(pr->l4)[0] = pr->l3 | flags;
	words(pr->l4)[256] = pr->l3 | flags;
	words(pr->l4)[GATE_VIRT >> 39 & 511] = plat_root_slot(NULL, GATE_VIRT >> 39 & 511);
	words(pr->l3)[0] = pr->l2 | flags;
	words(pr->l2)[0] = pr->l1 | flags;
	words(pr->l1)[CODE_VA >> PAGE_SHIFT] = pr->code | flags;
	words(pr->l1)[DATA_VA >> PAGE_SHIFT] = pr->a | flags;
	*words(pr->a) = 0xa;
	*words(pr->b) = 0xb;
	return true;
}

/* Does ring 3 find @value in its data? With STORE, which lies across two entries of its L1, before. */
static bool reads(struct probe *pr, uint64_t value, enum enter how)
{
	return probe_run(pr, prog_read, sizeof(prog_read), DATA_VA, how,
			 GATE_VIRT + GATE_DIRECT_OFF + pr->l1 + DROP_SHADOW) == GATE_PORT_LSTAR &&
	       pr->k->regs->rax == value;
}

static bool look(struct probe *pr, GError **error)
{
	struct kvm_traits *t = &machine.traits;
	int port = probe_run(pr, prog_syscall, sizeof(prog_syscall), 0, DIRECTLY, 0);

	if (port != GATE_PORT_LSTAR) {
		g_set_error(error, MACHINE_ERROR, 0,
			    "this KVM cannot run paravirtual guests: SYSCALL in ring 3 ended in %s %d",
			    port < 0 ? "KVM exit" : "vector", port < 0 ? (int)pr->k->run->exit_reason : port);
		return false;
	}
	t->syscall_stays_in_ring3 = (pr->k->sregs->cs.selector & 3) == 3;
	t->int_gates_work = probe_run(pr, prog_int80, sizeof(prog_int80), 0, DIRECTLY, 0) == 0x80;

	if (probe_run(pr, prog_read, sizeof(prog_read), DATA_VA, DIRECTLY, 0) != GATE_PORT_LSTAR ||
	    pr->k->regs->rax != 0xa) {
		g_set_error(error, MACHINE_ERROR, 0, "this KVM cannot run paravirtual guests: ring 3 reads "
			    "%#llx where its page tables map something else", pr->k->regs->rax);
		return false;
	}
	words(pr->l1)[DATA_VA >> PAGE_SHIFT] =
		pr->b | (words(pr->l1)[DATA_VA >> PAGE_SHIFT] & ~PTE_ADDR);
	if (probe_run(pr, prog_read, sizeof(prog_read), DATA_VA, FLUSH, 0) != GATE_PORT_LSTAR) {
		g_set_error(error, MACHINE_ERROR, 0,
			    "this KVM cannot run paravirtual guests: IRETQ to ring 3 fails");
		return false;
	}
	t->host_stores_unseen = pr->k->regs->rax != 0xb;
	if (t->host_stores_unseen && !reads(pr, 0xb, STORE)) {
		t->stores_wait_for_cr3 = reads(pr, 0xb, FLUSH);
		if (!t->stores_wait_for_cr3) {
			g_set_error(error, MACHINE_ERROR, 0, "this KVM cannot run paravirtual guests: it shadows page "
				    "tables, and a store across two entries does not make it forget them");
			return false;
		}
	}
	t->slot256_visible = probe_run(pr, prog_read, sizeof(prog_read), RESERVED_VIRT_START + DATA_VA,
				       DIRECTLY, 0) == GATE_PORT_LSTAR;

	/* It must fault. If it does not, the host's own GDT was used, and KVM knows nothing of it. */
	t->selectors_untold = probe_run(pr, prog_ds, sizeof(prog_ds), 0, DIRECTLY, 0) == GATE_PORT_LSTAR;

	pr->k->sregs->cr0 |= 8;
	t->raises_nm = probe_run(pr, prog_fpu, sizeof(prog_fpu), 0, DIRECTLY, 0) == X86_NM;
	pr->k->sregs->cr0 &= ~(uint64_t)8;
	return true;
}

bool probe_traits(GError **error)
{
	struct probe pr = { .k = kvcpu_get(error) };

	if (!pr.k)
		return false;
	if (!build(&pr)) {
		g_set_error(error, MACHINE_ERROR, 0, "no frames left for the start-up probe");
		return false;
	}
	bool ok = look(&pr, error);

	pr.k->sregs->cr3 = machine.gate_l3;
	kvcpu_put(pr.k);
	return ok;
}

void probe_print(void)
{
	const struct kvm_traits *t = &machine.traits;

	xlog(LOG_INFO, "KVM: %s; SYSCALL enters ring %d; page-table stores of this process are %s; "
	     "int gates %s; selectors %s; slot 256 %s; CR0.TS %s; TSC %u kHz, offset %lld",
	     t->host_stores_unseen ? "shadows page tables" : "nested paging",
	     t->syscall_stays_in_ring3 ? 3 : 0, !t->host_stores_unseen ? "seen" :
	     t->stores_wait_for_cr3 ? "repeated inside and seen with CR3" : "repeated inside",
	     t->int_gates_work ? "work" : "raise #UD", t->selectors_untold ? "untold" : "told",
	     t->slot256_visible ? "visible" : "hidden",
	     t->raises_nm ? "traps" : "does not trap", machine.info.tsc_khz,
	     (long long)machine.tsc_offset);
}
