/* SPDX-License-Identifier: MIT */
/*
 * msr.c - model-specific registers: a policy table
 *
 * A guest kernel reads and writes some of them although they are not its own. What each gives is data
 * below; only those with a meaning for guests (segment bases, EFER, APIC base, ...) have code. What is
 * not listed raises #GP, which kernels are prepared for, once they have a #GP handler at all: before,
 * reads give zero and writes are dropped.
 */
#include "internal.h"

enum msr_read {
	RD_GP,
	RD_CONST,  /* @value */
	RD_FS_BASE, RD_GS_BASE, RD_GS_SHADOW,
	RD_TSC, RD_TSC_AUX, RD_APIC_BASE,
};

enum msr_write {
	WR_GP,
	WR_DROP,   /* ignored */
	WR_SAME,   /* only the value that is read: kernels write back what they read */
	WR_ZERO,   /* only zero */
	WR_FS_BASE, WR_GS_BASE, WR_GS_SHADOW, WR_TSC_AUX, WR_HYPERCALL_PAGE,
};

enum msr_vendor { ANY, INTEL, AMD };

struct msr_policy {
	uint32_t first, last;
	uint8_t read, write, vendor;
	uint64_t value;
	const char *name;
};

/* EFER: SCE, LME, LMA, NXE. */
#define EFER_VALUE	  UINT64_C(0xd01)
/* The page attribute table of the ABI: WB WT UC- UC WC WP. */
#define PAT_VALUE	  UINT64_C(0x050100070406)
/* MISC_ENABLE: fast strings; no BTS, no PEBS, xTPR messages off. */
#define MISC_ENABLE_VALUE UINT64_C(0x00801801)
#define APIC_BASE_VALUE	  UINT64_C(0xfee00800)
#define APIC_BASE_BSP	  UINT64_C(0x00000100)

/* By number, which find() relies on. */
static const struct msr_policy policy[] = {
	{ 0x00000010, 0x00000010, RD_TSC,	WR_GP,	      ANY,   0, "TSC" },
	{ 0x00000017, 0x00000017, RD_CONST,	WR_GP,	      INTEL, 0, "PLATFORM_ID" },
	{ 0x0000001b, 0x0000001b, RD_APIC_BASE, WR_GP,	      ANY,   0, "APIC_BASE" },
	{ 0x0000003a, 0x0000003a, RD_CONST,	WR_GP,	      INTEL, 1, "FEATURE_CONTROL" },
	{ 0x00000079, 0x00000079, RD_GP,	WR_GP,	      ANY,   0, "UCODE_WRITE" },
	{ 0x0000008b, 0x0000008b, RD_CONST,	WR_ZERO,      INTEL, 0, "UCODE_REV" },
	{ 0x0000008b, 0x0000008b, RD_CONST,	WR_GP,	      AMD,   0, "PATCHLEVEL" },
	{ 0x000000c1, 0x000000c8, RD_CONST,	WR_DROP,      INTEL, 0, "PMC" },
	{ 0x000000ce, 0x000000ce, RD_CONST,	WR_GP,	      INTEL, 0, "PLATFORM_INFO" },
	{ 0x000000e7, 0x000000e8, RD_GP,	WR_DROP,      ANY,   0, "MPERF/APERF" },
	{ 0x00000140, 0x00000140, RD_CONST,	WR_ZERO,      INTEL, 0, "MISC_FEATURES_ENABLES" },
	{ 0x00000179, 0x0000017a, RD_CONST,	WR_DROP,      ANY,   0, "MCG_CAP/STATUS" },
	{ 0x00000186, 0x0000018d, RD_CONST,	WR_DROP,      INTEL, 0, "PERFEVTSEL" },
	{ 0x00000198, 0x00000198, RD_CONST,	WR_GP,	      INTEL, 0, "PERF_STATUS" },
	{ 0x00000199, 0x00000199, RD_CONST,	WR_DROP,      INTEL, 0, "PERF_CTL" },
	{ 0x0000019a, 0x0000019a, RD_GP,	WR_DROP,      INTEL, 0, "THERM_CONTROL" },
	{ 0x0000019c, 0x0000019c, RD_CONST,	WR_GP,	      INTEL, 0, "THERM_STATUS" },
	{ 0x000001a0, 0x000001a0, RD_CONST,	WR_DROP,      INTEL, MISC_ENABLE_VALUE, "MISC_ENABLE" },
	{ 0x000001b0, 0x000001b0, RD_GP,	WR_DROP,      INTEL, 0, "ENERGY_PERF_BIAS" },
	{ 0x00000277, 0x00000277, RD_CONST,	WR_GP,	      ANY,   PAT_VALUE, "PAT" },
	{ 0x00000309, 0x0000030b, RD_CONST,	WR_DROP,      INTEL, 0, "FIXED_CTR" },
	{ 0x00000345, 0x00000345, RD_CONST,	WR_GP,	      ANY,   0, "PERF_CAPABILITIES" },
	{ 0x0000038d, 0x00000390, RD_CONST,	WR_DROP,      INTEL, 0, "PERF_GLOBAL" },
	{ 0x40000000, 0x40000000, RD_CONST,	WR_HYPERCALL_PAGE, ANY, 0, "XEN_HYPERCALL_PAGE" },
	{ 0xc0000080, 0xc0000080, RD_CONST,	WR_SAME,      ANY,   EFER_VALUE, "EFER" },
	{ 0xc0000100, 0xc0000100, RD_FS_BASE,	WR_FS_BASE,   ANY,   0, "FS_BASE" },
	{ 0xc0000101, 0xc0000101, RD_GS_BASE,	WR_GS_BASE,   ANY,   0, "GS_BASE" },
	{ 0xc0000102, 0xc0000102, RD_GS_SHADOW, WR_GS_SHADOW, ANY,   0, "KERNEL_GS_BASE" },
	{ 0xc0000103, 0xc0000103, RD_TSC_AUX,	WR_TSC_AUX,   ANY,   0, "TSC_AUX" },
	{ 0xc0010000, 0xc0010007, RD_CONST,	WR_DROP,      AMD,   0, "K7_PERF" },
	{ 0xc0010015, 0xc0010015, RD_CONST,	WR_DROP,      AMD,   0, "HWCR" },
	{ 0xc001001f, 0xc001001f, RD_CONST,	WR_DROP,      AMD,   0, "NB_CFG" },
	{ 0xc0010041, 0xc0010042, RD_CONST,	WR_DROP,      AMD,   0, "FIDVID" },
	{ 0xc0010061, 0xc001006b, RD_CONST,	WR_DROP,      AMD,   0, "PSTATE" },
	{ 0xc0010200, 0xc001020b, RD_CONST,	WR_DROP,      AMD,   0, "F15H_PERF" },
	{ 0xc0011029, 0xc0011029, RD_CONST,	WR_DROP,      AMD,   2, "DE_CFG" }, /* LFENCE serialises */
};

static bool vendor_matches(uint8_t vendor)
{
	return vendor == ANY || vendor == (cpuid_is_intel() ? INTEL : AMD);
}

static const struct msr_policy *find(uint32_t msr)
{
	unsigned low = 0, high = ARRAY_SIZE(policy);

	/* The first range that does not end before @msr; kernels read segment bases on every switch. */
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (policy[middle].last < msr)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < ARRAY_SIZE(policy) && policy[low].first <= msr; low++)
		if (msr <= policy[low].last && vendor_matches(policy[low].vendor))
			return &policy[low];
	return NULL;
}

/* Early in its boot a guest cannot be told by #GP. */
static bool deaf(const struct vcpu *v)
{
	return !v->arch.traps[X86_GP].address;
}

static bool read_by_policy(struct vcpu *v, const struct msr_policy *p, uint64_t *value)
{
	switch (p->read) {
	case RD_CONST:
		*value = p->value;
		return true;
	case RD_FS_BASE:
		*value = plat_base_get(v, PLAT_FS);
		return true;
	case RD_GS_BASE:
		*value = plat_base_get(v, PLAT_GS);
		return true;
	case RD_GS_SHADOW:
		*value = v->gate.gs_base_other;
		return true;
	case RD_TSC:
		*value = plat_tsc();
		return true;
	case RD_TSC_AUX:
		*value = v->arch.tsc_aux;
		return true;
	case RD_APIC_BASE:
		*value = APIC_BASE_VALUE | (v->id ? 0 : APIC_BASE_BSP);
		return true;
	default:
		return false;
	}
}

bool arch_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const struct msr_policy *p = find(msr);

	if (p && read_by_policy(v, p, value))
		return true;
	dlog(v->domain, LOG_DEBUG, "rdmsr %08x (%s) refused", msr, p ? p->name : "unknown");
	*value = 0;
	return deaf(v);
}

static bool write_by_policy(struct vcpu *v, const struct msr_policy *p, uint64_t value)
{
	switch (p->write) {
	case WR_DROP:
		return true;
	case WR_SAME:
		return value == p->value;
	case WR_ZERO:
		return value == 0;
	case WR_FS_BASE:
	case WR_GS_BASE:
		if (!va_canonical(value))
			return false;
		plat_base_set(v, p->write == WR_FS_BASE ? PLAT_FS : PLAT_GS, value);
		return true;
	case WR_GS_SHADOW:
		if (!va_canonical(value))
			return false;
		v->gate.gs_base_other = value;
		return true;
	case WR_TSC_AUX:
		if (value >> 32)
			return false;
		v->arch.tsc_aux = value;
		return true;
	case WR_HYPERCALL_PAGE:
		return hypercall_page_by_msr(v, value);
	default:
		return false;
	}
}

bool arch_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	const struct msr_policy *p = find(msr);

	if (p && write_by_policy(v, p, value))
		return true;
	dlog(v->domain, LOG_DEBUG, "wrmsr %08x (%s) value %016lx refused", msr,
	     p ? p->name : "unknown", (unsigned long)value);
	return deaf(v);
}
