/* SPDX-License-Identifier: MIT */
/*
 * Are the home's page tables what paging.c says they are? Walked as the processor walks them, nothing taken from how
 * they were built:
 *
 *	nothing for ring 3, nothing both writable and executable
 *	the image: text RX, constants R, data RW, nothing mapped behind a stack's end
 *	all memory: each page where it belongs, never executable, text and constants not writable there either
 *	what guests' tables show of it (xpti) is no more than what the hypervisor's show
 */
#include "metal.h"

/* Rights along the way from the L4 down; what an entry does not give, no later one gives back. */
struct rights {
	bool write, execute, user;
};

struct check {
	unsigned bad, leaves;
};

static bool inside(uint64_t va, const char *start, const char *end)
{
	return va >= (uintptr_t)start && va < (uintptr_t)end;
}

static void complain(struct check *c, uint64_t va, uint64_t e, const char *what)
{
	if (c->bad++ < 16)
		xlog(LOG_ERROR, "page tables: %#llx, entry %#llx: %s", (unsigned long long)va, (unsigned long long)e,
		     what);
}

static bool is_guard(uint64_t va)
{
	const char *const guards[] = { cpu0_stack_guard, cpu0_trap_stack_guard, cpu0_nmi_stack_guard,
				       cpu0_df_stack_guard, cpu0_mc_stack_guard, cpu0_db_stack_guard };

	for (unsigned i = 0; i < ARRAY_SIZE(guards); i++)
		if (va == (uintptr_t)guards[i])
			return true;
	return false;
}

static void check_image(struct check *c, uint64_t va, uint64_t e, struct rights r, uint64_t phys)
{
	if (!inside(va, image_text_start, image_end))
		complain(c, va, e, "nothing of the image is there");
	else if (is_guard(va))
		complain(c, va, e, "a stack has no guard page");
	else if (phys != va - IMAGE_VIRT)
		complain(c, va, e, "another page of the image belongs there");
	else if (r.execute != inside(va, image_text_start, image_rodata_start))
		complain(c, va, e, r.execute ? "executable, and no text" : "text that cannot be executed");
	else if (r.write != (va >= (uintptr_t)image_data_start))
		complain(c, va, e, r.write ? "writable, and no data" : "data that cannot be written");
}

static void check_direct(struct check *c, uint64_t va, uint64_t e, struct rights r, uint64_t phys, uint64_t size)
{
	uint64_t text = (uintptr_t)image_text_start - IMAGE_VIRT, data = (uintptr_t)image_data_start - IMAGE_VIRT;

	if (phys != va - DIRECT_VIRT)
		complain(c, va, e, "another page of the memory belongs there");
	if (r.execute)
		complain(c, va, e, "memory that can be executed");
	if (r.write && phys < data && phys + size > text)
		complain(c, va, e, "text or constants can be written here");
}

static void check_leaf(struct check *c, uint64_t va, uint64_t e, unsigned level, struct rights r)
{
	uint64_t size = UINT64_C(1) << (12 + 9 * (level - 1)), phys = e & PTE_ADDR & ~(size - 1);
	unsigned slot = pt_index(va, 4);

	c->leaves++;
	if (r.user)
		complain(c, va, e, "ring 3 may use it");
	if (r.write && r.execute)
		complain(c, va, e, "writable and executable");
	if (va >= CPU_VIRT && va < WINDOW_VIRT) {
		if (r.execute)
			complain(c, va, e, "a CPU's own memory that can be executed");
	} else if (slot == IMAGE_SLOT) {
		check_image(c, va, e, r, phys);
	} else if (slot == WINDOW_SLOT && r.execute) {
		complain(c, va, e, "a window or device that can be executed");
	} else if (slot >= DIRECT_SLOT) {
		check_direct(c, va, e, r, phys, size);
	} else if (slot < IMAGE_SLOT) {
		complain(c, va, e, "nothing of the hypervisor is there");
	}
}

static uint64_t canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16);
}

static void walk(struct check *c, const uint64_t *table, unsigned level, uint64_t base, struct rights r);

static void walk_entry(struct check *c, uint64_t e, unsigned level, uint64_t va, struct rights r)
{
	if (!(e & PTE_P))
		return;
	r.write &= !!(e & PTE_RW);
	r.execute &= !(e & PTE_NX);
	r.user &= !!(e & PTE_US);
	if (level == 1 || (e & PTE_PS))
		check_leaf(c, va, e, level, r);
	else
		walk(c, phys_ptr(e & PTE_ADDR), level - 1, va, r);
}

static void walk(struct check *c, const uint64_t *table, unsigned level, uint64_t base, struct rights r)
{
	for (unsigned i = 0; i < 512; i++)
		walk_entry(c, table[i], level, canonical(base | (uint64_t)i << (12 + 9 * (level - 1))), r);
}

unsigned paging_check(void)
{
	static const struct rights all = { true, true, true };
	struct check own = { 0 }, shown = { 0 };

	walk(&own, phys_ptr(idle_cr3()), 4, 0, all);
	/* Windows are a domain's own. */
	for (unsigned slot = IMAGE_SLOT; slot < 272; slot++)
		if (slot != WINDOW_SLOT)
			walk_entry(&shown, plat_root_slot(NULL, slot), 4, canonical((uint64_t)slot << 39), all);
	if (split_tables && shown.leaves >= own.leaves / 2)
		complain(&shown, 0, 0, "guests' tables show most of the hypervisor");
	if (!(cr0_read() & CR0_WP))
		complain(&own, 0, cr0_read(), "ring 0 may write what is read-only: CR0.WP is off");
	xlog(LOG_INFO, "page tables: %u entries, %u of them in guests' tables, %u wrong", own.leaves, shown.leaves,
	     own.bad + shown.bad);
	return own.bad + shown.bad;
}

void paging_damage(void)
{
	uint64_t *table = phys_ptr(idle_cr3()), va = (uintptr_t)image_text_start;

	for (unsigned level = 4; level > 1; level--)
		table = phys_ptr(table[pt_index(va, level)] & PTE_ADDR);
	table[pt_index(va, 1)] |= PTE_RW;
}
