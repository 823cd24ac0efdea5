/* SPDX-License-Identifier: MIT */
/*
 * The map of every guest address space above the hole (xen/arch-x86/xen-x86_64.h reserves L4 slots
 * 256..271 for the hypervisor):
 *
 *	slot 256  0xffff800000000000  M2P at its traditional place, where plat_info()->slot256_visible
 *	slot 257  0xffff808000000000  M2P, read-only to guests (told by XENMEM_machphys_mapping)
 *	slot 258  0xffff810000000000  the home: gate code and data, descriptor tables, direct map ...
 *	slot 271  0xffff87ffffffffff  ... up to here
 *	slot 272  0xffff880000000000  the guest kernel's
 */
#ifndef XENOPUS_LAYOUT_H
#define XENOPUS_LAYOUT_H

#include "types.h"

#define L4_FIRST_RESERVED   256u
#define L4_LAST_RESERVED    271u
#define L4_M2P_TRADITIONAL  256u
#define L4_M2P              257u
#define L4_HOME             258u

#define M2P_VIRT            UINT64_C(0xffff808000000000)
#define RESERVED_VIRT_START UINT64_C(0xffff800000000000)
#define RESERVED_VIRT_END   UINT64_C(0xffff880000000000)

static inline bool va_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/** va_guest_ok() - canonical and outside the hypervisor's reserved slots. */
static inline bool va_guest_ok(uint64_t va)
{
	return va_canonical(va) && (va < RESERVED_VIRT_START || va >= RESERVED_VIRT_END);
}

#endif
