/* SPDX-License-Identifier: MIT */
/*
 * Validations, by hypercall and by direct write, that stop and go on, are left behind or fail half-way, and the flushes that the core
 * owes when a frame becomes something else.
 */
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

/* Fill @n pages from @first with L1 tables under an L2 under an L3 under an L4, all not yet
 * validated. */
static unsigned build_big(unsigned l4pfn, unsigned first, unsigned n)
{
	uint64_t *l4 = world_ptr(&w, l4pfn), *l3 = world_ptr(&w, l4pfn + 1),
		 *l2 = world_ptr(&w, l4pfn + 2);

	l4[0] = world_entry(&w, l4pfn + 1, PTE_WR);
	l4[272] = world_entry(&w, w.l3, PTE_WR);
	l3[0] = world_entry(&w, l4pfn + 2, PTE_WR);
	for (unsigned i = 0; i < n; i++) {
		uint64_t *l1 = world_ptr(&w, first + i);

		l2[i] = world_entry(&w, first + i, PTE_WR);
		for (unsigned k = 0; k < 20; k++)
			l1[k] = world_entry(&w, 10 + k, PTE_WR);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(world_protect(&w, l4pfn + i, PTE_RO), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(world_protect(&w, first + i, PTE_RO), 0);
	return n;
}

static void preemption(void **state)
{
	uint64_t count = page(10)->count;
	unsigned n = build_big(80, 100, 50);

	(void)state;
	tp.tsc_step = 10000000; /* each look at the clock finds the time used up */
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[80], 0), 0);
	assert_true(world_restarts >= n / 2);
	assert_int_equal(page(10)->count, count + n);
	world_audit();
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[80], 0), 0);
	world_audit();
	/* The unpin is done, though tables below are still being given up; the next operation
	 * finishes that. */
	assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
	assert_true(world_restarts > 5);
	assert_int_equal(w.d->mm.nr_down, 0);
	assert_int_equal(page(10)->count, count);
	assert_int_equal(world_protect(&w, 100, PTE_WR), 0);
}

/* A table that was never pinned becomes a base: by parts, and what was there before is given up by parts, too. */
static void base_by_parts(void **state)
{
	uint64_t count = page(10)->count, old = w.v->gate.cr3_kernel;
	unsigned n = build_big(80, 100, 50), attempts = 0;
	int rc;

	(void)state;
	tp.tsc_step = 10000000;
	do {
		preemptible_begin(w.v);
		rc = mm_set_kernel_base(w.v, MFN(w.p2m[80]));
		preemptible_end();
		if (rc == -XEN_ERESTART)
			assert_int_equal(w.v->gate.cr3_kernel, old);
		attempts++;
	} while (rc == -XEN_ERESTART);
	assert_int_equal(rc, 0);
	assert_true(attempts >= n / 2);
	assert_int_equal(page(10)->count, count + n);
	world_audit();
	preemptible_begin(w.v);
	mm_drop_bases(w.v);
	preemptible_end();
	assert_true(w.d->mm.nr_down > 0);
	world_audit();
	tp.tsc_step = 10;
	assert_int_equal(mm_set_kernel_base(w.v, MFN(old >> PAGE_SHIFT)), 0);
	assert_int_equal(w.d->mm.nr_down, 0);
	assert_int_equal(page(10)->count, count);
}

/* One attempt to pin L4 @pfn, which is preempted as early as possible and not continued. */
static void start_pin(unsigned pfn)
{
	struct cpu_user_regs *regs = &w.v->gate.regs;
	struct mmuext_op *op = world_ptr(&w, 0);

	tp.tsc_step = 10000000;
	*op = (struct mmuext_op){.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = w.p2m[pfn]};
	regs->rax = __HYPERVISOR_mmuext_op;
	regs->rdi = world_va(0);
	regs->rsi = 1;
	regs->rdx = 0;
	regs->r10 = DOMID_SELF;
	hypercall_dispatch(w.v);
	tp.tsc_step = 10;
}

/* A validation that is not continued: by another type, by the same again, and never. */
static void abandoned(void **state)
{
	uint64_t count = page(10)->count;

	(void)state;
	build_big(80, 100, 50);
	for (unsigned round = 0; round < 3; round++) {
		start_pin(80);
		assert_true(page(82)->flags & FF_PARTIAL);
		world_audit();
		if (round == 0) {
			/* made writable: the partial work on it is undone */
			assert_int_equal(world_protect(&w, 82, PTE_WR), 0);
			assert_int_equal(world_protect(&w, 82, PTE_RO), 0);
			assert_int_equal(page(10)->count, count);
		} else if (round == 1) {
			assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[80], 0), 0);
			assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[80], 0), 0);
			assert_int_equal(page(10)->count, count);
		}
	}
	/* teardown destroys the domain with the third one still pending */
}

/*
 * The only use of a table is a partial one above it, and what is stored into the table asks for that one to be given up:
 * the table must outlive the store.
 */
static void table_of_partial_one(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		uint64_t ptr = table_ma(100, 3), new = world_entry(&w, 82, PTE_WR), count = page(13)->count;

		build_big(80, 100, 50);
		w.d->mm.vm_assist = UINT64_C(1) << VMASST_TYPE_writable_pagetables;
		start_pin(80);
		assert_true(page(82)->flags & FF_PARTIAL);
		assert_int_equal(page(100)->type_count, 1);
		if (how == 0) {
			assert_int_equal(world_mmu_update(&w, ptr, new), 0);
		} else {
			static const uint8_t mov[] = { 0x48, 0x89, 0x07 }; /* mov %rax,(%rdi) */
			struct cpu_user_regs *r = &w.v->gate.regs;

			memcpy(world_ptr(&w, 1), mov, sizeof(mov));
			r->cs = FLAT_KERNEL_CS;
			r->rip = world_va(1);
			r->rdi = world_va(100) + 3 * 8;
			r->rax = new;
			assert_true(mm_ptwr_emulate(w.v, r->rdi, PFEC_PRESENT | PFEC_WRITE | PFEC_USER));
		}
		assert_int_equal(page(13)->count, count);
		assert_int_equal(page(82)->type_count, 0);
		world_audit();
	}
}

/* One fault of the instruction at page 1, of which %rdi is the address: true when it is done. */
static bool direct_write(void)
{
	struct cpu_user_regs *r = &w.v->gate.regs;

	r->cs = FLAT_KERNEL_CS;
	r->rip = world_va(1);
	assert_true(mm_ptwr_emulate(w.v, r->rdi, PFEC_PRESENT | PFEC_WRITE | PFEC_USER));
	return r->rip != world_va(1);
}

/* How often it has to be begun. Until it is done nothing is to be seen of it. */
static unsigned begun(void)
{
	const uint64_t *l3 = world_ptr(&w, w.l3);
	uint64_t was[2] = { l3[100], l3[101] };
	struct cpu_user_regs regs = w.v->gate.regs;
	unsigned n = 1;

	for (; !direct_write(); n++) {
		regs.rip = w.v->gate.regs.rip;
		regs.cs = w.v->gate.regs.cs;
		assert_memory_equal(&regs, &w.v->gate.regs, sizeof(regs));
		assert_int_equal(l3[100], was[0]);
		assert_int_equal(l3[101], was[1]);
		world_audit();
		assert_true(n < 1000);
	}
	world_audit();
	return n;
}

/* A direct write can ask for as much as a hypercall, and stops as that does. */
static void direct_writes_stop(void **state)
{
	static const uint8_t mov[] = { 0x48, 0x89, 0x07 };		 /* mov %rax,(%rdi) */
	static const uint8_t cmpxchg16b[] = { 0xf0, 0x48, 0x0f, 0xc7, 0x0f }; /* lock cmpxchg16b (%rdi) */
	struct cpu_user_regs *r = &w.v->gate.regs;
	const uint64_t *l3 = world_ptr(&w, w.l3);
	uint64_t count = page(10)->count;
	unsigned n = build_big(80, 100, 50);

	(void)state;
	build_big(84, 160, 50);
	w.d->mm.vm_assist = UINT64_C(1) << VMASST_TYPE_writable_pagetables;
	tp.tsc_step = 10000000;
	memcpy(world_ptr(&w, 1), mov, sizeof(mov));
	r->rdi = world_va(w.l3) + 100 * 8;
	r->rax = world_entry(&w, 82, PTE_WR);
	assert_true(begun() >= n / 2);
	assert_int_equal(l3[100], world_entry(&w, 82, PTE_WR));
	assert_int_equal(page(10)->count, count + n);
	/* Away with it: done at once, and what is left of it is done by those that follow. */
	r->rax = 0;
	assert_int_equal(begun(), 1);
	assert_int_equal(w.d->mm.nr_down, 1);
	assert_true(begun() >= n / 4);
	assert_int_equal(w.d->mm.nr_down, 0);
	assert_int_equal(page(10)->count, count);
	/* Two at once: the second is refused, and both are well. */
	memcpy(world_ptr(&w, 1), cmpxchg16b, sizeof(cmpxchg16b));
	for (unsigned well = 0; well < 2; well++) {
		((uint64_t *)world_ptr(&w, 209))[511] = well ? 0 : PAGE_SIZE | PTE_WR; /* not ours to map */
		r->rdi = world_va(w.l3) + 100 * 8; /* hypercalls change it */
		r->rax = r->rdx = 0;
		r->rbx = world_entry(&w, 82, PTE_WR);
		r->rcx = world_entry(&w, 86, PTE_WR);
		if (well) {
			assert_true(begun() >= n);
			assert_int_equal(page(10)->count, count + 2 * n);
			continue;
		}
		r->cs = FLAT_KERNEL_CS;
		r->rip = world_va(1);
		while (mm_ptwr_emulate(w.v, r->rdi, PFEC_PRESENT | PFEC_WRITE | PFEC_USER))
			world_audit();
		assert_int_equal(r->rip, world_va(1));
		assert_int_equal(l3[100] | l3[101], 0);
		assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
		assert_int_equal(page(10)->count, count);
	}
	assert_int_equal(l3[100], world_entry(&w, 82, PTE_WR));
	assert_int_equal(l3[101], world_entry(&w, 86, PTE_WR));
}

/* A page that is still being given up as a table is wanted by a call that cannot be continued: it has to ask often. */
static void busy_while_given_up(void **state)
{
	unsigned n = build_big(80, 100, 50), asked = 0;
	uint64_t *list = world_ptr(&w, 1), count = page(10)->count;

	(void)state;
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[80], 0), 0);
	tp.tsc_step = 10000000;
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[80], 0), 0);
	assert_true(page(82)->flags & FF_PARTIAL);
	list[0] = w.p2m[82];
	while (world_call(&w, __HYPERVISOR_set_gdt, world_va(1), 512, 0, 0)) {
		assert_true(++asked < 1000);
		world_audit();
	}
	assert_true(asked >= n / 4);
	assert_int_equal(page(10)->count, count);
	assert_int_equal(page(82)->type, FT_SEGDESC);
}

/* The same when the processor misses it as a page of the LDT: the guest faults until it has it. */
static void ldt_page_while_given_up(void **state)
{
	unsigned n = build_big(80, 100, 50), faults = 0;
	uint64_t count = page(10)->count;

	(void)state;
	assert_int_equal(world_protect(&w, 82, 0), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_SET_LDT, world_va(82), 512), 0);
	assert_int_equal(world_protect(&w, 82, PTE_RO), 0);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[80], 0), 0);
	assert_false(mm_ldt_fault(w.v, 0)); /* a page table in use */
	assert_false(mm_ldt_fault(w.v, 1)); /* behind its end */
	tp.tsc_step = 10000000;
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[80], 0), 0);
	assert_true(page(82)->flags & FF_PARTIAL);
	while (!w.v->arch.ldt_frames[0].n) {
		assert_true(mm_ldt_fault(w.v, 0));
		assert_true(++faults < 1000);
		world_audit();
	}
	assert_true(faults >= n / 4);
	assert_int_equal(page(10)->count, count);
	assert_int_equal(page(82)->type, FT_SEGDESC);
}

static void failed_validation(void **state)
{
	uint64_t count = page(10)->count;

	(void)state;
	build_big(80, 100, 20);
	((uint64_t *)world_ptr(&w, 119))[511] =
		PAGE_SIZE | PTE_WR; /* direct store by the test: not ours to map */
	for (unsigned slow = 0; slow < 2; slow++) {
		tp.tsc_step = slow ? 10000000 : 10;
		assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L4_TABLE, w.p2m[80], 0), -XEN_EPERM);
		assert_int_equal(world_mmuext(&w, MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
		assert_int_equal(page(10)->count, count);
		assert_int_equal(page(80)->flags & (FF_PARTIAL | FF_BUSY | FF_PINNED), 0);
		assert_int_equal(tp.pt_level[w.p2m[100]], 0);
		world_audit();
	}
}

/* When a frame changes what it is, no stale translation may be left. */
static void flush_on_type_change(void **state)
{
	(void)state;
	/* writable, then a table, without a flush by the guest */
	assert_int_equal(world_va_mapping(&w, world_va(40), world_entry(&w, 40, PTE_RO), 0), 0);
	testplat_clear();
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, w.p2m[40], 0), 0);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 1);
	/* table, then writable */
	assert_int_equal(world_mmuext(&w, MMUEXT_UNPIN_TABLE, w.p2m[40], 0), 0);
	assert_int_equal(world_va_mapping(&w, world_va(40), world_entry(&w, 40, PTE_WR), 0), 0);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 2);
	/* the guest's own flush in between is enough */
	assert_int_equal(
		world_va_mapping(&w, world_va(40), world_entry(&w, 40, PTE_RO), UVMF_TLB_FLUSH | UVMF_ALL),
		0);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 3);
	assert_int_equal(world_mmuext(&w, MMUEXT_PIN_L1_TABLE, w.p2m[40], 0), 0);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 3);
}

/* A domain gives a frame back and takes one: CPUs it was not on are left alone. */
static void flush_of_own_cpus(void **state)
{
	struct xen_memory_reservation *r = world_ptr(&w, 1);
	uint64_t *list = world_ptr(&w, 2), mfn = w.p2m[50];
	const struct tp_record *flush;

	(void)state;
	tp.info.pcpus = 3;
	assert_int_equal(world_va_mapping(&w, world_va(50), 0, 0), 0);
	memset(r, 0, sizeof(*r));
	r->nr_extents = 1;
	r->domid = DOMID_SELF;
	r->extent_start.p = (void *)(uintptr_t)world_va(2);
	*list = mfn;
	testplat_clear();
	assert_int_equal(world_call(&w, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, world_va(1), 0, 0), 1);
	*list = 50;
	assert_int_equal(world_call(&w, __HYPERVISOR_memory_op, XENMEM_populate_physmap, world_va(1), 0, 0), 1);
	assert_int_equal(*list, mfn);
	flush = testplat_last(TP_TLB_FLUSH);
	assert_non_null(flush);
	assert_int_equal(flush->arg[0], 1);
	assert_int_equal(tp.calls[TP_TLB_FLUSH], 1);
	tp.info.pcpus = 1;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(preemption),
		TEST(base_by_parts),
		TEST(abandoned),
		TEST(table_of_partial_one),
		TEST(direct_writes_stop),
		TEST(busy_while_given_up), TEST(ldt_page_while_given_up),
		TEST(failed_validation),
		TEST(flush_on_type_change),
		TEST(flush_of_own_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
