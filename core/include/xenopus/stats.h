/* SPDX-License-Identifier: MIT */
/* Counters a person can always print: hypercalls, traps, page-table stores. */
#ifndef XENOPUS_STATS_H
#define XENOPUS_STATS_H

#include "types.h"

#define STATS_HYPERCALLS 64

struct hypercall_stat {
	uint64_t count, tsc; /* calls (multicall parts too), time-stamp ticks spent in the handler */
};

/** struct domain_stats - of one virtual CPU (vcpu.stats), or, by stats_read(), of all of a domain together. */
struct domain_stats {
	struct hypercall_stat hypercall[STATS_HYPERCALLS];
	uint64_t exceptions[32];
	uint64_t guest_syscalls, soft_ints, kicks, upcalls;
	uint64_t emulated[16];       /* privileged instructions by kind, see stats_emul_name() */
	uint64_t ptwr, mmu_updates, va_mappings;
};

/** stat_add() - to a counter of a virtual CPU, by whoever works for it; others may read. */
static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void stat_inc(uint64_t *counter)
{
	stat_add(counter, 1);
}

/** stats_read() - @d's counters while it may run: each is right, but not all are of one moment. */
void stats_read(const struct domain *d, struct domain_stats *out);
/** stats_read_vcpu() - the same of one virtual CPU. */
struct vcpu;
void stats_read_vcpu(const struct vcpu *v, struct domain_stats *out);
/** stats_hypercalls() - all of them, parts of multicalls too. stats_exits() - what made the guest leave ring 3. */
uint64_t stats_hypercalls(const struct domain_stats *st);
uint64_t stats_exits(const struct domain_stats *st);

/** stats_hypercall_name() - "mmu_update", ... or NULL for numbers without a name. */
const char *stats_hypercall_name(unsigned nr);

/** stats_print() - call @line once per output line of d's statistics. */
void stats_print(const struct domain *d, void (*line)(void *opaque, const char *text), void *opaque);

#endif
