/* SPDX-License-Identifier: MIT */
/*
 * Garbage: random arguments for every memory hypercall, and random stores into page tables.
 * Whatever the core answers, it must not stop, and the audit must find nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

#define PAGES	96u
#define FIRST	8u
#define MACHINE 512u

static struct world w;
static uint64_t rng;

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

static uint64_t frame_number(void)
{
	switch (below(20)) {
	case 0:
		return below(MACHINE);
	case 1:
		return MACHINE + below(1000);
	default:
		return w.p2m[FIRST + below(w.pages - FIRST)];
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

/* Garbage for every argument of every operation: nothing but an error or success, and the audit
 * stays clean. */
static void garbage(void **state)
{
	static const unsigned calls[] = {
		__HYPERVISOR_mmu_update,	__HYPERVISOR_mmuext_op,
		__HYPERVISOR_update_va_mapping, __HYPERVISOR_update_va_mapping_otherdomain,
		__HYPERVISOR_update_descriptor, __HYPERVISOR_set_gdt,
		__HYPERVISOR_memory_op};
	uint64_t good[WORLD_ARGS];

	(void)state;
	rng = 42;
	world_machine(MACHINE);
	world_make(&w, 1, PAGES, PAGES + 8);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t a[4], *args = world_ptr(&w, 0);
		unsigned nr = calls[below(ARRAY_SIZE(calls))];

		for (unsigned k = 0; k < 64; k++) {
			switch (below(6)) {
			case 0:
				args[k] = rnd();
				break;
			case 1:
				args[k] = below(32);
				break;
			case 2:
				args[k] = frame_number();
				break;
			case 3:
				args[k] = random_entry();
				break;
			case 4:
				args[k] = world_va(below(4)) + below(512);
				break;
			default:
				args[k] = frame_number() << PAGE_SHIFT | below(512) * 8;
				break;
			}
		}
		for (unsigned k = 0; k < 4; k++)
			a[k] = below(3) ? args[k] : below(8);
		if (below(4))
			a[0] = nr == __HYPERVISOR_memory_op ? below(30) : world_va(0);
		if (below(2))
			a[1] = nr == __HYPERVISOR_memory_op ? world_va(0) : below(6);
		if (below(2))
			a[3] = DOMID_SELF;
		tp.tsc_step = below(2) ? 10 : 10000000;
		good[0] = (uint64_t)world_call(&w, nr, a[0], a[1], a[2], a[3]);
		assert_true((int64_t)good[0] >= -4095);
		if (i % 256 == 0)
			world_audit();
		/* Once in a while the way to the arguments is broken for good: start again. */
		if (guest_copy_from(w.v, good, world_va(0), 8) || i % 2048 == 2047) {
			tp.tsc_step = 10;
			world_destroy(&w);
			world_make(&w, 1, PAGES, PAGES + 8);
		}
		for (unsigned pfn = 0; pfn < w.pages;
		     pfn++) /* what it gave away is not its own to try */
			if (frame_at(w.p2m[pfn])->owner != w.d)
				w.p2m[pfn] = w.p2m[below(w.pages)];
	}
	tp.tsc_step = 10;
	world_destroy(&w);
	world_end();
}

/* Stores of the guest kernel into its tables: random values by all kinds of instructions. */
static void stores(void **state)
{
	static const uint8_t insns[][8] = {
		{0x48, 0x89, 0x07},		   /* mov %rax,(%rdi) */
		{0x48, 0x87, 0x07},		   /* xchg */
		{0xf0, 0x48, 0x0f, 0xb1, 0x0f},	   /* lock cmpxchg %rcx,(%rdi) */
		{0xf0, 0x48, 0x0f, 0xba, 0x37, 1}, /* lock btr $1,(%rdi) */
		{0xf0, 0x48, 0x0f, 0xba, 0x2f, 1}, /* lock bts */
		{0x48, 0x09, 0x07},		   /* or */
		{0x48, 0x21, 0x07},		   /* and */
		{0x89, 0x07},			   /* mov %eax,(%rdi) */
		{0x66, 0x89, 0x07},		   /* mov %ax,(%rdi) */
		{0x88, 0x07},			   /* mov %al,(%rdi) */
		{0xf0, 0x48, 0x0f, 0xc7, 0x0f},	   /* lock cmpxchg16b */
		{0x48, 0xa5},			   /* movsq */
		{0xf3, 0x48, 0xab},		   /* rep stosq */
	};
	struct cpu_user_regs *r;
	unsigned done = 0;

	(void)state;
	rng = 4711;
	world_machine(MACHINE);
	world_make(&w, 1, PAGES, PAGES + 8);
	w.d->mm.vm_assist = UINT64_C(1) << VMASST_TYPE_writable_pagetables;
	r = &w.v->gate.regs;
	r->cs = FLAT_KERNEL_CS;
	r->rflags = 0x202;
	for (unsigned i = 0; i < 60000; i++) {
		unsigned table = w.table_first + below(w.pages - w.table_first);
		/* not those entries that the test itself stands on */
		uint64_t va = world_va(table) +
			      (table == w.l1 ? (FIRST + below(500)) * 8 : 8 + below(271 * 8));
		uint64_t *entries = world_ptr(&w, table);

		memcpy((uint8_t *)world_ptr(&w, 1), insns[below(ARRAY_SIZE(insns))], 8);
		if (below(8))
			va &= ~UINT64_C(7);
		r->rip = world_va(1);
		r->rdi = va;
		r->rsi = world_va(2) + below(500) * 8;
		r->rax = below(2) ? random_entry() : entries[(va & 4095) / 8];
		r->rbx = random_entry();
		r->rcx = below(2) ? random_entry() : below(3);
		r->rdx = below(2) ? random_entry() : entries[((va & 4095) / 8 + 1) & 511];
		*(uint64_t *)world_ptr(&w, 2) = random_entry();
		done += mm_ptwr_emulate(w.v, va, PFEC_PRESENT | PFEC_WRITE | PFEC_USER);
		if (i % 512 == 0)
			world_audit();
	}
	assert_true(done > 10000);
	world_destroy(&w);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage),
		cmocka_unit_test(stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
