/* SPDX-License-Identifier: MIT */
/*
 * One core file for two readers that look at it in different ways:
 *
 *	ELF header | section headers | .note.Xen, .xen_prstatus, .xen_shared_info, .xen_p2m: for
 *	crash(8), as Xen's docs/misc/dump-core-format has them | .xen_pages: page of pfn 0 | of
 *	pfn 1 | ... | program headers | registers of each virtual CPU: for gdb, which takes the
 *	pages through the program headers
 *
 * crash(8) would take the file for another format if it found program headers in its first
 * kilobytes; they come last, where it does not look. A pfn without a frame, and a page of zeros, is
 * a hole in the file.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "coredump.h" /* first, for the macros it clears away */
#include <xenopus/core.h>
#include <xenopus/layout.h>
#include <xenopus/mm.h>
#include <xen/elfnote.h>
#include <xen/version.h>

#define XEN_CORE_MAGIC	 UINT64_C(0xf00febed) /* of a PV domain */
#define XEN_CORE_VERSION UINT64_C(1)	      /* 0.1 */

struct xen_note {
	Elf64_Nhdr head;
	char name[4];
};

#define XEN_NOTE(type, size)                                                   \
	{                                                                      \
		{ .n_namesz = 4, .n_descsz = (size), .n_type = (type) }, "Xen" \
	}

struct xen_header {
	uint64_t magic, nr_vcpus, nr_pages, page_size;
};

struct xen_about {
	uint64_t major_version, minor_version;
	xen_extraversion_t extra_version;
	struct xen_compile_info compile_info;
	xen_capabilities_info_t capabilities;
	xen_changeset_info_t changeset;
	struct xen_platform_parameters parameters;
	uint64_t page_size;
};

struct xen_notes {
	struct xen_note none, header_note;
	struct xen_header header;
	struct xen_note about_note;
	struct xen_about about;
	struct xen_note version_note;
	uint64_t version;
} __attribute__((packed, aligned(4)));

struct p2m_entry {
	uint64_t pfn, mfn;
};

enum { SEC_NULL, SEC_NAMES, SEC_NOTE, SEC_CONTEXTS, SEC_SHARED, SEC_P2M, SEC_PAGES, SECTIONS };

static const char names[] =
	"\0.shstrtab\0.note.Xen\0.xen_prstatus\0.xen_shared_info\0.xen_p2m\0.xen_pages";
static const unsigned name_at[SECTIONS] = { 0, 1, 11, 21, 35, 52, 61 };

struct layout {
	Elf64_Ehdr head;
	Elf64_Shdr sec[SECTIONS];
	uint64_t threads_at, threads_size;
};

static void place(struct layout *l, unsigned i, uint32_t type, uint64_t *at, uint64_t size,
		  uint64_t align)
{
	*at = (*at + align - 1) & ~(align - 1);
	l->sec[i] = (Elf64_Shdr){ .sh_name = name_at[i],
				  .sh_type = type,
				  .sh_offset = *at,
				  .sh_size = size,
				  .sh_addralign = align };
	*at += size;
}

static void plan(struct layout *l, const struct core_image *image)
{
	uint64_t at = sizeof(l->head) + sizeof(l->sec);

	l->sec[SEC_NULL] = (Elf64_Shdr){ .sh_type = SHT_NULL };
	place(l, SEC_NAMES, SHT_STRTAB, &at, sizeof(names), 1);
	place(l, SEC_NOTE, SHT_NOTE, &at, sizeof(struct xen_notes), 4);
	place(l, SEC_CONTEXTS, SHT_PROGBITS, &at,
	      image->contexts->len * sizeof(struct vcpu_guest_context), 8);
	l->sec[SEC_CONTEXTS].sh_entsize = sizeof(struct vcpu_guest_context);
	place(l, SEC_SHARED, SHT_PROGBITS, &at, sizeof(image->shared_info), 8);
	place(l, SEC_P2M, SHT_PROGBITS, &at, image->nr_pfns * sizeof(struct p2m_entry), 8);
	l->sec[SEC_P2M].sh_entsize = sizeof(struct p2m_entry);
	place(l, SEC_PAGES, SHT_PROGBITS, &at, image->nr_pfns << PAGE_SHIFT, PAGE_SIZE);
	l->sec[SEC_PAGES].sh_entsize = PAGE_SIZE;
	l->head = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(l->head),
		.e_phoff = at,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(image->segments->len + 1),
		.e_shoff = sizeof(l->head),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = SECTIONS,
		.e_shstrndx = SEC_NAMES,
	};
	l->threads_at = at + l->head.e_phnum * sizeof(Elf64_Phdr);
	l->threads_size = image->threads->len * sizeof(struct thread_note);
}

static bool put(int fd, const void *data, size_t size, uint64_t at)
{
	const char *p = data;

	while (size) {
		ssize_t n = pwrite(fd, p, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : ENOSPC;
			return false;
		}
		p += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

static bool put_array(int fd, const GArray *array, uint64_t at)
{
	return put(fd, array->data, (size_t)array->len * g_array_get_element_size((GArray *)array),
		   at);
}

static bool put_xen_notes(int fd, const struct layout *l, const struct core_image *image)
{
	struct xen_notes n = {
		.none = XEN_NOTE(XEN_ELFNOTE_DUMPCORE_NONE, 0),
		.header_note = XEN_NOTE(XEN_ELFNOTE_DUMPCORE_HEADER, sizeof(n.header)),
		.header = { XEN_CORE_MAGIC, image->contexts->len, image->nr_pfns, PAGE_SIZE },
		.about_note = XEN_NOTE(XEN_ELFNOTE_DUMPCORE_XEN_VERSION, sizeof(n.about)),
		.about = { .major_version = XENOPUS_VERSION_MAJOR,
			   .minor_version = XENOPUS_VERSION_MINOR,
			   .extra_version = ".0-xenopus",
			   .capabilities = "xen-3.0-x86_64 ",
			   .changeset = "xenopus",
			   .parameters = { .virt_start = RESERVED_VIRT_START },
			   .page_size = PAGE_SIZE },
		.version_note = XEN_NOTE(XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, sizeof(n.version)),
		.version = XEN_CORE_VERSION,
	};

	return put(fd, &n, sizeof(n), l->sec[SEC_NOTE].sh_offset);
}

static bool put_p2m(int fd, uint64_t at, const struct core_image *image)
{
	struct p2m_entry part[1024];

	for (uint64_t pfn = 0; pfn < image->nr_pfns;) {
		unsigned n = 0;

		for (; n < G_N_ELEMENTS(part) && pfn < image->nr_pfns; n++, pfn++)
			part[n] = (struct p2m_entry){ pfn, image->mfns[pfn] == COREDUMP_NO_FRAME ?
								   UINT64_MAX :
								   image->mfns[pfn] };
		if (!put(fd, part, n * sizeof(part[0]), at))
			return false;
		at += n * sizeof(part[0]);
	}
	return true;
}

static bool put_pages(int fd, uint64_t at, const struct core_image *image)
{
	static const char zero[PAGE_SIZE];
	char page[PAGE_SIZE];

	for (uint64_t pfn = 0; pfn < image->nr_pfns; pfn++) {
		if (g_atomic_int_get(&image->cancelled)) {
			errno = ECANCELED;
			return false;
		}
		if (image->mfns[pfn] == COREDUMP_NO_FRAME)
			continue;
		/* Events still reach a paused domain. What is looked at is what is written. */
		guest_bytes(page, plat_frame_ptr(MFN(image->mfns[pfn])), PAGE_SIZE);
		if (memcmp(page, zero, PAGE_SIZE) &&
		    !put(fd, page, PAGE_SIZE, at + (pfn << PAGE_SHIFT)))
			return false;
	}
	return true;
}

static bool put_program_headers(int fd, const struct layout *l, struct core_image *image)
{
	Elf64_Phdr notes = { .p_type = PT_NOTE,
			     .p_offset = l->threads_at,
			     .p_filesz = l->threads_size,
			     .p_align = 4 };

	for (guint i = 0; i < image->segments->len; i++)
		g_array_index(image->segments, Elf64_Phdr, i).p_offset +=
			l->sec[SEC_PAGES].sh_offset;
	return put(fd, &notes, sizeof(notes), l->head.e_phoff) &&
	       put_array(fd, image->segments, l->head.e_phoff + sizeof(notes));
}

int coredump_write(int fd, struct core_image *image)
{
	struct layout l;

	plan(&l, image);
	errno = 0;
	return put(fd, &l, sizeof(l.head) + sizeof(l.sec), 0) &&
			       put(fd, names, sizeof(names), l.sec[SEC_NAMES].sh_offset) &&
			       put_xen_notes(fd, &l, image) &&
			       put_array(fd, image->contexts, l.sec[SEC_CONTEXTS].sh_offset) &&
			       put(fd, image->shared_info, sizeof(image->shared_info),
				   l.sec[SEC_SHARED].sh_offset) &&
			       put_p2m(fd, l.sec[SEC_P2M].sh_offset, image) &&
			       put_pages(fd, l.sec[SEC_PAGES].sh_offset, image) &&
			       put_program_headers(fd, &l, image) &&
			       put_array(fd, image->threads, l.threads_at) ?
		       0 :
		       errno;
}
