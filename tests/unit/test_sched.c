/* SPDX-License-Identifier: MIT */
/*
 * The CPU loop and the scheduler: who runs and for how long, blocking, polling, watchdogs, bringing
 * virtual CPUs up and down, the end of domains, and that the common round of the loop does nothing
 * needless.
 *
 * The guest is tp.run: called where a virtual CPU would run, it makes hypercalls and moves the
 * clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/core.h"
#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

static struct domain *d;
static struct vcpu *v;
static unsigned rounds;       /* calls of tp.run */
static unsigned idles;
static uint64_t ran_ns[64][MAX_VCPUS];

static int setup(void **state)
{
	(void)state;
	smallworld_start();
	d = sw_domain(3);
	v = d->vcpu[0];
	for (unsigned i = 0; i < 3; i++)
		time_set_periodic(d->vcpu[i], 0);
	rounds = idles = 0;
	memset(ran_ns, 0, sizeof(ran_ns));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	smallworld_stop();
	return 0;
}

static void loop(void (*run)(struct vcpu *v, struct trap *t), void (*idle)(void))
{
	tp.run = run;
	tp.idle = idle;
	core_cpu_loop();
}

static void stop(void)
{
	core_stop();
}

static void spend(struct vcpu *on, uint64_t ns)
{
	tp.tsc += ns;
	ran_ns[on->domain->id][on->id] += ns;
}

static long sched_op(struct vcpu *on, uint64_t cmd, void *arg, size_t size)
{
	return sw_op(on, do_sched_op, cmd, arg, size);
}

/* ---- sharing ---- */

static void spin(struct vcpu *on, struct trap *t)
{
	(void)t;
	assert_ptr_equal(current_vcpu(), on);
	assert_int_equal(on->time.runstate, RUNSTATE_running);
	/* One exit every 100 us; a timer ends the exit early, as the platform promises. */
	if (tp.timer && tp.timer > tp.tsc && tp.timer - tp.tsc < 100000)
		spend(on, tp.timer - tp.tsc);
	else
		spend(on, 100000);
	if (++rounds == 30000)
		core_stop();
}

static void three_share_alike(void **state)
{
	uint64_t switches;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		sw_run(d->vcpu[i]);
	loop(spin, stop);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(ran_ns[d->id][i], 980000000, 1020000000);
	/* 3 s in turns of 10 and 20 ms: few switches, and each is one call. */
	switches = tp.calls[TP_SWITCH];
	assert_in_range(switches, 190, 210);
	assert_null(current_vcpu());
}

static void alone_is_left_alone(void **state)
{
	(void)state;
	sw_run(v);
	loop(spin, stop);
	assert_int_equal(tp.calls[TP_SWITCH], 2); /* on, and off at the end */
	assert_true(tp.calls[TP_TIMER_SET] <= 1);
	assert_int_equal(tp.calls[TP_POLL], 30000);
	assert_int_equal(tp.calls[TP_IDLE], 0);
	assert_int_equal(d->vcpu[0]->stats.kicks, 30000);
}

static void yields(struct vcpu *on, struct trap *t)
{
	static struct vcpu *last;

	(void)t;
	if (rounds)
		assert_ptr_not_equal(on, last);
	last = on;
	spend(on, 1000);
	assert_int_equal(sched_op(on, SCHEDOP_yield, &rounds, 0), 0);
	if (++rounds == 100)
		core_stop();
}

static void yield_lets_the_others_run(void **state)
{
	(void)state;
	sw_run(v);
	sw_run(d->vcpu[2]);
	loop(yields, stop);
	assert_int_equal(ran_ns[d->id][0], 50000);
}

/* ---- blocking ---- */

static uint32_t port;

static void block_once(struct vcpu *on, struct trap *t)
{
	(void)t;
	if (rounds++ == 0) {
		assert_int_equal(sched_op(on, SCHEDOP_block, &rounds, 0), 0);
		assert_int_equal(on->gate.vcpu_info->evtchn_upcall_mask, 0);
		return;
	}
	core_stop();
}

static void send_when_idle(void)
{
	if (++idles == 3)
		evtchn_raise_virq(v, VIRQ_DEBUG);
	tp.tsc += 1000000;
}

static void bind_debug(void)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_DEBUG };

	assert_int_equal(sw_op(v, do_event_channel_op, EVTCHNOP_bind_virq, &op, sizeof(op)), 0);
	port = op.port;
}

static void blocks_until_an_event(void **state)
{
	(void)state;
	bind_debug();
	sw_run(v);
	v->arch.traps[0].address = 0;
	v->gate.event_callback = SW_VA;
	v->gate.kernel_sp = SW_VA + PAGE_SIZE;
	v->gate.regs.rsp = SW_VA + PAGE_SIZE;
	loop(block_once, send_when_idle);
	assert_int_equal(idles, 3);
	assert_true(v->time.runstate_ns[RUNSTATE_blocked] >= 2000000);
	assert_int_equal(tp.calls[TP_SWITCH], 2); /* its state stayed loaded while it slept */
	assert_int_equal(d->vcpu[0]->stats.upcalls, 1);
}

static void block_sees_what_is_pending(void **state)
{
	(void)state;
	bind_debug();
	sw_run(v);
	evtchn_raise_virq(v, VIRQ_DEBUG);
	v->gate.vcpu_info->evtchn_upcall_mask = 1;
	assert_int_equal(sched_op(v, SCHEDOP_block, &rounds, 0), 0);
	assert_int_equal(v->sched.pause_flags, 0);
	assert_true(vcpu_upcall_pending(v));
}

static void masked_channel_does_not_wake(void **state)
{
	(void)state;
	bind_debug();
	sw_run(v);
	bit_test_and_set(d->mm.shared_info->evtchn_mask, port);
	assert_int_equal(sched_op(v, SCHEDOP_block, &rounds, 0), 0);
	evtchn_raise_virq(v, VIRQ_DEBUG);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	assert_null(sched_pick());
}

/* ---- polling ---- */

static long poll_ports(const uint32_t *ports, unsigned n, uint64_t timeout)
{
	struct sched_poll op = { .nr_ports = n, .timeout = timeout };

	if (n)
		memcpy(sw_ptr(d, SW_VA), ports, n * sizeof(*ports));
	op.ports.p = (void *)(uintptr_t)SW_VA;
	return sched_op(v, SCHEDOP_poll, &op, sizeof(op));
}

/* It is known that @v polls, but it does not sleep yet. */
static bool about_to_sleep(void)
{
	return v->sched.poll_port && !d->event.lock.held;
}

static bool raise_debug(void)
{
	if (!about_to_sleep())
		return false;
	evtchn_raise_virq(v, VIRQ_DEBUG);
	return true;
}

/* As vcpu_unblock() does for a poll before this one, when it comes that late. */
static bool end_some_poll(void)
{
	if (!about_to_sleep())
		return false;
	v->sched.poll_port = 0;
	return true;
}

/* Between the decision to sleep and the sleep (the timer is set there) nothing that happens may be slept through. */
static void polls_see_what_comes_between(void **state)
{
	(void)state;
	bind_debug();
	sw_run(v);
	v->gate.vcpu_info->evtchn_upcall_mask = 0;
	tp.between = raise_debug;
	assert_int_equal(poll_ports(NULL, 0, time_now() + 1000000), 0);
	assert_null(tp.between);
	assert_true(vcpu_upcall_pending(v));
	assert_int_equal(v->sched.pause_flags, 0);

	v->gate.vcpu_info->evtchn_upcall_mask = 1;
	tp.between = end_some_poll;
	assert_int_equal(poll_ports(NULL, 0, time_now() + 1000000), 0);
	assert_null(tp.between);
	assert_int_equal(v->sched.pause_flags, 0);
}

static void polls(void **state)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	uint32_t p[3];
	struct sched_poll bad = { .nr_ports = 129 };

	(void)state;
	sw_run(v);
	v->gate.vcpu_info->evtchn_upcall_mask = 1;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
			sw_op(v, do_event_channel_op, EVTCHNOP_bind_ipi, &ipi, sizeof(ipi)), 0);
		p[i] = ipi.port;
		bit_test_and_set(d->mm.shared_info->evtchn_mask, p[i]);
	}
	/* One port: that one wakes, masked as it is; others do not. */
	assert_int_equal(poll_ports(p, 1, 0), 0);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	ipi.port = p[1];
	assert_int_equal(sw_op(v, do_event_channel_op, EVTCHNOP_send, &ipi.port, 4), 0);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	ipi.port = p[0];
	assert_int_equal(sw_op(v, do_event_channel_op, EVTCHNOP_send, &ipi.port, 4), 0);
	assert_int_equal(v->sched.pause_flags, 0);
	assert_int_equal(v->sched.poll_port, 0);
	/* Pending already: no sleep. */
	assert_int_equal(poll_ports(p + 1, 2, 0), 0);
	assert_int_equal(v->sched.pause_flags, 0);
	memset(d->mm.shared_info->evtchn_pending, 0, sizeof(d->mm.shared_info->evtchn_pending));
	/* Several: any of them. */
	assert_int_equal(poll_ports(p, 3, 0), 0);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	ipi.port = p[2];
	assert_int_equal(sw_op(v, do_event_channel_op, EVTCHNOP_send, &ipi.port, 4), 0);
	assert_int_equal(v->sched.pause_flags, 0);
	memset(d->mm.shared_info->evtchn_pending, 0, sizeof(d->mm.shared_info->evtchn_pending));
	/* The time-out, with and without ports; a stale one does not disturb the next poll. */
	assert_int_equal(poll_ports(p, 1, time_now() + 1000000), 0);
	tp.tsc += 900000;
	timers_run();
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	tp.tsc += 200000;
	timers_run();
	assert_int_equal(v->sched.pause_flags, 0);
	assert_int_equal(poll_ports(p, 0, time_now() + 1000000), 0);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	vcpu_unblock(v);
	assert_int_equal(poll_ports(p, 0, time_now() + 5000000), 0);
	tp.tsc += 2000000;
	timers_run();
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	tp.tsc += 4000000;
	timers_run();
	assert_int_equal(v->sched.pause_flags, 0);
	/* Refusals leave it running. */
	assert_int_equal(sched_op(v, SCHEDOP_poll, &bad, sizeof(bad)), -XEN_EINVAL);
	bad.nr_ports = 1;
	bad.ports.p = (void *)(uintptr_t)0x1000;
	assert_int_equal(sched_op(v, SCHEDOP_poll, &bad, sizeof(bad)), -XEN_EFAULT);
	p[0] = 3000;
	assert_int_equal(poll_ports(p, 1, 0), -XEN_EINVAL);
	assert_int_equal(v->sched.pause_flags, 0);
	/* An upcall it could take: no sleep. */
	v->gate.vcpu_info->evtchn_upcall_mask = 0;
	v->gate.vcpu_info->evtchn_upcall_pending = 1;
	assert_int_equal(poll_ports(p + 1, 1, 0), 0);
	assert_int_equal(v->sched.pause_flags, 0);
}

/* ---- the end ---- */

static struct domain *other;

static void shut_down(struct vcpu *on, struct trap *t)
{
	struct sched_shutdown op = { .reason = SHUTDOWN_reboot };

	(void)t;
	if (on->domain == other && ++rounds == 5)
		assert_int_equal(sched_op(on, SCHEDOP_shutdown, &op, sizeof(op)), 0);
	else
		assert_int_equal(sched_op(on, SCHEDOP_yield, &op, 0), 0);
	assert_true(rounds <= 5);
	if (on->domain == d) {
		spend(on, 1000);
		if (ran_ns[d->id][0] == 50000)
			core_stop();
	}
}

static void shutdown_is_reported_once(void **state)
{
	(void)state;
	other = sw_domain(2);
	sw_run(v);
	sw_run(other->vcpu[0]);
	sw_run(other->vcpu[1]);
	loop(shut_down, stop);
	assert_int_equal(tp.calls[TP_SHUTDOWN], 1);
	assert_int_equal(testplat_last(TP_SHUTDOWN)->arg[0], other->id);
	assert_int_equal(testplat_last(TP_SHUTDOWN)->arg[1], SHUTDOWN_reboot);
	assert_int_equal(other->vcpu[1]->time.runstate, RUNSTATE_offline);
}

static void power_off(struct vcpu *on, struct trap *t)
{
	struct sched_shutdown op = { .reason = SHUTDOWN_poweroff };

	(void)t;
	rounds++;
	assert_int_equal(sched_op(on, SCHEDOP_shutdown, &op, sizeof(op)), 0);
}

static void last_shutdown_leaves_the_loop_idle(void **state)
{
	(void)state;
	sw_run(v);
	loop(power_off, stop);
	assert_int_equal(rounds, 1);
	assert_int_equal(tp.calls[TP_SHUTDOWN], 1);
	assert_ptr_equal((void *)(uintptr_t)testplat_last(TP_SWITCH)->arg[1],
			 NULL); /* nothing of it is held */
}

static void shutdown_codes(void **state)
{
	struct sched_shutdown op = { .reason = SHUTDOWN_crash };
	struct sched_remote_shutdown remote = { .domain_id = 42 };
	struct sched_pin_override pin = { .pcpu = 0 };

	(void)state;
	op.reason = SHUTDOWN_MAX + 1;
	assert_int_equal(sched_op(v, SCHEDOP_shutdown, &op, sizeof(op)), -XEN_EINVAL);
	assert_int_equal(sched_op(v, SCHEDOP_shutdown_code, &op, sizeof(op)), -XEN_EINVAL);
	op.reason = SHUTDOWN_suspend;
	assert_int_equal(sched_op(v, SCHEDOP_shutdown_code, &op, sizeof(op)), 0);
	op.reason = SHUTDOWN_crash;
	assert_int_equal(sched_op(v, SCHEDOP_shutdown_code, &op, sizeof(op)),
			 0); /* the first counts */
	assert_int_equal(sched_op(v, SCHEDOP_remote_shutdown, &remote, sizeof(remote)), -XEN_ESRCH);
	remote.domain_id = d->id;
	assert_int_equal(sched_op(v, SCHEDOP_remote_shutdown, &remote, sizeof(remote)), -XEN_EPERM);
	assert_int_equal(sched_op(v, SCHEDOP_pin_override, &pin, sizeof(pin)), -XEN_EPERM);
	assert_int_equal(sched_op(v, 99, &pin, sizeof(pin)), -XEN_ENOSYS);
	assert_int_equal(sw_call(v, do_sched_op_compat, SCHEDOP_poll, 0, 0), -XEN_ENOSYS);
	assert_int_equal(d->state, DOM_RUNNING);
	assert_int_equal(sw_call(v, do_sched_op_compat, SCHEDOP_shutdown, SHUTDOWN_poweroff, 0), 0);
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(d->shutdown_reason, SHUTDOWN_suspend);
}

static void watchdogs(void **state)
{
	struct sched_watchdog op = { .id = 0, .timeout = 30 };

	(void)state;
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), 1);
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), 2);
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), -XEN_ENOSPC);
	op.id = 3;
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), -XEN_EINVAL);
	op.id = 2;
	op.timeout = 0;
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), 0);
	assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), -XEN_EINVAL);
	op.id = 1;
	op.timeout = 30;
	for (unsigned i = 0; i < 5; i++) {
		tp.tsc += 29 * NSEC_PER_SEC;
		timers_run();
		assert_int_equal(d->state, DOM_RUNNING);
		assert_int_equal(sched_op(v, SCHEDOP_watchdog, &op, sizeof(op)), 0);
	}
	tp.tsc += 31 * NSEC_PER_SEC;
	timers_run();
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(d->shutdown_reason, SHUTDOWN_watchdog);
}

/* ---- up and down ---- */

static void up_and_down(void **state)
{
	(void)state;
	sw_run(v);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(sw_vcpu_op(v, VCPUOP_is_up, i, NULL, 0), 0);
		assert_int_equal(sw_vcpu_op(v, VCPUOP_up, i, NULL, 0),
				 -XEN_EINVAL); /* has no context */
	}
	assert_int_equal(sw_vcpu_op(v, VCPUOP_is_up, 0, NULL, 0), 1);
	for (unsigned i = 3; i < 8192; i++)
		assert_int_equal(sw_vcpu_op(v, VCPUOP_is_up, i, NULL, 0), -XEN_ENOENT);
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_is_up, UINT64_C(1) << 32, 0), -XEN_ENOENT);
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, 0x1000), -XEN_EFAULT);

	d->vcpu[1]->initialised = true;
	vcpu_wake(d->vcpu[1], VPF_PAUSED);
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, SW_VA), -XEN_EEXIST);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_up, 1, NULL, 0), 0);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_is_up, 1, NULL, 0), 1);
	assert_int_equal(d->vcpu[1]->time.runstate, RUNSTATE_runnable);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_down, 1, NULL, 0), 0);
	assert_int_equal(d->vcpu[1]->time.runstate, RUNSTATE_offline);
	assert_ptr_equal(sched_pick(), v);
	assert_int_equal(d->state, DOM_RUNNING);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_down, 0, NULL, 0), 0); /* the last one */
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(d->shutdown_reason, SHUTDOWN_poweroff);
}

/* What a kernel does to start another of its virtual CPUs. */
static void started_by_another(void **state)
{
	struct vcpu_guest_context *ctx = sw_ptr(d, SW_VA);
	static struct vcpu_guest_context c;
	size_t first = PAGE_SIZE;

	(void)state;
	assert_true(sizeof(c) > PAGE_SIZE);
	sw_run(v);
	c.flags = VGCF_in_kernel;
	c.user_regs.rip = SW_VA;
	c.user_regs.rsp = c.kernel_sp = SW_VA + PAGE_SIZE;
	c.user_regs.cs = FLAT_KERNEL_CS;
	c.user_regs.ss = c.kernel_ss = FLAT_KERNEL_SS;
	c.user_regs.rflags = 0x202;
	c.ctrlreg[3] = v->gate.cr3_kernel + PAGE_SIZE * 4096; /* beyond the machine */
	memcpy(ctx, &c, first);
	memcpy(sw_ptr(d, SW_VA + first), (char *)&c + first, sizeof(c) - first);
	assert_int_not_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, SW_VA), 0);
	assert_false(d->vcpu[1]->initialised);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_up, 1, NULL, 0), -XEN_EINVAL);

	c.ctrlreg[3] = v->gate.cr3_kernel;
	memcpy(ctx, &c, first);
	memcpy(sw_ptr(d, SW_VA + first), (char *)&c + first, sizeof(c) - first);
	mm_drop_bases(d->vcpu[1]); /* what smallworld gave it */
	vcpu_wake(d->vcpu[1], VPF_PAUSED);
	/* Another virtual CPU is at it: this one must keep its hands off what may be running in a moment. */
	d->vcpu[1]->initialising = true;
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, SW_VA), -XEN_EBUSY);
	assert_int_equal(d->vcpu[1]->gate.cr3_kernel, 0);
	d->vcpu[1]->initialising = false;
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, SW_VA), 0);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_is_up, 1, NULL, 0), 0);
	assert_int_equal(d->vcpu[1]->gate.regs.rip, SW_VA);
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_initialise, 1, SW_VA), -XEN_EEXIST);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_up, 1, NULL, 0), 0);
	assert_int_equal(sched_op(v, SCHEDOP_block, &rounds, 0), 0);
	assert_ptr_equal(sched_pick(), d->vcpu[1]);
}

static void odd_vcpu_ops(void **state)
{
	struct vcpu_get_physid id;

	(void)state;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_get_physid, 0, &id, sizeof(id)), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_vcpu_op, VCPUOP_send_nmi, 0, SW_VA), -XEN_EINVAL);
	assert_false(v->arch.nmi_pending);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_send_nmi, 0, NULL, 0), 0);
	assert_true(v->arch.nmi_pending);
	assert_int_equal(sw_vcpu_op(v, 99, 0, NULL, 0), -XEN_ENOSYS);
}

static void nmi_ends_a_block(void **state)
{
	(void)state;
	sw_run(v);
	assert_int_equal(sched_op(v, SCHEDOP_block, &rounds, 0), 0);
	assert_int_equal(v->sched.pause_flags, VPF_BLOCKED);
	assert_int_equal(sw_vcpu_op(d->vcpu[1], VCPUOP_send_nmi, 0, NULL, 0), 0);
	assert_int_equal(v->sched.pause_flags, 0);
	/* With one pending there is no sleep. */
	assert_int_equal(sched_op(v, SCHEDOP_block, &rounds, 0), 0);
	assert_int_equal(v->sched.pause_flags, 0);
}

/*
 * Random sleeps and wakes: on the queue exactly while runnable, and time accounts for everything.
 */
static void flags_and_queue_agree(void **state)
{
	static const uint32_t flags[] = { VPF_DOWN, VPF_BLOCKED, VPF_PAUSED };
	uint64_t begin[3];

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 3; i++)
		begin[i] = d->vcpu[i]->time.runstate_entry;
	for (unsigned step = 0; step < 100000; step++) {
		struct vcpu *x = d->vcpu[rand() % 3];
		uint32_t flag = flags[rand() % 3];
		struct vcpu *picked;

		if (rand() % 2)
			vcpu_sleep(x, flag);
		else
			vcpu_wake(x, flag);
		if (rand() % 10 == 0)
			sched_yield_vcpu(x);
		picked = sched_pick();
		for (unsigned i = 0; i < 3; i++) {
			struct vcpu *y = d->vcpu[i];

			assert_true(y->sched.queued == !y->sched.pause_flags);
			assert_int_equal(y->time.runstate, vcpu_idle_runstate(y));
			if (!picked)
				assert_true(y->sched.pause_flags);
		}
		if (picked)
			assert_int_equal(picked->sched.pause_flags, 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct vcpu_time *t = &d->vcpu[i]->time;

		assert_true(t->runstate_ns[0] + t->runstate_ns[1] + t->runstate_ns[2] +
				    t->runstate_ns[3] ==
			    t->runstate_entry - begin[i]);
	}
}

/* A domain may be destroyed while its virtual CPU is the one the CPU works for. */
static void destroy_other(void)
{
	if (other && rounds == 3) {
		domain_pause(other);
		other->state = DOM_SHUTDOWN;
		for (unsigned i = 0; i < other->max_vcpus; i++)
			cpu_unload(other->vcpu[i]);
		other = NULL;
	}
}

static void only_counts(struct vcpu *on, struct trap *t)
{
	(void)t;
	if (rounds >= 3)
		assert_ptr_equal(on->domain, d);
	if (++rounds == 6)
		core_stop();
}

static void taken_away_between_rounds(void **state)
{
	(void)state;
	other = sw_domain(1);
	sw_run(other->vcpu[0]);
	sw_run(v);
	tp.poll = destroy_other;
	loop(only_counts, stop);
	assert_null(other);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(three_share_alike),
		T(alone_is_left_alone),
		T(yield_lets_the_others_run),
		T(blocks_until_an_event),
		T(block_sees_what_is_pending),
		T(masked_channel_does_not_wake),
		T(polls), T(polls_see_what_comes_between),
		T(shutdown_is_reported_once),
		T(last_shutdown_leaves_the_loop_idle),
		T(shutdown_codes),
		T(watchdogs),
		T(up_and_down),
		T(started_by_another),
		T(odd_vcpu_ops),
		T(nmi_ends_a_block),
		T(flags_and_queue_agree),
		T(taken_away_between_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
