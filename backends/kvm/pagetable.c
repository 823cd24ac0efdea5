/* SPDX-License-Identifier: MIT */
/*
 * Page-table stores as KVM must hear of them.
 *
 * A host that shadows guest page tables watches stores made inside the VM; a store by this process changes
 * the memory behind its back. Upgrades (an absent entry appears, permissions widen) are found by the fault
 * they cause, but a present entry that is replaced or narrowed would live on in the shadow. Such a store is
 * made here at once, so that the core sees it, and queued: ring-0 code inside the VM stores the entry again, as it is
 * by then, before the guest goes on. That changes no memory, so it does not matter how often it is done, where, or
 * what became of the frame meanwhile.
 *
 * KVM takes a store that lies across two entries for the sign that a frame is no page table any more, and drops what
 * its shadow knows of it (detect_write_misaligned() in its mmu.c; probe.c looks whether it does). So one store is
 * enough for a frame that becomes a page table again.
 *
 * The shadow is one for all virtual CPUs, so one of them is enough. Each physical CPU has a queue of its own; an entry
 * stays there until its store has been done. Where a TLB flush is owed, what the others still have queued is
 * done here as well: then nothing is left of what was before the flush, whoever made the stores. It is copied, once, and
 * when it has been done the owner hears of it and drops its own: a CPU that idles after building domains
 * would have theirs for ever.
 *
 * Hosts with nested paging see every store after a TLB flush; there the queues stay empty.
 */
#include "machine.h"

static uint64_t *entry_ptr(mfn_t table, unsigned index)
{
	return (uint64_t *)plat_frame_ptr(table) + index;
}

static uint64_t direct_va(mfn_t mfn)
{
	return GATE_VIRT + GATE_DIRECT_OFF + (mfn.n << PAGE_SHIFT);
}

static void lock(struct pcpu *p)
{
	pthread_mutex_lock(&p->store_lock);
}

static void unlock(struct pcpu *p)
{
	pthread_mutex_unlock(&p->store_lock);
}

/* With the lock. */
static void add_store(struct pcpu *p, uint64_t addr)
{
	if (p->nr_stores == p->max_stores) {
		p->max_stores = p->max_stores ? p->max_stores * 2 : 256;
		p->stores = g_renew(uint64_t, p->stores, p->max_stores);
	}
	p->stores[p->nr_stores] = addr;
	__atomic_store_n(&p->nr_stores, p->nr_stores + 1, __ATOMIC_RELEASE);
}

/* The first @n are done. */
static void remove_stores(struct pcpu *p, unsigned n)
{
	lock(p);
	memmove(p->stores, p->stores + n, (p->nr_stores - n) * sizeof(*p->stores));
	__atomic_store_n(&p->nr_stores, p->nr_stores - n, __ATOMIC_RELEASE);
	p->gone += n;
	unlock(p);
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

	if (!machine.traits.host_stores_unseen || found_by_fault(old, new))
		return;
	lock(p);
	add_store(p, direct_va(table) + index * 8);
	unlock(p);
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

static void run_stores(struct pcpu *p, struct kvcpu *k, const uint64_t *stores, unsigned n);

/*
 * A frame becomes a page table again. What the guest wrote into it meanwhile the shadow has seen; what this
 * process wrote it has not, so then the shadow drops the frame. At once where other virtual CPUs may come upon the
 * table; a domain that is being built has none that runs.
 */
void plat_pt_enter(mfn_t mfn, unsigned level)
{
	uint8_t old = __atomic_exchange_n(&machine.frame_flags[mfn.n], FRAME_WAS_PT, __ATOMIC_SEQ_CST);
	uint64_t drop = direct_va(mfn) + DROP_SHADOW;
	struct pcpu *p = this_pcpu();

	if (!(old & FRAME_DIRTY) || !machine.traits.host_stores_unseen)
		return;
	door_stop_guest();
	if (machine.nr_pcpus > 1 && p->loaded) {
		p->loaded->sregs->cr3 = gate_cr3(&p->loaded->vcpu->gate);
		run_stores(p, p->loaded, &drop, 1);
		return;
	}
	lock(p);
	add_store(p, drop);
	unlock(p);
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

/* The registers of the guest are in v->gate by now, so the stub may clobber the vCPU's. */
static void run_stores(struct pcpu *p, struct kvcpu *k, const uint64_t *stores, unsigned n)
{
	struct kvm_sregs *s = k->sregs;

	memcpy((uint64_t *)(void *)(k->stack_page + PAGE_SIZE) - n, stores, n * sizeof(*stores));
	k->regs->rsp = k->stack_top - n * sizeof(*stores);
	k->regs->rip = GATE_VIRT + GATE_STUB_OFF + GATE_STORE_OFF + (GATE_STORES - n) * GATE_STORE_SIZE;
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

/* Between runs of a guest, when nothing is on its way. */
void pt_drain(struct pcpu *p, struct kvcpu *k)
{
	while (p->nr_stores > GATE_STORES) {
		run_stores(p, k, p->stores, GATE_STORES);
		remove_stores(p, GATE_STORES);
	}
}

unsigned pt_send(struct pcpu *p, uint64_t *top)
{
	/* Before the first store there is not even a list. */
	if (p->nr_stores)
		memcpy(top - p->nr_stores, p->stores, p->nr_stores * sizeof(*p->stores));
	p->nr_sent = p->nr_stores;
	return p->nr_sent;
}

/* Those of whom this one has done something hear of it. */
static void tell_owners(struct pcpu *p)
{
	p->collected = false;
	for (unsigned i = 0; i < machine.nr_pcpus; i++) {
		struct pcpu *from = &machine.pcpu[i];

		if (from == p)
			continue;
		lock(from);
		from->done = MAX(from->done, p->taken[i]);
		unlock(from);
	}
}

void pt_sent(struct pcpu *p)
{
	if (p->nr_sent)
		remove_stores(p, p->nr_sent);
	p->nr_sent = 0;
	if (p->collected)
		tell_owners(p);
}

void pt_forget(struct pcpu *p)
{
	uint64_t done;

	if (!p->nr_stores)
		return;
	p->nr_sent = 0;
	lock(p);
	done = p->done;
	unlock(p);
	if (done > p->gone)
		remove_stores(p, (unsigned)(done - p->gone));
}

static void collect_from(struct pcpu *p, struct pcpu *from)
{
	struct pcpu *first = p->id < from->id ? p : from, *second = first == p ? from : p;
	uint64_t *taken = &p->taken[from->id];

	if (!__atomic_load_n(&from->nr_stores, __ATOMIC_ACQUIRE))
		return;
	lock(first);
	lock(second);
	for (uint64_t i = MAX(*taken, from->gone) - from->gone; i < from->nr_stores; i++)
		add_store(p, from->stores[i]);
	*taken = from->gone + from->nr_stores;
	p->collected = true;
	unlock(second);
	unlock(first);
}

void pt_collect(struct pcpu *p)
{
	for (unsigned i = 0; i < machine.nr_pcpus; i++)
		if (&machine.pcpu[i] != p)
			collect_from(p, &machine.pcpu[i]);
}
