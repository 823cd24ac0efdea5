/* SPDX-License-Identifier: MIT */
/*
 * misc.c - small hypercalls without a subsystem of their own: console_io, vm_assist
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/platform.h>

/* Bytes of guest output handled between two looks at the preemption budget. */
#define CHUNK 256u

static long console_write(struct vcpu *v, struct hypercall_args *a)
{
	char buf[CHUNK];

	for (uint32_t left; (left = (uint32_t)a->arg[1]) > 0;) {
		uint32_t n = min_t(uint32_t, left, CHUNK);

		if (guest_copy_from(v, buf, a->arg[2], n))
			return -XEN_EFAULT;
		plat_console_write(v->domain, buf, n);
		a->arg[1] = left - n;
		a->arg[2] += n;
		if (a->arg[1] && hypercall_preempt())
			return -XEN_ERESTART;
	}
	return 0;
}

long do_console_io(struct vcpu *v, struct hypercall_args *a)
{
	switch ((uint32_t)a->arg[0]) {
	case CONSOLEIO_write:
		return console_write(v, a);
	case CONSOLEIO_read:
		/* What people type goes to the console ring; this older way in is always empty. */
		return (uint32_t)a->arg[1] > INT32_MAX ? -XEN_E2BIG : 0;
	default:
		return -XEN_ENOSYS;
	}
}

/*
 * The assists a 64-bit PV guest may ask for; those without effect in long mode are accepted all the
 * same.
 */
#define VM_ASSIST_VALID                                      \
	((UINT64_C(1) << VMASST_TYPE_4gb_segments) |         \
	 (UINT64_C(1) << VMASST_TYPE_writable_pagetables) |  \
	 (UINT64_C(1) << VMASST_TYPE_pae_extended_cr3) |     \
	 (UINT64_C(1) << VMASST_TYPE_architectural_iopl) |   \
	 (UINT64_C(1) << VMASST_TYPE_runstate_update_flag) | \
	 (UINT64_C(1) << VMASST_TYPE_m2p_strict))

long do_vm_assist(struct vcpu *v, struct hypercall_args *a)
{
	uint32_t type = (uint32_t)a->arg[1];
	uint64_t bit;

	if (type >= 64 || !(VM_ASSIST_VALID >> type & 1))
		return -XEN_EINVAL;
	bit = UINT64_C(1) << type;
	switch ((uint32_t)a->arg[0]) {
	case VMASST_CMD_enable:
		if (type == VMASST_TYPE_architectural_iopl)
			domain_gate_slow(v->domain, GATE_SLOW_IOPL);
		__atomic_fetch_or(&v->domain->mm.vm_assist, bit, __ATOMIC_RELAXED);
		return 0;
	case VMASST_CMD_disable:
		__atomic_fetch_and(&v->domain->mm.vm_assist, ~bit, __ATOMIC_RELAXED);
		return 0;
	default:
		return -XEN_ENOSYS;
	}
}
