/* SPDX-License-Identifier: MIT */
/*
 * ELF images for the loader's tests. Layout: header, program headers, segments, notes, text of
 * __xen_guest, section names, section headers.
 */
#include <elf.h>
#include <string.h>
#include <xen/elfnote.h>

#include "image.h"

void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}

uint8_t segment_byte(unsigned int index, uint64_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 8) + index * 0x31 + 1);
}

static void append(GByteArray *a, const void *bytes, size_t len)
{
	if (len)
		g_byte_array_append(a, bytes, (guint)len);
}

static void pad(GByteArray *a, unsigned int align)
{
	static const uint8_t zeros[4096];

	append(a, zeros, (align - a->len % align) % align);
}

void note_bytes(GByteArray *notes, const char *name, uint32_t type, const void *desc, size_t len)
{
	Elf64_Nhdr nh = { (Elf64_Word)strlen(name) + 1, (Elf64_Word)len, type };

	append(notes, &nh, sizeof(nh));
	append(notes, name, strlen(name) + 1);
	pad(notes, 4);
	append(notes, desc, len);
	pad(notes, 4);
}

void note_u64(GByteArray *notes, uint32_t type, uint64_t value)
{
	note_bytes(notes, "Xen", type, &value, sizeof(value));
}

void note_u32(GByteArray *notes, uint32_t type, uint32_t value)
{
	note_bytes(notes, "Xen", type, &value, sizeof(value));
}

void note_string(GByteArray *notes, uint32_t type, const char *value)
{
	note_bytes(notes, "Xen", type, value, strlen(value) + 1);
}

struct spec spec_linux(void)
{
	return (struct spec){
		.machine = EM_X86_64,
		.type = ET_EXEC,
		.entry = 0x1000000,
		.segments = {
			{ 0x1000000, 0xffffffff81000000, 0x1800, 0x1800, PF_R | PF_X },
			{ 0x1002000, 0xffffffff81002000, 0x400, 0x400, PF_R | PF_W },
			{ 0x1003000, 0, 0x300, 0x1000, PF_R | PF_W },
			{ 0x1004000, 0xffffffff81004000, 0x600, 0x5000, PF_R | PF_W | PF_X },
		},
		.nr_segments = 4,
		.notes = g_byte_array_new(),
	};
}

void spec_free(struct spec *spec)
{
	g_byte_array_unref(spec->notes);
}

void linux_notes(GByteArray *notes)
{
	static const char features[] = "!writable_page_tables|pae_pgdir_above_4gb";
	static const uint64_t pair[2] = { 1, 1 };

	note_string(notes, XEN_ELFNOTE_GUEST_OS, "linux");
	note_string(notes, XEN_ELFNOTE_GUEST_VERSION, "2.6");
	note_string(notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
	note_u64(notes, XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000000);
	note_u64(notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
	note_u64(notes, XEN_ELFNOTE_ENTRY, 0xffffffff81004010);
	/* As Linux writes it: without a terminating NUL. */
	note_bytes(notes, "Xen", XEN_ELFNOTE_FEATURES, features, strlen(features));
	note_u32(notes, XEN_ELFNOTE_SUPPORTED_FEATURES, 0x8801);
	note_string(notes, XEN_ELFNOTE_PAE_MODE, "yes");
	note_string(notes, XEN_ELFNOTE_LOADER, "generic");
	note_bytes(notes, "Xen", XEN_ELFNOTE_L1_MFN_VALID, pair, sizeof(pair));
	note_u32(notes, XEN_ELFNOTE_SUSPEND_CANCEL, 1);
	note_u32(notes, XEN_ELFNOTE_MOD_START_PFN, 1);
	note_u64(notes, XEN_ELFNOTE_HV_START_LOW, 0xffff800000000000);
	note_u64(notes, XEN_ELFNOTE_PADDR_OFFSET, 0);
	note_bytes(notes, "GNU", 3, "0123456789abcdefghij", 20);
	note_u64(notes, XEN_ELFNOTE_PHYS32_ENTRY, 0x1000850);
}

static void put_segment(GByteArray *a, const struct spec *spec, unsigned int i)
{
	const struct spec_segment *s = &spec->segments[i];
	Elf64_Phdr ph = {
		.p_type = PT_LOAD, .p_flags = s->flags, .p_vaddr = s->vaddr, .p_paddr = s->paddr,
		.p_filesz = s->filesz, .p_memsz = s->memsz, .p_align = 16,
	};

	pad(a, 16);
	ph.p_offset = a->len;
	memcpy(a->data + sizeof(Elf64_Ehdr) + i * sizeof(ph), &ph, sizeof(ph));
	for (uint64_t o = 0; o < s->filesz; o++) {
		uint8_t byte = segment_byte(i, o);

		append(a, &byte, 1);
	}
}

static uint64_t put_notes(GByteArray *a, const struct spec *spec)
{
	Elf64_Phdr ph = { .p_type = PT_NOTE, .p_flags = PF_R, .p_align = 4 };

	pad(a, 16);
	ph.p_offset = a->len;
	ph.p_filesz = ph.p_memsz = spec->notes->len;
	append(a, spec->notes->data, spec->notes->len);
	if (!spec->notes_by_section && spec->notes->len)
		memcpy(a->data + sizeof(Elf64_Ehdr) + spec->nr_segments * sizeof(ph), &ph,
		       sizeof(ph));
	return ph.p_offset;
}

GByteArray *elf_build(const struct spec *spec)
{
	static const char names[] = "\0.notes\0__xen_guest\0.shstrtab";
	unsigned int nr_phdrs = spec->nr_segments + 1;
	GByteArray *a = g_byte_array_new();
	Elf64_Shdr sh[4] = { 0 };
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = (Elf64_Half)spec->type, .e_machine = (Elf64_Half)spec->machine,
		.e_version = EV_CURRENT, .e_entry = spec->entry, .e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)nr_phdrs, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 4,
		.e_shstrndx = 3,
	};

	g_byte_array_set_size(a, (guint)(sizeof(eh) + nr_phdrs * sizeof(Elf64_Phdr)));
	memset(a->data, 0, a->len);
	for (unsigned int i = 0; i < spec->nr_segments; i++)
		put_segment(a, spec, i);

	sh[1] = (Elf64_Shdr){ .sh_name = 1, .sh_size = spec->notes->len, .sh_addralign = 4 };
	sh[1].sh_type = spec->notes_by_section ? SHT_NOTE : SHT_PROGBITS;
	sh[1].sh_offset = put_notes(a, spec);
	sh[2] = (Elf64_Shdr){ .sh_name = 8, .sh_type = SHT_PROGBITS, .sh_offset = a->len };
	if (spec->legacy) {
		sh[2].sh_size = strlen(spec->legacy) + 1;
		append(a, spec->legacy, sh[2].sh_size);
	} else {
		sh[2].sh_name = 0;
	}
	sh[3] = (Elf64_Shdr){ .sh_name = 20, .sh_type = SHT_STRTAB, .sh_offset = a->len,
			      .sh_size = sizeof(names) };
	append(a, names, sizeof(names));
	pad(a, 16);
	eh.e_shoff = a->len;
	append(a, sh, sizeof(sh));
	memcpy(a->data, &eh, sizeof(eh));
	return a;
}

GByteArray *elf_linux(void)
{
	struct spec spec = spec_linux();
	GByteArray *elf;

	linux_notes(spec.notes);
	elf = elf_build(&spec);
	spec_free(&spec);
	return elf;
}
