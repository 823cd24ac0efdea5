/* SPDX-License-Identifier: MIT */
/*
 * multicall.c - a list of hypercalls for the price of one trap
 *
 * Entries are run in order, each result is stored into its entry. The list may be long, so it is
 * preemptible between entries, and within one when that entry's handler wants to be continued: then
 * the handler's new arguments are stored into the entry and the list goes on there.
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/platform.h>

/*
 * Neither a list in a list (unbounded work) nor a change of mode, after which the list is no one's.
 */
static bool allowed_inside(uint64_t op)
{
	return op != __HYPERVISOR_multicall && op != __HYPERVISOR_iret;
}

static long call_entry(struct vcpu *v, struct multicall_entry *e, uint64_t *clock)
{
	struct hypercall_args a = { .in_multicall = true };
	long ret;

	if (!allowed_inside(e->op)) {
		dlog(v->domain, LOG_DEBUG, "vcpu %u: hypercall %lu inside a multicall", v->id,
		     (unsigned long)e->op);
		return -XEN_EINVAL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(e->args); i++)
		a.arg[i] = e->args[i];
	ret = hypercall_timed(v, (unsigned)min_t(uint64_t, e->op, UINT32_MAX), &a, clock);
	if (ret == -XEN_ERESTART)
		for (unsigned i = 0; i < ARRAY_SIZE(e->args); i++)
			e->args[i] = a.arg[i];
	return ret;
}

static long run_list(struct vcpu *v, struct hypercall_args *a, uint64_t *inner_tsc)
{
	uint64_t clock = plat_tsc();

	for (bool first = true; a->arg[1]; first = false) {
		uint64_t va = a->arg[0], start = clock;
		struct multicall_entry e;
		long ret;

		if (!first && hypercall_preempt())
			return -XEN_ERESTART;
		if (guest_copy_from(v, &e, va, sizeof(e)))
			return -XEN_EFAULT;

		ret = call_entry(v, &e, &clock);
		*inner_tsc += clock - start;

		if (ret == -XEN_ERESTART) {
			if (guest_copy_to(v, va + offsetof(struct multicall_entry, args), e.args,
					  sizeof(e.args)))
				return -XEN_EFAULT;
			return -XEN_ERESTART;
		}
		e.result = (xen_ulong_t)ret;
		if (guest_copy_to(v, va + offsetof(struct multicall_entry, result), &e.result,
				  sizeof(e.result)))
			return -XEN_EFAULT;
		a->arg[0] = va + sizeof(e);
		a->arg[1]--;
		/* The entry may have ended the domain. */
		if (READ_ONCE(v->domain->state) != DOM_RUNNING)
			break;
	}
	return 0;
}

long do_multicall(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t inner_tsc = 0;
	long ret;

	if (a->in_multicall)
		return -XEN_EINVAL;
	ret = run_list(v, a, &inner_tsc);
	/* The parts are accounted under their own names; leave this one what it costs by itself. */
	stat_add(&v->stats.hypercall[__HYPERVISOR_multicall].tsc, -inner_tsc);
	return ret;
}
