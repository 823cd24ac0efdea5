/* SPDX-License-Identifier: MIT */
/*
 * The iret hypercall to user mode with what the processor cannot load: its own IRET faults then, in ring 0, on the
 * shortest way to ring 3 there is. The kernel must hear of it (the failsafe callback, or the exception that IRET
 * raised) with the frame and the registers that it wanted, and everything goes on as before.
 */
#include "guest.h"

const char guest_topic[] = "badreturn";

#define DATA	    UINT64_C(0x00cff2000000ffff) /* DPL 3, writable, present */
#define CODE64	    UINT64_C(0x00affa000000ffff)
#define READ_ONLY   (UINT64_C(1) << 41)
#define NOT_PRESENT (UINT64_C(1) << 47)
#define LDT(n)	    ((n) << 3 | 7)

#define BASE_KERNEL UINT64_C(0x12345000)
#define BASE_USER   UINT64_C(0x23456000)

enum { L_DATA = 1, L_CODE, L_DATA_ABSENT, L_CODE_ABSENT, L_READ_ONLY, L_EMPTY, L_ENTRIES };

USER_CODE_BLOCK(u_answer, "mov $0x600d, %eax\n rdgsbase %rbx\n ud2");
USER_CODE_BLOCK(u_plain, "mov $0x600d, %eax\n ud2");

static uint64_t *ldt;
static bool fsgsbase;

static const struct frame good = {
	.r15 = 0x1515, .r14 = 0x1414, .r13 = 0x1313, .r12 = 0x1212, .rbp = 0xb9, .rbx = 0xb8, .r11 = 0x1111,
	.r10 = 0x1010, .r9 = 0x909, .r8 = 0x808, .rax = 0xa0a0, .rcx = 0xc0c0, .rdx = 0xd0d0, .rsi = 0x5151,
	.rdi = 0xd1d1, .rip = USER_CODE, .cs = FLAT_USER_CS, .rflags = RFLAGS_IF, .rsp = USER_STACK,
	.ss = FLAT_USER_SS,
};

static void use_ldt(void)
{
	ldt = page_alloc();
	ldt[L_DATA] = DATA;
	ldt[L_CODE] = CODE64;
	ldt[L_DATA_ABSENT] = DATA & ~NOT_PRESENT;
	ldt[L_CODE_ABSENT] = CODE64 & ~NOT_PRESENT;
	ldt[L_READ_ONLY] = DATA & ~READ_ONLY;
	protect(ldt, PTE_LEAF);
	if (mmuext(MMUEXT_SET_LDT, (uint64_t)ldt, L_ENTRIES))
		panic("SET_LDT is refused");
}

/* User mode still works, and nobody's GS has been swapped once too often. */
static void check_alive(const char *name)
{
	uint64_t base = 0;

	if (fsgsbase) {
		USER_RUN(u_answer, 0);
		__asm__ volatile("rdgsbase %0" : "=r"(base));
		check(user_exit.rax == 0x600d && user_exit.rbx == BASE_USER && base == BASE_KERNEL, name,
		      "rax 0x%lx, GS of user 0x%lx, of kernel 0x%lx", user_exit.rax, user_exit.rbx, base);
	} else {
		USER_RUN(u_plain, 0);
		check_eq(name, user_exit.rax, 0x600d);
	}
}

static bool registers_are(const struct frame *f)
{
	return !memcmp(&user_exit, f, offsetof(struct frame, vector));
}

/* Going there uses the frame up. */
static void enter(const struct frame *f)
{
	struct frame copy = *f;

	user_run_frame(&copy);
}

/* @selector: what an exception instead of the failsafe callback has as its error code. */
static void check_bad(const char *name, const struct frame *f, uint64_t selector)
{
	uint64_t v;

	enter(f);
	v = user_exit.vector;
	check(trap.count == 1 && (v == VEC_FAILSAFE ||
				  ((v == 11 || v == 12 || v == 13) && user_exit.error == (selector & 0xfffc))),
	      name, "%u traps, vector 0x%lx error 0x%lx", trap.count, v, user_exit.error);
	check((user_exit.cs & 0xffff) == f->cs && (user_exit.ss & 0xffff) == f->ss && user_exit.rip == f->rip &&
		      user_exit.rsp == f->rsp && registers_are(f),
	      "... with the frame and the registers that were wanted", "%lx:%lx %lx:%lx rax 0x%lx rcx 0x%lx rsi 0x%lx",
	      user_exit.cs, user_exit.rip, user_exit.ss, user_exit.rsp, user_exit.rax, user_exit.rcx, user_exit.rsi);
	check_eq("... events are on", vcpu_info(0)->evtchn_upcall_mask, 0);
	check_alive("... and user mode works");
}

static void bad_cs(const char *name, uint64_t selector)
{
	struct frame f = good;

	f.cs = selector;
	check_bad(name, &f, selector);
}

static void bad_ss(const char *name, uint64_t selector)
{
	struct frame f = good;

	f.ss = selector;
	check_bad(name, &f, selector);
}

/* What is in no table of ours, but may be in the hypervisor's: nobody of ring 3 loads that. */
static void test_others(void)
{
	static const uint16_t theirs[] = { 0xe008, 0xe010, 0xe018, 0xe020, 0xe038, 0xe040, 0xe048, 0xe050 };
	struct frame f = good;
	unsigned bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(theirs); i++) {
		f.cs = theirs[i] | 3;
		f.ss = FLAT_USER_SS;
		/* A 32-bit code segment for ring 3 may be there; it ends at our ud2, or where its code is none. */
		enter(&f);
		bad += trap.count != 1;
		f.cs = FLAT_USER_CS;
		f.ss = theirs[i] | 3;
		enter(&f);
		bad += trap.count != 1;
	}
	check(!bad, "none of the hypervisor's descriptors does harm", "%u times", bad);
	check_alive("... and user mode works");
}

static void test_many(void)
{
	struct frame f = good;
	unsigned bad = 0;

	for (unsigned i = 0; i < 2000; i++) {
		f.ss = i % 3 ? LDT(L_DATA_ABSENT) : LDT(L_EMPTY);
		f.cs = i % 5 ? FLAT_USER_CS : LDT(L_CODE_ABSENT);
		f.r15 = i;
		enter(&f);
		bad += trap.count != 1 || !registers_are(&f);
	}
	check(!bad, "two thousand of them", "%u wrong", bad);
	check_alive("... and user mode works");
}

void guest_main(void)
{
	struct frame f = good;

	upcalls_on();
	user_init();
	use_ldt();
	USER_RUN(u_answer, 0);
	fsgsbase = user_exit.rax == 0x600d && user_exit.rip == USER_CODE + (uint64_t)(u_answer_end - u_answer) - 2;
	HC2(set_segment_base, SEGBASE_GS_KERNEL, BASE_KERNEL);
	HC2(set_segment_base, SEGBASE_GS_USER, BASE_USER);
	check_alive("user mode works");

	f.cs = LDT(L_CODE);
	f.ss = LDT(L_DATA);
	USER_RUN(u_plain, 0);
	enter(&f);
	check(trap.count == 1 && user_exit.vector == 6 && user_exit.rax == 0x600d, "segments of the LDT are fine",
	      "vector %lu error 0x%lx", user_exit.vector, user_exit.error);

	bad_cs("a code selector of nothing", 0x4003);
	bad_cs("a null code selector", 3);
	bad_cs("a data segment as code", FLAT_USER_SS);
	bad_cs("code that is not present", LDT(L_CODE_ABSENT));
	bad_cs("code beyond the LDT's end", LDT(L_ENTRIES));
	bad_ss("a stack selector of nothing", 0x4003);
	bad_ss("a null stack selector", 3);
	bad_ss("a code segment as stack", FLAT_USER_CS);
	bad_ss("a stack that is not present", LDT(L_DATA_ABSENT));
	bad_ss("a stack that cannot be written", LDT(L_READ_ONLY));
	bad_ss("an empty descriptor as stack", LDT(L_EMPTY));
	bad_ss("a stack beyond the LDT's end", LDT(L_ENTRIES));
	test_others();
	test_many();
}
