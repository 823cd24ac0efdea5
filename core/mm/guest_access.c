/* SPDX-License-Identifier: MIT */
/*
 * Guest memory by virtual address: a software walk of the tables the virtual CPU runs on, allowing
 * exactly what ring 3 may. Tables in use are validated, so the frames named in them exist; only the
 * hypervisor's reserved slots are not followed (also not where a recursive L4 mapping shows them as
 * a lower level).
 *
 * Of a walk that succeeded the way down to the L1 table is remembered, per virtual CPU (struct vcpu_mm). The L1 entry is
 * always read anew, so all that can make a path wrong is a store into a table above, or one of those becoming something
 * else. Both are rare, and count the domain's table_generation up (paths_gone()); a path of another generation is not used:
 *
 *	path:   read the generation (g), walk, remember {g, ...}      later: generation still g? then it is good
 *	change: store the entry, generation + 1, give up what the old entry named (a flush and cpu_quiesce() before reuse)
 *
 * Whoever walks after the count sees the new entry; whoever compared before it is in the middle of a copy, which
 * cpu_quiesce() waits for, as ever (cpu.h). A page table itself stays one for as long as a path that is valid leads to it.
 */
#include "frame.h"

struct walk {
	mfn_t table; /* where the walk ended */
	unsigned index, level;
	uint64_t entry; /* there */
	uint64_t above; /* of the levels before: PTE_P, PTE_US and PTE_RW set at each, PTE_NX set at one */
	bool reserved;	/* it ended at an entry of the hypervisor's */
};

/*
 * Go down to the L1 entry. False: some level is not present. Inlined and unrolled: every hypercall that reads guest
 * memory comes here.
 */
static inline __attribute__((always_inline)) bool walk(uint64_t cr3, uint64_t va, struct walk *w)
{
	uint64_t root = cr3 >> PAGE_SHIFT, all = PTE_US | PTE_RW, nx = 0;

	w->above = 0;
	w->reserved = false;
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
			w->reserved = true;
			return false;
		}
		e = READ_ONCE(entries[w->index]);
		w->entry = e;
		if (level == 1)
			w->above = all | (nx & PTE_NX) | PTE_P;
		if (!(e & PTE_P))
			return false;
		all &= e;
		nx |= e;
		if (level > 1)
			w->table = pte_mfn(e);
	}
	return true;
}

/* Which entry of an L1 table maps an address, and what the levels above allow. */
struct leaf {
	const uint64_t *at; /* NULL: there is no such table */
	uint64_t rights;
};

static inline uint64_t region_of(uint64_t va)
{
	return (va >> 21) + 1;
}

static inline struct l1_path *path_of(struct vcpu *v, uint64_t va)
{
	return &v->mm.path[(va >> 21) % VCPU_PATHS];
}

/* Does @p lead to the L1 table of @va still? */
static inline bool path_good(const struct l1_path *p, const struct vcpu *v, uint64_t cr3, uint64_t va)
{
	return p->region == region_of(va) && p->root == cr3 &&
	       p->generation == __atomic_load_n(&v->domain->mm.table_generation, __ATOMIC_SEQ_CST);
}

static inline struct leaf path_leaf(const struct l1_path *p, uint64_t va)
{
	return (struct leaf){ p->l1 + pt_index(va, 1), p->rights };
}

/* The long way, which makes the short one for the next time. */
static __attribute__((noinline)) struct leaf find_leaf(struct vcpu *v, uint64_t cr3, uint64_t va)
{
	uint64_t now = __atomic_load_n(&v->domain->mm.table_generation, __ATOMIC_SEQ_CST);
	struct walk w;

	if (!walk(cr3, va, &w) && (w.level != 1 || w.reserved))
		return (struct leaf){ NULL, 0 };
	/* In a table that maps itself, some entries of what looks like an L1 are the hypervisor's: better look each time. */
	if (w.table.n != cr3 >> PAGE_SHIFT)
		*path_of(v, va) = (struct l1_path){ .generation = now, .region = region_of(va), .root = cr3,
						    .l1 = mfn_ptr(w.table), .rights = w.above };
	return (struct leaf){ (const uint64_t *)mfn_ptr(w.table) + w.index, w.above };
}

static struct leaf leaf(struct vcpu *v, uint64_t cr3, uint64_t va)
{
	const struct l1_path *p = path_of(v, va);

	return likely(path_good(p, v, cr3, va)) ? path_leaf(p, va) : find_leaf(v, cr3, va);
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
	struct leaf l = leaf(v, v->gate.cr3_kernel, va);
	struct frame *f;

	if (!l.at)
		return NULL;
	f = frame_of(ptr_mfn(l.at));
	*index = pt_index(va, 1);
	/* A recursive mapping shows tables of other levels here. */
	return f && f->type == FT_L1 && f->type_count ? f : NULL;
}

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* What the processor does on a store: mark the page accessed and dirty. False: the entry *@e, seen at @at, changed meanwhile. */
static __attribute__((noinline)) bool mark_dirty(const uint64_t *at, uint64_t e)
{
	mfn_t table = ptr_mfn(at);

	return plat_pt_cmpxchg(table, (unsigned)((uintptr_t)at & (PAGE_SIZE - 1)) / 8, &e, e | PTE_A | PTE_D,
			       READ_ONCE(frame_at(table.n)->type));
}

/* May the guest do @access by entry @e of an L1, the levels above having @rights? */
static inline bool allowed(uint64_t e, uint64_t rights, enum access access)
{
	uint64_t want = PTE_P | PTE_US | (access == ACCESS_WRITE ? PTE_RW : 0);

	return (e & rights & want) == want && !(access == ACCESS_FETCH && ((e | rights) & PTE_NX));
}

/* The same, and nothing is to be done about it first. */
static inline bool at_once(uint64_t e, uint64_t rights, enum access access)
{
	return allowed(e, rights, access) &&
	       (access != ACCESS_WRITE || (e & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
}

static inline char *byte_at(uint64_t e, uint64_t va)
{
	return (char *)mfn_ptr(pte_mfn(e)) + (va & (PAGE_SIZE - 1));
}

static __attribute__((noinline)) char *reach_slowly(struct vcpu *v, uint64_t va, enum access access, uint32_t *error)
{
	for (;;) {
		struct leaf l = leaf(v, gate_cr3(&v->gate), va);
		uint64_t e = l.at ? READ_ONCE(*l.at) : 0;

		if (!allowed(e, l.rights, access)) {
			if (error)
				*error = PFEC_USER | (access == ACCESS_WRITE ? PFEC_WRITE : 0) |
					 (access == ACCESS_FETCH ? PFEC_FETCH : 0) |
					 (e & PTE_P ? PFEC_PRESENT : 0);
			return NULL;
		}
		if (at_once(e, l.rights, access) || mark_dirty(l.at, e))
			return byte_at(e, va);
	}
}

/* The core's address of guest byte @va, good up to the end of its page. NULL with *@error (may be NULL)
 * as for #PF. */
static inline __attribute__((always_inline)) char *reach(struct vcpu *v, uint64_t va, enum access access,
							  uint32_t *error)
{
	const struct l1_path *p = path_of(v, va);

	if (likely(path_good(p, v, gate_cr3(&v->gate), va))) {
		struct leaf l = path_leaf(p, va);
		uint64_t e = READ_ONCE(*l.at);

		if (likely(at_once(e, l.rights, access)))
			return byte_at(e, va);
	}
	return reach_slowly(v, va, access, error);
}

/* Most are a few words, for which a call and a string instruction would cost more than they move. */
static inline void copy_bytes(char *dst, const char *src, size_t n)
{
	if (n > 64 || n % 8) {
		guest_bytes(dst, src, n);
		return;
	}
	for (; n; n -= 8, dst += 8, src += 8)
		guest_bytes(dst, src, 8);
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
			guest_written(guest);
		} else {
			copy_bytes(core, guest, chunk);
		}
		core += chunk;
		va += chunk;
		n -= chunk;
	}
	return 0;
}

size_t guest_copy_from_long(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	return copy(v, dst, va, n, ACCESS_READ, NULL, NULL);
}

size_t guest_copy_to_long(struct vcpu *v, uint64_t va, const void *src, size_t n)
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

/* Nothing is remembered: the paths are those of the physical CPU that runs @v. */
size_t guest_copy_from_any(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	for (char *to = dst; n;) {
		size_t chunk = min_t(size_t, n, PAGE_SIZE - (va & (PAGE_SIZE - 1)));
		struct walk w;

		if (!walk(gate_cr3(&v->gate), va, &w) || !allowed(w.entry, w.above, ACCESS_READ))
			break;
		guest_bytes(to, (const char *)mfn_ptr(pte_mfn(w.entry)) + (va & (PAGE_SIZE - 1)), chunk);
		to += chunk;
		va += chunk;
		n -= chunk;
	}
	return n;
}

static inline bool in_one_page(uint64_t va, size_t n)
{
	return (va & (PAGE_SIZE - 1)) + n <= PAGE_SIZE;
}

const void *guest_reach(struct vcpu *v, uint64_t va, size_t n)
{
	return likely(in_one_page(va, n)) ? reach(v, va, ACCESS_READ, NULL) : NULL;
}

void *guest_reach_write(struct vcpu *v, uint64_t va, size_t n)
{
	return likely(in_one_page(va, n)) ? reach(v, va, ACCESS_WRITE, NULL) : NULL;
}

void guest_written(const void *at)
{
	plat_frame_dirty(ptr_mfn(at));
}

/* Does the long way, by the tables of now, end where @p says? */
static bool path_true(const struct l1_path *p)
{
	const struct frame *root = frame_of(MFN(p->root >> PAGE_SHIFT));
	struct walk w;

	if (!root || root->type != FT_L4 || !root->type_count)
		return false;
	return (walk(p->root, (p->region - 1) << 21, &w) || w.level == 1) && !w.reserved && mfn_ptr(w.table) == p->l1 &&
	       w.above == p->rights;
}

unsigned guest_paths_audit(const struct domain *d)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		for (unsigned n = 0; d->vcpu[i] && n < VCPU_PATHS; n++) {
			const struct l1_path *p = &d->vcpu[i]->mm.path[n];

			if (!p->region || p->generation != d->mm.table_generation || path_true(p))
				continue;
			xlog(LOG_ERROR, "audit: domain %u vcpu %u: the way to %#llx by root %#llx is none any more", d->id, i,
			     (unsigned long long)(p->region - 1) << 21, (unsigned long long)p->root);
			wrong++;
		}
	}
	return wrong;
}
