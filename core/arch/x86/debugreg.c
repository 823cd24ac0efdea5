/* SPDX-License-Identifier: MIT */
/*
 * debugreg.c - debug registers of guests: hypercalls and what mov to and from them does
 *
 * A guest may break on its own code and data. It may not break on the hypervisor's slots, trap the use
 * of the registers themselves (GD), or on ports: it has none.
 */
#include "internal.h"
#include <xenopus/hypercall.h>

#define DR6_ONES      UINT64_C(0xffff0ff0)
#define DR6_KNOWN     UINT64_C(0x0000e00f)
#define DR7_ONES      UINT64_C(0x00000400)
#define DR7_ZEROS     UINT64_C(0x0000d800)
#define DR7_GD	      UINT64_C(0x00002000)
#define DR7_ENABLES   UINT64_C(0x000000ff)
#define DR7_TYPE_PORT 2u

static int check_dr7(uint64_t *value)
{
	unsigned i;

	if (*value >> 32)
		return -XEN_EINVAL;
	*value = (*value & ~DR7_ZEROS) | DR7_ONES;
	if (*value & DR7_GD)
		return -XEN_EPERM;
	for (i = 0; i < 4; i++)
		if (((*value >> (2 * i)) & 3) && ((*value >> (16 + 4 * i)) & 3) == DR7_TYPE_PORT)
			return -XEN_EPERM;
	return 0;
}

int arch_set_debugreg(struct vcpu *v, unsigned nr, uint64_t value)
{
	int rc;

	if (nr == 4 || nr == 5) {
		if (v->arch.cr4 & X86_CR4_DE)
			return -XEN_ENODEV;
		nr += 2;
	}
	switch (nr) {
	case 0: case 1: case 2: case 3:
		if (!va_guest_ok(value))
			return -XEN_EPERM;
		break;
	case 6:
		if (value >> 32)
			return -XEN_EINVAL;
		value = (value & DR6_KNOWN) | DR6_ONES;
		break;
	case 7:
		rc = check_dr7(&value);
		if (rc)
			return rc;
		break;
	default:
		return -XEN_ENODEV;
	}
	v->arch.dr[nr] = value;
	plat_debugreg_set(v, nr, value);
	return 0;
}

bool arch_get_debugreg(struct vcpu *v, unsigned nr, uint64_t *value)
{
	if (nr == 4 || nr == 5) {
		if (v->arch.cr4 & X86_CR4_DE)
			return false;
		nr += 2;
	}
	if (nr > 7)
		return false;
	*value = v->arch.dr[nr];
	return true;
}

long do_set_debugreg(struct vcpu *v, struct hypercall_args *a)
{
	return arch_set_debugreg(v, (unsigned)a->arg[0], a->arg[1]);
}

long do_get_debugreg(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t value;

	return arch_get_debugreg(v, (unsigned)a->arg[0], &value) ? (long)value : -XEN_ENODEV;
}
