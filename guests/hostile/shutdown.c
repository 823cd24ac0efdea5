/* SPDX-License-Identifier: MIT */
/* A guest that reports its own crash. */
#include "hostile.h"

const char guest_topic[] = "shutdown";

void guest_main(void)
{
	struct sched_shutdown s = { .reason = SHUTDOWN_crash };

	hc_sched_op(SCHEDOP_shutdown, &s);
	survived();
}
