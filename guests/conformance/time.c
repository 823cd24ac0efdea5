/* SPDX-License-Identifier: MIT */
/* System time, wall clock, timers and runstates (xen/xen.h, xen/vcpu.h). */
#include "guest.h"

const char guest_topic[] = "time";

#define MS UINT64_C(1000000)

static struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };
static volatile unsigned ticks;
static volatile uint64_t first_tick, last_tick;

static void tick(uint32_t port)
{
	if (port != virq.port)
		return;
	last_tick = system_time();
	if (!ticks++)
		first_tick = last_tick;
}

static void forget(void)
{
	ticks = 0;
	first_tick = last_tick = 0;
}

static void test_clock(void)
{
	volatile struct vcpu_time_info *t = &vcpu_info(0)->time;
	uint64_t last = system_time(), now, start = last, tsc = rdtsc();
	unsigned backwards = 0, odd = 0;

	check(t->tsc_to_system_mul, "the scale is set", "0");
	for (unsigned i = 0; i < 200000; i++) {
		now = system_time();
		backwards += now < last;
		odd += t->version & 1;
		last = now;
	}
	check(!backwards, "system time never goes back", "%u times", backwards);
	check(!odd, "the version is even while the guest runs", "%u times odd", odd);
	check(now > start && rdtsc() > tsc, "it goes on", "%lu ns", now - start);
}

static void test_wallclock(void)
{
	uint64_t sec = shared->wc_sec | (uint64_t)shared->wc_sec_hi << 32;
	uint64_t now = sec + system_time() / 1000000000;

	check(!(shared->wc_version & 1), "the wall clock's version is even", "%u",
	      shared->wc_version);
	check(shared->wc_nsec < 1000000000, "its nanoseconds are some", "%u", shared->wc_nsec);
	/* 2024-01-01 to 2100: the machine's clock is right enough. */
	check(now > 1704067200 && now < UINT64_C(4102444800), "it says this century", "%lu", now);
}

static void test_timer_op(void)
{
	uint64_t start;

	forget();
	start = system_time();
	check_eq("set_timer_op", HC1(set_timer_op, start + 10 * MS), 0);
	delay(50 * MS);
	check(ticks == 1 && first_tick >= start + 10 * MS, "... fires once, in time",
	      "%u times, after %lu ns", ticks, first_tick - start);
	for (unsigned try = 0; try < 10;
	     try++) { /* a busy machine may be late with the second call */
		forget();
		start = system_time();
		HC1(set_timer_op, start + 10 * MS);
		HC1(set_timer_op, 0);
		if (system_time() < start + 10 * MS)
			break;
	}
	delay(30 * MS);
	check_eq("zero stops it", ticks, 0);
	forget();
	HC1(set_timer_op, system_time() + 500 * MS);
	start = system_time();
	HC1(set_timer_op, start + 5 * MS);
	delay(20 * MS);
	check_eq("a new deadline replaces the old one", ticks, 1);
	forget();
	HC1(set_timer_op, 1);
	delay(5 * MS);
	check_eq("one in the past fires at once", ticks, 1);
}

static void test_singleshot(void)
{
	struct vcpu_set_singleshot_timer t = { 0 };
	uint64_t start = system_time();
	long rc;

	forget();
	t.timeout_abs_ns = start + 10 * MS;
	check_eq("set_singleshot_timer", hc_vcpu_op(VCPUOP_set_singleshot_timer, 0, &t), 0);
	delay(40 * MS);
	check(ticks == 1 && first_tick >= start + 10 * MS, "... fires once, in time", "%u times",
	      ticks);
	for (unsigned try = 0; try < 10; try++) {
		forget();
		t.timeout_abs_ns = system_time() + 10 * MS;
		hc_vcpu_op(VCPUOP_set_singleshot_timer, 0, &t);
		rc = hc_vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL);
		if (system_time() < t.timeout_abs_ns)
			break;
	}
	check_eq("stop_singleshot_timer", rc, 0);
	delay(20 * MS);
	check_eq("... stops it", ticks, 0);
	t.timeout_abs_ns = system_time() - MS;
	t.flags = VCPU_SSHOTTMR_future;
	rc = hc_vcpu_op(VCPUOP_set_singleshot_timer, 0, &t);
	check(!rc || rc == -XEN_ETIME, "a past one fires at once, or is refused on request",
	      "returned %ld", rc);
	delay(5 * MS);
	check_eq("... as it said", ticks, !rc);
	check_eq("one from nowhere",
		 hc_vcpu_op(VCPUOP_set_singleshot_timer, 0, (void *)va_reserve(1)),
		 (uint64_t)-XEN_EFAULT);
	check_eq("one of no virtual CPU", hc_vcpu_op(VCPUOP_set_singleshot_timer, 999, &t),
		 (uint64_t)-XEN_ENOENT);
}

static void test_periodic(void)
{
	struct vcpu_set_periodic_timer t = { .period_ns = 10 * MS };
	uint64_t start = system_time();

	forget();
	check_eq("set_periodic_timer", hc_vcpu_op(VCPUOP_set_periodic_timer, 0, &t), 0);
	while (ticks < 10 && system_time() < start + 2000 * MS)
		hc_sched_op(SCHEDOP_yield, NULL);
	check(ticks >= 10 && last_tick - start >= 85 * MS, "... ten ticks take a hundred ms",
	      "%u ticks in %lu ns", ticks, last_tick - start);
	check_eq("stop_periodic_timer", hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
	delay(5 * MS);
	forget();
	delay(50 * MS);
	check_eq("... stops it", ticks, 0);
	t.period_ns = 1000;
	check_eq("a period of 1 us is refused", hc_vcpu_op(VCPUOP_set_periodic_timer, 0, &t),
		 (uint64_t)-XEN_EINVAL);
}

static uint64_t sum(const volatile struct vcpu_runstate_info *r)
{
	return r->time[0] + r->time[1] + r->time[2] + r->time[3];
}

static void test_runstate(void)
{
	static struct vcpu_runstate_info area;
	struct vcpu_register_runstate_memory_area reg;
	struct vcpu_runstate_info info;
	uint64_t blocked, now;

	set_xen_guest_handle(reg.addr.h, &area);
	check_eq("register_runstate_memory_area",
		 hc_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg), 0);
	check_eq("... the area says running", area.state, RUNSTATE_running);
	/* On a busy machine most of that time may be over before it sleeps. */
	for (unsigned try = 0; try < 20; try++) {
		blocked = area.time[RUNSTATE_blocked];
		upcalls_off();
		HC1(set_timer_op, system_time() + 30 * MS);
		hc_sched_op(SCHEDOP_block, NULL);
		now = system_time();
		if (area.time[RUNSTATE_blocked] >= blocked + 20 * MS)
			break;
	}
	check(area.time[RUNSTATE_blocked] >= blocked + 20 * MS, "time asleep counts as blocked",
	      "%lu ns", area.time[RUNSTATE_blocked] - blocked);
	check(sum(&area) <= now, "the states' times add up to the past", "%lu of %lu ns",
	      sum(&area), now);
	check_eq("get_runstate_info", hc_vcpu_op(VCPUOP_get_runstate_info, 0, &info), 0);
	check(info.state == RUNSTATE_running && sum(&info) >= sum(&area), "... agrees",
	      "state %d, %lu and %lu ns", info.state, sum(&info), sum(&area));
}

static void test_time_area(void)
{
	static struct vcpu_time_info area;
	struct vcpu_register_time_memory_area reg;
	long rc;

	set_xen_guest_handle(reg.addr.h, &area);
	rc = hc_vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &reg);
	if (rc == -XEN_ENOSYS) {
		skip("register_vcpu_time_memory_area", "not offered");
		return;
	}
	check_eq("register_vcpu_time_memory_area", rc, 0);
	check(area.tsc_to_system_mul == vcpu_info(0)->time.tsc_to_system_mul && !(area.version & 1),
	      "... has the same scale", "0x%x, version %u", area.tsc_to_system_mul, area.version);
}

/* The arithmetic flags behind VCPUOP_is_up of a virtual CPU that does not exist, entered with @flags. */
static uint64_t flags_after_is_up(uint64_t flags)
{
	uint64_t rax = __HYPERVISOR_vcpu_op, rdi = VCPUOP_is_up, rsi = 999;

	__asm__ volatile("push %[flags]\n popf\n syscall\n pushf\n pop %[flags]"
			 : [flags] "+r"(flags), "+a"(rax), "+D"(rdi), "+S"(rsi)
			 :
			 : "rcx", "r11", "memory", "cc");
	return flags & 0x8d5;
}

static void test_vcpu_ops(void)
{
	check_eq("virtual CPU 0 is up", hc_vcpu_op(VCPUOP_is_up, 0, NULL), 1);
	check_eq("there is no number 999", hc_vcpu_op(VCPUOP_is_up, 999, NULL),
		 (uint64_t)-XEN_ENOENT);
	check_eq("... and the flags stay", flags_after_is_up(0x8d5), 0x8d5);
	check_eq("... whatever they are", flags_after_is_up(0), 0);
	check_eq("an unknown operation", hc_vcpu_op(99, 0, NULL), (uint64_t)-XEN_ENOSYS);
}

void guest_main(void)
{
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	event_hook = tick;
	if (hc_event_channel_op(EVTCHNOP_bind_virq, &virq))
		panic("VIRQ_TIMER cannot be bound");
	event_unmask(virq.port);
	upcalls_on();
	test_clock();
	test_wallclock();
	test_timer_op();
	test_singleshot();
	test_periodic();
	test_runstate();
	test_time_area();
	test_vcpu_ops();
}
