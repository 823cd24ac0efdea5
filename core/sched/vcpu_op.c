/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_vcpu_op: a guest brings its virtual CPUs up and down, places their records and sets
 * their timers.
 */
#include <xenopus/hypercall.h>
#include <xenopus/layout.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "policy.h"

/* Periods below this would be a denial of service, above that cannot be added to system time. */
#define MIN_PERIOD_NS NSEC_PER_MSEC
#define MAX_PERIOD_NS ((UINT64_C(1) << 63) - 1 - (UINT64_C(1) << 56))

/*
 * The context is larger than a stack should hold; the guest may have only one such call under way
 * per CPU.
 */
static long initialise(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	struct vcpu_guest_context *ctx;
	long rc;

	if (!vcpu_info_placed(v))
		return -XEN_EINVAL;
	ctx = heap_alloc(sizeof(*ctx));
	if (!ctx)
		return -XEN_ENOMEM;
	if (guest_copy_from(caller, ctx, va, sizeof(*ctx)))
		rc = -XEN_EFAULT;
	else if (READ_ONCE(v->initialised))
		rc = -XEN_EEXIST;
	else
		rc = vcpu_set_context(v, ctx);
	heap_free(ctx);
	return rc;
}

static long up(struct vcpu *v)
{
	if (!__atomic_load_n(&v->initialised, __ATOMIC_ACQUIRE))
		return -XEN_EINVAL;
	vcpu_wake(v, VPF_DOWN);
	return 0;
}

static long down(struct vcpu *v)
{
	struct domain *d = v->domain;
	unsigned i;

	for (i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i] != v && !(READ_ONCE(d->vcpu[i]->sched.pause_flags) & VPF_DOWN))
			break;
	if (i == d->max_vcpus) /* the last one turns off the light */
		domain_shutdown(d, SHUTDOWN_poweroff);
	else
		vcpu_sleep(v, VPF_DOWN);
	return 0;
}

static long get_runstate(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	struct vcpu_runstate_info info;

	time_get_runstate(v, &info);
	return guest_copy_to(caller, va, &info, sizeof(info)) ? -XEN_EFAULT : 0;
}

static long set_periodic(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	struct vcpu_set_periodic_timer op;

	if (guest_copy_from(caller, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	if (op.period_ns < MIN_PERIOD_NS || op.period_ns > MAX_PERIOD_NS)
		return -XEN_EINVAL;
	time_set_periodic(v, op.period_ns);
	return 0;
}

static long set_singleshot(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	struct vcpu_set_singleshot_timer op;

	if (v != caller)
		return -XEN_EINVAL;
	if (guest_copy_from(caller, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	if (op.flags & VCPU_SSHOTTMR_future && op.timeout_abs_ns < time_now())
		return -XEN_ETIME;
	time_set_singleshot(v, op.timeout_abs_ns);
	return 0;
}

static long stop_singleshot(struct vcpu *caller, struct vcpu *v)
{
	if (v != caller)
		return -XEN_EINVAL;
	timer_stop(&v->time.singleshot);
	return 0;
}

static long register_info(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	struct vcpu_register_vcpu_info op;
	int rc;

	if (guest_copy_from(caller, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	if (v != caller && !(READ_ONCE(v->sched.pause_flags) & VPF_DOWN))
		return -XEN_EINVAL; /* it might be looking at the old place */
	rc = vcpu_info_register(v, MFN(op.mfn), op.offset);
	if (!rc)
		time_update_vcpu(v);
	return rc;
}

/*
 * Both areas are registered by virtual address, with structures of one address; 0 gives an area up.
 */
static long register_area(struct vcpu *caller, struct vcpu *v, uint64_t va,
			  int (*fn)(struct vcpu *caller, struct vcpu *v, uint64_t area))
{
	uint64_t area;

	if (guest_copy_from(caller, &area, va, sizeof(area)))
		return -XEN_EFAULT;
	if (area && (!va_guest_ok(area) || !va_guest_ok(area + PAGE_SIZE)))
		return -XEN_EFAULT;
	return fn(caller, v, area);
}

static long send_nmi(struct vcpu *v, uint64_t va)
{
	if (va)
		return -XEN_EINVAL;
	WRITE_ONCE(v->arch.nmi_pending, true);
	vcpu_attention(v);
	return 0;
}

long do_vcpu_op(struct vcpu *v, struct hypercall_args *a)
{
	struct domain *d = v->domain;
	uint64_t va = a->arg[2];
	struct vcpu *t;

	/* Kernels probe for every virtual CPU they were built for. */
	if (a->arg[1] >= d->max_vcpus || a->arg[1] >= MAX_VCPUS || !d->vcpu[a->arg[1]])
		return -XEN_ENOENT;
	t = d->vcpu[a->arg[1]];

	switch (a->arg[0]) {
	case VCPUOP_initialise:
		return initialise(v, t, va);
	case VCPUOP_up:
		return up(t);
	case VCPUOP_down:
		return down(t);
	case VCPUOP_is_up:
		return !(READ_ONCE(t->sched.pause_flags) & VPF_DOWN);
	case VCPUOP_get_runstate_info:
		return get_runstate(v, t, va);
	case VCPUOP_register_runstate_memory_area:
		return register_area(v, t, va, time_register_runstate);
	case VCPUOP_set_periodic_timer:
		return set_periodic(v, t, va);
	case VCPUOP_stop_periodic_timer:
		time_set_periodic(t, 0);
		return 0;
	case VCPUOP_set_singleshot_timer:
		return set_singleshot(v, t, va);
	case VCPUOP_stop_singleshot_timer:
		return stop_singleshot(v, t);
	case VCPUOP_register_vcpu_info:
		return register_info(v, t, va);
	case VCPUOP_send_nmi:
		return send_nmi(t, va);
	case VCPUOP_get_physid:
		return -XEN_EINVAL; /* only for virtual CPUs pinned to physical ones */
	case VCPUOP_register_vcpu_time_memory_area:
		return register_area(v, t, va, time_register_area);
	default:
		return -XEN_ENOSYS;
	}
}
