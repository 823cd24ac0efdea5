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

EXPOSED struct percpu cpu0 = { .self = &cpu0 };

void metal_start(uint64_t info, unsigned door);

/* Deeper than any stack, so that it ends on the guard page. */
__attribute__((noinline)) uint64_t overrun_stack(uint64_t depth)
{
	volatile uint64_t here[64] = { depth };

	return depth == 1000000 ? here[0] : overrun_stack(depth + 1) + here[0];
}

/* Lower addresses are the guests': with none running there is nothing. */
__attribute__((noinline)) static uint64_t read_nothing(void)
{
	return *(volatile uint64_t *)(uintptr_t)0x1000;
}

static void check_cpu(void)
{
	static const struct {
		uint32_t leaf;
		unsigned reg, bit;
		const char *name;
	} needed[] = {
		{ 1, 3, 0, "FPU" }, { 1, 3, 4, "TSC" }, { 1, 3, 5, "MSR" }, { 1, 3, 9, "APIC" },
		{ 1, 3, 11, "SYSENTER" }, { 1, 3, 13, "PGE" }, { 1, 3, 24, "FXSR" }, { 1, 3, 25, "SSE" }, { 1, 3, 26, "SSE2" },
		{ 1, 2, 13, "CMPXCHG16B" }, { 0x80000001, 3, 11, "SYSCALL" },
	};
	uint32_t r[4];

	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
		cpuid(needed[i].leaf, 0, r);
		if (!(r[needed[i].reg] >> needed[i].bit & 1))
			refuse("this CPU has no %s", needed[i].name);
	}
}

void metal_start(uint64_t info, unsigned door)
{
	msr_write(MSR_GS_BASE, (uintptr_t)&cpu0);
	serial_init();
	boot_info_init(door, info);
	screen_init(door);
	cmdline_parse(boot_info.cmdline);
	check_cpu();
	acpi_init();
	power_init();
	clock_find();
	ioapic_find();
	smp_find();
	memory_init();
	protection_init();
	alternatives_apply();
	paging_init();
	power_map();
	screen_map();
	descriptors_init();
	protect_cpu();
	fpu_init();
	apic_init();
	ioapic_init();
	clock_init();
	smp_start();
	metal_info.frames = memory_frames();
	xlog(LOG_INFO, "started by %s: %llu MiB up to the last frame, TSC %u kHz", boot_info.door,
	     (unsigned long long)metal_info.frames >> 8, metal_info.tsc_khz);
	if (core_init())
		refuse("the core cannot start in this machine: it needs more memory");
	if (test_panic == TEST_STACK)
		xlog(LOG_ERROR, "still here: %llu", (unsigned long long)overrun_stack(1));
	if (test_panic == TEST_FAULT)
		xlog(LOG_ERROR, "still here: %llu", (unsigned long long)read_nothing());
	if (test_panic == TEST_TABLES)
		paging_damage();
	if (check_tables && paging_check())
		plat_panic("the page tables are wrong");
	domains_start();
	xlog(LOG_INFO, "the first guest starts, TSC at %llu ms",
	     (unsigned long long)(tsc_read() / metal_info.tsc_khz));
	milestones.first_instruction = tsc_read();
	serial_interrupts();
	smp_go();
	core_cpu_loop();
	plat_panic("the core's loop has ended");
}
