/* SPDX-License-Identifier: MIT */
/*
 * Exceptions in the guest kernel: what arrives at which handler, with which frame (xen-x86_64.h).
 * What comes from guest user mode is the topic "user".
 */
#include "guest.h"

const char guest_topic[] = "traps";

static const uint64_t noncanonical = UINT64_C(0x0123456789abcdef);

/* check_after() - as check_trap(), for traps that report the following instruction. */
static void check_after(const char *name, unsigned vector, unsigned len)
{
	const struct frame *f = &trap.frame;

	check(trap.count == 1 && f->vector == vector && f->error == 0 && f->rip == trap_from + len,
	      name, "%u traps, vector %lu error 0x%lx offset %ld, want vector %u offset %u",
	      trap.count, f->vector, f->error, (long)(f->rip - trap_from), vector, len);
}

static void test_faults(void)
{
	TRY("div %[zero]", : : [zero] "c"(0), "d"(0) : TRY_CLOBBERS);
	check_trap("division by zero is #DE", 0, 0);
	TRY("ud2", : : : TRY_CLOBBERS);
	check_trap("ud2 is #UD", 6, 0);
	TRY("int3", : : : TRY_CLOBBERS);
	check_after("int3 is #BP behind it", 3, 1);
	TRY(".byte 0xcd, 3", : : : TRY_CLOBBERS);
	check_after("int $3 is #BP behind it", 3, 2);
	TRY("hlt", : : : TRY_CLOBBERS);
	check_trap("hlt is #GP(0)", 13, 0);
	TRY("mov (%[p]), %%rax", : : [p] "r"(noncanonical) : TRY_CLOBBERS);
	check_trap("a non-canonical address is #GP(0)", 13, 0);
	if (emulated_cpu()) {
		skip("the same by rsp is #SS(0)", "an emulator raises #GP");
		skip("a jump to nowhere is #GP", "an emulator raises #PF");
		return;
	}
	TRY("mov (%%rsp, %[p]), %%rax",
	    :
	    : [p] "r"(noncanonical - (uint64_t)trap_stack_end)
	    : TRY_CLOBBERS);
	check_trap("the same by rsp is #SS(0)", 12, 0);
	TRY("jmp *%[p]", : : [p] "r"(noncanonical) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 13, "a jump to nowhere is #GP",
	      "%u traps, vector %lu", trap.count, trap.frame.vector);
}

static void test_page_faults(void)
{
	uint64_t hole = va_reserve(1);
	uint64_t *ro = page_alloc();

	probe_read(hole + 8, NULL);
	check_trap("reading a hole is #PF(0)", 14, 0);
	check_eq("... cr2 in vcpu_info", trap.cr2, hole + 8);
	probe_write(hole + 16, 1);
	check_trap("writing a hole is #PF(2)", 14, 2);
	check_eq("... its cr2", trap.cr2, hole + 16);
	check_eq("a page is made read-only", protect(ro, PTE_LEAF), 0);
	probe_write((uint64_t)ro + 24, 1);
	check_trap("writing it is #PF(3)", 14, 3);
	check_eq("... and its cr2", trap.cr2, (uint64_t)ro + 24);
	check_eq("... nothing is stored", ro[3], 0);
	probe_read(UINT64_C(0xffff870000000000), NULL);
	check(trap.count == 1 && trap.frame.vector == 14 &&
		      trap.cr2 == UINT64_C(0xffff870000000000),
	      "the hypervisor's hole is not readable", "%u traps, vector %lu, cr2 0x%lx",
	      trap.count, trap.frame.vector, trap.cr2);
}

static void test_fetch(void)
{
	uint8_t *page = page_alloc();
	uint64_t hole = va_reserve(1);

	page[0] = 0xc3; /* ret */
	TRY("call *%[p]", : : [p] "r"(page) : TRY_CLOBBERS);
	check_eq("a page without NX runs", trap.count, 0);
	if (protect(page, PTE_LEAF | PTE_NX))
		panic("cannot map a page NX");
	TRY("call *%[p]", : : [p] "r"(page) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 14 && (trap.frame.error & 0x11) == 0x11 &&
		      trap.frame.rip == (uint64_t)page && trap.cr2 == (uint64_t)page,
	      "with NX it is #PF, fetch", "%u traps, vector %lu error 0x%lx at 0x%lx", trap.count,
	      trap.frame.vector, trap.frame.error, trap.frame.rip);
	TRY("call *%[p]", : : [p] "r"(hole) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 14 && trap.frame.rip == hole &&
		      trap.cr2 == hole,
	      "a call into a hole is #PF there", "%u traps, vector %lu at 0x%lx", trap.count,
	      trap.frame.vector, trap.frame.rip);
}

static void test_fp(void)
{
	static const uint32_t unmasked = 0x1f80 & ~0x200u, masked = 0x1f80; /* MXCSR: #Z */
	static const uint16_t fcw = 0x37f & ~4u;

	TRY("ldmxcsr %[m]\n\txorps %%xmm0, %%xmm0\n\tmov $0x3f800000, %%ecx\n\tmovd %%ecx, "
	    "%%xmm1\n\tdivss %%xmm0, %%xmm1",
	    :
	    : [m] "m"(unmasked)
	    : TRY_CLOBBERS, "ecx");
	if (emulated_cpu())
		skip("an unmasked SSE exception is #XM", "an emulator raises none");
	else
		check(trap.count == 1 && trap.frame.vector == 19,
		      "an unmasked SSE exception is #XM", "%u traps, vector %lu", trap.count,
		      trap.frame.vector);
	__asm__ volatile("ldmxcsr %0" : : "m"(masked));
	TRY("fninit\n\tfldcw %[cw]\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait",
	    :
	    : [cw] "m"(fcw)
	    : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 16, "an unmasked x87 exception is #MF",
	      "%u traps, vector %lu", trap.count, trap.frame.vector);
	__asm__ volatile("fninit");
}

static void test_single_step(void)
{
	TRY("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n7:\tnop\n\tlea 7b(%%rip), %%rdx",
	    :
	    :
	    : TRY_CLOBBERS, "rdx");
	check(trap.count == 1 && trap.frame.vector == 1, "rflags.TF is #DB after one instruction",
	      "%u traps, vector %lu", trap.count, trap.frame.vector);
	check(trap.frame.rflags & RFLAGS_TF, "... TF in the frame", "rflags 0x%lx",
	      trap.frame.rflags);
	check(!(trap.rflags_inside & RFLAGS_TF), "... and cleared in the handler", "rflags 0x%lx",
	      trap.rflags_inside);
	check(HC1(get_debugreg, 6) & 0x4000, "... DR6.BS is set", "dr6 0x%lx",
	      HC1(get_debugreg, 6));
	HC2(set_debugreg, 6, 0xffff0ff0);
}

static void test_soft_int(void)
{
	check_eq("a gate for int 0x81 is registered", trap_gate(0x81, 3, false), 0);
	check_eq("... one of DPL 0 for 0x82", trap_gate(0x82, 0, false), 0);
	TRY("int $0x81", : : : TRY_CLOBBERS);
	check_after("int 0x81 arrives behind it", 0x81, 2);
	TRY("int $0x82", : : : TRY_CLOBBERS);
	check_trap("int through a DPL 0 gate is #GP(vector)", 13, 0x82 * 8 + 2);
	TRY("int $0x83", : : : TRY_CLOBBERS);
	check_trap("int without a handler is #GP(vector)", 13, 0x83 * 8 + 2);
}

static void test_frame(void)
{
	uint64_t rcx, r11;

	TRY("mov $0x1234, %%ecx\n\tmov $0x5678, %%r11d\n\tud2\n", : : : TRY_CLOBBERS, "rcx", "r11");
	check(trap.frame.rcx == 0x1234 && trap.frame.r11 == 0x5678, "rcx and r11 are in the frame",
	      "0x%lx 0x%lx", trap.frame.rcx, trap.frame.r11);
	TRY("mov $0x1234, %%ecx\n\tmov $0x5678, %%r11d\n\tud2\n9:mov %%rcx, %[rcx]\n\tmov %%r11, "
	    "%[r11]",
	    : [rcx] "=m"(rcx), [r11] "=m"(r11)
	    :
	    : TRY_CLOBBERS, "rcx", "r11");
	check(rcx == 0x1234 && r11 == 0x5678, "iret brings them back", "0x%lx 0x%lx", rcx, r11);
	check_eq("kernel frames have cs with RPL 0", trap.frame.cs & 0xffff, FLAT_KERNEL_CS & ~3);
	check_eq("... and the flat ss", trap.frame.ss & 0xfffc, FLAT_KERNEL_SS & ~3);
	check_eq("... on the interrupted stack", trap.frame.rsp, trap_resume_sp);
	check(!((uint64_t)trap.frame.rflags & 0x3000), "IOPL is hidden", "rflags 0x%lx",
	      trap.frame.rflags);
	TRY("std\n\tud2", : : : TRY_CLOBBERS);
	check(trap.frame.rflags & RFLAGS_DF, "DF is in the frame", "rflags 0x%lx",
	      trap.frame.rflags);
}

static void test_upcall_mask(void)
{
	upcalls_off();
	TRY("ud2", : : : TRY_CLOBBERS);
	check(trap.frame.cs >> 32 == 1 && !(trap.frame.rflags & RFLAGS_IF),
	      "a set upcall mask is saved in cs and IF", "cs 0x%lx rflags 0x%lx", trap.frame.cs,
	      trap.frame.rflags);
	check_eq("... and is still set behind", vcpu_info(0)->evtchn_upcall_mask, 1);
	upcalls_on();
	TRY("ud2", : : : TRY_CLOBBERS);
	check(trap.frame.cs >> 32 == 0 && trap.frame.rflags & RFLAGS_IF, "a clear one too",
	      "cs 0x%lx rflags 0x%lx", trap.frame.cs, trap.frame.rflags);
	check_eq("an open gate leaves it clear", trap.mask_inside, 0);
	trap_gate(6, 0, true);
	TRY("ud2", : : : TRY_CLOBBERS);
	check_eq("a gate with the mask flag sets it", trap.mask_inside, 1);
	check(trap.frame.cs >> 32 == 0 && trap.frame.rflags & RFLAGS_IF,
	      "... the frame has the old one", "cs 0x%lx rflags 0x%lx", trap.frame.cs,
	      trap.frame.rflags);
	check_eq("... which iret restores", vcpu_info(0)->evtchn_upcall_mask, 0);
	trap_gate(6, 0, false);
	check(trap.rflags_inside & RFLAGS_IF, "the real IF is always set", "rflags 0x%lx",
	      trap.rflags_inside);
}

static unsigned depth, deepest;

static bool nest(struct frame *f)
{
	if (f->vector != 6)
		return false;
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (depth < 20)
		__asm__ volatile("ud2");
	depth--;
	f->rip += 2;
	return true;
}

static void test_nested(void)
{
	trap_hook = nest;
	__asm__ volatile("ud2" ::: "memory");
	trap_hook = NULL;
	check(deepest == 20 && !depth, "traps nest", "deepest %u, left %u", deepest, depth);
}

static void test_iret(void)
{
	uint64_t sp, seen = 0;

	TRY("mov %%rsp, %%rdx\n\tpush $0xe02b\n\tpush %%rdx\n\tpushfq\n\tpush $0xe033\n\tlea "
	    "7f(%%rip), %%rcx\n\t"
	    "push %%rcx\n\tiretq\n\tud2\n7:\tmov %%rsp, %[sp]",
	    : [sp] "=m"(sp)
	    :
	    : TRY_CLOBBERS, "rcx", "rdx");
	check(!trap.count && sp == trap_resume_sp, "iretq within the kernel needs no hypercall",
	      "%u traps", trap.count);

	/*
	 * iret hypercall with a code selector that does not exist. Xen 4.17 bounces the #GP of its
	 * own IRET with the frame the guest wanted; older ones enter the failsafe callback with the
	 * same frame.
	 */
	TRY("mov %%rsp, %%rdx\n\tpush $0xe02b\n\tpush %%rdx\n\tpushfq\n\tpush $0x4000\n\tlea "
	    "9f(%%rip), %%rcx\n\t"
	    "push %%rcx\n\tpush $0\n\tpush $0\n\tpush $0\n\tpush $0x77\n\tmov %[nr], "
	    "%%eax\n\tsyscall\n\tud2",
	    :
	    : [nr] "i"(__HYPERVISOR_iret)
	    : TRY_CLOBBERS, "rcx", "r11", "rdx");
	check(trap.count == 1 && (trap.frame.vector == VEC_FAILSAFE ||
				  (trap.frame.vector == 13 && trap.frame.error == 0x4000)),
	      "iret to a bad selector is #GP(selector) or the failsafe callback",
	      "%u traps, vector 0x%lx error 0x%lx", trap.count, trap.frame.vector,
	      trap.frame.error);
	check(trap.count == 1 && (trap.frame.cs & 0xfffc) == 0x4000,
	      "... with the frame that failed", "cs 0x%lx", trap.frame.cs);

	/* With VGCF_in_syscall rcx and r11 may be lost; everything else is not. */
	iret_flags = VGCF_in_syscall;
	TRY("mov $0x4321, %%ebx\n\tud2\n9:mov %%rbx, %[seen]",
	    : [seen] "=m"(seen)
	    :
	    : TRY_CLOBBERS, "rbx", "rcx", "r11");
	iret_flags = 0;
	check_eq("iret with VGCF_in_syscall", seen, 0x4321);
}

static void test_table(void)
{
	struct trap_info bad[2] = {{.vector = 6, .cs = FLAT_KERNEL_CS, .address = noncanonical}};

	check_eq("set_trap_table refuses a non-canonical handler", HC1(set_trap_table, bad),
		 (uint64_t)-XEN_EINVAL);
	check_eq("set_trap_table from nowhere", HC1(set_trap_table, va_reserve(1)),
		 (uint64_t)-XEN_EFAULT);
	TRY("ud2", : : : TRY_CLOBBERS);
	check_trap("the old handler is still there", 6, 0);
}

void guest_main(void)
{
	test_faults();
	test_page_faults();
	test_fetch();
	test_fp();
	test_single_step();
	test_soft_int();
	test_frame();
	test_upcall_mask();
	test_nested();
	test_iret();
	test_table();
}
