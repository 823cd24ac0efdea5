/* SPDX-License-Identifier: MIT */
/*
 * multicall.c - a list of hypercalls for the price of one trap
 *
 * Entries are run in order, each result is stored into its entry. The list may be long, so it is
 * preemptible between entries, and within one when that entry's handler wants to be continued: then
 * the handler's new arguments are stored into the entry and the list goes on there. An iret ends the list: what follows
 * would be done for user code (XSA-213).
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/platform.h>

/* A list in a list would be unbounded work. */
static __attribute__((noinline, cold)) long not_allowed(struct vcpu *v)
{
	dlog(v->domain, LOG_DEBUG, "vcpu %u: a multicall inside a multicall", v->id);
	return -XEN_EINVAL;
}

/* The operation and its arguments, wherever the entry lies. */
static __attribute__((noinline)) bool read_entry(struct vcpu *v, uint64_t va, uint64_t *op, struct hypercall_args *a)
{
	struct multicall_entry e;

	if (guest_copy_from_long(v, &e, va, sizeof(e)))
		return false;
	*op = e.op;
	for (unsigned i = 0; i < ARRAY_SIZE(e.args); i++)
		a->arg[i] = e.args[i];
	return true;
}

static inline bool get_entry(struct vcpu *v, uint64_t va, uint64_t *op, struct hypercall_args *a)
{
	const struct multicall_entry *e = guest_reach(v, va, sizeof(*e));

	/* A list may begin anywhere, a structure of the core's may not. */
	if (unlikely(!e || va % _Alignof(struct multicall_entry)))
		return read_entry(v, va, op, a);
	*op = READ_ONCE(e->op);
#pragma GCC unroll 6
	for (unsigned i = 0; i < ARRAY_SIZE(e->args); i++)
		a->arg[i] = READ_ONCE(e->args[i]);
	return true;
}

static bool put_result(struct vcpu *v, uint64_t va, long ret)
{
	return !guest_copy_to(v, va + offsetof(struct multicall_entry, result), &ret, sizeof(ret));
}

/* The pages of the list are looked up for each entry: the one before may have changed what they are. */
static long run_list(struct vcpu *v, struct hypercall_args *a, uint64_t *inner_tsc)
{
	uint64_t clock = plat_tsc();

	for (bool first = true; a->arg[1]; first = false) {
		uint64_t va = a->arg[0], start = clock, op;
		struct hypercall_args inner;
		long ret;

		inner.in_multicall = true;
		inner.left = false;
		if (!first && hypercall_preempt_at(clock))
			return -XEN_ERESTART;
		if (unlikely(!get_entry(v, va, &op, &inner)))
			return -XEN_EFAULT;

		ret = likely(op != __HYPERVISOR_multicall) ? hypercall_timed(v, op, &inner, &clock) : not_allowed(v);
		*inner_tsc += clock - start;

		if (unlikely(inner.left)) {
			a->left = true;
			put_result(v, va, ret); /* where the page tables of now have the list */
			return 0;
		}
		if (unlikely(ret == -XEN_ERESTART)) {
			if (guest_copy_to(v, va + offsetof(struct multicall_entry, args), inner.arg,
					  sizeof(inner.arg)))
				return -XEN_EFAULT;
			return -XEN_ERESTART;
		}
		if (unlikely(!put_result(v, va, ret)))
			return -XEN_EFAULT;
		a->arg[0] = va + sizeof(struct multicall_entry);
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
