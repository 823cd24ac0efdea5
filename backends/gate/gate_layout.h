/* SPDX-License-Identifier: MIT */
/*
 * Where the gate lies in every guest address space (L4 slot 258), for assembly and C alike:
 *
 *	GATE_VIRT + 0x0000   entry page: SYSCALL/SYSENTER doors, readable by ring 3
 *	          + 0x1000   stub page: a 4-byte stub per vector, then the resume stubs
 *	          + 0x2000   IDT
 *	          + 1 GiB    per virtual CPU, 0x40000 each: GDT (16 pages), LDT (16 pages), TSS with I/O
 *	                     bitmap, ring-0 stack
 *	          + 256 GiB  direct map of all machine memory, ring 0 only
 *
 * Selectors are Xen's: the guest owns GDT entries below FIRST_RESERVED_GDT_ENTRY (page 14).
 */
#ifndef XENOPUS_GATE_LAYOUT_H
#define XENOPUS_GATE_LAYOUT_H

#define GATE_VIRT         0xffff810000000000
#define GATE_ENTRY_OFF    0x0000
#define GATE_STUB_OFF     0x1000
#define GATE_IDT_OFF      0x2000
#define GATE_VCPU_OFF     0x40000000
#define GATE_VCPU_SIZE    0x40000
#define GATE_VCPU_PAGES   64
#define GATE_VCPU_LDT     0x10000
#define GATE_VCPU_TSS     0x20000
#define GATE_VCPU_STACK   0x21000 /* one page; grows down from its end */
#define GATE_DIRECT_OFF   0x4000000000

/* Offsets inside the stub page (gate.S keeps to them). */
#define GATE_STUB_SIZE    4
#define GATE_RESUME_OFF   0x400 /* stores, then return */
#define GATE_FLUSH_OFF    0x500 /* stores, CR3 load, then return */
#define GATE_STORE_OFF    0x600 /* stores, then GATE_PORT_DONE */
#define GATE_SELFCOPY_OFF 0x700 /* rep movsq, then GATE_PORT_DONE */
#define GATE_STORE_SIZE   3     /* bytes of code per store */
#define GATE_STORES       64

/* Offsets inside the entry page. */
#define GATE_LSTAR_OFF    0x00
#define GATE_CSTAR_OFF    0x20
#define GATE_SYSENTER_OFF 0x40

/*
 * Hosted, a stub tells its vector by the I/O port it writes to; these ports are no vectors we use.
 * (0x7e is special to KVM on AMD: never use it.)
 */
#define GATE_PORT_LSTAR    0xff
#define GATE_PORT_CSTAR    0xfe
#define GATE_PORT_SYSENTER 0xfd
#define GATE_PORT_DONE     0xfc

/* Selectors in the reserved pages of every GDT. */
#define GATE_CS            0xe008
#define GATE_DS            0xe010
#define GATE_TSS           0xe040
#define GATE_LDT           0xe050

#endif
