/* SPDX-License-Identifier: MIT */
/*
 * The guest CPU: traps bounced to the guest kernel, callbacks, descriptors, emulation of privileged
 * instructions, CPUID and MSR policy. Owned by core/arch/x86.
 */
#ifndef XENOPUS_ARCH_H
#define XENOPUS_ARCH_H

#include "types.h"
#include "platform.h"

/* Exception vectors (Intel SDM vol. 3, 6.3.1). */
enum {
	X86_DE, X86_DB, X86_NMI, X86_BP, X86_OF, X86_BR, X86_UD, X86_NM, X86_DF, X86_CSO, X86_TS, X86_NP,
	X86_SS, X86_GP, X86_PF, X86_SPV, X86_MF, X86_AC, X86_MC, X86_XM, X86_VE, X86_CP,
};

/** struct vcpu_arch - what core/arch/x86 keeps for a virtual CPU beyond struct gate_vcpu. */
struct vcpu_arch {
	struct trap_info traps[256];   /* registered handlers; address 0: none */
	uint64_t nmi_callback;
	mfn_t gdt_frames[16];
	unsigned gdt_entries;          /* 0: none */
	uint64_t ldt_base;             /* guest virtual address */
	unsigned ldt_entries;          /* 0: none */
	uint64_t dr[8];
	uint64_t cr4;                  /* what the guest believes */
	uint64_t cr0_guest;            /* CR0.TS shadow etc. */
	uint64_t xcr0;
	unsigned iopl;
	bool ts;
	bool nmi_pending, nmi_masked;
};

/* Start of day and full contexts (VCPUOP_initialise, domain builder). 0 or -errno. */
int arch_vcpu_init(struct vcpu *v);
void arch_vcpu_destroy(struct vcpu *v);
/** arch_set_context() - check @ctx (already copied from the guest) wholly, then take it over. */
int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);

/** arch_handle_trap() - everything the guest did to leave ring 3, except TRAP_KICK. */
void arch_handle_trap(struct vcpu *v, const struct trap *t);

/** arch_inject_exception() - bounce an exception to the guest kernel (via its trap table). */
void arch_inject_exception(struct vcpu *v, unsigned vector, uint32_t error, uint64_t cr2);
/** arch_inject_pf() - a page fault found by the core itself. */
void arch_inject_pf(struct vcpu *v, uint64_t va, uint32_t error);

/** arch_deliver_upcall() - make @v enter its event callback (called when pending && !masked). */
void arch_deliver_upcall(struct vcpu *v);
/** arch_deliver_nmi() - enter the NMI callback if one is registered and none is running. */
void arch_deliver_nmi(struct vcpu *v);

/** arch_toggle_mode() - switch between guest kernel and guest user: flags, GS bases, CR3. */
void arch_toggle_mode(struct vcpu *v);

/** arch_dump_vcpu() - registers and the top of the guest's stack to the log. */
void arch_dump_vcpu(struct vcpu *v);

/** arch_cpuid() - the policy's answer for @v; @forced: by the Xen prefix. */
void arch_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
