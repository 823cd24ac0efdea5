/* SPDX-License-Identifier: MIT */
/*
 * test_decode.c - the instruction decoder and the read-modify-write arithmetic
 *
 * Known encodings are spelled out in tables; truncation and totality are checked as properties over
 * every one of them and over random bytes; and the arithmetic is compared, instruction by
 * instruction with random operands, with the processor the test runs on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <xenopus/decode.h>
#include "native.h"

#define M64 INSN_MODE_64
#define M32 INSN_MODE_32
#define M16 INSN_MODE_16

struct known {
	enum insn_mode mode;
	const char *hex;
	enum insn_status status;
	unsigned int len;
	enum insn_map map;
	unsigned int opcode, op_size;
};

#define OK(mode, hex, len, map, opcode, size) \
	{ mode, hex, INSN_OK, len, INSN_MAP_##map, opcode, size }
#define BAD(mode, hex) { mode, hex, INSN_UD, 0, INSN_MAP_ONE, 0, 0 }

static const struct known known[] = {
	/* what guest kernels trap on */
	OK(M64, "fa", 1, ONE, 0xfa, 4),
	OK(M64, "f4", 1, ONE, 0xf4, 4),
	OK(M64, "e642", 2, ONE, 0xe6, 1),
	OK(M64, "66ed", 2, ONE, 0xed, 2),
	OK(M64, "ed", 1, ONE, 0xed, 4),
	OK(M64, "f36c", 2, ONE, 0x6c, 1),
	OK(M64, "f3666f", 3, ONE, 0x6f, 2),
	OK(M64, "cd80", 2, ONE, 0xcd, 4),
	OK(M64, "cc", 1, ONE, 0xcc, 4),
	OK(M64, "48cf", 2, ONE, 0xcf, 8),
	OK(M64, "0f22c0", 3, 0F, 0x22, 8),
	OK(M64, "440f20c0", 4, 0F, 0x20, 8),
	OK(M64, "0f2200", 3, 0F, 0x22, 8), /* mod is ignored */
	OK(M64, "0f23f8", 3, 0F, 0x23, 8),
	OK(M32, "0f22d8", 3, 0F, 0x22, 4),
	OK(M64, "0f30", 2, 0F, 0x30, 4),
	OK(M64, "0fa2", 2, 0F, 0xa2, 4),
	OK(M64, "0f0b78656e0fa2", 7, 0F, 0xa2, 4),
	OK(M64, "0f0b78656f", 2, 0F, 0x0b, 4),
	OK(M64, "0f01f8", 3, 0F, 0x01, 4),
	OK(M64, "0f01f9", 3, 0F, 0x01, 4),
	OK(M64, "0f01d0", 3, 0F, 0x01, 4),
	OK(M64, "0f011425f0ffffff", 8, 0F, 0x01, 4),
	OK(M64, "0f013b", 3, 0F, 0x01, 4),
	OK(M64, "0f06", 2, 0F, 0x06, 4),
	OK(M64, "0f09", 2, 0F, 0x09, 4),
	OK(M64, "480f07", 3, 0F, 0x07, 8),
	OK(M64, "0faa", 2, 0F, 0xaa, 4),
	/* what they write page tables with */
	OK(M64, "48890f", 3, ONE, 0x89, 8),
	OK(M64, "488937", 3, ONE, 0x89, 8),
	OK(M64, "48c70700000000", 7, ONE, 0xc7, 8),
	OK(M64, "f0480fb117", 5, 0F, 0xb1, 8),
	OK(M64, "f0480fb31f", 5, 0F, 0xb3, 8),
	OK(M64, "f0800ffd", 4, ONE, 0x80, 1),
	OK(M64, "f00fba6f0801", 6, 0F, 0xba, 4),
	OK(M64, "488703", 3, ONE, 0x87, 8),
	OK(M64, "f0480fc70f", 5, 0F, 0xc7, 8),
	OK(M64, "f3a4", 2, ONE, 0xa4, 1),
	OK(M64, "f348ab", 3, ONE, 0xab, 8),
	/* sizes of immediates and displacements */
	OK(M64, "48b8efcdab8967452301", 10, ONE, 0xb8, 8),
	OK(M64, "66b83412", 4, ONE, 0xb8, 2),
	OK(M64, "6681003412", 5, ONE, 0x81, 2),
	OK(M64, "48a18877665544332211", 10, ONE, 0xa1, 8),
	OK(M64, "67a144332211", 6, ONE, 0xa1, 4),
	OK(M32, "67a12211", 4, ONE, 0xa1, 4),
	OK(M64, "66e811223344", 6, ONE, 0xe8, 8),
	OK(M32, "66e81122", 4, ONE, 0xe8, 2),
	OK(M32, "ea112233445566", 7, ONE, 0xea, 4),
	OK(M64, "c8341205", 4, ONE, 0xc8, 8),
	OK(M64, "f60001", 3, ONE, 0xf6, 1),
	OK(M64, "f618", 2, ONE, 0xf6, 1),
	OK(M64, "f70001020304", 6, ONE, 0xf7, 4),
	OK(M64, "50", 1, ONE, 0x50, 8),
	OK(M64, "6650", 2, ONE, 0x50, 2),
	OK(M64, "ff30", 2, ONE, 0xff, 8),
	OK(M64, "ff10", 2, ONE, 0xff, 8),
	OK(M64, "48ff08", 3, ONE, 0xff, 8),
	OK(M32, "40", 1, ONE, 0x40, 4),
	OK(M16, "40", 1, ONE, 0x40, 2),
	OK(M16, "66b878563412", 6, ONE, 0xb8, 4),
	OK(M16, "8b4604", 3, ONE, 0x8b, 2),
	OK(M64, "6690", 2, ONE, 0x90, 2),
	OK(M64, "662e0f1f840000000000", 10, 0F, 0x1f, 2),
	OK(M64, "4026488903", 5, ONE, 0x89, 8), /* the first REX is dead */
	OK(M64, "482e8903", 4, ONE, 0x89, 4),	/* and so is this one */
	/* vector encodings: lengths */
	OK(M64, "c5f877", 3, VECTOR, 0x77, 4),
	OK(M64, "c5fd6f07", 4, VECTOR, 0x6f, 4),
	OK(M64, "c4e37d18c001", 6, VECTOR, 0x18, 4),
	OK(M64, "c4e27d1807", 5, VECTOR, 0x18, 4),
	OK(M64, "62f17c4810440001", 8, VECTOR, 0x10, 4),
	OK(M64, "8fe878c0c001", 6, VECTOR, 0xc0, 4),
	OK(M32, "c5f877", 3, VECTOR, 0x77, 4),
	OK(M32, "c507", 2, ONE, 0xc5, 4),
	OK(M32, "6207", 2, ONE, 0x62, 4),
	OK(M64, "8f00", 2, ONE, 0x8f, 8),
	OK(M64, "660f3a0fc108", 6, 0F3A, 0x0f, 2),
	OK(M64, "f20f38f0c1", 5, 0F38, 0xf0, 4),
	OK(M64, "0f0fc19e", 4, 0F, 0x0f, 4),
	/* undefined */
	BAD(M64, "06"), BAD(M64, "60"), BAD(M64, "ce"), BAD(M64, "9a"), BAD(M64, "82c001"),
	BAD(M64, "0f04"), BAD(M64, "0f24c0"), BAD(M64, "0f20c8"), BAD(M64, "440f23c0"),
	BAD(M64, "f0fa"), BAD(M64, "f048890f"), BAD(M64, "f0480fb1d7"), BAD(M64, "f08038fd"),
	BAD(M64, "8fe0"), BAD(M64, "c6c801"), BAD(M64, "fed0"), BAD(M64, "fff8"),
	BAD(M64, "8dc0"), BAD(M64, "0fba0001"), BAD(M64, "0fc7c8"), BAD(M64, "0fc700"),
	BAD(M64, "66c5f877"), BAD(M64, "48c5f877"), BAD(M64, "8cf0"), BAD(M64, "8ec8"),
};

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2, i;

	for (i = 0; i < n; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		out[i] = strtoul(two, NULL, 16);
	}
	return n;
}

/* Decode from an exactly sized allocation, so that the sanitizer sees a byte too many. */
static enum insn_status decode_exact(struct insn *insn, const uint8_t *bytes, size_t n,
				     enum insn_mode mode)
{
	uint8_t *copy = malloc(n ? n : 1);
	enum insn_status status;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	status = insn_decode(insn, copy, n, mode);
	free(copy);
	return status;
}

static enum insn_status decode_hex(struct insn *insn, const char *hex, enum insn_mode mode)
{
	uint8_t bytes[INSN_FETCH_MAX];

	return decode_exact(insn, bytes, unhex(hex, bytes), mode);
}

static void test_known(void **state)
{
	struct insn insn;
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct known *k = &known[i];

		if (decode_hex(&insn, k->hex, k->mode) != k->status)
			fail_msg("%s: wrong status", k->hex);
		if (k->status != INSN_OK)
			continue;
		if (insn.len != k->len || insn.map != k->map || insn.opcode != k->opcode ||
		    insn.op_size != k->op_size)
			fail_msg("%s: len %u map %u opcode %02x size %u", k->hex, insn.len,
				 insn.map, insn.opcode, insn.op_size);
	}
}

/* Any shorter piece of a good instruction asks for exactly the byte after it. */
static void test_truncated(void **state)
{
	uint8_t bytes[INSN_FETCH_MAX];
	struct insn insn;
	size_t i, n;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status != INSN_OK)
			continue;
		unhex(known[i].hex, bytes);
		for (n = 0; n < known[i].len; n++) {
			enum insn_status s = decode_exact(&insn, bytes, n, known[i].mode);

			if (known[i].len == 7 && bytes[2] == 'x' && n >= 2 && n < 5) {
				/* Half a forced-emulation prefix is just ud2. */
				assert_int_equal(s, INSN_OK);
				assert_int_equal(insn.opcode, 0x0b);
				continue;
			}
			if (s != INSN_MORE || insn.len != n)
				fail_msg("%s cut to %zu: status %d len %u", known[i].hex, n, s,
					 insn.len);
		}
	}
}

static void test_length_limit(void **state)
{
	uint8_t bytes[INSN_FETCH_MAX];
	struct insn insn;

	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	assert_int_equal(insn_decode(&insn, bytes, sizeof(bytes), M64), INSN_OK);
	assert_int_equal(insn.len, 15);
	assert_int_equal(insn_decode(&insn, bytes, 14, M64), INSN_MORE);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	assert_int_equal(insn_decode(&insn, bytes, sizeof(bytes), M64), INSN_LONG);
	assert_int_equal(insn_decode(&insn, bytes, 15, M64), INSN_LONG);
	/* The forced-emulation prefix does not count. */
	memcpy(bytes, "\x0f\x0bxen", 5);
	memset(bytes + 5, 0x66, 13);
	memcpy(bytes + 18, "\x0f\xa2", 2);
	assert_int_equal(insn_decode(&insn, bytes, 20, M64), INSN_OK);
	assert_int_equal(insn.len, 20);
	assert_true(insn.forced);
}

static void test_operands(void **state)
{
	struct insn_regs regs = { .rip = 0x1000, .seg_base = { [SEG_FS] = 0x500000,
							       [SEG_SS] = 0x100, [SEG_DS] = 0x10 } };
	struct insn insn;
	unsigned int i;

	for (i = 0; i < 16; i++)
		regs.gpr[i] = 0xffff888000000000ull + i * 0x1000;

	/* mov %rax, 0x12(%r13,%r12,8) */
	assert_int_equal(decode_hex(&insn, "4b8944e512", M64), INSN_OK);
	assert_int_equal(insn.base, GPR_R13);
	assert_int_equal(insn.index, GPR_R12);
	assert_int_equal(insn.scale, 8);
	assert_int_equal(insn.seg, SEG_DS);
	assert_int_equal(insn_offset(&insn, &regs), regs.gpr[13] + 8 * regs.gpr[12] + 0x12);
	/* mov %eax, %fs:-8 */
	assert_int_equal(decode_hex(&insn, "64890425f8ffffff", M64), INSN_OK);
	assert_int_equal(insn.base, GPR_NONE);
	assert_int_equal(insn.seg, SEG_FS);
	assert_int_equal(insn_linear(&insn, &regs, insn.seg, insn_offset(&insn, &regs)), 0x4ffff8);
	/* movl $1, 0x100(%rip): counted from the end, immediate included */
	assert_int_equal(decode_hex(&insn, "c7050001000001000000", M64), INSN_OK);
	assert_int_equal(insn.base, GPR_RIP);
	assert_int_equal(insn_offset(&insn, &regs), 0x1000 + 10 + 0x100);
	/* the same bytes in compatibility mode: absolute, with the segment's base, 32 bits */
	assert_int_equal(decode_hex(&insn, "c705000100ff01000000", M32), INSN_OK);
	assert_int_equal(insn.base, GPR_NONE);
	assert_int_equal(insn_linear(&insn, &regs, insn.seg, insn_offset(&insn, &regs)),
			 0xff000110u);
	/* mov %eax, (%esp) in 32 bits goes through ss; a ds prefix overrides */
	assert_int_equal(decode_hex(&insn, "890424", M32), INSN_OK);
	assert_int_equal(insn.seg, SEG_SS);
	assert_int_equal(decode_hex(&insn, "3e890424", M32), INSN_OK);
	assert_int_equal(insn.seg, SEG_DS);
	/* 64-bit code ignores es, cs, ss, ds prefixes, also after fs */
	assert_int_equal(decode_hex(&insn, "642e8907", M64), INSN_OK);
	assert_int_equal(insn.seg, SEG_FS);
	/* 67: 32-bit address arithmetic */
	assert_int_equal(decode_hex(&insn, "678907", M64), INSN_OK);
	assert_int_equal(insn_offset(&insn, &regs), 0x7000);
	/* 16-bit forms: mov %ax, 0x10(%bp,%di); mov %ax, 0x1234 */
	assert_int_equal(decode_hex(&insn, "894310", M16), INSN_OK);
	assert_int_equal(insn.seg, SEG_SS);
	assert_int_equal(insn_offset(&insn, &regs), 0x5000 + 0x7000 + 0x10);
	assert_int_equal(decode_hex(&insn, "89063412", M16), INSN_OK);
	assert_int_equal(insn_offset(&insn, &regs), 0x1234);
	/* moffs: 64 bits of address */
	assert_int_equal(decode_hex(&insn, "48a38877665544332211", M64), INSN_OK);
	assert_true(insn.is_mem);
	assert_true(insn_offset(&insn, &regs) == 0x1122334455667788ull);
	/* immediates are sign extended */
	assert_int_equal(decode_hex(&insn, "4883c8ff", M64), INSN_OK);
	assert_true(insn.imm == -1 && !insn.is_mem);
	/* far pointer */
	assert_int_equal(decode_hex(&insn, "ea112233445566", M32), INSN_OK);
	assert_int_equal(insn.imm, 0x44332211);
	assert_int_equal(insn.imm2, 0x6655);
	/* registers: ah without REX, spl with; 32-bit writes clear the top */
	assert_int_equal(decode_hex(&insn, "8827", M64), INSN_OK);
	regs.gpr[GPR_RAX] = 0x1234;
	assert_int_equal(insn_read_gpr(&insn, &regs, insn.reg, 1), 0x12);
	insn_write_gpr(&insn, &regs, insn.reg, 1, 0xab);
	assert_int_equal(regs.gpr[GPR_RAX], 0xab34);
	assert_int_equal(decode_hex(&insn, "408827", M64), INSN_OK);
	assert_int_equal(insn_read_gpr(&insn, &regs, insn.reg, 1), regs.gpr[GPR_RSP] & 0xff);
	insn_write_gpr(&insn, &regs, GPR_R9, 4, 0xffffffffffull);
	assert_true(regs.gpr[GPR_R9] == 0xffffffffu);
}

/* The decoder is total: any bytes, any mode, and never a byte beyond the given. */
static void test_random_bytes(void **state)
{
	uint8_t bytes[INSN_FETCH_MAX];
	static const enum insn_mode modes[3] = { M16, M32, M64 };
	struct insn insn, again;
	unsigned int i, j;
	size_t n;

	srandom(1);
	for (i = 0; i < 300000; i++) {
		enum insn_mode mode = modes[i % 3];
		enum insn_status s;

		n = (unsigned long)random() % (INSN_FETCH_MAX + 1);
		for (j = 0; j < n; j++)
			bytes[j] = random() >> 7;
		if (n > 2 && i % 5 == 0)
			bytes[0] = 0x0f;
		s = decode_exact(&insn, bytes, n, mode);
		assert_true(insn.len <= n);
		if (s == INSN_MORE)
			assert_int_equal(insn.len, n);
		if (s != INSN_OK)
			continue;
		assert_true(insn.len >= 1 && insn.len <= INSN_MAX_LEN);
		/* The answer depends on the instruction's own bytes alone. */
		assert_int_equal(decode_exact(&again, bytes, insn.len, mode), INSN_OK);
		assert_memory_equal(&insn, &again, sizeof(insn));
	}
}

/* ---- arithmetic, against the processor ---- */

#if defined(__x86_64__)
/* One family of encodings: what is random in it, and which flags the manual defines. */
struct family {
	const char *name;
	uint8_t map0f;	    /* 0f before the opcode */
	uint8_t op[16];	    /* opcodes to choose from */
	uint8_t nr_op;
	int8_t group;	    /* -1: a register; 8: any below nr_groups */
	uint8_t nr_groups, first_group;
	uint8_t imm;	    /* 1: one byte; 2: of the operand size */
	bool bit_string;
	uint32_t flags;
};

static const struct family families[] = {
	{ "mov", 0, { 0x88, 0x89 }, 2, -1, 0, 0, 0, false, ARITH },
	{ "mov imm8", 0, { 0xc6 }, 1, 0, 0, 0, 1, false, ARITH },
	{ "mov imm", 0, { 0xc7 }, 1, 0, 0, 0, 2, false, ARITH },
	{ "xchg", 0, { 0x86, 0x87 }, 2, -1, 0, 0, 0, false, ARITH },
	{ "alu", 0, { 0x00, 0x01, 0x10, 0x11, 0x18, 0x19, 0x28, 0x29, 0x38, 0x39 }, 10, -1, 0, 0, 0,
	  false, ARITH },
	{ "logic", 0, { 0x08, 0x09, 0x20, 0x21, 0x30, 0x31 }, 6, -1, 0, 0, 0, false, ARITH & ~AF },
	{ "alu imm8", 0, { 0x80, 0x83 }, 2, 8, 8, 0, 1, false, ARITH & ~AF },
	{ "alu imm", 0, { 0x81 }, 1, 8, 8, 0, 2, false, ARITH & ~AF },
	{ "not", 0, { 0xf6, 0xf7 }, 2, 2, 0, 0, 0, false, ARITH },
	{ "neg", 0, { 0xf6, 0xf7 }, 2, 3, 0, 0, 0, false, ARITH },
	{ "inc dec", 0, { 0xfe, 0xff }, 2, 8, 2, 0, 0, false, ARITH },
	{ "cmpxchg", 1, { 0xb0, 0xb1 }, 2, -1, 0, 0, 0, false, ARITH },
	{ "xadd", 1, { 0xc0, 0xc1 }, 2, -1, 0, 0, 0, false, ARITH },
	{ "cmpxchg2", 1, { 0xc7 }, 1, 1, 0, 0, 0, false, ARITH },
	{ "bt imm", 1, { 0xba }, 1, 8, 4, 4, 1, false, CF | ZF },
	{ "bt reg", 1, { 0xab, 0xb3, 0xbb }, 3, -1, 0, 0, 0, true, CF | ZF },
	{ "movnti", 1, { 0xc3 }, 1, -1, 0, 0, 0, false, ARITH },
	{ "setcc", 1, { 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c,
			0x9d, 0x9e, 0x9f }, 16, 0, 0, 0, 0, false, ARITH },
};

#define AREA 512

/* Encode a random member of @f with its operand at disp8(%rdi); returns the length. */
static size_t encode(const struct family *f, uint8_t *p)
{
	uint8_t *start = p, op = f->op[random() % f->nr_op], rex = 0, reg;
	bool byte = !(op & 1) && f->op[f->nr_op - 1] != 0xba, wide = random() & 1;
	bool word = !byte && !wide && (random() & 1);
	unsigned int imm, i;

	if (!strncmp(f->name, "bt", 2) || !strncmp(f->name, "setcc", 5) || f->op[0] == 0xc3 ||
	    f->op[0] == 0xc7)
		byte = !strncmp(f->name, "setcc", 5);
	if (f->op[0] == 0xc3 || (f->op[0] == 0xc7 && f->map0f))
		word = false;
	do
		reg = random() % 14;
	while (reg == 4 && !byte);
	if (f->group >= 0)
		reg = f->group == 8 ? f->first_group + random() % f->nr_groups : f->group;
	if (byte && f->group < 0 && reg == 4 && !strcmp(f->name, "xchg"))
		reg = 0;
	if (f->group < 0 && (reg & 8))
		rex |= 0x44;
	if (wide && !byte)
		rex |= 0x48;
	if (word)
		*p++ = 0x66;
	if (f->op[0] != 0xc3 && strcmp(f->name, "setcc") && strncmp(f->name, "mov", 3) &&
	    op != 0x38 && op != 0x39 && !(f->group == 8 && f->nr_groups == 8 && reg == 7) &&
	    !(op == 0xba && reg == 4) && (random() & 1))
		*p++ = 0xf0;
	if (rex)
		*p++ = rex;
	if (f->map0f)
		*p++ = 0x0f;
	*p++ = op;
	*p++ = 0x47 | (reg & 7) << 3;
	*p++ = 0; /* disp8: the operand's alignment is rdi's */
	imm = f->imm == 1 ? 1 : f->imm == 2 ? (word ? 2 : 4) : 0;
	for (i = 0; i < imm; i++)
		*p++ = random_operand();
	*p = 0xc3;
	return p - start;
}

static void random_regs(struct insn_regs *regs, uint8_t *area)
{
	unsigned int i;

	memset(regs, 0, sizeof(*regs));
	for (i = 0; i < 16; i++)
		regs->gpr[i] = random_operand();
	regs->gpr[GPR_RDI] = (uintptr_t)area + AREA / 2;
	regs->rflags = 0x202 | (random() & ARITH);
	for (i = 0; i < AREA; i += 8) {
		uint64_t v = random_operand();

		memcpy(area + i, &v, 8);
	}
}

/* One step of the instruction on a copy of memory, as a caller in the core would do it. */
static void step_model(const struct insn *insn, struct insn_regs *regs, uint8_t *area,
		       uint8_t *copy, const char *name)
{
	struct insn_access access;
	struct insn_result result;
	uint64_t old[2] = { 0, 0 }, src = 0;

	if (!insn_plan_rmw(insn, regs, &access))
		fail_msg("%s refused", name);
	if (!access.skip) {
		assert_true(access.dst >= (uintptr_t)area &&
			    access.dst + access.size <= (uintptr_t)area + AREA);
		if (access.reads_dst)
			memcpy(old, copy + (access.dst - (uintptr_t)area), access.size);
		if (access.has_src)
			memcpy(&src, copy + (access.src - (uintptr_t)area), access.size);
	}
	assert_true(insn_execute_rmw(insn, regs, old, src, &result));
	if (result.write)
		memcpy(copy + (access.dst - (uintptr_t)area), result.value, access.size);
}

static void compare(const char *name, const uint8_t *code, const struct insn_regs *model,
		    const struct insn_regs *native, uint32_t flags, const uint8_t *copy,
		    const uint8_t *area)
{
	if (memcmp(model->gpr, native->gpr, sizeof(model->gpr)) || memcmp(copy, area, AREA) ||
	    ((model->rflags ^ native->rflags) & flags))
		fail_msg("%s (%02x %02x %02x %02x %02x): differs from the processor, flags %lx %lx",
			 name, code[0], code[1], code[2], code[3], code[4],
			 (unsigned long)model->rflags, (unsigned long)native->rflags);
}

static void test_rmw_native(void **state)
{
	static uint8_t area[AREA] __attribute__((aligned(64))), copy[AREA];
	struct insn_regs regs, native;
	uint8_t *code = native_code_page();
	struct insn insn;
	size_t i, j, n;

	srandom(2);
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const struct family *f = &families[i];

		for (j = 0; j < 4000; j++) {
			n = encode(f, code);
			random_regs(&regs, area);
			if (insn_decode(&insn, code, n, M64) != INSN_OK || insn.len != n)
				fail_msg("%s: %02x %02x %02x %02x does not decode", f->name,
					 code[0], code[1], code[2], code[3]);
			if (f->bit_string) { /* stay inside the area, and let 16 bits count too */
				if (insn.reg != GPR_RDI)
					regs.gpr[insn.reg] = (uint64_t)(random() % 2048 - 1024);
				else
					continue;
			}
			if (insn.op_size == 8 && insn_is(&insn, INSN_MAP_0F, 0xc7))
				memcpy(area + AREA / 2 + 8, &regs.gpr[GPR_RDX], random() % 9);
			if (random() & 1) /* let compares succeed now and then */
				memcpy(area + AREA / 2, &regs.gpr[GPR_RAX], 8);
			memcpy(copy, area, AREA);
			native = regs;
			step_model(&insn, &regs, area, copy, f->name);
			assert_int_equal(regs.rip, n);
			run_native(code, &native);
			compare(f->name, code, &regs, &native, f->flags, copy, area);
		}
	}
	munmap(code, 4096);
}

static void test_string_native(void **state)
{
	static uint8_t area[AREA] __attribute__((aligned(64))), copy[AREA];
	static const char *const forms[] = { "a4", "66a5", "a5", "48a5", "aa", "66ab", "ab", "48ab",
					     "f3a4", "f348a5", "f3aa", "f348ab", "f366ab", "f3a5" };
	struct insn_regs regs, native;
	uint8_t *code = native_code_page();
	unsigned int i, j, steps;
	struct insn insn;
	size_t n;

	srandom(3);
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		n = unhex(forms[i], code);
		code[n] = 0xc3;
		assert_int_equal(insn_decode(&insn, code, n, M64), INSN_OK);
		for (j = 0; j < 500; j++) {
			random_regs(&regs, area);
			regs.gpr[GPR_RSI] = (uintptr_t)area + AREA / 2 + random() % 16;
			regs.gpr[GPR_RCX] = random() % 16;
			if (random() & 1)
				regs.rflags |= DF;
			memcpy(copy, area, AREA);
			native = regs;
			for (steps = 0; regs.rip == 0; steps++) {
				assert_true(steps <= 16);
				step_model(&insn, &regs, area, copy, forms[i]);
			}
			run_native(code, &native);
			compare(forms[i], code, &regs, &native, ARITH | DF, copy, area);
		}
	}
	munmap(code, 4096);
}
#endif

/* Bit -1 of a string is in the word before; and only integer stores are taken. */
static void test_rmw_plan(void **state)
{
	static const char *const refused[] = {
		"0f1107", "660fe707", "c5fd7f07", "ff37", "8f07", "d127", "e800000000",
		"488b07", "480307", "4889c7", "0faee7", "0fae07", "0fc737", "a6", "0fb607", "f60701",
		"660fc307",
	};
	struct insn_regs regs = { .gpr = { [GPR_RDI] = 0x1000, [GPR_RAX] = ~0ull } };
	struct insn_access access;
	struct insn_result result;
	const uint64_t old[2] = { 0, 0 };
	struct insn insn;
	size_t i;

	assert_int_equal(decode_hex(&insn, "480fab07", M64), INSN_OK);
	assert_true(insn_plan_rmw(&insn, &regs, &access));
	assert_int_equal(access.dst, 0xff8);
	assert_int_equal(access.size, 8);
	assert_true(insn_execute_rmw(&insn, &regs, old, 0, &result));
	assert_true(result.value[0] == 1ull << 63);

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (decode_hex(&insn, refused[i], M64) != INSN_OK)
			continue;
		if (insn_plan_rmw(&insn, &regs, &access) ||
		    insn_execute_rmw(&insn, &regs, old, 0, &result))
			fail_msg("%s accepted", refused[i]);
	}
}

/* Compatibility mode: addresses and the instruction pointer stay within 32 bits. */
static void test_rmw_compat(void **state)
{
	struct insn_regs regs = { .rip = 0xfffffffe, .gpr = { [GPR_RDI] = 0xfffffffffull } };
	const uint64_t old[2] = { 5, 0 };
	struct insn_access access;
	struct insn_result result;
	struct insn insn;

	regs.seg_base[SEG_ES] = 0x20;
	assert_int_equal(decode_hex(&insn, "f3ab", M32), INSN_OK);
	regs.gpr[GPR_RCX] = 0x100000001ull;
	assert_true(insn_plan_rmw(&insn, &regs, &access));
	assert_int_equal(access.dst, 0x1f);
	assert_true(insn_execute_rmw(&insn, &regs, old, 0, &result));
	assert_int_equal(regs.rip, 0);
	assert_int_equal(regs.gpr[GPR_RDI], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_length_limit),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_rmw_plan),
		cmocka_unit_test(test_rmw_compat),
#if defined(__x86_64__)
		cmocka_unit_test(test_rmw_native),
		cmocka_unit_test(test_string_native),
#endif
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
