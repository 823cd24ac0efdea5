/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_sched_op: give up the CPU, wait for events, stop the domain, watchdogs.
 */
#include <xenopus/hypercall.h>
#include <xen/sched.h>
#include "policy.h"

/* More ports than this in one poll are refused; kernels poll for one. */
#define POLL_MAX_PORTS 128

static long stop_domain(struct vcpu *v, uint32_t reason)
{
	struct domain *d = v->domain;

	if (reason > SHUTDOWN_MAX)
		return -XEN_EINVAL;
	domain_shutdown(d, d->sched.code_set ? d->sched.code : reason);
	return 0;
}

/* The reason that a later shutdown will have, whatever it says; the first one counts. */
static long set_shutdown_code(struct vcpu *v, uint32_t reason)
{
	struct domain_sched *s = &v->domain->sched;

	if (reason > SHUTDOWN_MAX)
		return -XEN_EINVAL;
	if (!s->code_set) {
		s->code = reason;
		s->code_set = true;
	}
	return 0;
}

/*
 * Since it was decided to wait: an event, the end of the poll (by somebody who was about to end an earlier one, too), or one
 * of the ports?
 */
static bool came_meanwhile(struct vcpu *v, const evtchn_port_t *ports, unsigned n)
{
	if (vcpu_something_due(v) || !__atomic_load_n(&v->sched.poll_port, __ATOMIC_SEQ_CST))
		return true;
	for (unsigned i = 0; i < n; i++)
		if (evtchn_port_pending(v->domain, ports[i]))
			return true;
	return false;
}

/*
 * Wait until one of some ports is pending, whether masked or not, or the time has come. Nothing is
 * to be done when something is pending already.
 */
static long poll(struct vcpu *v, const struct sched_poll *op)
{
	evtchn_port_t ports[POLL_MAX_PORTS];
	uint64_t va = (uint64_t)(uintptr_t)op->ports.p;
	unsigned i;

	if (op->nr_ports > POLL_MAX_PORTS)
		return -XEN_EINVAL;
	if (op->nr_ports && guest_copy_from(v, ports, va, op->nr_ports * sizeof(ports[0])))
		return -XEN_EFAULT;
	for (i = 0; i < op->nr_ports; i++)
		if (!evtchn_port_usable(v->domain, ports[i]))
			return -XEN_EINVAL;
	if (vcpu_something_due(v))
		return 0;

	evtchn_poll_begin(v, op->nr_ports == 1 ? ports[0] : POLL_SEVERAL);
	if (op->timeout)
		timer_set(&v->time.poll, op->timeout);
	else
		timer_stop(&v->time.poll); /* an earlier poll's */
	vcpu_sleep(v, VPF_BLOCKED);
	/* Whatever comes from here on wakes us; what came before is to be seen now. */
	if (came_meanwhile(v, ports, op->nr_ports))
		vcpu_unblock(v);
	return 0;
}

static void dog_bites(struct timer *t)
{
	struct sched_dog *dog = container_of(t, struct sched_dog, timer);
	struct domain *d = READ_ONCE(dog->domain);

	if (!d) /* given back at this moment */
		return;
	dlog(d, LOG_WARN, "watchdog timer fired: the guest did not refresh it in time");
	domain_shutdown(d, SHUTDOWN_watchdog);
}

/* Id 0 asks for a new timer; time-out 0 gives one back. The domain's dogs are locked. */
static long watchdog_locked(struct domain *d, uint32_t id, uint32_t timeout_s)
{
	uint64_t when = time_now() + timeout_s * NSEC_PER_SEC;
	struct sched_dog *dog = d->sched.dog;
	unsigned i;

	if (id > SCHED_WATCHDOGS)
		return -XEN_EINVAL;
	if (id == 0) {
		for (i = 0; i < SCHED_WATCHDOGS; i++) {
			if (dog[i].domain)
				continue;
			timer_kill(&dog[i].timer); /* of its life before this one, perhaps about to bite */
			timer_init(&dog[i].timer, dog_bites);
			WRITE_ONCE(dog[i].domain, d);
			timer_set(&dog[i].timer, when);
			return i + 1;
		}
		return -XEN_ENOSPC;
	}
	dog += id - 1;
	if (!dog->domain)
		return -XEN_EINVAL;
	if (timeout_s) {
		timer_set(&dog->timer, when);
	} else {
		timer_stop(&dog->timer);
		WRITE_ONCE(dog->domain, NULL);
	}
	return 0;
}

static long watchdog(struct domain *d, uint32_t id, uint32_t timeout_s)
{
	long ret;

	spin_lock(&d->sched.dog_lock, LOCK_WATCHDOG);
	ret = watchdog_locked(d, id, timeout_s);
	spin_unlock(&d->sched.dog_lock, LOCK_WATCHDOG);
	return ret;
}

static long shutdown_op(struct vcpu *v, uint64_t va, long (*fn)(struct vcpu *v, uint32_t reason))
{
	struct sched_shutdown op;

	if (guest_copy_from(v, &op, va, sizeof(op)))
		return -XEN_EFAULT;
	return fn(v, op.reason);
}

long do_sched_op(struct vcpu *v, struct hypercall_args *a)
{
	union {
		struct sched_poll poll;
		struct sched_watchdog watchdog;
		struct sched_remote_shutdown remote;
	} op;
	uint64_t va = a->arg[1];

	switch (a->arg[0]) {
	case SCHEDOP_yield:
		sched_yield_vcpu(v);
		return 0;
	case SCHEDOP_block:
		vcpu_block(v);
		return 0;
	case SCHEDOP_shutdown:
		return shutdown_op(v, va, stop_domain);
	case SCHEDOP_shutdown_code:
		return shutdown_op(v, va, set_shutdown_code);
	case SCHEDOP_poll:
		if (guest_copy_from(v, &op.poll, va, sizeof(op.poll)))
			return -XEN_EFAULT;
		return poll(v, &op.poll);
	case SCHEDOP_watchdog:
		if (guest_copy_from(v, &op.watchdog, va, sizeof(op.watchdog)))
			return -XEN_EFAULT;
		return watchdog(v->domain, op.watchdog.id, op.watchdog.timeout);
	case SCHEDOP_remote_shutdown:
		if (guest_copy_from(v, &op.remote, va, sizeof(op.remote)))
			return -XEN_EFAULT;
		if (!domain_by_id(op.remote.domain_id, NULL))
			return -XEN_ESRCH;
		return -XEN_EPERM; /* no domain is privileged over another */
	case SCHEDOP_pin_override:
		return -XEN_EPERM;
	default:
		return -XEN_ENOSYS;
	}
}

/* The interface before sched_op: the argument is in the register itself. */
long do_sched_op_compat(struct vcpu *v, struct hypercall_args *a)
{
	switch (a->arg[0]) {
	case SCHEDOP_yield:
		sched_yield_vcpu(v);
		return 0;
	case SCHEDOP_block:
		vcpu_block(v);
		return 0;
	case SCHEDOP_shutdown:
		return stop_domain(v, (uint32_t)a->arg[1]);
	default:
		return -XEN_ENOSYS;
	}
}
