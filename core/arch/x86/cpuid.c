/* SPDX-License-Identifier: MIT */
/*
 * cpuid.c - which processor a guest is told it has
 *
 * Guest user code executes the native CPUID instruction, and no home can stop it everywhere. So the
 * policy starts from the native answer and takes away what a PV guest cannot use; it never invents a
 * feature, and it never denies an extension with register state of its own (a kernel that does not
 * save AVX state which its processes can use corrupts it silently).
 *
 *	pass: the state and instructions of ring 3
 *	hidden: paging features the ABI does not have (PSE, PGE, PCID, PKU, 1G pages, LA57), ring-0
 *		protection (SMEP, SMAP, UMIP), devices (APIC timer, MTRR, x2APIC), virtualisation, power,
 *		performance counters, topology, registers nobody switches (SPEC_CTRL, TSC_AUX for RDPID)
 *	FSGSBASE passes, though a Linux PV kernel that sees it reads the user's GS base by rdmsr, a trap, at
 *		every context switch: without it, it knows the base by the selector alone, and on hosts
 *		where the selector does not survive an exit, programs lose their LDT and TLS segments
 *
 * Leaf 0xd is computed, so that it agrees with what is left.
 */
#include "internal.h"
#include <xen/arch-x86/cpuid.h>
#include <xenopus/core.h>

#define BIT(n) (UINT32_C(1) << (n))

enum { EAX, EBX, ECX, EDX };

/* Leaf 1. */
#define L1_EDX_PASS \
	(BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(14) | \
	 BIT(15) | BIT(16) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
	/* fpu de tsc msr pae mce cx8 apic sep mca cmov pat clflush mmx fxsr sse sse2 ss; there are no
	 * machine-check banks, but kernels complain about a processor without the architecture */
#define L1_ECX_PASS \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | \
	 BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
	/* sse3 pclmul ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt aes xsave avx f16c rdrand */
#define L1_ECX_XSAVE	  BIT(26)
#define L1_ECX_OSXSAVE	  BIT(27)
#define L1_ECX_AVX	  BIT(28)
#define L1_ECX_HYPERVISOR BIT(31)

/* Leaf 7. Subleaf 0: */
#define L7_EBX_PASS \
	(BIT(0) | BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) | BIT(16) | BIT(17) | \
	 BIT(18) | BIT(19) | BIT(21) | BIT(23) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | \
	 BIT(30) | BIT(31))
	/* fsgsbase bmi1 avx2 fdp_excp bmi2 erms no_fpu_sel avx512f dq rdseed adx ifma clflushopt
	 * clwb pf er cd sha bw vl */
#define L7_EBX_AVX512F BIT(16)
#define L7_ECX_PASS \
	(BIT(0) | BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | \
	 BIT(25) | BIT(27) | BIT(28))
	/* prefetchwt1 vbmi vbmi2 gfni vaes vpclmul vnni bitalg vpopcntdq cldemote movdiri movdir64b */
#define L7_EDX_PASS (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(23))
	/* 4vnniw 4fmaps fsrm vp2intersect md_clear serialize fp16 */
/* and subleaf 1: */
#define L7_1_EAX_PASS (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12))
	/* avx_vnni avx512_bf16 fzrm fsrs fsrcs */

/* Leaf 0x80000001; the low half of edx repeats leaf 1 on AMD. */
#define E1_EDX_PASS \
	(BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(27) | BIT(29) | BIT(30) | BIT(31))
	/* syscall nx mmxext ffxsr rdtscp lm 3dnowext 3dnow */
#define E1_EDX_COMMON	 UINT32_C(0x0183f3ff)
#define E1_ECX_PASS \
	(BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
	/* lahf abm sse4a misalignsse prefetchw xop fma4 tbm */
#define E8_EBX_PASS	 (BIT(0) | BIT(2) | BIT(26) | BIT(29)) /* clzero fperrptrs ssb_no btc_no */
#define E21_EAX_PASS	 (BIT(2) | BIT(6) | BIT(29)) /* lfence_dispatch nscb srso_no */

#define MAX_BASIC    UINT32_C(0xd)
#define MAX_EXTENDED UINT32_C(0x80000021)

/* Leaf 0xd. */
#define XSTATE_LEGACY	  576u /* FXSAVE area and XSAVE header */
#define XCR0_X87	  UINT64_C(0x01)
#define XCR0_SSE	  UINT64_C(0x02)
#define XCR0_YMM	  UINT64_C(0x04)
#define XCR0_AVX512	  UINT64_C(0xe0)
#define XSAVE_PASS	  (BIT(0) | BIT(1) | BIT(2)) /* xsaveopt xsavec xgetbv1 */
#define XSAVE_XSAVEC	  BIT(1)
#define XSTATE_ALIGN64	  BIT(1)

bool cpuid_is_intel(void)
{
	uint32_t r[4];

	plat_cpuid(0, 0, r);
	return r[EBX] == 0x756e6547; /* "Genu" */
}

uint64_t cpuid_xcr0_supported(struct vcpu *v)
{
	uint64_t xcr0 = XCR0_X87 | XCR0_SSE, native;
	uint32_t r[4];

	plat_cpuid(1, 0, r);
	if (!(r[ECX] & L1_ECX_XSAVE))
		return 0;
	if (r[ECX] & L1_ECX_AVX) {
		xcr0 |= XCR0_YMM;
		plat_cpuid(7, 0, r);
		if (r[EBX] & L7_EBX_AVX512F)
			xcr0 |= XCR0_AVX512;
	}
	plat_cpuid(0xd, 0, r);
	native = r[EAX] | (uint64_t)r[EDX] << 32;
	return xcr0 & native;
}

/* Size of an XSAVE area for @xcr0, in the standard or the compacted format. */
static uint32_t xstate_size(uint64_t xcr0, bool compacted)
{
	uint32_t size = XSTATE_LEGACY, r[4];
	unsigned i;

	for (i = 2; i < 63; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		plat_cpuid(0xd, i, r);
		if (!compacted) {
			size = max_t(uint32_t, size, r[EAX] + r[EBX]);
			continue;
		}
		if (r[ECX] & XSTATE_ALIGN64)
			size = (size + 63) & ~63u;
		size += r[EAX];
	}
	return size;
}

static void xstate_leaf(struct vcpu *v, uint32_t subleaf, uint32_t out[4])
{
	uint64_t supported = cpuid_xcr0_supported(v);
	uint32_t features[4], native[4];

	memcpy(native, out, sizeof(native));
	memset(out, 0, 4 * sizeof(out[0]));
	if (!supported || subleaf > 62)
		return;
	plat_cpuid(0xd, 1, features);
	if (subleaf == 0) {
		out[EAX] = (uint32_t)supported;
		out[EBX] = xstate_size(v->arch.xcr0, false);
		out[ECX] = xstate_size(supported, false);
		out[EDX] = supported >> 32;
	} else if (subleaf == 1) {
		out[EAX] = features[EAX] & XSAVE_PASS;
		if (features[EAX] & XSAVE_XSAVEC)
			out[EBX] = xstate_size(v->arch.xcr0, true);
	} else if (supported >> subleaf & 1) {
		out[EAX] = native[EAX];
		out[EBX] = native[EBX];
		out[ECX] = features[EAX] & XSAVE_XSAVEC ? native[ECX] & XSTATE_ALIGN64 : 0;
	}
}

static void basic_leaf(struct vcpu *v, uint32_t leaf, uint32_t subleaf, bool forced, uint32_t r[4])
{
	switch (leaf) {
	case 0:
		r[EAX] = min_t(uint32_t, r[EAX], MAX_BASIC);
		break;
	case 1:
		/* One package, one core, one thread, APIC identifier 0: topology is not told here. */
		r[EBX] &= 0xffff;
		r[ECX] = (r[ECX] & L1_ECX_PASS) | L1_ECX_HYPERVISOR;
		r[EDX] &= L1_EDX_PASS;
		if ((r[ECX] & L1_ECX_XSAVE) && (forced || (v->arch.cr4 & X86_CR4_OSXSAVE)))
			r[ECX] |= L1_ECX_OSXSAVE;
		break;
	case 2:
		break;
	case 4:
		r[EAX] &= 0x3fff;
		break;
	case 7:
		if (subleaf == 0) {
			r[EAX] = min_t(uint32_t, r[EAX], 1);
			r[EBX] &= L7_EBX_PASS;
			r[ECX] &= L7_ECX_PASS;
			r[EDX] &= L7_EDX_PASS;
			break;
		}
		r[EAX] &= subleaf == 1 ? L7_1_EAX_PASS : 0;
		r[EBX] = r[ECX] = r[EDX] = 0;
		break;
	case 0xd:
		xstate_leaf(v, subleaf, r);
		break;
	default:
		memset(r, 0, 4 * sizeof(r[0]));
		break;
	}
}

static void extended_leaf(uint32_t leaf, uint32_t r[4])
{
	uint32_t one[4];

	switch (leaf) {
	case 0x80000000:
		r[EAX] = min_t(uint32_t, r[EAX], MAX_EXTENDED);
		break;
	case 0x80000001:
		plat_cpuid(1, 0, one);
		r[EBX] = 0;
		r[ECX] &= E1_ECX_PASS;
		r[EDX] &= E1_EDX_PASS | (one[EDX] & L1_EDX_PASS & E1_EDX_COMMON);
		break;
	case 0x80000002: case 0x80000003: case 0x80000004: /* the brand string */
	case 0x80000005: case 0x80000006:		   /* caches */
	case 0x80000019: case 0x8000001a:		   /* TLBs, hints */
		break;
	case 0x80000008:
		/* Physical width as it is, linear width 48: there are no five-level tables. */
		r[EAX] = (r[EAX] & 0xff) | 48 << 8;
		r[EBX] &= E8_EBX_PASS;
		r[ECX] = r[EDX] = 0;
		break;
	case 0x80000021:
		r[EAX] &= E21_EAX_PASS;
		r[EBX] = r[ECX] = r[EDX] = 0;
		break;
	default: /* power (invariant TSC included, as a guest may be moved), SVM, topology, ... */
		memset(r, 0, 4 * sizeof(r[0]));
		break;
	}
}

/* Scale from TSC ticks to ns as the ABI has it: ns = ((ticks << shift) * mul) >> 32. */
static void tsc_scale(uint32_t khz, uint32_t *mul, int32_t *shift)
{
	uint64_t num = UINT64_C(1000000) << 32;

	*shift = 0;
	while (khz && num / khz > 0xffffffffu) {
		num >>= 1;
		(*shift)++;
	}
	while (khz && num / khz < 0x80000000u) {
		num <<= 1;
		(*shift)--;
	}
	*mul = khz ? num / khz : 0;
}

static void xen_leaf(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	const struct plat_info *info = plat_info();
	uint32_t khz = info->tsc_khz;
	int32_t shift;

	switch (leaf - XEN_CPUID_FIRST_LEAF) {
	case 0:
		r[EAX] = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
		r[EBX] = XEN_CPUID_SIGNATURE_EBX;
		r[ECX] = XEN_CPUID_SIGNATURE_ECX;
		r[EDX] = XEN_CPUID_SIGNATURE_EDX;
		break;
	case 1:
		r[EAX] = XENOPUS_VERSION_MAJOR << 16 | XENOPUS_VERSION_MINOR;
		break;
	case 2:
		r[EAX] = 1; /* hypercall page */
		r[EBX] = 0x40000000; /* and the MSR that fills one */
		r[ECX] = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
		break;
	case 3:
		if (subleaf == 0) {
			r[EAX] = BIT(1); /* not emulated; reliable */
			r[ECX] = khz;
		} else if (subleaf == 1) {
			tsc_scale(khz, &r[ECX], &shift);
			r[EDX] = (uint32_t)shift;
		} else if (subleaf == 2) {
			r[EAX] = khz;
		}
		break;
	case 5:
		if (subleaf == 0 && info->frames)
			r[EBX] = 64 - (unsigned)__builtin_clzll(info->frames << PAGE_SHIFT);
		break;
	default:
		break;
	}
}

void arch_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, bool forced, uint32_t out[4])
{
	uint32_t max[4];

	memset(out, 0, 4 * sizeof(out[0]));
	if (leaf >= XEN_CPUID_FIRST_LEAF && leaf <= XEN_CPUID_FIRST_LEAF + 0xff) {
		xen_leaf(v, leaf, subleaf, out);
		return;
	}
	if (leaf <= MAX_BASIC) {
		plat_cpuid(0, 0, max);
		if (leaf > max[EAX])
			return;
		plat_cpuid(leaf, subleaf, out);
		basic_leaf(v, leaf, subleaf, forced, out);
	} else if (leaf >= 0x80000000 && leaf <= MAX_EXTENDED) {
		plat_cpuid(0x80000000, 0, max);
		if (leaf > max[EAX])
			return;
		plat_cpuid(leaf, subleaf, out);
		extended_leaf(leaf, out);
	}
}

bool arch_set_xcr0(struct vcpu *v, uint64_t xcr0)
{
	if (!(xcr0 & XCR0_X87) || (xcr0 & ~cpuid_xcr0_supported(v)))
		return false;
	if ((xcr0 & XCR0_YMM) && !(xcr0 & XCR0_SSE))
		return false;
	if ((xcr0 & XCR0_AVX512) &&
	    ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(xcr0 & XCR0_YMM)))
		return false;
	v->arch.xcr0 = xcr0;
	plat_xcr0_set(v, xcr0);
	return true;
}
