/* SPDX-License-Identifier: MIT */
/*
 * physdev.c - physdev_op: physical interrupts, PCI devices and I/O privilege
 *
 * A domain here has no physical device, so every operation on one is refused, each with the error
 * an unprivileged domain is told elsewhere. What any PV kernel may use is its virtual I/O privilege
 * level and I/O bitmap; with no port to be reached behind them, the latter needs checking but no
 * keeping.
 *
 * Also the two hypercalls from before 0x00030202, which pass operation and arguments in one
 * structure.
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/layout.h>
#include <xen/event_channel.h>
#include <xen/physdev.h>

#include "internal.h"

/*
 * Refused operations: the argument must be readable first, as far as that is looked at elsewhere.
 */
struct refusal {
	uint32_t cmd;
	uint32_t size;
	int error;
};

static const struct refusal refusals[] = {
	{ PHYSDEVOP_eoi, sizeof(struct physdev_eoi), XEN_EINVAL },
	{ PHYSDEVOP_pirq_eoi_gmfn_v1, sizeof(struct physdev_pirq_eoi_gmfn), XEN_ENOSYS },
	{ PHYSDEVOP_pirq_eoi_gmfn_v2, sizeof(struct physdev_pirq_eoi_gmfn), XEN_ENOSYS },
	{ PHYSDEVOP_irq_status_query, sizeof(struct physdev_irq_status_query), XEN_EINVAL },
	{ PHYSDEVOP_map_pirq, sizeof(struct physdev_map_pirq), XEN_EPERM },
	{ PHYSDEVOP_unmap_pirq, sizeof(struct physdev_unmap_pirq), XEN_EPERM },
	{ PHYSDEVOP_apic_read, sizeof(struct physdev_apic), XEN_EPERM },
	{ PHYSDEVOP_apic_write, sizeof(struct physdev_apic), XEN_EPERM },
	{ PHYSDEVOP_alloc_irq_vector, sizeof(struct physdev_irq), XEN_EPERM },
	{ PHYSDEVOP_manage_pci_add, sizeof(struct physdev_manage_pci), XEN_EPERM },
	{ PHYSDEVOP_manage_pci_remove, sizeof(struct physdev_manage_pci), XEN_EPERM },
	{ PHYSDEVOP_manage_pci_add_ext, sizeof(struct physdev_manage_pci_ext), XEN_EPERM },
	{ PHYSDEVOP_restore_msi, sizeof(struct physdev_restore_msi), XEN_ENODEV },
	{ PHYSDEVOP_restore_msi_ext, sizeof(struct physdev_pci_device), XEN_ENODEV },
	{ PHYSDEVOP_setup_gsi, sizeof(struct physdev_setup_gsi), XEN_EPERM },
	{ PHYSDEVOP_get_free_pirq, sizeof(struct physdev_get_free_pirq), XEN_ENOSPC },
	{ PHYSDEVOP_pci_mmcfg_reserved, 0, XEN_EPERM },
	{ PHYSDEVOP_pci_device_add, offsetof(struct physdev_pci_device_add, optarr), XEN_EPERM },
	{ PHYSDEVOP_pci_device_remove, sizeof(struct physdev_pci_device), XEN_EPERM },
	{ PHYSDEVOP_prepare_msix, sizeof(struct physdev_pci_device), XEN_EPERM },
	{ PHYSDEVOP_release_msix, sizeof(struct physdev_pci_device), XEN_EPERM },
	{ PHYSDEVOP_dbgp_op, 0, XEN_EPERM },
};

static long refuse(struct vcpu *v, uint32_t cmd, uint64_t va)
{
	uint8_t scratch[64];

	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		if (r->cmd != cmd)
			continue;
		ASSERT(r->size <= sizeof(scratch));
		if (r->size && guest_copy_from(v, scratch, va, r->size))
			return -XEN_EFAULT;
		return -r->error;
	}
	return -XEN_ENOSYS;
}

static long set_iopl(struct vcpu *v, uint64_t va)
{
	struct physdev_set_iopl op;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	if (op.iopl > 3)
		return -XEN_EINVAL;
	v->arch.iopl = op.iopl;
	return 0;
}

static long set_iobitmap(struct vcpu *v, uint64_t va)
{
	struct physdev_set_iobitmap op;
	uint64_t start, end;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	start = (uint64_t)(uintptr_t)op.bitmap.p;
	if (__builtin_add_overflow(start, 65536 / 8 - 1, &end) || !va_guest_ok(start) ||
	    !va_guest_ok(end))
		return -XEN_EINVAL;
	if (op.nr_ports > 65536)
		return -XEN_EINVAL;
	v->arch.io_bitmap = start;
	v->arch.io_bitmap_ports = op.nr_ports;
	return 0;
}

static long physdev_op(struct vcpu *v, uint32_t cmd, uint64_t va)
{
	switch (cmd) {
	case PHYSDEVOP_set_iopl:
		return set_iopl(v, va);
	case PHYSDEVOP_set_iobitmap:
		return set_iobitmap(v, va);
	case PHYSDEVOP_IRQ_UNMASK_NOTIFY:
		return 0; /* no physical interrupt is ever masked */
	default:
		return refuse(v, cmd, va);
	}
}

long do_physdev_op(struct vcpu *v, struct hypercall_args *a)
{
	return physdev_op(v, (uint32_t)a->arg[0], a->arg[1]);
}

long do_physdev_op_compat(struct vcpu *v, struct hypercall_args *a)
{
	uint32_t cmd;

	if (guest_copy_from(v, &cmd, a->arg[0] + offsetof(struct physdev_op, cmd), sizeof(cmd)))
		return -XEN_EFAULT;
	switch (cmd) {
	case PHYSDEVOP_IRQ_UNMASK_NOTIFY:
	case PHYSDEVOP_irq_status_query:
	case PHYSDEVOP_set_iopl:
	case PHYSDEVOP_set_iobitmap:
	case PHYSDEVOP_apic_read:
	case PHYSDEVOP_apic_write:
	case PHYSDEVOP_alloc_irq_vector:
		return physdev_op(v, cmd, a->arg[0] + offsetof(struct physdev_op, u));
	default:
		return -XEN_EINVAL;
	}
}

long do_event_channel_op_compat(struct vcpu *v, struct hypercall_args *a)
{
	uint32_t cmd;
	struct hypercall_args inner = { .in_multicall = a->in_multicall };

	if (guest_copy_from(v, &cmd, a->arg[0] + offsetof(struct evtchn_op, cmd), sizeof(cmd)))
		return -XEN_EFAULT;
	switch (cmd) {
	case EVTCHNOP_close:
	case EVTCHNOP_send:
	case EVTCHNOP_status:
	case EVTCHNOP_alloc_unbound:
	case EVTCHNOP_bind_interdomain:
	case EVTCHNOP_bind_virq:
	case EVTCHNOP_bind_pirq:
	case EVTCHNOP_bind_ipi:
	case EVTCHNOP_bind_vcpu:
	case EVTCHNOP_unmask:
		inner.arg[0] = cmd;
		inner.arg[1] = a->arg[0] + offsetof(struct evtchn_op, u);
		return do_event_channel_op(v, &inner);
	default:
		return -XEN_EINVAL;
	}
}
