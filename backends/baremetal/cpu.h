/* SPDX-License-Identifier: MIT */
/* The processor's instructions and registers, by the manual's names, for C. */
#ifndef XENOPUS_METAL_CPU_H
#define XENOPUS_METAL_CPU_H

#include <xenopus/types.h>

#define MSR_APIC_BASE      0x1bu
#define MSR_SYSENTER_CS    0x174u
#define MSR_SYSENTER_ESP   0x175u
#define MSR_SYSENTER_EIP   0x176u
#define MSR_SPEC_CTRL      0x48u
#define MSR_PRED_CMD       0x49u
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_PAT            0x277u
#define MSR_TSC_DEADLINE   0x6e0u
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u

#define ARCH_CAP_RDCL_NO  UINT64_C(0x01)
#define ARCH_CAP_IBRS_ALL UINT64_C(0x02)
#define ARCH_CAP_MDS_NO   UINT64_C(0x20)

#define SPEC_CTRL_IBRS  UINT64_C(1)
#define SPEC_CTRL_STIBP UINT64_C(2)
#define SPEC_CTRL_SSBD  UINT64_C(4)

#define CPUID7_EDX_MD_CLEAR  (1u << 10)
#define CPUID7_EDX_IBRS_IBPB (1u << 26)
#define CPUID7_EDX_STIBP     (1u << 27)
#define CPUID7_EDX_ARCH_CAP  (1u << 29)
#define CPUID7_EDX_SSBD      (1u << 31)
#define CPUID8_EBX_IBPB         (1u << 12)
#define CPUID8_EBX_IBRS         (1u << 14)
#define CPUID8_EBX_STIBP        (1u << 15)
#define CPUID8_EBX_IBRS_ALWAYS  (1u << 16)
#define CPUID8_EBX_STIBP_ALWAYS (1u << 17)
#define CPUID8_EBX_SSBD         (1u << 24)

#define CR0_MP UINT64_C(0x00000002)
#define CR0_EM UINT64_C(0x00000004)
#define CR0_TS UINT64_C(0x00000008)
#define CR0_NE UINT64_C(0x00000020)
#define CR0_WP UINT64_C(0x00010000)
#define CR0_AM UINT64_C(0x00040000)

#define CR4_DE         UINT64_C(0x00000008)
#define CR4_PAE        UINT64_C(0x00000020)
#define CR4_MCE        UINT64_C(0x00000040)
#define CR4_PGE        UINT64_C(0x00000080)
#define CR4_OSFXSR     UINT64_C(0x00000200)
#define CR4_OSXMMEXCPT UINT64_C(0x00000400)
#define CR4_UMIP       UINT64_C(0x00000800)
#define CR4_PCIDE      UINT64_C(0x00020000)
#define CR4_FSGSBASE   UINT64_C(0x00010000)
#define CR4_OSXSAVE    UINT64_C(0x00040000)
#define CR4_SMEP       UINT64_C(0x00100000)
#define CR4_SMAP       UINT64_C(0x00200000)

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void msr_write(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

#define CONTROL_REGISTER(n) \
	static inline uint64_t cr##n##_read(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("movq %%cr" #n ", %0" : "=r"(v)); \
		return v; \
	} \
	static inline void cr##n##_write(uint64_t v) \
	{ \
		__asm__ volatile("movq %0, %%cr" #n : : "r"(v) : "memory"); \
	}
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

#define DEBUG_REGISTER(n) \
	static inline uint64_t dr##n##_read(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("movq %%db" #n ", %0" : "=r"(v)); \
		return v; \
	} \
	static inline void dr##n##_write(uint64_t v) \
	{ \
		__asm__ volatile("movq %0, %%db" #n : : "r"(v)); \
	}
DEBUG_REGISTER(0)
DEBUG_REGISTER(1)
DEBUG_REGISTER(2)
DEBUG_REGISTER(3)
DEBUG_REGISTER(6)
DEBUG_REGISTER(7)

static inline void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

#define CR3_NOFLUSH (UINT64_C(1) << 63)

/* The address spaces' numbers: the hypervisor's own is 0. */
#define PCID_KERNEL 1u
#define PCID_USER   2u

enum { INVPCID_ADDRESS = 0, INVPCID_ALL_LOCAL = 3 };

static inline void invpcid(uint64_t type, uint64_t pcid, uint64_t va)
{
	struct {
		uint64_t pcid, va;
	} what = { pcid, va };

	__asm__ volatile("invpcid %0, %1" : : "m"(what), "r"(type) : "memory");
}

static inline uint64_t tsc_read(void)
{
	uint64_t lo, hi; /* the instruction clears the upper halves */

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause");
}

/* A table register's operand. */
struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#endif
