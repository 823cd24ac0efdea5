/* SPDX-License-Identifier: MIT */
/*
 * hypercall_page.c - the page of code through which a guest may make hypercalls
 *
 * One slot of 32 bytes per hypercall number: load the number, SYSCALL, return. The guest then needs
 * not know which instruction it takes.
 */
#include "internal.h"

#define SLOT_SIZE 32

/* Byte order as in memory: the code of one slot, the hypercall number at offset 4. */
static const uint8_t slot_code[] = {
	0x51,		  /* push %rcx */
	0x41, 0x53,	  /* push %r11 */
	0xb8, 0, 0, 0, 0, /* mov $nr, %eax */
	0x0f, 0x05,	  /* syscall */
	0x41, 0x5b,	  /* pop %r11 */
	0x59,		  /* pop %rcx */
	0xc3,		  /* ret */
};

/* iret does not return: the guest jumps here, and the frame's last three words are rcx, r11, rax. */
static const uint8_t slot_iret[] = {
	0x51,				     /* push %rcx */
	0x41, 0x53,			     /* push %r11 */
	0x50,				     /* push %rax */
	0xb8, __HYPERVISOR_iret, 0, 0, 0, /* mov $nr, %eax */
	0x0f, 0x05,			     /* syscall */
};

void arch_fill_hypercall_page(void *page)
{
	unsigned nr;

	memset(page, 0xcc, PAGE_SIZE);
	for (nr = 0; nr < PAGE_SIZE / SLOT_SIZE; nr++) {
		uint8_t *slot = (uint8_t *)page + nr * SLOT_SIZE;

		if (nr == __HYPERVISOR_iret) {
			memcpy(slot, slot_iret, sizeof(slot_iret));
			continue;
		}
		memcpy(slot, slot_code, sizeof(slot_code));
		slot[4] = nr;
	}
}

bool hypercall_page_by_msr(struct vcpu *v, uint64_t value)
{
	mfn_t mfn = pte_mfn(value);

	/* The low bits are the number of the page, and there is one; those above have no frame. */
	if ((value & ~PTE_ADDR) || mm_get_frame_type(mfn, v->domain, FT_WRITABLE))
		return false;
	arch_fill_hypercall_page(plat_frame_ptr(mfn));
	plat_frame_dirty(mfn);
	mm_put_frame_type(mfn);
	return true;
}
