/* SPDX-License-Identifier: MIT */
/* What a domain is made from: see guest.h. */
#include "guest.h"
#include <xen/sched.h>

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
