/* SPDX-License-Identifier: MIT */
/*
 * From the door to the first guest:
 *
 *	serial line -> what the loader told -> which CPU -> memory -> page tables -> descriptor tables
 *	-> APIC and clock -> the core -> the domains of the boot bundles -> the core's loop
 */
#include <xenopus/core.h>
#include "acpi.h"
#include "bundle.h"
#include "metal.h"

static struct percpu cpu0 = { .self = &cpu0 };

void metal_start(uint64_t info, unsigned door);

/* Deeper than any stack, so that it ends on the guard page. */
__attribute__((noinline)) static uint64_t overrun_stack(uint64_t depth)
{
	volatile uint64_t here[64] = { depth };

	return depth == 1000000 ? here[0] : overrun_stack(depth + 1) + here[0];
}

static void check_cpu(void)
{
	static const struct {
		uint32_t leaf;
		unsigned reg, bit;
		const char *name;
	} needed[] = {
		{ 1, 3, 0, "FPU" }, { 1, 3, 4, "TSC" }, { 1, 3, 5, "MSR" }, { 1, 3, 9, "APIC" },
		{ 1, 3, 11, "SYSENTER" }, { 1, 3, 13, "PGE" }, { 1, 3, 24, "FXSR" }, { 1, 3, 26, "SSE2" },
		{ 1, 2, 13, "CMPXCHG16B" }, { 0x80000001, 3, 11, "SYSCALL" },
	};
	uint32_t r[4];

	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
		cpuid(needed[i].leaf, 0, r);
		if (!(r[needed[i].reg] >> needed[i].bit & 1))
			refuse("this CPU has no %s", needed[i].name);
	}
}

/*
 * QEMU's emulation reads the stack of an IRETQ in ring 3 as ring 0 would, and SMAP then forbids it; PV kernels return
 * by such IRETQs.
 */
static bool emulated_by_tcg(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1u << 31))
		return false;
	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354; /* "TCGT" */
}

/* Guests may use FSGSBASE; ring 0 may neither run nor, by accident, read what belongs to ring 3. */
static void protect_cpu(void)
{
	uint32_t r[4];
	uint64_t cr4 = CR4_DE | CR4_PAE | CR4_MCE | (cr4_read() & CR4_PGE);

	cpuid(0, 0, r);
	if (r[0] >= 7) {
		cpuid(7, 0, r);
		cr4 |= r[1] & 1 ? CR4_FSGSBASE : 0;
		cr4 |= (r[1] >> 7 & 1) && !no_smep ? CR4_SMEP : 0;
		cr4 |= (r[1] >> 20 & 1) && !no_smap && !emulated_by_tcg() ? CR4_SMAP : 0;
	}
	cr4_write(cr4);
	cr0_write(cr0_read() | CR0_WP | CR0_AM);
	xlog(LOG_INFO, "CPU protection: NX%s%s", cr4 & CR4_SMEP ? " SMEP" : "", cr4 & CR4_SMAP ? " SMAP" : "");
}

void metal_start(uint64_t info, unsigned door)
{
	msr_write(MSR_GS_BASE, (uintptr_t)&cpu0);
	serial_init();
	boot_info_init(door, info);
	cmdline_parse(boot_info.cmdline);
	check_cpu();
	acpi_init();
	power_init();
	clock_find();
	ioapic_find();
	memory_init();
	paging_init();
	power_map();
	descriptors_init();
	protect_cpu();
	fpu_init();
	apic_init();
	ioapic_init();
	clock_init();
	memory_scrub();
	metal_info.frames = memory_frames();
	xlog(LOG_INFO, "started by %s: %llu MiB up to the last frame, TSC %u kHz", boot_info.door,
	     (unsigned long long)metal_info.frames >> 8, metal_info.tsc_khz);
	if (core_init())
		refuse("the core cannot start in this machine: it needs more memory");
	if (test_panic)
		xlog(LOG_ERROR, "still here: %llu", (unsigned long long)overrun_stack(1));
	domains_start();
	xlog(LOG_INFO, "the first guest starts, TSC at %llu ms",
	     (unsigned long long)(tsc_read() / metal_info.tsc_khz));
	milestones.first_instruction = tsc_read();
	serial_interrupts();
	core_cpu_loop();
	plat_panic("the core's loop has ended");
}
