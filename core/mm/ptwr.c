/* SPDX-License-Identifier: MIT */
/*
 * Direct writes to page tables. A guest maps its page tables read-only; when its kernel stores into
 * one anyway and has enabled VMASST_TYPE_writable_pagetables, the store is decoded, checked like an
 * mmu_update, and performed. What cannot be done so (not a page table, a store across entries, an
 * entry that is refused) stays the page fault that it is.
 *
 * A new entry above L1 may name a table that has yet to be validated, with all that is below it. That stops when it has
 * taken long enough, as it does in a hypercall; the guest goes on at the same instruction, faults again, and the
 * validation goes on where it was (type.c).
 */
#include "xenopus/hypercall.h"
#include "frame.h"

/*
 * A pair that is stopped lets go the first of its new tables, which queues that and one below it (type_abandon()); the next
 * attempt takes both from the queue again. Done, it leaves as many, twice, and there is room for them.
 */
#define PAIR_DOWN_MAX 2u
_Static_assert(3 * PAIR_DOWN_MAX <= MM_DOWN_MAX, "a pair cannot fill the queue");

/* The part of entry word @old that bytes [@offset, @offset + @size) are, and @old with that part
 * replaced. */
static uint64_t part(uint64_t old, unsigned offset, unsigned size)
{
	return size == 8 ? old : old >> (offset * 8) & ((UINT64_C(1) << (size * 8)) - 1);
}

static uint64_t merge(uint64_t old, unsigned offset, unsigned size, uint64_t value)
{
	uint64_t mask =
		size == 8 ? ~UINT64_C(0) : ((UINT64_C(1) << (size * 8)) - 1) << (offset * 8);

	return (old & ~mask) | (value << (offset * 8) & mask);
}

/* A reference more on what entry @index could say, so that storing it and back again is neither long nor refused. */
static int hold_entry(struct domain *d, struct frame *table, unsigned index, uint64_t *e)
{
	if (slot_reserved(table->type, index))
		*e = 0;
	return *e & PTE_P ? entry_get(d, table, table->type, e, true) : 0;
}

static void let_go_entry(struct domain *d, struct frame *table, uint64_t e)
{
	if (e & PTE_P)
		entry_put(d, table, table->type, e, true);
}

/* What is stored is held, and so is what was there: the second store failing undoes the first, which held before. */
static int store_held_pair(struct domain *d, struct frame *table, unsigned index, const uint64_t old[2],
			   const uint64_t new[2])
{
	const uint64_t *entries = frame_ptr(table);
	int rc = table_store(d, table, index, new[0], &old[0], false, true);

	if (rc)
		return rc;
	rc = table_store(d, table, index + 1, new[1], &old[1], false, true);
	if (rc) {
		uint64_t now = entries[index];

		while (table_store(d, table, index, old[0], &now, false, true) == -XEN_EAGAIN)
			now = entries[index];
	}
	return rc;
}

/* Two entries at once (cmpxchg16b): whatever takes long comes before either is stored. */
static int store_pair(struct domain *d, struct frame *table, unsigned index, const uint64_t old[2],
		      const uint64_t new[2])
{
	uint64_t held[3] = { old[0], new[0], new[1] };
	unsigned n;
	int rc = 0;

	for (n = 0; n < ARRAY_SIZE(held) && !rc; n++)
		rc = hold_entry(d, table, index + n / 2, &held[n]);
	if (rc)
		n--;
	else
		rc = store_held_pair(d, table, index, old, new);
	while (n--)
		let_go_entry(d, table, held[n]);
	return rc;
}

/*
 * Execute the instruction once on what the entry holds now. -XEN_EAGAIN: it changed, try again. -XEN_ERESTART: a part of
 * what it takes is done.
 */
static int attempt(struct vcpu *v, struct frame *table, const struct insn *insn,
		   const struct insn_access *acc, struct insn_regs *regs, uint64_t src)
{
	unsigned index = (acc->dst & (PAGE_SIZE - 1)) / 8, offset = acc->dst & 7;
	const uint64_t *entries = frame_ptr(table);
	unsigned words = acc->size == 16 ? 2 : 1, size = acc->size == 16 ? 8 : acc->size;
	uint64_t old[2] = {0, 0}, seen[2] = {0, 0}, new[2];
	struct insn_result result;

	for (unsigned i = 0; i < words; i++) {
		old[i] = READ_ONCE(entries[index + i]);
		seen[i] = part(old[i], offset, size);
	}
	if (!insn_execute_rmw(insn, regs, seen, src, &result))
		return -XEN_EINVAL;
	if (!result.write)
		return 0;
	if (words == 2)
		return store_pair(v->domain, table, index, old, result.value);
	new[0] = merge(old[0], offset, size, result.value[0]);
	return table_store(v->domain, table, index, new[0], &old[0], false, true);
}

/* True: done, or begun and to be done again: the registers are as they were then. */
static bool emulate(struct vcpu *v, uint64_t va)
{
	struct domain *d = v->domain;
	struct insn_access acc;
	struct insn_regs regs;
	struct insn insn;
	struct frame *f;
	uint64_t e, src = 0;
	int rc;

	e = mm_walk(v, va, NULL);
	f = frame_of(pte_mfn(e));
	if (!(e & PTE_P) || (e & PTE_RW) || !frame_mappable(f, d) || !frame_live_table(f))
		return false;
	if (arch_insn_fetch(v, &insn, &regs, NULL, NULL) != INSN_OK ||
	    !insn_plan_rmw(&insn, &regs, &acc))
		return false;
	if (acc.skip || ((acc.dst ^ va) & PAGE_MASK) || (acc.dst & (acc.size - 1u)))
		return false;
	/* What is left to be given up comes first; then the guest is here again. But a pair takes up what it has let go. */
	if (d->mm.nr_down > (acc.size == 16 ? PAIR_DOWN_MAX : 0)) {
		type_drain(d, true);
		return true;
	}
	if (acc.has_src && guest_copy_from(v, &src, acc.src, acc.size))
		return false;
	if (!table_hold(f))
		return false;
	do {
		struct insn_regs scratch = regs;

		rc = attempt(v, f, &insn, &acc, &scratch, src);
		if (!rc)
			regs = scratch;
	} while (rc == -XEN_EAGAIN);
	table_release(f);
	if (rc == -XEN_ERESTART)
		return true;
	if (rc) {
		dlog(d, LOG_DEBUG, "write to page table at %#llx refused (%d)",
		     (unsigned long long)va, rc);
		return false;
	}
	arch_insn_retire(v, &regs);
	d->mm.ptwr_emulations++;
	stat_inc(&v->stats.ptwr);
	return true;
}

bool mm_ptwr_emulate(struct vcpu *v, uint64_t va, uint32_t error)
{
	struct domain *d = v->domain;
	bool done;

	if (!(READ_ONCE(d->mm.vm_assist) & (UINT64_C(1) << VMASST_TYPE_writable_pagetables)) ||
	    !gate_kernel_mode(&v->gate) || (error & PFEC_RSVD) ||
	    (error & (PFEC_PRESENT | PFEC_WRITE)) != (PFEC_PRESENT | PFEC_WRITE))
		return false;
	preemptible_begin(v);
	mm_lock(d);
	done = emulate(v, va);
	mm_unlock(d);
	preemptible_end();
	return done;
}
