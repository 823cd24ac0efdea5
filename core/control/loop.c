/* SPDX-License-Identifier: MIT */
/*
 * The main loop of a physical CPU, the same in every home:
 *
 *	others' requests -> home work -> timers -> pick -> switch -> deliver -> ring 3 -> handle the trap -> again
 *
 * What it does once per exit of a guest must be little: as long as the same virtual CPU goes on and
 * nothing came from outside (a kick, which every interrupt is, or a request of another CPU's), the round is short:
 *
 *	deliver -> ring 3 -> handle the trap -> again
 *
 * A home may take these short rounds by itself, without a return from plat_cpu_run() (core_trap(), core_hypercall()).
 *
 * Work of the home's that takes long, a large domain that is made or destroyed, lets a few rounds be made in between
 * (cpu_breathe()).
 *
 * Two pointers per CPU, because they change at different times: @working is whom this CPU works for
 * (NULL when it idles); @loaded is whose FPU and segment state it still holds, which stays when
 * that one only waits for an event and will probably be next again.
 */
#include <xenopus/core.h>
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/io.h>
#include <xenopus/platform.h>
#include <xen/vcpu.h>

static struct cpu {
	struct vcpu *working;
	struct vcpu *loaded;
	struct vcpu *current; /* @working while its traps are handled, else NULL */
	bool looping;
	uint64_t breath_due;  /* system time from which on guests have waited long enough for long work */
	struct timer breath_ends;
} __attribute__((aligned(64))) cpus[MAX_PCPUS];

static bool stopping;

int core_init(void)
{
	int rc;

	stopping = false;
	memset(cpus, 0, sizeof(cpus));
	cpus_init();
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
		cpu_request(i);
}

struct vcpu *current_vcpu(void)
{
	return cpus[plat_cpu_id()].current;
}

static void set_loaded(struct vcpu *v, bool loaded)
{
	__atomic_store_n(&v->sched.loaded, loaded, __ATOMIC_SEQ_CST);
}

/* @v's state leaves this CPU; its domain has no translations here any more. */
static void unload(struct cpu *c)
{
	struct vcpu *v = c->loaded;

	plat_cpu_switch(v, NULL);
	c->loaded = NULL;
	mm_domain_off_cpu(v->domain);
	set_loaded(v, false);
}

static void load(struct cpu *c, struct vcpu *next)
{
	struct vcpu *old = c->loaded;

	if (next == old)
		return;
	mm_domain_on_cpu(next->domain);
	set_loaded(next, true);
	plat_cpu_switch(old, next);
	c->loaded = next;
	if (!old)
		return;
	if (old->domain != next->domain)
		mm_domain_off_cpu(old->domain);
	set_loaded(old, false);
	sched_let_go(old);
}

/* This CPU works for @next (NULL: nobody) from now on. */
static void switch_to(struct cpu *c, struct vcpu *next)
{
	struct vcpu *prev = c->working;

	if (prev) {
		time_sched_out(prev);
		sched_put(prev);
	}
	if (next) {
		__atomic_store_n(&next->sched.running, true, __ATOMIC_SEQ_CST);
		load(c, next);
		mm_descriptors_refresh(next);
		time_set_runstate(next, RUNSTATE_running);
		time_sched_in(next);
	}
	c->working = next;
}

void cpu_unload(struct vcpu *v)
{
	unsigned spins = 0;
	struct cpu *c = &cpus[plat_cpu_id()];

	if (c->working == v)
		switch_to(c, NULL);
	if (c->current == v)
		c->current = NULL;
	if (c->loaded == v)
		unload(c);
	/* Another CPU's hold only that CPU can give up. */
	__atomic_store_n(&v->sched.evict, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&v->sched.loaded, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST)) {
		if (!(spins & 1023))
			cpu_request(sched_pcpu(v));
		cpu_answer();
		plat_cpu_relax(spins++);
	}
	__atomic_store_n(&v->sched.evict, false, __ATOMIC_SEQ_CST);
}

/*
 * Tell the home about domains that have stopped. It may destroy them there and then, so this CPU
 * must not hold anything of theirs. One whose virtual CPUs still run elsewhere is heard of again when the last of them
 * is put down.
 */
static void report_shutdowns(struct cpu *c)
{
	struct domain *d;

	while ((d = domain_take_stopped())) {
		if (c->loaded && c->loaded->domain == d)
			unload(c);
		plat_domain_shutdown(d, d->shutdown_reason);
	}
}

/* NMI first; if its handler was entered with events masked, the upcall waits for its return. True: it was entered. */
static bool deliver(struct vcpu *v)
{
	bool nmi = READ_ONCE(v->arch.nmi_pending) && !v->arch.nmi_masked, upcall;

	if (nmi)
		arch_deliver_nmi(v);
	upcall = vcpu_upcall_pending(v);
	if (upcall) {
		stat_inc(&v->stats.upcalls);
		arch_deliver_upcall(v);
	}
	return nmi || upcall;
}

/*
 * All that comes before ring 3. False: the loop must look around first. Registers that were *@plain (core_hypercall()) are
 * no longer so when the guest is entered elsewhere.
 */
static inline __attribute__((always_inline)) bool to_guest(struct vcpu *v, bool *plain)
{
	if (unlikely(!vcpu_flags_runnable(&v->sched)))
		return false;
	if (unlikely(v->time.written != v->gate.vcpu_info || READ_ONCE(v->time.stale)))
		time_update_vcpu(v);
	if (unlikely(READ_ONCE(v->arch.nmi_pending) || READ_ONCE(v->gate.vcpu_info->evtchn_upcall_pending))) {
		*plain = !deliver(v) && *plain;
		/* Entering a callback can fail and crash the domain. */
		if (!vcpu_flags_runnable(&v->sched))
			return false;
	}
	timers_program();
	return likely(cpu_enter_guest());
}

/* And what comes after it. False: the loop must look around. */
static bool from_guest(struct vcpu *v, const struct trap *t)
{
	cpu_leave();
	if (t->cause == TRAP_KICK) {
		stat_inc(&v->stats.kicks);
		timers_kicked();
		return false;
	}
	arch_handle_trap(v, t);
	return --v->sched.rounds;
}

bool core_trap(struct vcpu *v, const struct trap *t)
{
	bool plain = false;

	return from_guest(v, t) && to_guest(v, &plain);
}

enum core_next core_hypercall(struct vcpu *v)
{
	bool plain;

	cpu_leave();
	plain = arch_hypercall(v);
	if (unlikely(!--v->sched.rounds || !to_guest(v, &plain)))
		return CORE_STOP;
	return plain ? CORE_GO_PLAIN : CORE_GO;
}

/* Short rounds at a time; after these even a guest that only makes hypercalls lets the loop look around. */
#define SHORT_ROUNDS 64

static void run(struct cpu *c, struct vcpu *v)
{
	struct trap t;
	bool plain = false;

	c->current = v;
	v->sched.rounds = SHORT_ROUNDS;
	while (to_guest(v, &plain)) {
		plat_cpu_run(v, &t);
		if (t.cause == TRAP_HANDLED || !from_guest(v, &t))
			break;
	}
	c->current = NULL;
}

/* What others have asked of this CPU beside its coming here. */
static void heed(struct cpu *c)
{
	struct vcpu *v = c->loaded;

	if (c->working)
		mm_descriptors_refresh(c->working);
	if (v && (__atomic_load_n(&v->sched.evict, __ATOMIC_SEQ_CST) || !sched_stays(v))) {
		if (c->working == v)
			switch_to(c, NULL);
		unload(c);
		sched_let_go(v);
	}
}

static void idle(void)
{
	timers_program();
	if (!cpu_enter_idle())
		return;
	plat_cpu_idle();
	cpu_leave_idle();
	timers_kicked();
}

/* Whoever shall run now, if there is anybody. */
static struct vcpu *next(struct cpu *c)
{
	struct vcpu *v;

	timers_run();
	v = sched_pick();
	if (v != c->working)
		switch_to(c, v);
	return v;
}

/* What long work takes of its CPU at a time, and what it leaves to guests then. */
#define BREATH_NS 1000000

static void breath_over(struct timer *t)
{
	/* That the guest has been left is all there is to it. */
}

void cpu_breathe(void)
{
	struct cpu *c = &cpus[plat_cpu_id()];
	struct vcpu *v;
	uint64_t end;

	if (!c->looping || time_now() < c->breath_due)
		return;
	end = time_now() + BREATH_NS;
	timer_set(&c->breath_ends, end);
	do {
		if (cpu_top())
			heed(c);
		v = next(c);
		if (v)
			run(c, v);
	} while (v && time_now() < end);
	timer_stop(&c->breath_ends);
	/* The work's time is nobody's. */
	if (c->working)
		switch_to(c, NULL);
	c->breath_due = time_now() + BREATH_NS;
}

void core_cpu_loop(void)
{
	struct cpu *c = &cpus[plat_cpu_id()];
	bool first = plat_cpu_id() == 0;
	struct vcpu *v;

	timer_init(&c->breath_ends, breath_over);
	cpu_starts();
	c->looping = true;
	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		if (cpu_top())
			heed(c);
		plat_poll();
		v = next(c);
		if (first && sched_take_deaths()) {
			report_shutdowns(c);
			continue; /* the home may have changed everything */
		}
		if (v)
			run(c, v);
		else
			idle();
	}
	c->looping = false;
	if (c->working)
		switch_to(c, NULL);
	if (c->loaded)
		unload(c);
	cpu_stops();
}
