/* SPDX-License-Identifier: MIT */
/*
 * debugreg.c - debug registers of guests: hypercalls and what mov to and from them does
 *
 * A guest may break on its own code and data. It may not break on the hypervisor's slots, or trap the use
 * of the registers themselves (GD). Ports it has none but those that are emulated, and so are breaks on them: the processor's
 * DR7 does not have them (Intel SDM vol. 3, 18.2.4: DR7 and CR4.DE).
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

static bool breaks_on_port(uint64_t dr7, unsigned i)
{
	return (dr7 >> (2 * i) & 3) && (dr7 >> (16 + 4 * i) & 3) == DR7_TYPE_PORT;
}

static int check_dr7(const struct vcpu *v, uint64_t *value)
{
	if (*value >> 32)
		return -XEN_EINVAL;
	*value = (*value & ~DR7_ZEROS) | DR7_ONES;
	if (*value & DR7_GD)
		return -XEN_EPERM;
	for (unsigned i = 0; i < 4; i++)
		if (breaks_on_port(*value, i) && !(v->arch.cr4 & X86_CR4_DE))
			return -XEN_EPERM;
	return 0;
}

static uint64_t dr7_of_processor(uint64_t dr7)
{
	uint64_t value = dr7;

	for (unsigned i = 0; i < 4; i++)
		if (breaks_on_port(dr7, i))
			value &= ~(UINT64_C(3) << (2 * i));
	return value;
}

bool arch_break_on_port(struct vcpu *v, unsigned port, unsigned size)
{
	static const unsigned char lengths[] = { 1, 2, 8, 4 };
	uint64_t dr7 = v->arch.dr[7], hit = 0;

	if (likely(!(dr7 & DR7_ENABLES)))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t length = lengths[dr7 >> (18 + 4 * i) & 3], first = v->arch.dr[i] & ~(length - 1);

		if (breaks_on_port(dr7, i) && port < first + length && first < port + size)
			hit |= UINT64_C(1) << i;
	}
	if (!hit)
		return false;
	v->arch.dr[6] |= hit;
	plat_debugreg_set(v, 6, v->arch.dr[6]);
	return true;
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
		rc = check_dr7(v, &value);
		if (rc)
			return rc;
		break;
	default:
		return -XEN_ENODEV;
	}
	v->arch.dr[nr] = value;
	plat_debugreg_set(v, nr, nr == 7 ? dr7_of_processor(value) : value);
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
