/* SPDX-License-Identifier: MIT */
/*
 * Time: the scale against exact arithmetic, the guest's formula against the core's clock, timers,
 * the virtual CPU's timers and their odd cases, runstates and the areas in guest memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include <xen/event_channel.h>
#include <xen/vcpu.h>
#include "../../core/event/evtchn.h"
#include "../../core/time/clock.h"

__extension__ typedef unsigned __int128 u128;

static struct domain *d;
static struct vcpu *v;

static int setup(void **state)
{
	(void)state;
	smallworld_start();
	d = sw_domain(2);
	v = d->vcpu[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	smallworld_stop();
	return 0;
}

/* ---- scale ---- */

static void scale_is_exact(void **state)
{
	static const uint32_t khz[] = {1,	999,	 32768,	  500000,   999999,
				       1000000, 1000001, 1999999, 2000000,  2400000,
				       2893437, 3999999, 5000000, 12000000, UINT32_MAX};
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		uint64_t ticks[] = {
			0, 1, 2, khz[i], (uint64_t)khz[i] * 1000, (uint64_t)khz[i] * 86400000};
		uint32_t mul;
		int8_t shift;

		time_scale_from_khz(khz[i], &mul, &shift);
		assert_true(mul >> 31);
		for (unsigned j = 0; j < ARRAY_SIZE(ticks); j++) {
			u128 exact = (u128)ticks[j] * 1000000 / khz[i];
			u128 got = time_scale(ticks[j], mul, shift);
			/* Multiplier 2^-31; a negative shift loses less than 2^-shift ticks. */
			u128 slack = exact / (1u << 31) + 2 +
				     (shift < 0 ? ((u128)1000000 << -shift) / khz[i] : 0);

			assert_true(got <= exact && exact - got <= slack);
		}
	}
}

static void unscale_is_the_first_tick(void **state)
{
	static const uint32_t khz[] = { 999999, 1000000, 1700000, 2400000, 3141592, 5000000 };

	(void)state;
	srand(1);
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		uint32_t mul;
		int8_t shift;

		time_scale_from_khz(khz[i], &mul, &shift);
		for (unsigned j = 0; j < 20000; j++) {
			uint64_t ns =
				(((uint64_t)rand() << 31) ^ (uint64_t)rand()) >> (rand() % 62);
			uint64_t t = time_unscale(ns, mul, shift);

			if (t == UINT64_MAX)
				continue; /* beyond what the counter can reach */
			assert_true(time_scale(t, mul, shift) >= ns);
			if (t)
				assert_true(time_scale(t - 1, mul, shift) < ns);
		}
	}
}

static void far_future_saturates(void **state)
{
	(void)state;
	assert_true(time_ns_to_tsc(UINT64_MAX) == UINT64_MAX);
	assert_true(time_ns_to_tsc(UINT64_C(1) << 62) > UINT64_C(1) << 60);
}

/* What a guest does: xen/xen.h's formula, with the version protocol. */
static uint64_t guest_time(const struct vcpu_time_info *ti, uint64_t tsc)
{
	uint64_t delta = tsc - ti->tsc_timestamp;

	assert_false(ti->version & 1);
	delta = ti->tsc_shift < 0 ? delta >> -ti->tsc_shift : delta << ti->tsc_shift;
	return ti->system_time + (uint64_t)(((u128)delta * ti->tsc_to_system_mul) >> 32);
}

static void guest_computes_our_time(void **state)
{
	static const uint32_t khz[] = { 700000, 2893437, 4200000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		struct vcpu_info *info = v->gate.vcpu_info;

		tp.info.tsc_khz = khz[i];
		time_init();
		v->time.written = NULL;
		time_update_vcpu(v);
		assert_true(info->time.flags & XEN_PVCLOCK_TSC_STABLE_BIT);
		for (unsigned j = 0; j < 1000; j++) {
			tp.tsc += (uint64_t)rand() * 1000;
			assert_true(guest_time(&info->time, tp.tsc) == time_from_tsc(tp.tsc));
		}
	}
}

static void record_is_written_once(void **state)
{
	uint32_t version;

	(void)state;
	time_update_vcpu(v);
	version = v->gate.vcpu_info->time.version;
	assert_true(version >= 2 && !(version & 1));
	time_update_vcpu(v);
	assert_int_equal(v->gate.vcpu_info->time.version, version);
	/* In a new place it is written again. */
	assert_int_equal(vcpu_info_register(v, sw_mfn(d, 3), 128), 0);
	time_update_vcpu(v);
	assert_true(v->gate.vcpu_info->time.version > version);
}

static void wallclock_is_at_system_time_0(void **state)
{
	struct shared_info *s = d->mm.shared_info;
	uint64_t wall, sec;

	(void)state;
	tp.tsc_step = 0;
	tp.tsc += 5 * NSEC_PER_SEC;
	time_update_wallclock(d);
	assert_false(s->wc_version & 1);
	sec = s->wc_sec | (uint64_t)s->wc_sec_hi << 32;
	wall = sec * NSEC_PER_SEC + s->wc_nsec + time_now();
	assert_true(wall == plat_wallclock_ns());
	assert_true(s->wc_nsec < NSEC_PER_SEC);
	/* Past 2106 the upper half counts. */
	tp.wallclock_ns = UINT64_C(5000000000) * NSEC_PER_SEC;
	time_update_wallclock(d);
	assert_int_equal(s->wc_sec_hi, 1);
}

/* ---- timers ---- */

static struct timer timers[4];
static unsigned fired[16], nr_fired;

static void note(struct timer *t)
{
	fired[nr_fired++] = (unsigned)(t - timers);
}

static void again_in_the_past(struct timer *t)
{
	note(t);
	timer_set(t, 1);
}

static void stops_others(struct timer *t)
{
	note(t);
	timer_stop(&timers[2]);
}

static void timers_fire_in_order(void **state)
{
	uint64_t now = time_now();

	(void)state;
	nr_fired = 0;
	for (unsigned i = 0; i < 4; i++)
		timer_init(&timers[i], note);
	timer_set(&timers[0], now + 3000000);
	timer_set(&timers[1], now + 1000000);
	timer_set(&timers[2], now + 1000000);
	timer_set(&timers[3], now + 2000000);
	timers_run();
	assert_int_equal(nr_fired, 0);
	assert_true(tp.timer == time_ns_to_tsc(now + 1000000));
	tp.tsc = tp.timer;
	timers_run();
	assert_int_equal(nr_fired, 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 2);
	timer_stop(&timers[3]);
	timers_run();
	assert_true(tp.timer == time_ns_to_tsc(now + 3000000));
	tp.tsc = tp.timer - 1 - tp.tsc_step;
	timers_run();
	assert_int_equal(nr_fired, 2); /* not a tick early */
	tp.tsc = tp.timer;
	timers_run();
	assert_int_equal(nr_fired, 3);
	assert_int_equal(tp.timer, 0);
	assert_false(timers[0].active);
}

static void platform_hears_only_news(void **state)
{
	uint64_t now = time_now(), calls;

	(void)state;
	timer_init(&timers[0], note);
	timer_init(&timers[1], note);
	timer_set(&timers[0], now + 1000000);
	timers_run();
	calls = tp.calls[TP_TIMER_SET];
	for (unsigned i = 0; i < 10; i++) {
		timer_set(&timers[1], now + 2000000 + i);
		timers_run();
	}
	assert_true(tp.calls[TP_TIMER_SET] == calls);
	timers_kicked(); /* it may have been used up */
	timers_run();
	assert_true(tp.calls[TP_TIMER_SET] == calls + 1);
	timer_stop(&timers[0]);
	timer_stop(&timers[1]);
	timers_run();
	assert_int_equal(tp.timer, 0);
}

static void rearming_in_the_past_ends_a_round(void **state)
{
	(void)state;
	nr_fired = 0;
	timer_init(&timers[0], again_in_the_past);
	timer_set(&timers[0], 0);
	timers_run();
	assert_int_equal(nr_fired, 1);
	timers_run();
	assert_int_equal(nr_fired, 2);
	timer_stop(&timers[0]);
}

static void a_function_may_stop_a_due_timer(void **state)
{
	(void)state;
	nr_fired = 0;
	timer_init(&timers[1], stops_others);
	timer_init(&timers[2], note);
	timer_set(&timers[1], 1);
	timer_set(&timers[2], 2);
	timers_run();
	assert_int_equal(nr_fired, 1);
	assert_int_equal(fired[0], 1);
	assert_false(timers[2].active);
}

/* ---- timers of a virtual CPU ---- */

static uint32_t bind_timer(void)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_TIMER, .vcpu = 0 };

	assert_int_equal(sw_op(v, do_event_channel_op, EVTCHNOP_bind_virq, &op, sizeof(op)), 0);
	return op.port;
}

static bool take(uint32_t port)
{
	return bit_test_and_clear(d->mm.shared_info->evtchn_pending, port);
}

static void advance(uint64_t ns)
{
	tp.tsc += ns;
	timers_run();
}

static void singleshot(void **state)
{
	struct vcpu_set_singleshot_timer op = { .timeout_abs_ns = time_now() + 1000000 };
	uint32_t port = bind_timer();

	(void)state;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_singleshot_timer, 0, &op, sizeof(op)), 0);
	advance(900000);
	assert_false(take(port));
	advance(100000);
	assert_true(take(port));
	advance(100000000);
	assert_false(take(port)); /* one shot */

	op.timeout_abs_ns = 1;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_singleshot_timer, 0, &op, sizeof(op)), 0);
	assert_true(take(port)); /* past: at once */
	op.flags = VCPU_SSHOTTMR_future;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_singleshot_timer, 0, &op, sizeof(op)),
			 -XEN_ETIME);
	assert_false(take(port));

	op.timeout_abs_ns = time_now() + 1000000;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_singleshot_timer, 0, &op, sizeof(op)), 0);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_stop_singleshot_timer, 0, NULL, 0), 0);
	advance(2000000);
	assert_false(take(port));
	/* Only one's own. */
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_singleshot_timer, 1, &op, sizeof(op)),
			 -XEN_EINVAL);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_stop_singleshot_timer, 1, NULL, 0), -XEN_EINVAL);
}

static void set_timer_op(void **state)
{
	uint32_t port = bind_timer();

	(void)state;
	assert_int_equal(sw_call(v, do_set_timer_op, time_now() + 1000000, 0, 0), 0);
	advance(1000000);
	assert_true(take(port));
	assert_int_equal(sw_call(v, do_set_timer_op, time_now() + 1000000, 0, 0), 0);
	assert_int_equal(sw_call(v, do_set_timer_op, 0, 0, 0), 0); /* 0 stops */
	advance(2000000);
	assert_false(take(port));
	assert_int_equal(sw_call(v, do_set_timer_op, 1, 0, 0), 0); /* past: at once */
	assert_true(take(port));
	/* Wrapped or weeks away: after 100 ms. */
	for (unsigned i = 0; i < 2; i++) {
		uint64_t odd = i ? UINT64_MAX - 5 : time_now() + (UINT64_C(1) << 51);

		assert_int_equal(sw_call(v, do_set_timer_op, odd, 0, 0), 0);
		advance(99000000);
		assert_false(take(port));
		advance(1100000);
		assert_true(take(port));
	}
}

static void periodic_ticks_while_running(void **state)
{
	struct vcpu_set_periodic_timer op = { .period_ns = 2000000 };
	uint32_t port = bind_timer();
	unsigned ticks = 0;

	(void)state;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_periodic_timer, 0, &op, sizeof(op)), 0);
	advance(10000000);
	assert_false(take(port)); /* it has no CPU */
	v->sched.running = true;
	time_sched_in(v);
	assert_true(take(port)); /* more than a period has passed */
	for (unsigned i = 0; i < 100; i++) {
		advance(1000000);
		ticks += take(port);
	}
	assert_in_range(ticks, 49, 51);
	time_sched_out(v);
	v->sched.running = false;
	advance(10000000);
	assert_false(take(port));
	assert_int_equal(sw_vcpu_op(v, VCPUOP_stop_periodic_timer, 0, NULL, 0), 0);
	time_sched_in(v);
	advance(10000000);
	assert_false(take(port));
	/* Unbound, nothing is armed; bound while running, it starts. */
	op.period_ns = 2000000;
	assert_int_equal(evtchn_close(d, port), 0);
	v->sched.running = true;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_periodic_timer, 0, &op, sizeof(op)), 0);
	assert_false(v->time.periodic.active);
	port = bind_timer();
	assert_true(v->time.periodic.active);
	time_sched_out(v);
	v->sched.running = false;
	op.period_ns = 999999;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_periodic_timer, 0, &op, sizeof(op)), -XEN_EINVAL);
	op.period_ns = UINT64_MAX;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_set_periodic_timer, 0, &op, sizeof(op)), -XEN_EINVAL);
}

/* ---- runstates and areas ---- */

static void runstates_add_up(void **state)
{
	struct vcpu_runstate_info info;
	uint64_t start = v->time.runstate_entry, sum = 0;

	(void)state;
	srand(2);
	for (unsigned i = 0; i < 1000; i++) {
		tp.tsc += (uint64_t)(rand() % 1000000);
		time_set_runstate(v, rand() % 4);
	}
	tp.tsc_step = 0;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_get_runstate_info, 0, &info, sizeof(info)), 0);
	for (unsigned i = 0; i < 4; i++)
		sum += info.time[i];
	assert_true(sum == time_now() - start);
}

static void runstate_area(void **state)
{
	struct vcpu_register_runstate_memory_area op = { .addr.p = SW_VA + 2 * PAGE_SIZE - 16 };
	struct vcpu_runstate_info got;

	(void)state;
	/* It may cross a page; pages here are not neighbours in the machine. */
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_runstate_memory_area, 0, &op, sizeof(op)),
			 0);
	time_set_runstate(v, RUNSTATE_running);
	tp.tsc += 1000000;
	time_set_runstate(v, RUNSTATE_blocked);
	memcpy(&got, sw_ptr(d, op.addr.p), 16);
	memcpy((char *)&got + 16, sw_ptr(d, op.addr.p + 16), sizeof(got) - 16);
	assert_int_equal(got.state, RUNSTATE_blocked);
	assert_true(got.state_entry_time == v->time.runstate_entry);
	assert_true(got.time[RUNSTATE_running] >= 1000000);

	/* In user mode the address is not there: later. */
	v->gate.flags &= ~GATE_KERNEL_MODE;
	time_set_runstate(v, RUNSTATE_running);
	memcpy(&got, sw_ptr(d, op.addr.p), 16);
	assert_int_equal(got.state, RUNSTATE_blocked);
	time_update_vcpu(v);
	memcpy(&got, sw_ptr(d, op.addr.p), 16);
	assert_int_equal(got.state, RUNSTATE_blocked);
	v->gate.flags |= GATE_KERNEL_MODE;
	time_update_vcpu(v);
	memcpy(&got, sw_ptr(d, op.addr.p), 16);
	assert_int_equal(got.state, RUNSTATE_running);

	/* With the assist the flag is clear again at the end. */
	d->mm.vm_assist |= UINT64_C(1) << VMASST_TYPE_runstate_update_flag;
	time_set_runstate(v, RUNSTATE_runnable);
	memcpy(&got, sw_ptr(d, op.addr.p), 16);
	assert_int_equal(got.state, RUNSTATE_runnable);
	assert_true(got.state_entry_time == v->time.runstate_entry);

	/*
	 * Nonsense is refused or does no harm; another virtual CPU's area is written at once, too.
	 */
	op.addr.p = UINT64_C(0xffff800000000000);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_runstate_memory_area, 0, &op, sizeof(op)),
			 -XEN_EFAULT);
	op.addr.p = 0x1000;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_runstate_memory_area, 0, &op, sizeof(op)),
			 0);
	time_set_runstate(v, RUNSTATE_running);
	op.addr.p = SW_VA;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_runstate_memory_area, 1, &op, sizeof(op)),
			 0);
	memcpy(&got, sw_ptr(d, SW_VA), sizeof(got));
	assert_int_equal(got.state, RUNSTATE_offline);
}

static void time_area(void **state)
{
	struct vcpu_register_time_memory_area op = { .addr.p = SW_VA + 512 };
	const struct vcpu_time_info *ti = sw_ptr(d, op.addr.p);

	(void)state;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_time_memory_area, 0, &op, sizeof(op)),
			 0);
	tp.tsc += 123456789;
	assert_true(ti->version >= 2);
	assert_true(guest_time(ti, tp.tsc) == time_from_tsc(tp.tsc));
	op.addr.p = 0;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_time_memory_area, 0, &op, sizeof(op)),
			 0);
	assert_true(v->time.time_guest_va == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scale_is_exact),
		cmocka_unit_test(unscale_is_the_first_tick),
		cmocka_unit_test_setup_teardown(far_future_saturates, setup, teardown),
		cmocka_unit_test_setup_teardown(guest_computes_our_time, setup, teardown),
		cmocka_unit_test_setup_teardown(record_is_written_once, setup, teardown),
		cmocka_unit_test_setup_teardown(wallclock_is_at_system_time_0, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_fire_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(platform_hears_only_news, setup, teardown),
		cmocka_unit_test_setup_teardown(rearming_in_the_past_ends_a_round, setup, teardown),
		cmocka_unit_test_setup_teardown(a_function_may_stop_a_due_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(singleshot, setup, teardown),
		cmocka_unit_test_setup_teardown(set_timer_op, setup, teardown),
		cmocka_unit_test_setup_teardown(periodic_ticks_while_running, setup, teardown),
		cmocka_unit_test_setup_teardown(runstates_add_up, setup, teardown),
		cmocka_unit_test_setup_teardown(runstate_area, setup, teardown),
		cmocka_unit_test_setup_teardown(time_area, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
