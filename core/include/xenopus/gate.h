/* SPDX-License-Identifier: MIT */
/*
 * What the gate (ring-0 code beneath the guest, backends/gate) and the core share about one virtual CPU:
 * the guest's registers, its callbacks, kernel stack and page-table bases. Assembly uses these offsets
 * (generated), so the gate may finish a system call or an iret without the core.
 */
#ifndef XENOPUS_GATE_H
#define XENOPUS_GATE_H

#include "types.h"

/* gate_vcpu.flags */
#define GATE_KERNEL_MODE     0x01u /* the guest is in its kernel (else in its user mode) */
#define GATE_SYSCALL_MASKS   0x02u /* syscall callback masks events */
#define GATE_FAILSAFE_MASKS  0x04u /* failsafe callback masks events */
#define GATE_SYSCALL32_MASKS 0x08u
#define GATE_SYSENTER_MASKS  0x10u

/* gate_vcpu.slow: why the core must see every trap. 0: the gate may finish by itself what it can. */
#define GATE_SLOW_CPU    0x01u /* the home cannot, on this processor */
#define GATE_SLOW_NMI    0x02u /* an NMI handler runs; its iret ends the masking */
#define GATE_SLOW_IOPL   0x04u /* iret carries the I/O privilege level */
#define GATE_SLOW_LINEAR 0x08u /* a page table maps itself: ring 0 would read through it more than ring 3 may */
#define GATE_SLOW_TIME   0x10u /* a record in guest memory is to be written when the guest is next in kernel mode */
#define GATE_SLOW_INFO   0x20u /* the vcpu_info is not the guest's yet */

/* gate_vcpu.finished[]: what the gate finished without the core. */
enum gate_finished {
	GATE_DID_SYSCALL, GATE_DID_IRET, GATE_DID_PAGE_FAULT, GATE_DID_STACK_SWITCH, GATE_DID_SEGMENT_BASE, GATE_DID_KINDS,
};

/**
 * struct gate_vcpu - first member of struct vcpu.
 * @regs: the guest's registers, in the public header's order (the order entry code pushes them);
 *	regs.cs is the selector as hardware has it (RPL 3 in guest kernel and user alike);
 *	error_code, entry_vector, ds, es, fs, gs, saved_upcall_mask are scratch.
 * @vcpu_info: where the guest's vcpu_info is (core's address), never NULL
 * @kernel_sp, @kernel_ss: from stack_switch
 * @syscall_callback, @syscall32_callback, @sysenter_callback, @event_callback, @failsafe_callback: RIPs
 * @cr3_kernel, @cr3_user: machine addresses of the L4 frames; cr3_user 0: none yet
 * @gs_base_other: the GS base of the mode (kernel or user) the guest is not in now
 * @pf_handler: RIP of the page-fault handler when it masks events, else 0
 * @cr2: what mov from cr2 reads
 * @info_seen: the home's: where the gate sees *@vcpu_info
 */
struct gate_vcpu {
	struct cpu_user_regs regs;
	struct vcpu_info *vcpu_info;
	uint64_t kernel_sp;
	uint64_t kernel_ss;
	uint64_t syscall_callback;
	uint64_t syscall32_callback;
	uint64_t sysenter_callback;
	uint64_t event_callback;
	uint64_t failsafe_callback;
	uint64_t cr3_kernel;
	uint64_t cr3_user;
	uint64_t gs_base_other;
	uint8_t flags;
	uint8_t slow;
	uint16_t syscall32_cs;
	uint16_t sysenter_cs;
	uint64_t pf_handler;
	uint64_t cr2;
	uint64_t info_seen;
	uint64_t finished[GATE_DID_KINDS];
};

/** gate_slow() - add or drop a reason to show the core every trap. */
static inline void gate_slow(struct gate_vcpu *g, uint8_t reason, bool on)
{
	if (on)
		__atomic_fetch_or(&g->slow, reason, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&g->slow, (uint8_t)~reason, __ATOMIC_SEQ_CST);
}

static inline bool gate_kernel_mode(const struct gate_vcpu *g)
{
	return g->flags & GATE_KERNEL_MODE;
}

/** gate_cr3() - the page tables this virtual CPU runs on in its present mode. */
static inline uint64_t gate_cr3(const struct gate_vcpu *g)
{
	return gate_kernel_mode(g) ? g->cr3_kernel : g->cr3_user;
}

#endif
