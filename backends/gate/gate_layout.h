/* SPDX-License-Identifier: MIT */
/*
 * Where the gate lies in every guest address space (L4 slot 258), for assembly and C alike:
 *
 *	GATE_VIRT + 0x0000   (unused)
 *	          + 0x1000   stub page: a 4-byte stub per vector, then the resume stubs
 *	          + 0x2000   IDT
 *	          + 1 GiB    per virtual CPU, 0x40000 each: GDT (16 pages), LDT (16 pages), TSS with I/O
 *	                     bitmap, ring-0 stack, and for ring 3 the door page (SYSCALL enters
 *	                     here; the same frame for all) with its box page and its
 *	                     sign page (door.c)
 *	          + 2 GiB    the notes page of a domain's only virtual CPU, no other domain sees it (door.c)
 *	          + 256 GiB  direct map of all machine memory, ring 0 only
 *
 * Selectors are Xen's: the guest owns GDT entries below FIRST_RESERVED_GDT_ENTRY (page 14).
 */
#ifndef XENOPUS_GATE_LAYOUT_H
#define XENOPUS_GATE_LAYOUT_H

#define GATE_VIRT         0xffff810000000000
#define GATE_STUB_OFF     0x1000
#define GATE_IDT_OFF      0x2000
#define GATE_VCPU_OFF     0x40000000
#define GATE_VCPU_SIZE    0x40000
#define GATE_VCPU_PAGES   64
#define GATE_VCPU_LDT     0x10000
#define GATE_VCPU_TSS     0x20000
#define GATE_VCPU_STACK   0x21000 /* one page; grows down from its end */
#define GATE_VCPU_DOOR    0x22000
#define GATE_VCPU_BOX     0x23000
#define GATE_VCPU_SIGN    0x24000
#define GATE_NOTES_OFF    0x80000000
#define GATE_DIRECT_OFF   0x4000000000

/* Offsets inside the stub page (gate.S keeps to them). */
#define GATE_STUB_SIZE    4
#define GATE_RESUME_OFF   0x400 /* stores, then return */
#define GATE_FLUSH_OFF    0x600 /* stores, CR3 load, then return */
#define GATE_STORE_OFF    0x800 /* stores, then GATE_PORT_DONE */
#define GATE_STORE_SIZE   6     /* bytes of code per store */
#define GATE_STORES       64

/* Offsets inside the door page. */
#define GATE_LSTAR_OFF    0x00
#define GATE_LEAVE_OFF    0x10 /* the OUT that leaves the VM */
#define GATE_CSTAR_OFF    0x20

/* Offsets inside the box page. */
#define BOX_STATE         0x04
#define BOX_RAX           0x08
#define BOX_RDI           0x10
#define BOX_RSI           0x18
#define BOX_RDX           0x20
#define BOX_R10           0x28
#define BOX_R8            0x30
#define BOX_R9            0x38
#define BOX_RBX           0x40
#define BOX_RESULT        0x48
#define BOX_NO_SUCH_VCPU  0x50 /* questions answered without anybody's help */

/* Offsets inside the notes page. */
#define NOTES_STACK       0x00 /* 1: the next two are a stack_switch */
#define NOTES_SS          0x08
#define NOTES_SP          0x10
#define NOTES_GS          0x18 /* 1: the next is a set_segment_base of the user's GS */
#define NOTES_GS_BASE     0x20

/* Offsets inside the sign page, which ring 3 can only read. */
#define SIGN_OPEN         0x00 /* somebody attends: ask by the box */
#define SIGN_LAST_VCPU    0x04 /* highest virtual CPU there is; ~0: answer nothing in the door */
#define SIGN_NOTES        0x08 /* the notes page is there, and will be read at the next exit */

/* What the door knows of the ABI, in numbers for the assembler (gate_map.c compares them with the headers). */
#define DOOR_VCPU_OP      24
#define DOOR_IS_UP        3
#define DOOR_ENOENT       2
#define DOOR_STACK_SWITCH 3
#define DOOR_SEGMENT_BASE 25
#define DOOR_GS_USER      1

/* BOX_STATE: who must act. */
#define BOX_IDLE          0
#define BOX_ASKED         1 /* the guest has asked */
#define BOX_TAKEN         2 /* the attendant works on it */
#define BOX_DONE          3 /* answered, the guest goes on */
#define BOX_DONE_LEAVE    4 /* answered, but the guest must leave the VM before it goes on */
#define BOX_REFUSED       5 /* ask by leaving the VM */
#define BOX_GIVEN_UP      6 /* the guest did not wait any longer */

#define BOX_PATIENCE      2000 /* PAUSEs before the guest gives up on an attendant who is not there */

/*
 * Hosted, a stub tells its vector by the I/O port it writes to; these ports are no vectors we use.
 * (0x7e is special to KVM on AMD: never use it.)
 */
#define GATE_PORT_LSTAR    0xff
#define GATE_PORT_CSTAR    0xfe
#define GATE_PORT_DONE     0xfc

/* Selectors in the reserved pages of every GDT. */
#define GATE_CS            0xe008
#define GATE_DS            0xe010
#define GATE_TSS           0xe040
#define GATE_LDT           0xe050

#endif
