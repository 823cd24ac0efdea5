/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions that the hypervisor executes for a guest kernel, and the ones it refuses.
 */
#include "guest.h"

const char guest_topic[] = "emulation";

#define MSR_EFER    UINT32_C(0xc0000080)
#define MSR_FS_BASE UINT32_C(0xc0000100)
#define MSR_GS_BASE UINT32_C(0xc0000101)
#define MSR_GS_SHADOW UINT32_C(0xc0000102)
#define MSR_NONE    UINT32_C(0x4b564dff)

struct regs4 {
	uint32_t a, b, c, d;
};

static struct regs4 cpuid(uint32_t leaf, uint32_t sub)
{
	struct regs4 r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "0"(leaf), "2"(sub));
	return r;
}

static struct regs4 cpuid_forced(uint32_t leaf, uint32_t sub)
{
	struct regs4 r;

	__asm__ volatile("ud2\n\t.ascii \"xen\"\n\tcpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "0"(leaf), "2"(sub));
	return r;
}

static void test_cpuid(void)
{
	struct regs4 r = cpuid_forced(0x40000000, 0), bare = cpuid(0, 0);

	check(r.b == 0x566e6558 && r.c == 0x65584d4d && r.d == 0x4d4d566e,
	      "forced cpuid: the Xen signature", "0x%x 0x%x 0x%x", r.b, r.c, r.d);
	check(r.a >= 0x40000002, "... its leaves", "0x%x", r.a);
	r = cpuid_forced(0x40000001, 0);
	check_eq("... the version", r.a, HC2(xen_version, XENVER_version, 0));
	r = cpuid_forced(0, 0);
	check(r.b == bare.b && r.c == bare.c && r.d == bare.d && r.a >= 7,
	      "the vendor is the same bare and forced", "0x%x 0x%x", r.b, bare.b);
	r = cpuid_forced(1, 0);
	check(r.d & 1 << 0 && r.d & 1 << 25 && r.d & 1 << 26, "FPU, SSE and SSE2 are there",
	      "edx 0x%x", r.d);
	check(!(r.c & 1 << 5), "VMX is not", "ecx 0x%x", r.c);
	check(!(r.d & 1 << 12) || start_info->flags & SIF_INITDOMAIN,
	      "MTRRs are not, but for the initial domain", "edx 0x%x", r.d);
	r = cpuid_forced(0x80000001, 0);
	check(r.d & 1 << 29, "long mode is there", "edx 0x%x", r.d);
	check(!(r.d & 1 << 26), "1 GiB pages are not", "edx 0x%x", r.d);
}

/* Leaf 0xd must describe what leaf 1 promises, or a kernel saves less than its programs use. */
static void test_xsave(void)
{
	struct regs4 f1 = cpuid_forced(1, 0), d0, d1;
	uint32_t lo, hi;

	if (!(f1.c & 1 << 26)) {
		skip("XSAVE", "this CPU has none");
		return;
	}
	d0 = cpuid_forced(0xd, 0);
	check((d0.a & 3) == 3, "XCR0 may have x87 and SSE", "0x%x", d0.a);
	check(!(f1.c & 1 << 28) || d0.a & 4, "AVX is in both leaves", "0x%x", d0.a);
	check(d0.c >= 576 && d0.b <= d0.c, "the area's sizes", "%u of %u", d0.b, d0.c);
	d1 = cpuid_forced(0xd, 1);
	check(!(d1.a & 8), "XSAVES is not offered", "0x%x", d1.a);
	__asm__ volatile("mov %%cr4, %%rax\n\tor $0x40000, %%rax\n\tmov %%rax, %%cr4"
			 :
			 :
			 : "rax", "memory");
	TRY("xor %%ecx, %%ecx\n\txgetbv\n\tmov %%eax, %[lo]\n\tmov %%edx, %[hi]",
	    : [lo] "=m"(lo), [hi] "=m"(hi)
	    :
	    : TRY_CLOBBERS, "rcx", "rdx");
	check(!trap.count && lo & 1, "xgetbv", "%u traps, 0x%x", trap.count, lo);
	TRY("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov %[v], %%eax\n\txsetbv",
	    :
	    : [v] "r"(d0.a & 7)
	    : TRY_CLOBBERS, "rcx", "rdx");
	check_eq("xsetbv", trap.count, 0);
	TRY("xor %%ecx, %%ecx\n\txgetbv\n\tmov %%eax, %[lo]",
	    : [lo] "=m"(lo)
	    :
	    : TRY_CLOBBERS, "rcx", "rdx");
	if (lo != (d0.a & 7) && (lo & d0.a & 7) == (d0.a & 7))
		skip("... is what xgetbv reads", "user code sees this host's own XCR0");
	else
		check_eq("... is what xgetbv reads", lo, d0.a & 7);
	check_eq("... and leaf 0xd has its size", cpuid_forced(0xd, 0).b >= 576, 1);
	TRY("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov $2, %%eax\n1:xsetbv",
	    :
	    :
	    : TRY_CLOBBERS, "rcx", "rdx");
	check(trap.count == 1 && trap.frame.vector == 13, "XCR0 without x87 is #GP", "%u traps",
	      trap.count);
	TRY("mov $1, %%ecx\n\txor %%edx, %%edx\n\tmov $3, %%eax\n1:xsetbv",
	    :
	    :
	    : TRY_CLOBBERS, "rcx", "rdx");
	check(trap.count == 1 && trap.frame.vector == 13, "XCR1 is #GP", "%u traps", trap.count);
}

static unsigned rdmsr(uint32_t msr, uint64_t *v)
{
	uint32_t lo = 0, hi = 0;

	TRY("rdmsr\n\tmov %%eax, %[lo]", : [lo] "=m"(lo), "=d"(hi) : "c"(msr) : TRY_CLOBBERS);
	*v = (uint64_t)hi << 32 | lo;
	return trap.count;
}

static unsigned wrmsr(uint32_t msr, uint64_t v)
{
	TRY("mov %[lo], %%eax\n\twrmsr",
	    :
	    : [lo] "r"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr)
	    : TRY_CLOBBERS);
	return trap.count;
}

static void test_msr(void)
{
	uint64_t v, *page = page_alloc();

	check_eq("rdmsr EFER", rdmsr(MSR_EFER, &v), 0);
	check((v & 0x501) == 0x501 || (v & 0x500) == 0x500, "... long mode", "0x%lx", v);
	page[0] = 0x1357;
	check_eq("wrmsr FS_BASE", wrmsr(MSR_FS_BASE, (uint64_t)page), 0);
	__asm__ volatile("mov %%fs:0, %0" : "=r"(v));
	check_eq("... is used", v, 0x1357);
	check_eq("rdmsr FS_BASE", rdmsr(MSR_FS_BASE, &v), 0);
	check_eq("... reads it back", v, (uint64_t)page);
	check_eq("wrmsr GS_BASE", wrmsr(MSR_GS_BASE, (uint64_t)page), 0);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(v));
	check_eq("... is used", v, 0x1357);
	HC2(set_segment_base, SEGBASE_GS_USER, 1);
	check_eq("set_segment_base of the user's gs", HC2(set_segment_base, SEGBASE_GS_USER, -(uint64_t)4096), 0);
	check_eq("... is what KERNEL_GS_BASE reads", rdmsr(MSR_GS_SHADOW, &v), 0);
	check_eq("... the whole of it", v, -(uint64_t)4096);
	check(wrmsr(MSR_FS_BASE, UINT64_C(1) << 62) == 1 && trap.frame.vector == 13,
	      "a non-canonical base is #GP", "%u traps", trap.count);
	check(rdmsr(MSR_NONE, &v) == 1 && trap.frame.vector == 13,
	      "rdmsr of an MSR that is none is #GP", "%u traps", trap.count);
	check(wrmsr(MSR_NONE, 0) == 1 && trap.frame.vector == 13,
	      "wrmsr of an MSR that is none is #GP", "%u traps", trap.count);
	check_eq("... at the instruction",
		 trap.frame.rip >= trap_from && trap.frame.rip <= trap_from + 8, 1);
}

static unsigned in_379(void)
{
	TRY("mov $0x379, %%edx\n\tin %%dx, %%al", : : : TRY_CLOBBERS, "rdx");
	return trap.count;
}

static void check_gp(const char *name, unsigned traps)
{
	check(traps == 1 && trap.frame.vector == 13, name, "%u traps, vector %lu", traps, trap.frame.vector);
}

static void test_io(void)
{
	static uint8_t ports[65536 / 8];
	struct physdev_set_iopl iopl = { .iopl = 0 };
	struct physdev_set_iobitmap map = { .nr_ports = 65536 };

	HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl);
	check_gp("in without I/O privilege is #GP", in_379());
	TRY("mov $0x379, %%edx\n\tout %%al, %%dx", : : : TRY_CLOBBERS, "rdx");
	check_gp("out too", trap.count);
	TRY("cli", : : : TRY_CLOBBERS);
	check_gp("... and cli", trap.count);
	memset(ports, 0xff, sizeof(ports));
	set_xen_guest_handle(map.bitmap, ports);
	check_eq("an I/O bitmap", HC2(physdev_op, PHYSDEVOP_set_iobitmap, &map), 0);
	check_gp("... that forbids the port", in_379());
	ports[0x379 / 8] &= (uint8_t)~(1u << 0x379 % 8);
	check_eq("... that allows it", in_379(), 0);
	map.nr_ports = 0;
	HC2(physdev_op, PHYSDEVOP_set_iobitmap, &map);
	check_gp("... that is gone", in_379());
	iopl.iopl = 1;
	HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl);
	check_eq("with it, in of no port of ours is harmless", in_379(), 0);
	TRY("mov $0x379, %%edx\n\tout %%al, %%dx", : : : TRY_CLOBBERS, "rdx");
	check_eq("... and out", trap.count, 0);
	upcalls_on();
	TRY("cli", : : : TRY_CLOBBERS);
	check_eq("cli is no trap", trap.count, 0);
	check_eq("... and does not mask upcalls", vcpu_info(0)->evtchn_upcall_mask, 0);
	TRY("sti", : : : TRY_CLOBBERS);
	check_eq("sti is no trap", trap.count, 0);
}

static void test_cr(void)
{
	uint64_t v = 0, hole = va_reserve(1);

	TRY("mov %%cr0, %[v]", : [v] "=r"(v) : : TRY_CLOBBERS);
	check(!trap.count && (v & 0x80010001) == 0x80010001,
	      "cr0 reads: paging, write protection, protected mode", "%u traps, 0x%lx", trap.count,
	      v);
	probe_read(hole + 0x123, NULL);
	TRY("mov %%cr2, %[v]", : [v] "=r"(v) : : TRY_CLOBBERS);
	check(!trap.count && v == hole + 0x123, "cr2 is the last fault's address",
	      "%u traps, 0x%lx", trap.count, v);
	TRY("mov %%cr3, %[v]", : [v] "=r"(v) : : TRY_CLOBBERS);
	check(!trap.count && (v & PTE_ADDR) / PAGE_SIZE == kernel_l4_mfn, "cr3 is the kernel's L4",
	      "%u traps, 0x%lx", trap.count, v);
	TRY("mov %%cr4, %[v]", : [v] "=r"(v) : : TRY_CLOBBERS);
	check(!trap.count && v & 0x20, "cr4 has PAE", "%u traps, 0x%lx", trap.count, v);
	TRY("mov %[v], %%cr4", : : [v] "r"(v) : TRY_CLOBBERS);
	check_eq("cr4 takes what it has", trap.count, 0);
	v = kernel_l4_mfn * PAGE_SIZE;
	TRY("mov %[v], %%cr3", : : [v] "r"(v) : TRY_CLOBBERS);
	check_eq("cr3 takes the kernel's L4", trap.count, 0);
	TRY("clts", : : : TRY_CLOBBERS);
	check_eq("clts is no trap", trap.count, 0);
}

static void test_dr(void)
{
	uint64_t v = 0;

	TRY("mov %[v], %%dr0", : : [v] "r"(UINT64_C(0x12345000)) : TRY_CLOBBERS);
	check_eq("dr0 is written", trap.count, 0);
	TRY("mov %%dr0, %[v]", : [v] "=r"(v) : : TRY_CLOBBERS);
	check(!trap.count && v == 0x12345000, "... and read", "%u traps, 0x%lx", trap.count, v);
	check_eq("... the hypercall reads the same", HC1(get_debugreg, 0), 0x12345000);
	check_eq("set_debugreg", HC2(set_debugreg, 1, 0x54321000), 0);
	check_eq("... is read back", HC1(get_debugreg, 1), 0x54321000);
	check((long)HC2(set_debugreg, 0, UINT64_C(0xffff820000000000)) < 0,
	      "a breakpoint in the hypervisor is refused", "taken");
	check((long)HC2(set_debugreg, 8, 0) < 0, "there is no dr8", "taken");
}

static void test_tsc(void)
{
	uint64_t a = rdtsc(), b;
	uint32_t aux;

	b = rdtsc();
	check(b >= a, "rdtsc goes on", "%lu to %lu", a, b);
	if (cpuid_forced(0x80000001, 0).d & 1 << 27) {
		TRY("rdtscp\n\tmov %%ecx, %[aux]",
		    : [aux] "=m"(aux)
		    :
		    : TRY_CLOBBERS, "rcx", "rdx");
		check_eq("rdtscp", trap.count, 0);
	} else {
		skip("rdtscp", "this CPU has none");
	}
}

static void test_fpu(void)
{
	check_eq("fpu_taskswitch", HC1(fpu_taskswitch, 1), 0);
	TRY("fnop", : : : TRY_CLOBBERS);
	if (!trap.count) {
		skip("the FPU traps after fpu_taskswitch(1)", "this host raises no #NM");
	} else {
		check_trap("the FPU traps after fpu_taskswitch(1)", 7, 0);
		TRY("fnop", : : : TRY_CLOBBERS);
		check_eq("... once", trap.count, 0);
	}
	check_eq("fpu_taskswitch off", HC1(fpu_taskswitch, 0), 0);
	TRY("fnop", : : : TRY_CLOBBERS);
	check_eq("... the FPU does not trap", trap.count, 0);
}

static void test_registers_kept(void)
{
	static uint64_t in[2] = { 0x0123456789abcdef, 0xfedcba9876543210 }, out[2];

	__asm__ volatile("movdqu %0, %%xmm7" : : "m"(in));
	for (unsigned i = 0; i < 50; i++) {
		hc_sched_op(SCHEDOP_yield, NULL);
		TRY("ud2", : : : TRY_CLOBBERS);
	}
	upcalls_off(); /* block opens them; the timer must not be over before that */
	HC1(set_timer_op, system_time() + 5000000);
	hc_sched_op(SCHEDOP_block, NULL);
	__asm__ volatile("movdqu %%xmm7, %0" : "=m"(out));
	check(out[0] == in[0] && out[1] == in[1],
	      "vector registers survive traps, hypercalls and sleep", "0x%lx 0x%lx", out[0],
	      out[1]);
}

static void test_refused(void)
{
	static const uint64_t table[2];

	TRY("lgdt %[t]", : : [t] "m"(table) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 13, "lgdt is #GP", "%u traps", trap.count);
	TRY("ltr %w[s]", : : [s] "r"(0) : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 13, "ltr is #GP", "%u traps", trap.count);
	TRY("swapgs", : : : TRY_CLOBBERS);
	check(trap.count == 1 && trap.frame.vector == 13, "swapgs is #GP", "%u traps", trap.count);
	TRY("invlpg (%[p])", : : [p] "r"(table) : TRY_CLOBBERS);
	check(trap.count <= 1, "invlpg is emulated or #GP", "%u traps", trap.count);
}

/* They read what belongs to the machine, but programs use them, so they must not trap; what they tell is nobody's. */
USER_CODE_BLOCK(u_tables, "sub $64, %rsp\n sgdt (%rsp)\n sidt 16(%rsp)\n smsw %eax\n str %ebx\n sldt %ecx\n"
			  "smsw 32(%rsp)\n mov 32(%rsp), %dx\n ud2");

static void test_tables(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdt = { 0xffff, 1 }, idt = { 0xffff, 1 };
	uint64_t msw = 0, tr = ~UINT64_C(0);

	TRY("sgdt %0\n\tsidt %1\n\tsmsw %2\n\tstr %k3", : "+m"(gdt), "+m"(idt), "+r"(msw), "+r"(tr) : : TRY_CLOBBERS);
	check_eq("SGDT, SIDT, SMSW and STR do not trap", trap.count, 0);
	check((msw & 0x21) == 0x21, "... protected mode, as CR0 has it", "0x%lx", msw);
	check(gdt.base != 1 && idt.base != 1 && tr <= 0xffff, "... and give something", "gdt 0x%lx idt 0x%lx tr 0x%lx",
	      gdt.base, idt.base, tr);
	USER_RUN(u_tables, 0);
	check_eq("nor do they in user mode", user_exit.vector, 6);
	check((user_exit.rax & 0x21) == 0x21 && (user_exit.rdx & 0xffff) == (user_exit.rax & 0xffff),
	      "... the same in memory as in a register", "0x%lx 0x%lx", user_exit.rax, user_exit.rdx);
}

void guest_main(void)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };

	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	hc_event_channel_op(EVTCHNOP_bind_virq, &virq);
	event_unmask(virq.port);
	test_cpuid();
	test_xsave();
	test_msr();
	test_io();
	test_cr();
	test_dr();
	test_tsc();
	test_fpu();
	test_registers_kept();
	test_refused();
	user_init();
	test_tables();
}
