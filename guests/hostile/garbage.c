/* SPDX-License-Identifier: MIT */
/*
 * Page-table requests of random content by the thousand. Tables that keep this kernel alive are
 * left out, so that all of them are made; whatever is accepted must leave the hypervisor's accounts
 * in order.
 */
#include "hostile.h"

const char guest_topic[] = "garbage";

#define ROUNDS 4000

static uint64_t *scratch[4]; /* page tables of every level that nobody runs on */
static uint64_t *data;

static uint64_t some_entry(void)
{
	uint64_t flags = random64() & (PTE_NX | 0xfff);

	switch (random64() & 7) {
	case 0:
		return random_number();
	case 1:
		return 0;
	case 2:
		return virt_to_mfn(scratch[random64() & 3]) * PAGE_SIZE | flags;
	case 3:
		return virt_to_mfn(kernel_l4) * PAGE_SIZE | flags;
	case 4:
		return (random64() & 0xffff) * PAGE_SIZE | flags;
	default:
		return virt_to_mfn(data) * PAGE_SIZE | flags;
	}
}

static uint64_t some_place(void)
{
	uint64_t *table = scratch[random64() & 3];

	if ((random64() & 7) == 0)
		return random_number() & ~UINT64_C(1) & ~(virt_to_mfn(_text) * PAGE_SIZE);
	return virt_to_mfn(table) * PAGE_SIZE + (random64() & 0xff8) +
	       ((random64() & 15) ? 0 : random64() & 7);
}

/*
 * A place in this domain's own memory would overwrite the kernel, which is allowed; it is not what
 * is tested.
 */
static bool harmless(uint64_t ptr)
{
	uint64_t mfn = ptr / PAGE_SIZE;

	if ((ptr & 3) == MMU_MACHPHYS_UPDATE)
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (mfn == virt_to_mfn(scratch[i]))
			return true;
	for (uint64_t pfn = 0; pfn < start_info->nr_pages; pfn++)
		if (p2m[pfn] == mfn)
			return false;
	return true;
}

static void updates(void)
{
	unsigned done = 0, refused = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		mmu_update_t u = { some_place(), some_entry() };
		unsigned n = 0;

		if (!harmless(u.ptr))
			continue;
		if (hc_mmu_update(&u, 1, &n))
			refused++;
		else
			done++;
	}
	check(done && refused, "random mmu_updates are done or refused", "%u done, %u refused",
	      done, refused);
}

static void operations(void)
{
	static const unsigned cmds[] = {
		MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE,
		MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE,
		MMUEXT_UNPIN_TABLE,  MMUEXT_TLB_FLUSH_LOCAL,
		MMUEXT_INVLPG_LOCAL, MMUEXT_TLB_FLUSH_MULTI,
		MMUEXT_INVLPG_MULTI, 99,
	};
	unsigned done = 0, refused = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t mfn =
			random64() & 1 ? virt_to_mfn(scratch[random64() & 3]) : random_number();
		unsigned cmd = cmds[random64() % ARRAY_SIZE(cmds)];

		if (cmd == MMUEXT_UNPIN_TABLE && mfn == kernel_l4_mfn)
			continue;
		if (mmuext(cmd, mfn, random_number()))
			refused++;
		else
			done++;
	}
	check(done && refused, "random mmuext_ops are done or refused", "%u done, %u refused", done,
	      refused);
}

static void mappings(void)
{
	uint64_t va = va_reserve(16);
	unsigned done = 0, refused = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t where = random64() & 3 ? va + (random64() & 15) * PAGE_SIZE
						: random_number() & ((UINT64_C(1) << 47) - 1);

		if (hc_update_va_mapping(where, some_entry(), random_number()))
			refused++;
		else
			done++;
	}
	check(done && refused, "random update_va_mappings are done or refused",
	      "%u done, %u refused", done, refused);
	for (unsigned i = 0; i < 16; i++)
		hc_update_va_mapping(va + i * PAGE_SIZE, 0, UVMF_INVLPG);
}

void guest_main(void)
{
	data = page_alloc();
	for (unsigned i = 0; i < 4; i++) {
		scratch[i] = page_alloc();
		protect(scratch[i], PTE_LEAF);
		mmuext(MMUEXT_PIN_L1_TABLE + i, virt_to_mfn(scratch[i]), 0);
	}
	for (unsigned round = 0; round < 3; round++) {
		updates();
		operations();
		mappings();
	}
}
