/* SPDX-License-Identifier: MIT */
/* The iret hypercall to a stack segment that is not there, and no failsafe callback to hear of it. */
#include "hostile.h"

const char guest_topic[] = "nofailsafe";

void guest_main(void)
{
	struct callback_register none = { .type = CALLBACKTYPE_failsafe };
	struct frame f = {
		.rip = USER_CODE,
		.cs = FLAT_USER_CS,
		.rflags = RFLAGS_IF,
		.rsp = USER_STACK,
		.ss = 0x4003,
	};

	upcalls_on();
	user_init();
	HC2(callback_op, CALLBACKOP_register, &none);
	user_run_frame(&f);
	survived();
}
