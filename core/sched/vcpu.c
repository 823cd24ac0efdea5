/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking of virtual CPUs. One is runnable exactly when no VPF_ flag is set; it is on
 * its run queue exactly while it is runnable; and its runstate follows, except that only the CPU
 * loop moves a virtual CPU into and out of RUNSTATE_running.
 */
#include <xenopus/platform.h>
#include <xen/vcpu.h>
#include "policy.h"

static bool deaths;

void sched_init(void)
{
	deaths = false;
	policy_init();
}

void sched_vcpu_init(struct vcpu *v)
{
	memset(&v->sched, 0, sizeof(v->sched));
	v->sched.pause_flags = VPF_DOWN | VPF_PAUSED;
	policy_place(v);
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	int rc = arch_set_context(v, ctx);

	if (rc)
		return rc;
	v->initialised = true;
	if (ctx->flags & VGCF_online)
		vcpu_wake(v, VPF_DOWN);
	return 0;
}

static void stop_dogs(struct domain *d)
{
	unsigned i;

	for (i = 0; i < SCHED_WATCHDOGS; i++) {
		if (d->sched.dog[i].domain)
			timer_stop(&d->sched.dog[i].timer);
		d->sched.dog[i].domain = NULL;
	}
}

void sched_vcpu_destroy(struct vcpu *v)
{
	vcpu_sleep(v, VPF_PAUSED);
	cpu_unload(v);
	policy_forget(v);
	if (v->sched.poll_port) {
		v->sched.poll_port = 0;
		if (v->domain->event.table)
			evtchn_poll_end(v);
	}
	if (v->id == 0)
		stop_dogs(v->domain);
}

struct vcpu *sched_pick(void)
{
	return policy_pick();
}

void sched_yield_vcpu(struct vcpu *v)
{
	policy_yield(v);
}

int vcpu_idle_runstate(const struct vcpu *v)
{
	uint32_t flags = __atomic_load_n(&v->sched.pause_flags, __ATOMIC_ACQUIRE);

	if (!flags)
		return RUNSTATE_runnable;
	return flags == VPF_BLOCKED ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* Let the physical CPU that works for @v look again; this one does so anyway. */
static void kick_pcpu(struct vcpu *v)
{
	if (v->sched.pcpu != plat_cpu_id())
		plat_cpu_kick(v->sched.pcpu);
}

void vcpu_sleep(struct vcpu *v, uint32_t flag)
{
	uint32_t old = __atomic_fetch_or(&v->sched.pause_flags, flag, __ATOMIC_SEQ_CST);

	if (flag & VPF_DEAD)
		sched_note_death();
	if (!old)
		policy_dequeue(v);
	if (v->sched.running)
		kick_pcpu(v);
	else
		time_set_runstate(v, vcpu_idle_runstate(v));
}

void vcpu_wake(struct vcpu *v, uint32_t flag)
{
	uint32_t old = __atomic_fetch_and(&v->sched.pause_flags, ~flag, __ATOMIC_SEQ_CST);

	if (!(old & flag))
		return;
	if (!(old & ~flag)) {
		policy_enqueue(v);
		kick_pcpu(v);
	}
	if (!v->sched.running)
		time_set_runstate(v, vcpu_idle_runstate(v));
}

void sched_note_death(void)
{
	__atomic_store_n(&deaths, true, __ATOMIC_RELEASE);
}

bool sched_take_deaths(void)
{
	return __atomic_load_n(&deaths, __ATOMIC_ACQUIRE) &&
	       __atomic_exchange_n(&deaths, false, __ATOMIC_ACQ_REL);
}

void vcpu_block(struct vcpu *v)
{
	/* Unmasking comes first: an event from here on must wake. */
	WRITE_ONCE(v->gate.vcpu_info->evtchn_upcall_mask, 0);
	__atomic_fetch_or(&v->sched.pause_flags, VPF_BLOCKED, __ATOMIC_SEQ_CST);
	if (vcpu_upcall_pending(v) || (v->arch.nmi_pending && !v->arch.nmi_masked)) {
		__atomic_fetch_and(&v->sched.pause_flags, ~VPF_BLOCKED, __ATOMIC_SEQ_CST);
		return;
	}
	policy_dequeue(v);
}

void vcpu_unblock(struct vcpu *v)
{
	if (!(__atomic_load_n(&v->sched.pause_flags, __ATOMIC_SEQ_CST) & VPF_BLOCKED))
		return;
	if (v->sched.poll_port) {
		v->sched.poll_port = 0;
		evtchn_poll_end(v);
		timer_stop(&v->time.poll);
	}
	vcpu_wake(v, VPF_BLOCKED);
}

void vcpu_attention(struct vcpu *v)
{
	vcpu_unblock(v);
	if (v->sched.running)
		kick_pcpu(v);
}
