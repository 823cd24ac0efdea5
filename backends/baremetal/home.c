/* SPDX-License-Identifier: MIT */
/* Facts about the machine; and what becomes of it when its domains stop. */
#include "bundle.h"
#include "console.h"
#include "metal.h"
#include <xen/sched.h>

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
	if (domains_restart(d))
		return true;
	if (!nr_running)
		machine_end(ending);
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
	if (nr_running)
		return;
	machine_end(ending);
}
