/* SPDX-License-Identifier: MIT */
/*
 * Two-level event channels: every kind of port, exactly-once delivery, masks, polling
 * (xen/event_channel.h).
 */
#include "guest.h"

const char guest_topic[] = "events";

static unsigned hits[4096];

static void count(uint32_t port)
{
	hits[port]++;
}

static uint32_t ipi(void)
{
	struct evtchn_bind_ipi op = { .vcpu = 0 };
	long rc = hc_event_channel_op(EVTCHNOP_bind_ipi, &op);

	if (rc)
		panic("bind_ipi: %ld", rc);
	return op.port;
}

static long send(uint32_t port)
{
	struct evtchn_send op = { .port = port };

	return hc_event_channel_op(EVTCHNOP_send, &op);
}

static long close(uint32_t port)
{
	struct evtchn_close op = { .port = port };

	return hc_event_channel_op(EVTCHNOP_close, &op);
}

static unsigned status(uint32_t port)
{
	struct evtchn_status op = { .dom = DOMID_SELF, .port = port };
	long rc = hc_event_channel_op(EVTCHNOP_status, &op);

	return rc ? 1000u : op.status;
}

static bool pending(uint32_t port)
{
	return READ_ONCE(shared->evtchn_pending[port / 64]) >> (port % 64) & 1;
}

static void test_ipi(void)
{
	uint32_t port = ipi();

	check(port > 0 && port < 4096, "bind_ipi", "port %u", port);
	check_eq("its status", status(port), EVTCHNSTAT_ipi);
	event_unmask(port);
	upcalls_on();
	check_eq("send", send(port), 0);
	check_eq("arrives once", hits[port], 1);
	upcalls_off();
	send(port);
	send(port);
	check_eq("masked upcalls: nothing arrives", hits[port], 1);
	check_eq("... upcall pending is set", vcpu_info(0)->evtchn_upcall_pending, 1);
	check_eq("... and the port's bit", pending(port), 1);
	upcalls_on();
	check_eq("... two sends arrive as one", hits[port], 2);
	check_eq("... and the bit is clear", pending(port), 0);
	event_mask(port);
	send(port);
	check(hits[port] == 2 && pending(port), "a masked port only becomes pending", "%u hits",
	      hits[port]);
	event_unmask(port);
	check_eq("... unmasking delivers it", hits[port], 3);
	check_eq("close", close(port), 0);
	check_eq("... then it is closed", status(port), EVTCHNSTAT_closed);
	check_eq("... and cannot be sent on", send(port), (uint64_t)-XEN_EINVAL);
	check_eq("... or closed again", close(port), (uint64_t)-XEN_EINVAL);
}

static void test_upcall_frame(void)
{
	uint32_t port = ipi();
	uint64_t before;

	/*
	 * Pending while masked; opening the mask by hand does not deliver, the next hypercall does.
	 */
	event_unmask(port);
	upcalls_off();
	send(port);
	before = event_upcalls;
	READ_ONCE(vcpu_info(0)->evtchn_upcall_mask) = 0;
	HC2(xen_version, XENVER_version, 0);
	check_eq("an open mask delivers at the next entry", event_upcalls, before + 1);
	check_eq("upcalls are open behind it", vcpu_info(0)->evtchn_upcall_mask, 0);
	close(port);
}

static void test_many(void)
{
	static uint32_t port[300];
	unsigned wrong = 0;

	upcalls_on();
	for (unsigned i = 0; i < ARRAY_SIZE(port); i++) {
		port[i] = ipi();
		hits[port[i]] = 0;
		event_unmask(port[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(port); i++)
		send(port[i]);
	upcalls_off();
	for (unsigned i = 0; i < ARRAY_SIZE(port); i++)
		send(port[(i * 7) % ARRAY_SIZE(port)]);
	upcalls_on();
	for (unsigned i = 0; i < ARRAY_SIZE(port); i++) {
		wrong += hits[port[i]] != 2;
		close(port[i]);
	}
	check(!wrong, "300 ports, each event exactly once", "%u ports wrong", wrong);
}

static void test_virq(void)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_TIMER, .vcpu = 0 };

	check_eq("bind_virq", hc_event_channel_op(EVTCHNOP_bind_virq, &op), 0);
	check_eq("its status", status(op.port), EVTCHNSTAT_virq);
	check_eq("a second time", hc_event_channel_op(EVTCHNOP_bind_virq, &op),
		 (uint64_t)-XEN_EEXIST);
	check_eq("close", close(op.port), 0);
	check_eq("then it can be bound again", hc_event_channel_op(EVTCHNOP_bind_virq, &op), 0);
	close(op.port);
	op.virq = 99;
	check_eq("a virq that is none", hc_event_channel_op(EVTCHNOP_bind_virq, &op),
		 (uint64_t)-XEN_EINVAL);
	op = (struct evtchn_bind_virq){ .virq = VIRQ_TIMER, .vcpu = 999 };
	check_eq("a virtual CPU that is none", hc_event_channel_op(EVTCHNOP_bind_virq, &op),
		 (uint64_t)-XEN_ENOENT);
}

static void test_interdomain(void)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
	uint32_t a, b;

	check_eq("alloc_unbound", hc_event_channel_op(EVTCHNOP_alloc_unbound, &alloc), 0);
	a = alloc.port;
	check_eq("its status", status(a), EVTCHNSTAT_unbound);
	check_eq("sending on it is dropped", send(a), 0);
	bind.remote_port = a;
	check_eq("bind_interdomain", hc_event_channel_op(EVTCHNOP_bind_interdomain, &bind), 0);
	b = bind.local_port;
	check(status(a) == EVTCHNSTAT_interdomain && status(b) == EVTCHNSTAT_interdomain,
	      "both are interdomain", "%u %u", status(a), status(b));
	hits[a] = hits[b] = 0;
	event_unmask(a);
	event_unmask(b);
	upcalls_on();
	hits[a] = hits[b] = 0;
	send(a);
	check(hits[a] == 0 && hits[b] == 1, "a sends to b", "%u %u", hits[a], hits[b]);
	send(b);
	check(hits[a] == 1 && hits[b] == 1, "b sends to a", "%u %u", hits[a], hits[b]);
	check(hc_event_channel_op(EVTCHNOP_bind_interdomain, &bind) < 0,
	      "a bound port cannot be bound", "done");
	close(b);
	check_eq("closing one leaves the other unbound", status(a), EVTCHNSTAT_unbound);
	close(a);
	bind.remote_port = 4095;
	check_eq("binding to a port that is none",
		 hc_event_channel_op(EVTCHNOP_bind_interdomain, &bind), (uint64_t)-XEN_EINVAL);
	alloc.dom = 0x7777;
	check(hc_event_channel_op(EVTCHNOP_alloc_unbound, &alloc) < 0, "alloc_unbound for nobody",
	      "done");
}

static void test_errors(void)
{
	struct evtchn_bind_vcpu bind = { .vcpu = 0 };
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_ipi bad_ipi = { .vcpu = 999 };
	struct evtchn_bind_pirq pirq = { .pirq = 9 };

	check_eq("send on port 0", send(0), (uint64_t)-XEN_EINVAL);
	check_eq("send on a port that is none", send(100000000), (uint64_t)-XEN_EINVAL);
	check_eq("bind_ipi of no virtual CPU", hc_event_channel_op(EVTCHNOP_bind_ipi, &bad_ipi),
		 (uint64_t)-XEN_ENOENT);
	bind.port = ipi();
	check_eq("an ipi stays where it is", hc_event_channel_op(EVTCHNOP_bind_vcpu, &bind),
		 (uint64_t)-XEN_EINVAL);
	close(bind.port);
	hc_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
	bind.port = alloc.port;
	check_eq("bind_vcpu", hc_event_channel_op(EVTCHNOP_bind_vcpu, &bind), 0);
	bind.vcpu = 999;
	check_eq("... to no virtual CPU", hc_event_channel_op(EVTCHNOP_bind_vcpu, &bind),
		 (uint64_t)-XEN_ENOENT);
	close(alloc.port);
	if (start_info->flags & SIF_INITDOMAIN)
		skip("bind_pirq is refused", "the initial domain may");
	else
		check(hc_event_channel_op(EVTCHNOP_bind_pirq, &pirq) < 0, "bind_pirq is refused",
		      "bound");
	check_eq("an unknown operation", hc_event_channel_op(77, &pirq), (uint64_t)-XEN_ENOSYS);
	check_eq("an operation from nowhere",
		 hc_event_channel_op(EVTCHNOP_send, (void *)va_reserve(1)), (uint64_t)-XEN_EFAULT);
}

static void test_poll(void)
{
	uint32_t port = ipi(), bad = 100000000;
	struct sched_poll poll = { .nr_ports = 1 };
	uint64_t start;

	set_xen_guest_handle(poll.ports, &port);
	upcalls_off();
	send(port);
	check_eq("poll returns when a port is pending", hc_sched_op(SCHEDOP_poll, &poll), 0);
	check_eq("... and leaves it pending", pending(port), 1);
	shared->evtchn_pending[port / 64] = 0;
	start = system_time();
	poll.timeout = start + 20000000;
	check_eq("poll with a timeout", hc_sched_op(SCHEDOP_poll, &poll), 0);
	check(system_time() >= start + 20000000, "... waits for it", "%lu ns only",
	      system_time() - start);
	poll.timeout = system_time() - 1;
	check_eq("poll with a timeout in the past", hc_sched_op(SCHEDOP_poll, &poll), 0);
	poll.nr_ports = 1000;
	check_eq("too many ports", hc_sched_op(SCHEDOP_poll, &poll), (uint64_t)-XEN_EINVAL);
	poll.nr_ports = 1;
	set_xen_guest_handle(poll.ports, &bad);
	check_eq("a port that is none", hc_sched_op(SCHEDOP_poll, &poll), (uint64_t)-XEN_EINVAL);
	close(port);
	upcalls_on();
}

static void test_block(void)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };
	uint64_t start;

	hc_event_channel_op(EVTCHNOP_bind_virq, &virq);
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	event_unmask(virq.port);
	upcalls_on();
	hits[virq.port] = 0;
	upcalls_off();
	start = system_time();
	HC1(set_timer_op, start + 20000000);
	hc_sched_op(SCHEDOP_block, NULL);
	check(hits[virq.port] == 1 && system_time() >= start + 20000000, "block waits for an event",
	      "%u hits after %lu ns", hits[virq.port], system_time() - start);
	check_eq("... and opens upcalls", vcpu_info(0)->evtchn_upcall_mask, 0);
	close(virq.port);
}

static void test_vcpu_info(void)
{
	struct vcpu_register_vcpu_info reg;
	struct vcpu_info *area = page_alloc();
	uint32_t port = ipi();

	event_unmask(port);
	reg.mfn = virt_to_mfn(area);
	reg.rsvd = 0;
	reg.offset = 4090;
	check_eq("vcpu_info across a page end is refused",
		 hc_vcpu_op(VCPUOP_register_vcpu_info, 0, &reg), (uint64_t)-XEN_ENXIO);
	upcalls_off(); /* everything is marked pending in the new place */
	reg.offset = 128;
	check_eq("vcpu_info moves", hc_vcpu_op(VCPUOP_register_vcpu_info, 0, &reg), 0);
	vcpu_info0 = (void *)((uint64_t)area + 128);
	check(vcpu_info0->time.tsc_to_system_mul, "... with its time", "no scale");
	check(hc_vcpu_op(VCPUOP_register_vcpu_info, 0, &reg) < 0, "... once", "a second time");
	upcalls_on();
	hits[port] = 0;
	send(port);
	check_eq("... and upcalls come through it", hits[port], 1);
	close(port);
}

static void test_reset(void)
{
	struct evtchn_reset reset = { .dom = DOMID_SELF };
	uint32_t port = ipi();

	check_eq("reset", hc_event_channel_op(EVTCHNOP_reset, &reset), 0);
	check_eq("... closes all ports", status(port), EVTCHNSTAT_closed);
	port = ipi();
	hits[port] = 0;
	event_unmask(port);
	hits[port] = 0;
	send(port);
	check_eq("... and new ones work", hits[port], 1);
}

void guest_main(void)
{
	event_hook = count;
	test_ipi();
	test_upcall_frame();
	test_many();
	test_virq();
	test_interdomain();
	test_errors();
	test_poll();
	test_block();
	test_vcpu_info();
	test_reset();
}
