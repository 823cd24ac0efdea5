/* SPDX-License-Identifier: MIT */
/*
 * 32-bit user code under a 64-bit kernel: how it runs, traps, and calls its kernel. It runs on
 * descriptors of the kernel's own GDT, laid out as Linux has them, and for comparison on the
 * hypervisor's flat ones.
 */
#include "guest.h"

const char guest_topic[] = "compat";

/* Linux' numbers: 32-bit code, data, 64-bit code. */
#define CS32 0x23
#define DS32 0x2b
#define CS64 0x33

#define USER_CODE_BLOCK32(name, code) USER_CODE_BLOCK(name, ".code32\n" code "\n.code64")

USER_CODE_BLOCK32(c_segments, "mov %cs, %eax\n mov %ss, %ebx\n mov %ds, %edx\n ud2");
USER_CODE_BLOCK32(
	c_math,
	"mov $0x7fffffff, %eax\n add %eax, %eax\n inc %eax\n push $0x1234\n pop %ebx\n call 1f\n"
	"1: pop %esi\n mov %esp, %ebp\n ud2");
USER_CODE_BLOCK32(
	c_int80,
	"mov $0x11, %eax\n mov $0x22, %ebx\n mov $0x33, %ecx\n mov $0x44, %edx\n mov $0x55, %esi\n"
	"mov $0x66, %edi\n mov $0x77, %ebp\n int $0x80\n ud2");
USER_CODE_BLOCK32(c_syscall, "mov $0x11, %eax\n mov $0x22, %ebx\n syscall\n ud2");
USER_CODE_BLOCK32(c_sysenter, "mov $0x11, %eax\n mov $0x22, %ebx\n sysenter\n ud2");
USER_CODE_BLOCK32(c_read, "mov (%edi), %eax\n ud2");
USER_CODE_BLOCK32(c_write, "mov %eax, (%edi)\n ud2");
USER_CODE_BLOCK32(c_int3, "int3");
USER_CODE_BLOCK32(c_hlt, "hlt");
USER_CODE_BLOCK32(
	c_sse,
	"mov $0x3f800000, %eax\n movd %eax, %xmm0\n addss %xmm0, %xmm0\n movd %xmm0, %eax\n ud2");
USER_CODE_BLOCK32(c_spin, "1: incl 8(%edi)\n cmpl $0, (%edi)\n je 1b\n ud2");
/* Into 64-bit mode and back: a far jump changes the mode. */
USER_CODE_BLOCK32(c_far, "ljmp $0x33, $0x400000 + 2f - c_far\n .code64\n2: mov $0x123456789abcdef, "
			 "%rax\n ud2\n.code32");

static uint8_t *code_page;

static void run(const char *code, const char *end, uint64_t arg, uint16_t cs, uint16_t ss)
{
	struct frame f = {
		.rdi = arg,
		.rip = USER_CODE,
		.cs = cs,
		.rflags = RFLAGS_IF,
		.rsp = USER_STACK,
		.ss = ss,
	};

	memcpy(code_page, code, (size_t)(end - code));
	/* The data segments are the kernel's to load: they are not in the frame. */
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((uint32_t)ss));
	user_run_frame(&f);
}

#define RUN(name, arg) run(name, name##_end, arg, CS32, DS32)
#define RUN_FLAT(name, arg) run(name, name##_end, arg, FLAT_USER_CS32, FLAT_USER_SS32)

static void make_gdt(void)
{
	uint64_t *gdt = page_alloc(), mfn = virt_to_mfn(gdt);

	gdt[CS32 >> 3] = UINT64_C(0x00cffa000000ffff);
	gdt[DS32 >> 3] = UINT64_C(0x00cff2000000ffff);
	gdt[CS64 >> 3] = UINT64_C(0x00affa000000ffff);
	protect(gdt, PTE_LEAF);
	check_eq("a GDT as Linux has it", HC2(set_gdt, &mfn, 512), 0);
}

static void test_flat(void)
{
	RUN_FLAT(c_segments, 0);
	check_eq("the flat 32-bit code segment", user_exit.rax, FLAT_USER_CS32);
	check_eq("... the frame says so", user_exit.cs & 0xffff, FLAT_USER_CS32);
	check_eq("... ss", user_exit.rbx & 0xffff, FLAT_USER_SS32);
	RUN_FLAT(c_math, 0);
	check_eq("... arithmetic", user_exit.rax, 0xffffffff);
}

static void check_fault(const char *name, unsigned vector, uint64_t error, uint64_t offset)
{
	check(user_exit.vector == vector && user_exit.error == error &&
		      user_exit.rip == USER_CODE + offset,
	      name, "vector %lu error 0x%lx rip 0x%lx", user_exit.vector, user_exit.error,
	      user_exit.rip);
}

static void test_mode(void)
{
	RUN(c_segments, 0);
	check_eq("the code segment is the kernel's", user_exit.rax, CS32);
	check_eq("... the frame says so", user_exit.cs & 0xffff, CS32);
	check_eq("... ss", user_exit.rbx & 0xffff, DS32);
	RUN(c_math, 0);
	check_eq("32-bit arithmetic wraps", user_exit.rax, 0xffffffff);
	check_eq("the stack works", user_exit.rbx, 0x1234);
	check_eq("call pushes a 32-bit address", user_exit.rsi >> 12, USER_CODE >> 12);
	check_eq("esp is back", user_exit.rbp, USER_STACK);
	RUN(c_sse, 0);
	if (user_exit.vector == 6 && user_exit.rip < USER_CODE + (uint64_t)(c_sse_end - c_sse) - 2)
		skip("SSE works", "this host interprets 32-bit code (#UD)");
	else
		check_eq("SSE works", user_exit.rax, 0x40000000);
	RUN(c_far, 0);
	check_eq("a far jump into 64-bit mode", user_exit.rax, 0x123456789abcdef);
	check_eq("... the frame says so", user_exit.cs & 0xffff, CS64);
}

static void test_faults(void)
{
	RUN(c_read, 0x700000);
	check_fault("reading a hole is #PF(4)", 14, 4, 0);
	check_eq("... cr2", trap.cr2, 0x700000);
	RUN(c_write, USER_CODE + 256);
	check_fault("writing read-only code is #PF(7)", 14, 7, 0);
	RUN(c_read, 0xfffffff0);
	check_fault("the top of 4 GiB is a hole", 14, 4, 0);
	check_eq("... cr2 is not sign-extended", trap.cr2, 0xfffffff0);
	RUN(c_hlt, 0);
	check_fault("hlt is #GP(0)", 13, 0, 0);
	RUN(c_int3, 0);
	check_fault("int3", 3, 0, 1);
	RUN(c_segments, 0);
	check(user_exit.vector == 6, "ud2 is #UD", "vector %lu", user_exit.vector);
}

static void test_int80(void)
{
	trap_gate(0x80, 3, false);
	RUN(c_int80, 0);
	check_fault("int 0x80 arrives behind it", 0x80, 0, (uint64_t)(c_int80_end - c_int80) - 2);
	check(user_exit.rax == 0x11 && user_exit.rbx == 0x22 && user_exit.rcx == 0x33 &&
		      user_exit.rdx == 0x44 && user_exit.rsi == 0x55 && user_exit.rdi == 0x66 &&
		      user_exit.rbp == 0x77,
	      "... with all arguments", "%lx %lx %lx %lx %lx %lx %lx", user_exit.rax, user_exit.rbx,
	      user_exit.rcx, user_exit.rdx, user_exit.rsi, user_exit.rdi, user_exit.rbp);
}

/* AMD has SYSCALL in compatibility mode, Intel SYSENTER; the other one is #UD there. */
static void test_fast_calls(void)
{
	RUN(c_syscall, 0);
	if (user_exit.vector == 6) {
		skip("syscall in 32-bit code", "this CPU has none (#UD)");
	} else {
		check_eq("syscall in 32-bit code enters the syscall32 callback", user_exit.vector,
			 VEC_SYSCALL32);
		check_eq("... registers intact", user_exit.rbx, 0x22);
		check_eq("... behind it", user_exit.rip,
			 USER_CODE + (uint64_t)(c_syscall_end - c_syscall) - 2);
		check_eq("... from 32-bit code", user_exit.cs & 0xffff, FLAT_USER_CS32);
	}
	if (emulated_cpu()) {
		skip("sysenter in 32-bit code",
		     "an emulator of an AMD CPU executes it, where a real one raises #UD");
		return;
	}
	RUN(c_sysenter, 0);
	if (user_exit.vector == 6) {
		skip("sysenter in 32-bit code", "this CPU has none (#UD)");
	} else {
		check_eq("sysenter in 32-bit code enters the sysenter callback", user_exit.vector,
			 VEC_SYSENTER);
		check_eq("... registers intact", user_exit.rbx, 0x22);
	}
}

static void stop_user(uint32_t port)
{
	(void)port;
	user_data[0] = 1;
}

static void test_preemption(void)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };

	event_hook = stop_user;
	hc_event_channel_op(EVTCHNOP_bind_virq, &virq);
	event_unmask(virq.port);
	user_data[1] = 0;
	/*
	 * Upcalls open with the entry into user mode; on a busy machine the timer may be due before
	 * that.
	 */
	for (unsigned try = 0; try < 20 && user_data[1] < 1000; try++) {
		memset(user_data, 0, 16);
		upcalls_off();
		HC1(set_timer_op, system_time() + 20000000);
		RUN(c_spin, USER_DATA);
		if (user_exit.vector != VEC_EVENT)
			break;
	}
	check(user_exit.vector == VEC_EVENT && (user_exit.cs & 0xffff) == CS32,
	      "a timer event interrupts 32-bit code", "vector 0x%lx cs 0x%lx", user_exit.vector,
	      user_exit.cs);
}

void guest_main(void)
{
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	upcalls_on();
	user_init();
	code_page = mfn_to_virt((*pte_of(USER_CODE, 1) & PTE_ADDR) / PAGE_SIZE);
	make_gdt();
	test_flat();
	test_mode();
	test_faults();
	test_int80();
	test_fast_calls();
	test_preemption();
}
