/* SPDX-License-Identifier: MIT */
/*
 * Control: the life of a domain, kept apart from the mechanism (paper, 2.3). The homes call these from core
 * context (a CPU loop's plat_poll(), or before the loop starts).
 */
#ifndef XENOPUS_CONTROL_H
#define XENOPUS_CONTROL_H

#include "types.h"

/**
 * struct kernel_segment / struct kernel_image - an unpacked PV kernel as a loader hands it to the builder.
 * Addresses are guest virtual (VA = p_paddr - paddr_offset + virt_base already applied).
 */
struct kernel_segment {
	uint64_t va;
	const void *data;
	uint64_t filesz, memsz;
};

struct kernel_image {
	const struct kernel_segment *segments;
	unsigned nr_segments;
	uint64_t entry;             /* VA */
	uint64_t virt_base;         /* VA of pseudo-physical address 0 */
	uint64_t vstart, vend;      /* extent of all segments, VA */
	uint64_t hypercall_page;    /* VA, 0: none */
	uint64_t init_p2m;          /* VA, 0: P2M in the initial mapping */
	bool mod_start_pfn;         /* XEN_ELFNOTE_MOD_START_PFN: initrd may stay unmapped */
	bool privileged_notes;      /* reserved, 0 */
};

/**
 * struct domain_config - everything domain_create() and domain_build() need.
 * @id: 0: the lowest that is free
 * @uuid: 16 bytes; NULL: a random one
 * @max_pages: at least @memory_pages, or that is meant; the balloon may grow so far
 */
struct domain_config {
	domid_t id;
	const uint8_t *uuid;
	const char *name;
	uint64_t memory_pages, max_pages;
	unsigned vcpus;
	const char *cmdline;
	const struct kernel_image *kernel;
	const void *initrd;
	uint64_t initrd_size;
	char *error;        /* buffer for one line on failure */
	size_t error_size;
};

/**
 * domain_create() - a new paused domain with memory and virtual CPUs, built to start of day as
 * xen/xen.h ("Start-of-day memory layout") says. NULL on failure, with the reason in cfg->error, nothing left.
 */
struct domain *domain_create(const struct domain_config *cfg);

/**
 * domain_check() - would domain_create() find anything wrong with @cfg, in a machine like plat_info()'s? 0, or -errno
 * with the reason in cfg->error. Needs no core that has started.
 */
int domain_check(const struct domain_config *cfg);

/**
 * domain_alloc() - an empty domain, listed, state BUILDING, no memory, no events, no virtual CPU. NULL when
 * the number is taken or reserved, @max_vcpus out of range, or memory short. The builder goes on with
 * domain_mm_init(), then domain_event_init(), then vcpu_alloc(). If one of the first two fails it undoes what
 * it did and calls domain_free(); from then on domain_destroy() does everything.
 */
struct domain *domain_alloc(domid_t id, const char *name, unsigned max_vcpus);
void domain_free(struct domain *d);

/** vcpu_alloc() - virtual CPU @id of @d, down (no context yet) and paused until domain_unpause(); or NULL. */
struct vcpu *vcpu_alloc(struct domain *d, unsigned id);

void domain_unpause(struct domain *d);
void domain_pause(struct domain *d);
/** domain_destroy() - free everything of a stopped or paused domain. */
void domain_destroy(struct domain *d);

/*
 * Scheduling (docs/scheduling.md). Functions that set check first: a refusal changes nothing and leaves one line in
 * @error.
 */

#define SCHED_WARP_MAX_NS          UINT64_C(10000000000)
#define SCHED_CAP_MAX              6400u
#define SCHED_ALLOWANCE_MIN_NS     UINT64_C(100000)
#define SCHED_ALLOWANCE_MAX_NS     UINT64_C(1000000000)
#define SCHED_ALLOWANCE_DEFAULT_NS UINT64_C(10000000)

struct sched_params; /* sched.h */

/** SCHED_ALL_VCPUS - for @vcpu below: every virtual CPU of the domain. */
#define SCHED_ALL_VCPUS (-1)

/**
 * sched_get_params() - of virtual CPU @vcpu; SCHED_ALL_VCPUS: of the first one. -XEN_ENOENT: there is none.
 * sched_set_params() - @vcpu may be SCHED_ALL_VCPUS. -XEN_ENOENT, -XEN_EINVAL.
 */
int sched_get_params(const struct domain *d, int vcpu, struct sched_params *p);
int sched_set_params(struct domain *d, int vcpu, const struct sched_params *p, char *error, size_t error_size);

/**
 * sched_get_cap() / sched_set_cap() - how much of a physical CPU all virtual CPUs of @d get together at most, in percent,
 * up to SCHED_CAP_MAX; 0: no cap. With any policy.
 */
unsigned sched_get_cap(const struct domain *d);
int sched_set_cap(struct domain *d, unsigned percent, char *error, size_t error_size);

/** sched_get_allowance() / sched_set_allowance() - the context switch allowance of the machine, ns (bvt). */
uint64_t sched_get_allowance(void);
int sched_set_allowance(uint64_t ns);

/**
 * sched_set_affinity() - the physical CPUs @v may run on, a bitmap; bits of CPUs that do not exist are allowed. When
 * this returns @v may still finish its present turn elsewhere. -XEN_EINVAL when no existing CPU is named.
 */
int sched_set_affinity(struct vcpu *v, uint64_t pcpus);
/** sched_pin() - the same for virtual CPU @vcpu of @d, or SCHED_ALL_VCPUS. -XEN_ENOENT: there is none. */
int sched_pin(struct domain *d, int vcpu, uint64_t pcpus);

/** console_input() - bytes typed at d's console; returns how many were taken (ring may be full). */
size_t console_input(struct domain *d, const char *buf, size_t len);

/* ---- wishes that the guest's kernel hears of by its store; 0 or -errno ---- */

/** domain_shutdown_request() - write control/shutdown ("poweroff", "reboot", ...). */
int domain_shutdown_request(struct domain *d, const char *what);
/** domain_sysrq() - write control/sysrq: the kernel does what Alt-SysRq-@key would. */
int domain_sysrq(struct domain *d, char key);
/**
 * domain_set_target() - write memory/target: the balloon is to bring the domain to @pages.
 * -XEN_E2BIG when that is more than it may have, -XEN_EINVAL for nothing at all.
 */
int domain_set_target(struct domain *d, uint64_t pages);
/** domain_set_online() - write cpu/N/availability: virtual CPUs 0 .. @n - 1 are to be up, the others not. */
int domain_set_online(struct domain *d, unsigned n);

/* ---- settings; 0 or -errno ---- */

/** domain_rename() - in messages and in the store. -XEN_EINVAL: empty or too long. */
int domain_rename(struct domain *d, const char *name);
/** domain_set_max() - the most memory it may have; less than it has now only stops it from growing. */
int domain_set_max(struct domain *d, uint64_t pages);
/** domain_nmi() - virtual CPU @id takes an NMI. -XEN_ENOENT: there is none. */
int domain_nmi(struct domain *d, unsigned id);

/* ---- what there is to know ---- */

enum vcpu_doing { VCPU_RUNS, VCPU_READY, VCPU_BLOCKED, VCPU_PAUSED, VCPU_OFFLINE, VCPU_DEAD };

/**
 * struct vcpu_status - @cpu_ns: time on a physical CPU so far; @pcpu: where it was last; @waited_ns: time others ran while
 * it could have; @affinity: bitmap of the physical CPUs it may run on, of those there are; @hypercalls, @exits: as in struct
 * domain_status
 */
struct vcpu_status {
	enum vcpu_doing doing;
	unsigned pcpu;
	uint64_t cpu_ns, waited_ns, affinity, hypercalls, exits;
};

/**
 * struct domain_status - @target: of the balloon, @online: virtual CPUs that are up; @hypercalls and
 * @exits (everything but system calls that the gate finished) so far
 */
struct domain_status {
	uint64_t pages, max_pages, target;
	uint64_t cpu_ns, hypercalls, exits;
	unsigned online;
	bool running, blocked, paused; /* any runs; all that are up wait; by control */
};

/** vcpu_get_status() - false when there is no virtual CPU @id. */
bool vcpu_get_status(const struct domain *d, unsigned id, struct vcpu_status *out);
void domain_get_status(struct domain *d, struct domain_status *out);

/**
 * debug_key() - what the hypervisor answers to a key, one call of @line for each line; false: no such key.
 * debug_keys_help() - which there are.
 */
bool debug_key(char key, void (*line)(void *opaque, const char *text), void *opaque);
void debug_keys_help(void (*line)(void *opaque, const char *text), void *opaque);

#endif
