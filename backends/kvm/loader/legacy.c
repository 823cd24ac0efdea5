/* SPDX-License-Identifier: MIT */
/*
 * The __xen_guest section: the same facts as the notes, as text, from the time before ELF notes.
 *
 *	GUEST_OS=Mini-OS,XEN_VER=xen-3.0,VIRT_BASE=0x0,HYPERCALL_PAGE=0x2,LOADER=generic
 *
 * Two facts differ from the notes: HYPERCALL_PAGE counts pages from VIRT_BASE, and ELF_PADDR_OFFSET
 * defaults to VIRT_BASE, because linkers of that time put virtual addresses into p_paddr.
 */
#include <errno.h>
#include <xen/elfnote.h>

#include "internal.h"

#define MAX_TEXT	4096

static const struct {
	const char *key;
	unsigned int note;
	size_t field;
} strings[] = {
	{ "LOADER", XEN_ELFNOTE_LOADER, offsetof(struct loader_notes, loader) },
	{ "GUEST_OS", XEN_ELFNOTE_GUEST_OS, offsetof(struct loader_notes, guest_os) },
	{ "GUEST_VER", XEN_ELFNOTE_GUEST_VERSION, offsetof(struct loader_notes, guest_version) },
	{ "XEN_VER", XEN_ELFNOTE_XEN_VERSION, offsetof(struct loader_notes, xen_version) },
	{ "PAE", XEN_ELFNOTE_PAE_MODE, offsetof(struct loader_notes, pae_mode) },
	{ "FEATURES", XEN_ELFNOTE_FEATURES, offsetof(struct loader_notes, features) },
}, numbers[] = {
	{ "VIRT_BASE", XEN_ELFNOTE_VIRT_BASE, offsetof(struct loader_notes, virt_base) },
	{ "VIRT_ENTRY", XEN_ELFNOTE_ENTRY, offsetof(struct loader_notes, entry) },
	{ "ELF_PADDR_OFFSET", XEN_ELFNOTE_PADDR_OFFSET,
	  offsetof(struct loader_notes, paddr_offset) },
	{ "HYPERCALL_PAGE", XEN_ELFNOTE_HYPERCALL_PAGE,
	  offsetof(struct loader_notes, hypercall_page) },
};

static bool read_number(const char *text, uint64_t *value)
{
	char *end;

	/* g_ascii_strtoull() takes a minus sign and blanks; an address has neither. */
	if (!g_ascii_isdigit(text[0]))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(text, &end, 0);
	return errno == 0 && *end == '\0';
}

static bool read_pair(struct loader_kernel *k, const char *key, const char *value, GError **err)
{
	struct loader_notes *n = &k->notes;

	for (size_t i = 0; i < G_N_ELEMENTS(strings); i++) {
		if (strcmp(key, strings[i].key) == 0) {
			char **field = (char **)(void *)((char *)n + strings[i].field);

			g_free(*field);
			*field = g_strdup(value);
			n->present |= UINT32_C(1) << strings[i].note;
			return true;
		}
	}
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		if (strcmp(key, numbers[i].key) == 0) {
			if (!read_number(value, (uint64_t *)(void *)((char *)n + numbers[i].field)))
				return loader_fail(k, err, LOADER_ERROR_NOTE,
						   "says %s=%s in __xen_guest, which is no number;"
						   " correct it", key, value);
			n->present |= UINT32_C(1) << numbers[i].note;
			return true;
		}
	}
	/* Its mere presence counts. */
	if (strcmp(key, "BSD_SYMTAB") == 0) {
		n->bsd_symtab = true;
		n->present |= UINT32_C(1) << XEN_ELFNOTE_BSD_SYMTAB;
	}
	return true;
}

static bool settle(struct loader_kernel *k, GError **err)
{
	struct loader_notes *n = &k->notes;

	if (!loader_has_note(k, XEN_ELFNOTE_PADDR_OFFSET))
		n->paddr_offset = n->virt_base;
	if (loader_has_note(k, XEN_ELFNOTE_HYPERCALL_PAGE)) {
		if (n->hypercall_page > (UINT64_MAX - n->virt_base) >> 12)
			return loader_fail(k, err, LOADER_ERROR_NOTE,
					   "says HYPERCALL_PAGE=0x%" G_GINT64_MODIFIER "x in __xen_guest,"
					   " which is no page number; correct it", n->hypercall_page);
		n->hypercall_page = n->virt_base + (n->hypercall_page << 12);
	}
	return true;
}

bool loader_parse_legacy(struct loader_kernel *k, const uint8_t *bytes, size_t len, GError **err)
{
	char *text = loader_printable(bytes, MIN(len, MAX_TEXT));
	char **pairs = g_strsplit(text, ",", -1);
	bool ok = true;

	k->notes.legacy = true;
	for (char **p = pairs; ok && *p; p++) {
		char *value = strchr(*p, '=');

		if (value)
			*value++ = '\0';
		ok = read_pair(k, *p, value ? value : "", err);
	}
	g_strfreev(pairs);
	g_free(text);
	return ok && settle(k, err);
}
