/* SPDX-License-Identifier: MIT */
/* A trap without a handler: the paravirtual triple fault. */
#include "hostile.h"

const char guest_topic[] = "nohandler";

void guest_main(void)
{
	HC1(set_trap_table, 0);
	__asm__ volatile("ud2");
	survived();
}
