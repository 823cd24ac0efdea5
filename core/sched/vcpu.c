/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking of virtual CPUs. One is runnable exactly when no VPF_ flag is set; it is on
 * its run queue exactly while it is runnable; and its runstate follows, except that only the CPU
 * loop moves a virtual CPU into and out of RUNSTATE_running. All that changes under the lock of the queue it
 * is placed on; whoever looks for that lock looks again once it has it.
 */
#include <xenopus/cpu.h>
#include <xenopus/platform.h>
#include <xen/vcpu.h>
#include "policy.h"

static bool deaths;

void sched_init(void)
{
	deaths = false;
	queues_init();
}

void sched_vcpu_init(struct vcpu *v)
{
	memset(&v->sched, 0, sizeof(v->sched));
	v->sched.pause_flags = VPF_DOWN | VPF_PAUSED;
	v->sched.affinity = ~UINT64_C(0);
	v->sched.params.weight = SCHED_WEIGHT_DEFAULT;
	v->sched.pcpu = balance_first();
	list_init(&v->sched.link);
	sched_policy->vcpu_init(v);
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
	int rc;

	/* Of two that try at once the loser must not go on when the winner's is perhaps running already. */
	if (__atomic_exchange_n(&v->initialising, true, __ATOMIC_ACQUIRE))
		return -XEN_EBUSY;
	rc = arch_set_context(v, ctx);
	if (!rc)
		__atomic_store_n(&v->initialised, true, __ATOMIC_RELEASE);
	__atomic_store_n(&v->initialising, false, __ATOMIC_RELEASE);
	if (!rc && ctx->flags & VGCF_online)
		vcpu_wake(v, VPF_DOWN);
	return rc;
}

static void stop_dogs(struct domain *d)
{
	unsigned i;

	for (i = 0; i < SCHED_WATCHDOGS; i++) {
		if (d->sched.dog[i].domain)
			timer_kill(&d->sched.dog[i].timer);
		d->sched.dog[i].domain = NULL;
	}
}

void sched_vcpu_destroy(struct vcpu *v)
{
	vcpu_sleep(v, VPF_PAUSED);
	cpu_unload(v);
	sched_forget(v);
	if (v->domain->event.table)
		evtchn_poll_end(v);
	if (v->id == 0) {
		stop_dogs(v->domain);
		cap_stop(v->domain);
	}
}

void sched_put(struct vcpu *v)
{
	struct run_queue *q;
	bool dead;

	/* While it is still ours, so that its area is written through its own page tables. */
	time_set_runstate(v, vcpu_idle_runstate(v));
	q = queue_lock_vcpu(v);
	__atomic_store_n(&v->sched.running, false, __ATOMIC_SEQ_CST);
	time_set_runstate(v, vcpu_idle_runstate(v));
	dead = READ_ONCE(v->sched.pause_flags) & VPF_DEAD;
	queue_unlock(q);
	if (dead)
		sched_note_death();
}

int vcpu_idle_runstate(const struct vcpu *v)
{
	/* Whoever is kept off by its domain's cap would run if it could. */
	uint32_t flags = __atomic_load_n(&v->sched.pause_flags, __ATOMIC_ACQUIRE) & ~VPF_CAPPED;

	if (!flags)
		return RUNSTATE_runnable;
	return flags == VPF_BLOCKED ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* Let the physical CPU that works for @v look again; this one does so anyway. */
static void kick_pcpu(struct vcpu *v)
{
	unsigned pcpu = sched_pcpu(v);

	if (pcpu != plat_cpu_id())
		cpu_request(pcpu);
}

static bool is_running(const struct vcpu *v)
{
	return __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST);
}

void vcpu_sleep(struct vcpu *v, uint32_t flag)
{
	struct run_queue *q = queue_lock_vcpu(v);

	__atomic_fetch_or(&v->sched.pause_flags, flag, __ATOMIC_SEQ_CST);
	queue_leave(q, v);
	if (!is_running(v))
		time_set_runstate(v, vcpu_idle_runstate(v));
	queue_unlock(q);
	if (flag & VPF_DEAD)
		sched_note_death();
	if (is_running(v))
		kick_pcpu(v);
}

void vcpu_wake(struct vcpu *v, uint32_t flag)
{
	struct run_queue *q = queue_lock_vcpu(v);
	uint32_t old = __atomic_fetch_and(&v->sched.pause_flags, ~flag, __ATOMIC_SEQ_CST);
	bool awake = old & flag && !(old & ~flag);
	unsigned pcpu;

	if (old & flag && !is_running(v))
		time_set_runstate(v, vcpu_idle_runstate(v));
	if (!awake) {
		queue_unlock(q);
		return;
	}
	pcpu = balance_awake(q, v);
	if (pcpu != queue_pcpu(q)) {
		balance_move(q, v, pcpu, ARRIVES_AWAKE); /* unlocks */
		return;
	}
	queue_arrive(q, v, ARRIVES_AWAKE);
	queue_unlock(q);
}

void sched_note_death(void)
{
	__atomic_store_n(&deaths, true, __ATOMIC_RELEASE);
	if (plat_cpu_id() != 0) /* whose loop tells the home */
		cpu_request(0);
}

bool sched_take_deaths(void)
{
	return __atomic_load_n(&deaths, __ATOMIC_ACQUIRE) &&
	       __atomic_exchange_n(&deaths, false, __ATOMIC_ACQ_REL);
}

bool vcpu_something_due(const struct vcpu *v)
{
	return vcpu_upcall_pending(v) || (READ_ONCE(v->arch.nmi_pending) && !v->arch.nmi_masked);
}

void vcpu_block(struct vcpu *v)
{
	struct run_queue *q;

	/* Unmasking comes first: an event from here on must wake. */
	WRITE_ONCE(v->gate.vcpu_info->evtchn_upcall_mask, 0);
	__atomic_fetch_or(&v->sched.pause_flags, VPF_BLOCKED, __ATOMIC_SEQ_CST);
	if (vcpu_something_due(v)) {
		vcpu_wake(v, VPF_BLOCKED);
		return;
	}
	q = queue_lock_vcpu(v);
	if (!vcpu_flags_runnable(&v->sched))
		queue_leave(q, v);
	queue_unlock(q);
}

void vcpu_unblock(struct vcpu *v)
{
	if (!(__atomic_load_n(&v->sched.pause_flags, __ATOMIC_SEQ_CST) & VPF_BLOCKED))
		return;
	/* Perhaps not the poll it was seen blocked in, but the next one already: that looks once more (came_meanwhile()). */
	if (__atomic_load_n(&v->sched.poll_port, __ATOMIC_SEQ_CST))
		__atomic_store_n(&v->sched.poll_port, 0, __ATOMIC_SEQ_CST);
	vcpu_wake(v, VPF_BLOCKED);
}

void vcpu_attention(struct vcpu *v)
{
	vcpu_unblock(v);
	if (is_running(v))
		kick_pcpu(v);
}
