/* SPDX-License-Identifier: MIT */
/*
 * Every hypercall with arguments that point nowhere, into the hypervisor, or across the end of a
 * page.
 */
#include "hostile.h"

const char guest_topic[] = "pointers";

static const unsigned calls[] = {
	__HYPERVISOR_set_trap_table,
	__HYPERVISOR_mmu_update,
	__HYPERVISOR_set_gdt,
	__HYPERVISOR_memory_op,
	__HYPERVISOR_multicall,
	__HYPERVISOR_xen_version,
	__HYPERVISOR_console_io,
	__HYPERVISOR_physdev_op_compat,
	__HYPERVISOR_grant_table_op,
	__HYPERVISOR_vm_assist,
	__HYPERVISOR_mmuext_op,
	__HYPERVISOR_event_channel_op,
	__HYPERVISOR_physdev_op,
	__HYPERVISOR_get_debugreg,
	__HYPERVISOR_update_descriptor,
	__HYPERVISOR_set_segment_base,
	__HYPERVISOR_domctl,
	__HYPERVISOR_sysctl,
	__HYPERVISOR_platform_op,
	__HYPERVISOR_hvm_op,
	__HYPERVISOR_callback_op,
	__HYPERVISOR_xenpmu_op,
	__HYPERVISOR_argo_op,
};

static uint64_t bad_pointer(uint64_t hole)
{
	switch (random64() & 7) {
	case 0:
		return 0;
	case 1:
		return UINT64_C(0xffff810000000000) + (random64() & 0xffff8);
	case 2:
		return hole - 8 + (random64() & 15);
	case 3:
		return UINT64_C(0x7ffffffffff8);
	case 4:
		return (uint64_t)kernel_l4;
	default:
		return random_number();
	}
}

void guest_main(void)
{
	uint64_t hole = va_reserve(1);
	unsigned refused = 0;

	for (unsigned i = 0; i < 6000; i++) {
		unsigned nr = calls[random64() % ARRAY_SIZE(calls)];
		uint64_t a[5];

		for (unsigned j = 0; j < 5; j++)
			a[j] = random64() & 1 ? random64() & 31 : bad_pointer(hole);
		/*
		 * A table in unmapped memory is refused; an empty one at NULL would take this
		 * kernel's handlers.
		 */
		if (nr == __HYPERVISOR_set_trap_table)
			a[0] = hole;
		if (nr == __HYPERVISOR_event_channel_op && a[0] == EVTCHNOP_reset)
			continue;
		if (nr == __HYPERVISOR_callback_op)
			a[1] = hole;
		/* Zeroes found at a readable address would be a call of set_trap_table. */
		if (nr == __HYPERVISOR_multicall && a[0] == (uint64_t)kernel_l4)
			a[0] = hole;
		/* Long answers to real questions would only take time. */
		if ((nr == __HYPERVISOR_mmu_update || nr == __HYPERVISOR_multicall ||
		     nr == __HYPERVISOR_mmuext_op) &&
		    !(random64() & 7))
			a[1] = UINT64_C(0xffffffff);
		refused += hypercall(nr, a[0], a[1], a[2], a[3], a[4]) < 0;
		TRY("ud2", : : : TRY_CLOBBERS);
	}
	check(refused > 1000, "hypercalls with bad pointers", "%u refused", refused);
}
