/* SPDX-License-Identifier: MIT */
/* XENFEAT_* this hypervisor offers every domain; for XENVER_get_features and for loaders to check kernels. */
#ifndef XENOPUS_FEATURES_H
#define XENOPUS_FEATURES_H

#include <xen/features.h>

#define FEATURE(name) (1u << XENFEAT_##name)

/* direct_mapped: the frame numbers a domain that is not translated uses are the machine's. */
#define CORE_FEATURES (FEATURE(mmu_pt_update_preserve_ad) | FEATURE(highmem_assist) | \
		       FEATURE(gnttab_map_avail_bits) | FEATURE(direct_mapped))

/*
 * What a kernel's notes may require. Linux requires writable_page_tables, which no Xen tells a PV domain it has:
 * it means direct stores into page tables, and those are emulated.
 */
#define CORE_NOTE_FEATURES (CORE_FEATURES | FEATURE(writable_page_tables) | FEATURE(pae_pgdir_above_4gb))

#endif
