/* SPDX-License-Identifier: MIT */
/* Into guest user mode without user page tables. */
#include "hostile.h"

const char guest_topic[] = "nouser";

void guest_main(void)
{
	struct frame f = {.rip = 0x400000,
			  .cs = FLAT_USER_CS,
			  .rflags = RFLAGS_IF,
			  .rsp = 0x500000,
			  .ss = FLAT_USER_SS};

	user_run_frame(&f);
	survived();
}
