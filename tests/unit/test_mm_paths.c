/* SPDX-License-Identifier: MIT */
/*
 * The ways to L1 tables that copies to and from guests remember: whatever the guest does to its tables, the next copy goes
 * where they lead then. Each test copies first, so that there is something to remember.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

#define DATA  20u  /* the page that is read */
#define OTHER 30u  /* what shall be seen in its place */
#define TABLE 250u /* to become a page table */
#define ROOT  251u
#define UPPER 252u

static struct world w;

static int setup(void **state)
{
	world_machine(2048);
	world_make(&w, 1, 300, 320);
	*(uint64_t *)world_ptr(&w, DATA) = DATA;
	*(uint64_t *)world_ptr(&w, OTHER) = OTHER;
	return 0;
}

static int teardown(void **state)
{
	world_audit();
	world_destroy(&w);
	world_end();
	return 0;
}

/* Entry @index of table @pfn. */
static uint64_t slot(unsigned pfn, unsigned index)
{
	return (w.p2m[pfn] << PAGE_SHIFT) + index * 8;
}

/* One mmu_update that does not ask how many were done: the answer might have no place that can be written. */
static void store(uint64_t ptr, uint64_t val)
{
	*(struct mmu_update *)world_ptr(&w, 0) = (struct mmu_update){ ptr, val };
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, DOMID_SELF), 0);
}

/* What the guest finds at DATA's address, 0: nothing. */
static uint64_t seen(void)
{
	uint64_t value;

	return guest_copy_from(w.v, &value, world_va(DATA), sizeof(value)) ? 0 : value;
}

static bool writable(void)
{
	uint64_t value = seen();

	return !guest_copy_to(w.v, world_va(DATA), &value, sizeof(value));
}

/* Page @pfn, read-only from now on, holds what @of does. */
static uint64_t *copy_of(unsigned pfn, unsigned of)
{
	memcpy(world_ptr(&w, pfn), world_ptr(&w, of), PAGE_SIZE);
	assert_int_equal(world_protect(&w, pfn, PTE_RO), 0);
	return world_ptr(&w, pfn);
}

static void a_path_is_remembered(void **state)
{
	const struct l1_path *p = &w.v->mm.path[(world_va(DATA) >> 21) % VCPU_PATHS];

	assert_int_equal(seen(), DATA);
	assert_int_equal(p->region, (world_va(DATA) >> 21) + 1);
	assert_int_equal(p->generation, w.d->mm.table_generation);
	assert_ptr_equal(p->l1, world_ptr(&w, w.l1));
}

static void leaf_changes(void **state)
{
	assert_true(writable());
	assert_int_equal(world_va_mapping(&w, world_va(DATA), world_entry(&w, OTHER, PTE_RO), 0), 0);
	assert_int_equal(seen(), OTHER);
	assert_false(writable());
	assert_int_equal(world_va_mapping(&w, world_va(DATA), 0, 0), 0);
	assert_int_equal(seen(), 0);
	assert_int_equal(world_va_mapping(&w, world_va(DATA), world_entry(&w, DATA, PTE_WR), 0), 0);
	assert_true(writable());
}

static void stores_mark_the_page(void **state)
{
	assert_true(writable());
	assert_int_equal(world_va_mapping(&w, world_va(DATA), world_entry(&w, DATA, PTE_P | PTE_US | PTE_RW), 0), 0);
	assert_int_equal(seen(), DATA);
	assert_int_equal(world_pte(&w, DATA) & PTE_D, 0);
	assert_true(writable());
	assert_int_equal(world_pte(&w, DATA) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void another_l1(void **state)
{
	uint64_t *l1 = copy_of(TABLE, w.l1);

	assert_int_equal(seen(), DATA);
	l1[DATA] = world_entry(&w, OTHER, PTE_RO);
	l1[TABLE] = world_entry(&w, TABLE, PTE_RO);
	assert_int_equal(world_mmu_update(&w, slot(w.l2, 0), world_entry(&w, TABLE, PTE_WR)), 0);
	world_audit();
	assert_int_equal(seen(), OTHER);
	assert_false(writable());
	assert_int_equal(world_mmu_update(&w, slot(w.l2, 0), world_entry(&w, w.l1, PTE_WR)), 0);
	assert_int_equal(seen(), DATA);
}

/* No reference changes hands when only rights do, but what may be stored through the path does. */
static void rights_above(void **state)
{
	static const struct {
		unsigned level;
		uint64_t bits;
	} cases[] = { { 2, PTE_RO }, { 3, PTE_RO }, { 4, PTE_RO } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned level = cases[i].level, index = pt_index(WORLD_BASE, level);
		unsigned table = level == 2 ? w.l2 : level == 3 ? w.l3 : w.l4, below = level == 2 ? w.l1 : level == 3 ? w.l2 : w.l3;
		uint32_t error = 0;
		uint64_t va = 0;

		assert_true(writable());
		store(slot(table, index), world_entry(&w, below, PTE_RO));
		world_audit();
		assert_int_equal(seen(), DATA);
		assert_false(writable());
		store(slot(table, index), world_entry(&w, below, PTE_WR | PTE_NX));
		assert_true(writable());
		assert_int_equal(guest_fetch(w.v, &va, world_va(DATA), 8, &va, &error), 8);
		store(slot(table, index), world_entry(&w, below, PTE_WR));
		assert_int_equal(guest_fetch(w.v, &va, world_va(DATA), 8, NULL, &error), 0);
	}
}

/*
 * A root that is given up, filled anew and loaded again has the same CR3 and other ways. No entry of it was ever stored to.
 * The region that is looked at is not the one of the hypercalls' arguments, so that its path stays remembered meanwhile.
 */
static void a_root_of_the_same_name(void **state)
{
	uint64_t *l4, *l3, *l2, *l1, value, far = WORLD_BASE + (UINT64_C(1) << 21) + DATA * PAGE_SIZE;

	assert_int_equal(world_mmu_update(&w, slot(w.l2, 1), world_entry(&w, w.l1, PTE_WR)), 0);
	l1 = copy_of(TABLE, w.l1);
	l4 = copy_of(ROOT, w.l4);
	assert_int_equal(world_protect(&w, UPPER, PTE_RO), 0);
	assert_int_equal(world_protect(&w, UPPER + 1, PTE_RO), 0);
	l1[DATA] = world_entry(&w, OTHER, PTE_RO);
	for (unsigned pfn = TABLE; pfn <= UPPER + 1; pfn++)
		l1[pfn] = world_entry(&w, pfn, PTE_RO);
	memset(&l4[256], 0, 16 * 8);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[ROOT], 0), 0);
	assert_int_equal(guest_copy_from(w.v, &value, far, 8), 0);
	assert_int_equal(value, DATA);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[w.l4], 0), 0);
	assert_int_equal(guest_paths_audit(w.d), 0);

	/* Nobody uses ROOT now; the test stores where the guest would through a writable mapping. */
	l3 = world_ptr(&w, UPPER);
	l2 = world_ptr(&w, UPPER + 1);
	l4[pt_index(WORLD_BASE, 4)] = world_entry(&w, UPPER, PTE_WR);
	l3[pt_index(WORLD_BASE, 3)] = world_entry(&w, UPPER + 1, PTE_WR);
	l2[0] = world_entry(&w, w.l1, PTE_WR);
	l2[1] = world_entry(&w, TABLE, PTE_WR);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[ROOT], 0), 0);
	assert_int_equal(guest_copy_from(w.v, &value, far, 8), 0);
	assert_int_equal(value, OTHER);
	world_audit();
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[w.l4], 0), 0);
	assert_int_equal(guest_copy_from(w.v, &value, far, 8), 0);
	assert_int_equal(value, DATA);
	assert_int_equal(world_mmu_update(&w, slot(w.l2, 1), 0), 0);
}

static void user_and_kernel_tables(void **state)
{
	uint64_t *l4 = copy_of(ROOT, w.l4);

	memset(&l4[256], 0, 256 * 8);
	l4[0] = world_entry(&w, w.l3, PTE_WR); /* the same table elsewhere */
	l4[pt_index(WORLD_BASE, 4)] = 0;
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, w.p2m[ROOT], 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(seen(), DATA);
		w.v->gate.flags ^= GATE_KERNEL_MODE;
		assert_int_equal(seen(), 0);
		w.v->gate.flags ^= GATE_KERNEL_MODE;
	}
}

/* Two regions with the same place among the remembered ones. */
static void paths_that_share_a_place(void **state)
{
	uint64_t far = WORLD_BASE + VCPU_PATHS * (UINT64_C(1) << 21), value;

	copy_of(TABLE, w.l1);
	((uint64_t *)world_ptr(&w, TABLE))[DATA] = world_entry(&w, OTHER, PTE_RO);
	((uint64_t *)world_ptr(&w, TABLE))[TABLE] = world_entry(&w, TABLE, PTE_RO);
	assert_int_equal(world_mmu_update(&w, slot(w.l2, VCPU_PATHS), world_entry(&w, TABLE, PTE_WR)), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(seen(), DATA);
		assert_int_equal(guest_copy_from(w.v, &value, far + DATA * PAGE_SIZE, 8), 0);
		assert_int_equal(value, OTHER);
	}
	assert_int_equal(world_mmu_update(&w, slot(w.l2, VCPU_PATHS), 0), 0);
	assert_int_equal(guest_copy_from(w.v, &value, far + DATA * PAGE_SIZE, 8), 8);
}

/* The audit is what the random tests rely on to find a path that is no more: it must see one. */
static void the_audit_sees_a_stale_path(void **state)
{
	uint64_t generation = w.d->mm.table_generation;

	copy_of(TABLE, w.l1);
	((uint64_t *)world_ptr(&w, TABLE))[TABLE] = world_entry(&w, TABLE, PTE_RO);
	assert_int_equal(seen(), DATA);
	assert_int_equal(guest_paths_audit(w.d), 0);
	assert_int_equal(world_mmu_update(&w, slot(w.l2, 0), world_entry(&w, TABLE, PTE_WR)), 0);
	generation = w.d->mm.table_generation;
	w.v->mm.path[(world_va(DATA) >> 21) % VCPU_PATHS].generation = generation;
	w.v->mm.path[(world_va(DATA) >> 21) % VCPU_PATHS].l1 = world_ptr(&w, w.l1);
	assert_int_equal(guest_paths_audit(w.d), 1);
	w.v->mm.path[(world_va(DATA) >> 21) % VCPU_PATHS].region = 0;
}

static void reaching(void **state)
{
	assert_ptr_equal(guest_reach(w.v, world_va(DATA), 8), world_ptr(&w, DATA));
	assert_ptr_equal(guest_reach(w.v, world_va(DATA) + 4088, 8), (char *)world_ptr(&w, DATA) + 4088);
	assert_null(guest_reach(w.v, world_va(DATA) + 4089, 8));
	assert_null(guest_reach(w.v, ~UINT64_C(0) - 3, 8));
	assert_null(guest_reach(w.v, UINT64_C(0x800000000000), 8));
	assert_ptr_equal(guest_reach_write(w.v, world_va(DATA), 8), world_ptr(&w, DATA));
	assert_null(guest_reach_write(w.v, world_va(w.l1), 8)); /* page tables are read-only */
	assert_non_null(guest_reach(w.v, world_va(w.l1), 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_path_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(leaf_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(stores_mark_the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(another_l1, setup, teardown),
		cmocka_unit_test_setup_teardown(rights_above, setup, teardown),
		cmocka_unit_test_setup_teardown(a_root_of_the_same_name, setup, teardown),
		cmocka_unit_test_setup_teardown(user_and_kernel_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(paths_that_share_a_place, setup, teardown),
		cmocka_unit_test_setup_teardown(the_audit_sees_a_stale_path, setup, teardown),
		cmocka_unit_test_setup_teardown(reaching, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
