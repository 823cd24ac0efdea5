/* SPDX-License-Identifier: MIT */
/* Thousands of hypercalls that do not exist: each is refused, and the log is not flooded. */
#include "hostile.h"

const char guest_topic[] = "unknown";

void guest_main(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t nr = 64 + (random64() & 0xfffffff);

		wrong += hypercall((unsigned)nr, random64(), random64(), random64(), random64(),
				   random64()) != -XEN_ENOSYS;
	}
	check(!wrong, "3000 unknown hypercalls", "%u were not refused", wrong);
}
