/* SPDX-License-Identifier: MIT */
/*
 * Frames and the heap: start on odd machines, allocation to the last frame and back, contiguity and
 * alignment, scrubbing, pages shared between core and guests, domains that die half-built or while
 * others still hold their frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

static void odd_machines(void **state)
{
	(void)state;
	/* Too small for its own tables. */
	testplat_start(8);
	memset(tp.unusable, true, 8);
	assert_int_equal(mm_init(), -XEN_ENOMEM);
	testplat_stop();
	testplat_start(4);
	assert_int_equal(mm_init(), -XEN_ENOMEM);
	testplat_stop();
	/* Full of holes: only the last part has room for the frame table. */
	testplat_start(1000);
	for (unsigned n = 0; n < 900; n += 7)
		tp.unusable[n] = true;
	assert_int_equal(mm_init(), 0);
	for (void *p = heap_alloc_pages(1); p; p = heap_alloc_pages(1))
		assert_false(tp.unusable[virt_to_mfn(p).n]);
	assert_int_equal(buddy_free_frames(), 0);
	testplat_stop();
}

static bool zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const char *)p)[i])
			return false;
	return true;
}

static void contiguous_pages(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 5, 8, 17, 64, 100};
	void *p[ARRAY_SIZE(sizes)];

	(void)state;
	world_machine(1024);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			p[i] = heap_alloc_pages(sizes[i]);
			assert_non_null(p[i]);
			assert_true(zero(p[i], sizes[i] * PAGE_SIZE));
			memset(p[i], 0x5a, sizes[i] * PAGE_SIZE);
		}
		world_audit();
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
			heap_free_pages(p[(i + round) % ARRAY_SIZE(sizes)],
					sizes[(i + round) % ARRAY_SIZE(sizes)]);
		world_audit();
	}
	assert_null(heap_alloc_pages(0));
	assert_null(heap_alloc_pages(5000));
	assert_null(heap_alloc(SIZE_MAX));
	world_end();
}

/* Random small and large objects, each filled with its own byte, none overlapping, all gone at the
 * end. */
static void small_objects(void **state)
{
	enum { N = 300 };
	static struct {
		uint8_t *p;
		size_t size;
		uint8_t fill;
	} object[N];
	uint64_t before;

	(void)state;
	world_machine(4096);
	before = buddy_free_frames();
	srand(1);
	memset(object, 0, sizeof(object));
	for (unsigned i = 0; i < 40000; i++) {
		unsigned k = (unsigned)rand() % N;

		if (object[k].p) {
			for (size_t b = 0; b < object[k].size; b++)
				assert_int_equal(object[k].p[b], object[k].fill);
			heap_free(object[k].p);
			object[k].p = NULL;
			continue;
		}
		object[k].size = (size_t)rand() % (rand() % 8 ? 300 : 9000);
		object[k].fill = (uint8_t)rand();
		object[k].p = heap_alloc(object[k].size);
		assert_non_null(object[k].p);
		assert_int_equal((uintptr_t)object[k].p & 15, 0);
		assert_true(zero(object[k].p, object[k].size));
		memset(object[k].p, object[k].fill, object[k].size);
	}
	for (unsigned k = 0; k < N; k++)
		heap_free(object[k].p);
	heap_free(NULL);
	world_audit();
	assert_in_range(before - buddy_free_frames(), 0, 14); /* one kept slab per class */
	testplat_stop();
}

static void to_the_last_frame(void **state)
{
	struct world w;
	uint64_t n = 0;

	(void)state;
	world_machine(1024);
	world_make(&w, 1, 50, 100000);
	while (mfn_valid_number(mm_alloc_domain_frame(w.d)))
		n++;
	assert_int_equal(buddy_free_frames(), 0);
	assert_true(n > 800);
	assert_int_equal(w.d->mm.tot_pages, n + 50);
	assert_null(heap_alloc_pages(1));
	world_destroy(&w);
	world_end();
}

/* As many side by side as may be had: of what is asked for, what the domain may have, what there is. */
static void several_at_once(void **state)
{
	struct world w;
	mfn_t first;
	unsigned n;
	uint64_t total = 0;

	(void)state;
	world_machine(1024);
	world_make(&w, 1, 50, 50 + 300);
	n = mm_alloc_domain_frames(w.d, 100, &first);
	assert_int_equal(n, 64);
	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(mm_frame_owner(MFN(first.n + i)), w.d);
		assert_true(zero(plat_frame_ptr(MFN(first.n + i)), PAGE_SIZE));
	}
	assert_int_equal(mm_alloc_domain_frames(w.d, 1, &first), 1);
	while ((n = mm_alloc_domain_frames(w.d, 1 << 20, &first)))
		total += n;
	assert_int_equal(total, 300 - 65);
	assert_false(mfn_valid_number(mm_alloc_domain_frame(w.d)));
	mm_set_max(w.d, 100000);
	while ((n = mm_alloc_domain_frames(w.d, 1 << 20, &first)))
		assert_in_range(n, 1, 512);
	assert_int_equal(buddy_free_frames(), 0);
	world_destroy(&w);
	world_end();
}

static void shared_pages(void **state)
{
	struct world w;
	uint64_t *rw, *ro, e;
	struct frame *f;

	(void)state;
	world_machine(1024);
	world_make(&w, 1, 50, 60);
	rw = heap_alloc_pages(1);
	ro = heap_alloc_pages(1);
	mm_share_xen_frame(w.d, rw, true);
	mm_share_xen_frame(w.d, ro, false);
	assert_ptr_equal(mm_frame_owner(virt_to_mfn(rw)), w.d);
	e = virt_to_mfn(ro).n << PAGE_SHIFT;
	assert_int_equal(world_va_mapping(&w, world_va(20), e | PTE_WR, 0), -XEN_EBUSY);
	assert_int_equal(world_va_mapping(&w, world_va(20), e | PTE_RO, 0), 0);
	assert_int_equal(
		world_va_mapping(&w, world_va(21), virt_to_mfn(rw).n << PAGE_SHIFT | PTE_WR, 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, virt_to_mfn(ro).n, 0), -XEN_EBUSY);
	world_audit();
	/* The core lets go first: the guest keeps what it maps, and the page is freed with the
	 * mapping. */
	heap_free_pages(rw, 1);
	f = frame_of(virt_to_mfn(rw));
	assert_int_equal(f->kind, FK_ORPHAN);
	assert_int_equal(world_protect(&w, 21, 0), 0);
	assert_int_equal(f->kind, FK_FREE);
	/* The guest dies first. */
	world_destroy(&w);
	assert_int_equal(frame_of(virt_to_mfn(ro))->kind, FK_HEAP);
	heap_free_pages(ro, 1);
	world_end();
}

static void held_frames(void **state)
{
	struct world a, b;
	mfn_t mfn;
	void *page;

	(void)state;
	world_machine(2048);
	world_make(&a, 1, 50, 60);
	world_make(&b, 2, 50, 60);
	mfn = MFN(a.p2m[20]);
	assert_false(mm_get_frame(mfn, b.d));
	assert_false(mm_get_frame(MFN(1), a.d));
	assert_false(mm_get_frame(INVALID_MFN, a.d));
	assert_true(mm_get_frame(mfn, a.d));
	assert_null(mm_map_shared(b.d, mfn));
	assert_null(mm_map_shared(a.d, MFN(a.p2m[a.l1])));
	page = mm_map_shared(a.d, MFN(a.p2m[21]));
	assert_ptr_equal(page, world_ptr(&a, 21));
	assert_int_equal(world_protect(&a, 21, PTE_RO), 0);
	assert_int_equal(world_mmuext(&a, MMUEXT_PIN_L1_TABLE, a.p2m[21], 0), -XEN_EBUSY);
	assert_int_equal(mm_get_frame_type(MFN(a.p2m[a.l2]), a.d, FT_L1), -XEN_EBUSY);
	assert_int_equal(mm_get_frame_type(MFN(a.p2m[a.l2]), a.d, FT_L2), 0);
	world_audit();
	mm_put_frame_type(MFN(a.p2m[a.l2]));
	/* another domain's frame in one's own tables */
	assert_int_equal(world_va_mapping(&b, world_va(20), mfn.n << PAGE_SHIFT | PTE_RO, 0),
			 -XEN_EBUSY);
	/* the owner dies; what is held stays, without an owner, until it is let go */
	world_destroy(&a);
	assert_int_equal(frame_of(mfn)->kind, FK_ORPHAN);
	assert_null(mm_frame_owner(mfn));
	assert_false(mm_get_frame(mfn, b.d));
	mm_put_frame(mfn);
	assert_int_equal(frame_of(mfn)->kind, FK_FREE);
	mm_unmap_shared(page);
	world_destroy(&b);
	world_end();
}

/* Domains in every stage of being built are given up whole. */
static void half_built(void **state)
{
	(void)state;
	world_machine(1024);
	for (unsigned stage = 0; stage < 4; stage++) {
		struct domain *d = heap_alloc(sizeof(*d));
		mfn_t l1, l2;

		d->id = 1;
		d->max_vcpus = 1;
		list_add_tail(&domain_list, &d->link);
		assert_int_equal(domain_mm_init(d, 10), 0);
		l1 = mm_alloc_domain_frame(d);
		l2 = mm_alloc_domain_frame(d);
		if (stage > 0)
			*(uint64_t *)plat_frame_ptr(l2) = l1.n << PAGE_SHIFT | PTE_WR;
		if (stage > 1)
			assert_int_equal(mm_pin_table(d, l2, 2), 0);
		if (stage > 2)
			assert_int_equal(mm_pin_table(d, l1, 1), 0);
		world_audit();
		domain_mm_destroy(d);
		list_del(&d->link);
		heap_free(d);
		world_audit();
	}
	world_end();
}

/* What one domain leaves behind, the next must not see; and no stale translation of it may survive.
 */
static void scrubbed(void **state)
{
	struct world a, b;

	(void)state;
	world_machine(600);
	world_make(&a, 1, 400, 400);
	for (unsigned i = 0; i < 390; i++)
		memset(world_ptr(&a, i), 0x77, PAGE_SIZE);
	testplat_clear();
	world_destroy(&a); /* the audit takes two pages already */
	world_make(&b, 2, 400, 400);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 1); /* once for all of them */
	for (unsigned i = 0; i < 390; i++)
		assert_true(zero(world_ptr(&b, i), PAGE_SIZE));
	world_destroy(&b);
	world_end();
}

/* A machine that starts with something in its memory: the core sees none of it. */
static void dirty_machine(void **state)
{
	(void)state;
	testplat_start(700);
	memset(plat_frame_ptr(MFN(2)), 0xa5, 698 * PAGE_SIZE);
	tp.info.memory_dirty = true;
	assert_int_equal(mm_init(), 0);
	world_audit();
	for (void *p = heap_alloc_pages(1); p; p = heap_alloc_pages(1))
		assert_true(zero(p, PAGE_SIZE));
	testplat_stop();
}

/* Memory that the home kept at first, full of something, is as good as any afterwards. */
static void given_later(void **state)
{
	uint64_t before;
	unsigned seen = 0;

	(void)state;
	testplat_start(1024);
	for (unsigned n = 501; n < 698; n++)
		tp.unusable[n] = true;
	assert_int_equal(mm_init(), 0);
	before = buddy_free_frames();
	memset(plat_frame_ptr(MFN(501)), 0x5a, 197 * PAGE_SIZE);
	mm_add_frames(501, 698);
	assert_int_equal(buddy_free_frames(), before + 197);
	world_audit();
	for (void *p = heap_alloc_pages(1); p; p = heap_alloc_pages(1)) {
		assert_true(zero(p, PAGE_SIZE));
		seen += virt_to_mfn(p).n >= 501 && virt_to_mfn(p).n < 698;
	}
	assert_int_equal(seen, 197);
	testplat_stop();
}

/* The audit must see each kind of damage; otherwise all tests that rely on it say nothing. */
static void audit_sees(void **state)
{
	struct world w;
	struct frame *f;
	uint64_t *table, e;

	(void)state;
	world_machine(1024);
	world_make(&w, 1, 50, 60);
	f = frame_at(w.p2m[20]);
	f->count++;
	assert_int_not_equal(mm_audit(), 0);
	f->count--;
	f->type_count++;
	assert_int_not_equal(mm_audit(), 0);
	f->type_count--;
	f->owner = NULL;
	assert_int_not_equal(mm_audit(), 0);
	f->owner = w.d;
	w.d->mm.tot_pages++;
	assert_int_not_equal(mm_audit(), 0);
	w.d->mm.tot_pages--;
	table = world_ptr(&w, w.l1);
	e = table[20];
	table[20] = w.p2m[w.l2] << PAGE_SHIFT | PTE_WR;
	assert_int_not_equal(mm_audit(), 0);
	table[20] = e & ~PTE_US;
	assert_int_not_equal(mm_audit(), 0);
	table[20] = e;
	table = world_ptr(&w, w.l4);
	table[260] = e;
	assert_int_not_equal(mm_audit(), 0);
	table[260] = 0;
	table = plat_frame_ptr(MFN(tp.info.frames - 1));
	table[5] = 1; /* a free frame */
	assert_int_not_equal(mm_audit(), 0);
	table[5] = 0;
	world_audit();
	world_destroy(&w);
	world_end();
}

/* Every third call looks; what it finds stops the machine. */
static void audit_every_so_often(void **state)
{
	volatile unsigned ticks = 0;
	struct frame *f;
	struct world w;
	jmp_buf out;

	(void)state;
	world_machine(1024);
	world_make(&w, 1, 50, 60);
	mm_audit_tick();
	mm_audit_every = 3;
	for (unsigned i = 0; i < 9; i++)
		mm_audit_tick();
	f = frame_at(w.p2m[20]);
	f->count++;
	tp.panic_jmp = &out;
	if (!setjmp(out)) {
		for (; ticks < 4; ticks++)
			mm_audit_tick();
		fail_msg("nothing was found");
	}
	assert_int_equal(ticks, 2);
	assert_non_null(strstr(tp.panic_line, "frame table"));
	tp.panic_jmp = NULL;
	mm_audit_every = 0;
	f->count--;
	world_audit();
	world_destroy(&w);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(audit_every_so_often),
		cmocka_unit_test(odd_machines),	 cmocka_unit_test(contiguous_pages),
		cmocka_unit_test(small_objects), cmocka_unit_test(to_the_last_frame),
		cmocka_unit_test(shared_pages),	 cmocka_unit_test(held_frames),
		cmocka_unit_test(several_at_once), cmocka_unit_test(half_built),	 cmocka_unit_test(scrubbed),
		cmocka_unit_test(dirty_machine), cmocka_unit_test(given_later),	 cmocka_unit_test(audit_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
