/* SPDX-License-Identifier: MIT */
/*
 * A machine of several physical CPUs in simulated time, for tests of scheduling: the real run queues and policies, and
 * virtual CPUs that compute, sleep and are woken as a test says.
 *
 * Each physical CPU does what the CPU loop does, without a guest: timers, sched_pick(), the switch. Time goes in steps
 * of SIM_STEP_NS; in each, every CPU takes its turn.
 */
#ifndef XENOPUS_SCHEDSIM_H
#define XENOPUS_SCHEDSIM_H

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/cpu.h"

#define SIM_STEP_NS 50000u
#define SIM_VCPUS   32u

/**
 * struct sim_vcpu - one of the virtual CPUs taking part.
 * @burst_ns: it computes for so long after waking and then blocks; 0: for ever
 * @sleep_ns: how long it blocks, once its burst is over
 * @ran_ns: CPU time so far
 * @wakes, @latency_ns, @worst_ns: how often it woke, how long it then waited for a CPU, all together and at most
 * @longest_ns: the longest it ran without a break
 */
struct sim_vcpu {
	struct vcpu *v;
	uint64_t burst_ns, sleep_ns;
	uint64_t ran_ns, wakes, latency_ns, worst_ns, longest_ns;
	uint64_t burst_left, wake_at, woke_at, stretch; /* the simulation's own */
};

struct sim {
	struct sim_vcpu vcpu[SIM_VCPUS];
	unsigned n;
	struct vcpu *working[MAX_PCPUS], *loaded[MAX_PCPUS];
	uint64_t switches;
	void (*each_step)(void); /* may be NULL; a test's own deeds and checks */
};

extern struct sim sim;

/** sim_start() - @pcpus physical CPUs and @policy. sim_stop() - everything is given back. */
void sim_start(unsigned pcpus, const char *policy);
void sim_stop(void);
/** sim_domain() - a domain of @vcpus hogs of @weight that take part; returns the first. */
struct sim_vcpu *sim_domain(unsigned vcpus, unsigned weight);
/** sim_interactive() - @s computes for @burst_ns and then sleeps for @sleep_ns, again and again. */
void sim_interactive(struct sim_vcpu *s, uint64_t burst_ns, uint64_t sleep_ns);
/** sim_run() - for @ns of simulated time. */
void sim_run(uint64_t ns);
/** sim_forget() - start counting anew. */
void sim_forget(void);
/** sim_permille() - the share @s had of all CPU time used since the start or sim_forget(), in thousandths. */
unsigned sim_permille(const struct sim_vcpu *s);
/** sim_warp() - set s's warp. */
void sim_warp(struct sim_vcpu *s, uint64_t warp_ns, uint64_t limit_ns, uint64_t unwarp_ns);

#endif
