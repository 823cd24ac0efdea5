/* SPDX-License-Identifier: MIT */
/* memory_op: the balloon, exchange, and what a guest may ask about machine memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"
#include <xen/memory.h>

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_machine(4096);
	world_make(&w, 1, 300, 1400);
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

static long memory_op(unsigned cmd, uint64_t arg)
{
	return world_call(&w, __HYPERVISOR_memory_op, cmd, arg, 0, 0);
}

static struct xen_memory_reservation *reservation(unsigned n, unsigned order)
{
	struct xen_memory_reservation *r = world_ptr(&w, 0);

	memset(r, 0, sizeof(*r));
	r->extent_start.p = (void *)world_va(1);
	r->nr_extents = n;
	r->extent_order = order;
	r->domid = DOMID_SELF;
	return r;
}

static uint64_t *list(void)
{
	return world_ptr(&w, 1);
}

static void balloon(void **state)
{
	uint64_t first = w.p2m[100];

	(void)state;
	reservation(50, 0);
	for (unsigned i = 0; i < 50; i++) {
		list()[i] = w.p2m[100 + i];
		*(uint64_t *)world_ptr(&w, 100 + i) = 0x5ec2e7;
	}
	assert_int_equal(world_protect(&w, 100, 0), 0);
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 50);
	/* One is free; those still mapped stay until the mapping goes. */
	assert_int_equal(w.d->mm.tot_pages, 299);
	assert_int_equal(frame_at(first)->kind, FK_FREE);
	assert_int_equal(m2p_get(MFN(first)), INVALID_M2P_ENTRY);
	for (unsigned i = 1; i < 50; i++)
		assert_int_equal(world_protect(&w, 100 + i, 0), 0);
	assert_int_equal(w.d->mm.tot_pages, 250);
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 0); /* not twice */
	/* and back */
	for (unsigned i = 0; i < 50; i++)
		list()[i] = 100 + i;
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 50);
	assert_int_equal(w.d->mm.tot_pages, 300);
	for (unsigned i = 0; i < 50; i++) {
		w.p2m[100 + i] = list()[i];
		assert_int_equal(m2p_get(MFN(list()[i])), 100 + i);
		assert_int_equal(*(uint64_t *)world_ptr(&w, 100 + i), 0);
		assert_int_equal(world_protect(&w, 100 + i, PTE_WR), 0);
	}
}

/* A frame that was mapped and given back without a flush: nobody gets it before the TLBs forget it.
 */
static void stale(void **state)
{
	(void)state;
	assert_int_equal(world_protect(&w, 100, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_ALL, 0, 0), 0);
	assert_int_equal(world_va_mapping(&w, world_va(100), 0, 0), 0);
	reservation(1, 0);
	list()[0] = w.p2m[100];
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 1);
	testplat_clear();
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 1);
	assert_int_equal(list()[0], w.p2m[100]);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 1);
}

static void limits(void **state)
{
	struct world other;
	struct xen_memory_reservation *r = reservation(1, 0);

	(void)state;
	w.d->mm.max_pages = 303;
	reservation(8, 0);
	for (unsigned i = 0; i < 8; i++)
		list()[i] = 1000 + i;
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)),
			 3); /* as far as it goes */
	assert_int_equal(list()[3], 1003);
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), 0);
	w.d->mm.max_pages = 1400;
	/* order, domain, flags, lists that are nowhere */
	reservation(1, 10);
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), 0);
	r = reservation(1, 0);
	r->domid = 77;
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), -XEN_ESRCH);
	r->domid = DOMID_IO;
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), -XEN_EPERM);
	r = reservation(1, 0);
	r->extent_start.p = (void *)UINT64_C(0x1000);
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 0);
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), 0);
	assert_int_equal(w.d->mm.tot_pages, 303);
	r->extent_start.p = NULL;
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)),
			 1); /* frames nobody is told of */
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 0);
	assert_int_equal(memory_op(XENMEM_increase_reservation, 0x1000), 0);
	reservation(1, 0)->mem_flags = XENMEMF_address_bits(13);
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), 0);
	reservation(1, 0)->nr_extents = ~UINT64_C(0);
	assert_int_equal(memory_op(XENMEM_increase_reservation, world_va(0)), 0);
	/* frames that are not to be given back */
	world_make(&other, 2, 50, 50);
	reservation(1, 0);
	list()[0] = other.p2m[10];
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 0);
	world_destroy(&other);
	list()[0] = w.d->mm.shared_info_mfn.n;
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 0);
	list()[0] = 1;
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 0);
	list()[0] = ~UINT64_C(0);
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 0);
	/* a page table may be given back; its references keep it what it is */
	list()[0] = w.p2m[w.l1];
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 1);
	assert_int_equal(frame_at(w.p2m[w.l1])->type, FT_L1);
	assert_int_equal(world_protect(&w, 50, PTE_RO), 0);
}

static void contiguous(void **state)
{
	(void)state;
	reservation(2, 4);
	list()[0] = 2000;
	list()[1] = 3000;
	tp.tsc_step = 10000000;
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(list()[i] & 15, 0);
		for (unsigned k = 0; k < 16; k++)
			assert_int_equal(m2p_get(MFN(list()[i] + k)), 2000 + i * 1000 + k);
	}
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 2);
	assert_int_equal(w.d->mm.tot_pages, 300);
}

static void continued(void **state)
{
	(void)state;
	reservation(300, 0);
	for (unsigned i = 0; i < 300; i++)
		list()[i] = 5000 + i;
	tp.tsc_step = 10000000;
	assert_int_equal(memory_op(XENMEM_populate_physmap, world_va(0)), 300);
	assert_true(world_restarts > 100);
	assert_int_equal(memory_op(XENMEM_decrease_reservation, world_va(0)), 300);
	assert_int_equal(w.d->mm.tot_pages, 300);
}

static struct xen_memory_exchange *exchange(unsigned n_in, unsigned in_order, unsigned n_out,
					    unsigned out_order)
{
	struct xen_memory_exchange *x = world_ptr(&w, 0);

	memset(x, 0, sizeof(*x));
	x->in.extent_start.p = (void *)world_va(1);
	x->in.nr_extents = n_in;
	x->in.extent_order = in_order;
	x->in.domid = DOMID_SELF;
	x->out = x->in;
	x->out.extent_start.p = (void *)world_va(2);
	x->out.nr_extents = n_out;
	x->out.extent_order = out_order;
	return x;
}

static void exchanges(void **state)
{
	struct xen_memory_exchange *x = exchange(16, 0, 2, 3);
	uint64_t *out = world_ptr(&w, 2);

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		list()[i] = w.p2m[100 + i];
		assert_int_equal(world_protect(&w, 100 + i, 0), 0);
	}
	out[0] = 100;
	out[1] = 108;
	tp.tsc_step = 10000000;
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), 0);
	assert_int_equal(x->nr_exchanged, 16);
	assert_int_equal(w.d->mm.tot_pages, 300);
	for (unsigned i = 0; i < 16; i++) {
		w.p2m[100 + i] = out[i / 8] + i % 8;
		assert_int_equal(m2p_get(MFN(w.p2m[100 + i])), 100 + i);
		assert_int_equal(world_protect(&w, 100 + i, PTE_WR), 0);
	}
	/* one of them is mapped: nothing changes */
	exchange(8, 0, 1, 3);
	list()[0] = w.p2m[120];
	for (unsigned i = 1; i < 8; i++)
		list()[i] = w.p2m[100 + i];
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	assert_int_equal(x->nr_exchanged, 0);
	assert_int_equal(world_protect(&w, 120, PTE_RO), 0);
	exchange(1, 0, 1, 0);
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	/* the same frame twice; sizes that differ; lists in nowhere; orders; owners */
	assert_int_equal(world_protect(&w, 120, 0), 0);
	exchange(2, 0, 1, 1);
	list()[1] = list()[0];
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	exchange(3, 0, 1, 1);
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	exchange(1, 0, 1, 0)->out.extent_start.p = (void *)UINT64_C(0x5000);
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EFAULT);
	exchange(1, 10, 1, 10);
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EPERM);
	exchange(1, 0, 1, 0)->out.domid = 9;
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	exchange(1, 0, 1, 0)->nr_exchanged = 2;
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_EINVAL);
	/* no memory that low */
	exchange(1, 0, 1, 0)->out.mem_flags = XENMEMF_address_bits(13);
	assert_int_equal(memory_op(XENMEM_exchange, world_va(0)), -XEN_ENOMEM);
	assert_int_equal(w.d->mm.tot_pages, 300);
	assert_int_equal(frame_at(w.p2m[120])->count, 1);
}

struct e820 {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));

static void questions(void **state)
{
	struct xen_machphys_mapping *mapping = world_ptr(&w, 0);
	struct xen_memory_map *map = world_ptr(&w, 0);
	struct xen_machphys_mfn_list *mfns = world_ptr(&w, 0);
	struct e820 *e = world_ptr(&w, 1);
	domid_t *domid = world_ptr(&w, 0);

	(void)state;
	*domid = DOMID_SELF;
	assert_int_equal(memory_op(XENMEM_current_reservation, world_va(0)), 300);
	assert_int_equal(memory_op(XENMEM_maximum_reservation, world_va(0)), 1400);
	w.d->mm.shared_info->arch.max_pfn = 300;
	assert_int_equal(memory_op(XENMEM_maximum_gpfn, world_va(0)), 299);
	*domid = 3;
	assert_int_equal(memory_op(XENMEM_current_reservation, world_va(0)), -XEN_ESRCH);
	assert_int_equal(memory_op(XENMEM_current_reservation, 0x1000), -XEN_EFAULT);
	assert_int_equal(memory_op(XENMEM_maximum_ram_page, 0), 4096);
	assert_int_equal(memory_op(XENMEM_machphys_mapping, world_va(0)), 0);
	assert_int_equal(mapping->v_start, M2P_VIRT);
	assert_int_equal(mapping->v_end, M2P_VIRT + 4096 * 8);
	assert_int_equal(mapping->max_mfn, 4095);
	mfns->max_extents = 5;
	mfns->extent_start.p = (void *)world_va(1);
	assert_int_equal(memory_op(XENMEM_machphys_mfn_list, world_va(0)), 0);
	assert_int_equal(mfns->nr_extents, 1);
	assert_int_equal(list()[0], virt_to_mfn(m2p_page(0)).n);
	map->nr_entries = 4;
	map->buffer.p = (void *)world_va(1);
	assert_int_equal(memory_op(XENMEM_memory_map, world_va(0)), 0);
	assert_int_equal(map->nr_entries, 1);
	assert_int_equal(e->addr, 0);
	assert_int_equal(e->size, 1400 * PAGE_SIZE);
	assert_int_equal(e->type, 1);
	map->nr_entries = 0;
	assert_int_equal(memory_op(XENMEM_memory_map, world_va(0)), -XEN_EINVAL);
	assert_int_equal(memory_op(XENMEM_machine_memory_map, world_va(0)), -XEN_EPERM);
	assert_int_equal(memory_op(XENMEM_set_memory_map, world_va(0)), -XEN_EPERM);
	assert_int_equal(memory_op(XENMEM_add_to_physmap, world_va(0)), -XEN_EACCES);
	assert_int_equal(memory_op(XENMEM_remove_from_physmap, world_va(0)), -XEN_EACCES);
	assert_int_equal(memory_op(63, world_va(0)), -XEN_ENOSYS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(balloon),	 TEST(stale),	  TEST(limits),	   TEST(contiguous),
		TEST(continued), TEST(exchanges), TEST(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
