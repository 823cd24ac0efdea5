/* SPDX-License-Identifier: MIT */
/* What the files of core/time share among themselves. */
#ifndef XENOPUS_CLOCK_H
#define XENOPUS_CLOCK_H

#include <xenopus/types.h>

/*
 * Stores before it are seen before stores after it: x86 keeps their order, the compiler is told to.
 */
#define store_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

void time_scale_from_khz(uint32_t khz, uint32_t *mul, int8_t *shift);
uint64_t time_scale(uint64_t ticks, uint32_t mul, int8_t shift);
uint64_t time_unscale(uint64_t ns, uint32_t mul, int8_t shift);
void time_record(struct vcpu_time_info *ti);
/** time_write_areas() - write the areas marked in v->time.stale through v's own page tables. */
void time_write_areas(struct vcpu *v);
void timers_init(void);

#endif
