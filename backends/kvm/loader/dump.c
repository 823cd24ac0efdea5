/* SPDX-License-Identifier: MIT */
/*
 * A loaded kernel in words, for `xenopus run -v` and for whoever asks why a kernel does not start.
 */
#include <xen/elfnote.h>

#include "internal.h"

#define HEX64	"0x%" G_GINT64_MODIFIER "x"

static void dump_features(uint32_t supported, uint32_t required, FILE *to)
{
	for (unsigned int i = 0; i < 32; i++) {
		const char *name = loader_feature_name(i);

		if (!(supported >> i & 1))
			continue;
		if (name)
			fprintf(to, " %s%s", required >> i & 1 ? "!" : "", name);
		else
			fprintf(to, " bit%u", i);
	}
	fputc('\n', to);
}

static void dump_note(const struct loader_notes *n, unsigned int note, FILE *to)
{
	fprintf(to, "  %-18s ", loader_note_name(note));
	switch (note) {
	case XEN_ELFNOTE_ENTRY:
		fprintf(to, HEX64 "\n", n->entry);
		break;
	case XEN_ELFNOTE_HYPERCALL_PAGE:
		fprintf(to, HEX64 "\n", n->hypercall_page);
		break;
	case XEN_ELFNOTE_VIRT_BASE:
		fprintf(to, HEX64 "\n", n->virt_base);
		break;
	case XEN_ELFNOTE_PADDR_OFFSET:
		fprintf(to, HEX64 "\n", n->paddr_offset);
		break;
	case XEN_ELFNOTE_XEN_VERSION:
		fprintf(to, "%s\n", n->xen_version);
		break;
	case XEN_ELFNOTE_GUEST_OS:
		fprintf(to, "%s\n", n->guest_os);
		break;
	case XEN_ELFNOTE_GUEST_VERSION:
		fprintf(to, "%s\n", n->guest_version);
		break;
	case XEN_ELFNOTE_LOADER:
		fprintf(to, "%s\n", n->loader);
		break;
	case XEN_ELFNOTE_PAE_MODE:
		fprintf(to, "%s\n", n->pae_mode);
		break;
	case XEN_ELFNOTE_FEATURES:
		fprintf(to, "%s\n", n->features);
		break;
	case XEN_ELFNOTE_BSD_SYMTAB:
		fprintf(to, "%s\n", n->bsd_symtab ? "yes" : "no");
		break;
	case XEN_ELFNOTE_HV_START_LOW:
		fprintf(to, HEX64 "\n", n->hv_start_low);
		break;
	case XEN_ELFNOTE_L1_MFN_VALID:
		for (unsigned int i = 0; i < n->nr_l1; i++)
			fprintf(to, "%s(entry & " HEX64 ") == " HEX64, i ? " or " : "",
				n->l1[i].mask, n->l1[i].value);
		fputc('\n', to);
		break;
	case XEN_ELFNOTE_SUSPEND_CANCEL:
		fprintf(to, "%d\n", n->suspend_cancel);
		break;
	case XEN_ELFNOTE_INIT_P2M:
		fprintf(to, HEX64 "\n", n->init_p2m);
		break;
	case XEN_ELFNOTE_MOD_START_PFN:
		fprintf(to, "%d\n", n->mod_start_pfn);
		break;
	case XEN_ELFNOTE_SUPPORTED_FEATURES:
		fputs("(see below)\n", to);
		break;
	case XEN_ELFNOTE_PHYS32_ENTRY:
		fprintf(to, HEX64 " (not used)\n", n->phys32_entry);
		break;
	default:
		fputs("(not used)\n", to);
		break;
	}
}

void loader_dump(const struct loader_kernel *k, FILE *to)
{
	fprintf(to, "%s: %s, %zu bytes\n", k->name, k->format, k->image_len);
	fprintf(to, "kernel " HEX64 " to " HEX64 ", entry " HEX64 "\n", k->vstart, k->vend,
		k->entry);

	fprintf(to, "segments: %-18s %-18s %10s %10s\n", "virtual", "pseudo-physical", "in file",
		"in memory");
	for (unsigned int i = 0; i < k->nr_segments; i++) {
		const struct loader_segment *s = &k->segments[i];

		fprintf(to, "  %c%c%c     0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER
			"x %10" G_GINT64_MODIFIER "x %10" G_GINT64_MODIFIER "x\n",
			s->flags & PF_R ? 'r' : '-', s->flags & PF_W ? 'w' : '-',
			s->flags & PF_X ? 'x' : '-', s->va, s->phys, s->filesz, s->memsz);
	}

	fprintf(to, "notes%s:\n", k->notes.legacy ? " (from __xen_guest)" : "");
	for (unsigned int i = 0; i < LOADER_NOTES; i++)
		if (loader_has_note(k, i))
			dump_note(&k->notes, i, to);
	fputs("features it can use:", to);
	dump_features(k->notes.features_supported, k->notes.features_required, to);
}
