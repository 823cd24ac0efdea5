/* SPDX-License-Identifier: MIT */
/*
 * System time and the records guests compute it from.
 *
 *	system time = ((tsc - tsc_base) shifted by tsc_shift) * mul / 2^32    (xen/xen.h)
 *
 * The machine has one base and one scale from start to stop, so core and all virtual CPUs compute
 * the very same nanosecond from the same TSC value: nothing drifts apart, no record ever has to be
 * refreshed because time has passed, and XEN_PVCLOCK_TSC_STABLE_BIT is the plain truth. A record is
 * written when a virtual CPU's vcpu_info has moved to other memory, and only then.
 */
#include <xenopus/domain.h>
#include <xenopus/platform.h>
#include "clock.h"

__extension__ typedef unsigned __int128 wide_t;

static struct {
	uint64_t tsc_base;
	uint32_t mul;
	int8_t shift;
} scale;

/**
 * time_scale_from_khz() - the ABI's multiplier and shift for a TSC of @khz (1 .. 2^32 - 1).
 * The multiplier is normalised (its top bit is set), which keeps its relative error below 2^-31.
 */
void time_scale_from_khz(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	/* ns per tick = 10^9 / hz; find s with 1/2 < 10^9 * 2^-s / hz <= 1. */
	uint64_t num = NSEC_PER_SEC, den = (uint64_t)khz * 1000;
	uint64_t q;
	int s = 0;

	ASSERT(khz);
	while (num > den) {
		den <<= 1;
		s++;
	}
	while (num * 2 <= den) {
		num <<= 1;
		s--;
	}
	/*
	 * num < 2^43 and den < 2^43 here. The quotient's 32 fraction bits come in two halves,
	 * because 2^43 << 32 does not fit.
	 */
	q = (num << 16) / den;
	q = (q << 16) + ((((num << 16) % den) << 16) / den);
	if (q >> 32)
		q = UINT32_MAX; /* num == den: exactly 1 is not representable */
	*mul = (uint32_t)q;
	*shift = (int8_t)s;
}

/** time_scale() - @ticks in nanoseconds, as the ABI's formula rounds. */
uint64_t time_scale(uint64_t ticks, uint32_t mul, int8_t shift)
{
	if (shift < 0)
		ticks >>= -shift;
	else
		ticks <<= shift;
	return (uint64_t)(((wide_t)ticks * mul) >> 32);
}

/** time_unscale() - the fewest ticks that are at least @ns (< 2^63); saturates. */
uint64_t time_unscale(uint64_t ns, uint32_t mul, int8_t shift)
{
	/* ceil(ns * 2^32 / mul), by parts: mul has 32 bits, so no part leaves 64. */
	uint64_t q = ns / mul, r = ns % mul;
	uint64_t ticks = (q << 32) + (r << 32) / mul + ((r << 32) % mul != 0);

	if (shift < 0) {
		if (ticks > UINT64_MAX >> -shift)
			return UINT64_MAX;
		return ticks << -shift;
	}
	return (ticks >> shift) + ((ticks & ((UINT64_C(1) << shift) - 1)) != 0);
}

void time_init(void)
{
	time_scale_from_khz(plat_info()->tsc_khz, &scale.mul, &scale.shift);
	scale.tsc_base = plat_tsc();
	timers_init();
}

uint64_t time_from_tsc(uint64_t tsc)
{
	return time_scale(tsc - scale.tsc_base, scale.mul, scale.shift);
}

uint64_t time_now(void)
{
	return time_from_tsc(plat_tsc());
}

uint64_t time_ns_to_tsc(uint64_t system_ns)
{
	uint64_t ticks;

	if (system_ns >> 63)
		return UINT64_MAX;
	ticks = time_unscale(system_ns, scale.mul, scale.shift);
	return ticks > UINT64_MAX - scale.tsc_base ? UINT64_MAX : scale.tsc_base + ticks;
}

/**
 * time_record() - the time record without its version. Every virtual CPU gets the same, see above.
 */
void time_record(struct vcpu_time_info *ti)
{
	memset(ti, 0, sizeof(*ti));
	ti->tsc_timestamp = scale.tsc_base;
	ti->system_time = 0;
	ti->tsc_to_system_mul = scale.mul;
	ti->tsc_shift = scale.shift;
	ti->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
}

/* Another virtual CPU of the guest may be reading: odd version, body, even version. */
static void write_record(struct vcpu_time_info *dst)
{
	struct vcpu_time_info ti;
	uint32_t version = (READ_ONCE(dst->version) + 1) | 1;

	time_record(&ti);
	WRITE_ONCE(dst->version, version);
	store_fence();
	dst->tsc_timestamp = ti.tsc_timestamp;
	dst->system_time = ti.system_time;
	dst->tsc_to_system_mul = ti.tsc_to_system_mul;
	dst->tsc_shift = ti.tsc_shift;
	dst->flags = ti.flags;
	store_fence();
	WRITE_ONCE(dst->version, version + 1);
}

void time_update_vcpu(struct vcpu *v)
{
	if (v->time.written != v->gate.vcpu_info) {
		write_record(&v->gate.vcpu_info->time);
		v->time.written = v->gate.vcpu_info;
		if (v->id == 0)
			time_update_wallclock(v->domain);
	}
	if (READ_ONCE(v->time.stale) && gate_kernel_mode(&v->gate))
		time_write_areas(v);
}

void time_update_wallclock(struct domain *d)
{
	struct shared_info *s = d->mm.shared_info;
	uint64_t now = time_now(), wall = plat_wallclock_ns();
	uint64_t base = wall > now ? wall - now : 0; /* wall clock at system time 0 */
	uint32_t version;

	if (!s)
		return;
	version = (READ_ONCE(s->wc_version) + 1) | 1;
	WRITE_ONCE(s->wc_version, version);
	store_fence();
	s->wc_sec = (uint32_t)(base / NSEC_PER_SEC);
	s->wc_sec_hi = (uint32_t)(base / NSEC_PER_SEC >> 32);
	s->wc_nsec = (uint32_t)(base % NSEC_PER_SEC);
	store_fence();
	WRITE_ONCE(s->wc_version, version + 1);
}
