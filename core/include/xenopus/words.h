/* SPDX-License-Identifier: MIT */
/*
 * What people type to control a machine and what they read, in xl's words and columns: the same in the hosted verbs
 * and in the monitor on a serial line. Nothing here changes anything.
 */
#ifndef XENOPUS_WORDS_H
#define XENOPUS_WORDS_H

#include "control.h"

/* ---- typed ---- */

/** words_number() - @text is a decimal number, nothing else, from @min to @max. */
bool words_number(const char *text, uint64_t min, uint64_t max, uint64_t *n);
/** words_memory() - "256" (MiB), or with one of the letters k, m, g, t: in KiB. */
bool words_memory(const char *text, uint64_t *kib);
/** words_cpus() - "0-3,^1,7", "all": a bitmap; false if it is no such text, or means none. */
bool words_cpus(const char *text, uint64_t *cpus);
/** words_cpus_text() - the other way, at least WORDS_CPUS bytes. */
#define WORDS_CPUS 256
void words_cpus_text(uint64_t cpus, char *buf, size_t size);
/** words_name() - may a domain have this name? If not, a line in @error. */
bool words_name(const char *name, char *error, size_t size);

/** words_scheduler() - is @policy what this machine's virtual CPUs share by? If not, a line in @error. */
bool words_scheduler(const char *policy, char *error, size_t size);

/**
 * words_pick() - what @word means among @n names, the first members of structures of @size bytes: the one it is, or
 * the only one that begins so. -1: none, -2: several.
 */
int words_pick(const char *word, const void *names, size_t size, unsigned n);

/* ---- read: headers, and rows into @buf of at least TABLE_ROW bytes ---- */

#define TABLE_ROW 512

extern const char table_domains[], table_vcpus[], table_uptimes[], table_scheduling[], table_credit[], table_rates[];

/** domain_state_word() / vcpu_state_word() - running, ready, blocked, paused ...; of a domain that has not stopped. */
const char *domain_state_word(const struct domain_status *s);
const char *vcpu_state_word(enum vcpu_doing doing);

/** struct row_domain - @state: domain_state_word(), shutdown, or what a home adds; @reason: stop_reason_name(), or NULL */
struct row_domain {
	const char *name;
	unsigned id;
	const char *state;
	const char *reason;
	uint64_t memory_kib;
	unsigned vcpus;
	uint64_t cpu_ns;
};

void table_domain(const struct row_domain *r, char *buf, size_t size);

/** struct row_vcpu - @pcpu: -1 when it is offline */
struct row_vcpu {
	const char *name;
	unsigned id, vcpu;
	const char *state;
	int pcpu;
	uint64_t cpu_ns;
	const char *affinity;
};

void table_vcpu(const struct row_vcpu *r, char *buf, size_t size);

void table_uptime(const char *name, unsigned id, uint64_t seconds, char *buf, size_t size);

struct row_scheduling {
	const char *name;
	unsigned id;
	uint32_t weight;
	bool warp;
	uint64_t warp_us, warp_limit_us, unwarp_us;
	unsigned cap;
};

void table_sched(const struct row_scheduling *r, char *buf, size_t size);
/** table_credit_row() - what of it the credit scheduler knows. */
void table_credit_row(const struct row_scheduling *r, char *buf, size_t size);

/** struct row_rates - what @d did; the last three in @over_ns, 0: not known yet; @full_name: not cut short */
struct row_rates {
	struct row_domain d;
	bool full_name;
	uint64_t over_ns, used_ns, hypercalls, exits;
};

void table_rate(const struct row_rates *r, char *buf, size_t size);
/** table_rate_vcpu() - the same of its virtual CPU @vcpu; of @d only state and CPU time count. */
void table_rate_vcpu(const struct row_rates *r, unsigned vcpu, char *buf, size_t size);
/** table_rates_head() - the line above the table: the machine's. */
void table_rates_head(unsigned domains, uint64_t free_mib, uint64_t total_mib, unsigned cpus, char *buf, size_t size);

/**
 * machine_facts() - what `info` tells that is the same in every home, one call for each fact. In core context.
 */
struct facts {
	void (*text)(void *opaque, const char *name, const char *value);
	void (*number)(void *opaque, const char *name, uint64_t value);
	void *opaque;
};

void machine_facts(const struct facts *f);

#endif
