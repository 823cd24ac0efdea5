/* SPDX-License-Identifier: MIT */
/*
 * The frame table under long random sequences of valid and invalid operations, against a model that
 * knows nothing of its inside: plain recursion, no preemption, no stored type state; a failed
 * operation restores a copy of the whole model. After every operation result and counts of every
 * frame must agree; the audit runs now and then, and at the end nothing may be left. The seed is
 * printed when something fails; MM_RANDOM_SEED repeats it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include <xen/memory.h>
#include "../../core/mm/frame.h"

#define PAGES	96u /* the first FIRST and the tables of the world stay out of the game */
#define FIRST	8u
#define MACHINE 512u

static struct world w;
static uint64_t rng;
static unsigned looked_ok, pinned_ok[5], updated_ok[5], based_ok,
	ballooned_ok; /* the game must reach everything */

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static unsigned below(unsigned n)
{
	return (unsigned)(rnd() >> 20) % n;
}

/* ---- the model ---- */

struct mframe {
	bool owned, alloc, pinned;
	uint8_t type;
	int refs, types;
};

static struct mframe m[MACHINE];
static uint64_t kernel_base, user_base;

static uint64_t *content(uint64_t mfn)
{
	return plat_frame_ptr(MFN(mfn));
}

static bool model_get(uint64_t mfn, unsigned type, unsigned depth);

static bool model_get_entry(uint64_t table, unsigned level, uint64_t e, unsigned depth)
{
	uint64_t to = (e & PTE_ADDR) >> PAGE_SHIFT;
	uint64_t forbidden = level == 1 ? PTE_PWT | PTE_PCD | PTE_PAT | UINT64_C(1) << 62
					: PTE_PWT | PTE_PCD | PTE_PS | PTE_G;

	if (!(e & PTE_P))
		return true;
	if (e & forbidden)
		return false;
	if (level == 4 && to == table) {
		m[to].refs++;
		return !(e & PTE_RW);
	}
	if (to >= MACHINE || !m[to].owned)
		return false;
	if (level == 1 && !(e & PTE_RW)) {
		m[to].refs++;
		return true;
	}
	return model_get(to, level == 1 ? FT_WRITABLE : level - 1, depth + 1);
}

/* Take a general and a type reference; on false the model is spoilt and must be restored. */
static bool model_get(uint64_t mfn, unsigned type, unsigned depth)
{
	struct mframe *f;

	if (mfn >= MACHINE || !m[mfn].owned || depth > 5)
		return false;
	f = &m[mfn];
	f->refs++;
	if (f->types++)
		return f->type == type && f->type != FT_NONE;
	if (type == FT_WRITABLE) {
		f->type = FT_WRITABLE;
		return true;
	}
	f->type = FT_NONE; /* being looked at: met again below itself, it is refused */
	for (unsigned i = 0; i < 512; i++)
		if (!slot_reserved(type, i) && !model_get_entry(mfn, type, content(mfn)[i], depth))
			return false;
	f->type = (uint8_t)type;
	return true;
}

static void model_put(uint64_t mfn, bool typed);

static void model_put_entry(uint64_t table, unsigned level, uint64_t e)
{
	uint64_t to = (e & PTE_ADDR) >> PAGE_SHIFT;

	if (e & PTE_P)
		model_put(to, level == 1 ? (e & PTE_RW) != 0 : !(level == 4 && to == table));
}

static void model_put(uint64_t mfn, bool typed)
{
	struct mframe *f = &m[mfn];

	if (typed && --f->types == 0 && f->type != FT_WRITABLE)
		for (unsigned i = 0; i < 512; i++)
			if (!slot_reserved(f->type, i))
				model_put_entry(mfn, f->type, content(mfn)[i]);
	if (--f->refs == 0)
		f->owned = false;
}

/* ---- comparison ---- */

static void compare(const char *what)
{
	/* What a preempted operation left for later is done now; the model does all at once. */
	type_drain(w.d, false);
	for (uint64_t n = 0; n < MACHINE; n++) {
		const struct frame *f = frame_at(n);

		if (f->owner != w.d) {
			if (m[n].owned)
				fail_msg("%s: frame %#llx is gone", what, (unsigned long long)n);
			continue;
		}
		if (!m[n].owned || (int)f->count != m[n].refs || (int)f->type_count != m[n].types ||
		    (m[n].types && f->type != m[n].type) || !!(f->flags & FF_PINNED) != m[n].pinned)
			fail_msg("%s: frame %#llx: type %u, %u/%u references, flags %#x; model: "
				 "owned %d, type %u, %d/%d",
				 what, (unsigned long long)n, f->type, f->count, f->type_count,
				 f->flags, m[n].owned, m[n].type, m[n].refs, m[n].types);
	}
}

static void model_start(void)
{
	memset(m, 0, sizeof(m));
	for (unsigned i = 0; i < w.pages; i++)
		m[w.p2m[i]] = (struct mframe){.owned = true, .alloc = true, .refs = 1};
	/* The core's own page that the guest may map and write, but not make a table of. */
	m[w.d->mm.shared_info_mfn.n] =
		(struct mframe){.owned = true, .refs = 1, .types = 1, .type = FT_WRITABLE};
	/* The core adjusted entries already; take the references they stand for. */
	assert_true(model_get(w.p2m[w.l4], FT_L4, 0));
	assert_true(model_get(w.p2m[w.l4], FT_L4, 0));
	m[w.p2m[w.l4]].pinned = true;
	kernel_base = w.p2m[w.l4];
	user_base = 0;
	compare("start");
}

/* Perform on the model what may fail; restore it then. */
static struct mframe saved[MACHINE];
#define TRY(expr) \
	(memcpy(saved, m, sizeof(m)), (expr) ? true : (memcpy(m, saved, sizeof(m)), false))

/* ---- operations ---- */

static unsigned victim(void)
{
	unsigned pfn = FIRST + below(w.pages - FIRST);

	return pfn;
}

static uint64_t frame_number(void)
{
	switch (below(20)) {
	case 0:
		return below(MACHINE);
	case 1:
		return MACHINE + below(1000);
	default:
		return w.p2m[victim()];
	}
}

static uint64_t random_entry(void)
{
	uint64_t e = frame_number() << PAGE_SHIFT | PTE_P | PTE_US;

	e |= rnd() & (PTE_A | PTE_D | PTE_NX);
	if (below(2))
		e |= PTE_RW;
	switch (below(40)) {
	case 0:
		return e | PTE_PCD;
	case 1:
		return e | PTE_PS;
	case 2:
		return rnd();
	case 3:
	case 4:
	case 5:
	case 6:
		return e & ~PTE_P;
	default:
		return e;
	}
}

/* Results agree in kind: which of several true reasons is named is the core's choice. */
static void agree(const char *what, long rc, bool model)
{
	if ((rc == 0) != model)
		fail_msg("%s: the core says %ld, the model %d", what, rc, model);
	compare(what);
}

static void op_pin(void)
{
	uint64_t mfn = frame_number();
	unsigned level = 1 + below(4);
	bool ok;

	/* Most frames have writable mappings; only some pins get far. */
	ok = TRY(model_get(mfn, level, 0));
	if (ok && m[mfn].pinned) {
		model_put(mfn, true);
		ok = false;
	} else if (ok) {
		m[mfn].pinned = true;
		pinned_ok[level]++;
	}
	agree("pin", world_mmuext(&w, MMUEXT_PIN_L1_TABLE + level - 1, mfn, 0), ok);
}

static void op_unpin(void)
{
	uint64_t mfn = frame_number();
	bool ok = mfn < MACHINE && m[mfn].owned && m[mfn].pinned;

	/* The model goes first when it gives up: it reads tables that the core may free and scrub.
	 */
	if (ok) {
		m[mfn].pinned = false;
		model_put(mfn, true);
	}
	agree("unpin", world_mmuext(&w, MMUEXT_UNPIN_TABLE, mfn, 0), ok);
}

static void op_base(bool user)
{
	uint64_t mfn = user && below(4) == 0 ? 0 : frame_number(),
		 *base = user ? &user_base : &kernel_base;
	bool ok;
	long rc;

	/* Keep the kernel on tables it can call from: only where its own mappings are. */
	if (!user && mfn < MACHINE &&
	    (content(mfn)[272] & ~(PTE_A | PTE_D)) !=
		    (content(kernel_base)[272] & ~(PTE_A | PTE_D)))
		return;
	ok = mfn == *base || mfn == 0 || TRY(model_get(mfn, FT_L4, 0));
	if (ok && mfn != *base) {
		if (*base)
			model_put(*base, true);
		*base = mfn;
		based_ok++;
	}
	rc = world_mmuext(&w, user ? MMUEXT_NEW_USER_BASEPTR : MMUEXT_NEW_BASEPTR, mfn, 0);
	agree(user ? "user base" : "kernel base", rc, ok);
}

/* The world's own path to its hypercall arguments is left alone. */
static bool spared(uint64_t mfn, unsigned index)
{
	return mfn == w.p2m[0] || (mfn == w.p2m[w.l4] && index == 272) ||
	       (mfn == w.p2m[w.l3] && index == 0) || (mfn == w.p2m[w.l2] && index == 0) ||
	       (mfn == w.p2m[w.l1] && index < FIRST);
}

static void op_update(void)
{
	uint64_t mfn = frame_number(), e = random_entry(), old;
	unsigned index = below(4) ? below(24) : below(512), level;
	bool ok;
	long rc;

	if (below(3) == 0) {
		mfn = w.p2m[w.l1];
		index = FIRST + below(w.pages - FIRST);
	}
	if (mfn < MACHINE && m[mfn].owned && m[mfn].types && m[mfn].type == FT_L4 && below(2))
		e = w.p2m[w.l3] << PAGE_SHIFT | PTE_WR;
	if (spared(mfn, index))
		return;
	if (mfn >= MACHINE || !m[mfn].owned) {
		agree("store to another's frame",
		      world_mmu_update(&w, (mfn << PAGE_SHIFT) + index * 8, e), false);
		return;
	}
	old = content(mfn)[index];
	level = m[mfn].types ? m[mfn].type : FT_NONE;
	if (level < FT_L1 || level > FT_L4) {
		/* plain memory; keep the game interesting by building tables with the kernel's half
		 * in them */
		if (below(8) == 0) {
			index = 272;
			e = w.p2m[w.l3] << PAGE_SHIFT | PTE_WR;
		}
		agree("plain store", world_mmu_update(&w, (mfn << PAGE_SHIFT) + index * 8, e),
		      true);
		assert_int_equal(content(mfn)[index], e);
		return;
	}
	if (slot_reserved(level, index)) {
		ok = !((old ^ e) & ~(PTE_A | PTE_D));
		agree("reserved slot", world_mmu_update(&w, (mfn << PAGE_SHIFT) + index * 8, e),
		      ok);
		return;
	}
	/* The same frame again with other flags needs no new type, even while the old reference is
	 * there. */
	ok = TRY(model_get_entry(mfn, level, e, 5 - level));
	if (ok) {
		model_put_entry(mfn, level, old);
		updated_ok[level]++;
	}
	rc = world_mmu_update(
		&w, (mfn << PAGE_SHIFT) + index * 8 + (below(4) ? 0 : MMU_PT_UPDATE_PRESERVE_AD),
		e);
	agree("update", rc, ok);
	if (ok && (e & PTE_P))
		assert_int_equal(content(mfn)[index] & (PTE_ADDR | PTE_P | PTE_RW | PTE_US),
				 (e & (PTE_ADDR | PTE_RW)) | PTE_P | PTE_US);
	else
		assert_int_equal(content(mfn)[index], ok ? e : old);
}

/* Unmap a page everywhere in the world's own L1, so that it can become a table. */
static void op_protect(void)
{
	unsigned pfn = victim();
	uint64_t e = w.p2m[pfn] << PAGE_SHIFT | (below(4) ? PTE_RO : PTE_WR);
	uint64_t mfn = w.p2m[w.l1], old = content(mfn)[pfn];
	bool ok = TRY(model_get_entry(mfn, FT_L1, e, 4));
	long rc = world_va_mapping(&w, world_va(pfn), e, 0);

	if (ok)
		model_put_entry(mfn, FT_L1, old);
	agree("update_va_mapping", rc, ok);
}

static void op_clear(void)
{
	uint64_t mfn = frame_number();
	bool ok = TRY(model_get(mfn, FT_WRITABLE, 0));

	if (ok)
		model_put(mfn, true);
	agree("clear", world_mmuext(&w, MMUEXT_CLEAR_PAGE, mfn, 0), ok);
}

/* Give a frame back and get another for it. */
static void op_balloon(void)
{
	struct xen_memory_reservation *r = world_ptr(&w, 1);
	uint64_t *list = (uint64_t *)world_ptr(&w, 2), mfn;
	unsigned pfn = victim();
	bool ok;
	long rc;

	if (pfn >= w.table_first)
		return;
	mfn = *list = w.p2m[pfn];
	memset(r, 0, sizeof(*r));
	r->extent_start.p = (void *)world_va(2);
	r->nr_extents = 1;
	r->domid = DOMID_SELF;
	ok = m[mfn].owned && m[mfn].alloc;
	rc = world_call(&w, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, world_va(1), 0, 0);
	if (ok) {
		m[mfn].alloc = false;
		model_put(mfn, false);
	}
	agree("decrease", !rc, ok);
	*list = pfn;
	rc = world_call(&w, __HYPERVISOR_memory_op, XENMEM_populate_physmap, world_va(1), 0, 0);
	if (rc == 1) {
		assert_false(m[*list].owned);
		m[*list] = (struct mframe){.owned = true, .alloc = true, .refs = 1};
		ballooned_ok++;
		w.p2m[pfn] = *list;
		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(content(*list)[i], 0);
	}
	compare("populate");
}

/* The guest's memory is looked at through whatever tables it has made; no way there may be remembered wrongly. */
static void look(void)
{
	uint64_t keep = rng;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t l4 = below(2) ? pt_index(WORLD_BASE, 4) : below(24), word;
		uint64_t va = l4 << 39 | (uint64_t)(below(2) ? 0 : below(24)) << 30 | (uint64_t)below(24) << 21 |
			      (uint64_t)below(512) << 12;
		uint64_t e;

		if (l4 & 256)
			va |= UINT64_C(0xffff) << 48;
		if (below(4) == 0 && w.v->gate.cr3_user)
			w.v->gate.flags ^= GATE_KERNEL_MODE;
		e = mm_walk(w.v, va, NULL);
		assert_int_equal(guest_copy_from(w.v, &word, va, sizeof(word)), e & PTE_P ? 0 : sizeof(word));
		if (e & PTE_P)
			looked_ok++;
		w.v->gate.flags |= GATE_KERNEL_MODE;
	}
	rng = keep; /* a seed plays the same game with and without */
	assert_int_equal(guest_paths_audit(w.d), 0);
}

static void play(uint64_t seed, unsigned steps)
{
	rng = seed | 1;
	world_machine(MACHINE);
	/* room for frames that are given back but still mapped somewhere */
	world_make(&w, 1, PAGES, PAGES + 32);
	model_start();
	for (unsigned i = 0; i < steps; i++) {
		tp.tsc_step =
			below(4) ? 10
				 : 10000000; /* sometimes everything is preempted all the time */
		switch (below(16)) {
		case 0:
		case 1:
			op_pin();
			break;
		case 2:
			op_unpin();
			break;
		case 3:
			op_base(below(2));
			break;
		case 4:
			op_clear();
			break;
		case 5:
			op_balloon();
			break;
		case 6:
		case 7:
		case 8:
			op_protect();
			break;
		default:
			op_update();
			break;
		}
		look();
		if (i % 512 == 0)
			world_audit();
	}
	tp.tsc_step = 10;
	world_audit();
	world_destroy(&w);
	world_end();
}

static void against_the_model(void **state)
{
	const char *given = getenv("MM_RANDOM_SEED");

	(void)state;
	if (given) {
		play(strtoull(given, NULL, 0), 20000);
		return;
	}
	for (uint64_t seed = 1; seed <= 12; seed++) {
		printf("seed %llu\n", (unsigned long long)(seed * 7919));
		play(seed * 7919, 4000);
	}
	printf("looks %u, pins %u %u %u %u, updates %u %u %u %u, bases %u, balloon %u\n", looked_ok, pinned_ok[1],
	       pinned_ok[2], pinned_ok[3], pinned_ok[4], updated_ok[1], updated_ok[2],
	       updated_ok[3], updated_ok[4], based_ok, ballooned_ok);
	for (unsigned level = 1; level <= 4; level++)
		assert_true(pinned_ok[level] > 20 && updated_ok[level] > 20);
	assert_true(based_ok > 20 && ballooned_ok > 100 && looked_ok > 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
