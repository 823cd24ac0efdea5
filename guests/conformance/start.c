/* SPDX-License-Identifier: MIT */
/*
 * Start of day: registers, start_info, the initial mapping, P2M and M2P, and the hypercall page
 * (xen/xen.h, "Start-of-day memory layout").
 */
#include "guest.h"

const char guest_topic[] = "start";

extern char hypercall_page[];

static long call_page(unsigned nr, uint64_t a1, uint64_t a2)
{
	long ret;

	/* The page's code keeps rcx and r11 (xen-x86_64.h names neither as lost). */
	__asm__ volatile("call *%[fn]"
			 : "=a"(ret), "+D"(a1), "+S"(a2)
			 : [fn] "r"(hypercall_page + nr * 32)
			 : "memory", "cc", "rcx", "r11", "rdx", "r8", "r9", "r10");
	return ret;
}

static void test_registers(void)
{
	if (boot_selectors[0] == 0x33 && boot_selectors[1] == 0x2b) {
		skip("cs and ss are the flat kernel segments",
		     "this host shows user code its own selectors");
	} else {
		check_eq("cs is the flat kernel segment", boot_selectors[0], FLAT_KERNEL_CS);
		check_eq("ss is the flat kernel segment", boot_selectors[1], FLAT_KERNEL_SS);
	}
	check(boot_rsp == start_info->pt_base + (start_info->nr_pt_frames + 1) * PAGE_SIZE,
	      "rsp is the end of the page behind the page tables",
	      "rsp 0x%lx, tables 0x%lx + %lu pages", boot_rsp, start_info->pt_base,
	      start_info->nr_pt_frames);
	check(boot_rflags & RFLAGS_IF, "rflags.IF is set", "rflags 0x%lx", boot_rflags);
	check_eq("upcalls are masked", vcpu_info(0)->evtchn_upcall_mask, 1);
}

static void test_start_info(void)
{
	check(!memcmp(start_info->magic, "xen-3.", 6), "magic", "'%s'", start_info->magic);
	check(start_info->nr_pages >= 1024, "nr_pages", "%lu", start_info->nr_pages);
	check(!((uint64_t)start_info & (PAGE_SIZE - 1)), "start_info is a page", "at %p",
	      (void *)start_info);
	check(!(start_info->shared_info & (PAGE_SIZE - 1)) && start_info->shared_info,
	      "shared_info is a frame", "0x%lx", start_info->shared_info);
	check((uint64_t)start_info > start_info->mfn_list || start_info->mfn_list < VIRT_BASE,
	      "P2M list before start_info", "0x%lx", start_info->mfn_list);
	check(start_info->pt_base > (uint64_t)start_info, "page tables behind start_info", "0x%lx",
	      start_info->pt_base);
}

static void test_initrd(void)
{
	if (!start_info->mod_len) {
		skip("the initrd", "none is given");
		return;
	}
	check(!(start_info->flags & SIF_MOD_START_PFN) && start_info->mod_start >= (uint64_t)_end &&
		      start_info->mod_start < start_info->mfn_list,
	      "the initrd is mapped behind the kernel", "0x%lx, flags 0x%x", start_info->mod_start,
	      start_info->flags);
	check(!memcmp((void *)start_info->mod_start, "\177ELF", 4), "... it is what was given",
	      "0x%x", *(uint32_t *)start_info->mod_start);
}

static void test_mapping(void)
{
	uint64_t end = (start_info->pt_base + (start_info->nr_pt_frames + 1) * PAGE_SIZE +
			(512 << 10) + (4 << 20) - 1) &
		       ~((UINT64_C(4) << 20) - 1);
	unsigned bad_frame = 0, bad_rw = 0, bad_m2p = 0;

	for (uint64_t va = VIRT_BASE; va < end; va += PAGE_SIZE) {
		uint64_t *e = pte_of(va, 1), pfn = (va - VIRT_BASE) / PAGE_SIZE, mfn = p2m[pfn];
		bool table = va >= start_info->pt_base &&
			     va < start_info->pt_base + start_info->nr_pt_frames * PAGE_SIZE;

		if (va == (uint64_t)shared)
			continue;
		if (!e || !(*e & PTE_P) || (*e & PTE_ADDR) / PAGE_SIZE != mfn)
			bad_frame++;
		else if (!(*e & PTE_RW) != table)
			bad_rw++;
		if (*m2p_entry(mfn) != pfn)
			bad_m2p++;
	}
	check(!bad_frame, "the region is pfn 0 upwards, to a 4 MiB boundary", "%u pages are not",
	      bad_frame);
	check(!bad_rw, "only the page tables are read-only", "%u pages differ", bad_rw);
	check(!bad_m2p, "M2P is the inverse of P2M", "%u pages differ", bad_m2p);
	check_eq("the bootstrap tables cannot be written", probe_write(start_info->pt_base + 8, 0),
		 14);
}

static void test_hypercall_page(void)
{
	struct frame f;
	long version = HC2(xen_version, XENVER_version, 0);

	check(version >> 16 == 4, "xen_version by syscall", "0x%lx", version);
	check_eq("the same through the hypercall page",
		 call_page(__HYPERVISOR_xen_version, XENVER_version, 0), version);
	check_eq("an unknown number is ENOSYS", call_page(63, 0, 0), (uint64_t)-XEN_ENOSYS);

	/* iret: jump to its slot with rcx, r11, rax still live; the slot pushes them. */
	memset(&f, 0, sizeof(f));
	TRY("mov %%rsp, %%rdx\n\t"
	    "push $0xe02b\n\tpush %%rdx\n\tpushfq\n\tpush $0xe033 & ~3\n\t"
	    "lea 7f(%%rip), %%rdx\n\tpush %%rdx\n\tpush $0\n\t"
	    "mov $0x1111, %%ecx\n\tmov $0x2222, %%r11d\n\tmov $0x3333, %%eax\n\tjmp *%[slot]\n"
	    "7:\tmov %%rcx, %[rcx]\n\tmov %%r11, %[r11]\n\tmov %%rax, %[rax]",
	    : [rcx] "=m"(f.rcx), [r11] "=m"(f.r11), [rax] "=m"(f.rax)
	    : [slot] "r"(hypercall_page + __HYPERVISOR_iret * 32)
	    : TRY_CLOBBERS, "rcx", "rdx", "r11");
	check(!trap.count && f.rcx == 0x1111 && f.r11 == 0x2222 && f.rax == 0x3333,
	      "the iret slot returns with every register",
	      "traps %u, rcx 0x%lx r11 0x%lx rax 0x%lx", trap.count, f.rcx, f.r11, f.rax);
}

void guest_main(void)
{
	test_registers();
	test_start_info();
	test_initrd();
	test_mapping();
	test_hypercall_page();
}
