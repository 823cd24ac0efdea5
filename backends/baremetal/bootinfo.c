/* SPDX-License-Identifier: MIT */
/*
 * What the loader tells, by either door, in one form: memory, modules, command line, where ACPI's tables are. Runs
 * on the tables of boot.S, which show the first 4 GiB; loaders put everything there.
 */
#include "metal.h"
#include <xen/arch-x86/hvm/start_info.h>

struct boot_info boot_info;

static void add_range(uint64_t start, uint64_t size, bool ram)
{
	struct boot_info *b = &boot_info;

	if (!size || start + size < start || start >= DIRECT_LIMIT)
		return;
	if (b->nr_ranges == MAX_RANGES) {
		xlog(LOG_WARN, "the memory map has more than %u ranges; the rest is not used", MAX_RANGES);
		return;
	}
	b->range[b->nr_ranges++] = (struct range){ start, min_t(uint64_t, start + size, DIRECT_LIMIT), ram };
}

static void add_module(uint64_t start, uint64_t size)
{
	struct boot_info *b = &boot_info;

	if (b->nr_modules == MAX_MODULES)
		refuse("more than %u modules", MAX_MODULES);
	b->module[b->nr_modules++] = (struct module){ start, size };
}

/* A structure of the loader's lies there: keep it until it has been read. */
static void keep(uint64_t start, uint64_t size)
{
	struct boot_info *b = &boot_info;

	if (!b->info_end || start < b->info_start)
		b->info_start = start;
	b->info_end = max_t(uint64_t, b->info_end, start + size);
}

static bool below_4g(uint64_t start, uint64_t size)
{
	return start < UINT64_C(1) << 32 && size <= (UINT64_C(1) << 32) - start;
}

static void from_pvh(uint64_t info)
{
	const struct hvm_start_info *si = phys_ptr(info);
	const struct hvm_memmap_table_entry *map;
	const struct hvm_modlist_entry *mod;

	boot_info.door = "PVH";
	if (si->magic != XEN_HVM_START_MAGIC_VALUE)
		refuse("PVH start info has magic %#x", si->magic);
	if (si->version < 1 || !si->memmap_entries)
		refuse("PVH start info of version %u without a memory map", si->version);
	keep(info, sizeof(*si));
	boot_info.rsdp = si->rsdp_paddr;
	if (si->cmdline_paddr && below_4g(si->cmdline_paddr, 1))
		xstrlcpy(boot_info.cmdline, phys_ptr(si->cmdline_paddr), sizeof(boot_info.cmdline));
	if (!below_4g(si->memmap_paddr, si->memmap_entries * sizeof(*map)) ||
	    !below_4g(si->modlist_paddr, si->nr_modules * sizeof(*mod)))
		refuse("PVH start info points beyond 4 GiB");
	map = phys_ptr(si->memmap_paddr);
	for (uint32_t i = 0; i < si->memmap_entries; i++)
		if (map[i].type == XEN_HVM_MEMMAP_TYPE_RAM || map[i].type == XEN_HVM_MEMMAP_TYPE_ACPI ||
		    map[i].type == XEN_HVM_MEMMAP_TYPE_NVS || map[i].addr < 0x100000)
			add_range(map[i].addr, map[i].size, map[i].type == XEN_HVM_MEMMAP_TYPE_RAM);
	mod = phys_ptr(si->modlist_paddr);
	for (uint32_t i = 0; i < si->nr_modules; i++)
		add_module(mod[i].paddr, mod[i].size);
}

/* Tags of the multiboot2 information structure (Multiboot2 Specification, 3.4). */
enum { MB2_END = 0, MB2_CMDLINE = 1, MB2_MODULE = 3, MB2_MMAP = 6, MB2_ACPI_OLD = 14, MB2_ACPI_NEW = 15 };

struct mb2_tag {
	uint32_t type, size;
	union {
		char string[1];
		struct {
			uint32_t start, end;
		} module;
		struct {
			uint32_t entry_size, entry_version;
			uint8_t entries[1];
		} mmap;
		uint8_t rsdp[1];
	};
};

struct mb2_mmap_entry {
	uint64_t addr, len;
	uint32_t type, zero;
};

static char saved_rsdp[36] __attribute__((aligned(16)));

static void from_mb2_tag(const struct mb2_tag *t)
{
	switch (t->type) {
	case MB2_CMDLINE:
		xstrlcpy(boot_info.cmdline, t->string, min_t(size_t, sizeof(boot_info.cmdline), t->size - 8));
		break;
	case MB2_MODULE:
		add_module(t->module.start, t->module.end - t->module.start);
		break;
	case MB2_MMAP:
		if (t->mmap.entry_size < sizeof(struct mb2_mmap_entry))
			refuse("multiboot2 memory map entries have %u bytes", t->mmap.entry_size);
		for (uint32_t at = 16; at + t->mmap.entry_size <= t->size; at += t->mmap.entry_size) {
			const struct mb2_mmap_entry *e = (const void *)((const char *)t + at);

			if (e->type == 1 || e->type == 3 || e->type == 4 || e->addr < 0x100000)
				add_range(e->addr, e->len, e->type == 1);
		}
		break;
	case MB2_ACPI_OLD:
	case MB2_ACPI_NEW:
		/* A copy of the pointer, not the pointer. The longer one comes last and wins. */
		memcpy(saved_rsdp, t->rsdp, min_t(size_t, sizeof(saved_rsdp), t->size - 8));
		boot_info.rsdp = (uintptr_t)saved_rsdp - IMAGE_VIRT;
		break;
	default:
		break;
	}
}

static void from_multiboot2(uint64_t info)
{
	uint32_t total = *(const uint32_t *)phys_ptr(info), at = 8;

	boot_info.door = "multiboot2";
	if (!below_4g(info, total) || total < 16)
		refuse("multiboot2 information of %u bytes", total);
	keep(info, total);
	while (at + 8 <= total) {
		const struct mb2_tag *t = phys_ptr(info + at);

		if (t->type == MB2_END)
			return;
		if (t->size < 8 || t->size > total - at)
			break;
		from_mb2_tag(t);
		at += (t->size + 7) & ~7u;
	}
	refuse("multiboot2 information has no end");
}

void boot_info_init(unsigned door, uint64_t info)
{
	if (door == DOOR_PVH)
		from_pvh(info);
	else
		from_multiboot2(info);
}
