/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - from the number in rax to the handler, and back with a result
 *
 *	SYSCALL in guest kernel -> arch_handle_trap -> hypercall_dispatch -> table[rax] -> handler
 *	                                                    ^                                 |
 *	                          do_multicall -> hypercall_call <--------- result -----------+
 *
 * One table says all: which handler, which name, or with which error the call is refused to an
 * unprivileged domain. A long handler asks hypercall_preempt() between steps; when told to stop it
 * leaves its progress in its arguments, and the guest executes the same SYSCALL again.
 */
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/platform.h>

#include "internal.h"

/* SYSCALL and INT n are both two bytes: what a continued hypercall is rewound by. */
#define HYPERCALL_INSN_LEN 2

/* How long one hypercall may keep a physical CPU, in parts of a second. */
#define BUDGET_HZ 1000

struct hypercall_entry {
	const char *name;
	hypercall_fn *fn; /* NULL: refused */
	int refusal;	  /* XEN_E*, when refused */
};

#define CALL(n)	     [__HYPERVISOR_##n] = { .name = #n, .fn = do_##n }
#define REFUSE(n, e) [__HYPERVISOR_##n] = { .name = #n, .refusal = XEN_##e }

static const struct hypercall_entry table[STATS_HYPERCALLS] = {
	CALL(set_trap_table),
	CALL(mmu_update),
	CALL(set_gdt),
	CALL(stack_switch),
	CALL(set_callbacks),
	CALL(fpu_taskswitch),
	CALL(sched_op_compat),
	REFUSE(platform_op, EPERM),
	CALL(set_debugreg),
	CALL(get_debugreg),
	CALL(update_descriptor),
	CALL(memory_op),
	CALL(multicall),
	CALL(update_va_mapping),
	CALL(set_timer_op),
	CALL(event_channel_op_compat),
	CALL(xen_version),
	CALL(console_io),
	CALL(physdev_op_compat),
	CALL(grant_table_op),
	CALL(vm_assist),
	CALL(update_va_mapping_otherdomain),
	CALL(iret),
	CALL(vcpu_op),
	CALL(set_segment_base),
	CALL(mmuext_op),
	REFUSE(xsm_op, ENOSYS),
	CALL(nmi_op),
	CALL(sched_op),
	CALL(callback_op),
	REFUSE(xenoprof_op, EPERM),
	CALL(event_channel_op),
	CALL(physdev_op),
	REFUSE(hvm_op, EINVAL),
	REFUSE(sysctl, EPERM),
	REFUSE(domctl, EPERM),
	REFUSE(kexec_op, EPERM),
	REFUSE(tmem_op, ENOSYS),
	REFUSE(argo_op, ENOSYS),
	REFUSE(xenpmu_op, EOPNOTSUPP),
	REFUSE(dm_op, EPERM),
	REFUSE(hypfs_op, EPERM),
	/* Machine checks are the machine owner's. */
	[__HYPERVISOR_arch_0] = { .name = "mca", .refusal = XEN_EPERM },
};

const char *hypercall_name(unsigned nr)
{
	return nr < ARRAY_SIZE(table) ? table[nr].name : NULL;
}

/* ---- the preemption budget ---- */

/*
 * Per physical CPU: until when the hypercall in progress may run, 0 outside of one (work of the
 * domain builder is never preempted); and whether it was asked before, since every attempt must get
 * at least one step further.
 */
static struct budget {
	uint64_t deadline;
	struct vcpu *vcpu;
	bool asked;
} __attribute__((aligned(64))) budgets[MAX_PCPUS];

static struct budget *this_budget(void)
{
	unsigned cpu = plat_cpu_id();

	ASSERT(cpu < MAX_PCPUS);
	return &budgets[cpu];
}

bool hypercall_preempt(void)
{
	struct budget *b = this_budget();

	if (!b->deadline)
		return false;
	if (!b->asked) {
		b->asked = true;
		return false;
	}
	return plat_tsc() >= b->deadline || vcpu_upcall_pending(b->vcpu);
}

/* ---- calls ---- */

static long refuse(struct vcpu *v, unsigned nr)
{
	const struct hypercall_entry *e = &table[nr];

	if (e->refusal == XEN_ENOSYS)
		dlog(v->domain, LOG_INFO, "vcpu %u: hypercall %u (%s) is not offered", v->id, nr,
		     e->name);
	else
		dlog(v->domain, LOG_DEBUG,
		     "vcpu %u: hypercall %s refused to an unprivileged domain", v->id, e->name);
	return -e->refusal;
}

long hypercall_call(struct vcpu *v, unsigned nr, struct hypercall_args *a)
{
	uint64_t start = plat_tsc();

	return hypercall_timed(v, nr, a, &start);
}

long hypercall_timed(struct vcpu *v, unsigned nr, struct hypercall_args *a, uint64_t *clock)
{
	struct hypercall_stat *stat;
	uint64_t now;
	long ret;

	if (nr >= ARRAY_SIZE(table) || !table[nr].name) {
		dlog(v->domain, LOG_WARN, "vcpu %u: unknown hypercall %u", v->id, nr);
		return -XEN_ENOSYS;
	}

	ret = table[nr].fn ? table[nr].fn(v, a) : refuse(v, nr);

	stat = &v->stats.hypercall[nr];
	now = plat_tsc();
	stat_inc(&stat->count);
	stat_add(&stat->tsc, now - *clock);
	*clock = now;
	return ret;
}

void hypercall_dispatch(struct vcpu *v)
{
	struct cpu_user_regs *regs = &v->gate.regs;
	uint64_t nr = regs->rax;
	struct hypercall_args a = {
		.arg = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 },
	};
	struct budget *b = this_budget();
	uint64_t clock = plat_tsc();
	long ret;

	mm_audit_tick();
	b->vcpu = v;
	b->asked = false;
	b->deadline = clock + plat_info()->tsc_khz * UINT64_C(1000) / BUDGET_HZ;
	ret = hypercall_timed(v, (unsigned)min_t(uint64_t, nr, UINT32_MAX), &a, &clock);
	b->deadline = 0;

	/* iret loaded every register, rax among them, from the guest's stack. */
	if (nr == __HYPERVISOR_iret)
		return;
	if (ret != -XEN_ERESTART) {
		regs->rax = (uint64_t)ret;
		return;
	}
	regs->rdi = a.arg[0];
	regs->rsi = a.arg[1];
	regs->rdx = a.arg[2];
	regs->r10 = a.arg[3];
	regs->r8 = a.arg[4];
	regs->r9 = a.arg[5];
	regs->rip -= HYPERCALL_INSN_LEN;
}
