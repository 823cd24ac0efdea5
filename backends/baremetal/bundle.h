/* SPDX-License-Identifier: MIT */
/* Boot bundles in memory: their check, and the domains that come of them. */
#ifndef XENOPUS_METAL_BUNDLE_H
#define XENOPUS_METAL_BUNDLE_H

#include <xenopus/stopped.h>
#include <xenopus/types.h>
#include "bundle_format.h"

static inline const void *bundle_at(const struct bundle_header *h, uint64_t offset)
{
	return (const char *)h + offset;
}

/** bundle_fault() - what is wrong with a module of @size bytes as a boot bundle ("is cut off"); NULL: nothing. */
const char *bundle_fault(const struct bundle_header *h, uint64_t size);

/**
 * domains_start() - build and start the domains of all modules, in order. A module or domain that cannot be is told
 * in one line and left out. When none can be, the machine ends.
 */
void domains_start(void);

/**
 * domains_create() - build and start the domain that its bundle calls @name, once more. NULL with a line in @why: it
 * is there already, there is no such one, no memory, or the bundles are not kept.
 */
struct domain *domains_create(const char *name, char *why, size_t size);

/**
 * domains_action() - what is to become of @d, which has stopped for @reason (SHUTDOWN_*): what its bundle says, or the
 * machine's command line if that does not.
 */
enum stop_action domains_action(const struct domain *d, unsigned reason);

/** domains_reboots_machine() - is that, as on-reboot=machine has it, that the machine restarts? */
bool domains_reboots_machine(const struct domain *d, unsigned reason);

/**
 * domains_restart() - the stopped @d goes, and a new domain from its bundle takes its place: at once, or after a while
 * when the last ones did not stay up.
 */
void domains_restart(struct domain *d);

/** domains_rename_restart() - the same, but @d stays under another name. False: it was not to be had, nothing is done. */
bool domains_rename_restart(struct domain *d);

/** domains_due() - start the domains that have waited for long enough. For CPU 0, whenever it comes round. */
void domains_due(void);

/** domains_waiting() - how many wait to be started again. */
unsigned domains_waiting(void);
/** domains_waits() - does the one that its bundle calls @name? */
bool domains_waits(const char *name);
/** domains_forget() - that one shall not be started again. */
void domains_forget(const char *name);
/** domains_show_waiting() - a line for each of them. */
void domains_show_waiting(void (*line)(void *opaque, const char *text));

/** domain_called() - by name; NULL: there is none. */
struct domain *domain_called(const char *name);

/** domains_destroy() - free @d, which is paused or has stopped. */
void domains_destroy(struct domain *d);

/** struct domain_life - since when @d has been up, and what somebody who looked saw last. */
struct domain_life {
	uint64_t since_ns;
	uint64_t seen_ns, cpu_ns, hypercalls, exits;
};

struct domain_life *domains_life(const struct domain *d);

extern bool keep_bundles; /* "keep-bundles" */

/** What a guest's SHUTDOWN_reboot does if its bundle does not say: "on-reboot=". */
enum reboot { REBOOT_STOP, REBOOT_DOMAIN, REBOOT_MACHINE };
extern enum reboot on_reboot;

#endif
