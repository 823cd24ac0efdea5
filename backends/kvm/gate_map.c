/* SPDX-License-Identifier: MIT */
/*
 * Puts the gate into machine memory: its page tables, the two code pages, IDT, TSS and stacks, and the
 * descriptor areas of the virtual CPUs. The map is in backends/gate/gate_layout.h.
 */
#include <string.h>

#include "machine.h"

#include <xen/vcpu.h>

_Static_assert(DOOR_VCPU_OP == __HYPERVISOR_vcpu_op && DOOR_IS_UP == VCPUOP_is_up && DOOR_ENOENT == XEN_ENOENT &&
	       DOOR_STACK_SWITCH == __HYPERVISOR_stack_switch && DOOR_SEGMENT_BASE == __HYPERVISOR_set_segment_base &&
	       DOOR_GS_USER == SEGBASE_GS_USER, "the gate's numbers are the ABI's");

extern const char gate_door_page[4096], gate_stub_page[4096];

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_US | PTE_A)
#define DOOR_FLAGS  (PTE_P | PTE_US | PTE_A)             /* ring 3 executes it */
#define SIGN_FLAGS  (PTE_P | PTE_US | PTE_A | PTE_NX)
#define BOX_FLAGS   (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D | PTE_NX)
#define STUB_FLAGS  (PTE_P | PTE_A)
#define DATA_FLAGS  (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)

static uint64_t area_l2, door_page, reserved_gdt, empty_gdt;

static uint64_t *table(uint64_t addr)
{
	return (uint64_t *)(void *)(machine.mem + addr);
}

uint64_t gate_frame_alloc(void)
{
	if (machine.next_gate_frame == machine.frames)
		return 0;
	return machine.next_gate_frame++ << PAGE_SHIFT;
}

/* The reserved descriptors every PV guest may count on (xen/arch-x86/xen-x86_64.h), and the gate's own. */
static void fill_reserved_gdt(uint64_t *gdt)
{
	gdt[(0xe008 & 0xfff) / 8] = UINT64_C(0x00af9b000000ffff); /* ring 0 code, 64 bit */
	gdt[(0xe010 & 0xfff) / 8] = UINT64_C(0x00cf93000000ffff); /* ring 0 data */
	gdt[(0xe018 & 0xfff) / 8] = UINT64_C(0x00cfbb000000ffff); /* ring 1 code, 32 bit */
	gdt[(0xe020 & 0xfff) / 8] = UINT64_C(0x00cffb000000ffff); /* ring 3 code, 32 bit */
	gdt[(0xe028 & 0xfff) / 8] = UINT64_C(0x00cff3000000ffff); /* ring 3 data */
	gdt[(0xe030 & 0xfff) / 8] = UINT64_C(0x00affb000000ffff); /* ring 3 code, 64 bit */
}

static void fill_idt(uint64_t *idt)
{
	for (unsigned v = 0; v < 256; v++) {
		uint64_t a = GATE_VIRT + GATE_STUB_OFF + v * GATE_STUB_SIZE;
		/* int3, into and the two old system-call vectors may be raised by ring 3 itself. */
		uint64_t dpl = v == 3 || v == 4 || v == 0x80 || v == 0x82 ? 3 : 0;

		idt[2 * v] = (a & 0xffff) | (uint64_t)GATE_CS << 16 | (0x8e00 | dpl << 13) << 32 |
			     (a >> 16 & 0xffff) << 48;
		idt[2 * v + 1] = a >> 32;
	}
}

static bool map_direct(uint64_t l3)
{
	for (uint64_t base = 0, i = 0; base < machine.frames; base += 512 * 512, i++) {
		uint64_t l2 = gate_frame_alloc();

		if (!l2)
			return false;
		table(l3)[GATE_DIRECT_OFF / (UINT64_C(1) << 30) + i] = l2 | TABLE_FLAGS;
		for (uint64_t j = 0; j < 512 && base + j * 512 < machine.frames; j++)
			table(l2)[j] = (base + j * 512) << PAGE_SHIFT | DATA_FLAGS | PTE_PS;
	}
	return true;
}

bool gate_map_init(GError **error)
{
	uint64_t l3 = gate_frame_alloc(), l2 = gate_frame_alloc(), l1 = gate_frame_alloc();
	uint64_t stub = gate_frame_alloc(), idt = gate_frame_alloc();

	area_l2 = gate_frame_alloc();
	reserved_gdt = gate_frame_alloc();
	empty_gdt = gate_frame_alloc();
	machine.gate_l3 = l3;

	door_page = gate_frame_alloc();
	memcpy(table(door_page), gate_door_page, 4096);
	memcpy(table(stub), gate_stub_page, 4096);
	fill_idt(table(idt));
	fill_reserved_gdt(table(reserved_gdt));

	table(l3)[0] = l2 | TABLE_FLAGS;
	table(l3)[GATE_VCPU_OFF >> 30] = area_l2 | TABLE_FLAGS;
	table(l2)[0] = l1 | TABLE_FLAGS;
	table(l1)[GATE_STUB_OFF >> PAGE_SHIFT] = stub | STUB_FLAGS;
	table(l1)[GATE_IDT_OFF >> PAGE_SHIFT] = idt | DATA_FLAGS;

	if (!map_direct(l3)) {
		g_set_error(error, MACHINE_ERROR, 0, "no room for the gate's tables");
		return false;
	}
	return true;
}

uint64_t gate_reserved_gdt_pte(unsigned page)
{
	return (page == FIRST_RESERVED_GDT_PAGE ? reserved_gdt : empty_gdt) | DATA_FLAGS;
}

uint64_t gate_area_va(const struct kvcpu *k)
{
	return GATE_VIRT + GATE_VCPU_OFF + (uint64_t)k->area * GATE_VCPU_SIZE;
}

void gate_area_set(const struct kvcpu *k, unsigned page, uint64_t pte)
{
	const unsigned per_l1 = 512 / GATE_VCPU_PAGES;
	uint64_t l1 = table(area_l2)[(unsigned)k->area / per_l1] & PTE_ADDR;
	unsigned index = (unsigned)k->area % per_l1 * GATE_VCPU_PAGES + page;

	if ((table(l1)[index] ^ pte) & ~(PTE_A | PTE_D))
		plat_pt_write(MFN(l1 >> PAGE_SHIFT), index, pte, 1);
}

/* The TSS: ring-0 stack, and an I/O bitmap that lets ring 3 use the SYSCALL door's port and no other. */
static void fill_tss(uint8_t *tss, uint64_t stack)
{
	const uint16_t bitmap_at = 104;

	memcpy(tss + 4, &stack, sizeof(stack));
	memcpy(tss + 102, &bitmap_at, sizeof(bitmap_at));
	memset(tss + bitmap_at, 0xff, 256 / 8 + 1);
	tss[bitmap_at + GATE_PORT_LSTAR / 8] &= (uint8_t)~(1u << (GATE_PORT_LSTAR % 8));
}

bool gate_map_notes(struct kvcpu *k)
{
	uint64_t l3 = gate_frame_alloc(), l2 = gate_frame_alloc(), l1 = gate_frame_alloc();
	uint64_t notes = gate_frame_alloc();

	if (!notes)
		return false;
	memcpy(table(l3), table(machine.gate_l3), PAGE_SIZE);
	table(l3)[GATE_NOTES_OFF >> 30] = l2 | TABLE_FLAGS;
	table(l2)[0] = l1 | TABLE_FLAGS;
	table(l1)[0] = notes | BOX_FLAGS;
	k->notes = machine.mem + notes;
	k->gate_l3 = l3;
	return true;
}

bool gate_map_kvcpu(struct kvcpu *k)
{
	const unsigned per_l1 = 512 / GATE_VCPU_PAGES;
	uint64_t tss = gate_frame_alloc(), stack = gate_frame_alloc();
	uint64_t box = gate_frame_alloc(), sign = gate_frame_alloc();
	uint64_t va = gate_area_va(k);

	if (!(table(area_l2)[(unsigned)k->area / per_l1] & PTE_P)) {
		uint64_t l1 = gate_frame_alloc();

		if (!l1)
			return false;
		plat_pt_write(MFN(area_l2 >> PAGE_SHIFT), (unsigned)k->area / per_l1, l1 | TABLE_FLAGS, 2);
	}
	if (!tss || !stack || !box || !sign)
		return false;
	for (unsigned i = FIRST_RESERVED_GDT_PAGE; i < 16; i++)
		gate_area_set(k, i, gate_reserved_gdt_pte(i));
	gate_area_set(k, GATE_VCPU_TSS / PAGE_SIZE, tss | DATA_FLAGS);
	gate_area_set(k, GATE_VCPU_STACK / PAGE_SIZE, stack | DATA_FLAGS);
	gate_area_set(k, GATE_VCPU_DOOR / PAGE_SIZE, door_page | DOOR_FLAGS);
	gate_area_set(k, GATE_VCPU_BOX / PAGE_SIZE, box | BOX_FLAGS);
	gate_area_set(k, GATE_VCPU_SIGN / PAGE_SIZE, sign | SIGN_FLAGS);
	k->box = machine.mem + box;
	k->sign = machine.mem + sign;
	memset(k->sign + SIGN_LAST_VCPU, 0xff, sizeof(uint32_t)); /* until door.c knows better */
	k->stack_page = machine.mem + stack;
	k->stack_top = va + GATE_VCPU_STACK + PAGE_SIZE;
	fill_tss(machine.mem + tss, k->stack_top);

	k->sregs->tr = (struct kvm_segment){ .base = va + GATE_VCPU_TSS, .limit = 104 + 256 / 8,
					     .selector = GATE_TSS, .type = 11, .present = 1 };
	k->sregs->idt.base = GATE_VIRT + GATE_IDT_OFF;
	k->sregs->idt.limit = 0xfff;
	k->sregs->gdt.base = va;
	k->sregs->gdt.limit = 0xffff;
	return true;
}

/*
 * With a second virtual CPU the domain's user code could write notes while its kernel runs on the first one. The answer is
 * the same from the first table of a domain to its last.
 */
bool gate_has_notes(const struct domain *d)
{
	const struct kvcpu *k = d && d->max_vcpus == 1 && d->vcpu[0] ? d->vcpu[0]->plat : NULL;

	return k && k->notes;
}

uint64_t plat_root_slot(const struct domain *d, unsigned slot)
{
	const struct kvcpu *k;

	if (slot != (GATE_VIRT >> 39 & 511))
		return 0;
	if (!gate_has_notes(d))
		return machine.gate_l3 | TABLE_FLAGS;
	k = d->vcpu[0]->plat;
	return k->gate_l3 | TABLE_FLAGS;
}
