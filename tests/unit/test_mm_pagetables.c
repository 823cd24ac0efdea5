/* SPDX-License-Identifier: MIT */
/*
 * Page tables under the hypercalls that change them: what is refused, what is stored, which
 * references move, and that nothing is lost on any way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_machine(2048);
	world_make(&w, 1, 300, 320);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_audit();
	world_destroy(&w);
	world_end();
	return 0;
}

static struct frame *page(unsigned pfn)
{
	return frame_at(w.p2m[pfn]);
}

static uint64_t table_ma(unsigned pfn, unsigned index)
{
	return w.p2m[pfn] << PAGE_SHIFT | index * 8;
}

static void start_of_day(void **state)
{
	const uint64_t *l4 = world_ptr(&w, w.l4);

	(void)state;
	assert_int_equal(page(w.l4)->type, FT_L4);
	assert_int_equal(page(w.l4)->type_count, 2); /* pinned and loaded */
	assert_int_equal(page(w.l1)->type, FT_L1);
	assert_int_equal(page(10)->type, FT_WRITABLE);
	assert_int_equal(tp.pt_level[w.p2m[w.l4]], 4);
	assert_int_equal(tp.pt_level[w.p2m[w.l1]], 1);
	assert_int_equal(l4[257] & (PTE_P | PTE_US | PTE_RW), PTE_P | PTE_US);
	assert_int_equal(l4[256], l4[257]);
	assert_int_equal(l4[258], tp.root_slot[2]);
	assert_int_equal(l4[271], 0);
	world_audit();
}

static void m2p_is_mapped(void **state)
{
	const uint64_t *l4 = world_ptr(&w, w.l4);
	const uint64_t *l3 = plat_frame_ptr(pte_mfn(l4[257]));
	const uint64_t *l2 = plat_frame_ptr(pte_mfn(l3[0]));
	const uint64_t *l1 = plat_frame_ptr(pte_mfn(l2[0]));

	(void)state;
	for (unsigned pfn = 0; pfn < w.pages; pfn++) {
		uint64_t at = w.p2m[pfn] * 8, e = l1[at >> PAGE_SHIFT];
		const uint64_t *m2p = plat_frame_ptr(pte_mfn(e));

		assert_int_equal(e & (PTE_P | PTE_US | PTE_RW), PTE_P | PTE_US);
		assert_int_equal(m2p[at % PAGE_SIZE / 8], pfn);
	}
	assert_int_equal(world_mmu_update(&w, (w.p2m[9] << PAGE_SHIFT) + MMU_MACHPHYS_UPDATE, 4711),
			 0);
	assert_int_equal(m2p_get(MFN(w.p2m[9])), 4711);
	assert_int_equal(world_mmu_update(&w, (UINT64_C(1) << PAGE_SHIFT) + MMU_MACHPHYS_UPDATE, 1),
			 -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, (UINT64_C(1) << 50) + MMU_MACHPHYS_UPDATE, 1),
			 -XEN_EINVAL);
}

static void l1_entries(void **state)
{
	struct frame *f = page(20);

	(void)state;
	assert_int_equal(f->count, 2);
	assert_int_equal(f->type_count, 1);
	/* read-only, unmapped, writable again */
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, 0), world_entry(&w, 20, PTE_P)), 0);
	assert_int_equal(world_pte(&w, 20),
			 world_entry(&w, 20, PTE_P | PTE_US)); /* ring 3 needs the user bit */
	assert_int_equal(f->count, 2);
	assert_int_equal(f->type_count, 0);
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, 0), 0x1234567890), 0);
	assert_int_equal(f->count, 1);
	assert_int_equal(
		world_mmu_update(&w, world_pte_ma(&w, 20, 0), world_entry(&w, 20, PTE_WR | PTE_G | PTE_NX)),
		0);
	assert_int_equal(world_pte(&w, 20), world_entry(&w, 20, PTE_WR | PTE_NX)); /* no global entries */
	assert_int_equal(f->type_count, 1);
	/* the same frame a second time */
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 21, 0), world_entry(&w, 20, PTE_WR)), 0);
	assert_int_equal(f->count, 3);
	assert_int_equal(f->type_count, 2);
	assert_int_equal(page(21)->count, 1);
}

static void l1_refusals(void **state)
{
	uint64_t before = world_pte(&w, 20), ma = world_pte_ma(&w, 20, 0);
	static const uint64_t flags[] = {PTE_PWT, PTE_PCD, PTE_PAT, UINT64_C(1) << 62};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(world_mmu_update(&w, ma, world_entry(&w, 20, PTE_WR | flags[i])),
				 -XEN_EINVAL);
		assert_int_equal(world_mmu_update(&w, ma, world_entry(&w, 30, PTE_WR | flags[i])),
				 -XEN_EINVAL);
	}
	assert_int_equal(world_mmu_update(&w, ma, UINT64_C(0xfee00000) | PTE_WR),
			 -XEN_EPERM); /* MMIO */
	assert_int_equal(world_mmu_update(&w, ma, PTE_ADDR | PTE_WR), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, ma, 0 | PTE_WR), -XEN_EPERM);	    /* frame 0 */
	assert_int_equal(world_mmu_update(&w, ma, PAGE_SIZE | PTE_RO), -XEN_EPERM); /* the home's */
	assert_int_equal(world_mmu_update(&w, ma, (tp.info.frames << PAGE_SHIFT) | PTE_RO),
			 -XEN_EPERM);
	/* the core's heap, and a free frame */
	assert_int_equal(
		world_mmu_update(&w, ma, virt_to_mfn(m2p_page(0)).n << PAGE_SHIFT | PTE_RO),
		-XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, ma, (tp.info.frames - 1) << PAGE_SHIFT | PTE_RO),
			 -XEN_EBUSY);
	/* page tables, writable */
	assert_int_equal(world_mmu_update(&w, ma, world_entry(&w, w.l1, PTE_WR)), -XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, ma, world_entry(&w, w.l4, PTE_WR)), -XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, ma, world_entry(&w, w.l4, PTE_RO)), 0);
	assert_int_equal(world_mmu_update(&w, ma, before), 0);
	/* bad commands and addresses */
	assert_int_equal(world_mmu_update(&w, ma + 4, before), -XEN_ENOSYS);
	assert_int_equal(world_mmu_update(&w, PAGE_SIZE, before), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, UINT64_C(1) << 60, before), -XEN_EINVAL);
	assert_int_equal(world_pte(&w, 20), before);
}

static void accessed_and_dirty(void **state)
{
	uint64_t *l1 = world_ptr(&w, w.l1);

	(void)state;
	l1[20] = world_entry(&w, 20, PTE_WR);
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, MMU_PT_UPDATE_PRESERVE_AD),
					  world_entry(&w, 20, PTE_P | PTE_US)),
			 0);
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_RO));
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, MMU_NORMAL_PT_UPDATE),
					  world_entry(&w, 20, PTE_P | PTE_US)),
			 0);
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_P | PTE_US));
	l1[20] |= PTE_A;
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, MMU_PT_UPDATE_PRESERVE_AD),
					  world_entry(&w, 20, PTE_P | PTE_US | PTE_NX)),
			 0);
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_P | PTE_US | PTE_A | PTE_NX));
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 20, MMU_PT_UPDATE_PRESERVE_AD), 0),
			 0);
	assert_int_equal(l1[20], 0);
}

static void upper_levels(void **state)
{
	uint64_t slot = table_ma(w.l2, 7), l3slot = table_ma(w.l3, 9), l4slot = table_ma(w.l4, 300);
	static const uint64_t flags[] = {PTE_PS, PTE_PCD, PTE_PWT, PTE_G};

	(void)state;
	/* A writable page cannot be a table. */
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, 40, PTE_WR)), -XEN_EBUSY);
	assert_int_equal(world_protect(&w, 40, PTE_RO), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, 40, PTE_WR | flags[i])),
				 -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, 40, PTE_P | PTE_RW)), 0);
	assert_int_equal(page(40)->type, FT_L1);
	assert_int_equal(tp.pt_level[w.p2m[40]], 1);
	/* Not writable any more; not a table of another level; but the same level again. */
	assert_int_equal(world_protect(&w, 40, PTE_WR), -XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, l3slot, world_entry(&w, 40, PTE_WR)), -XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, l4slot, world_entry(&w, w.l1, PTE_WR)), -XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, table_ma(w.l2, 8), world_entry(&w, 40, PTE_WR)), 0);
	assert_int_equal(page(40)->type_count, 2);
	assert_int_equal(world_mmu_update(&w, slot, 0), 0);
	assert_int_equal(page(40)->type_count, 1);
	assert_int_equal(world_mmu_update(&w, table_ma(w.l2, 8), 0), 0);
	assert_int_equal(page(40)->type_count, 0);
	assert_int_equal(tp.pt_level[w.p2m[40]], 0);
	assert_int_equal(world_protect(&w, 40, PTE_WR), 0);
	/* frames of nobody */
	assert_int_equal(world_mmu_update(&w, l4slot, PAGE_SIZE | PTE_WR), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, l4slot, UINT64_C(0xfee00000) | PTE_WR), -XEN_EINVAL);
	/* the shared_info page is the core's */
	assert_int_equal(
		world_mmu_update(&w, slot, w.d->mm.shared_info_mfn.n << PAGE_SHIFT | PTE_WR),
		-XEN_EBUSY);
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 50, 0),
					  w.d->mm.shared_info_mfn.n << PAGE_SHIFT | PTE_WR),
			 0);
}

static void reserved_slots(void **state)
{
	const uint64_t *l4 = world_ptr(&w, w.l4);

	(void)state;
	for (unsigned slot = 256; slot <= 271; slot++) {
		uint64_t before = l4[slot];

		assert_int_equal(world_mmu_update(&w, table_ma(w.l4, slot), world_entry(&w, w.l3, PTE_WR)),
				 -XEN_EINVAL);
		/* writing back what is there is harmless, accessed bits or not */
		assert_int_equal(world_mmu_update(&w, table_ma(w.l4, slot), before ^ PTE_A), 0);
		assert_int_equal(l4[slot], before);
	}
}

static void recursive_mapping(void **state)
{
	uint64_t slot = table_ma(w.l4, 511), count = page(w.l4)->count;

	(void)state;
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, w.l4, PTE_WR)), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, w.l4, PTE_RO)), 0);
	assert_int_equal(page(w.l4)->count, count + 1);
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, w.l4, PTE_WR)), -XEN_EINVAL);
	world_audit();
	/* The walker shows tables through it, but no reserved slot and no way to write. */
	assert_int_equal(mm_walk(w.v, UINT64_C(0xffffff8000000000) | UINT64_C(257) << 30, NULL), 0);
	assert_int_equal(
		world_va_mapping(&w, UINT64_C(0xfffffffffffff000) & ~((uint64_t)(511 - 272) << 12),
				 0, 0),
		-XEN_EINVAL); /* slot 272 of the L4 as if it were an L1 */
	assert_int_equal(world_mmu_update(&w, slot, 0), 0);
	assert_int_equal(page(w.l4)->count, count);
	assert_int_equal(world_mmu_update(&w, slot, world_entry(&w, w.l4, PTE_RO)),
			 0); /* and the teardown undoes it */
}

static void loops(void **state)
{
	uint64_t *t = world_ptr(&w, 60);

	(void)state;
	/* A table that names itself as the next lower level. */
	t[0] = world_entry(&w, 60, PTE_WR);
	assert_int_equal(world_protect(&w, 60, PTE_RO), 0);
	for (unsigned level = MMUEXT_PIN_L2_TABLE; level <= MMUEXT_PIN_L3_TABLE; level++)
		assert_true(world_mmuext(&w, level, w.p2m[60], 0) < 0);
	/* As an L1 it would map itself writable, as an L4 too. */
	assert_true(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, w.p2m[60], 0) < 0);
	assert_true(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[60], 0) < 0);
	assert_int_equal(page(60)->type_count, 0);
	assert_int_equal(page(60)->flags & (FF_PARTIAL | FF_BUSY | FF_PINNED), 0);
	/* Two that name each other. */
	assert_int_equal(world_protect(&w, 60, PTE_WR), 0);
	t[0] = world_entry(&w, 61, PTE_WR);
	((uint64_t *)world_ptr(&w, 61))[3] = world_entry(&w, 60, PTE_WR);
	assert_int_equal(world_protect(&w, 60, PTE_RO), 0);
	assert_int_equal(world_protect(&w, 61, PTE_RO), 0);
	assert_true(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[60], 0) < 0);
	assert_true(world_mmuext(&w, MMUEXT_PIN_L3_TABLE, w.p2m[60], 0) < 0);
	assert_int_equal(page(60)->count, 2);
	assert_int_equal(page(61)->count, 2);
}

static void pinning(void **state)
{
	uint64_t l4 = w.p2m[w.l4], *other = world_ptr(&w, 70);

	(void)state;
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, l4, 0), -XEN_EINVAL); /* already */
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L3_TABLE, l4, 0), -XEN_EBUSY);
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[w.l3], 0), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, UINT64_C(1) << 51, 0), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, 1, 0), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, UINT64_C(1) << 51, 0), -XEN_EINVAL);
	/* A kernel pins its own table and unpins the one it was started on, while still running
	 * there. */
	other[272] = world_entry(&w, w.l3, PTE_WR);
	assert_int_equal(world_protect(&w, 70, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[70], 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, l4, 0), 0);
	assert_int_equal(page(w.l4)->type_count, 1);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[70], 0), 0);
	assert_int_equal(w.v->gate.cr3_kernel, w.p2m[70] << PAGE_SHIFT);
	assert_int_equal(page(w.l4)->type_count, 0);
	assert_int_equal(((uint64_t *)world_ptr(&w, w.l4))[257],
			 0); /* nothing of ours stays behind */
	assert_int_equal(world_protect(&w, w.l4, PTE_WR), 0);
}

static void base_pointers(void **state)
{
	uint64_t l4 = w.p2m[w.l4];

	(void)state;
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, 0, 0), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[10], 0), -XEN_EBUSY);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[w.l3], 0), -XEN_EBUSY);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, UINT64_C(1) << 40, 0), -XEN_EINVAL);
	testplat_clear();
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, l4, 0), 0);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 1);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, l4, 0), 0);
	assert_int_equal(w.v->gate.cr3_user, l4 << PAGE_SHIFT);
	assert_int_equal(page(w.l4)->type_count, 3);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, w.p2m[w.l2], 0), -XEN_EBUSY);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, 0, 0), 0);
	assert_int_equal(w.v->gate.cr3_user, 0);
	assert_int_equal(page(w.l4)->type_count, 2);
}

/* VMASST_TYPE_m2p_strict: user mode does not see the M2P. */
static void strict_m2p(void **state)
{
	const uint64_t *l4 = world_ptr(&w, w.l4), *user = world_ptr(&w, 70);
	uint64_t m2p = l4[257];

	(void)state;
	w.d->mm.vm_assist |= UINT64_C(1) << VMASST_TYPE_m2p_strict;
	assert_int_equal(world_protect(&w, 70, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, w.p2m[70], 0), 0);
	assert_int_equal(user[256], 0);
	assert_int_equal(user[257], 0);
	assert_int_equal(user[258], tp.root_slot[2]);
	assert_int_equal(l4[257], m2p);
	world_audit();
	/* the same table as kernel's */
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_USER_BASEPTR, w.p2m[w.l4], 0), 0);
	assert_int_equal(l4[257], 0);
	((uint64_t *)world_ptr(&w, 71))[272] = world_entry(&w, w.l3, PTE_WR);
	assert_int_equal(world_protect(&w, 71, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[71], 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[w.l4], 0), 0);
	assert_int_equal(l4[257], m2p);
	assert_int_equal(l4[256], m2p);
}

static void va_mapping(void **state)
{
	uint64_t *map = world_ptr(&w, 1);
	const struct tp_record *r;

	(void)state;
	testplat_clear();
	assert_int_equal(world_va_mapping(&w, world_va(20), world_entry(&w, 21, PTE_WR), 0), 0);
	assert_int_equal(world_pte(&w, 20), world_entry(&w, 21, PTE_WR));
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 0);
	assert_int_equal(
		world_va_mapping(&w, world_va(20), world_entry(&w, 20, PTE_WR), UVMF_INVLPG | UVMF_LOCAL), 0);
	r = testplat_last(TP_TLB_FLUSH);
	assert_non_null(r);
	assert_int_equal(r->arg[1], PLAT_FLUSH_VA);
	assert_int_equal(r->arg[2], world_va(20));
	*map = 1;
	assert_int_equal(
		world_va_mapping(&w, world_va(20), world_entry(&w, 20, PTE_WR), UVMF_TLB_FLUSH | world_va(1)),
		0);
	r = testplat_last(TP_TLB_FLUSH);
	assert_int_equal(r->arg[0], 1);
	assert_int_equal(r->arg[1], PLAT_FLUSH_ALL);
	assert_int_equal(
		world_va_mapping(&w, world_va(20), world_entry(&w, 20, PTE_WR), UVMF_TLB_FLUSH | 0x1000),
		-XEN_EFAULT);
	assert_int_equal(world_va_mapping(&w, 0x1000, world_entry(&w, 20, PTE_WR), 0), -XEN_EINVAL);
	assert_int_equal(world_va_mapping(&w, M2P_VIRT, world_entry(&w, 20, PTE_WR), 0), -XEN_EINVAL);
	assert_int_equal(world_va_mapping(&w, UINT64_C(0x800000000000), world_entry(&w, 20, PTE_WR), 0),
			 -XEN_EINVAL);
	assert_int_equal(world_va_mapping(&w, world_va(20), world_entry(&w, w.l2, PTE_WR), 0), -XEN_EBUSY);
	/* otherdomain */
	assert_int_equal(world_call(&w, __HYPERVISOR_update_va_mapping_otherdomain, world_va(20),
				    world_entry(&w, 20, PTE_WR), 0, DOMID_SELF),
			 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_va_mapping_otherdomain, world_va(20),
				    world_entry(&w, 20, PTE_WR), 0, DOMID_IO),
			 -XEN_EPERM);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_va_mapping_otherdomain, world_va(20),
				    world_entry(&w, 20, PTE_WR), 0, 99),
			 -XEN_ESRCH);
}

static void stores_outside_tables(void **state)
{
	(void)state;
	assert_int_equal(world_mmu_update(&w, table_ma(22, 5), 0xabcdef), 0);
	assert_int_equal(((uint64_t *)world_ptr(&w, 22))[5], 0xabcdef);
	/* on its way to become a page table: no reference is writable, the next use decides */
	assert_int_equal(world_protect(&w, 22, PTE_RO), 0);
	assert_int_equal(world_mmu_update(&w, table_ma(22, 6), 1), 0);
	assert_int_equal(page(22)->type_count, 0);
}

static void batches(void **state)
{
	struct mmu_update *req = world_ptr(&w, 0);
	uint32_t *done = world_ptr(&w, 2);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		req[i] = (struct mmu_update){world_pte_ma(&w, 100 + i, 0), world_entry(&w, 100 + i, PTE_RO)};
	assert_int_equal(
		world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 100, world_va(2), DOMID_SELF),
		0);
	assert_int_equal(*done, 100);
	req[60].val = PAGE_SIZE | PTE_WR;
	for (unsigned i = 0; i < 60; i++)
		req[i].val = world_entry(&w, 100 + i, PTE_WR);
	assert_int_equal(
		world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 100, world_va(2), DOMID_SELF),
		-XEN_EPERM);
	assert_int_equal(*done, 60);
	assert_int_equal(page(159)->type_count, 1);
	assert_int_equal(page(161)->type_count, 0);
	/* the list runs off into nothing: what can be read is done */
	assert_int_equal(world_protect(&w, 1, 0), 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0) + 4096 - 32, 3,
				    world_va(2), DOMID_SELF),
			 -XEN_EINVAL); /* zeroes: frame 0 */
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(1), 1, 0, DOMID_SELF),
			 -XEN_EFAULT);
	/* owners */
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, 1), 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, DOMID_XEN),
			 -XEN_EPERM);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, 5), -XEN_ESRCH);
	assert_int_equal(
		world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, 6u << 16 | DOMID_SELF),
		-XEN_ESRCH);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 0, 0, DOMID_SELF), 0);
}

/* Where the processor reads through entries that are not present, these must not name memory. */
static void absent_entries(void **state)
{
	uint64_t at = world_pte_ma(&w, 20, 0), names_memory = world_entry(&w, 21, PTE_RW);
	uint64_t *table = world_ptr(&w, 30);

	(void)state;
	assert_int_equal(world_mmu_update(&w, at, names_memory), 0);
	l1tf_frames = nr_frames;
	assert_int_equal(world_mmu_update(&w, at, names_memory), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, at, names_memory | UINT64_C(1) << 44), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, at, (nr_frames - 1) << PAGE_SHIFT), -XEN_EINVAL);
	assert_int_equal(world_mmu_update(&w, at, nr_frames << PAGE_SHIFT), 0);
	assert_int_equal(world_mmu_update(&w, at, ~names_memory & PTE_ADDR), 0);
	assert_int_equal(world_mmu_update(&w, at, PTE_RW | PTE_NX), 0);
	/* The same for a whole table that becomes one. */
	assert_int_equal(world_mmu_update(&w, world_pte_ma(&w, 30, 0), 0), 0);
	table[511] = names_memory;
	assert_int_equal(mm_pin_table(w.d, MFN(w.p2m[30]), 1), -XEN_EINVAL);
	table[511] = ~names_memory & PTE_ADDR;
	assert_int_equal(mm_pin_table(w.d, MFN(w.p2m[30]), 1), 0);
	assert_int_equal(mm_unpin_table(w.d, MFN(w.p2m[30])), 0);
	table[511] = 0;
	l1tf_frames = 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(start_of_day),   TEST(m2p_is_mapped),	   TEST(l1_entries),
		TEST(l1_refusals),    TEST(accessed_and_dirty),	   TEST(upper_levels),
		TEST(reserved_slots), TEST(recursive_mapping),	   TEST(loops),
		TEST(pinning),	      TEST(base_pointers),	   TEST(strict_m2p),
		TEST(va_mapping),     TEST(stores_outside_tables), TEST(batches),
		TEST(absent_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
