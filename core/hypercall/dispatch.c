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
 * Per physical CPU: until when the hypercall (or other work for a guest) in progress may run, 0 outside of one (work of
 * the domain builder is never preempted). Whether it was asked before, since every attempt must get
 * at least one step further, is in the lowest bit of the time: set while it was not.
 */
static struct budget {
	uint64_t deadline;
	struct vcpu *vcpu;
} __attribute__((aligned(64))) budgets[MAX_PCPUS];

static struct budget *this_budget(void)
{
	unsigned cpu = plat_cpu_id();

	ASSERT(cpu < MAX_PCPUS);
	return &budgets[cpu];
}

static bool first_asked(struct budget *b)
{
	if (!(b->deadline & 1))
		return false;
	b->deadline &= ~UINT64_C(1);
	return true;
}

bool hypercall_preempt_at(uint64_t now)
{
	struct budget *b = this_budget();

	if (!b->deadline || first_asked(b))
		return false;
	return now >= b->deadline || vcpu_upcall_pending(b->vcpu);
}

bool hypercall_preempt(void)
{
	struct budget *b = this_budget();

	if (!b->deadline || first_asked(b))
		return false;
	return plat_tsc() >= b->deadline || vcpu_upcall_pending(b->vcpu);
}

static inline void budget_begin(struct budget *b, struct vcpu *v, uint64_t now)
{
	b->vcpu = v;
	b->deadline = (now + plat_info()->tsc_khz * UINT64_C(1000) / BUDGET_HZ) | 1;
}

static inline void budget_end(struct budget *b)
{
	b->deadline = 0;
}

void preemptible_begin(struct vcpu *v)
{
	budget_begin(this_budget(), v, plat_tsc());
}

void preemptible_end(void)
{
	budget_end(this_budget());
}

/* ---- calls ---- */

static __attribute__((noinline, cold)) long refuse(struct vcpu *v, uint64_t nr)
{
	const struct hypercall_entry *e = nr < ARRAY_SIZE(table) ? &table[nr] : NULL;

	if (!e || !e->name) {
		dlog(v->domain, LOG_WARN, "vcpu %u: unknown hypercall %llu", v->id, (unsigned long long)nr);
		return -XEN_ENOSYS;
	}
	if (e->refusal == XEN_ENOSYS)
		dlog(v->domain, LOG_INFO, "vcpu %u: hypercall %llu (%s) is not offered", v->id, (unsigned long long)nr,
		     e->name);
	else
		dlog(v->domain, LOG_DEBUG,
		     "vcpu %u: hypercall %s refused to an unprivileged domain", v->id, e->name);
	stat_inc(&v->stats.hypercall[nr].count);
	return -e->refusal;
}

/* Every exit of a busy guest comes here, so it becomes part of its callers. */
static inline __attribute__((always_inline)) long timed(struct vcpu *v, uint64_t nr, struct hypercall_args *a,
							 uint64_t *clock)
{
	hypercall_fn *fn = nr < ARRAY_SIZE(table) ? table[nr].fn : NULL;
	struct hypercall_stat *stat;
	uint64_t now;
	long ret;

	if (unlikely(!fn))
		return refuse(v, nr);
	ret = fn(v, a);
	stat = &v->stats.hypercall[nr];
	now = plat_tsc();
	stat_inc(&stat->count);
	stat_add(&stat->tsc, now - *clock);
	*clock = now;
	return ret;
}

long hypercall_call(struct vcpu *v, uint64_t nr, struct hypercall_args *a)
{
	uint64_t start = plat_tsc();

	return timed(v, nr, a, &start);
}

long hypercall_timed(struct vcpu *v, uint64_t nr, struct hypercall_args *a, uint64_t *clock)
{
	return timed(v, nr, a, clock);
}

/* The call is to be made again, with the arguments it has now. */
static __attribute__((noinline)) void rewind_call(struct cpu_user_regs *regs, const struct hypercall_args *a)
{
	regs->rdi = a->arg[0];
	regs->rsi = a->arg[1];
	regs->rdx = a->arg[2];
	regs->r10 = a->arg[3];
	regs->r8 = a->arg[4];
	regs->r9 = a->arg[5];
	regs->rip -= HYPERCALL_INSN_LEN;
}

inline bool hypercall_dispatch(struct vcpu *v)
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
	budget_begin(b, v, clock);
	ret = timed(v, nr, &a, &clock);
	budget_end(b);

	/* rax came from the guest's stack, and may be any number. */
	if (unlikely(a.left))
		return false;
	if (unlikely(ret == -XEN_ERESTART)) {
		rewind_call(regs, &a);
		return false;
	}
	regs->rax = (uint64_t)ret;
	return true;
}
