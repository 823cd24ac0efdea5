/* SPDX-License-Identifier: MIT */
/*
 * The Xen notes of an image: finding them, and reading one of each kind.
 *
 * They are looked for where the ABI puts them, in note segments; images made by old linkers have them
 * only in note sections; images older than ELF notes have a __xen_guest section with text. The first
 * place that has any wins. A note given twice counts as given last.
 */
#include <gelf.h>
#include <xen/elfnote.h>

#include "internal.h"

/* Far more than any kernel has; keeps a crafted image from being read again and again. */
#define MAX_NOTES	4096
#define MAX_NOTE_BYTES	(UINT64_C(1) << 20)

/* The ABI counts its notes by hand; if it gets a new one, this file wants to know. */
G_STATIC_ASSERT(XEN_ELFNOTE_MAX < LOADER_NOTES);
G_STATIC_ASSERT(LOADER_NOTES <= 32);

enum kind { NOTE_UNUSED, NOTE_NUMBER, NOTE_FLAG, NOTE_STRING, NOTE_YES, NOTE_PAIRS, NOTE_IGNORED };

/* Which field of struct loader_notes a note fills, and how. */
static const struct {
	const char *name;
	enum kind kind;
	size_t field;
} table[LOADER_NOTES] = {
#define NOTE(name, kind, field)	\
	[XEN_ELFNOTE_##name] = { #name, NOTE_##kind, offsetof(struct loader_notes, field) }
	NOTE(INFO, IGNORED, present),
	NOTE(ENTRY, NUMBER, entry),
	NOTE(HYPERCALL_PAGE, NUMBER, hypercall_page),
	NOTE(VIRT_BASE, NUMBER, virt_base),
	NOTE(PADDR_OFFSET, NUMBER, paddr_offset),
	NOTE(XEN_VERSION, STRING, xen_version),
	NOTE(GUEST_OS, STRING, guest_os),
	NOTE(GUEST_VERSION, STRING, guest_version),
	NOTE(LOADER, STRING, loader),
	NOTE(PAE_MODE, STRING, pae_mode),
	NOTE(FEATURES, STRING, features),
	NOTE(BSD_SYMTAB, YES, bsd_symtab),
	NOTE(HV_START_LOW, NUMBER, hv_start_low),
	NOTE(L1_MFN_VALID, PAIRS, l1),
	NOTE(SUSPEND_CANCEL, FLAG, suspend_cancel),
	NOTE(INIT_P2M, NUMBER, init_p2m),
	NOTE(MOD_START_PFN, FLAG, mod_start_pfn),
	NOTE(SUPPORTED_FEATURES, NUMBER, features_supported),
	NOTE(PHYS32_ENTRY, NUMBER, phys32_entry),
	[LOADER_NOTE_PHYS32_RELOC] = { "PHYS32_RELOC", NOTE_IGNORED, 0 },
#undef NOTE
};

const char *loader_note_name(unsigned int note)
{
	return note < LOADER_NOTES ? table[note].name : NULL;
}

bool loader_has_note(const struct loader_kernel *k, unsigned int note)
{
	return note < LOADER_NOTES && (k->notes.present >> note & 1);
}

static bool read_number(const uint8_t *desc, size_t len, uint64_t *value)
{
	switch (len) {
	case 1:
		*value = desc[0];
		return true;
	case 2:
		*value = get_le16(desc);
		return true;
	case 4:
		*value = get_le32(desc);
		return true;
	case 8:
		*value = get_le64(desc);
		return true;
	default:
		return false;
	}
}

static void read_pairs(struct loader_notes *n, const uint8_t *desc, size_t len)
{
	n->nr_l1 = (unsigned int)MIN(len / 16, LOADER_MAX_L1_PAIRS);
	for (unsigned int i = 0; i < n->nr_l1; i++, desc += 16) {
		n->l1[i].mask = get_le64(desc);
		n->l1[i].value = get_le64(desc + 8);
	}
}

static bool read_note(struct loader_kernel *k, unsigned int type, const uint8_t *desc, size_t len,
		      GError **err)
{
	struct loader_notes *n = &k->notes;
	void *field = (char *)n + table[type].field;
	uint64_t value = 0;
	char **string = field;
	char *text;

	switch (table[type].kind) {
	case NOTE_NUMBER:
	case NOTE_FLAG:
		if (!read_number(desc, len, &value))
			return loader_fail(k, err, LOADER_ERROR_NOTE,
					   "has a Xen note %s of %zu bytes, which is no number; correct"
					   " its notes", table[type].name, len);
		if (table[type].kind == NOTE_FLAG)
			*(bool *)field = value != 0;
		else if (type == XEN_ELFNOTE_SUPPORTED_FEATURES)
			n->features_supported |= (uint32_t)value;
		else
			*(uint64_t *)field = value;
		break;
	case NOTE_STRING:
		/* Linux' FEATURES is not terminated: the note's length is what ends it. */
		g_free(*string);
		*string = loader_printable(desc, len);
		break;
	case NOTE_YES:
		text = loader_printable(desc, len);
		*(bool *)field = strcmp(text, "yes") == 0;
		g_free(text);
		break;
	case NOTE_PAIRS:
		read_pairs(n, desc, len);
		break;
	case NOTE_UNUSED:
	case NOTE_IGNORED:
		break;
	}
	n->present |= UINT32_C(1) << type;
	return true;
}

/*
 * Read the notes in one range of the image. Xen's notes are aligned to 4 bytes whatever the segment
 * says, hence ELF_T_NHDR always.
 */
static bool read_range(struct loader_kernel *k, Elf *elf, uint64_t offset, uint64_t size,
		       unsigned int *budget, GError **err)
{
	size_t at = 0, next, name, desc;
	Elf_Data *data;
	GElf_Nhdr nh;

	if (size == 0)
		return true;
	if (offset > k->image_len || size > k->image_len - offset || size > MAX_NOTE_BYTES)
		return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
				   "is truncated: its notes (%" G_GUINT64_FORMAT " bytes at offset %"
				   G_GUINT64_FORMAT ") are outside the image; fetch the kernel again",
				   size, offset);
	data = elf_getdata_rawchunk(elf, (int64_t)offset, (size_t)size, ELF_T_NHDR);
	if (!data)
		return loader_fail(k, err, LOADER_ERROR_FORMAT,
				   "has unreadable notes at offset %" G_GUINT64_FORMAT " (%s); fetch the"
				   " kernel again", offset, elf_errmsg(-1));

	for (; at < data->d_size; at = next) {
		next = gelf_getnote(data, at, &nh, &name, &desc);
		if (next == 0) {
			/* What is shorter than a note's header is padding. */
			if (data->d_size - at < sizeof(nh))
				break;
			return loader_fail(k, err, LOADER_ERROR_FORMAT,
					   "has a damaged note at offset %" G_GUINT64_FORMAT "; fetch or"
					   " build the kernel again", offset + at);
		}
		if ((*budget)-- == 0)
			return loader_fail(k, err, LOADER_ERROR_FORMAT,
					   "has more than %d notes, more than any kernel; fetch or build"
					   " the kernel again", MAX_NOTES);
		if (nh.n_namesz != 4 || memcmp((char *)data->d_buf + name, "Xen", 4) != 0 ||
		    nh.n_type >= LOADER_NOTES)
			continue;
		if (!read_note(k, nh.n_type, (uint8_t *)data->d_buf + desc, nh.n_descsz, err))
			return false;
	}
	return true;
}

static bool from_segments(struct loader_kernel *k, Elf *elf, unsigned int *budget, GError **err)
{
	size_t count = 0;
	GElf_Phdr ph;

	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++) {
		/* Some linkers leave p_offset 0; then the sections tell. */
		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_NOTE || ph.p_offset == 0)
			continue;
		if (!read_range(k, elf, ph.p_offset, ph.p_filesz, budget, err))
			return false;
	}
	return true;
}

static bool from_sections(struct loader_kernel *k, Elf *elf, unsigned int *budget, GError **err)
{
	Elf_Scn *section = NULL;
	GElf_Shdr sh;

	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &sh) || sh.sh_type != SHT_NOTE)
			continue;
		if (!read_range(k, elf, sh.sh_offset, sh.sh_size, budget, err))
			return false;
	}
	return true;
}

static bool from_legacy_section(struct loader_kernel *k, Elf *elf, GError **err)
{
	Elf_Scn *section = NULL;
	const char *name;
	size_t names;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return true;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &sh) || sh.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, sh.sh_name);
		if (!name || strcmp(name, "__xen_guest") != 0)
			continue;
		if (sh.sh_offset > k->image_len || sh.sh_size > k->image_len - sh.sh_offset)
			return loader_fail(k, err, LOADER_ERROR_TRUNCATED,
					   "is truncated: its __xen_guest section is outside the image;"
					   " fetch the kernel again");
		return loader_parse_legacy(k, k->image + sh.sh_offset, sh.sh_size, err);
	}
	return true;
}

/* Are these the notes of something a PV domain can start? */
static bool judge(const struct loader_kernel *k, GError **err)
{
	const struct loader_notes *n = &k->notes;

	if (!n->present)
		return loader_fail(k, err, LOADER_ERROR_NOT_XEN,
				   "is not a Xen PV kernel: it has no XEN_ELFNOTE notes; give one built"
				   " with CONFIG_XEN_PV");
	if (!loader_has_note(k, XEN_ELFNOTE_ENTRY) && !loader_has_note(k, XEN_ELFNOTE_VIRT_BASE) &&
	    !loader_has_note(k, XEN_ELFNOTE_HYPERCALL_PAGE)) {
		if (loader_has_note(k, XEN_ELFNOTE_PHYS32_ENTRY))
			return loader_fail(k, err, LOADER_ERROR_PVH_ONLY,
					   "is a PVH kernel, not a PV kernel: of XEN_ELFNOTE entry points"
					   " it has only PHYS32_ENTRY; give one built with"
					   " CONFIG_XEN_PV");
		return loader_fail(k, err, LOADER_ERROR_NOT_XEN,
				   "is not a Xen PV kernel: it has Xen notes but none of"
				   " XEN_ELFNOTE_ENTRY, _VIRT_BASE, _HYPERCALL_PAGE; give one built with"
				   " CONFIG_XEN_PV");
	}
	if (!g_str_has_prefix(n->loader ? n->loader : "", "generic") &&
	    !g_str_has_prefix(n->guest_os ? n->guest_os : "", "linux"))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "wants the loader '%s' for the system '%s', and only 'generic' exists;"
				   " correct its LOADER note", n->loader ? n->loader : "",
				   n->guest_os ? n->guest_os : "");
	if (!g_str_has_prefix(n->xen_version ? n->xen_version : "", "xen-3.0"))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "is built for the ABI '%s', and 'xen-3.0' is the one there is; correct"
				   " its XEN_VERSION note", n->xen_version ? n->xen_version : "");
	if (loader_has_note(k, XEN_ELFNOTE_PADDR_OFFSET) &&
	    !loader_has_note(k, XEN_ELFNOTE_VIRT_BASE))
		return loader_fail(k, err, LOADER_ERROR_NOTE,
				   "has a PADDR_OFFSET note but no VIRT_BASE; correct its notes");
	return true;
}

bool loader_parse_notes(struct loader_kernel *k, Elf *elf, GError **err)
{
	unsigned int budget = MAX_NOTES;

	if (!from_segments(k, elf, &budget, err))
		return false;
	if (!k->notes.present && !from_sections(k, elf, &budget, err))
		return false;
	if (!k->notes.present && !from_legacy_section(k, elf, err))
		return false;
	return judge(k, err) && loader_parse_features(k, err);
}
