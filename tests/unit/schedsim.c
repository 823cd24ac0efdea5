/* SPDX-License-Identifier: MIT */
/* See schedsim.h. */
#include <stdlib.h>
#include <string.h>

#include "schedsim.h"
#include <xen/vcpu.h>

struct sim sim;

static void must(bool ok)
{
	if (!ok)
		abort();
}

void sim_start(unsigned pcpus, const char *policy)
{
	memset(&sim, 0, sizeof(sim));
	must(sched_choose_policy(policy));
	smallworld_start_on(pcpus);
	tp.tsc_step = 0;
}

void sim_stop(void)
{
	for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++) {
		tp.cpu = cpu;
		if (sim.working[cpu]) {
			sched_put(sim.working[cpu]);
			sim.working[cpu] = NULL;
		}
		if (sim.loaded[cpu])
			sim.loaded[cpu]->sched.loaded = false;
	}
	tp.cpu = 0;
	smallworld_stop();
	must(sched_choose_policy("bvt"));
}

struct sim_vcpu *sim_domain(unsigned vcpus, unsigned weight)
{
	struct domain *d = sw_domain(vcpus);
	struct sched_params p = { .weight = weight };
	struct sim_vcpu *first = &sim.vcpu[sim.n];
	char error[128];

	must(sim.n + vcpus <= SIM_VCPUS);
	must(!sched_set_params(d, SCHED_ALL_VCPUS, &p, error, sizeof(error)));
	for (unsigned i = 0; i < vcpus; i++) {
		time_set_periodic(d->vcpu[i], 0);
		sim.vcpu[sim.n++].v = d->vcpu[i];
		sw_run(d->vcpu[i]);
	}
	return first;
}

void sim_interactive(struct sim_vcpu *s, uint64_t burst_ns, uint64_t sleep_ns)
{
	s->burst_ns = s->burst_left = burst_ns;
	s->sleep_ns = sleep_ns;
}

void sim_warp(struct sim_vcpu *s, uint64_t warp_ns, uint64_t limit_ns, uint64_t unwarp_ns)
{
	struct sched_params p;
	char error[128];

	must(!sched_get_params(s->v->domain, (int)s->v->id, &p));
	p.warp = true;
	p.warp_ns = warp_ns;
	p.warp_limit_ns = limit_ns;
	p.unwarp_ns = unwarp_ns;
	must(!sched_set_params(s->v->domain, (int)s->v->id, &p, error, sizeof(error)));
}

static struct sim_vcpu *of(const struct vcpu *v)
{
	for (unsigned i = 0; i < sim.n; i++)
		if (sim.vcpu[i].v == v)
			return &sim.vcpu[i];
	abort();
}

static void put_down(unsigned cpu)
{
	struct vcpu *v = sim.working[cpu];

	sim.working[cpu] = NULL;
	if (!v)
		return;
	sched_put(v);
	of(v)->stretch = 0;
}

static void unload(unsigned cpu)
{
	struct vcpu *v = sim.loaded[cpu];

	sim.loaded[cpu] = NULL;
	if (!v)
		return;
	v->sched.loaded = false;
	sched_let_go(v);
}

/* As core/control/loop.c does. */
static void switch_to(unsigned cpu, struct vcpu *next)
{
	if (next == sim.working[cpu])
		return;
	put_down(cpu);
	if (!next)
		return;
	must(!next->sched.running && (!next->sched.loaded || sim.loaded[cpu] == next));
	next->sched.running = true;
	sim.switches++;
	if (next != sim.loaded[cpu]) {
		next->sched.loaded = true;
		unload(cpu);
		sim.loaded[cpu] = next;
	}
	time_set_runstate(next, RUNSTATE_running);
	sim.working[cpu] = next;
}

static void starts(struct sim_vcpu *s)
{
	uint64_t waited;

	if (!s->woke_at)
		return;
	waited = time_now() - s->woke_at;
	s->woke_at = 0;
	s->wakes++;
	s->latency_ns += waited;
	if (waited > s->worst_ns)
		s->worst_ns = waited;
}

static void compute(struct sim_vcpu *s, uint64_t ns)
{
	s->ran_ns += ns;
	s->stretch += ns;
	if (s->stretch > s->longest_ns)
		s->longest_ns = s->stretch;
	if (!s->burst_ns)
		return;
	s->burst_left -= s->burst_left < ns ? s->burst_left : ns;
	if (s->burst_left)
		return;
	s->burst_left = s->burst_ns;
	s->wake_at = time_now() + s->sleep_ns;
	vcpu_block(s->v);
}

static void turn(unsigned cpu)
{
	struct vcpu *v;

	tp.cpu = cpu;
	if (sim.loaded[cpu] && !sched_stays(sim.loaded[cpu])) {
		if (sim.working[cpu] == sim.loaded[cpu])
			put_down(cpu);
		unload(cpu);
	}
	timers_run();
	v = sched_pick();
	switch_to(cpu, v);
	if (v)
		starts(of(v));
}

void sim_run(uint64_t ns)
{
	for (uint64_t end = tp.tsc + ns; tp.tsc < end; tp.tsc += SIM_STEP_NS) {
		for (unsigned i = 0; i < sim.n; i++) {
			struct sim_vcpu *s = &sim.vcpu[i];

			if (s->wake_at && s->wake_at <= time_now()) {
				s->wake_at = 0;
				s->woke_at = time_now();
				tp.cpu = i % tp.info.pcpus;
				vcpu_unblock(s->v);
			}
		}
		if (sim.each_step)
			sim.each_step();
		for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++)
			turn(cpu);
		for (unsigned cpu = 0; cpu < tp.info.pcpus; cpu++) {
			tp.cpu = cpu;
			if (sim.working[cpu])
				compute(of(sim.working[cpu]), SIM_STEP_NS);
		}
	}
}

void sim_forget(void)
{
	for (unsigned i = 0; i < sim.n; i++)
		sim.vcpu[i].ran_ns = sim.vcpu[i].wakes = sim.vcpu[i].latency_ns = sim.vcpu[i].worst_ns =
			sim.vcpu[i].longest_ns = 0;
	sim.switches = 0;
}

unsigned sim_permille(const struct sim_vcpu *s)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < sim.n; i++)
		all += sim.vcpu[i].ran_ns;
	return (unsigned)(s->ran_ns * 1000 / all);
}
