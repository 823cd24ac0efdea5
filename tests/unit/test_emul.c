/* SPDX-License-Identifier: MIT */
/*
 * test_emul.c - emulated instructions, the CPUID policy, the MSR table
 */
#include "archfake.h"
#include <xen/arch-x86/cpuid.h>

#define HANDLER UINT64_C(0xffffffff81000000)
#define REGS	(&fake.v.gate.regs)

/* Run @hex in kernel or user mode until it traps with @vector; was it taken away from the guest? */
static bool run(bool kernel, const char *hex, unsigned vector)
{
	uint64_t rip;

	fake_handler(X86_GP, HANDLER, 0, false);
	fake_handler(X86_UD, HANDLER + 16, 0, false);
	fake_handler(X86_PF, HANDLER + 32, 0, false);
	fake_handler(X86_DB, HANDLER + 48, 0, false);
	if (kernel) {
		fake.v.gate.flags |= GATE_KERNEL_MODE;
		REGS->cs = FLAT_KERNEL_CS;
		REGS->rsp = KERNEL_SP - 0x1000;
	}
	fake_code(kernel, hex);
	rip = REGS->rip;
	fake_trap(vector, 0, 0);
	assert_false(fake.crashed);
	return REGS->rip == rip + strlen(hex) / 2;
}

static bool kernel_runs(const char *hex)
{
	return run(true, hex, X86_GP);
}

static bool user_runs(const char *hex)
{
	return run(false, hex, X86_GP);
}

static void assert_at(unsigned handler)
{
	assert_int_equal(REGS->rip, HANDLER + 16 * handler);
}

#define AT_GP 0
#define AT_UD 1
#define AT_PF 2
#define AT_DB 3

static void test_cli_sti(void **state)
{
	assert_true(kernel_runs("fa"));
	assert_true(kernel_runs("fb"));
	assert_int_equal(fake.info.evtchn_upcall_mask, 0);
	assert_int_equal(fake.v.stats.emulated[EMUL_CLI_STI], 2);
	assert_false(user_runs("fa"));
	assert_at(AT_GP);
	fake.v.arch.iopl = 0;
	assert_false(kernel_runs("fa"));
	assert_at(AT_GP);
	fake.d.mm.vm_assist = 1ull << VMASST_TYPE_architectural_iopl;
	assert_true(kernel_runs("fa"));
	fake.v.arch.iopl = 3;
	assert_true(user_runs("fa"));
	assert_string_equal(arch_emul_name(EMUL_CLI_STI), "cli/sti");
	assert_null(arch_emul_name(EMUL_KINDS));
}

/* What UMIP keeps from ring 3 works in both modes, with values that are nobody's. */
static void test_umip(void **state)
{
	REGS->rax = ~0ull;
	assert_true(kernel_runs("0f01e0")); /* smsw eax */
	assert_int_equal(REGS->rax, 0x80050033);
	REGS->rax = ~0ull;
	assert_true(user_runs("660f01e0")); /* smsw ax */
	assert_int_equal(REGS->rax, 0xffffffffffff0033ull);
	assert_true(user_runs("480f00cb")); /* str rbx */
	assert_int_equal(REGS->rbx, 0xe040);
	assert_true(kernel_runs("0f00c1")); /* sldt ecx: there is none */
	assert_int_equal(REGS->rcx, 0);
	fake.v.arch.ldt_entries = 1;
	assert_true(kernel_runs("0f00c1"));
	assert_int_equal(REGS->rcx, 0xe050);
	assert_int_equal(fake.v.stats.emulated[EMUL_UMIP], 5);
	REGS->rdi = 0x123456789000; /* sgdt (rdi): nothing is mapped there */
	assert_false(user_runs("0f0107"));
	assert_at(AT_PF);
}

/* What has a hypercall, or no meaning at all for a guest, stays a #GP with its own error code. */
static void test_not_emulated(void **state)
{
	static const char *const insns[] = {
		"f4", "0f0117", "0f011f", "0f00d8", "0f00d0", "0f0138", "0f01f8", "480f07", "0f08",
		"0f33", "0f22c1", "0f01f0", "440f22c0", "0fc7f8",
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		assert_false(kernel_runs(insns[i]));
		assert_true(REGS->rip == HANDLER || REGS->rip == HANDLER + 16);
	}
	fake_code(true, "8ed8"); /* mov to ds with a bad selector: the selector is in the error code */
	fake_trap(X86_GP, 0x50, 0);
	assert_at(AT_GP);
	assert_int_equal(((uint64_t *)fake_mem(REGS->rsp))[2], 0x50);
}

static void test_ports(void **state)
{
	REGS->rax = ~0ull;
	REGS->rdx = 0x3f8;
	assert_true(kernel_runs("ec"));
	assert_int_equal(REGS->rax & 0xff, 0xff);
	REGS->rax = 0;
	assert_true(kernel_runs("66ed"));
	assert_int_equal(REGS->rax, 0xffff);
	REGS->rax = ~0ull;
	assert_true(kernel_runs("ed"));
	assert_int_equal(REGS->rax, 0xffffffff); /* 32 bits clear the top */
	REGS->rax = ~0ull;
	assert_true(kernel_runs("e442")); /* the PIT must not read 0xff for ever */
	assert_int_not_equal(REGS->rax & 0xff, 0xff);
	assert_true(kernel_runs("e461"));
	assert_true(REGS->rax & 0x20); /* channel 2 is done: nobody waits for it */
	assert_true(kernel_runs("e680"));
	assert_true(kernel_runs("ef"));
	assert_false(user_runs("ec"));
	assert_at(AT_GP);
	fake.v.arch.iopl = 3;
	assert_true(user_runs("ec"));
}

static void test_string_ports(void **state)
{
	uint8_t *p = fake_mem(KERNEL_VA + 0x2000);

	REGS->rdx = 0x10;
	REGS->rdi = KERNEL_VA + 0x2000;
	memset(p, 0, 16);
	assert_true(kernel_runs("6c"));
	assert_int_equal(p[0], 0xff);
	assert_int_equal(REGS->rdi, KERNEL_VA + 0x2001);
	/* rep insd, three elements, backwards: one at a time */
	REGS->rcx = 3;
	REGS->rdi = KERNEL_VA + 0x2008;
	REGS->rflags |= X86_FL_DF;
	assert_false(kernel_runs("f36d"));
	assert_int_equal(REGS->rip, KERNEL_CODE);
	assert_false(kernel_runs("f36d"));
	assert_true(kernel_runs("f36d"));
	assert_int_equal(REGS->rcx, 0);
	assert_int_equal(REGS->rdi, KERNEL_VA + 0x1ffc);
	assert_int_equal(p[11], 0xff);
	assert_int_equal(p[12], 0);
	assert_true(kernel_runs("f36d"));
	assert_int_equal(REGS->rdi, KERNEL_VA + 0x1ffc);
	/* faults are the guest's, with the registers as they were */
	REGS->rflags &= ~X86_FL_DF;
	REGS->rdi = 0x10;
	assert_false(kernel_runs("6d"));
	assert_at(AT_PF);
	assert_int_equal(fake.info.arch.cr2, 0x10);
	assert_int_equal(REGS->rdi, 0x10);
	REGS->rsi = KERNEL_VA + WINDOW - 2;
	assert_false(kernel_runs("6f"));
	assert_at(AT_PF);
	assert_int_equal(fake.info.arch.cr2, KERNEL_VA + WINDOW);
	REGS->rsi = KERNEL_VA;
	assert_true(kernel_runs("6f"));
	assert_int_equal(REGS->rsi, KERNEL_VA + 4);
}

static void test_control_registers(void **state)
{
	REGS->rax = 0;
	assert_true(kernel_runs("0f20c0"));
	assert_int_equal(REGS->rax, 0x80050033);
	REGS->rax |= X86_CR0_TS;
	assert_true(kernel_runs("0f22c0"));
	assert_true(fake.v.arch.ts && tp_vcpu(&fake.v)->ts);
	assert_true(kernel_runs("410f20c1")); /* to r9 */
	assert_int_equal(REGS->r9, 0x8005003b);
	assert_true(kernel_runs("0f06"));
	assert_false(fake.v.arch.ts || tp_vcpu(&fake.v)->ts);
	REGS->rax = 0x80050033 & ~0x10000ull; /* WP off */
	assert_false(kernel_runs("0f22c0"));
	assert_at(AT_GP);

	REGS->rcx = 0xabcdef;
	assert_true(kernel_runs("0f22d1"));
	assert_int_equal(fake.info.arch.cr2, 0xabcdef);
	assert_true(kernel_runs("0f20d3"));
	assert_int_equal(REGS->rbx, 0xabcdef);

	assert_true(kernel_runs("0f20d8"));
	assert_int_equal(REGS->rax, 0x2000);
	REGS->rax = 0x7000;
	assert_true(kernel_runs("0f22d8"));
	assert_int_equal(fake.v.gate.cr3_kernel, 0x7000);
	fake.base_rc = -XEN_EINVAL;
	assert_false(kernel_runs("0f22d8"));
	assert_at(AT_GP);
	fake.base_rc = -XEN_ERESTART;
	assert_false(kernel_runs("0f22d8"));
	assert_int_equal(REGS->rip, KERNEL_CODE); /* again */

	REGS->rax = ~0ull;
	assert_true(kernel_runs("0f22e0"));
	assert_true(kernel_runs("0f20e0"));
	assert_int_equal(REGS->rax, 0x5066c);

	assert_false(user_runs("0f20c0"));
	assert_at(AT_GP);
	assert_false(user_runs("0f06"));
}

static void test_debug_register_moves(void **state)
{
	REGS->rax = KERNEL_VA;
	assert_true(kernel_runs("0f23c0"));
	assert_int_equal(tp_vcpu(&fake.v)->debugreg[0], KERNEL_VA);
	assert_true(kernel_runs("0f21c3"));
	assert_int_equal(REGS->rbx, KERNEL_VA);
	REGS->rax = RESERVED_VIRT_START;
	assert_false(kernel_runs("0f23c0"));
	assert_at(AT_GP);
	fake.v.arch.cr4 |= X86_CR4_DE;
	assert_false(kernel_runs("0f21e0")); /* dr4 */
	assert_at(AT_UD);
	assert_false(user_runs("0f21c0"));
	assert_at(AT_GP);
}

/* Breaks on ports are the core's: the processor must not have them. */
static void test_break_on_port(void **state)
{
	const uint64_t both = 0x400 | 2 | 2u << 16 | 3u << 18 | /* 0: 4 ports */ 8 | 1u << 20 | 7u << 22 /* 1: data */;

	fake.v.arch.iopl = 3;
	fake.v.arch.cr4 &= ~X86_CR4_DE;
	REGS->rax = 0x60;
	assert_true(kernel_runs("0f23c0"));
	REGS->rax = both;
	assert_false(kernel_runs("0f23f8")); /* dr7 without CR4.DE */
	assert_at(AT_GP);
	fake.v.arch.cr4 |= X86_CR4_DE;
	assert_true(kernel_runs("0f23f8"));
	assert_int_equal(tp_vcpu(&fake.v)->debugreg[7], both & ~2ul);
	assert_true(kernel_runs("0f21fb"));
	assert_int_equal(REGS->rbx, both);

	assert_true(kernel_runs("e65f")); /* beside it */
	assert_true(kernel_runs("e664"));
	assert_false(kernel_runs("e75e")); /* 5e to 61 */
	assert_at(AT_DB);
	assert_int_equal(fake.v.arch.dr[6] & 0xf, 1);
	assert_int_equal(((uint64_t *)fake_mem(REGS->rsp))[2], KERNEL_CODE + 2);
	fake.v.arch.dr[6] &= ~0xful;
	REGS->rdx = 0x63;
	assert_false(kernel_runs("ec"));
	assert_at(AT_DB);
	fake.v.arch.cr4 &= ~X86_CR4_DE; /* what is there stays */
	REGS->rax = both;
	assert_false(kernel_runs("0f23f8"));
	assert_int_equal(fake.v.arch.dr[7], both);
}

static void test_single_step(void **state)
{
	REGS->rflags |= X86_FL_TF;
	assert_false(kernel_runs("fa"));
	assert_at(AT_DB);
	assert_int_equal(((uint64_t *)fake_mem(REGS->rsp))[2], KERNEL_CODE + 1);
	assert_true(fake.v.arch.dr[6] & 0x4000);
	assert_false(REGS->rflags & X86_FL_TF);
}

/* A code segment of the guest's own, 32 bits wide, in its GDT. */
static void test_compat_segment(void **state)
{
	uint64_t *gdt = plat_frame_ptr(MFN(5));

	gdt[4] = UINT64_C(0x00cffa000000ffff);
	fake.v.arch.gdt_frames[0] = MFN(5);
	fake.v.arch.gdt_entries = 8;
	fake.v.arch.iopl = 3;
	REGS->rax = ~0ull;
	fake_code(false, "40ec"); /* inc eax; in al, dx: REX in 64 bits */
	REGS->cs = 0x23;
	REGS->rip = USER_CODE + 1;
	fake_trap(X86_GP, 0, 0);
	assert_int_equal(REGS->rip, USER_CODE + 2);
	/* A selector beyond the table: no instruction can be there. */
	fake_code(false, "ec");
	REGS->cs = 0x43;
	fake_handler(X86_GP, HANDLER, 0, false);
	fake_trap(X86_GP, 0, 0);
	assert_at(AT_GP);
	/* The LDT is read with the kernel's eyes. */
	*(uint64_t *)fake_mem(KERNEL_VA + 0x1008) = UINT64_C(0x00cffa000000ffff);
	fake.v.arch.ldt_base = KERNEL_VA + 0x1000;
	fake.v.arch.ldt_entries = 2;
	fake_code(false, "ec");
	REGS->cs = 0x0f;
	fake_trap(X86_GP, 0, 0);
	assert_int_equal(REGS->rip, USER_CODE + 1);
}

/* The instruction runs into a page that is not there: a page fault there, not a guess. */
static void test_fetch_fault(void **state)
{
	fake_handler(X86_PF, HANDLER, 0, false);
	fake_code(true, "0f");
	fake.hole = KERNEL_CODE + 1;
	fake.hole_end = KERNEL_CODE + 64;
	fake_trap(X86_GP, 0, 0);
	assert_int_equal(REGS->rip, HANDLER);
	assert_int_equal(fake.info.arch.cr2, KERNEL_CODE + 1);
}

static uint64_t rdmsr(uint32_t nr)
{
	REGS->rcx = nr;
	assert_true(kernel_runs("0f32"));
	return REGS->rax | REGS->rdx << 32;
}

static bool wrmsr(uint32_t nr, uint64_t value)
{
	REGS->rcx = nr;
	REGS->rax = (uint32_t)value;
	REGS->rdx = value >> 32;
	return kernel_runs("0f30");
}

static void cpu(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

static void test_msrs(void **state)
{
	uint64_t value;

	tp.cpuid = cpu; /* an Intel */
	assert_int_equal(rdmsr(0xc0000080), 0xd01);
	assert_true(wrmsr(0xc0000080, 0xd01));
	assert_false(wrmsr(0xc0000080, 0xd00));
	assert_at(AT_GP);
	assert_int_equal(rdmsr(0x1b), 0xfee00900);
	assert_int_equal(rdmsr(0x277), UINT64_C(0x050100070406));
	assert_false(wrmsr(0x277, 0));
	assert_true(wrmsr(0xc0000100, 0x1000));
	assert_int_equal(plat_base_get(&fake.v, PLAT_FS), 0x1000);
	assert_int_equal(rdmsr(0xc0000100), 0x1000);
	assert_true(wrmsr(0xc0000101, KERNEL_VA));
	assert_true(wrmsr(0xc0000102, 0x2000));
	assert_int_equal(fake.v.gate.gs_base_other, 0x2000);
	assert_int_equal(rdmsr(0xc0000102), 0x2000);
	assert_int_equal(plat_base_get(&fake.v, PLAT_GS), KERNEL_VA);
	assert_false(wrmsr(0xc0000101, 1ull << 50));
	assert_true(wrmsr(0xc0000103, 7));
	assert_int_equal(rdmsr(0xc0000103), 7);
	assert_false(wrmsr(0xc0000103, 1ull << 32));
	assert_true(rdmsr(0x10) > 0);
	assert_int_equal(rdmsr(0x1a0), 0x801801);
	assert_true(wrmsr(0x8b, 0));
	assert_false(wrmsr(0x8b, 1));
	/* Unknown, and hidden by the CPUID policy: #GP; so for all of guest user. */
	assert_false(wrmsr(0x48, 0));
	REGS->rcx = 0x10a;
	assert_false(kernel_runs("0f32"));
	assert_at(AT_GP);
	REGS->rcx = 0xc0000080;
	assert_false(user_runs("0f32"));
	assert_false(user_runs("0f30"));
	/* Before there is a #GP handler, reads give zero and writes vanish. */
	memset(fake.v.arch.traps, 0, sizeof(fake.v.arch.traps));
	value = 1;
	assert_true(arch_rdmsr(&fake.v, 0x12345, &value));
	assert_int_equal(value, 0);
	assert_true(arch_wrmsr(&fake.v, 0x12345, 1));
	/* AMD's registers are not an Intel's. */
	fake_handler(X86_GP, HANDLER, 0, false);
	assert_false(arch_rdmsr(&fake.v, 0xc0011029, &value));
}

static void test_hypercall_page(void **state)
{
	static const uint8_t slot17[] = { 0x51, 0x41, 0x53, 0xb8, 17, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59,
					  0xc3, 0xcc };
	static const uint8_t iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc };
	uint8_t *page = plat_frame_ptr(MFN(FAKE_OWN_FRAME));

	assert_true(wrmsr(0x40000000, FAKE_OWN_FRAME * PAGE_SIZE));
	assert_memory_equal(page + 17 * 32, slot17, sizeof(slot17));
	assert_memory_equal(page + 23 * 32, iret, sizeof(iret));
	assert_int_equal(page[127 * 32 + 4], 127);
	assert_int_equal(fake.frame_refs, 0);
	assert_int_equal(tp.calls[TP_DIRTY], 1);
	assert_int_equal(rdmsr(0x40000000), 0);
	assert_false(wrmsr(0x40000000, FAKE_OWN_FRAME * PAGE_SIZE + 1)); /* a second page */
	assert_false(wrmsr(0x40000000, 8 * PAGE_SIZE));			 /* not its own */
	assert_false(wrmsr(0x40000000, 1ull << 60));
	assert_at(AT_GP);
	assert_int_equal(page[4], 0);
}

static void test_rdtsc(void **state)
{
	uint64_t first, second;

	assert_true(user_runs("0f31"));
	first = REGS->rax | REGS->rdx << 32;
	fake.v.arch.tsc_aux = 5;
	assert_true(kernel_runs("0f01f9"));
	second = REGS->rax | REGS->rdx << 32;
	assert_true(second > first);
	assert_int_equal(REGS->rcx, 5);
	fake.v.arch.cr4 |= X86_CR4_TSD;
	assert_false(user_runs("0f31"));
	assert_at(AT_GP);
	assert_true(kernel_runs("0f31"));
	assert_true(kernel_runs("0f09"));
	assert_false(user_runs("0f09"));
}

/* ---- CPUID ---- */

/* A processor with everything. */
static uint32_t max_leaf, xcr0_native;

static void cpu(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	static const uint32_t xstate[][4] = {
		[2] = { 256, 576, 0, 0 }, [5] = { 64, 1088, 0, 0 }, [6] = { 512, 1152, 2, 0 },
		[7] = { 1024, 1664, 2, 0 }, [9] = { 8, 2688, 0, 0 },
	};

	memset(out, 0xff, 16);
	switch (leaf) {
	case 0:
		out[0] = max_leaf ? max_leaf : 0x20;
		out[1] = 0x756e6547;
		out[3] = 0x49656e69;
		out[2] = 0x6c65746e;
		break;
	case 0xd:
		if (subleaf == 0)
			out[0] = xcr0_native, out[3] = 0;
		else if (subleaf < ARRAY_SIZE(xstate) && xstate[subleaf][0])
			memcpy(out, xstate[subleaf], 16);
		break;
	case 0x80000000:
		out[0] = 0x80000028;
		break;
	}
}

static uint32_t *cpuid(uint32_t leaf, uint32_t subleaf)
{
	static uint32_t out[4];

	tp.cpuid = cpu;
	arch_cpuid(&fake.v, leaf, subleaf, true, out);
	return out;
}

static void test_cpuid_features(void **state)
{
	max_leaf = 0;
	xcr0_native = 0x602e7;
	assert_int_equal(cpuid(0, 0)[0], 0xd);
	assert_int_equal(cpuid(0, 0)[1], 0x756e6547);
	/* vme, pse, mtrr, pge, pse36, psn, ds, acpi, htt, tm, pbe are gone */
	assert_int_equal(cpuid(1, 0)[3], 0x0f89cbf5);
	/* monitor, vmx, smx, pcid, x2apic, deadline are; hypervisor and OSXSAVE are set */
	assert_int_equal(cpuid(1, 0)[2], 0xfed83203);
	assert_int_equal(cpuid(1, 0)[1], 0xffff);
	/* no smep, smap, invpcid, rtm, mpx */
	assert_int_equal(cpuid(7, 0)[1] & (1u << 7 | 1u << 20 | 1u << 10 | 1u << 11 | 1u << 14), 0);
	/* fsgsbase, avx512f */
	assert_true(cpuid(7, 0)[1] & 1u << 0);
	assert_true(cpuid(7, 0)[1] & 1u << 16);
	/* no umip, pku, ospke, la57, rdpid; no spec_ctrl, arch_caps, amx */
	assert_int_equal(cpuid(7, 0)[2] & (1u << 2 | 1u << 3 | 1u << 4 | 1u << 16 | 1u << 22), 0);
	assert_int_equal(cpuid(7, 0)[3] & (1u << 26 | 1u << 27 | 1u << 29 | 1u << 31 | 7u << 22), 1u << 23);
	assert_int_equal(cpuid(7, 0)[0], 1);
	assert_int_equal(cpuid(7, 2)[0], 0);
	/* no 1G pages; nx, syscall, long mode */
	assert_int_equal(cpuid(0x80000001, 0)[3] & (1u << 26 | 1u << 20 | 1u << 11 | 1u << 29),
			 1u << 20 | 1u << 11 | 1u << 29);
	assert_int_equal(cpuid(0x80000001, 0)[2] & 1u << 2, 0); /* svm */
	assert_int_equal(cpuid(0x80000008, 0)[0], 0x30ff);
	assert_int_equal(cpuid(0x80000000, 0)[0], 0x80000021);
	assert_int_equal(cpuid(0x80000007, 0)[3], 0);
	assert_int_equal(cpuid(5, 0)[0] | cpuid(6, 0)[0] | cpuid(0xa, 0)[0] | cpuid(0xb, 0)[1], 0);
	assert_int_equal(cpuid(0x14, 0)[0], 0);
	assert_int_equal(cpuid(0x80000022, 0)[0], 0);
	max_leaf = 4;
	assert_int_equal(cpuid(7, 0)[1], 0);
	max_leaf = 0;
}

/* Leaf 0xd names exactly the states that are offered, and sizes that fit them. */
static void test_cpuid_xstate(void **state)
{
	xcr0_native = 0x602e7;
	assert_int_equal(cpuid(0xd, 0)[0], 0xe7);
	assert_int_equal(cpuid(0xd, 0)[1], 576);
	assert_int_equal(cpuid(0xd, 0)[2], 2688);
	assert_int_equal(cpuid(0xd, 1)[0], 7); /* no xsaves */
	assert_int_equal(cpuid(0xd, 1)[2], 0);
	assert_int_equal(cpuid(0xd, 2)[0], 256);
	assert_int_equal(cpuid(0xd, 6)[2], 2);
	assert_int_equal(cpuid(0xd, 9)[0], 0); /* pkru */
	assert_int_equal(cpuid(0xd, 64)[0], 0);
	assert_true(arch_set_xcr0(&fake.v, 7));
	assert_int_equal(cpuid(0xd, 0)[1], 832);
	assert_int_equal(cpuid(0xd, 1)[1], 832);
	assert_true(arch_set_xcr0(&fake.v, 0xe7));
	assert_int_equal(cpuid(0xd, 0)[1], 2688);
	/* compacted: 576 + 256 = 832, + 64 = 896, aligned 896 + 512 = 1408, + 1024 */
	assert_int_equal(cpuid(0xd, 1)[1], 2432);
	/* a processor whose XCR0 has no AVX-512 */
	xcr0_native = 7;
	assert_int_equal(cpuid(0xd, 0)[0], 7);
	assert_int_equal(cpuid(0xd, 5)[0], 0);
}

static void test_xsetbv(void **state)
{
	xcr0_native = 0xe7;
	tp.cpuid = cpu;
	REGS->rax = 7;
	REGS->rcx = REGS->rdx = 0;
	assert_false(kernel_runs("0f01d1"));
	assert_at(AT_UD); /* CR4.OSXSAVE first */
	fake.v.arch.cr4 |= X86_CR4_OSXSAVE;
	assert_true(kernel_runs("0f01d1"));
	assert_int_equal(tp_vcpu(&fake.v)->xcr0, 7);
	REGS->rax = 0;
	assert_true(kernel_runs("0f01d0"));
	assert_int_equal(REGS->rax, 7);
	assert_false(user_runs("0f01d1"));
	assert_at(AT_GP);
	REGS->rcx = 1;
	assert_false(kernel_runs("0f01d1"));
	assert_at(AT_GP);
	assert_false(arch_set_xcr0(&fake.v, 6));    /* x87 is not optional */
	assert_false(arch_set_xcr0(&fake.v, 5));    /* AVX needs SSE */
	assert_false(arch_set_xcr0(&fake.v, 0x27)); /* AVX-512 is all or nothing */
	assert_false(arch_set_xcr0(&fake.v, 0xe3)); /* and needs AVX */
	assert_false(arch_set_xcr0(&fake.v, 0x207));
	assert_true(arch_set_xcr0(&fake.v, 1));
}

static void test_cpuid_instruction(void **state)
{
	tp.cpuid = cpu;
	xcr0_native = 7;
	REGS->rax = 1;
	REGS->rcx = 0;
	assert_true(run(true, "0f0b78656e0fa2", X86_UD));
	assert_true(REGS->rcx & 1u << 31);
	assert_true(REGS->rcx & 1u << 27); /* OSXSAVE, although CR4 does not have it */
	assert_int_equal(REGS->rbx, 0xffff);
	REGS->rax = 1;
	assert_true(run(false, "0f0b78656e0fa2", X86_UD));
	assert_false(REGS->rcx & 1u << 27);
	REGS->rax = 0x40000000;
	assert_true(kernel_runs("0fa2")); /* where cpuid faults */
	assert_int_equal(REGS->rbx, XEN_CPUID_SIGNATURE_EBX);
	assert_int_equal(REGS->rcx, XEN_CPUID_SIGNATURE_ECX);
	assert_int_equal(REGS->rdx, XEN_CPUID_SIGNATURE_EDX);
	assert_int_equal(REGS->rax, 0x40000005);
	/* The prefix before anything else is ud2. */
	assert_false(run(true, "0f0b78656e0f31", X86_UD));
	assert_at(AT_UD);
	assert_int_equal(((uint64_t *)fake_mem(REGS->rsp))[2], KERNEL_CODE);
}

static void test_cpuid_xen(void **state)
{
	assert_int_equal(cpuid(0x40000001, 0)[0], 4 << 16 | 17);
	assert_int_equal(cpuid(0x40000002, 0)[0], 1);
	assert_int_equal(cpuid(0x40000002, 0)[2], 1);
	assert_int_equal(cpuid(0x40000003, 0)[2], tp.info.tsc_khz);
	/* 1 GHz: one tick is one ns; mul * 2^shift = 2^32 */
	assert_int_equal(cpuid(0x40000003, 1)[2], 0x80000000);
	assert_int_equal(cpuid(0x40000003, 1)[3], 1);
	assert_int_equal(cpuid(0x40000003, 2)[0], tp.info.tsc_khz);
	assert_int_equal(cpuid(0x40000004, 0)[0], 0);
	tp.info.frames = 0x10000;
	assert_int_equal(cpuid(0x40000005, 0)[1], 29);
	assert_int_equal(cpuid(0x40000006, 0)[0], 0);
	assert_int_equal(cpuid(0x50000000, 0)[0], 0);
}

/* As a kernel is once it has asked for I/O privilege. */
static int setup(void **state)
{
	int rc = fake_setup(state);

	fake.v.arch.iopl = 1;
	return rc;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cli_sti), T(test_umip), T(test_not_emulated), T(test_ports), T(test_string_ports),
		T(test_control_registers), T(test_debug_register_moves), T(test_single_step),
		T(test_control_registers), T(test_break_on_port), T(test_single_step),
		T(test_compat_segment), T(test_fetch_fault), T(test_msrs), T(test_hypercall_page), T(test_rdtsc),
		T(test_cpuid_features), T(test_cpuid_xstate), T(test_xsetbv),
		T(test_cpuid_instruction), T(test_cpuid_xen),
	};

	return cmocka_run_group_tests_name("emul", tests, NULL, NULL);
}
