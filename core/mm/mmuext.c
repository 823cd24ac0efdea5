/* SPDX-License-Identifier: MIT */
/* The hypercall mmuext_op: pins, base pointers, TLB and cache flushes, the LDT, clearing and
 * copying pages. */
#include "xenopus/hypercall.h"
#include "frame.h"

/* Take the page for a store through the core's own view of it; NULL when it may not be written. */
static struct frame *get_target(struct domain *d, uint64_t mfn, int *rc)
{
	*rc = ref_type_get(d, MFN(mfn), FT_WRITABLE, true);
	if (*rc && *rc != -XEN_ERESTART)
		*rc = -XEN_EINVAL;
	return *rc ? NULL : frame_at(mfn);
}

static void put_target(struct frame *f)
{
	plat_frame_dirty(frame_mfn(f));
	ref_type_put(f, false);
}

static int clear_page(struct domain *d, const struct mmuext_op *op)
{
	int rc;
	struct frame *f = get_target(d, op->arg1.mfn, &rc);

	if (f) {
		guest_clear(frame_ptr(f), PAGE_SIZE);
		put_target(f);
	}
	return rc;
}

static int copy_page(struct domain *d, const struct mmuext_op *op)
{
	struct frame *src = frame_of(MFN(op->arg2.src_mfn)), *dst;
	int rc;

	if (!frame_mappable(src, d) || !get_ref(src))
		return -XEN_EINVAL;
	dst = get_target(d, op->arg1.mfn, &rc);
	if (dst) {
		if (dst != src)
			guest_bytes(frame_ptr(dst), frame_ptr(src), PAGE_SIZE);
		put_target(dst);
	}
	put_ref(src);
	return rc;
}

static int flush_multi(struct vcpu *v, const struct mmuext_op *op)
{
	uint64_t pcpus;

	if (mm_vcpu_mask(v, (uint64_t)(uintptr_t)op->arg2.vcpumask.p, &pcpus))
		return -XEN_EINVAL;
	if (op->cmd == MMUEXT_TLB_FLUSH_MULTI)
		flush_tlb(v->domain, pcpus);
	else if (va_guest_ok(op->arg1.linear_addr))
		flush_page(pcpus, op->arg1.linear_addr);
	return 0;
}

static int invlpg(uint64_t pcpus, uint64_t va)
{
	if (va_guest_ok(va))
		flush_page(pcpus, va);
	return 0;
}

/* Those that change nothing of the domain's memory, and so need no lock. -XEN_ENOSYS: not one of them. */
static int flush_op(struct vcpu *v, const struct mmuext_op *op)
{
	struct domain *d = v->domain;
	uint64_t here = cpu_bit(plat_cpu_id());

	switch (op->cmd) {
	case MMUEXT_TLB_FLUSH_LOCAL:
		flush_tlb(d, here);
		return 0;
	case MMUEXT_TLB_FLUSH_ALL:
		flush_tlb(d, flush_domain_cpus(d));
		return 0;
	case MMUEXT_INVLPG_LOCAL:
		return invlpg(here, op->arg1.linear_addr);
	case MMUEXT_INVLPG_ALL:
		return invlpg(flush_domain_cpus(d), op->arg1.linear_addr);
	case MMUEXT_TLB_FLUSH_MULTI:
	case MMUEXT_INVLPG_MULTI:
		return flush_multi(v, op);
	case MMUEXT_FLUSH_CACHE:
	case MMUEXT_FLUSH_CACHE_GLOBAL:
		/* No domain has memory that is not cached coherently, and writing back everybody's caches would stall the rest. */
		return 0;
	default:
		return -XEN_ENOSYS;
	}
}

static int memory_op(struct vcpu *v, const struct mmuext_op *op)
{
	struct domain *d = v->domain;

	switch (op->cmd) {
	case MMUEXT_PIN_L1_TABLE:
	case MMUEXT_PIN_L2_TABLE:
	case MMUEXT_PIN_L3_TABLE:
	case MMUEXT_PIN_L4_TABLE:
		return base_pin(d, MFN(op->arg1.mfn), op->cmd - MMUEXT_PIN_L1_TABLE + 1, true);
	case MMUEXT_UNPIN_TABLE:
		return base_unpin(d, MFN(op->arg1.mfn), true);
	case MMUEXT_NEW_BASEPTR:
		return base_set_kernel(v, MFN(op->arg1.mfn), true);
	case MMUEXT_NEW_USER_BASEPTR:
		return base_set_user(v, MFN(op->arg1.mfn), true);
	case MMUEXT_SET_LDT:
		return segdesc_set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents);
	case MMUEXT_CLEAR_PAGE:
		return clear_page(d, op);
	case MMUEXT_COPY_PAGE:
		return copy_page(d, op);
	case MMUEXT_MARK_SUPER:
	case MMUEXT_UNMARK_SUPER:
		return -XEN_EOPNOTSUPP;
	default:
		return -XEN_ENOSYS;
	}
}

static int one_op(struct vcpu *v, const struct mmuext_op *op)
{
	int rc = flush_op(v, op);

	if (rc != -XEN_ENOSYS)
		return rc;
	mm_lock(v->domain);
	rc = memory_op(v, op);
	mm_unlock(v->domain);
	return rc;
}

long do_mmuext_op(struct vcpu *v, struct hypercall_args *a)
{
	struct domain *d = v->domain;
	uint64_t count = (uint32_t)a->arg[1], pdone = a->arg[2], i = 0;
	uint32_t done = 0;
	int rc = mm_drain(d);

	if (rc)
		return rc;
	if ((count & MMU_UPDATE_PREEMPTED) && pdone &&
	    guest_copy_from(v, &done, pdone, sizeof(done)))
		done = 0;
	count &= ~(uint64_t)MMU_UPDATE_PREEMPTED;
	rc = mm_foreign_ok(d, (domid_t)a->arg[3]);
	for (; i < count && !rc; i++) {
		struct mmuext_op op;

		if (READ_ONCE(d->mm.nr_down) || (i && hypercall_preempt()))
			rc = -XEN_ERESTART;
		else if (guest_copy_from(v, &op, a->arg[0] + i * sizeof(op), sizeof(op)))
			rc = -XEN_EFAULT;
		else
			rc = one_op(v, &op);
		if (rc)
			break;
	}
	if (rc == -XEN_ERESTART) {
		a->arg[0] += i * sizeof(struct mmuext_op);
		a->arg[1] = (count - i) | MMU_UPDATE_PREEMPTED;
	}
	done += (uint32_t)i;
	if (pdone)
		guest_copy_to(v, pdone, &done, sizeof(done));
	return rc;
}
