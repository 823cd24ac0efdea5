/* SPDX-License-Identifier: MIT */
/* Between coredump.c, which knows domains, and coredump_file.c, which knows files. Private to both.
 */
#ifndef XENOPUS_COREDUMP_H
#define XENOPUS_COREDUMP_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/procfs.h> /* defines PAGE_MASK and others as the core does, but by another text: first, then undone */
#undef PAGE_MASK
#undef PAGE_SIZE
#undef PAGE_SHIFT
#include <glib.h>

#include <xenopus/cpu.h>
#include <xenopus/lib.h>
#include "../machine.h"

#define COREDUMP_NO_FRAME UINT32_MAX

/** struct thread_note - a virtual CPU's registers as gdb wants them. */
struct thread_note {
	Elf64_Nhdr head;
	char name[8];
	struct elf_prstatus status;
} __attribute__((packed, aligned(4)));

/**
 * struct core_image - what goes into a core file, as far as it is not the frames themselves.
 * @mfns: by pfn, up to @nr_pfns, which is not above @max_pfns; COREDUMP_NO_FRAME where there is
 * none
 * @segments: Elf64_Phdr of what the kernel's page tables map; p_offset is still the pseudo-physical
 * address
 * @threads: struct thread_note of each virtual CPU that was started
 * @contexts: struct vcpu_guest_context of every virtual CPU, zeroes for those that were not
 * @shared_info: a copy
 * @cancelled: the file is not wanted any more; set by another thread than the one that writes
 */
struct core_image {
	uint32_t *mfns;
	uint64_t nr_pfns, max_pfns;
	GArray *segments, *threads, *contexts;
	uint8_t shared_info[4096];
	gint cancelled;
};

/** coredump_write() - @image to the empty file @fd. 0 or an errno; ECANCELED. */
int coredump_write(int fd, struct core_image *image);

#endif
