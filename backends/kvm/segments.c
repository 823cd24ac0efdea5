/* SPDX-License-Identifier: MIT */
/*
 * Segment registers of a virtual CPU. KVM takes a register's hidden part from us, so loading a selector
 * means reading the descriptor as the hardware would (Intel SDM vol. 3, 3.4.5 and IRET in vol. 2). The
 * descriptors come from frames the core holds as FT_SEGDESC, so they are never system gates.
 */
#include "machine.h"

const struct kvm_segment gate_code = { .limit = ~0u, .selector = GATE_CS, .type = 11, .present = 1, .s = 1,
				       .l = 1, .g = 1 };
const struct kvm_segment gate_data = { .limit = ~0u, .selector = GATE_DS, .type = 3, .present = 1, .s = 1,
				       .db = 1, .g = 1 };

static const struct kvm_segment flat_code64 = { .limit = ~0u, .selector = FLAT_RING3_CS64, .type = 11,
						.present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1 };
static const struct kvm_segment flat_data = { .limit = ~0u, .selector = FLAT_RING3_SS64, .type = 3,
					      .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1 };

static bool read_descriptor(struct vcpu *v, uint16_t selector, uint64_t *desc)
{
	unsigned index = selector >> 3, page = index / 512;
	mfn_t mfn;

	if (selector & 4) {
		if (index >= v->arch.ldt_entries)
			return false;
		mfn = v->arch.ldt_frames[page];
	} else if (page >= FIRST_RESERVED_GDT_PAGE) {
		mfn = MFN((gate_reserved_gdt_pte(page) & PTE_ADDR) >> PAGE_SHIFT);
	} else {
		if (index >= v->arch.gdt_entries)
			return false;
		mfn = v->arch.gdt_frames[page];
	}
	if (!mfn_valid_number(mfn) || !mfn.n)
		return false;
	*desc = READ_ONCE(((uint64_t *)plat_frame_ptr(mfn))[index % 512]);
	return true;
}

bool segment_load(struct vcpu *v, uint16_t selector, struct kvm_segment *out)
{
	uint64_t d;

	if (!read_descriptor(v, selector, &d))
		return false;
	*out = (struct kvm_segment){
		.base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
		.limit = (uint32_t)((d & 0xffff) | (d >> 48 & 0xf) << 16),
		.selector = selector,
		.type = (d >> 40 & 0xf) | 1,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.avl = d >> 52 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = d >> 55 & 1,
	};
	if (out->g)
		out->limit = out->limit << 12 | 0xfff;
	return out->s && out->present;
}

static bool valid_code(const struct kvm_segment *s)
{
	if (!(s->type & 8) || (s->l && s->db))
		return false;
	return s->type & 4 ? s->dpl <= 3 : s->dpl == 3;
}

/*
 * Where ring 3 runs natively and unwatched, KVM does not tell what it loads into DS and ES, and a guest kernel that
 * saves FS or GS reads the host's selector, null, and later restores only the base. 64-bit code does not
 * care; 32-bit code would fault on a segment that is unusable only by such hearsay. So it gets flat ones, FS
 * and GS with the base they have.
 */
static void presume_usable(struct kvm_segment *s, bool keep_base)
{
	uint64_t base = keep_base ? s->base : 0;

	if (!s->unusable && s->present)
		return;
	*s = flat_data;
	s->base = base;
}

static bool valid_stack(const struct kvm_segment *s)
{
	return !(s->type & 8) && (s->type & 2) && s->dpl == 3;
}

/*
 * CS and SS for the return to ring 3, as IRET would load them. False: the return faults, *@vector and *@error
 * say how. The last pair that is not flat is remembered until a descriptor changes.
 */
bool return_segments(struct kvcpu *k, struct vcpu *v, unsigned *vector, uint32_t *error)
{
	const struct cpu_user_regs *r = &v->gate.regs;
	struct kvm_sregs *s = k->sregs;
	uint16_t cs = r->cs, ss = r->ss;

	*vector = X86_GP;
	if (cs == FLAT_RING3_CS64) {
		s->cs = flat_code64;
	} else {
		if (!k->user_cs.present || k->user_cs.selector != cs) {
			*error = cs & 0xfffc;
			if ((cs & 3) != 3 || !segment_load(v, cs, &k->user_cs) ||
			    !valid_code(&k->user_cs)) {
				k->user_cs.present = 0;
				return false;
			}
		}
		s->cs = k->user_cs;
		s->cs.dpl = 3;
	}
	if (ss == FLAT_RING3_SS64) {
		s->ss = flat_data;
	} else {
		if (!k->user_ss.present || k->user_ss.selector != ss) {
			*error = ss & 0xfffc;
			if ((ss & 3) != 3 || !segment_load(v, ss, &k->user_ss) ||
			    !valid_stack(&k->user_ss)) {
				k->user_ss.present = 0;
				return false;
			}
		}
		s->ss = k->user_ss;
	}
	if (!s->cs.l && machine.traits.selectors_untold) {
		presume_usable(&s->ds, false);
		presume_usable(&s->es, false);
		presume_usable(&s->fs, true);
		presume_usable(&s->gs, true);
	}
	if (s->cs.l ? !((int64_t)(r->rip << 16) >> 16 == (int64_t)r->rip) : r->rip > 0xffffffff) {
		*error = 0;
		return false;
	}
	return true;
}

static struct kvm_sregs *vcpu_sregs(struct vcpu *v)
{
	return ((struct kvcpu *)v->plat)->sregs;
}

static void vcpu_sregs_dirty(struct vcpu *v)
{
	((struct kvcpu *)v->plat)->dirty |= KVM_SYNC_X86_SREGS;
}

static struct kvm_segment *reg_of(struct kvm_sregs *s, enum plat_seg seg)
{
	switch (seg) {
	case PLAT_ES:
		return &s->es;
	case PLAT_CS:
		return &s->cs;
	case PLAT_SS:
		return &s->ss;
	case PLAT_DS:
		return &s->ds;
	case PLAT_FS:
		return &s->fs;
	default:
		return &s->gs;
	}
}

uint16_t plat_seg_get(struct vcpu *v, enum plat_seg seg)
{
	return reg_of(vcpu_sregs(v), seg)->selector;
}

int plat_seg_load(struct vcpu *v, enum plat_seg seg, uint16_t selector)
{
	struct kvm_segment *reg = reg_of(vcpu_sregs(v), seg), new = { .unusable = 1 };
	int rc = 0;

	if (selector & ~3) {
		/* A data segment, or readable code; DPL no more privileged than ring 3 unless conforming. */
		if (!segment_load(v, selector, &new) || (new.type & 0xa) == 8 ||
		    ((new.type & 0xc) != 0xc && new.dpl < 3)) {
			new = (struct kvm_segment){ .unusable = 1 };
			rc = -XEN_EFAULT;
		}
	} else {
		new.selector = selector;
	}
	*reg = new;
	vcpu_sregs_dirty(v);
	return rc;
}

uint64_t plat_base_get(struct vcpu *v, enum plat_seg seg)
{
	return reg_of(vcpu_sregs(v), seg)->base;
}

void plat_base_set(struct vcpu *v, enum plat_seg seg, uint64_t base)
{
	reg_of(vcpu_sregs(v), seg)->base = base;
	vcpu_sregs_dirty(v);
}

static uint64_t descriptor_pte(mfn_t mfn, bool used)
{
	if (!used || !mfn.n || !mfn_valid_number(mfn))
		return 0;
	return mfn.n << PAGE_SHIFT | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;
}

void plat_descriptors_changed(struct vcpu *v)
{
	struct kvcpu *k = v->plat;

	if (!k)
		return;
	/* Behind the guest's pages are empty ones, so that loading a selector from there is #GP and not #PF. */
	for (unsigned i = 0; i < FIRST_RESERVED_GDT_PAGE; i++)
		gate_area_set(k, i, i * 512 < v->arch.gdt_entries ? descriptor_pte(v->arch.gdt_frames[i], true) :
						    gate_reserved_gdt_pte(FIRST_RESERVED_GDT_PAGE + 1));
	for (unsigned i = 0; i < 16; i++)
		gate_area_set(k, GATE_VCPU_LDT / PAGE_SIZE + i,
			      descriptor_pte(v->arch.ldt_frames[i], i * 512 < v->arch.ldt_entries));
	k->sregs->ldt = (struct kvm_segment){ .unusable = 1 };
	if (v->arch.ldt_entries)
		k->sregs->ldt = (struct kvm_segment){ .base = gate_area_va(k) + GATE_VCPU_LDT,
						      .limit = v->arch.ldt_entries * 8 - 1,
						      .selector = GATE_LDT, .type = 2, .present = 1 };
	k->dirty |= KVM_SYNC_X86_SREGS;
	k->user_cs.present = k->user_ss.present = 0;
}
