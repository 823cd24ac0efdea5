/* SPDX-License-Identifier: MIT */
/* Guest memory by virtual address, and stores of the guest kernel into its read-only page tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

#define CODE 200u /* page the "guest" executes from */

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_machine(2048);
	world_make(&w, 1, 300, 320);
	w.d->mm.vm_assist = UINT64_C(1) << VMASST_TYPE_writable_pagetables;
	w.v->gate.regs.cs = FLAT_KERNEL_CS;
	w.v->gate.regs.rflags = 0x202;
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

static void copies(void **state)
{
	static char in[3 * 4096], out[sizeof(in)];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + i / 256);
	assert_int_equal(guest_copy_to(w.v, world_va(20) + 100, in, sizeof(in)), 0);
	assert_int_equal(guest_copy_from(w.v, out, world_va(20) + 100, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_memory_equal((char *)world_ptr(&w, 21), in + 4096 - 100, 4096);
	assert_int_equal(guest_copy_from(w.v, out, world_va(20), 0), 0);
	/* through a remapped page */
	assert_int_equal(world_va_mapping(&w, world_va(21), world_entry(&w, 30, PTE_WR), 0), 0);
	assert_int_equal(guest_copy_to(w.v, world_va(21), "frog", 4), 0);
	assert_memory_equal(world_ptr(&w, 30), "frog", 4);
}

static void faults(void **state)
{
	uint64_t va, data = 0;
	uint32_t error;
	char buf[64];

	(void)state;
	assert_int_equal(world_protect(&w, 21, 0), 0);
	assert_int_equal(guest_copy_from(w.v, buf, world_va(21) - 10, 30), 20);
	assert_int_equal(guest_copy_to_fault(w.v, world_va(21) - 10, buf, 30, &va, &error), 20);
	assert_int_equal(va, world_va(21));
	assert_int_equal(error, PFEC_USER | PFEC_WRITE);
	assert_int_equal(world_protect(&w, 21, PTE_RO | PTE_NX), 0);
	assert_int_equal(guest_copy_from(w.v, buf, world_va(21) - 10, 30), 0);
	assert_int_equal(guest_copy_to_fault(w.v, world_va(21), buf, 30, &va, &error), 30);
	assert_int_equal(error, PFEC_USER | PFEC_WRITE | PFEC_PRESENT);
	assert_int_equal(guest_fetch(w.v, buf, world_va(21) + 5, 3, &va, &error), 3);
	assert_int_equal(va, world_va(21) + 5);
	assert_int_equal(error, PFEC_USER | PFEC_FETCH | PFEC_PRESENT);
	assert_int_equal(guest_fetch(w.v, buf, world_va(20), 3, &va, &error), 0);
	/* nothing there, not canonical, the hypervisor's, the end of everything */
	assert_int_equal(guest_copy_from(w.v, &data, 0, 8), 8);
	assert_int_equal(guest_copy_from(w.v, &data, UINT64_C(0x8000) << 32, 8), 8);
	assert_int_equal(guest_copy_from(w.v, &data, M2P_VIRT, 8), 8);
	assert_int_equal(guest_copy_from(w.v, &data, UINT64_C(0xffff810000000000), 8), 8);
	assert_int_equal(guest_copy_from(w.v, &data, RESERVED_VIRT_START - 4, 8), 8);
	assert_int_equal(guest_copy_to(w.v, ~UINT64_C(0) - 3, &data, 8), 8);
	/* an upper level forbids what the leaf allows */
	*(struct mmu_update *)world_ptr(&w, 0) =
		(struct mmu_update){w.p2m[w.l4] << PAGE_SHIFT | 8 * 272, world_entry(&w, w.l3, PTE_RO)};
	assert_int_equal(world_call(&w, __HYPERVISOR_mmu_update, world_va(0), 1, 0, DOMID_SELF), 0);
	assert_int_equal(guest_copy_to(w.v, world_va(20), &data, 8), 8);
	assert_int_equal(guest_copy_from(w.v, &data, world_va(20), 8), 0);
}

static void user_mode(void **state)
{
	uint64_t data;

	(void)state;
	w.v->gate.flags = 0;
	assert_int_equal(guest_copy_from(w.v, &data, world_va(20), 8), 8); /* no user tables */
	assert_int_equal(mm_set_user_base(w.v, MFN(w.p2m[w.l4])), 0);
	assert_int_equal(guest_copy_from(w.v, &data, world_va(20), 8), 0);
	w.v->gate.flags = GATE_KERNEL_MODE;
}

static void dirty_bit(void **state)
{
	uint64_t *l1 = world_ptr(&w, w.l1), data = 1;

	(void)state;
	l1[20] &= ~(PTE_A | PTE_D);
	assert_int_equal(guest_copy_from(w.v, &data, world_va(20), 8), 0);
	assert_int_equal(l1[20] & PTE_D, 0);
	assert_int_equal(guest_copy_to(w.v, world_va(20), &data, 8), 0);
	assert_int_equal(l1[20] & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void walks(void **state)
{
	unsigned level;

	(void)state;
	assert_int_equal(mm_walk(w.v, world_va(20) + 123, &level), world_entry(&w, 20, PTE_WR));
	assert_int_equal(level, 1);
	assert_int_equal(mm_walk(w.v, 0x1000, &level), 0);
	assert_int_equal(level, 4);
	assert_int_equal(mm_walk(w.v, WORLD_BASE + (UINT64_C(1) << 30), &level), 0);
	assert_int_equal(level, 3);
	assert_int_equal(mm_walk(w.v, WORLD_BASE + (UINT64_C(1) << 21), &level), 0);
	assert_int_equal(level, 2);
}

/* ---- direct writes ---- */

static uint64_t *code(const void *bytes, size_t n)
{
	uint8_t *page = world_ptr(&w, CODE);

	memset(page, 0x90, 64);
	memcpy(page, bytes, n);
	w.v->gate.regs.rip = world_va(CODE);
	return (uint64_t *)world_ptr(&w, w.l1);
}
#define CODE_BYTES(...) code((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t pte_va(unsigned pfn)
{
	return world_va(w.l1) + pfn * 8;
}

static bool write_fault(uint64_t va)
{
	w.v->gate.regs.rip = world_va(CODE); /* hypercalls in between moved it */
	return mm_ptwr_emulate(w.v, va, PFEC_PRESENT | PFEC_WRITE | PFEC_USER);
}

static void direct_writes(void **state)
{
	struct cpu_user_regs *r = &w.v->gate.regs;
	uint64_t *l1;

	(void)state;
	r->rdi = pte_va(20);
	/* mov %rax,(%rdi) */
	l1 = CODE_BYTES(0x48, 0x89, 0x07);
	r->rax = world_entry(&w, 20, PTE_P | PTE_A);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_P | PTE_A | PTE_US));
	assert_int_equal(r->rip, world_va(CODE) + 3);
	assert_int_equal(frame_at(w.p2m[20])->type_count, 0);
	/* xchg %rax,(%rdi): the old entry comes back */
	CODE_BYTES(0x48, 0x87, 0x07);
	r->rax = 0;
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], 0);
	assert_int_equal(r->rax, world_entry(&w, 20, PTE_P | PTE_A | PTE_US));
	/* lock cmpxchg %rcx,(%rdi), failing and succeeding */
	CODE_BYTES(0xf0, 0x48, 0x0f, 0xb1, 0x0f);
	r->rax = 5;
	r->rcx = world_entry(&w, 20, PTE_WR);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(r->rax, 0);
	assert_int_equal(l1[20], 0);
	assert_int_equal(r->rflags & 0x40, 0);
	CODE_BYTES(0xf0, 0x48, 0x0f, 0xb1, 0x0f);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_WR));
	assert_int_equal(r->rflags & 0x40, 0x40);
	assert_int_equal(frame_at(w.p2m[20])->type_count, 1);
	/* lock btr $1,(%rdi): write-protect */
	CODE_BYTES(0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_RO));
	assert_int_equal(r->rflags & 1, 1);
	/* lock andb $0xdf,(%rdi): clear the accessed bit, one byte */
	CODE_BYTES(0xf0, 0x80, 0x27, 0xdf);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_RO & ~PTE_A));
	/* movl $0x80000000,4(%rdi): the upper half alone, no-execute */
	CODE_BYTES(0xc7, 0x47, 0x04, 0x00, 0x00, 0x00, 0x80);
	assert_true(write_fault(pte_va(20) + 4));
	assert_int_equal(l1[20], world_entry(&w, 20, PTE_RO & ~PTE_A) | PTE_NX);
	assert_int_equal(w.d->mm.ptwr_emulations, 7);
}

static void pair_writes(void **state)
{
	struct cpu_user_regs *r = &w.v->gate.regs;
	uint64_t *l1, old20, old21;

	(void)state;
	/* lock cmpxchg16b (%rdi) */
	l1 = CODE_BYTES(0xf0, 0x48, 0x0f, 0xc7, 0x0f);
	r->rdi = pte_va(20);
	r->rax = old20 = l1[20];
	r->rdx = old21 = l1[21];
	r->rbx = world_entry(&w, 22, PTE_RO);
	r->rcx = PAGE_SIZE | PTE_WR; /* not the guest's */
	assert_false(write_fault(pte_va(20)));
	assert_int_equal(l1[20], old20);
	assert_int_equal(l1[21], old21);
	r->rcx = world_entry(&w, 23, PTE_WR);
	assert_true(write_fault(pte_va(20)));
	assert_int_equal(l1[20], world_entry(&w, 22, PTE_RO));
	assert_int_equal(l1[21], world_entry(&w, 23, PTE_WR));
}

static void upper_level_writes(void **state)
{
	struct cpu_user_regs *r = &w.v->gate.regs;
	uint64_t *l2 = world_ptr(&w, w.l2), *l4 = world_ptr(&w, w.l4);

	(void)state;
	assert_int_equal(world_protect(&w, 40, PTE_RO), 0);
	CODE_BYTES(0x48, 0x89, 0x07);
	r->rdi = world_va(w.l2) + 9 * 8;
	r->rax = world_entry(&w, 40, PTE_WR);
	assert_true(write_fault(r->rdi));
	assert_int_equal(l2[9], world_entry(&w, 40, PTE_WR));
	assert_int_equal(frame_at(w.p2m[40])->type, FT_L1);
	CODE_BYTES(0x48, 0x89, 0x07);
	r->rax = 0;
	assert_true(write_fault(r->rdi));
	assert_int_equal(frame_at(w.p2m[40])->type_count, 0);
	/* the reserved slots stay what they are */
	CODE_BYTES(0x48, 0x89, 0x07);
	r->rdi = world_va(w.l4) + 257 * 8;
	assert_false(write_fault(r->rdi));
	assert_int_not_equal(l4[257], 0);
}

static void refused_writes(void **state)
{
	struct cpu_user_regs *r = &w.v->gate.regs;
	uint64_t *l1 = CODE_BYTES(0x48, 0x89, 0x07), before = l1[20];

	(void)state;
	r->rdi = pte_va(20);
	r->rax = world_entry(&w, w.l4, PTE_WR); /* a writable mapping of a page table */
	assert_false(write_fault(pte_va(20)));
	r->rax = world_entry(&w, 20, PTE_WR);
	/* another page than the one that faulted; not a page table; user mode; a read; no assist */
	r->rax = 0;
	assert_false(write_fault(world_va(w.l2)));
	r->rax = world_entry(&w, 20, PTE_WR);
	assert_int_equal(world_protect(&w, 60, PTE_RO), 0);
	r->rdi = world_va(60);
	assert_false(write_fault(world_va(60)));
	r->rdi = pte_va(20);
	w.v->gate.flags = 0;
	assert_int_equal(mm_set_user_base(w.v, MFN(w.p2m[w.l4])), 0);
	assert_false(write_fault(pte_va(20)));
	w.v->gate.flags = GATE_KERNEL_MODE;
	assert_false(mm_ptwr_emulate(w.v, pte_va(20), PFEC_PRESENT | PFEC_USER));
	assert_false(mm_ptwr_emulate(w.v, pte_va(20), PFEC_WRITE | PFEC_USER));
	w.d->mm.vm_assist = 0;
	assert_false(write_fault(pte_va(20)));
	w.d->mm.vm_assist = UINT64_C(1) << VMASST_TYPE_writable_pagetables;
	/* across two entries, and instructions that are not for this */
	r->rdi = pte_va(20) + 4;
	r->rax = 0;
	assert_false(write_fault(pte_va(20) + 4));
	r->rdi = pte_va(20);
	CODE_BYTES(0x0f, 0x11, 0x07); /* movups %xmm0,(%rdi) */
	assert_false(write_fault(pte_va(20)));
	CODE_BYTES(0x0f, 0x0b);
	assert_false(write_fault(pte_va(20)));
	assert_int_equal(l1[20], before);
	assert_int_equal(r->rip, world_va(CODE));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(copies),	      TEST(faults),
		TEST(user_mode),      TEST(dirty_bit),
		TEST(walks),	      TEST(direct_writes),
		TEST(pair_writes),    TEST(upper_level_writes),
		TEST(refused_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
