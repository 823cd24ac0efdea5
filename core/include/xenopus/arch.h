/* SPDX-License-Identifier: MIT */
/*
 * The guest CPU: traps bounced to the guest kernel, callbacks, descriptors, emulation of privileged
 * instructions, CPUID and MSR policy. Owned by core/arch/x86.
 */
#ifndef XENOPUS_ARCH_H
#define XENOPUS_ARCH_H

#include "types.h"
#include "platform.h"
#include "decode.h"

/* Exception vectors (Intel SDM vol. 3, 6.3.1). */
enum {
	X86_DE, X86_DB, X86_NMI, X86_BP, X86_OF, X86_BR, X86_UD, X86_NM, X86_DF, X86_CSO, X86_TS, X86_NP,
	X86_SS, X86_GP, X86_PF, X86_SPV, X86_MF, X86_AC, X86_MC, X86_XM, X86_VE, X86_CP,
};

/* Page-fault error code bits. */
#define PFEC_PRESENT 0x01u
#define PFEC_WRITE   0x02u
#define PFEC_USER    0x04u
#define PFEC_RSVD    0x08u
#define PFEC_FETCH   0x10u

/* RFLAGS and control-register bits the core speaks about. */
#define X86_FL_MBS  UINT64_C(0x00000002) /* must be set */
#define X86_FL_TF   UINT64_C(0x00000100)
#define X86_FL_IF   UINT64_C(0x00000200)
#define X86_FL_DF   UINT64_C(0x00000400)
#define X86_FL_IOPL UINT64_C(0x00003000)
#define X86_FL_NT   UINT64_C(0x00004000)
#define X86_FL_RF   UINT64_C(0x00010000)
#define X86_FL_VM   UINT64_C(0x00020000)
#define X86_FL_AC   UINT64_C(0x00040000)
#define X86_FL_ALL  UINT64_C(0x003f7fd5) /* every flag there is */

#define X86_CR0_TS  UINT64_C(0x00000008)

#define X86_CR4_TSD      UINT64_C(0x00000004)
#define X86_CR4_DE       UINT64_C(0x00000008)
#define X86_CR4_FSGSBASE UINT64_C(0x00010000)
#define X86_CR4_OSXSAVE  UINT64_C(0x00040000)

/** enum emul_kind - index into domain_stats.emulated; names: arch_emul_name() */
enum emul_kind {
	EMUL_CPUID, EMUL_RDMSR, EMUL_WRMSR, EMUL_CLI_STI, EMUL_IO, EMUL_CR, EMUL_DR, EMUL_TSC, EMUL_XSETBV,
	EMUL_WBINVD, EMUL_SOFT_INT, EMUL_UMIP, EMUL_M2P, EMUL_KINDS,
};

/** struct insn_memory - an instruction that was decoded, by its bytes; insn.len 0: none. */
struct insn_memory {
	uint64_t key[2];
	struct insn insn;
};

/** struct vcpu_arch - what core/arch/x86 keeps for a virtual CPU beyond struct gate_vcpu. */
struct vcpu_arch {
	struct trap_info traps[256];   /* registered handlers; address 0: none */
	mfn_t gdt_frames[16];
	unsigned gdt_entries;          /* 0: none */
	uint64_t ldt_base;             /* guest virtual address */
	unsigned ldt_entries;          /* 0: none */
	bool descriptors_stale;        /* changed by another physical CPU, the home has to be told */
	mfn_t ldt_frames[16];          /* FT_SEGDESC references taken at SET_LDT; 0 where not mapped */
	uint64_t dr[8];
	uint64_t cr4;                  /* what the guest believes */
	uint64_t xcr0;
	uint32_t tsc_aux;
	unsigned iopl;                 /* 0..3, by PHYSDEVOP_set_iopl or VMASST_TYPE_architectural_iopl */
	uint64_t io_bitmap;            /* PHYSDEVOP_set_iobitmap: kernel virtual address, */
	unsigned io_bitmap_ports;      /* ... and how many ports it covers */
	bool ts;                       /* the guest's CR0.TS */
	bool nmi_pending, nmi_masked;  /* masked: a handler runs, until the iret hypercall */
	struct insn_memory insns[16];
};

/* ---- start of day and contexts ---- */

/** arch_vcpu_init() - reset state of a new virtual CPU: kernel mode, no handlers. Needs no home yet. 0. */
int arch_vcpu_init(struct vcpu *v);
/** arch_vcpu_destroy() - undo it; GDT frames and page-table bases are given up by core/mm before. */
void arch_vcpu_destroy(struct vcpu *v);
/**
 * arch_set_context() - check @ctx (already copied from the guest) wholly, then take it over (VCPUOP_initialise,
 * domain builder). The virtual CPU must not be running. 0, -errno, and then it has no page tables and is else unchanged,
 * or -XEN_ERESTART, and then it may have them already.
 */
int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
/** arch_get_context() - the other way, of one that does not run; without the FPU's state, which the home has. */
void arch_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);

/** arch_fill_hypercall_page() - write the hypercall page (xen/xen.h) to @page. */
void arch_fill_hypercall_page(void *page);

/* ---- traps ---- */

/** arch_handle_trap() - everything the guest did to leave ring 3, except TRAP_KICK. */
void arch_handle_trap(struct vcpu *v, const struct trap *t);
/** arch_hypercall() - the same for SYSCALL in the guest's kernel. True: RIP is canonical, and only rax has changed. */
bool arch_hypercall(struct vcpu *v);

/**
 * arch_inject_exception() - bounce an exception to the guest kernel (via its trap table). @cr2 counts for #PF
 * only, whose error code gets the guest's idea of user mode. Without a handler the domain is crashed.
 */
void arch_inject_exception(struct vcpu *v, unsigned vector, uint32_t error, uint64_t cr2);
/** arch_inject_pf() - a page fault found by the core itself. */
void arch_inject_pf(struct vcpu *v, uint64_t va, uint32_t error);

/** arch_deliver_upcall() - make @v enter its event callback (called when pending && !masked). */
void arch_deliver_upcall(struct vcpu *v);
/** arch_deliver_nmi() - if one is pending, and no NMI handler runs, enter the handler if there is one. */
void arch_deliver_nmi(struct vcpu *v);
/**
 * arch_resume_failed() - the home could not enter @v as v->gate.regs say (iretq or a selector load faulted):
 * enter its failsafe callback.
 */
void arch_resume_failed(struct vcpu *v);

/** arch_toggle_mode() - switch between guest kernel and guest user: flags, GS bases; CR3 follows gate_cr3(). */
void arch_toggle_mode(struct vcpu *v);

/** arch_print_vcpu() - registers and the top of the guest's stack, one call of @line for each line. */
void arch_print_vcpu(struct vcpu *v, void (*line)(void *opaque, const char *text), void *opaque);
/** arch_dump_vcpu() - the same to the log. */
void arch_dump_vcpu(struct vcpu *v);

/* ---- instructions ---- */

/**
 * arch_insn_fetch() - decode the instruction @v stopped at and load the register file to execute it on.
 * On INSN_MORE, *@fault_va and *@pf_error (both may be NULL) tell what the fetch ran into; with a code
 * segment that cannot be, INSN_UD.
 */
enum insn_status arch_insn_fetch(struct vcpu *v, struct insn *insn, struct insn_regs *regs,
				 uint64_t *fault_va, uint32_t *pf_error);
/**
 * arch_insn_retire() - the instruction was executed on @regs: take over registers, rip and arithmetic flags;
 * a guest that single-steps gets its #DB.
 */
void arch_insn_retire(struct vcpu *v, const struct insn_regs *regs);

/** arch_emul_name() - name of an enum emul_kind for statistics, NULL beyond the last. */
const char *arch_emul_name(unsigned kind);

/**
 * arch_cpuid() - the policy's answer for @v. @forced: asked with the Xen prefix by the guest kernel, which sees
 * OSXSAVE although it has not set CR4.OSXSAVE (Linux relies on that).
 */
void arch_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, bool forced, uint32_t out[4]);

/** arch_rdmsr() / arch_wrmsr() - by the policy table. False: #GP. */
bool arch_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool arch_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

/** arch_set_xcr0() - XSETBV of register 0, checked. False: #GP. */
bool arch_set_xcr0(struct vcpu *v, uint64_t xcr0);

/**
 * arch_set_debugreg() - write debug register @nr (4 and 5 are 6 and 7 unless CR4.DE). 0, -XEN_ENODEV (no such
 * register), -XEN_EINVAL (reserved bits), -XEN_EPERM (not allowed to guests).
 */
int arch_set_debugreg(struct vcpu *v, unsigned nr, uint64_t value);
/** arch_break_on_port() - is a break set on any of @size ports from @port on? Then DR6 says which, and a #DB is due. */
bool arch_break_on_port(struct vcpu *v, unsigned port, unsigned size);
/** arch_get_debugreg() - false when there is no register @nr. */
bool arch_get_debugreg(struct vcpu *v, unsigned nr, uint64_t *value);

#endif
