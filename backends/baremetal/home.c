/* SPDX-License-Identifier: MIT */
/* Facts about the machine; and what becomes of it when its domains stop. */
#include <xenopus/control.h>
#include <xen/sched.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"

struct plat_info metal_info = {
	.pcpus = 1,
	.slot256_visible = true,
	.raises_nm = true,
	.guest_reads_native_cpuid = true,
	.memory_dirty = true,
	.name = "on bare metal",
};

static unsigned nr_running;
static enum ending ending = END_GOOD;

const struct plat_info *plat_info(void)
{
	return &metal_info;
}

void home_domain_added(struct domain *d)
{
	console_domain_added(d);
	nr_running++;
}

void home_incomplete(void)
{
	ending = END_REFUSED;
}

void home_end_if_alone(void)
{
	if (!nr_running && !domains_waiting() && !prompt_is_open())
		machine_end(ending);
}

unsigned home_running(void)
{
	return nr_running;
}

void home_destroy(struct domain *d)
{
	xlog(LOG_INFO, "domain %s (%u) is destroyed", d->name, d->id);
	console_domain_gone(d);
	nr_running--;
	domain_pause(d);
	domains_destroy(d);
	home_end_if_alone();
}

static void tell(const struct domain *d, unsigned reason)
{
	char line[128];

	xsnprintf(line, sizeof(line), "domain %s stopped: %s", d->name, stop_reason_name(reason));
	if (reason == SHUTDOWN_poweroff || reason == SHUTDOWN_reboot) {
		xlog(LOG_INFO, "%s", line);
	} else {
		ending = END_CRASH;
		last_words(line);
	}
}

static void preserve(struct domain *d)
{
	xlog(LOG_INFO, "domain %s (%u) stays as it is until it is destroyed", d->name, d->id);
}

/* One that stays counts: somebody wants to look at it. */
void plat_domain_shutdown(struct domain *d, unsigned reason)
{
	enum stop_action action = domains_action(d, reason);

	if (domains_reboots_machine(d, reason)) {
		xlog(LOG_INFO, "domain %s restarts the machine", d->name);
		machine_restart();
	}
	if (reason == SHUTDOWN_crash)
		note_crash(d);
	report_domain(d);
	console_domain_gone(d);
	if (action == ACTION_DESTROY && nr_running == 1 && !domains_waiting())
		report_machine();
	tell(d, reason);
	if (action == ACTION_PRESERVE) {
		preserve(d);
	} else if (action == ACTION_RENAME_RESTART) {
		if (!domains_rename_restart(d))
			xlog(LOG_ERROR, "domain %s is not started again: it cannot be renamed", d->name);
		preserve(d);
	} else if (action == ACTION_RESTART) {
		nr_running--;
		domains_restart(d);
	} else {
		nr_running--;
		home_end_if_alone();
		xlog(LOG_INFO, "domain %s (%u) is destroyed", d->name, d->id);
		domains_destroy(d);
		return;
	}
	home_end_if_alone();
}
