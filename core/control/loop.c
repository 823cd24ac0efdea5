/* SPDX-License-Identifier: MIT */
/*
 * The main loop of a physical CPU, the same in every home:
 *
 *	home work -> timers -> pick -> switch -> deliver -> ring 3 -> handle the trap -> again
 *
 * What it does once per exit of a guest must be little: as long as the same virtual CPU goes on and
 * nothing came from outside (a kick, which every interrupt is), the round is short:
 *
 *	deliver -> ring 3 -> handle the trap -> again
 *
 * Two pointers per CPU, because they change at different times: @working is whom this CPU works for
 * (NULL when it idles); @loaded is whose FPU and segment state it still holds, which stays when
 * that one only waits for an event and will probably be next again.
 */
#include <xenopus/core.h>
#include <xenopus/domain.h>
#include <xenopus/io.h>
#include <xenopus/platform.h>
#include <xen/vcpu.h>

#define MAX_PCPUS 64

static struct cpu {
	struct vcpu *working;
	struct vcpu *loaded;
	struct vcpu *current; /* @working while its traps are handled, else NULL */
} cpus[MAX_PCPUS];

static bool stopping;

int core_init(void)
{
	int rc;

	ASSERT(plat_info()->pcpus >= 1 && plat_info()->pcpus <= MAX_PCPUS);
	stopping = false;
	memset(cpus, 0, sizeof(cpus));
	rc = mm_init();
	if (rc)
		return rc;
	time_init();
	sched_init();
	return store_init();
}

void core_stop(void)
{
	unsigned i;

	__atomic_store_n(&stopping, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < plat_info()->pcpus; i++)
		plat_cpu_kick(i);
}

struct vcpu *current_vcpu(void)
{
	return cpus[plat_cpu_id()].current;
}

/* This CPU works for @next (NULL: nobody) from now on. */
static void switch_to(struct cpu *c, struct vcpu *next)
{
	struct vcpu *prev = c->working;

	if (prev) {
		prev->sched.running = false;
		time_sched_out(prev);
		time_set_runstate(prev, vcpu_idle_runstate(prev));
	}
	if (next) {
		if (next != c->loaded) {
			plat_cpu_switch(c->loaded, next);
			if (c->loaded)
				c->loaded->sched.loaded = false;
			c->loaded = next;
			next->sched.loaded = true;
		}
		next->sched.running = true;
		time_set_runstate(next, RUNSTATE_running);
		time_sched_in(next);
	}
	c->working = next;
}

static void unload(struct cpu *c)
{
	plat_cpu_switch(c->loaded, NULL);
	c->loaded->sched.loaded = false;
	c->loaded = NULL;
}

void cpu_unload(struct vcpu *v)
{
	struct cpu *c = &cpus[plat_cpu_id()];

	if (c->working == v)
		switch_to(c, NULL);
	if (c->current == v)
		c->current = NULL;
	if (c->loaded == v)
		unload(c);
	/* Another CPU's hold can only be given up by that CPU; its owner pauses and waits first. */
	ASSERT(!v->sched.running && !v->sched.loaded);
}

static bool any_running(const struct domain *d)
{
	unsigned i;

	for (i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->sched.running)
			return true;
	return false;
}

/*
 * Tell the home about domains that have stopped. It may destroy them there and then, so this CPU
 * must not hold anything of theirs, and the walk starts over after each.
 */
static void report_shutdowns(struct cpu *c)
{
	struct list *pos;

again:
	list_for_each(pos, &domain_list) {
		struct domain *d = list_entry(pos, struct domain, link);

		if (d->state != DOM_SHUTDOWN || d->shutdown_reported)
			continue;
		if (any_running(d)) { /* on another CPU, which was kicked: come back */
			sched_note_death();
			continue;
		}
		if (c->loaded && c->loaded->domain == d)
			unload(c);
		d->shutdown_reported = true;
		plat_domain_shutdown(d, d->shutdown_reason);
		goto again;
	}
}

/* NMI first; if its handler was entered with events masked, the upcall waits for its return. */
static void deliver(struct vcpu *v)
{
	if (v->arch.nmi_pending && !v->arch.nmi_masked)
		arch_deliver_nmi(v);
	if (READ_ONCE(v->gate.vcpu_info->evtchn_upcall_pending) && vcpu_upcall_pending(v)) {
		v->domain->stats.upcalls++;
		arch_deliver_upcall(v);
	}
}

/* False: the loop must look around before it goes on. */
static bool run_once(struct vcpu *v)
{
	struct trap t;

	if (v->time.written != v->gate.vcpu_info || v->time.stale)
		time_update_vcpu(v);
	deliver(v);
	/* Entering a callback can fail and crash the domain. */
	if (!vcpu_flags_runnable(&v->sched))
		return false;
	timers_program();
	plat_cpu_run(v, &t);
	if (t.cause == TRAP_KICK) {
		v->domain->stats.kicks++;
		timers_kicked();
		return false;
	}
	arch_handle_trap(v, &t);
	return vcpu_flags_runnable(&v->sched) && !v->sched.reconsider;
}

/* Short rounds at a time; after these even a guest that only makes hypercalls lets the loop look around. */
#define SHORT_ROUNDS 64

static void run(struct cpu *c, struct vcpu *v)
{
	c->current = v;
	for (unsigned i = 0; i < SHORT_ROUNDS && run_once(v); i++)
		;
	c->current = NULL;
}

void core_cpu_loop(void)
{
	struct cpu *c = &cpus[plat_cpu_id()];
	struct vcpu *v;

	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		plat_poll();
		timers_run();
		v = sched_pick();
		if (v)
			v->sched.reconsider = false;
		if (v != c->working)
			switch_to(c, v);
		if (sched_take_deaths()) {
			report_shutdowns(c);
			continue; /* the home may have changed everything */
		}
		if (v) {
			run(c, v);
		} else {
			timers_program();
			plat_cpu_idle();
			timers_kicked();
		}
	}
	if (c->working)
		switch_to(c, NULL);
	if (c->loaded)
		unload(c);
}
