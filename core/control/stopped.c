/* SPDX-License-Identifier: MIT */
/* stopped.c - words for what becomes of a domain that stops, and how soon it starts again */
#include <xenopus/stopped.h>
#include <xenopus/time.h>
#include <xen/sched.h>

#define LASTING_NS (10 * NSEC_PER_SEC) /* up for so long, a start counts as good */
#define MAX_DOUBLED 6u		       /* 64 seconds */

const char *const stop_actions[] = { "destroy",	 "restart",	     "rename-restart",
				     "preserve", "coredump-destroy", "coredump-restart",
				     NULL };

const char *const stop_keys[STOP_REASONS] = {
	[SHUTDOWN_poweroff] = "on_poweroff", [SHUTDOWN_reboot] = "on_reboot",
	[SHUTDOWN_suspend] = "on_suspend",   [SHUTDOWN_crash] = "on_crash",
	[SHUTDOWN_watchdog] = "on_watchdog",
};

int stop_action_named(const char *word)
{
	for (int i = 0; stop_actions[i]; i++)
		if (!xstrcmp(stop_actions[i], word))
			return i;
	return -1;
}

const char *stop_reason_name(unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot",   "suspend",
					     "crash",	 "watchdog", "soft-reset" };

	return reason < ARRAY_SIZE(names) ? names[reason] : "unknown";
}

unsigned restart_delay(unsigned *quick, uint64_t up_ns)
{
	unsigned before = up_ns > LASTING_NS ? 0 : *quick;

	*quick = before > MAX_DOUBLED ? before : before + 1;
	return before ? 1u << (before - 1) : 0;
}
