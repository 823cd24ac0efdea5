/* SPDX-License-Identifier: MIT */
/* Descriptor tables and segment bases: what may be loaded, what it does, what is refused. */
#include "guest.h"

const char guest_topic[] = "segments";

#define LOW_VA   UINT64_C(0x10000000) /* a data segment's base has 32 bits */
#define DESC_DATA UINT64_C(0x00cff2000000ffff) /* 4 GiB, DPL 3, writable, present */
#define DESC_CODE64 UINT64_C(0x00affa000000ffff)
#define DESC_CODE32 UINT64_C(0x00cffa000000ffff)
/*
 * From 20 up: the numbers below are those of hosts' own descriptors, which a host may let through.
 */
#define SEL(n)     ((n) << 3 | 3)
#define SEL_LDT(n) ((n) << 3 | 7)

static uint64_t *gdt, *ldt, *low;
static uint64_t gdt_mfn;

static uint64_t with_base(uint64_t desc, uint32_t base)
{
	return desc | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
}

static long update_descriptor(const uint64_t *slot, uint64_t desc)
{
	return HC2(update_descriptor,
		   virt_to_mfn(slot) * PAGE_SIZE | ((uint64_t)slot & (PAGE_SIZE - 1)), desc);
}

static uint64_t read_fs(void)
{
	uint64_t v;

	__asm__ volatile("mov %%fs:0, %0" : "=r"(v));
	return v;
}

static void load_fs(uint16_t sel)
{
	TRY("mov %[sel], %%fs", : : [sel] "r"((uint32_t)sel) : TRY_CLOBBERS);
}

static void test_gdt(void)
{
	uint64_t writable = virt_to_mfn(page_alloc());

	check(HC2(set_gdt, &writable, 512) < 0, "a page mapped writable is no GDT", "taken");
	check_eq("a GDT from nowhere", HC2(set_gdt, va_reserve(1), 512), (uint64_t)-XEN_EFAULT);
	check_eq("a GDT too large", HC2(set_gdt, &gdt_mfn, 512 * 14 + 1), (uint64_t)-XEN_EINVAL);
	gdt[21] = with_base(DESC_DATA, (uint32_t)LOW_VA);
	gdt[22] = with_base(DESC_DATA, (uint32_t)LOW_VA + 64);
	gdt[23] = DESC_CODE64;
	gdt[24] = with_base(DESC_DATA, (uint32_t)LOW_VA) & ~(UINT64_C(1) << 47); /* not present */
	protect(gdt, PTE_LEAF);
	check_eq("set_gdt", HC2(set_gdt, &gdt_mfn, 512), 0);
	check(protect(gdt, PTE_LEAF | PTE_RW) < 0, "... its page cannot be mapped writable",
	      "mapped");
	load_fs(SEL(21));
	check_eq("a selector is loaded", trap.count, 0);
	check_eq("... and has its base", read_fs(), 0x1010);
	load_fs(SEL(22));
	check_eq("another one", read_fs(), 0x2020);
	load_fs(SEL(24));
	check_trap("a descriptor that is not present is #NP(selector)", 11, SEL(24) & ~3);
	load_fs(SEL(100));
	check_trap("an empty descriptor is #GP(selector)", 13, SEL(100) & ~3);
	load_fs(SEL_LDT(1));
	check_trap("an LDT selector without an LDT is #GP(selector)", 13, SEL_LDT(1) & ~3);
	load_fs(0);
	check_eq("the null selector is fine", trap.count, 0);
}

static void test_update(void)
{
	check_eq("update_descriptor",
		 update_descriptor(&gdt[25], with_base(DESC_DATA, (uint32_t)LOW_VA + 64)), 0);
	check_eq("... is stored", gdt[25] & ~(UINT64_C(1) << 40),
		 with_base(DESC_DATA, (uint32_t)LOW_VA + 64));
	load_fs(SEL(25));
	check(!trap.count && read_fs() == 0x2020, "... and used", "%u traps", trap.count);
	check_eq("... changed", update_descriptor(&gdt[25], with_base(DESC_DATA, (uint32_t)LOW_VA)),
		 0);
	load_fs(SEL(25));
	check(!trap.count && read_fs() == 0x1010, "... and used", "%u traps", trap.count);
	check_eq("... emptied", update_descriptor(&gdt[25], 0), 0);
	load_fs(SEL(25));
	check_trap("... and gone", 13, SEL(25) & ~3);
	check(update_descriptor(&gdt[26], UINT64_C(0x00008e0000000000)) < 0,
	      "an interrupt gate is refused", "stored");
	check(update_descriptor(&gdt[26], UINT64_C(0x0000890000000067)) < 0,
	      "a task-state segment is refused", "stored");
	check(update_descriptor(&gdt[26], UINT64_C(0x0000820000000fff)) < 0,
	      "an LDT descriptor is refused", "stored");
	check_eq("... nothing is stored", gdt[26], 0);
	check(update_descriptor(&gdt[26], UINT64_C(0x00cf92000000ffff)) < 0 ||
		      (gdt[26] >> 45 & 3) == 3,
	      "a ring 0 data segment is refused or lowered", "0x%lx", gdt[26]);
	update_descriptor(&gdt[26], 0);
	check(update_descriptor(kernel_l4, DESC_DATA) < 0, "a page table is no descriptor page",
	      "stored");
}

static void test_bad_page(void)
{
	uint64_t *page = page_alloc(), mfn = virt_to_mfn(page);

	page[7] = UINT64_C(0x0000ee0000000000); /* an interrupt gate of DPL 3 */
	protect(page, PTE_LEAF);
	check(HC2(set_gdt, &mfn, 512) < 0, "a GDT with a gate in it is refused", "taken");
	load_fs(SEL(21));
	check(!trap.count && read_fs() == 0x1010, "... the old one is still there", "%u traps",
	      trap.count);
	check_eq("... and the page is free", protect(page, PTE_LEAF | PTE_RW), 0);
}

static void test_ldt(void)
{
	ldt[0] = 0;
	ldt[1] = with_base(DESC_DATA, (uint32_t)LOW_VA);
	ldt[511] = with_base(DESC_DATA, (uint32_t)LOW_VA + 64);
	protect(ldt, PTE_LEAF);
	check_eq("SET_LDT", mmuext(MMUEXT_SET_LDT, (uint64_t)ldt, 512), 0);
	load_fs(SEL_LDT(1));
	check_eq("an LDT selector is loaded", trap.count, 0);
	check_eq("... and has its base", trap.count ? 0 : read_fs(), 0x1010);
	load_fs(SEL_LDT(511));
	check_eq("the last one too", trap.count ? 0 : read_fs(), 0x2020);
	load_fs(SEL_LDT(2));
	check_trap("an empty one is #GP(selector)", 13, SEL_LDT(2) & ~3);
	check_eq("update_descriptor in the LDT",
		 update_descriptor(&ldt[2], with_base(DESC_DATA, (uint32_t)LOW_VA)), 0);
	load_fs(SEL_LDT(2));
	check_eq("... is used", trap.count ? 0 : read_fs(), 0x1010);
	load_fs(0);
	check(protect(ldt, PTE_LEAF | PTE_RW) < 0, "the LDT's page cannot be mapped writable",
	      "mapped");
	check(mmuext(MMUEXT_SET_LDT, (uint64_t)ldt + 1, 512) < 0, "an LDT across pages is refused",
	      "taken");
	check(mmuext(MMUEXT_SET_LDT, (uint64_t)ldt, 8193) < 0, "an LDT too large is refused",
	      "taken");
	check_eq("no LDT", mmuext(MMUEXT_SET_LDT, 0, 0), 0);
	load_fs(SEL_LDT(1));
	check_trap("... its selectors are gone", 13, SEL_LDT(1) & ~3);
	check_eq("... and its page is free", protect(ldt, PTE_LEAF | PTE_RW), 0);
}

static void test_bases(void)
{
	uint64_t v;

	check_eq("set_segment_base fs", HC2(set_segment_base, SEGBASE_FS, low), 0);
	check_eq("... is used", read_fs(), 0x1010);
	check_eq("set_segment_base gs kernel", HC2(set_segment_base, SEGBASE_GS_KERNEL, low + 8),
		 0);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(v));
	check_eq("... is used", v, 0x2020);
	check_eq("a non-canonical base is refused",
		 HC2(set_segment_base, SEGBASE_FS, UINT64_C(1) << 62), (uint64_t)-XEN_EINVAL);
	check_eq("an unknown base is refused", HC2(set_segment_base, 99, 0), (uint64_t)-XEN_EINVAL);
	HC2(xen_version, 0, 0);
	check_eq("bases survive hypercalls", read_fs(), 0x1010);
	TRY("ud2", : : : TRY_CLOBBERS);
	check_eq("... and traps", read_fs(), 0x1010);
	delay(20000000);
	hc_sched_op(SCHEDOP_yield, NULL);
	check_eq("... and time", read_fs(), 0x1010);
	check_eq("gs user by selector", HC2(set_segment_base, SEGBASE_GS_USER_SEL, SEL(21)), 0);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(v));
	check_eq("... leaves the kernel's gs base", v, 0x2020);
}

static void test_code(void)
{
	uint64_t cs = 0;

	/* A code segment of our own: far return there and look. */
	TRY("push %[sel]\n\tlea 1f(%%rip), %%rdx\n\tpush %%rdx\n\tlretq\n1:\tmov %%cs, "
	    "%%edx\n\tmov %%rdx, %[cs]",
	    : [cs] "=m"(cs)
	    : [sel] "r"((uint64_t)SEL(23))
	    : TRY_CLOBBERS, "rdx");
	check(!trap.count && (cs == SEL(23) || cs == 0x33),
	      "code runs on a descriptor of ours, whatever the host shows", "%u traps, cs 0x%lx",
	      trap.count, cs);
	TRY("ud2", : : : TRY_CLOBBERS);
	check(trap.count == 1, "... and traps from it arrive", "%u", trap.count);
	TRY("push $0x1230\n\tlea 9f(%%rip), %%rdx\n\tpush %%rdx\n\tlretq",
	    :
	    :
	    : TRY_CLOBBERS, "rdx");
	check(trap.count == 1 && trap.frame.vector == 13 && trap.frame.error == 0x1230,
	      "a far return to nothing is #GP", "%u traps, vector %lu error 0x%lx", trap.count,
	      trap.frame.vector, trap.frame.error);
}

void guest_main(void)
{
	gdt = page_alloc();
	ldt = page_alloc();
	low = page_alloc();
	low[0] = 0x1010;
	low[8] = 0x2020;
	gdt_mfn = virt_to_mfn(gdt);
	map_page(LOW_VA, virt_to_mfn(low) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	test_gdt();
	test_update();
	test_bad_page();
	test_ldt();
	low = (uint64_t *)LOW_VA;
	test_bases();
	test_code();
	check_eq("the GDT can be given up", HC2(set_gdt, NULL, 0), 0);
}
