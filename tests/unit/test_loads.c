/* SPDX-License-Identifier: MIT */
/*
 * test_loads.c - instructions that read memory into registers: their arithmetic against the processor, what is
 * refused, and the machine-to-physical table at its traditional place, which is read with them where the host hides it
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "archfake.h"
#include "native.h"

struct form {
	const char *name;
	uint8_t size; /* bytes of memory; 0: the operand's */
	uint8_t code[5];
	uint32_t flags;
};

/* Each with its memory operand at (%rdi), some with the register named by REX. */
static const struct form forms[] = {
	{ "mov", 0, { 0x8b, 0x07 }, ARITH },
	{ "mov byte", 1, { 0x8a, 0x07 }, ARITH },
	{ "mov high byte", 1, { 0x8a, 0x27 }, ARITH },
	{ "movzx byte", 1, { 0x0f, 0xb6, 0x0f }, ARITH },
	{ "movzx word", 2, { 0x0f, 0xb7, 0x17 }, ARITH },
	{ "movsx byte", 1, { 0x0f, 0xbe, 0x1f }, ARITH },
	{ "movsx word", 2, { 0x0f, 0xbf, 0x37 }, ARITH },
	{ "add", 0, { 0x03, 0x07 }, ARITH },
	{ "or", 0, { 0x0b, 0x17 }, ARITH & ~AF },
	{ "adc", 0, { 0x13, 0x07 }, ARITH },
	{ "sbb", 0, { 0x1b, 0x0f }, ARITH },
	{ "and", 0, { 0x23, 0x07 }, ARITH & ~AF },
	{ "sub byte", 1, { 0x2a, 0x2f }, ARITH },
	{ "xor", 0, { 0x33, 0x07 }, ARITH & ~AF },
	{ "cmp register", 0, { 0x3b, 0x07 }, ARITH },
	{ "cmp memory", 0, { 0x39, 0x17 }, ARITH },
	{ "cmp memory byte", 1, { 0x38, 0x17 }, ARITH },
	{ "cmp imm8", 0, { 0x83, 0x3f, 0xfb }, ARITH },
	{ "cmp imm8 byte", 1, { 0x80, 0x3f, 0x7f }, ARITH },
	{ "test", 0, { 0x85, 0x07 }, ARITH & ~AF },
	{ "test byte", 1, { 0x84, 0x37 }, ARITH & ~AF },
	{ "test imm8", 1, { 0xf6, 0x07, 0x81 }, ARITH & ~AF },
	{ "cmovb", 0, { 0x0f, 0x42, 0x07 }, ARITH },
	{ "cmovnz", 0, { 0x0f, 0x45, 0x0f }, ARITH },
	{ "cmovg", 0, { 0x0f, 0x4f, 0x17 }, ARITH },
};

/* The form with a prefix: 1 operands of two bytes, 2 of eight, 3 register r8 to r15 and eight. */
static size_t encode(const struct form *f, unsigned prefix, uint8_t *p)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0x48, 0x4c };
	size_t n = prefix ? 1 : 0, len = 2;

	p[0] = prefixes[prefix];
	if (f->code[0] == 0x0f || f->code[0] == 0x83 || f->code[0] == 0x80 || f->code[0] == 0xf6)
		len = 3;
	memcpy(p + n, f->code, len);
	p[n + len] = 0xc3;
	return n + len;
}

static void one(const struct form *f, unsigned prefix, uint8_t *code, uint64_t *memory)
{
	struct insn_regs regs = { .rflags = 0x202 | (random() & ARITH) }, native;
	uint64_t va, value = 0;
	unsigned int size;
	struct insn insn;
	size_t n = encode(f, prefix, code);

	for (unsigned i = 0; i < 14; i++)
		regs.gpr[i] = random_operand();
	regs.gpr[GPR_RDI] = (uintptr_t)memory;
	*memory = random() & 1 ? random_operand() : regs.gpr[random() % 4];
	native = regs;
	assert_int_equal(insn_decode(&insn, code, n, INSN_MODE_64), INSN_OK);
	assert_true(insn_plan_load(&insn, &regs, &va, &size));
	assert_int_equal(va, (uintptr_t)memory);
	assert_int_equal(size, f->size ? f->size : insn.op_size);
	memcpy(&value, memory, size);
	assert_true(insn_execute_load(&insn, &regs, value));
	assert_int_equal(regs.rip, n);
	run_native(code, &native);
	if (memcmp(regs.gpr, native.gpr, sizeof(regs.gpr)) || ((regs.rflags ^ native.rflags) & f->flags))
		fail_msg("%s with prefix %u differs from the processor, flags %lx %lx", f->name, prefix,
			 (unsigned long)regs.rflags, (unsigned long)native.rflags);
}

static void test_native(void **state)
{
	static uint64_t memory;
	uint8_t *code = native_code_page();

	srandom(4);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		for (unsigned prefix = 0; prefix < 4; prefix++) {
			/* ah and its like cannot be named with REX; r14 and r15 are the caller's. */
			if (!strcmp(forms[i].name, "mov high byte") && prefix > 1)
				continue;
			if (prefix == 3 && (forms[i].code[0] == 0x0f ? forms[i].code[2] : forms[i].code[1]) >= 0x30)
				continue;
			for (unsigned j = 0; j < 500; j++)
				one(&forms[i], prefix, code, &memory);
		}
	munmap(code, 4096);
}

/* By offset in the instruction, sign extension of four bytes, 32-bit code; and what is not a load. */
static void test_plan(void **state)
{
	static const uint8_t moffs[] = { 0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 0 }, movsxd[] = { 0x48, 0x63, 0x0f };
	static const uint8_t others[][4] = {
		{ 0x89, 0x07 }, { 0x01, 0x07 }, { 0x8b, 0xc7 }, { 0x83, 0x07, 1 }, { 0x8f, 0x07 }, { 0xff, 0x37 }, { 0xa5 },
		{ 0x0f, 0x6f, 0x07 }, { 0xf6, 0x17 }, { 0x87, 0x07 }, { 0x8d, 0x07 }, { 0x0f, 0xb1, 0x07 },
	};
	struct insn_regs regs = { .gpr = { [GPR_RDI] = 0x1000 } }, before = regs;
	unsigned int size;
	struct insn insn;
	uint64_t va;

	assert_int_equal(insn_decode(&insn, moffs, sizeof(moffs), INSN_MODE_64), INSN_OK);
	assert_true(insn_plan_load(&insn, &regs, &va, &size));
	assert_int_equal(va, UINT64_C(0x0007060504030201));
	assert_int_equal(size, 8);
	assert_true(insn_execute_load(&insn, &regs, 42));
	assert_int_equal(regs.gpr[GPR_RAX], 42);

	assert_int_equal(insn_decode(&insn, movsxd, sizeof(movsxd), INSN_MODE_64), INSN_OK);
	assert_true(insn_plan_load(&insn, &regs, &va, &size));
	assert_int_equal(size, 4);
	assert_true(insn_execute_load(&insn, &regs, UINT64_C(0x1180000000)));
	assert_true(regs.gpr[GPR_RCX] == UINT64_C(0xffffffff80000000));
	assert_int_equal(insn_decode(&insn, movsxd + 1, 2, INSN_MODE_32), INSN_OK); /* arpl */
	assert_false(insn_plan_load(&insn, &regs, &va, &size));

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		regs = before;
		if (insn_decode(&insn, others[i], 4, INSN_MODE_64) != INSN_OK)
			fail_msg("%02x %02x does not decode", others[i][0], others[i][1]);
		if (insn_plan_load(&insn, &regs, &va, &size) || insn_execute_load(&insn, &regs, 1) ||
		    memcmp(&regs, &before, sizeof(regs)))
			fail_msg("%02x %02x taken for a load", others[i][0], others[i][1]);
	}
}

static void load_from(uint64_t va, uint32_t error)
{
	static const uint8_t load[] = { 0x48, 0x8b, 0x00 }; /* mov (%rax),%rax */

	memcpy(fake_mem(KERNEL_CODE), load, sizeof(load));
	fake.v.gate.regs.rip = KERNEL_CODE;
	fake.v.gate.regs.rax = va;
	fake_trap(X86_PF, error, va);
}

/* The fake table answers every offset below a page with the offset. */
static void test_m2p(void **state)
{
	struct cpu_user_regs *regs = &fake.v.gate.regs;
	const uint32_t error = PFEC_USER;

	fake_handler(X86_PF, KERNEL_CODE + 0x80, 0, false);
	tp.info.slot256_visible = false;
	load_from(RESERVED_VIRT_START + 0x638, error);
	assert_int_equal(regs->rax, 0x638);
	assert_int_equal(regs->rip, KERNEL_CODE + 3);
	/* A host may have something of its own there. */
	load_from(RESERVED_VIRT_START, error | PFEC_PRESENT | PFEC_RSVD);
	assert_int_equal(regs->rax, 0);
	assert_int_equal(fake.v.stats.emulated[EMUL_M2P], 2);

	/* Behind the table; a write; another slot; user mode; and where the guest sees the table itself. */
	load_from(RESERVED_VIRT_START + PAGE_SIZE - 4, error);
	assert_int_equal(regs->rip, KERNEL_CODE + 0x80);
	load_from(RESERVED_VIRT_START, error | PFEC_WRITE);
	assert_int_equal(regs->rip, KERNEL_CODE + 0x80);
	load_from(M2P_VIRT, error);
	assert_int_equal(regs->rip, KERNEL_CODE + 0x80);
	tp.info.slot256_visible = true;
	load_from(RESERVED_VIRT_START, error);
	assert_int_equal(regs->rip, KERNEL_CODE + 0x80);
	tp.info.slot256_visible = false;
	fake_user();
	fake_trap(X86_PF, error, RESERVED_VIRT_START);
	assert_int_equal(regs->rip, KERNEL_CODE + 0x80);
	assert_int_equal(fake.v.stats.emulated[EMUL_M2P], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_plan),
		cmocka_unit_test_setup_teardown(test_m2p, fake_setup, fake_teardown),
	};

	return cmocka_run_group_tests_name("loads", tests, NULL, NULL);
}
