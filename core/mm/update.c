/* SPDX-License-Identifier: MIT */
/*
 * Changing one entry of a live page table, and the hypercalls made of that: mmu_update and
 * update_va_mapping. Each entry costs a constant: the new entry's references are taken first (may
 * fail, changes nothing), then the entry is stored, then the old one's references are dropped.
 */
#include "xenopus/hypercall.h"
#include "frame.h"

/* Stores go through the platform, since a shadowing host must see them. False: the entry is not
 * *@expect. */
static bool store(struct frame *table, unsigned index, uint64_t e, uint64_t *old, bool exact,
		  bool keep_ad)
{
	mfn_t mfn = frame_mfn(table);
	unsigned level = table->type;

	if (!exact && !keep_ad) {
		*old = plat_pt_write(mfn, index, e, level);
		return true;
	}
	for (;;) {
		uint64_t new = keep_ad ? e | (*old & (PTE_A | PTE_D)) : e;

		if (plat_pt_cmpxchg(mfn, index, old, new, level))
			return true;
		if (exact)
			return false;
	}
}

/* Only the bits that hold references count; the rest may change freely. */
static bool same_references(unsigned level, uint64_t a, uint64_t b)
{
	uint64_t mask = PTE_P | PTE_ADDR | (level == 1 ? PTE_RW : 0);

	return (a & b & PTE_P) && !((a ^ b) & mask);
}

static bool self_map(struct frame *table, unsigned level, uint64_t e)
{
	return level == 4 && mfn_eq(pte_mfn(e), frame_mfn(table));
}

int table_store(struct domain *d, struct frame *table, unsigned index, uint64_t e,
		const uint64_t *expect, bool keep_ad, bool preemptible)
{
	unsigned level = table->type;
	const uint64_t *entries = frame_ptr(table);
	uint64_t old = expect ? *expect : READ_ONCE(entries[index]);
	bool present = e & PTE_P;
	int rc;

	ASSERT(frame_live_table(table) && index < 512);
	if (slot_reserved(level, index)) {
		/* Guests that copy a whole L4 write back what they read; the hardware may have
		 * marked it. */
		return ((e ^ entries[index]) & ~(PTE_A | PTE_D)) ? -XEN_EINVAL : 0;
	}
	if (same_references(level, old, e) && !self_map(table, level, e)) {
		if (!entry_flags_ok(d, level, e))
			return -XEN_EINVAL;
		e |= PTE_US;
		if (level == 1)
			e &= ~PTE_G;
		if (!expect && !keep_ad)
			plat_pt_write(frame_mfn(table), index, e, level);
		else if (!store(table, index, e, &old, expect, keep_ad))
			return -XEN_EAGAIN;
		if (level > 1)
			paths_gone(d);
		goto stored;
	}
	if (!present && !entry_absent_ok(e)) {
		dlog(d, LOG_DEBUG, "L%u entry %#llx is not present but names memory", level, (unsigned long long)e);
		return -XEN_EINVAL;
	}
	if (present) {
		rc = entry_get(d, table, level, &e, preemptible);
		if (rc)
			return rc;
	}
	if (!store(table, index, e, &old, expect, keep_ad && present)) {
		if (present)
			entry_put(d, table, level, e, preemptible);
		return -XEN_EAGAIN;
	}
	if (old & PTE_P) {
		if (level > 1)
			paths_gone(d);
		entry_put(d, table, level, old, preemptible);
	}
stored:
	d->mm.pt_updates++;
	return 0;
}

int foreign_ok(struct domain *d, domid_t domid)
{
	if (domid == d->id)
		return 0;
	if (domid == DOMID_IO || domid == DOMID_XEN)
		return -XEN_EPERM;
	return domain_by_id(domid, d) ? -XEN_EPERM : -XEN_ESRCH;
}

/* ---- mmu_update ---- */

/* A frame that is no page table now: a plain store, as the guest could do it through a writable
 * mapping. */
static int store_plain(struct frame *f, unsigned offset, uint64_t val)
{
	int rc = type_get(f, FT_WRITABLE, true);

	if (rc)
		return rc == -XEN_ERESTART ? rc : -XEN_EINVAL;
	guest_bytes((char *)frame_ptr(f) + offset, &val, sizeof(val));
	plat_frame_dirty(frame_mfn(f));
	type_put(f, true);
	return 0;
}

static int update_one(struct domain *d, const struct mmu_update *req)
{
	unsigned cmd = req->ptr & 7;
	uint64_t ptr = req->ptr & ~UINT64_C(7);
	struct frame *f = frame_of(MFN(ptr >> PAGE_SHIFT));
	int rc;

	if (cmd > MMU_PT_UPDATE_NO_TRANSLATE)
		return -XEN_ENOSYS;
	if (!frame_mappable(f, d) || !get_ref(f)) {
		dlog(d, LOG_DEBUG, "mmu_update: frame %#llx is not the domain's",
		     (unsigned long long)(ptr >> PAGE_SHIFT));
		return -XEN_EINVAL;
	}
	if (cmd == MMU_MACHPHYS_UPDATE) {
		m2p_set(frame_mfn(f), req->val);
		rc = 0;
	} else if (table_hold(f)) {
		rc = table_store(d, f, (ptr & (PAGE_SIZE - 1)) / 8, req->val, NULL,
				 cmd == MMU_PT_UPDATE_PRESERVE_AD, true);
		table_release(f);
	} else {
		rc = store_plain(f, ptr & (PAGE_SIZE - 1), req->val);
	}
	put_ref(f);
	return rc;
}

/* The progress of earlier rounds is in *pdone, which only the flag in @count makes meaningful. */
static uint32_t done_before(struct vcpu *v, uint64_t *count, uint64_t pdone)
{
	uint32_t done = 0;

	if ((*count & MMU_UPDATE_PREEMPTED) && pdone &&
	    guest_copy_from(v, &done, pdone, sizeof(done)))
		done = 0;
	*count &= ~(uint64_t)MMU_UPDATE_PREEMPTED;
	return done;
}

#define BATCH 16u

long do_mmu_update(struct vcpu *v, struct hypercall_args *a)
{
	struct domain *d = v->domain;
	struct mmu_update batch[BATCH];
	uint64_t count = (uint32_t)a->arg[1], pdone = a->arg[2], i = 0;
	uint32_t dom = (uint32_t)a->arg[3];
	unsigned at = 0, have = 0;
	uint32_t done;
	int rc = mm_drain(d);

	if (rc)
		return rc;
	done = done_before(v, &count, pdone);
	rc = mm_foreign_ok(d, (domid_t)dom);
	if (!rc && dom >> 16) /* bits 31..16: domain id + 1 of the page tables' owner */
		rc = mm_foreign_ok(d, (domid_t)((dom >> 16) - 1));
	mm_lock(d);
	for (; i < count && !rc; i++) {
		if (d->mm.nr_down || (i && hypercall_preempt())) {
			rc = -XEN_ERESTART;
			break;
		}
		if (at == have) {
			uint64_t left = count - i;
			size_t bytes;

			have = left < BATCH ? (unsigned)left : BATCH;
			bytes = have * sizeof(batch[0]);
			/* One is what kernels ask for most. */
			bytes -= have == 1 ? guest_copy_from(v, batch, a->arg[0] + i * sizeof(batch[0]), sizeof(batch[0])) :
					     guest_copy_from(v, batch, a->arg[0] + i * sizeof(batch[0]), bytes);
			have = (unsigned)(bytes / sizeof(batch[0]));
			at = 0;
			if (!have) {
				rc = -XEN_EFAULT;
				break;
			}
		}
		rc = update_one(d, &batch[at++]);
		if (rc)
			break;
	}
	mm_unlock(d);
	stat_add(&v->stats.mmu_updates, i);
	if (rc == -XEN_ERESTART) {
		a->arg[0] += i * sizeof(batch[0]);
		a->arg[1] = (count - i) | MMU_UPDATE_PREEMPTED;
	}
	done += (uint32_t)i;
	if (pdone)
		guest_copy_to(v, pdone, &done, sizeof(done));
	return rc;
}

/* ---- update_va_mapping ---- */

int mm_vcpu_mask(struct vcpu *v, uint64_t va, uint64_t *pcpus)
{
	struct domain *d = v->domain;
	uint64_t map = 0;
	size_t bytes = (d->max_vcpus + 7) / 8;

	_Static_assert(MAX_VCPUS <= 64, "one word holds the bitmap");
	if (guest_copy_from(v, &map, va, bytes))
		return -XEN_EFAULT;
	*pcpus = 0;
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if ((map >> i & 1) && d->vcpu[i] && READ_ONCE(d->vcpu[i]->sched.loaded))
			*pcpus |= cpu_bit(sched_pcpu(d->vcpu[i]));
	return 0;
}

static int flush_as_asked(struct vcpu *v, uint64_t va, uint64_t flags)
{
	uint64_t kind = flags & UVMF_FLUSHTYPE_MASK, where = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK,
		 pcpus;

	if (kind != UVMF_TLB_FLUSH && kind != UVMF_INVLPG)
		return 0;
	if (where == UVMF_LOCAL)
		pcpus = cpu_bit(plat_cpu_id());
	else if (where == UVMF_ALL)
		pcpus = flush_domain_cpus(v->domain);
	else if (mm_vcpu_mask(v, where, &pcpus))
		return -XEN_EFAULT;
	if (kind == UVMF_TLB_FLUSH)
		flush_tlb(v->domain, pcpus);
	else
		flush_page(pcpus, va);
	return 0;
}

static long update_va(struct vcpu *v, uint64_t va, uint64_t val, uint64_t flags)
{
	struct domain *d = v->domain;
	struct frame *l1;
	unsigned index;
	int rc = mm_drain(d);

	if (rc)
		return rc;
	mm_lock(d);
	l1 = walk_l1(v, va, &index);
	if (l1 && table_hold(l1)) {
		rc = table_store(d, l1, index, val, NULL, false, true);
		table_release(l1);
	} else {
		rc = -XEN_EINVAL;
	}
	mm_unlock(d);
	if (!l1)
		dlog(d, LOG_DEBUG, "update_va_mapping: no L1 table maps %#llx",
		     (unsigned long long)va);
	if (rc)
		return rc;
	stat_inc(&v->stats.va_mappings);
	return flush_as_asked(v, va, flags);
}

long do_update_va_mapping(struct vcpu *v, struct hypercall_args *a)
{
	return update_va(v, a->arg[0], a->arg[1], a->arg[2]);
}

long do_update_va_mapping_otherdomain(struct vcpu *v, struct hypercall_args *a)
{
	int rc = mm_foreign_ok(v->domain, (domid_t)a->arg[3]);

	return rc ? rc : update_va(v, a->arg[0], a->arg[1], a->arg[2]);
}
