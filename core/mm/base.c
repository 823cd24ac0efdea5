/* SPDX-License-Identifier: MIT */
/*
 * What keeps a top-level table alive: pins and loaded base pointers. Each holds a general and a
 * type reference of its own, so a kernel may unpin the table it runs on.
 */
#include "frame.h"

int base_pin(struct domain *d, mfn_t mfn, unsigned level, bool preemptible)
{
	struct frame *f = frame_of(mfn);
	int rc;

	if (level < 1 || level > 4)
		return -XEN_EINVAL;
	rc = ref_type_get(d, mfn, (enum frame_type)level, preemptible);
	if (rc)
		return rc;
	if (f->flags & FF_PINNED) {
		dlog(d, LOG_DEBUG, "frame %#llx is pinned already", (unsigned long long)mfn.n);
		ref_type_put(f, preemptible);
		return -XEN_EINVAL;
	}
	f->flags |= FF_PINNED;
	return 0;
}

int base_unpin(struct domain *d, mfn_t mfn, bool preemptible)
{
	struct frame *f = frame_of(mfn);

	if (!frame_mappable(f, d) || !(f->flags & FF_PINNED)) {
		dlog(d, LOG_DEBUG, "frame %#llx is not pinned", (unsigned long long)mfn.n);
		return -XEN_EINVAL;
	}
	f->flags &= (uint8_t)~FF_PINNED;
	ref_type_put(f, preemptible);
	return 0;
}

int mm_pin_table(struct domain *d, mfn_t mfn, unsigned level)
{
	int rc;

	mm_lock(d);
	rc = base_pin(d, mfn, level, false);
	mm_unlock(d);
	return rc;
}

int mm_unpin_table(struct domain *d, mfn_t mfn)
{
	int rc;

	mm_lock(d);
	rc = base_unpin(d, mfn, false);
	mm_unlock(d);
	return rc;
}

static int set_base(struct vcpu *v, uint64_t *cr3, mfn_t mfn, bool preemptible)
{
	uint64_t old = *cr3;

	if (mfn.n) {
		int rc = ref_type_get(v->domain, mfn, FT_L4, preemptible);

		if (rc)
			return rc;
	}
	*cr3 = mfn.n << PAGE_SHIFT;
	if (v == current_vcpu())
		plat_base_changed(v);
	if (old)
		ref_type_put(frame_at(old >> PAGE_SHIFT), preemptible);
	return 0;
}

int base_set_kernel(struct vcpu *v, mfn_t mfn, bool preemptible)
{
	int rc;

	if (mfn.n == 0)
		return -XEN_EINVAL;
	if (v->gate.cr3_kernel == mfn.n << PAGE_SHIFT) {
		/* Loading CR3 with what it holds is how one flushes. */
		flush_tlb(v->domain, cpu_bit(plat_cpu_id()));
		return 0;
	}
	rc = set_base(v, &v->gate.cr3_kernel, mfn, preemptible);
	if (!rc) {
		if (m2p_strict(v->domain))
			m2p_show(frame_of(mfn), true);
		segdesc_new_tables(v);
	}
	return rc;
}

int base_set_user(struct vcpu *v, mfn_t mfn, bool preemptible)
{
	int rc;

	if (v->gate.cr3_user == mfn.n << PAGE_SHIFT)
		return 0;
	rc = set_base(v, &v->gate.cr3_user, mfn, preemptible);
	if (!rc && mfn.n && m2p_strict(v->domain))
		m2p_show(frame_of(mfn), false);
	return rc;
}

int mm_set_kernel_base(struct vcpu *v, mfn_t mfn)
{
	int rc;

	mm_lock(v->domain);
	rc = type_drain(v->domain, true); /* as every hypercall that may leave something begins */
	if (!rc)
		rc = base_set_kernel(v, mfn, true);
	mm_unlock(v->domain);
	return rc;
}

int mm_set_user_base(struct vcpu *v, mfn_t mfn)
{
	int rc;

	mm_lock(v->domain);
	rc = base_set_user(v, mfn, true);
	mm_unlock(v->domain);
	return rc;
}

void base_drop(struct vcpu *v)
{
	set_base(v, &v->gate.cr3_kernel, MFN(0), false);
	set_base(v, &v->gate.cr3_user, MFN(0), false);
}

void mm_drop_bases(struct vcpu *v)
{
	mm_lock(v->domain);
	set_base(v, &v->gate.cr3_kernel, MFN(0), true);
	set_base(v, &v->gate.cr3_user, MFN(0), true);
	mm_unlock(v->domain);
}
