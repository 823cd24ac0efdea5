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

/* A machine without domains ends, but not under the hands of somebody who may create one. */
static void end_if_alone(void)
{
	if (!nr_running && !prompt_is_open())
		machine_end(ending);
}

void home_prompt_left(void)
{
	end_if_alone();
}

unsigned home_running(void)
{
	return nr_running;
}

void home_destroy(struct domain *d)
{
	console_domain_gone(d);
	nr_running--;
	domain_pause(d);
	domains_destroy(d);
	end_if_alone();
}

/* What "on-reboot=" says about a guest that wants to be started again. True: done. */
static bool reboot(struct domain *d)
{
	char name[sizeof(d->name)];

	if (on_reboot == REBOOT_MACHINE) {
		xlog(LOG_INFO, "domain %s restarts the machine", d->name);
		machine_restart();
	}
	if (on_reboot != REBOOT_DOMAIN)
		return false;
	xstrlcpy(name, d->name, sizeof(name));
	console_domain_gone(d);
	nr_running--;
	xlog(LOG_INFO, "domain %s starts again", name);
	if (!domains_restart(d))
		end_if_alone();
	return true;
}

void plat_domain_shutdown(struct domain *d, unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot", "suspend", "crash", "watchdog",
					     "soft reset" };
	bool good = reason == SHUTDOWN_poweroff || reason == SHUTDOWN_reboot;
	char line[128];

	if (reason == SHUTDOWN_reboot && reboot(d))
		return;

	xsnprintf(line, sizeof(line), "domain %s stopped: %s", d->name,
		  reason < ARRAY_SIZE(names) ? names[reason] : "an unknown reason");
	report_domain(d);
	console_domain_gone(d);
	nr_running--;
	if (!nr_running)
		report_machine();
	if (good) {
		xlog(LOG_INFO, "%s", line);
	} else {
		ending = END_CRASH;
		last_words(line);
	}
	end_if_alone();
	domains_destroy(d);
}
