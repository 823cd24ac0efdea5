/* SPDX-License-Identifier: MIT */
/*
 * FPU and vector state, saved and restored eagerly. A guest may narrow its XCR0, which hides registers without
 * clearing them, so the moves are always made with everything enabled.
 */
#include "metal.h"

#define XCR0_X87_SSE UINT64_C(0x03)
#define XCR0_YMM     UINT64_C(0x04)
#define XCR0_AVX512  UINT64_C(0xe0)

#define CPUID1_ECX_XSAVE (1u << 26)

static uint64_t xcr0_all; /* 0: no XSAVE */
static uint32_t size = 512;

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void fpu_xcr0(uint64_t xcr0)
{
	if (xcr0_all)
		xsetbv((xcr0 & xcr0_all) | 1);
}

void fpu_init(void)
{
	uint32_t r[4];

	cr0_write((cr0_read() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cpuid(1, 0, r);
	if (!(r[2] & CPUID1_ECX_XSAVE)) {
		cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
		return;
	}
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	cpuid(0xd, 0, r);
	xcr0_all = r[0] & (XCR0_X87_SSE | XCR0_YMM | XCR0_AVX512);
	if (!(xcr0_all & XCR0_YMM) || (xcr0_all & XCR0_AVX512) != XCR0_AVX512)
		xcr0_all &= ~XCR0_AVX512;
	xsetbv(xcr0_all);
	cpuid(0xd, 0, r);
	size = r[1];
}

static unsigned pages(void)
{
	return (size + (unsigned)PAGE_SIZE - 1) / (unsigned)PAGE_SIZE;
}

bool fpu_make(struct metal_vcpu *m)
{
	uint16_t *fcw;
	uint32_t *mxcsr;

	m->fpu = heap_alloc_pages(pages());
	if (!m->fpu)
		return false;
	fcw = m->fpu;
	mxcsr = (uint32_t *)((char *)m->fpu + 24);
	*fcw = 0x37f;
	*mxcsr = 0x1f80;
	m->xcr0 = 1;
	return true;
}

/* A set bit of MXCSR that the processor does not know would be #GP in ring 0 when the state is restored. */
static uint32_t mxcsr_allowed(void)
{
	struct {
		uint8_t before[28];
		uint32_t mask;
		uint8_t after[480];
	} __attribute__((aligned(16))) now = { .mask = 0 };

	__asm__ volatile("fxsave64 %0" : "=m"(now));
	return now.mask ? now.mask : 0xffbf;
}

/* Only the registers: what follows them in an area of XSAVE is the processor's, but for the bits that say they are there. */
void fpu_load(struct metal_vcpu *m, const void *fxsave)
{
	uint32_t *mxcsr = (uint32_t *)((char *)m->fpu + 24);

	memcpy(m->fpu, fxsave, 416);
	*mxcsr &= mxcsr_allowed();
	if (xcr0_all)
		*(uint64_t *)((char *)m->fpu + 512) |= XCR0_X87_SSE;
}

void fpu_free(struct metal_vcpu *m)
{
	heap_free_pages(m->fpu, pages());
}

void fpu_save(struct metal_vcpu *m)
{
	if (!xcr0_all) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(m->fpu) : "memory");
		return;
	}
	xsetbv(xcr0_all);
	__asm__ volatile("xsave64 (%0)" : : "r"(m->fpu), "a"(~0u), "d"(~0u) : "memory");
}

void fpu_restore(struct metal_vcpu *m)
{
	if (!xcr0_all) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(m->fpu) : "memory");
		return;
	}
	xsetbv(xcr0_all);
	__asm__ volatile("xrstor64 (%0)" : : "r"(m->fpu), "a"(~0u), "d"(~0u) : "memory");
}
