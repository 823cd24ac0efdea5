/* SPDX-License-Identifier: MIT */
/* What the core gives to a home, in the order a home calls it. */
#ifndef XENOPUS_CORE_H
#define XENOPUS_CORE_H

#include "types.h"

#define XENOPUS_VERSION_MAJOR 4  /* the Xen ABI spoken: 4.17 */
#define XENOPUS_VERSION_MINOR 17

/** core_init() - memory, time, scheduler. After plat_info() is valid. 0 or -errno. */
int core_init(void);
/** core_cpu_loop() - run guests on this physical CPU until core_stop(). */
void core_cpu_loop(void);
/** core_stop() - let every CPU loop return soon. */
void core_stop(void);

#endif
