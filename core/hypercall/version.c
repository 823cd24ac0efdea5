/* SPDX-License-Identifier: MIT */
/*
 * version.c - XENVER_*: which ABI this is and what it offers
 *
 * The answers are those an unprivileged 64-bit PV domain gets: features of the ABI are told truly,
 * while the host's command line and build are nobody's business.
 *
 * XENFEAT_writable_page_tables is not offered: it would promise that page tables may stay mapped
 * writable, while the frame table's first invariant is that they never are. Guests use mmu_update,
 * or store to the read-only mapping and have the store emulated.
 */
#include <xenopus/core.h>
#include <xenopus/domain.h>
#include <xenopus/features.h>
#include <xenopus/hypercall.h>
#include <xenopus/layout.h>
#include <xen/version.h>

#define DENIED "<denied>"

static long copy_out(struct vcpu *v, uint64_t va, const void *src, size_t size)
{
	return guest_copy_to(v, va, src, size) ? -XEN_EFAULT : 0;
}

static uint32_t features(const struct domain *d)
{
	uint32_t f = CORE_FEATURES;

	if (READ_ONCE(d->mm.vm_assist) & (1u << VMASST_TYPE_pae_extended_cr3))
		f |= FEATURE(pae_pgdir_above_4gb);
	return f;
}

static long get_features(struct vcpu *v, uint64_t va)
{
	struct xen_feature_info fi;

	if (guest_copy_from(v, &fi, va, sizeof(fi)))
		return -XEN_EFAULT;
	if (fi.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -XEN_EINVAL;
	fi.submap = features(v->domain);
	return copy_out(v, va, &fi, sizeof(fi));
}

static long compile_info(struct vcpu *v, uint64_t va)
{
	struct xen_compile_info info = { { 0 }, { 0 }, { 0 }, { 0 } };

	/* No date: equal sources give equal binaries. */
	xstrlcpy(info.compiler, "C compiler " __VERSION__, sizeof(info.compiler));
	xstrlcpy(info.compile_by, "xenopus", sizeof(info.compile_by));
	return copy_out(v, va, &info, sizeof(info));
}

/* Those that tell by a structure. */
static __attribute__((noinline)) long tell(struct vcpu *v, uint32_t what, uint64_t va)
{
	switch (what) {
	case XENVER_extraversion: {
		xen_extraversion_t s = ".0-xenopus";

		return copy_out(v, va, s, sizeof(s));
	}
	case XENVER_compile_info:
		return compile_info(v, va);
	case XENVER_capabilities: {
		xen_capabilities_info_t s = "xen-3.0-x86_64 ";

		return copy_out(v, va, s, sizeof(s));
	}
	case XENVER_changeset: {
		xen_changeset_info_t s = "xenopus";

		return copy_out(v, va, s, sizeof(s));
	}
	case XENVER_platform_parameters: {
		struct xen_platform_parameters p = { .virt_start = RESERVED_VIRT_START };

		return copy_out(v, va, &p, sizeof(p));
	}
	case XENVER_get_features:
		return get_features(v, va);
	case XENVER_pagesize:
		return va ? -XEN_EINVAL : (long)PAGE_SIZE;
	case XENVER_guest_handle:
		return copy_out(v, va, v->domain->uuid, sizeof(v->domain->uuid));
	case XENVER_commandline:
		return copy_out(v, va, DENIED, sizeof(DENIED));
	case XENVER_build_id:
		return -XEN_EPERM;
	default:
		return -XEN_ENOSYS;
	}
}

/* XENVER_version is also the hypercall that does nothing, by which a guest lets pending events be delivered. */
long do_xen_version(struct vcpu *v, struct hypercall_args *a)
{
	if (likely((uint32_t)a->arg[0] == XENVER_version))
		return XENOPUS_VERSION_MAJOR << 16 | XENOPUS_VERSION_MINOR;
	return tell(v, (uint32_t)a->arg[0], a->arg[1]);
}
