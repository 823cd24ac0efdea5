/* SPDX-License-Identifier: MIT */
/* Descriptor tables: which descriptors a guest may have, and that the hardware only ever reads
 * checked pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

#define CODE64 UINT64_C(0x00af9b000000ffff) /* ring 0 code, as a kernel would load natively */
#define DATA3  UINT64_C(0x00cff3000000ffff)
#define DPL3   (UINT64_C(3) << 45)

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

static uint64_t *page(unsigned pfn)
{
	return world_ptr(&w, pfn);
}

static struct frame *frame(unsigned pfn)
{
	return frame_at(w.p2m[pfn]);
}

static void descriptors(void **state)
{
	uint64_t d = CODE64;

	(void)state;
	assert_true(mm_check_descriptor(&d));
	assert_int_equal(d, CODE64 | DPL3);
	d = DATA3;
	assert_true(mm_check_descriptor(&d));
	assert_int_equal(d, DATA3);
	d = 0;
	assert_true(mm_check_descriptor(&d));
	for (unsigned type = 0; type < 16; type++) {
		d = UINT64_C(0x0000800000000000) | (uint64_t)type << 40; /* system, present */
		assert_int_equal(mm_check_descriptor(&d), type == 0);
		d = (uint64_t)type << 40; /* not present: harmless */
		assert_true(mm_check_descriptor(&d));
	}
}

static void gdt(void **state)
{
	uint64_t *frames = page(0);
	unsigned changes = tp_vcpu(w.v)->descriptor_changes;

	(void)state;
	page(20)[1] = CODE64;
	page(21)[511] = DATA3;
	frames[0] = w.p2m[20];
	frames[1] = w.p2m[21];
	/* still writable by the guest */
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 1024, 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(world_protect(&w, 20, PTE_RO), 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 1024, 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(frame(20)->type_count, 0);
	assert_int_equal(world_protect(&w, 21, PTE_RO), 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 1024, 0, 0), 0);
	assert_int_equal(page(20)[1], CODE64 | DPL3);
	assert_int_equal(w.v->arch.gdt_entries, 1024);
	assert_int_equal(w.v->arch.gdt_frames[1].n, w.p2m[21]);
	assert_int_equal(tp_vcpu(w.v)->descriptor_changes, changes + 1);
	assert_int_equal(world_protect(&w, 21, PTE_WR), -XEN_EBUSY);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, w.p2m[21], 0), -XEN_EBUSY);
	/* a smaller one releases the second page */
	frames[0] = w.p2m[20];
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 3, 0, 0), 0);
	assert_int_equal(world_protect(&w, 21, PTE_WR), 0);
	/* bad ones */
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 7169, 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, 0x1000, 512, 0, 0), -XEN_EFAULT);
	frames[0] = 1;
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 512, 0, 0), -XEN_EINVAL);
	page(30)[5] = UINT64_C(0x00008e0000100000); /* an interrupt gate */
	assert_int_equal(world_protect(&w, 30, PTE_RO), 0);
	frames[0] = w.p2m[30];
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 512, 0, 0), -XEN_EINVAL);
	assert_int_equal(w.v->arch.gdt_entries, 3);
	/* the domain dies with its GDT loaded */
}

static void update(void **state)
{
	uint64_t ma = w.p2m[20] << PAGE_SHIFT;
	unsigned changes;

	(void)state;
	*page(0) = w.p2m[20];
	assert_int_equal(world_protect(&w, 20, PTE_RO), 0);
	assert_int_equal(world_call(&w, __HYPERVISOR_set_gdt, world_va(0), 512, 0, 0), 0);
	changes = tp_vcpu(w.v)->descriptor_changes;
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, ma + 8, CODE64, 0, 0), 0);
	assert_int_equal(page(20)[1], CODE64 | DPL3);
	assert_int_equal(tp_vcpu(w.v)->descriptor_changes, changes + 1);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, ma + 8, CODE64, 0, 0), 0);
	assert_int_equal(tp_vcpu(w.v)->descriptor_changes, changes + 1); /* nothing changed */
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, ma + 4, CODE64, 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, ma,
				    UINT64_C(0x00008e0000100000), 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, PAGE_SIZE, CODE64, 0, 0),
			 -XEN_EINVAL);
	assert_int_equal(
		world_call(&w, __HYPERVISOR_update_descriptor, UINT64_C(1) << 60, CODE64, 0, 0),
		-XEN_EINVAL);
	/* into an ordinary page; never into a page table */
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, w.p2m[40] << PAGE_SHIFT,
				    DATA3, 0, 0),
			 0);
	assert_int_equal(page(40)[0], DATA3);
	assert_int_equal(world_call(&w, __HYPERVISOR_update_descriptor, w.p2m[w.l1] << PAGE_SHIFT,
				    DATA3, 0, 0),
			 -XEN_EINVAL);
	/* mmu_update is not a way around */
	assert_int_equal(world_mmu_update(&w, ma + 16, CODE64), -XEN_EINVAL);
	assert_int_equal(page(20)[2], 0);
}

static void ldt(void **state)
{
	(void)state;
	page(50)[3] = CODE64;
	assert_int_equal(world_protect(&w, 50, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(50) + 8, 4), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(50), 8193), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, M2P_VIRT, 4), -XEN_EINVAL);
	/* page 51 is writable: it is left out until it may be taken */
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(50), 600), 0);
	assert_int_equal(w.v->arch.ldt_frames[0].n, w.p2m[50]);
	assert_int_equal(w.v->arch.ldt_frames[1].n, 0);
	assert_int_equal(page(50)[3], CODE64 | DPL3);
	assert_false(mm_map_ldt_page(w.v, 1));
	assert_int_equal(world_protect(&w, 51, PTE_RO), 0);
	assert_true(mm_map_ldt_page(w.v, 1));
	assert_false(mm_map_ldt_page(w.v, 2));
	assert_int_equal(frame(51)->type, FT_SEGDESC);
	assert_int_equal(world_protect(&w, 51, PTE_WR), -XEN_EBUSY);
	/* unmapping a page takes it out of the LDT */
	assert_int_equal(world_protect(&w, 51, 0), 0);
	assert_int_equal(w.v->arch.ldt_frames[1].n, 0);
	assert_int_equal(frame(51)->type_count, 0);
	assert_int_equal(world_protect(&w, 51, PTE_WR), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, 0, 0), 0);
	assert_int_equal(frame(50)->type_count, 0);
	assert_int_equal(w.v->arch.ldt_entries, 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(50), 4),
			 0); /* and die with it */
}

/* Other page tables may map something else at the LDT's address. */
static void ldt_follows_tables(void **state)
{
	(void)state;
	page(50)[3] = DATA3;
	page(60)[3] = CODE64;
	assert_int_equal(world_protect(&w, 50, PTE_RO), 0);
	assert_int_equal(world_protect(&w, 60, PTE_RO), 0);
	/* a second set of tables: the same but for page 50 */
	for (unsigned i = 0; i < 4; i++)
		memcpy(page(100 + i), page(w.l4 + i), PAGE_SIZE);
	page(100)[272] = w.p2m[101] << PAGE_SHIFT | PTE_WR;
	page(101)[0] = w.p2m[102] << PAGE_SHIFT | PTE_WR;
	page(102)[0] = w.p2m[103] << PAGE_SHIFT | PTE_WR;
	page(103)[50] = w.p2m[60] << PAGE_SHIFT | PTE_RO;
	for (unsigned i = 0; i < 4; i++) {
		page(103)[100 + i] = w.p2m[100 + i] << PAGE_SHIFT | PTE_RO;
		assert_int_equal(world_protect(&w, 100 + i, PTE_RO), 0);
	}
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(50), 4), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[100], 0), 0);
	assert_int_equal(w.v->arch.ldt_frames[0].n, w.p2m[60]);
	assert_int_equal(frame(50)->type_count, 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_NEW_BASEPTR, w.p2m[w.l4], 0), 0);
	assert_int_equal(w.v->arch.ldt_frames[0].n, w.p2m[50]);
}

static void other_ops(void **state)
{
	uint64_t *map = page(1);

	(void)state;
	memset(page(40), 0xaa, PAGE_SIZE);
	assert_int_equal(world_mmuext(&w, MMUEXT_COPY_PAGE, w.p2m[41], w.p2m[40]), 0);
	assert_memory_equal(page(41), page(40), PAGE_SIZE);
	assert_int_equal(world_mmuext(&w, MMUEXT_CLEAR_PAGE, w.p2m[41], 0), 0);
	assert_int_equal(page(41)[511], 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_COPY_PAGE, w.p2m[w.l1], w.p2m[40]), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_COPY_PAGE, w.p2m[40], 1), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_CLEAR_PAGE, w.p2m[w.l4], 0), -XEN_EINVAL);
	assert_int_equal(world_mmuext(&w, MMUEXT_COPY_PAGE, w.p2m[41], w.p2m[w.l1]), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_MARK_SUPER, 0, 0), -XEN_EOPNOTSUPP);
	assert_int_equal(world_mmuext(&w, MMUEXT_UNMARK_SUPER, 0, 0), -XEN_EOPNOTSUPP);
	assert_int_equal(world_mmuext(&w, 14, 0, 0), -XEN_ENOSYS);
	assert_int_equal(world_mmuext(&w, 99, 0, 0), -XEN_ENOSYS);
	testplat_clear();
	assert_int_equal(world_mmuext(&w, MMUEXT_FLUSH_CACHE, 0, 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), 0);
	*map = 3;
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_ALL, 0, 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_MULTI, 0, world_va(1)), 0);
	assert_int_equal(testplat_last(TP_TLB_FLUSH)->arg[1], PLAT_FLUSH_ALL);
	assert_int_equal(world_mmuext(&w, MMUEXT_INVLPG_LOCAL, world_va(5), 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_INVLPG_ALL, world_va(5), 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_INVLPG_MULTI, world_va(5), world_va(1)), 0);
	assert_int_equal(testplat_last(TP_TLB_FLUSH)->arg[2], world_va(5));
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 6);
	assert_int_equal(world_mmuext(&w, MMUEXT_INVLPG_LOCAL, M2P_VIRT, 0), 0); /* ignored */
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 6);
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_MULTI, 0, 0x1000), -XEN_EINVAL);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmuext_op, world_va(0), 1, 0, 44), -XEN_ESRCH);
	assert_int_equal(world_call(&w, __HYPERVISOR_mmuext_op, 0x1000, 1, 0, DOMID_SELF),
			 -XEN_EFAULT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(descriptors),	  TEST(gdt),	   TEST(update), TEST(ldt),
		TEST(ldt_follows_tables), TEST(other_ops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
