/* SPDX-License-Identifier: MIT */
/*
 * Where the bare-metal home lies in every address space, for assembly, C and the linker script:
 *
 *	slot 258  0xffff810000000000  the image, at this plus its physical address; text RX, data NX
 *	          + 256 GiB           per CPU beside the first 32 pages: stacks, struct percpu, TSS, GDT page (smp.c)
 *	slot 259  0xffff818000000000  per virtual CPU, 0x40000 each: GDT (16 pages), LDT (16 pages)
 *	          + 256 GiB           device registers (uncached)
 *	slot 260  0xffff820000000000  direct map of all memory, up to slot 271: 6 TiB
 *
 * Nothing here has the user bit. No table of the home changes after boot but those of slot 259.
 */
#ifndef XENOPUS_METAL_LAYOUT_H
#define XENOPUS_METAL_LAYOUT_H

#ifdef __ASSEMBLER__
#define ADDRESS(x) x
#else
#include <stdint.h>
#define ADDRESS(x) UINT64_C(x)
#endif

#define IMAGE_VIRT   ADDRESS(0xffff810000000000)
#define CPU_VIRT     ADDRESS(0xffff814000000000)
#define WINDOW_VIRT  ADDRESS(0xffff818000000000)
#define DEVICE_VIRT  ADDRESS(0xffff81c000000000)
#define DIRECT_VIRT  ADDRESS(0xffff820000000000)
#define DIRECT_LIMIT ADDRESS(0x60000000000) /* 12 slots */

#define IMAGE_SLOT   258
#define WINDOW_SLOT  259
#define DIRECT_SLOT  260

#define WINDOW_SIZE  0x40000
#define WINDOW_PAGES 64
#define WINDOW_LDT   0x10000

/* Selectors in the reserved pages of every GDT; the guest owns the entries before page 14. */
#define HYP_CS  0xe008
#define HYP_DS  0xe010
#define HYP_TSS 0xe040
#define HYP_LDT 0xe050

/* Interrupt vectors. */
#define VECTOR_SERIAL   0xd4
#define VECTOR_PIC      0xe0 /* 16 lines */
#define VECTOR_TIMER    0xf0
#define VECTOR_KICK     0xf2 /* another CPU wants this one in the core */
#define VECTOR_SPURIOUS 0xff

/* By which door the image was entered. */
#define DOOR_PVH        1
#define DOOR_MULTIBOOT2 2
#define DOOR_MULTIBOOT1 3

#endif
