/* SPDX-License-Identifier: MIT */
/*
 * Start of day of a kernel that, as Linux, wants its P2M list elsewhere (INIT_P2M) and takes an
 * initrd that is not mapped (MOD_START_PFN). The initrd, if there is one, is an ELF file: the tests
 * give this very kernel.
 */
#include "guest.h"

const char guest_topic[] = "placement";

#define INIT_P2M UINT64_C(0x8000000000)

/* The list's page tables are not in the initial mapping: look at them through a window. */
static uint64_t entry_of(uint64_t va)
{
	static uint64_t window;
	uint64_t e = kernel_l4[va >> 39 & 511];

	if (!window)
		window = va_reserve(1);
	for (unsigned level = 3; level; level--) {
		hc_update_va_mapping(window, (e & PTE_ADDR) | PTE_LEAF, UVMF_INVLPG);
		e = ((volatile uint64_t *)window)[va >> (12 + 9 * (level - 1)) & 511];
		if (!(e & PTE_P))
			return 0;
	}
	return e;
}

static void test_p2m(void)
{
	uint64_t pages = (start_info->nr_pages * 8 + PAGE_SIZE - 1) / PAGE_SIZE, wrong = 0,
		 writable = 0;

	check_eq("the P2M list is at INIT_P2M", start_info->mfn_list, INIT_P2M);
	for (uint64_t pfn = 0; pfn < start_info->nr_pages; pfn++)
		wrong += *m2p_entry(p2m[pfn]) != pfn;
	check(!wrong, "M2P is its inverse", "%lu frames differ", wrong);
	check(start_info->nr_p2m_frames >= pages + 3, "its frames are told: list and tables",
	      "%lu, the list has %lu", start_info->nr_p2m_frames, pages);
	wrong = 0;
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t e = entry_of(INIT_P2M + i * PAGE_SIZE);
		uint64_t pfn = *m2p_entry((e & PTE_ADDR) / PAGE_SIZE);

		wrong += pfn < start_info->first_p2m_pfn ||
			 pfn >= start_info->first_p2m_pfn + start_info->nr_p2m_frames;
		writable += !!(e & PTE_RW);
	}
	check(!wrong, "it lies in the frames told", "%lu do not", wrong);
	check_eq("it is writable", writable, pages);
}

static void test_initrd(void)
{
	uint64_t va = va_reserve(1), size, pfn = start_info->mod_start;

	if (!start_info->mod_len) {
		skip("the initrd", "none is given");
		return;
	}
	check(start_info->flags & SIF_MOD_START_PFN, "the initrd is told by frame number",
	      "flags 0x%x", start_info->flags);
	size = (start_info->mod_len + PAGE_SIZE - 1) / PAGE_SIZE;
	check(pfn + size <= start_info->nr_pages, "... in this domain's memory", "frame 0x%lx",
	      pfn);
	map_page(va, p2m[pfn] * PAGE_SIZE | PTE_LEAF);
	check(!memcmp((void *)va, "\177ELF", 4), "... it is what was given", "0x%x",
	      *(uint32_t *)va);
	check(pfn >= start_info->first_p2m_pfn + start_info->nr_p2m_frames ||
		      pfn + size <= start_info->first_p2m_pfn,
	      "... apart from the P2M list", "frames 0x%lx and 0x%lx", pfn,
	      start_info->first_p2m_pfn);
	check(*pte_of(VIRT_BASE, 4) & PTE_P, "... the initial mapping is there", "no");
}

void guest_main(void)
{
	test_p2m();
	test_initrd();
}
