/* SPDX-License-Identifier: MIT */
/*
 * Guest user mode: how it is entered, what brings the kernel back, and that user tables are really
 * used.
 */
#include "guest.h"

const char guest_topic[] = "user";

USER_CODE_BLOCK(u_syscall,
		"mov $0x1111, %eax\n mov $0x2222, %ebx\n mov $0x3333, %r11d\n std\n syscall\n ud2");
USER_CODE_BLOCK(u_ud2, "ud2");
USER_CODE_BLOCK(u_hlt, "hlt");
USER_CODE_BLOCK(u_int3, "int3");
USER_CODE_BLOCK(u_int80, "int $0x80");
USER_CODE_BLOCK(u_int81, "int $0x81");
USER_CODE_BLOCK(u_int82, "int $0x82");
USER_CODE_BLOCK(u_read, "mov (%rdi), %rax\n ud2");
USER_CODE_BLOCK(u_write, "mov %rax, (%rdi)\n ud2");
USER_CODE_BLOCK(u_call, "call *%rdi\n ud2");
/* As a hypercall this would be VCPUOP_is_up of a virtual CPU that does not exist. */
USER_CODE_BLOCK(u_like_vcpu_op, "mov $24, %eax\n mov $3, %edi\n mov $999, %esi\n syscall\n ud2");
/* And these two stack_switch, and set_segment_base of the user's GS. */
USER_CODE_BLOCK(u_like_stack_switch, "mov $3, %eax\n mov $0x18, %edi\n mov $0x10, %esi\n syscall\n ud2");
USER_CODE_BLOCK(u_like_segment_base, "mov $25, %eax\n mov $1, %edi\n mov $0x10, %esi\n syscall\n ud2");
USER_CODE_BLOCK(u_scribble, "mov $1, %eax\n mov %rax, (%rdi)\n mov %rax, 8(%rdi)\n mov %rax, 16(%rdi)\n"
			    "mov %rax, 24(%rdi)\n mov %rax, 32(%rdi)\n syscall\n ud2");
USER_CODE_BLOCK(u_segments, "mov %cs, %eax\n mov %ss, %ebx\n pushf\n pop %rcx\n ud2");
USER_CODE_BLOCK(u_gs, "mov %gs:0, %rax\n ud2");
USER_CODE_BLOCK(u_spin, "1: incq 8(%rdi)\n cmpq $0, (%rdi)\n je 1b\n ud2");

static void test_entry(void)
{
	USER_RUN(u_segments, 0);
	if (user_exit.rax == 0x33 && user_exit.rbx == 0x2b) {
		skip("user code sees its own selectors", "this host shows its own");
	} else {
		check_eq("user code runs on its own code segment", user_exit.rax, FLAT_USER_CS);
		check_eq("... and stack segment", user_exit.rbx, FLAT_USER_SS);
	}
	check(user_exit.rcx & RFLAGS_IF && !(user_exit.rcx & 0x3000), "... interrupts on, IOPL 0",
	      "rflags 0x%lx", user_exit.rcx);
	check_eq("the frame says user: cs", user_exit.cs & 0xffff, FLAT_USER_CS);
	check_eq("... and its stack pointer", user_exit.rsp, USER_STACK);
}

static void test_syscall(void)
{
	USER_RUN(u_syscall, 0);
	check_eq("syscall enters the registered callback", user_exit.vector, VEC_SYSCALL);
	check_eq("... behind the instruction", user_exit.rip,
		 USER_CODE + (uint64_t)(u_syscall_end - u_syscall) - 2);
	check(user_exit.rax == 0x1111 && user_exit.rbx == 0x2222, "... registers intact",
	      "rax 0x%lx rbx 0x%lx", user_exit.rax, user_exit.rbx);
	check_eq("... rcx is the return address", user_exit.rcx, user_exit.rip);
	check(user_exit.r11 & RFLAGS_DF && user_exit.rflags & RFLAGS_DF,
	      "... r11 and the frame have the flags", "r11 0x%lx rflags 0x%lx", user_exit.r11,
	      user_exit.rflags);
	check_eq("... upcalls stay as they were", trap.mask_inside, 0);
	USER_RUN(u_like_vcpu_op, 0);
	check(user_exit.vector == VEC_SYSCALL && user_exit.rax == 24, "a system call is never taken for a hypercall",
	      "vector %lu rax 0x%lx", user_exit.vector, user_exit.rax);
}

static void test_syscall_mask(void)
{
	struct callback_register cb = {.type = CALLBACKTYPE_syscall,
				       .flags = CALLBACKF_mask_events};

	cb.address = (uint64_t)syscall_callback;
	check_eq("the syscall callback is registered with masking",
		 HC2(callback_op, CALLBACKOP_register, &cb), 0);
	USER_RUN(u_syscall, 0);
	check_eq("... and masks upcalls", trap.mask_inside, 1);
	check(user_exit.rflags & RFLAGS_IF, "... the frame has the old mask", "rflags 0x%lx",
	      user_exit.rflags);
	upcalls_on();
	cb.flags = 0;
	HC2(callback_op, CALLBACKOP_register, &cb);
}

static void check_user_fault(const char *name, unsigned vector, uint64_t error, uint64_t rip)
{
	check(user_exit.vector == vector && user_exit.error == error && user_exit.rip == rip &&
		      (user_exit.cs & 3) == 3,
	      name, "vector %lu error 0x%lx rip 0x%lx cs 0x%lx", user_exit.vector, user_exit.error,
	      user_exit.rip, user_exit.cs);
}

static void test_faults(void)
{
	uint64_t kernel_va = (uint64_t)user_data;

	USER_RUN(u_ud2, 0);
	check_user_fault("#UD", 6, 0, USER_CODE);
	USER_RUN(u_hlt, 0);
	check_user_fault("hlt is #GP(0)", 13, 0, USER_CODE);
	USER_RUN(u_int3, 0);
	check_user_fault("int3", 3, 0, USER_CODE + 1);
	USER_RUN(u_read, 0x700000);
	check_user_fault("reading a hole is #PF(4)", 14, 4, USER_CODE);
	check_eq("... cr2", trap.cr2, 0x700000);
	USER_RUN(u_write, 0x700008);
	check_user_fault("writing a hole is #PF(6)", 14, 6, USER_CODE);
	USER_RUN(u_write, USER_CODE + 128);
	check_user_fault("writing read-only code is #PF(7)", 14, 7, USER_CODE);
	USER_RUN(u_read, kernel_va);
	check_user_fault("the kernel's memory is not there: #PF(4)", 14, 4, USER_CODE);
	check_eq("... cr2 in the kernel", trap.cr2, kernel_va);
	USER_RUN(u_call, kernel_va);
	check(user_exit.vector == 14 && user_exit.rip == kernel_va &&
		      (user_exit.error & ~0x10ul) == 4,
	      "nor can it be called", "vector %lu error 0x%lx rip 0x%lx", user_exit.vector,
	      user_exit.error, user_exit.rip);
	USER_RUN(u_read, UINT64_C(0xffff870000000000));
	check(user_exit.vector == 14 && (user_exit.error & 4), "nor the hypervisor's hole",
	      "vector %lu error 0x%lx", user_exit.vector, user_exit.error);
}

static void test_soft_int(void)
{
	trap_gate(0x80, 3, false);
	trap_gate(0x81, 3, false);
	trap_gate(0x82, 0, false);
	USER_RUN(u_int80, 0);
	check_user_fault("int 0x80 through a DPL 3 gate", 0x80, 0, USER_CODE + 2);
	USER_RUN(u_int81, 0);
	check_user_fault("int 0x81 too", 0x81, 0, USER_CODE + 2);
	USER_RUN(u_int82, 0);
	check_user_fault("int through a DPL 0 gate is #GP(vector)", 13, 0x82 * 8 + 2, USER_CODE);
}

static void test_memory(void)
{
	user_data[0] = 0xfeedface;
	USER_RUN(u_read, USER_DATA);
	check_eq("user code reads what the kernel wrote", user_exit.rax, 0xfeedface);
	map_page(USER_DATA, virt_to_mfn(user_data) * PAGE_SIZE | PTE_LEAF);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	USER_RUN(u_write, USER_DATA);
	check_user_fault("a page made read-only is so for user code", 14, 7, USER_CODE);
	map_page(USER_DATA, 0);
	mmuext(MMUEXT_INVLPG_LOCAL, USER_DATA, 0);
	USER_RUN(u_read, USER_DATA);
	check_user_fault("an unmapped page is gone", 14, 4, USER_CODE);
	map_page(USER_DATA, virt_to_mfn(user_data) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	USER_RUN(u_read, USER_DATA);
	check_eq("... and back", user_exit.rax, 0xfeedface);
}

static void test_gs(void)
{
	uint64_t kernel_gs;

	user_data[0] = 0x1234;
	user_data[1] = 0x5678;
	check_eq("the kernel's gs base is set",
		 HC2(set_segment_base, SEGBASE_GS_KERNEL, user_data + 1), 0);
	check_eq("the user's gs base is set", HC2(set_segment_base, SEGBASE_GS_USER, USER_DATA), 0);
	USER_RUN(u_gs, 0);
	check_eq("user code sees its own", user_exit.rax, 0x1234);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(kernel_gs));
	check_eq("the kernel its own again", kernel_gs, 0x5678);
	check_eq("a non-canonical base is refused",
		 HC2(set_segment_base, SEGBASE_GS_USER, UINT64_C(1) << 62), (uint64_t)-XEN_EINVAL);
	check_eq("... also just behind the last canonical one",
		 HC2(set_segment_base, SEGBASE_GS_USER, UINT64_C(1) << 47), (uint64_t)-XEN_EINVAL);
	USER_RUN(u_gs, 0);
	check_eq("... and changes nothing", user_exit.rax, 0x1234);
	USER_RUN(u_like_segment_base, 0);
	check(user_exit.vector == VEC_SYSCALL && user_exit.rax == 25, "the user cannot make that call itself",
	      "vector %lu rax 0x%lx", user_exit.vector, user_exit.rax);
	USER_RUN(u_gs, 0);
	check_eq("... nor has it had an effect", user_exit.rax, 0x1234);
}

static uint64_t other_stack[512] __attribute__((aligned(4096)));

static bool on_other_stack(void)
{
	bool used = false;

	for (unsigned i = 0; i < ARRAY_SIZE(other_stack); i++) {
		used |= other_stack[i] != 0;
		other_stack[i] = 0;
	}
	return used;
}

/* A home may keep these calls until something needs to know. */
static void test_stack_switch(void)
{
	uint64_t home = (uint64_t)trap_stack_end, other = (uint64_t)(other_stack + ARRAY_SIZE(other_stack));

	check_eq("stack_switch", HC2(stack_switch, FLAT_KERNEL_SS, other), 0);
	USER_RUN(u_ud2, 0);
	check(on_other_stack(), "user code's exceptions come on the new stack", "they did not");
	HC2(stack_switch, FLAT_KERNEL_SS, 16);
	HC2(stack_switch, FLAT_KERNEL_SS, home);
	USER_RUN(u_ud2, 0);
	check(!on_other_stack(), "of two calls the last one counts", "the first one does");
	USER_RUN(u_like_stack_switch, 0);
	check(user_exit.vector == VEC_SYSCALL && user_exit.rax == 3, "the user cannot make that call itself",
	      "vector %lu rax 0x%lx", user_exit.vector, user_exit.rax);
	/* Where the hosted home's door has a page for notes; elsewhere nothing is there to write to. */
	USER_RUN(u_scribble, UINT64_C(0xffff810080000000));
	check(user_exit.vector == VEC_SYSCALL || user_exit.vector == 14, "nor by writing where the door writes",
	      "vector %lu", user_exit.vector);
	USER_RUN(u_ud2, 0);
	check_eq("... and nothing has changed", user_exit.vector, 6);
}

/* Registers and flags that no hypercall may change, around one that may be answered without an exit. */
static void test_registers(void)
{
	uint64_t flags, wanted = 0x8d5 | 2 | RFLAGS_IF, result, rdi = FLAT_KERNEL_SS, rsi = (uint64_t)trap_stack_end;
	register uint64_t r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 10;
	uint64_t rbx = 11, rdx = 12;
	bool same;

	__asm__ volatile("sub $128, %%rsp\n\t"
			 "push %[wanted]\n\tpopf\n\t"
			 "syscall\n\t"
			 "pushf\n\tpop %%r11\n\tmov %%r11, %[flags]\n\t"
			 "add $128, %%rsp"
			 : "=a"(result), [flags] "=&r"(flags), "+D"(rdi), "+S"(rsi), "+b"(rbx), "+d"(rdx), "+r"(r8),
			   "+r"(r9), "+r"(r10)
			 : "a"(__HYPERVISOR_stack_switch), [wanted] "r"(wanted)
			 : "rcx", "r11", "memory", "cc");
	same = rdi == FLAT_KERNEL_SS && rsi == (uint64_t)trap_stack_end && rbx == 11 && rdx == 12 && r8 == 8 && r9 == 9 &&
	       r10 == 10;
	check_eq("stack_switch, flags set", result, 0);
	check_eq("... leaves the arithmetic flags", flags & 0x8d5, wanted & 0x8d5);
	check(same, "... and all other registers", "rdi 0x%lx rsi 0x%lx rdx 0x%lx", rdi, rsi, rdx);
}

static void stop_user(uint32_t port)
{
	(void)port;
	user_data[0] = 1;
}

/* A timer must get through to a user loop that never enters the kernel by itself. */
static void test_preemption(void)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };

	event_hook = stop_user;
	check_eq("VIRQ_TIMER is bound", hc_event_channel_op(EVTCHNOP_bind_virq, &virq), 0);
	event_unmask(virq.port);
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	user_data[1] = 0;
	/*
	 * Upcalls open with the entry into user mode; on a busy machine the timer may be due before
	 * that.
	 */
	for (unsigned try = 0; try < 20 && user_data[1] < 1000; try++) {
		memset(user_data, 0, 16);
		upcalls_off();
		HC1(set_timer_op, system_time() + 20000000);
		USER_RUN(u_spin, USER_DATA);
		if (user_exit.vector != VEC_EVENT)
			break;
	}
	if (user_exit.vector == VEC_EVENT) {
		check((user_exit.cs & 3) == 3, "a timer event interrupts user code", "cs 0x%lx",
		      user_exit.cs);
		check(user_data[1] > 1000, "... which was running", "%lu rounds", user_data[1]);
	} else {
		check(false, "a timer event interrupts user code", "vector %lu", user_exit.vector);
	}
	check_eq("... with upcalls masked inside", trap.mask_inside, 1);
}

void guest_main(void)
{
	upcalls_on();
	user_init();
	test_entry();
	test_syscall();
	test_syscall_mask();
	test_faults();
	test_soft_int();
	test_memory();
	test_gs();
	test_stack_switch();
	test_registers();
	test_preemption();
}
