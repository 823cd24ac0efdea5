/* SPDX-License-Identifier: MIT */
/*
 * What the loader tells, by whichever door, in one form: memory, modules, command line, the screen, where ACPI's
 * tables are. Runs on the tables of boot.S, which show the first 4 GiB; loaders put everything there. Nothing of the
 * loader's own structures is needed afterwards: they lie in memory that is in use soon.
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
	if (start >= DIRECT_LIMIT || size > DIRECT_LIMIT - start)
		refuse("module %u lies at %#llx, beyond what is mapped", b->nr_modules, (unsigned long long)start);
	b->module[b->nr_modules++] = (struct module){ start, size };
}

/* By multiboot's and the BIOS's numbers: 1 is RAM, 3 and 4 are ACPI's, which are mapped. The first MiB is, too. */
static void add_e820(uint64_t start, uint64_t size, uint32_t type)
{
	if (type == 1 || type == 3 || type == 4 || start < 0x100000)
		add_range(start, size, type == 1);
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
	boot_info.rsdp = si->rsdp_paddr;
	if (si->cmdline_paddr && below_4g(si->cmdline_paddr, 1))
		xstrlcpy(boot_info.cmdline, phys_ptr(si->cmdline_paddr), sizeof(boot_info.cmdline));
	if (!below_4g(si->memmap_paddr, si->memmap_entries * sizeof(*map)) ||
	    !below_4g(si->modlist_paddr, si->nr_modules * sizeof(*mod)))
		refuse("PVH start info points beyond 4 GiB");
	map = phys_ptr(si->memmap_paddr);
	for (uint32_t i = 0; i < si->memmap_entries; i++)
		add_e820(map[i].addr, map[i].size, map[i].type);
	mod = phys_ptr(si->modlist_paddr);
	for (uint32_t i = 0; i < si->nr_modules; i++)
		add_module(mod[i].paddr, mod[i].size);
}

/* Tags of the multiboot2 information structure (Multiboot2 Specification, 3.4). */
enum { MB2_END = 0, MB2_CMDLINE = 1, MB2_MODULE = 3, MB2_MMAP = 6, MB2_SCREEN = 8, MB2_ACPI_OLD = 14,
       MB2_ACPI_NEW = 15 };

/* As multiboot1 tells it and, behind the head of a tag, multiboot2. */
struct mb_screen {
	uint64_t addr;
	uint32_t pitch, width, height;
	uint8_t bpp, type, reserved[2];
	uint8_t red, red_bits, green, green_bits, blue, blue_bits;
} __attribute__((packed));

/* Multiboot2 has two bytes of padding before the colours. */
#define MB1_COLOURS 22
#define MB2_COLOURS 24

static void from_mb_screen(const struct mb_screen *from, size_t colours, size_t size)
{
	const uint8_t *colour = (const uint8_t *)from + colours;
	struct screen_info *s = &boot_info.screen;

	*s = (struct screen_info){ .phys = from->addr, .pitch = from->pitch, .width = from->width,
				   .height = from->height, .bytes_per_pixel = (uint8_t)(from->bpp / 8) };
	if (from->type == 2) {
		s->kind = SCREEN_TEXT;
	} else if (from->type == 1 && (from->bpp == 24 || from->bpp == 32) && size >= colours + 5) {
		s->kind = SCREEN_PIXELS;
		s->red = colour[0];
		s->green = colour[2];
		s->blue = colour[4];
	}
}

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
		struct mb_screen screen;
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

			add_e820(e->addr, e->len, e->type);
		}
		break;
	case MB2_SCREEN:
		if (t->size >= 8 + MB2_COLOURS - 2)
			from_mb_screen(&t->screen, MB2_COLOURS, t->size - 8);
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

/* The multiboot1 information structure (Multiboot Specification 0.6.96, 3.3) and what each flag says is there. */
enum { MB1_CMDLINE = 1 << 2, MB1_MODULES = 1 << 3, MB1_MMAP = 1 << 6, MB1_LOADER = 1 << 9, MB1_SCREEN = 1 << 12 };

struct mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, nr_modules, modules, syms[4];
	uint32_t mmap_length, mmap, drives_length, drives, config, loader, apm, vbe[4];
	struct mb_screen screen;
} __attribute__((packed));

struct mb1_module {
	uint32_t start, end, string, reserved;
};

struct mb1_mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

/* All loaders but GRUB 2 put the image's name before the words. */
static const char *without_name(const char *line, const struct mb1_info *m)
{
	if ((m->flags & MB1_LOADER) && !memcmp(phys_ptr(m->loader), "GRUB 2", 6))
		return line;
	while (*line && *line != ' ')
		line++;
	return line;
}

static void from_multiboot1(uint64_t info)
{
	const struct mb1_info *m = phys_ptr(info);
	const struct mb1_module *mod = phys_ptr(m->modules);

	boot_info.door = "multiboot1";
	if (!(m->flags & MB1_MMAP) || !below_4g(m->mmap, m->mmap_length))
		refuse("the multiboot1 loader gives no memory map");
	if (m->flags & MB1_CMDLINE)
		xstrlcpy(boot_info.cmdline, without_name(phys_ptr(m->cmdline), m), sizeof(boot_info.cmdline));
	for (uint32_t at = 0; at + sizeof(struct mb1_mmap_entry) <= m->mmap_length;) {
		const struct mb1_mmap_entry *e = phys_ptr(m->mmap + at);

		if (e->size < sizeof(*e) - sizeof(e->size))
			refuse("multiboot1 memory map entries have %u bytes", e->size);
		add_e820(e->addr, e->len, e->type);
		at += e->size + (uint32_t)sizeof(e->size);
	}
	for (uint32_t i = 0; (m->flags & MB1_MODULES) && i < m->nr_modules; i++)
		add_module(mod[i].start, mod[i].end - mod[i].start);
	if (m->flags & MB1_SCREEN)
		from_mb_screen(&m->screen, MB1_COLOURS, sizeof(m->screen));
}

void boot_info_init(unsigned door, uint64_t info)
{
	if (door == DOOR_PVH)
		from_pvh(info);
	else if (door == DOOR_MULTIBOOT1)
		from_multiboot1(info);
	else
		from_multiboot2(info);
}
