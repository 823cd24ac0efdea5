/* SPDX-License-Identifier: MIT */
/*
 * Touching addresses that other virtual CPUs unmap meanwhile. Unlike probe_read() (guest.h) this keeps no state: any
 * number of virtual CPUs may do it at once.
 */
#ifndef GUEST_TOUCH_H
#define GUEST_TOUCH_H

#include <stdint.h>

/** touch_load() / touch_store() - 0, or 1 when it faulted. */
uint64_t touch_load(uint64_t va, uint64_t *value);
uint64_t touch_store(uint64_t va, uint64_t value);

/** touch_init() - this virtual CPU's page faults are those of the two above; any other is the end of the domain. */
void touch_init(void);

#endif
