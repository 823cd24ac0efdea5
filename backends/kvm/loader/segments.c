/* SPDX-License-Identifier: MIT */
/*
 * The ELF side of an image: its segments, and whether its addresses agree with each other.
 *
 *	program header        pseudo-physical               guest virtual
 *	p_paddr ------------> p_paddr - PADDR_OFFSET -----> + VIRT_BASE
 *
 * Segments are placed by their physical address. Virtual addresses of program headers are not looked
 * at: Linux links its per-cpu segment at 0. This is what Xen's own builder does, so that every kernel
 * that starts there starts here at the same addresses.
 *
 * Invariant at the end: VIRT_BASE <= vstart <= entry < vend, nothing wraps, and no address of the
 * kernel is one that the hypervisor keeps for itself or the processor refuses.
 */
#include <gelf.h>
#include <xen/elfnote.h>

#include "internal.h"

/* Linux has 5, a unikernel 3; a table longer than this is no kernel's. */
#define MAX_PHDRS	256

#define PAGE		UINT64_C(4096)

/* Non-canonical addresses and the 16 top-level slots of the hypervisor are one hole. */
#define HOLE_START	UINT64_C(0x0000800000000000)
#define HOLE_END	UINT64_C(0xffff880000000000)

static const struct {
	unsigned int machine;
	const char *name;
} machines[] = {
	{ EM_386, "i386" },		{ EM_ARM, "arm" },	 { EM_AARCH64, "aarch64" },
	{ EM_PPC, "powerpc" },		{ EM_PPC64, "powerpc64" }, { EM_S390, "s390x" },
	{ EM_RISCV, "riscv" },		{ EM_MIPS, "mips" },	 { EM_SPARCV9, "sparc64" },
	{ EM_IA_64, "ia64" },		{ EM_LOONGARCH, "loongarch" },
};

/* The identification bytes are looked at by hand: libelf would only say "invalid". */
static bool check_ident(const struct loader_kernel *k, GError **err)
{
	const uint8_t *e = k->image;
	unsigned int type, machine;

	if (k->image_len < sizeof(Elf64_Ehdr))
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "ends inside its ELF header (%zu bytes); fetch the kernel again",
				   k->image_len);

	/* e_type and e_machine lie at the same place in 32-bit and 64-bit headers. */
	if (e[EI_DATA] == ELFDATA2MSB) {
		type = (unsigned int)(e[16] << 8 | e[17]);
		machine = (unsigned int)(e[18] << 8 | e[19]);
	} else {
		type = get_le16(e + 16);
		machine = get_le16(e + 18);
	}
	if (machine != EM_X86_64) {
		for (size_t i = 0; i < G_N_ELEMENTS(machines); i++)
			if (machines[i].machine == machine)
				return loader_fail(k, err, LOADER_ERROR_MACHINE,
						   "is a kernel for %s; give one for x86-64",
						   machines[i].name);
		return loader_fail(k, err, LOADER_ERROR_MACHINE,
				   "is a kernel for ELF machine %u; give one for x86-64", machine);
	}
	if (e[EI_CLASS] != ELFCLASS64 || e[EI_DATA] != ELFDATA2LSB)
		return loader_fail(k, err, LOADER_ERROR_MACHINE,
				   "is not a 64-bit little-endian ELF image (class %u, data %u); give a"
				   " kernel for x86-64", e[EI_CLASS], e[EI_DATA]);
	if (type != ET_EXEC && type != ET_DYN)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is an ELF file but not an executable (%s); give a vmlinuz or"
				   " vmlinux",
				   type == ET_REL ? "an object file or module" :
				   type == ET_CORE ? "a core dump" : "of unknown type");
	return true;
}

static bool add_segment(struct loader_kernel *k, unsigned int index, const GElf_Phdr *ph,
			GError **err)
{
	struct loader_segment *s = &k->segments[k->nr_segments];

	if (ph->p_offset > k->image_len || ph->p_filesz > k->image_len - ph->p_offset)
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "is truncated: segment %u wants %" G_GUINT64_FORMAT " bytes at offset"
				   " %" G_GUINT64_FORMAT " of an image of %zu bytes; fetch the kernel"
				   " again", index, ph->p_filesz, ph->p_offset, k->image_len);
	if (ph->p_filesz > ph->p_memsz)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "has a damaged segment %u: more bytes in the file than in memory;"
				   " fetch or build the kernel again", index);
	if (ph->p_memsz > LOADER_MAX_EXTENT || ph->p_paddr > UINT64_MAX - ph->p_memsz)
		return loader_fail(k, err, LOADER_ERROR_TOO_BIG,
				   "has a segment %u of impossible size (0x%" G_GINT64_MODIFIER "x bytes"
				   " at physical 0x%" G_GINT64_MODIFIER "x); fetch or build the kernel"
				   " again", index, ph->p_memsz, ph->p_paddr);

	*s = (struct loader_segment){
		.data = k->image + ph->p_offset,
		.filesz = ph->p_filesz,
		.memsz = ph->p_memsz,
		.p_vaddr = ph->p_vaddr,
		.p_paddr = ph->p_paddr,
		.flags = ph->p_flags,
	};
	k->nr_segments++;
	return true;
}

static bool collect_segments(struct loader_kernel *k, Elf *elf, GError **err)
{
	size_t count;
	GElf_Phdr ph;

	if (elf_getphdrnum(elf, &count) < 0)
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "has no readable program headers (%s); fetch the kernel again",
				   elf_errmsg(-1));
	if (count > MAX_PHDRS)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "has %zu program headers, more than any kernel (%d); fetch or build"
				   " the kernel again", count, MAX_PHDRS);

	k->segments = g_new0(struct loader_segment, MAX(count, 1));
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph))
			return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
					   "ends inside its program headers; fetch the kernel again");
		if (ph.p_type != PT_LOAD || !(ph.p_flags & (PF_R | PF_W | PF_X)) || !ph.p_memsz)
			continue;
		if (!add_segment(k, (unsigned int)i, &ph, err))
			return false;
	}
	if (k->nr_segments == 0)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "is an ELF image with nothing to load; give a vmlinuz or vmlinux");
	return true;
}

static bool place_segments(struct loader_kernel *k, GError **err)
{
	uint64_t low = UINT64_MAX, high = 0, total = 0;
	const struct loader_notes *n = &k->notes;

	for (unsigned int i = 0; i < k->nr_segments; i++) {
		struct loader_segment *s = &k->segments[i];

		if (s->p_paddr < n->paddr_offset)
			return loader_fail(k, err, LOADER_ERROR_NOTE,
					   "has a segment at physical 0x%" G_GINT64_MODIFIER "x, below"
					   " its PADDR_OFFSET 0x%" G_GINT64_MODIFIER "x; correct its"
					   " notes", s->p_paddr, n->paddr_offset);
		s->phys = s->p_paddr - n->paddr_offset;
		/* May wrap here if VIRT_BASE is absurd; the extent is checked as a whole. */
		s->va = s->phys + n->virt_base;
		low = MIN(low, s->phys);
		high = MAX(high, s->phys + s->memsz);
		total += s->memsz;
	}
	if (high > LOADER_MAX_EXTENT)
		return loader_fail(k, err, LOADER_ERROR_TOO_BIG,
				   "wants memory up to pseudo-physical 0x%" G_GINT64_MODIFIER "x, beyond"
				   " the %u MiB a kernel may take; link it lower or correct its"
				   " PADDR_OFFSET", high, (unsigned int)(LOADER_MAX_EXTENT >> 20));
	if (total > 2 * (high - low))
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "has segments that overlap many times; fetch or build the kernel"
				   " again");
	if (high > UINT64_MAX - n->virt_base)
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "ends beyond the address space with its VIRT_BASE 0x%"
				   G_GINT64_MODIFIER "x; correct its notes", n->virt_base);
	k->vstart = low + n->virt_base;
	k->vend = high + n->virt_base;
	return true;
}

/* Is any byte of [start, start + len) unusable for a guest? The range must not wrap. */
static bool in_hole(uint64_t start, uint64_t len)
{
	return start < HOLE_END && start + len > HOLE_START;
}

static bool check_addresses(const struct loader_kernel *k, GError **err)
{
	const struct loader_notes *n = &k->notes;

	if (n->virt_base % PAGE)
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "has a VIRT_BASE that is not at a page (0x%" G_GINT64_MODIFIER "x);"
				   " correct its notes", n->virt_base);
	if (in_hole(n->virt_base, k->vend - n->virt_base))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "would lie at 0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER
				   "x, where no guest can be (0x%" G_GINT64_MODIFIER "x to 0x%"
				   G_GINT64_MODIFIER "x); correct its VIRT_BASE", n->virt_base, k->vend,
				   HOLE_START, HOLE_END);
	if (k->entry < k->vstart || k->entry >= k->vend)
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "has its entry point 0x%" G_GINT64_MODIFIER "x outside itself (0x%"
				   G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER "x); correct its ENTRY"
				   " note", k->entry, k->vstart, k->vend);
	if (loader_has_note(k, XEN_ELFNOTE_HYPERCALL_PAGE) &&
	    (n->hypercall_page % PAGE || n->hypercall_page < n->virt_base ||
	     n->hypercall_page >= k->vend || k->vend - n->hypercall_page < PAGE))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "has its hypercall page at 0x%" G_GINT64_MODIFIER "x, which is not a"
				   " page of its own (0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER
				   "x); correct its HYPERCALL_PAGE note", n->hypercall_page,
				   n->virt_base, k->vend);
	/* The list is as long as the domain is large; here only its start can be judged. */
	if (loader_has_note(k, XEN_ELFNOTE_INIT_P2M) &&
	    (n->init_p2m % PAGE || n->init_p2m > UINT64_MAX - PAGE || in_hole(n->init_p2m, PAGE) ||
	     (n->init_p2m >= n->virt_base && n->init_p2m < k->vend)))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "wants its P2M list at 0x%" G_GINT64_MODIFIER "x, which is not a free"
				   " page; correct its INIT_P2M note", n->init_p2m);
	return true;
}

bool loader_parse_elf(struct loader_kernel *k, GError **err)
{
	GElf_Ehdr eh;
	Elf *elf;
	bool ok = false;

	if (!check_ident(k, err))
		return false;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return loader_fail(k, err, LOADER_ERROR_FILE, "libelf is too old: %s",
				   elf_errmsg(-1));

	/* elf_memory() takes a char *, yet reading never writes through it. */
	elf = elf_memory((char *)(uintptr_t)k->image, k->image_len);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh)) {
		loader_fail(k, err, LOADER_ERROR_FORMAT,
			    "is a damaged ELF image (%s); fetch the kernel again", elf_errmsg(-1));
		elf_end(elf);
		return false;
	}

	if (collect_segments(k, elf, err) && loader_parse_notes(k, elf, err) &&
	    place_segments(k, err)) {
		k->entry = loader_has_note(k, XEN_ELFNOTE_ENTRY) ? k->notes.entry : eh.e_entry;
		ok = check_addresses(k, err);
	}
	elf_end(elf);
	return ok;
}
