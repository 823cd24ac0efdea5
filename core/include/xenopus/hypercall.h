/* SPDX-License-Identifier: MIT */
/*
 * Hypercall dispatch. A handler checks everything first (may fail, changes nothing), then performs.
 * Handlers take their arguments in a struct so that a long one can be continued: it stores its progress into
 * @a->arg and returns -XEN_ERESTART; the dispatcher then lets the guest execute the hypercall again with those
 * arguments (or, inside a multicall, restarts that entry).
 */
#ifndef XENOPUS_HYPERCALL_H
#define XENOPUS_HYPERCALL_H

#include "types.h"

/* Inside the hypervisor only, never seen by a guest: so the public header hides it. */
#define XEN_ERESTART 85

struct hypercall_args {
	uint64_t arg[6]; /* rdi rsi rdx r10 r8 r9 */
	bool in_multicall;
	bool left; /* set by iret: all registers are others now, and take no result */
};

typedef long hypercall_fn(struct vcpu *v, struct hypercall_args *a);

/**
 * hypercall_dispatch() - SYSCALL from guest kernel: number in rax; stores the result in rax. True: no other register has
 * changed.
 */
bool hypercall_dispatch(struct vcpu *v);
/** hypercall_call() - one hypercall by number, for dispatch and multicall; counts statistics. */
long hypercall_call(struct vcpu *v, uint64_t nr, struct hypercall_args *a);
/**
 * hypercall_timed() - the same for callers who have just read the TSC (plat_tsc()) into *@clock; it is moved on to
 * the end of the call.
 */
long hypercall_timed(struct vcpu *v, uint64_t nr, struct hypercall_args *a, uint64_t *clock);

/** hypercall_name() - "mmu_update", ... or NULL for numbers without a name. */
const char *hypercall_name(unsigned nr);

/** hypercall_preempt() - should a long operation stop here and continue later? */
bool hypercall_preempt(void);
/** hypercall_preempt_at() - the same for callers who have just read the TSC. */
bool hypercall_preempt_at(uint64_t now);
/**
 * preemptible_begin() / preemptible_end() - around work for @v that is no hypercall and can stop and be begun again like
 * one: hypercall_preempt() then answers in it, too.
 */
void preemptible_begin(struct vcpu *v);
void preemptible_end(void);

/* Handlers, by family (the file that has them). */
/* core/mm */
hypercall_fn do_mmu_update, do_mmuext_op, do_update_va_mapping, do_update_va_mapping_otherdomain,
	do_update_descriptor, do_set_gdt, do_memory_op;
/* core/arch/x86 */
hypercall_fn do_set_trap_table, do_stack_switch, do_set_callbacks, do_callback_op, do_fpu_taskswitch,
	do_set_debugreg, do_get_debugreg, do_set_segment_base, do_iret, do_nmi_op;
/* core/event, core/time, core/sched */
hypercall_fn do_event_channel_op, do_set_timer_op, do_sched_op, do_sched_op_compat, do_vcpu_op;
/* core/hypercall */
hypercall_fn do_multicall, do_xen_version, do_console_io, do_vm_assist, do_physdev_op;
/* core/grant */
hypercall_fn do_grant_table_op;

#endif
