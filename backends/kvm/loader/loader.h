/* SPDX-License-Identifier: MIT */
/*
 * The hosted kernel loader: from a file to something a domain can be built from.
 *
 * A user hands over whatever his distribution calls a kernel: a bzImage with its ELF image compressed
 * in one of seven ways, a compressed vmlinux, or the ELF itself. This library turns it into a list
 * of segments and the Xen notes that say how the image wants to be started:
 *
 *	file --image.c--> ELF bytes --segments.c--> what goes where
 *	        |              \------notes.c-----> how to start it
 *	        \-- unpack*.c (zlib, bzip2, lzma, zstd, lz4, lzo)
 *
 * Promises: the input is never trusted. Whatever the bytes are, the answer is either a kernel whose
 * every segment lies inside the image and whose addresses have been checked against each other, or one
 * GError that says what is wrong, where, and what to do about it. Nothing is allocated from a number
 * read out of the file before that number was bounded, and unpacking stops at LOADER_MAX_IMAGE.
 *
 * Nothing here knows KVM, the core or a guest's memory: placing the segments is the caller's work.
 */
#ifndef XENOPUS_LOADER_H
#define XENOPUS_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

/** LOADER_MAX_IMAGE - No kernel image may unpack to more than this many bytes. */
#define LOADER_MAX_IMAGE	((size_t)1 << 30)

/** LOADER_MAX_EXTENT - No kernel may span more guest memory than this, first to last byte. */
#define LOADER_MAX_EXTENT	((uint64_t)2 << 30)

/** LOADER_MAX_L1_PAIRS - How many L1_MFN_VALID mask/value pairs are kept. */
#define LOADER_MAX_L1_PAIRS	4

/** LOADER_NOTES - One more than the highest Xen note number this library understands. */
#define LOADER_NOTES		20

/** LOADER_NOTE_PHYS32_RELOC - Newer than the public headers this is built with; only recorded. */
#define LOADER_NOTE_PHYS32_RELOC	19

/**
 * LOADER_FEATURE() - The bit of one feature in a mask.
 * @name: a name of the ABI's features.h without its XENFEAT_ prefix (include that header).
 */
#define LOADER_FEATURE(name)	(UINT32_C(1) << XENFEAT_##name)

/** LOADER_ERROR - The domain of all errors of this library. */
#define LOADER_ERROR		(loader_error_quark())

/** enum loader_error - What went wrong, for callers that do more than print the message. */
enum loader_error {
	LOADER_ERROR_FILE,		/* cannot be opened, mapped or read */
	LOADER_ERROR_TRUNCATED,		/* ends before what it announces */
	LOADER_ERROR_FORMAT,		/* not an ELF image, not a bzImage, or a damaged one */
	LOADER_ERROR_COMPRESSION,	/* unknown compression or damaged compressed data */
	LOADER_ERROR_TOO_BIG,		/* beyond LOADER_MAX_IMAGE or LOADER_MAX_EXTENT */
	LOADER_ERROR_MACHINE,		/* for another architecture */
	LOADER_ERROR_NOT_XEN,		/* has no Xen notes, or none a PV domain can start from */
	LOADER_ERROR_PVH_ONLY,		/* starts only in hardware-virtualised domains */
	LOADER_ERROR_NOTE,		/* a Xen note that makes no sense */
	LOADER_ERROR_FEATURE,		/* requires a feature that is not supplied */
};

/**
 * struct loader_segment - One piece of the image, and where it goes.
 * @data: its bytes in the image; valid until loader_free()
 * @filesz: how many bytes there are at @data
 * @memsz: how many bytes it takes in memory (>= @filesz); the rest is zero
 * @phys: pseudo-physical address, counted from the start of the domain's memory
 * @va: guest virtual address where the initial mapping shows it: @phys + VIRT_BASE
 * @p_vaddr: the program header's virtual address. Not where it goes: Linux' per-cpu segment has 0 here
 * @p_paddr: the program header's physical address, PADDR_OFFSET not yet subtracted
 * @flags: PF_R, PF_W, PF_X of the program header
 */
struct loader_segment {
	const uint8_t *data;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t phys;
	uint64_t va;
	uint64_t p_vaddr;
	uint64_t p_paddr;
	uint32_t flags;
};

/** struct loader_l1_pair - An entry with (entry & @mask) == @value carries a valid frame number. */
struct loader_l1_pair {
	uint64_t mask;
	uint64_t value;
};

/**
 * struct loader_notes - What the image says of itself.
 * @present: bit XEN_ELFNOTE_x is set when that note (or its legacy equivalent) was given
 * @legacy: the notes come from a __xen_guest section
 * @virt_base: VIRT_BASE: virtual address of pseudo-physical address 0 (default 0)
 * @paddr_offset: PADDR_OFFSET: what to subtract from p_paddr (default 0; legacy: @virt_base)
 * @entry: ENTRY: first instruction (default: the ELF entry point)
 * @hypercall_page: HYPERCALL_PAGE: page to fill with stubs; only if present
 * @init_p2m: INIT_P2M: where the P2M list wants to be mapped; only if present
 * @hv_start_low: HV_START_LOW: lowest start of the hypervisor's hole it can bear; only if present
 * @mod_start_pfn: MOD_START_PFN: takes an initrd that is not in the initial mapping
 * @suspend_cancel: SUSPEND_CANCEL: knows how to go on after a cancelled suspend
 * @bsd_symtab: BSD_SYMTAB: would like its symbol table behind its end
 * @phys32_entry: PHYS32_ENTRY: the PVH entry point, of no use here; only if present
 * @l1: L1_MFN_VALID pairs
 * @nr_l1: how many of them
 * @features_supported: XENFEAT_* bits from FEATURES and SUPPORTED_FEATURES
 * @features_required: the ones marked with '!' in FEATURES
 * @features: FEATURES as written, NULL if absent; the strings below likewise
 * @guest_os: GUEST_OS
 * @guest_version: GUEST_VERSION
 * @xen_version: XEN_VERSION
 * @loader: LOADER
 * @pae_mode: PAE_MODE, without meaning for a 64-bit guest
 *
 * Strings are NUL-terminated and hold printable ASCII only, so they can be shown on a terminal.
 */
struct loader_notes {
	uint32_t present;
	bool legacy;
	uint64_t virt_base;
	uint64_t paddr_offset;
	uint64_t entry;
	uint64_t hypercall_page;
	uint64_t init_p2m;
	uint64_t hv_start_low;
	bool mod_start_pfn;
	bool suspend_cancel;
	bool bsd_symtab;
	uint64_t phys32_entry;
	struct loader_l1_pair l1[LOADER_MAX_L1_PAIRS];
	unsigned int nr_l1;
	uint32_t features_supported;
	uint32_t features_required;
	char *features;
	char *guest_os;
	char *guest_version;
	char *xen_version;
	char *loader;
	char *pae_mode;
};

/**
 * struct loader_kernel - A kernel, unpacked and understood.
 * @name: what to call it in messages (the path)
 * @format: how it was packed, for people ("bzImage, xz")
 * @entry: virtual address of the first instruction
 * @vstart: virtual address of its first byte (lowest segment)
 * @vend: virtual address behind its last byte; start-of-day structures follow here. Neither aligned nor
 *	far from the end of the address space: check before adding to it
 * @segments: what to place, in the order of the program headers
 * @nr_segments: how many
 * @notes: how it wants to be started
 * @image: the ELF image, which @segments point into
 * @image_len: its length
 * @cache_key: private to cache.c
 * @file: private: the mapped file
 * @file_len: private
 * @cached: the image is an entry of the kernel cache, mapped
 * @unpacked: private: the buffer that was unpacked into
 * @unpacked_len: private
 *
 * Segments lie in [@vstart, @vend); @vend - @vstart is at most LOADER_MAX_EXTENT. Two segments may
 * overlap (the later one wins), but all together are at most twice the extent.
 */
struct loader_kernel {
	char *name;
	char *format;
	uint64_t entry;
	uint64_t vstart;
	uint64_t vend;
	struct loader_segment *segments;
	unsigned int nr_segments;
	struct loader_notes notes;
	const uint8_t *image;
	size_t image_len;

	char *cache_key;
	bool cached;
	void *file;
	size_t file_len;
	void *unpacked;
	size_t unpacked_len;
};

GQuark loader_error_quark(void);

/**
 * loader_open() - Load a kernel from a file.
 * @path: the file
 * @out: filled on success, zeroed on failure
 * @err: where to put the error, or NULL
 *
 * The file stays mapped while @out points into it, that is until loader_free().
 *
 * Return: true on success.
 */
bool loader_open(const char *path, struct loader_kernel *out, GError **err);

/**
 * loader_from_memory() - Load a kernel that is in memory already.
 * @data: its bytes; they must stay until loader_free()
 * @len: how many
 * @name: what to call it in messages
 * @out: filled on success, zeroed on failure
 * @err: where to put the error, or NULL
 *
 * Return: true on success.
 */
bool loader_from_memory(const void *data, size_t len, const char *name, struct loader_kernel *out,
			GError **err);

/**
 * loader_free() - Give back everything @kernel holds and zero it.
 * @kernel: a loaded kernel, or a zeroed structure
 *
 * The unpacked image is some 60 MiB: free it as soon as the segments are in guest memory.
 */
void loader_free(struct loader_kernel *kernel);

/**
 * loader_has_note() - Was this note given?
 * @kernel: a loaded kernel
 * @note: an XEN_ELFNOTE_ number
 *
 * Return: true if the image has the note or its legacy equivalent.
 */
bool loader_has_note(const struct loader_kernel *kernel, unsigned int note);

/**
 * loader_check_features() - Is everything there that the kernel cannot do without?
 * @kernel: a loaded kernel
 * @supplied: LOADER_FEATURE() bits of what the hypervisor does
 * @err: where to put the error, or NULL
 *
 * Note that Linux requires writable_page_tables. It means by it that its stores to page tables have the
 * promised effect: a hypervisor that emulates them may say so here without offering XENFEAT_ of that
 * name at run time, which would promise more (that the guest need not map them read-only).
 *
 * Return: true if no required feature is missing.
 */
bool loader_check_features(const struct loader_kernel *kernel, uint32_t supplied, GError **err);

/**
 * loader_feature_name() - The name of a feature bit.
 * @bit: a XENFEAT_ number
 *
 * Return: the name as written in a FEATURES note, or NULL.
 */
const char *loader_feature_name(unsigned int bit);

/**
 * loader_dump() - Describe a kernel for people.
 * @kernel: a loaded kernel
 * @to: where to print: one line per segment and per note
 */
void loader_dump(const struct loader_kernel *kernel, FILE *to);

#endif
