/* SPDX-License-Identifier: MIT */
/*
 * Guest memory by virtual address: a software walk of the tables the virtual CPU runs on, allowing
 * exactly what ring 3 may. Tables in use are validated, so the frames named in them exist; only the
 * hypervisor's reserved slots are not followed (also not where a recursive L4 mapping shows them as
 * a lower level).
 */
#include "frame.h"

struct walk {
	mfn_t table; /* where the walk ended */
	unsigned index, level;
	uint64_t entry; /* there */
	uint64_t all;	/* PTE_US and PTE_RW: set at every level; PTE_NX: set at some level */
};

/*
 * Go down to the L1 entry. False: some level is not present. Inlined and unrolled: every hypercall that reads guest
 * memory comes here.
 */
static inline __attribute__((always_inline)) bool walk(uint64_t cr3, uint64_t va, struct walk *w)
{
	uint64_t root = cr3 >> PAGE_SHIFT, nx = 0;

	w->all = PTE_US | PTE_RW;
	w->level = 4;
	w->entry = 0;
	if (!cr3 || !va_guest_ok(va))
		return false;
	w->table = MFN(root);
#pragma GCC unroll 4
	for (unsigned level = 4; level; level--) {
		const uint64_t *entries = mfn_ptr(w->table);
		uint64_t e;

		w->level = level;
		w->index = pt_index(va, level);
		if (level < 4 && w->table.n == root && slot_reserved(4, w->index)) {
			w->entry = 0;
			return false;
		}
		e = READ_ONCE(entries[w->index]);
		w->entry = e;
		if (!(e & PTE_P))
			return false;
		w->all &= e;
		nx |= e;
		if (level > 1)
			w->table = pte_mfn(e);
	}
	w->all |= nx & PTE_NX;
	return true;
}

uint64_t mm_walk(struct vcpu *v, uint64_t va, unsigned *level_out)
{
	struct walk w;
	bool present = walk(gate_cr3(&v->gate), va, &w);

	if (level_out)
		*level_out = w.level;
	return present ? w.entry : 0;
}

struct frame *walk_l1(struct vcpu *v, uint64_t va, unsigned *index)
{
	struct walk w;
	struct frame *f;

	if (!walk(v->gate.cr3_kernel, va, &w) && (w.level != 1 || !va_guest_ok(va)))
		return NULL;
	f = frame_of(w.table);
	*index = w.index;
	/* A recursive mapping shows tables of other levels here. */
	return f && f->type == FT_L1 && f->type_count ? f : NULL;
}

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* What the processor does on a store: mark the page accessed and dirty. False: the entry changed
 * meanwhile. */
static bool mark_dirty(struct walk *w)
{
	uint64_t want = PTE_A | PTE_D;

	if ((w->entry & want) == want)
		return true;
	return plat_pt_cmpxchg(w->table, w->index, &w->entry, w->entry | want,
			       READ_ONCE(frame_at(w->table.n)->type));
}

/* The core's address of guest byte @va, good up to the end of its page. NULL with *@error as for
 * #PF. */
static inline __attribute__((always_inline)) char *reach(struct vcpu *v, uint64_t va, enum access access,
							  uint32_t *error)
{
	struct walk w;
	bool present;

	do {
		present = walk(gate_cr3(&v->gate), va, &w);
		if (!present || !(w.all & PTE_US) || (access == ACCESS_WRITE && !(w.all & PTE_RW)) ||
		    (access == ACCESS_FETCH && (w.all & PTE_NX))) {
			*error = PFEC_USER | (access == ACCESS_WRITE ? PFEC_WRITE : 0) |
				 (access == ACCESS_FETCH ? PFEC_FETCH : 0) | (present ? PFEC_PRESENT : 0);
			return NULL;
		}
	} while (access == ACCESS_WRITE && !mark_dirty(&w));
	return (char *)mfn_ptr(pte_mfn(w.entry)) + (va & (PAGE_SIZE - 1));
}

/* Most are a few words, for which a call and a string instruction would cost more than they move. */
static inline void copy_bytes(char *dst, const char *src, size_t n)
{
	if (n > 64 || n % 8) {
		memcpy(dst, src, n);
		return;
	}
	for (; n; n -= 8, dst += 8, src += 8)
		__builtin_memcpy(dst, src, 8);
}

/* One walk per page. Returns the bytes not copied. */
static inline __attribute__((always_inline)) size_t copy(struct vcpu *v, char *core, uint64_t va, size_t n,
							  enum access access, uint64_t *fault_va,
							  uint32_t *pf_error)
{
	while (n) {
		size_t chunk = min_t(size_t, n, PAGE_SIZE - (va & (PAGE_SIZE - 1)));
		uint32_t error = 0;
		char *guest = reach(v, va, access, &error);

		if (!guest) {
			if (fault_va)
				*fault_va = va;
			if (pf_error)
				*pf_error = error;
			return n;
		}
		if (access == ACCESS_WRITE) {
			copy_bytes(guest, core, chunk);
			plat_frame_dirty(virt_to_mfn(guest));
		} else {
			copy_bytes(core, guest, chunk);
		}
		core += chunk;
		va += chunk;
		n -= chunk;
	}
	return 0;
}

size_t guest_copy_from(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	return copy(v, dst, va, n, ACCESS_READ, NULL, NULL);
}

size_t guest_copy_to(struct vcpu *v, uint64_t va, const void *src, size_t n)
{
	return copy(v, (char *)(uintptr_t)src, va, n, ACCESS_WRITE, NULL, NULL);
}

size_t guest_copy_to_fault(struct vcpu *v, uint64_t va, const void *src, size_t n,
			   uint64_t *fault_va, uint32_t *pf_error)
{
	return copy(v, (char *)(uintptr_t)src, va, n, ACCESS_WRITE, fault_va, pf_error);
}

size_t guest_fetch(struct vcpu *v, void *dst, uint64_t va, size_t n, uint64_t *fault_va,
		   uint32_t *pf_error)
{
	return copy(v, dst, va, n, ACCESS_FETCH, fault_va, pf_error);
}
