/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables. Pages the hardware reads descriptors from have the type FT_SEGDESC: the guest
 * cannot write them, and each descriptor was checked. Guests get code and data segments of
 * privilege 3 and nothing else; a gate or a task segment would be a way into ring 0.
 */
#include "xenopus/hypercall.h"
#include "frame.h"

#define DESC_P	      (UINT64_C(1) << 47)
#define DESC_DPL      (UINT64_C(3) << 45)
#define DESC_S	      (UINT64_C(1) << 44) /* code or data, not system */
#define DESC_TYPE     (UINT64_C(15) << 40)
#define DESCS_IN_PAGE 512u

bool mm_check_descriptor(uint64_t *desc)
{
	if (!(*desc & DESC_P))
		return true; /* any use faults */
	if (*desc & DESC_S) {
		*desc |= DESC_DPL;
		return true;
	}
	/* System type 0 is reserved: any use faults; upper halves of 16-byte descriptors look like
	 * this. */
	return !(*desc & DESC_TYPE);
}

bool segdesc_page_ok(struct frame *f)
{
	uint64_t *descs = frame_ptr(f);
	bool changed = false;

	for (unsigned i = 0; i < DESCS_IN_PAGE; i++) {
		uint64_t desc = descs[i];

		if (!mm_check_descriptor(&desc)) {
			dlog(f->owner, LOG_DEBUG, "descriptor %u of frame %#llx is %#llx", i,
			     (unsigned long long)frame_mfn(f).n, (unsigned long long)desc);
			return false;
		}
		changed |= desc != descs[i];
		descs[i] = desc;
	}
	if (changed)
		plat_frame_dirty(frame_mfn(f));
	return true;
}

/* ---- GDT ---- */

/*
 * Tell the home of @v's tables. Of a virtual CPU that another physical CPU works for, or may at any moment,
 * only that one can; it does so before the guest goes on.
 */
static void changed_tables(struct vcpu *v)
{
	/* One that was put down by another may not have noticed yet. */
	bool at_rest = READ_ONCE(v->sched.pause_flags) & VPF_DOWN &&
		       !__atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST);

	if (v == current_vcpu() || at_rest) {
		plat_descriptors_changed(v);
		return;
	}
	__atomic_store_n(&v->arch.descriptors_stale, true, __ATOMIC_SEQ_CST);
	cpu_request(sched_pcpu(v));
}

void mm_descriptors_refresh(struct vcpu *v)
{
	if (!__atomic_load_n(&v->arch.descriptors_stale, __ATOMIC_SEQ_CST))
		return;
	mm_lock(v->domain);
	v->arch.descriptors_stale = false;
	plat_descriptors_changed(v);
	mm_unlock(v->domain);
}

static unsigned gdt_pages(unsigned entries)
{
	return (entries + DESCS_IN_PAGE - 1) / DESCS_IN_PAGE;
}

static void put_gdt(struct vcpu *v)
{
	for (unsigned i = 0; i < gdt_pages(v->arch.gdt_entries); i++) {
		ref_type_put(frame_of(v->arch.gdt_frames[i]), false);
		v->arch.gdt_frames[i] = MFN(0);
	}
	v->arch.gdt_entries = 0;
}

int segdesc_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned entries)
{
	unsigned n = gdt_pages(entries);

	if (entries > FIRST_RESERVED_GDT_ENTRY)
		return -XEN_EINVAL;
	for (unsigned i = 0; i < n; i++) {
		if (ref_type_get(v->domain, MFN(frames[i]), FT_SEGDESC, false)) {
			dlog(v->domain, LOG_DEBUG, "set_gdt: frame %#llx refused",
			     (unsigned long long)frames[i]);
			while (i--)
				ref_type_put(frame_at(frames[i]), false);
			return -XEN_EINVAL;
		}
	}
	put_gdt(v);
	for (unsigned i = 0; i < n; i++)
		v->arch.gdt_frames[i] = MFN(frames[i]);
	v->arch.gdt_entries = entries;
	changed_tables(v);
	return 0;
}

int mm_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned entries)
{
	int rc;

	mm_lock(v->domain);
	rc = segdesc_set_gdt(v, frames, entries);
	mm_unlock(v->domain);
	return rc;
}

long do_set_gdt(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t frames[FIRST_RESERVED_GDT_PAGE];
	unsigned entries = (unsigned)a->arg[1];

	if (entries > FIRST_RESERVED_GDT_ENTRY)
		return -XEN_EINVAL;
	if (guest_copy_from(v, frames, a->arg[0], gdt_pages(entries) * sizeof(frames[0])))
		return -XEN_EFAULT;
	return mm_set_gdt(v, frames, entries);
}

/* ---- LDT ---- */

/* The frame that LDT page @n of @v lies in now, NULL when it is not mapped. */
static struct frame *ldt_page(struct vcpu *v, unsigned n)
{
	unsigned index;
	struct frame *l1 = walk_l1(v, v->arch.ldt_base + n * PAGE_SIZE, &index);
	uint64_t e = l1 ? ((const uint64_t *)frame_ptr(l1))[index] : 0;

	return e & PTE_P ? frame_of(pte_mfn(e)) : NULL;
}

static int take_ldt_page(struct vcpu *v, unsigned n, bool preemptible)
{
	struct frame *f = ldt_page(v, n);
	int rc = f ? ref_type_get(v->domain, frame_mfn(f), FT_SEGDESC, preemptible) : -XEN_EINVAL;

	if (!rc)
		v->arch.ldt_frames[n] = frame_mfn(f);
	return rc;
}

static bool put_ldt_page(struct vcpu *v, unsigned n)
{
	mfn_t mfn = v->arch.ldt_frames[n];

	if (!mfn.n)
		return false;
	v->arch.ldt_frames[n] = MFN(0);
	ref_type_put(frame_of(mfn), false);
	return true;
}

static int map_ldt_page(struct vcpu *v, unsigned n, bool preemptible)
{
	int rc;

	if (n >= gdt_pages(v->arch.ldt_entries))
		return -XEN_EINVAL;
	if (v->arch.ldt_frames[n].n)
		return 0;
	rc = take_ldt_page(v, n, preemptible);
	if (!rc)
		changed_tables(v);
	return rc;
}

bool mm_map_ldt_page(struct vcpu *v, unsigned n)
{
	int rc;

	mm_lock(v->domain);
	rc = map_ldt_page(v, n, false);
	mm_unlock(v->domain);
	return !rc;
}

bool mm_ldt_fault(struct vcpu *v, unsigned n)
{
	int rc;

	preemptible_begin(v);
	mm_lock(v->domain);
	/* The page may be what is left of a large page table, or one may be waiting: both are given up as time allows. */
	rc = type_drain(v->domain, true);
	if (!rc)
		rc = map_ldt_page(v, n, true);
	mm_unlock(v->domain);
	preemptible_end();
	return !rc || rc == -XEN_ERESTART;
}

static void put_ldt(struct vcpu *v)
{
	for (unsigned n = 0; n < ARRAY_SIZE(v->arch.ldt_frames); n++)
		put_ldt_page(v, n);
	v->arch.ldt_entries = 0;
	v->arch.ldt_base = 0;
}

void segdesc_drop(struct vcpu *v)
{
	put_gdt(v);
	put_ldt(v);
}

static void destroy_ldt(struct vcpu *v)
{
	if (!v->arch.ldt_entries)
		return;
	put_ldt(v);
	changed_tables(v);
}

void mm_drop_descriptors(struct vcpu *v)
{
	mm_lock(v->domain);
	if (v->arch.gdt_entries || v->arch.ldt_entries) {
		segdesc_drop(v);
		changed_tables(v);
	}
	mm_unlock(v->domain);
}

int segdesc_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
	if (!entries) {
		destroy_ldt(v);
		return 0;
	}
	if (entries > 8192 || (base & (PAGE_SIZE - 1)) || !va_guest_ok(base)) {
		dlog(v->domain, LOG_DEBUG, "set_ldt: %#llx, %u entries", (unsigned long long)base,
		     entries);
		return -XEN_EINVAL;
	}
	if (v->arch.ldt_base == base && v->arch.ldt_entries == entries)
		return 0;
	put_ldt(v);
	v->arch.ldt_base = base;
	v->arch.ldt_entries = entries;
	for (unsigned n = 0; n < gdt_pages(entries); n++)
		take_ldt_page(v, n, false); /* those that cannot be taken now fault when used */
	changed_tables(v);
	return 0;
}

int mm_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
	int rc;

	mm_lock(v->domain);
	rc = segdesc_set_ldt(v, base, entries);
	mm_unlock(v->domain);
	return rc;
}

void segdesc_new_tables(struct vcpu *v)
{
	bool changed = false;

	for (unsigned n = 0; n < gdt_pages(v->arch.ldt_entries); n++) {
		struct frame *f = ldt_page(v, n);

		if (f && mfn_eq(frame_mfn(f), v->arch.ldt_frames[n]))
			continue;
		changed |= put_ldt_page(v, n);
		changed |= !take_ldt_page(v, n, false);
	}
	if (changed)
		changed_tables(v);
}

void segdesc_unmapped(struct domain *d, struct frame *f)
{
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		struct vcpu *v = d->vcpu[i];
		bool changed = false;

		for (unsigned n = 0; v && n < gdt_pages(v->arch.ldt_entries); n++)
			if (mfn_eq(v->arch.ldt_frames[n], frame_mfn(f)))
				changed |= put_ldt_page(v, n);
		if (changed)
			changed_tables(v);
	}
}

/* ---- update_descriptor ---- */

static bool uses_page(const struct vcpu *v, mfn_t mfn)
{
	for (unsigned i = 0; i < gdt_pages(v->arch.gdt_entries); i++)
		if (mfn_eq(v->arch.gdt_frames[i], mfn))
			return true;
	for (unsigned i = 0; i < gdt_pages(v->arch.ldt_entries); i++)
		if (mfn_eq(v->arch.ldt_frames[i], mfn))
			return true;
	return false;
}

static long update_descriptor(struct domain *d, uint64_t ma, uint64_t desc)
{
	uint64_t *slot;
	struct frame *f = frame_of(MFN(ma >> PAGE_SHIFT));
	enum frame_type type;
	int rc;

	if ((ma & 7) || !mm_check_descriptor(&desc) || !frame_mappable(f, d)) {
		dlog(d, LOG_DEBUG, "update_descriptor: %#llx at %#llx", (unsigned long long)desc,
		     (unsigned long long)ma);
		return -XEN_EINVAL;
	}
	type = f->type == FT_SEGDESC && f->type_count ? FT_SEGDESC : FT_WRITABLE;
	rc = ref_type_get(d, frame_mfn(f), type, false);
	if (rc)
		return -XEN_EINVAL;
	slot = (uint64_t *)(void *)((char *)frame_ptr(f) + (ma & (PAGE_SIZE - 1)));
	if (*slot != desc) {
		WRITE_ONCE(*slot, desc);
		plat_frame_dirty(frame_mfn(f));
		for (unsigned i = 0; type == FT_SEGDESC && i < d->max_vcpus; i++)
			if (d->vcpu[i] && uses_page(d->vcpu[i], frame_mfn(f)))
				changed_tables(d->vcpu[i]);
	}
	ref_type_put(f, false);
	return 0;
}

long do_update_descriptor(struct vcpu *v, struct hypercall_args *a)
{
	long ret;

	mm_lock(v->domain);
	ret = update_descriptor(v->domain, a->arg[0], a->arg[1]);
	mm_unlock(v->domain);
	return ret;
}
