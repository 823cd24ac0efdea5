/* SPDX-License-Identifier: MIT */
/*
 * Domains and their virtual CPUs: the objects everything else hangs on. Each subsystem keeps its part in a
 * struct of its own header; only the fields here are common property.
 */
#ifndef XENOPUS_DOMAIN_H
#define XENOPUS_DOMAIN_H

#include "types.h"
#include "gate.h"
#include "mm.h"
#include "arch.h"
#include "event.h"
#include "time.h"
#include "sched.h"
#include "stats.h"

#define MAX_VCPUS 64

struct vcpu {
	struct gate_vcpu gate; /* first: the gate addresses it */
	struct domain *domain;
	unsigned id;
	bool initialised; /* has a context (VCPUOP_initialise) */
	bool initialising; /* somebody is giving it one */
	struct vcpu_arch arch;
	struct vcpu_event event;
	struct vcpu_time time;
	struct vcpu_sched sched;
	struct vcpu_mm mm;
	void *plat; /* the home's */
	struct domain_stats stats;
};

enum domain_state { DOM_BUILDING, DOM_RUNNING, DOM_SHUTDOWN, DOM_DYING };

struct domain_store;   /* core/xenstore */
struct domain_console; /* core/io */
struct domain_grant;   /* core/grant */

struct domain {
	domid_t id;
	enum domain_state state;
	unsigned shutdown_reason;
	bool shutdown_reported;
	char name[64];
	uint8_t uuid[16];
	unsigned max_vcpus;
	struct vcpu *vcpu[MAX_VCPUS];
	struct list link; /* all domains; added and removed on physical CPU 0 only */
	struct domain_mm mm;
	struct domain_event event;
	struct domain_sched sched;
	struct spinlock grant_lock;
	struct domain_grant *grant;
	struct domain_store *store;
	struct domain_console *console;
	uint8_t gate_slow; /* GATE_SLOW_* of all its virtual CPUs, those to come as well */
	unsigned log_budget; /* guest-triggered lines left in this second */
	uint64_t log_epoch;
	void *plat;
};

extern struct list domain_list;
extern struct spinlock domain_list_lock; /* LOCK_DOMAINS; to walk the list, hold it or be on CPU 0 */

/** domain_take_stopped() - a domain that has stopped and runs nowhere, not yet reported; it counts as reported now. */
struct domain *domain_take_stopped(void);

/**
 * domain_by_id() - DOMID_SELF is resolved against @self (may be NULL). NULL when there is none. The domain stays until
 * this physical CPU comes round its loop (cpu.h).
 */
struct domain *domain_by_id(domid_t id, struct domain *self);
/** domain_after() - the domain with the lowest number above @id; NULL: there is none. To visit all, from 0 on. */
struct domain *domain_after(domid_t id);

/**
 * domain_crash() - the guest broke a rule it cannot be told about: one line (domain, virtual CPU, the rule and
 * address given by @fmt), registers, SHUTDOWN_crash. The caller goes on; the domain never runs again.
 */
void domain_crash(struct vcpu *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** domain_shutdown() - stop all virtual CPUs of @d for @reason (SHUTDOWN_*). */
void domain_shutdown(struct domain *d, unsigned reason);

/**
 * domain_gate_slow() - from now on the gate finishes nothing for @d by itself, for @reason (GATE_SLOW_*). True when it
 * might have until now.
 */
bool domain_gate_slow(struct domain *d, uint8_t reason);

/** current_vcpu() - the virtual CPU this physical CPU is working for, NULL outside one. */
struct vcpu *current_vcpu(void);

#endif
