/* SPDX-License-Identifier: MIT */
/* What a domain is made from, and the words for what becomes of it: see guest.h. */
#include "guest.h"
#include <xen/sched.h>

const char *const guest_action_names[] = { "destroy",  "restart",	   "rename-restart",
					   "preserve", "coredump-destroy", "coredump-restart",
					   NULL };

G_DEFINE_QUARK(xenopus - guest - error, guest_error)

struct guest_config *guest_config_new(void)
{
	struct guest_config *c = g_new0(struct guest_config, 1);

	c->memory = 256;
	c->vcpus = 1;
	c->on[SHUTDOWN_reboot] = ACTION_RESTART;
	return c;
}

void guest_config_free(struct guest_config *c)
{
	if (!c)
		return;
	g_free(c->name);
	g_free(c->kernel);
	g_free(c->ramdisk);
	g_free(c->cmdline);
	g_free(c->cpus);
	g_free(c);
}

const char *guest_reason_name(unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot",   "suspend",
					     "crash",	 "watchdog", "soft-reset" };

	return reason < G_N_ELEMENTS(names) ? names[reason] : "unknown";
}
