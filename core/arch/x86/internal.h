/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of core/arch/x86 share among themselves
 */
#ifndef XENOPUS_ARCH_X86_INTERNAL_H
#define XENOPUS_ARCH_X86_INTERNAL_H

#include <xenopus/domain.h>
#include <xenopus/layout.h>

/**
 * struct bounce - where the guest kernel is to be entered
 * @rip: of the handler; 0 crashes the domain
 * @mask_events: events are masked on entry, as by an interrupt gate
 * @has_error: push @error
 * @failsafe: push the data segment selectors too
 * @what: for the line about a guest that cannot take it
 */
struct bounce {
	uint64_t rip;
	bool mask_events;
	bool has_error;
	bool failsafe;
	uint32_t error;
	const char *what;
};

/** bounce_to_kernel() - build the frame on the guest kernel's stack and go to @b->rip. False: crashed. */
bool bounce_to_kernel(struct vcpu *v, const struct bounce *b);

/** inject_soft_int() - INT @vector, with rip after the instruction; the handler's DPL was checked. */
void inject_soft_int(struct vcpu *v, unsigned vector);

/** soft_int_allowed() - may @v's present mode use INT @vector? */
bool soft_int_allowed(const struct vcpu *v, unsigned vector);

/**
 * emulate_privileged() - @insn trapped with #GP or #UD; do what the ABI does for it.
 * Return: false when the exception is the guest's own.
 */
bool emulate_privileged(struct vcpu *v, const struct insn *insn, struct insn_regs *regs);

/* CR0 as every guest sees it: PG AM WP NE ET MP PE. */
#define GUEST_CR0 UINT64_C(0x80050033)

/** emulate_umip() - the same for what UMIP keeps from ring 3, both modes of the guest. */
bool emulate_umip(struct vcpu *v, const struct insn *insn, struct insn_regs *regs);

/** emulate_m2p_load() - page fault @t was a load from slot 256, where the host hides it; false: it was not. */
bool emulate_m2p_load(struct vcpu *v, const struct trap *t);

/** traps_changed() - the trap table is another: tell the gate what it needs of it. */
void traps_changed(struct vcpu *v);

/** hypercall_page_by_msr() - the guest names a frame of its own to be filled; false: it cannot be. */
bool hypercall_page_by_msr(struct vcpu *v, uint64_t value);

/** cpuid_xcr0_supported() - the XCR0 bits the policy offers. */
uint64_t cpuid_xcr0_supported(struct vcpu *v);

/** cpuid_is_intel() - vendor of the native answer, for vendor-specific registers. */
bool cpuid_is_intel(void);

static inline void count_emulated(struct vcpu *v, enum emul_kind kind)
{
	stat_inc(&v->stats.emulated[kind]);
}

static inline uint64_t assist(const struct vcpu *v, unsigned type)
{
	return READ_ONCE(v->domain->mm.vm_assist) & (UINT64_C(1) << type);
}

#endif
