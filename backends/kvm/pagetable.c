/* SPDX-License-Identifier: MIT */
/*
 * Page-table stores as KVM must hear of them.
 *
 * A host that shadows guest page tables watches stores made inside the VM; a store by this process changes
 * the memory behind its back. Upgrades (an absent entry appears, permissions widen) are found by the fault
 * they cause, but a present entry that is replaced or narrowed would live on in the shadow. Such a store is
 * made here at once, so that the core sees it, and queued to be repeated by ring-0 code inside the VM before
 * the guest goes on. While anything is queued every later store joins the queue, or the older would overwrite
 * the newer.
 *
 * Hosts with nested paging see every store after a TLB flush; there the queue stays empty.
 */
#include "machine.h"

static uint64_t *entry_ptr(mfn_t table, unsigned index)
{
	return (uint64_t *)plat_frame_ptr(table) + index;
}

static void enqueue(struct pcpu *p, mfn_t table, unsigned index, uint64_t value)
{
	if (p->nr_stores == p->max_stores) {
		p->max_stores = p->max_stores ? p->max_stores * 2 : 256;
		p->stores = g_renew(struct pt_store, p->stores, p->max_stores);
	}
	p->stores[p->nr_stores++] = (struct pt_store){
		.addr = GATE_VIRT + GATE_DIRECT_OFF + (table.n << PAGE_SHIFT) + index * 8,
		.value = value,
	};
}

/* Will the shadow find this change out by itself, through the fault an access would take? */
static bool found_by_fault(uint64_t old, uint64_t new)
{
	const uint64_t widening = PTE_RW | PTE_US | PTE_A | PTE_D;

	if (!(old & PTE_P))
		return true;
	return (old | widening) == (new | widening) && !(old & ~new & (PTE_RW | PTE_US));
}

static void note_store(mfn_t table, unsigned index, uint64_t old, uint64_t new)
{
	struct pcpu *p = this_pcpu();

	if (!machine.traits.host_stores_unseen)
		return;
	if (p->nr_stores || !found_by_fault(old, new))
		enqueue(p, table, index, new);
}

uint64_t plat_pt_write(mfn_t table, unsigned index, uint64_t entry, unsigned level)
{
	uint64_t old = __atomic_exchange_n(entry_ptr(table, index), entry, __ATOMIC_SEQ_CST);

	note_store(table, index, old, entry);
	return old;
}

bool plat_pt_cmpxchg(mfn_t table, unsigned index, uint64_t *expected, uint64_t entry, unsigned level)
{
	uint64_t old = *expected;

	if (!__atomic_compare_exchange_n(entry_ptr(table, index), expected, entry, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	note_store(table, index, old, entry);
	return true;
}

/*
 * A frame becomes a page table again. What the guest wrote into it meanwhile the shadow has seen; what this
 * process wrote it has not, so then every entry is stored again from inside.
 */
void plat_pt_enter(mfn_t mfn, unsigned level)
{
	struct pcpu *p = this_pcpu();
	uint8_t old = machine.frame_flags[mfn.n];

	machine.frame_flags[mfn.n] = FRAME_WAS_PT;
	if (!(old & FRAME_DIRTY) || !machine.traits.host_stores_unseen)
		return;
	door_stop_guest();
	if (p->nr_selfcopy == p->max_selfcopy) {
		p->max_selfcopy = p->max_selfcopy ? p->max_selfcopy * 2 : 16;
		p->selfcopy = g_renew(mfn_t, p->selfcopy, p->max_selfcopy);
	}
	p->selfcopy[p->nr_selfcopy++] = mfn;
}

void plat_pt_leave(mfn_t mfn, unsigned level)
{
}

void plat_tlb_flush(uint64_t pcpus, enum plat_flush what, uint64_t va)
{
	/* Where stores are repeated these invalidate what they touch, before the guest goes on. */
	door_stop_guest();
	for (unsigned i = 0; i < machine.nr_pcpus; i++)
		if (pcpus >> i & 1)
			atomic_fetch_add(&machine.pcpu[i].flush_gen, 1);
}

/* CR3 is loaded on the way into the guest; in between the VM does not run. */
void plat_base_changed(struct vcpu *v)
{
}

void plat_cache_flush(void)
{
	/* Guest memory is ordinary cached memory of this process and no device looks past the caches. */
}

static void run_stub(struct pcpu *p, struct kvcpu *k, unsigned offset)
{
	struct kvm_sregs *s = k->sregs;

	k->regs->rip = GATE_VIRT + GATE_STUB_OFF + offset;
	k->regs->rflags = 2;
	s->cs = gate_code;
	s->ss = gate_data;
	k->dirty |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	do {
		int rc = kvcpu_run_raw(k);

		if (rc == -EINTR) {
			clock_kick_later(k);
			continue;
		}
		if (rc || k->run->exit_reason != KVM_EXIT_IO || k->run->io.port != GATE_PORT_DONE)
			g_error("KVM stopped inside the gate's store stub (rc %d, exit reason %u, rip %#llx)",
				rc, k->run->exit_reason, k->regs->rip);
		break;
	} while (true);
	p->exits[EXIT_STORES]++;
}

/* The registers of the guest are in v->gate by now, so the stub may clobber the vCPU's. */
void pt_drain(struct pcpu *p, struct kvcpu *k)
{
	for (unsigned i = 0; i < p->nr_selfcopy; i++) {
		uint64_t a = GATE_VIRT + GATE_DIRECT_OFF + (p->selfcopy[i].n << PAGE_SHIFT);

		k->regs->rsi = k->regs->rdi = a;
		k->regs->rcx = 512;
		k->regs->rsp = k->stack_top - 256;
		run_stub(p, k, GATE_SELFCOPY_OFF);
	}
	p->nr_selfcopy = 0;

	unsigned done = 0;

	while (p->nr_stores - done > GATE_STORES) {
		memcpy(k->stack_page, p->stores + done, GATE_STORES * sizeof(*p->stores));
		k->regs->rsp = k->stack_top - PAGE_SIZE;
		run_stub(p, k, GATE_STORE_OFF);
		done += GATE_STORES;
	}
	if (done) {
		memmove(p->stores, p->stores + done, (p->nr_stores - done) * sizeof(*p->stores));
		p->nr_stores -= done;
	}
}
