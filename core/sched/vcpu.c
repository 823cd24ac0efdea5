/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking of virtual CPUs. One is runnable exactly when no VPF_ flag is set; it is on
 * its run queue exactly while it is runnable; and its runstate follows, except that only the CPU
 * loop moves a virtual CPU into and out of RUNSTATE_running. All that changes under the lock of the queue it
 * is placed on; whoever looks for that lock looks again once it has it.
 *
 * A physical CPU with nothing to do takes a waiting virtual CPU from one that has several.
 */
#include <xenopus/cpu.h>
#include <xenopus/platform.h>
#include <xen/vcpu.h>
#include "policy.h"

static bool deaths;
static struct {
	struct spinlock lock;
} __attribute__((aligned(64))) queue[MAX_PCPUS];

unsigned sched_pcpu(const struct vcpu *v)
{
	return __atomic_load_n(&v->sched.pcpu, __ATOMIC_RELAXED);
}

static void lock_queue(unsigned pcpu)
{
	spin_lock(&queue[pcpu].lock, LOCK_RUNQ);
}

static void unlock_queue(unsigned pcpu)
{
	spin_unlock(&queue[pcpu].lock, LOCK_RUNQ);
}

/* Returns the CPU whose queue is locked. */
static unsigned lock_vcpu(const struct vcpu *v)
{
	for (;;) {
		unsigned pcpu = sched_pcpu(v);

		lock_queue(pcpu);
		if (pcpu == sched_pcpu(v))
			return pcpu;
		unlock_queue(pcpu);
	}
}

void sched_init(void)
{
	deaths = false;
	memset(queue, 0, sizeof(queue));
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
			timer_kill(&d->sched.dog[i].timer);
		d->sched.dog[i].domain = NULL;
	}
}

void sched_vcpu_destroy(struct vcpu *v)
{
	unsigned pcpu;

	vcpu_sleep(v, VPF_PAUSED);
	cpu_unload(v);
	pcpu = lock_vcpu(v);
	policy_forget(v);
	unlock_queue(pcpu);
	if (v->sched.poll_port) {
		v->sched.poll_port = 0;
		if (v->domain->event.table)
			evtchn_poll_end(v);
	}
	if (v->id == 0)
		stop_dogs(v->domain);
}

/* Somebody who waits elsewhere, now on this CPU's queue. */
static bool steal(unsigned me)
{
	uint64_t left = cpu_all() & ~cpu_bit(me);
	bool stolen = false;

	for (; left && !stolen; left &= left - 1) {
		unsigned from = (unsigned)__builtin_ctzll(left);
		struct vcpu *v;

		if (!policy_spare(from))
			continue;
		lock_queue(from);
		v = policy_steal(from);
		if (v)
			__atomic_store_n(&v->sched.pcpu, me, __ATOMIC_RELAXED);
		unlock_queue(from);
		if (!v)
			continue;
		/* Between the queues it may have gone to sleep, or even have been stolen again. */
		lock_queue(me);
		if (sched_pcpu(v) == me && vcpu_flags_runnable(&v->sched)) {
			policy_enqueue(v);
			stolen = true;
		}
		unlock_queue(me);
	}
	return stolen;
}

struct vcpu *sched_pick(void)
{
	unsigned me = plat_cpu_id();
	struct vcpu *v;

	if (policy_keep(me, &v))
		return v;
	do {
		lock_queue(me);
		v = policy_pick(me);
		unlock_queue(me);
	} while (!v && steal(me));
	return v;
}

void sched_put(struct vcpu *v)
{
	bool dead, waits;
	unsigned pcpu;

	/* While it is still ours, so that its area is written through its own page tables. */
	time_set_runstate(v, vcpu_idle_runstate(v));
	pcpu = lock_vcpu(v);
	__atomic_store_n(&v->sched.running, false, __ATOMIC_SEQ_CST);
	time_set_runstate(v, vcpu_idle_runstate(v));
	dead = READ_ONCE(v->sched.pause_flags) & VPF_DEAD;
	waits = v->sched.queued;
	unlock_queue(pcpu);
	if (dead)
		sched_note_death();
	else if (waits)
		cpu_wake_idle();
}

void sched_yield_vcpu(struct vcpu *v)
{
	unsigned pcpu = lock_vcpu(v);

	policy_yield(v);
	unlock_queue(pcpu);
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
	unsigned pcpu = lock_vcpu(v);

	__atomic_fetch_or(&v->sched.pause_flags, flag, __ATOMIC_SEQ_CST);
	policy_dequeue(v);
	if (!is_running(v))
		time_set_runstate(v, vcpu_idle_runstate(v));
	unlock_queue(pcpu);
	if (flag & VPF_DEAD)
		sched_note_death();
	if (is_running(v))
		kick_pcpu(v);
}

void vcpu_wake(struct vcpu *v, uint32_t flag)
{
	unsigned pcpu = lock_vcpu(v);
	uint32_t old = __atomic_fetch_and(&v->sched.pause_flags, ~flag, __ATOMIC_SEQ_CST);
	bool awake = old & flag && !(old & ~flag);

	if (awake)
		policy_enqueue(v);
	if (old & flag && !is_running(v))
		time_set_runstate(v, vcpu_idle_runstate(v));
	unlock_queue(pcpu);
	if (!awake)
		return;
	kick_pcpu(v);
	/* If its CPU is busy, another may come for it. */
	if (policy_spare(pcpu))
		cpu_wake_idle();
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

void vcpu_block(struct vcpu *v)
{
	unsigned pcpu;

	/* Unmasking comes first: an event from here on must wake. */
	WRITE_ONCE(v->gate.vcpu_info->evtchn_upcall_mask, 0);
	__atomic_fetch_or(&v->sched.pause_flags, VPF_BLOCKED, __ATOMIC_SEQ_CST);
	if (vcpu_upcall_pending(v) || (READ_ONCE(v->arch.nmi_pending) && !v->arch.nmi_masked)) {
		vcpu_wake(v, VPF_BLOCKED);
		return;
	}
	pcpu = lock_vcpu(v);
	if (!vcpu_flags_runnable(&v->sched))
		policy_dequeue(v);
	unlock_queue(pcpu);
}

void vcpu_unblock(struct vcpu *v)
{
	if (!(__atomic_load_n(&v->sched.pause_flags, __ATOMIC_SEQ_CST) & VPF_BLOCKED))
		return;
	if (__atomic_exchange_n(&v->sched.poll_port, 0, __ATOMIC_SEQ_CST)) {
		evtchn_poll_end(v);
		timer_stop(&v->time.poll);
	}
	vcpu_wake(v, VPF_BLOCKED);
}

void vcpu_attention(struct vcpu *v)
{
	vcpu_unblock(v);
	if (is_running(v))
		kick_pcpu(v);
}
