/* SPDX-License-Identifier: MIT */
/*
 * The timers of a virtual CPU: a one-shot one, a periodic one that ticks while it runs (both raise
 * VIRQ_TIMER), and the time-out of SCHEDOP_poll.
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xen/vcpu.h>

/* Every PV virtual CPU starts with a 100 Hz tick; modern kernels turn it off. */
#define DEFAULT_PERIOD_NS (10 * NSEC_PER_MSEC)

static void singleshot_fired(struct timer *t)
{
	evtchn_raise_virq(container_of(t, struct vcpu, time.singleshot), VIRQ_TIMER);
}

static void poll_fired(struct timer *t)
{
	struct vcpu *v = container_of(t, struct vcpu, time.poll);

	if (READ_ONCE(v->sched.poll_port))
		vcpu_unblock(v);
}

/* Tick if a period has passed since the last tick; be back when the next one has. */
static void periodic_work(struct vcpu *v)
{
	/* Another virtual CPU may be changing them. */
	uint64_t now = time_now(), last = READ_ONCE(v->time.periodic_last), period = READ_ONCE(v->time.period_ns);

	if (!period)
		return;
	if (now >= last + period) {
		evtchn_raise_virq(v, VIRQ_TIMER);
		last = now;
		WRITE_ONCE(v->time.periodic_last, last);
	}
	timer_set(&v->time.periodic, last + period);
}

static void periodic_fired(struct timer *t)
{
	struct vcpu *v = container_of(t, struct vcpu, time.periodic);

	periodic_work(v);
}

void vcpu_time_init(struct vcpu *v)
{
	timer_init(&v->time.singleshot, singleshot_fired);
	timer_init(&v->time.periodic, periodic_fired);
	timer_init(&v->time.poll, poll_fired);
	v->time.period_ns = DEFAULT_PERIOD_NS;
	v->time.periodic_last = time_now();
	v->time.runstate = RUNSTATE_offline;
	v->time.runstate_entry = time_now();
}

void vcpu_time_destroy(struct vcpu *v)
{
	timer_kill(&v->time.singleshot);
	timer_kill(&v->time.periodic);
	timer_kill(&v->time.poll);
}

void time_set_singleshot(struct vcpu *v, uint64_t ns)
{
	if (ns <= time_now()) {
		timer_stop(&v->time.singleshot);
		evtchn_raise_virq(v, VIRQ_TIMER);
		return;
	}
	timer_set(&v->time.singleshot, ns);
}

/* Ticks nobody listens to are not worth an exit each: a booting kernel gets none. */
static void start_periodic(struct vcpu *v)
{
	if (READ_ONCE(v->time.period_ns) && READ_ONCE(v->sched.running) &&
	    READ_ONCE(v->event.virq_port[VIRQ_TIMER]))
		periodic_work(v);
}

void time_set_periodic(struct vcpu *v, uint64_t ns)
{
	timer_stop(&v->time.periodic);
	WRITE_ONCE(v->time.period_ns, ns);
	start_periodic(v);
}

void time_timer_bound(struct vcpu *v)
{
	start_periodic(v);
}

void time_sched_in(struct vcpu *v)
{
	start_periodic(v);
}

void time_sched_out(struct vcpu *v)
{
	timer_stop(&v->time.periodic);
}

/*
 * Kernels whose jiffies wrap ask for time-outs that look negative or weeks away while they have
 * work to do; others ask for them when they have none. A tick in 100 ms serves both.
 */
#define FAR_FUTURE_NS  (UINT64_C(1) << 50)
#define FAR_FUTURE_FIX (100 * NSEC_PER_MSEC)

long do_set_timer_op(struct vcpu *v, struct hypercall_args *a)
{
	uint64_t ns = a->arg[0], now = time_now();

	if (!ns)
		timer_stop(&v->time.singleshot);
	else if (ns >> 63 || (ns > now && ns - now >= FAR_FUTURE_NS))
		timer_set(&v->time.singleshot, now + FAR_FUTURE_FIX);
	else
		time_set_singleshot(v, ns);
	return 0;
}
