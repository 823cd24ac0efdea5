/* SPDX-License-Identifier: MIT */
/*
 * Event channels: every operation's results and refusals, the placing of vcpu_info, the switch to
 * the FIFO ABI. The random model tests are in test_event_model.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "../../core/event/evtchn.h"

static struct domain *d, *e;
static struct vcpu *v;

static int setup(void **state)
{
	(void)state;
	smallworld_start();
	d = sw_domain(3);
	e = sw_domain(1);
	v = d->vcpu[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	smallworld_stop();
	return 0;
}

#define OP(vcpu, cmd, arg) sw_op(vcpu, do_event_channel_op, EVTCHNOP_##cmd, &(arg), sizeof(arg))

static uint32_t ipi(uint32_t vcpu)
{
	struct evtchn_bind_ipi op = { .vcpu = vcpu };

	assert_int_equal(OP(v, bind_ipi, op), 0);
	return op.port;
}

static long send(uint32_t port)
{
	struct evtchn_send op = { port };

	return OP(v, send, op);
}

static long closes(uint32_t port)
{
	struct evtchn_close op = { port };

	return OP(v, close, op);
}

static long unmask(uint32_t port)
{
	struct evtchn_unmask op = { port };

	return OP(v, unmask, op);
}

static bool pending(struct domain *of, uint32_t port)
{
	return bit_test(of->mm.shared_info->evtchn_pending, port);
}

static struct evtchn_status status(uint32_t port)
{
	struct evtchn_status op = { .dom = DOMID_SELF, .port = port };

	assert_int_equal(OP(v, status, op), 0);
	return op;
}

/* The guest has looked: forget what is pending for vcpu @id. */
static void quiet(unsigned id)
{
	struct vcpu_info *info = d->vcpu[id]->gate.vcpu_info;

	info->evtchn_upcall_pending = 0;
	info->evtchn_pending_sel = 0;
	memset(d->mm.shared_info->evtchn_pending, 0, sizeof(d->mm.shared_info->evtchn_pending));
}

/* ---- binding ---- */

static void ipis(void **state)
{
	struct evtchn_bind_ipi op = { .vcpu = 3 };
	uint32_t p = ipi(1);

	(void)state;
	assert_int_equal(OP(v, bind_ipi, op), -XEN_ENOENT);
	assert_int_equal(send(p), 0);
	assert_true(pending(d, p));
	assert_int_equal(d->vcpu[1]->gate.vcpu_info->evtchn_upcall_pending, 1);
	assert_int_equal(d->vcpu[1]->gate.vcpu_info->evtchn_pending_sel, UINT64_C(1) << p / 64);
	assert_int_equal(v->gate.vcpu_info->evtchn_upcall_pending, 0);
	assert_int_equal(status(p).status, EVTCHNSTAT_ipi);
	assert_int_equal(status(p).vcpu, 1);
	assert_int_equal(closes(p), 0);
	assert_false(pending(d, p)); /* nothing is left for the next user */
	assert_int_equal(closes(p), -XEN_EINVAL);
	assert_int_equal(send(p), -XEN_EINVAL);
	assert_int_equal(unmask(p), -XEN_EINVAL);
	assert_int_equal(status(p).status, EVTCHNSTAT_closed);
	assert_int_equal(ipi(0), p); /* the lowest free port */
}

static void virqs(void **state)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_TIMER, .vcpu = 2 };
	struct evtchn_bind_vcpu move = { .vcpu = 1 };
	uint32_t p;

	(void)state;
	assert_int_equal(OP(v, bind_virq, op), 0);
	p = op.port;
	assert_int_equal(OP(v, bind_virq, op), -XEN_EEXIST);
	assert_int_equal(status(p).status, EVTCHNSTAT_virq);
	assert_int_equal(status(p).u.virq, VIRQ_TIMER);
	evtchn_raise_virq(d->vcpu[1], VIRQ_TIMER); /* not bound there */
	assert_false(pending(d, p));
	evtchn_raise_virq(d->vcpu[2], VIRQ_TIMER);
	assert_true(pending(d, p));
	assert_int_equal(d->vcpu[2]->gate.vcpu_info->evtchn_upcall_pending, 1);
	assert_int_equal(send(p), -XEN_EINVAL);
	move.port = p;
	assert_int_equal(OP(v, bind_vcpu, move), -XEN_EINVAL); /* a per-vcpu one stays */
	assert_int_equal(closes(p), 0);
	assert_int_equal(OP(v, bind_virq, op), 0);

	op.virq = VIRQ_CONSOLE; /* global */
	assert_int_equal(OP(v, bind_virq, op), -XEN_EINVAL);
	op.vcpu = 0;
	assert_int_equal(OP(v, bind_virq, op), 0);
	move.port = op.port;
	assert_int_equal(OP(v, bind_vcpu, move), 0);
	evtchn_raise_virq(v, VIRQ_CONSOLE);
	assert_int_equal(d->vcpu[1]->gate.vcpu_info->evtchn_upcall_pending, 1);
	assert_int_equal(closes(op.port), 0);
	assert_int_equal(OP(v, bind_virq, op), 0); /* closing freed it although it had moved */
	op.virq = 24;
	assert_int_equal(OP(v, bind_virq, op), -XEN_EINVAL);
	op.virq = VIRQ_TIMER;
	op.vcpu = 3;
	assert_int_equal(OP(v, bind_virq, op), -XEN_ENOENT);
}

static void interdomain(void **state)
{
	struct evtchn_alloc_unbound un = { .dom = DOMID_SELF, .remote_dom = e->id };
	struct evtchn_bind_interdomain bind = { .remote_dom = d->id };
	struct evtchn_send op;

	(void)state;
	assert_int_equal(OP(v, alloc_unbound, un), 0);
	assert_int_equal(status(un.port).status, EVTCHNSTAT_unbound);
	assert_int_equal(status(un.port).u.unbound.dom, e->id);
	assert_int_equal(send(un.port), 0); /* nobody hears it */
	bind.remote_port = un.port + 1;
	assert_int_equal(OP(e->vcpu[0], bind_interdomain, bind), -XEN_EINVAL);
	bind.remote_port = un.port;
	assert_int_equal(OP(v, bind_interdomain, bind), -XEN_EINVAL); /* not for us */
	bind.remote_dom = 77;
	assert_int_equal(OP(e->vcpu[0], bind_interdomain, bind), -XEN_ESRCH);
	bind.remote_dom = d->id;
	assert_int_equal(OP(e->vcpu[0], bind_interdomain, bind), 0);
	assert_true(pending(e, bind.local_port)); /* we may have sent before */
	assert_int_equal(OP(e->vcpu[0], bind_interdomain, bind), -XEN_EINVAL);
	assert_int_equal(status(un.port).status, EVTCHNSTAT_interdomain);
	assert_int_equal(status(un.port).u.interdomain.port, bind.local_port);

	op.port = bind.local_port;
	assert_int_equal(OP(e->vcpu[0], send, op), 0);
	assert_true(pending(d, un.port));
	/* One end closes: the other is unbound again, for the same domain. */
	op.port = bind.local_port;
	assert_int_equal(OP(e->vcpu[0], close, op), 0);
	assert_int_equal(status(un.port).status, EVTCHNSTAT_unbound);
	assert_int_equal(OP(e->vcpu[0], bind_interdomain, bind), 0);

	/* Others' domains are not ours. */
	un.dom = e->id;
	assert_int_equal(OP(v, alloc_unbound, un), -XEN_EPERM);
	un.dom = 99;
	assert_int_equal(OP(v, alloc_unbound, un), -XEN_ESRCH);
}

static void loopback(void **state)
{
	struct evtchn_alloc_unbound un = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };

	(void)state;
	assert_int_equal(OP(v, alloc_unbound, un), 0);
	bind.remote_port = un.port;
	assert_int_equal(OP(v, bind_interdomain, bind), 0);
	quiet(0);
	assert_int_equal(send(un.port), 0);
	assert_true(pending(d, bind.local_port));
	assert_int_equal(send(bind.local_port), 0);
	assert_true(pending(d, un.port));
	assert_int_equal(closes(un.port), 0);
	assert_int_equal(status(bind.local_port).status, EVTCHNSTAT_unbound);
	assert_int_equal(closes(bind.local_port), 0);
}

static unsigned notified;

static int notify(struct domain *of, uint32_t port, void *data)
{
	assert_ptr_equal(of, d);
	assert_ptr_equal(data, &notified);
	notified = port;
	return 0;
}

static void ends_in_the_core(void **state)
{
	struct evtchn_alloc_unbound un = { .dom = DOMID_SELF, .remote_dom = 0 };
	struct evtchn_bind_vcpu move = { .vcpu = 2 };
	int p = evtchn_bind_core(d, notify, &notified);

	(void)state;
	assert_true(p > 0);
	assert_int_equal(send((uint32_t)p), 0);
	assert_int_equal(notified, p);
	assert_int_equal(status((uint32_t)p).status, EVTCHNSTAT_interdomain);
	assert_int_equal(status((uint32_t)p).u.interdomain.dom, 0);
	move.port = (uint32_t)p;
	assert_int_equal(OP(v, bind_vcpu, move), 0);
	evtchn_notify_guest(d, (uint32_t)p);
	assert_true(pending(d, (uint32_t)p));
	assert_int_equal(d->vcpu[2]->gate.vcpu_info->evtchn_upcall_pending, 1);
	quiet(2);
	/*
	 * The guest closes it and reuses the number: the old back-end must not reach the new port.
	 */
	assert_int_equal(closes((uint32_t)p), 0);
	assert_int_equal(ipi(0), p);
	evtchn_notify_guest(d, (uint32_t)p);
	assert_false(pending(d, (uint32_t)p));

	/* A back-end takes a port that a front-end offers. */
	assert_int_equal(OP(v, alloc_unbound, un), 0);
	assert_int_equal(evtchn_bind_core_port(d, (uint32_t)p, notify, &notified), -XEN_EINVAL);
	assert_int_equal(evtchn_bind_core_port(d, un.port, notify, &notified), 0);
	notified = 0;
	assert_int_equal(send(un.port), 0);
	assert_int_equal(notified, un.port);
	evtchn_unbind_core(d, un.port);
	notified = 0;
	assert_int_equal(send(un.port), 0);
	assert_int_equal(notified, 0);
	assert_int_equal(evtchn_bind_core_port(d, un.port, notify, &notified), 0);
}

static void refusals(void **state)
{
	struct evtchn_bind_pirq pirq = { .pirq = 1 };
	struct evtchn_bind_vcpu move = { .port = ipi(0), .vcpu = 1 };
	struct evtchn_status st = { .dom = e->id, .port = 1 };
	struct evtchn_reset reset = { .dom = e->id };
	struct evtchn_set_priority prio = { .port = move.port, .priority = 3 };
	struct evtchn_expand_array expand = { .array_gfn = sw_mfn(d, 0).n };

	(void)state;
	assert_int_equal(OP(v, bind_pirq, pirq), -XEN_EPERM);
	assert_int_equal(OP(v, bind_vcpu, move), -XEN_EINVAL); /* an IPI stays */
	move.vcpu = 9;
	assert_int_equal(OP(v, bind_vcpu, move), -XEN_ENOENT);
	assert_int_equal(OP(v, status, st), -XEN_EPERM);
	assert_int_equal(OP(v, reset, reset), -XEN_EPERM);
	assert_int_equal(OP(v, set_priority, prio), -XEN_ENOSYS);
	assert_int_equal(OP(v, expand_array, expand), -XEN_EOPNOTSUPP);
	assert_int_equal(closes(0), -XEN_EINVAL);
	assert_int_equal(send(UINT32_MAX), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_event_channel_op, 99, SW_ARGS, 0), -XEN_ENOSYS);
	assert_int_equal(sw_call(v, do_event_channel_op, EVTCHNOP_send, 0x123, 0), -XEN_EFAULT);
}

static void a_port_not_told_is_not_owned(void **state)
{
	uint32_t before = ipi(0);
	uint64_t edge = SW_VA + SW_PAGES * PAGE_SIZE - sizeof(struct evtchn_bind_virq);
	struct evtchn_bind_virq *op = sw_ptr(d, edge);

	(void)state;
	/* The whole structure can be read and written here ... */
	*op = (struct evtchn_bind_virq){ .virq = VIRQ_DEBUG };
	assert_int_equal(sw_call(v, do_event_channel_op, EVTCHNOP_bind_virq, edge, 0), 0);
	assert_int_equal(closes(op->port), 0);
	/* ... and here not. */
	assert_int_equal(sw_call(v, do_event_channel_op, EVTCHNOP_bind_virq, edge + 4, 0),
			 -XEN_EFAULT);
	assert_int_equal(v->event.virq_port[VIRQ_DEBUG], 0);
	assert_int_equal(ipi(0), before + 1);
}

static void ports_run_out(void **state)
{
	struct evtchn_bind_ipi op = { .vcpu = 0 };
	struct evtchn_reset reset = { .dom = DOMID_SELF };
	unsigned n = 0;
	long rc;

	(void)state;
	while (!(rc = OP(v, bind_ipi, op)))
		n++;
	assert_int_equal(rc, -XEN_ENOSPC);
	assert_int_equal(n, 4095);
	assert_int_equal(closes(2000), 0);
	assert_int_equal(OP(v, bind_ipi, op), 0);
	assert_int_equal(op.port, 2000);
	assert_int_equal(OP(v, reset, reset), 0);
	assert_int_equal(OP(v, bind_ipi, op), 0);
	assert_int_equal(op.port, 1);
}

/* ---- masks ---- */

static void masked_then_unmasked(void **state)
{
	uint32_t p = ipi(0);
	struct vcpu_info *info = v->gate.vcpu_info;
	uint64_t *mask = d->mm.shared_info->evtchn_mask;

	(void)state;
	bit_test_and_set(mask, p);
	assert_int_equal(send(p), 0);
	assert_true(pending(d, p));
	assert_int_equal(info->evtchn_upcall_pending, 0);
	assert_int_equal(unmask(p), 0);
	assert_int_equal(info->evtchn_upcall_pending, 1);
	assert_false(bit_test(mask, p));
	/* The virtual CPU's own mask holds the upcall back, not the bit. */
	info->evtchn_upcall_mask = 1;
	assert_false(vcpu_upcall_pending(v));
	info->evtchn_upcall_mask = 0;
	assert_true(vcpu_upcall_pending(v));
	/* Unmasking what was not masked raises nothing again. */
	info->evtchn_upcall_pending = 0;
	info->evtchn_pending_sel = 0;
	assert_int_equal(unmask(p), 0);
	assert_int_equal(info->evtchn_upcall_pending, 0);
}

/* ---- vcpu_info ---- */

static void vcpu_info_moves(void **state)
{
	struct vcpu_register_vcpu_info op = { .mfn = sw_mfn(d, 5).n, .offset = 256 };
	struct vcpu_info *old = v->gate.vcpu_info, *info;
	uint32_t p = ipi(0);

	(void)state;
	old->arch.cr2 = 0x1234;
	old->evtchn_upcall_mask = 0;
	op.offset = PAGE_SIZE - sizeof(*info) + 8;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), -XEN_ENXIO);
	op.offset = 12;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), -XEN_ENXIO);
	op.offset = 256;
	op.mfn = sw_mfn(e, 0).n;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), -XEN_EINVAL);
	op.mfn = UINT64_MAX;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), -XEN_EINVAL);
	op.mfn = sw_mfn(d, 5).n;
	assert_ptr_equal(v->gate.vcpu_info, old); /* nothing changed so far */
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), 0);
	info = (void *)((char *)sw_page(d, 5) + 256);
	assert_ptr_equal(v->gate.vcpu_info, info);
	assert_int_equal(info->arch.cr2, 0x1234);
	assert_int_equal(info->evtchn_upcall_mask, 0);
	assert_int_equal(info->evtchn_upcall_pending, 1);
	assert_true(info->evtchn_pending_sel == UINT64_MAX);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 0, &op, sizeof(op)), -XEN_EBUSY);
	info->evtchn_upcall_pending = 0;
	info->evtchn_pending_sel = 0;
	assert_int_equal(send(p), 0);
	assert_int_equal(info->evtchn_upcall_pending, 1);
	/* Somebody else's only while that is down. */
	vcpu_wake(d->vcpu[1], VPF_DOWN);
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 1, &op, sizeof(op)), -XEN_EINVAL);
	op.offset = 512;
	assert_int_equal(sw_vcpu_op(v, VCPUOP_register_vcpu_info, 2, &op, sizeof(op)), 0);
	assert_ptr_equal(d->vcpu[2]->gate.vcpu_info, (char *)sw_page(d, 5) + 512);
}

static void many_vcpus_need_a_place(void **state)
{
	struct domain *big = sw_domain(MAX_VCPUS);
	struct vcpu *last = big->vcpu[MAX_VCPUS - 1], *first = big->vcpu[0];
	struct vcpu_register_vcpu_info op = { .mfn = sw_mfn(big, 1).n };
	struct vcpu_info *info = sw_page(big, 1);

	(void)state;
	assert_ptr_equal(big->vcpu[31]->gate.vcpu_info, &big->mm.shared_info->vcpu_info[31]);
	assert_true(vcpu_info_placed(big->vcpu[31]));
	assert_false(vcpu_info_placed(last));
	/* Without a place it cannot be initialised. */
	assert_int_equal(sw_call(first, do_vcpu_op, VCPUOP_initialise, MAX_VCPUS - 1, SW_VA),
			 -XEN_EINVAL);
	memset(info, 0xaa, sizeof(*info));
	assert_int_equal(
		sw_vcpu_op(first, VCPUOP_register_vcpu_info, MAX_VCPUS - 1, &op, sizeof(op)), 0);
	assert_true(vcpu_info_placed(last));
	assert_int_equal(info->evtchn_upcall_mask, 1);
	assert_int_equal(info->arch.cr2, 0);
}

/* ---- the FIFO ABI's set-up ---- */

static void fifo_setup(void **state)
{
	struct evtchn_init_control init = {.control_gfn = sw_mfn(d, 10).n, .offset = 0, .vcpu = 0};
	struct evtchn_expand_array expand = { .array_gfn = sw_mfn(d, 11).n };
	struct evtchn_set_priority prio = { .priority = 2 };
	struct evtchn_reset reset = { .dom = DOMID_SELF };
	struct evtchn_fifo_control_block *block = sw_page(d, 10);
	event_word_t *words = sw_page(d, 11);
	uint32_t p = ipi(0), q = ipi(1);

	(void)state;
	assert_int_equal(send(p), 0); /* pending when the ABI changes */
	init.vcpu = 3;
	assert_int_equal(OP(v, init_control, init), -XEN_ENOENT);
	init.vcpu = 0;
	init.offset = PAGE_SIZE - sizeof(*block) + 8;
	assert_int_equal(OP(v, init_control, init), -XEN_EINVAL);
	init.offset = 4;
	assert_int_equal(OP(v, init_control, init), -XEN_EINVAL);
	init.offset = 0;
	init.control_gfn = sw_mfn(e, 0).n;
	assert_int_equal(OP(v, init_control, init), -XEN_EINVAL);
	assert_null(d->event.table->fifo); /* still two-level */
	init.control_gfn = sw_mfn(d, 10).n;
	assert_int_equal(OP(v, init_control, init), 0);
	assert_int_equal(init.link_bits, EVTCHN_FIFO_LINK_BITS);
	assert_int_equal(OP(v, init_control, init), -XEN_EINVAL); /* once */

	/* No event word yet: kept, and raised when the page comes. */
	assert_int_equal(send(q),
			 0); /* vcpu 1 has no control block: that one is lost by contract */
	expand.array_gfn = sw_mfn(e, 1).n;
	assert_int_equal(OP(v, expand_array, expand), -XEN_EINVAL);
	expand.array_gfn = sw_mfn(d, 11).n;
	v->gate.vcpu_info->evtchn_upcall_pending = 0;
	assert_int_equal(OP(v, expand_array, expand), 0);
	assert_int_equal(words[p] >> EVTCHN_FIFO_LINKED, 5); /* pending and linked */
	assert_int_equal(block->ready, 1 << EVTCHN_FIFO_PRIORITY_DEFAULT);
	assert_int_equal(block->head[EVTCHN_FIFO_PRIORITY_DEFAULT], p);
	assert_int_equal(v->gate.vcpu_info->evtchn_upcall_pending, 1);
	assert_int_equal(words[q], 0);

	prio.port = q;
	assert_int_equal(OP(v, set_priority, prio), 0);
	prio.priority = 16;
	assert_int_equal(OP(v, set_priority, prio), -XEN_EINVAL);
	prio.port = 99;
	assert_int_equal(OP(v, set_priority, prio), -XEN_EINVAL);

	/* A port whose word is still linked is not handed out again. */
	assert_int_equal(closes(p), 0);
	assert_int_equal(words[p] & (UINT32_C(1) << EVTCHN_FIFO_PENDING), 0);
	assert_int_not_equal(ipi(0), p);
	words[p] = 0;
	assert_int_equal(ipi(0), p);

	/* Reset: the two-level ABI again, and the pages are the guest's own again. */
	assert_int_equal(OP(v, reset, reset), 0);
	assert_null(d->event.table->fifo);
	p = ipi(0);
	assert_int_equal(send(p), 0);
	assert_true(pending(d, p));
	assert_int_equal(OP(v, init_control, init), 0);
}

static void fifo_array_ends(void **state)
{
	struct evtchn_init_control init = { .control_gfn = sw_mfn(d, 10).n };
	struct evtchn_expand_array expand = { .array_gfn = sw_mfn(d, 11).n };

	(void)state;
	assert_int_equal(OP(v, init_control, init), 0);
	for (unsigned i = 0; i < 128; i++) /* the same page may serve: it is the guest's affair */
		assert_int_equal(OP(v, expand_array, expand), 0);
	assert_int_equal(OP(v, expand_array, expand), -XEN_ENOSPC);
}

/* A guest that scribbles over its words and control block harms nobody else. */
static void fifo_nonsense(void **state)
{
	struct evtchn_init_control init = { .control_gfn = sw_mfn(d, 10).n };
	struct evtchn_expand_array expand = { .array_gfn = sw_mfn(d, 11).n };
	event_word_t *words = sw_page(d, 11);
	uint32_t *block = sw_page(d, 10);
	uint32_t port[20];

	(void)state;
	assert_int_equal(OP(v, init_control, init), 0);
	assert_int_equal(OP(v, expand_array, expand), 0);
	for (unsigned i = 0; i < 20; i++)
		port[i] = ipi(0);
	srand(7);
	for (unsigned i = 0; i < 100000; i++) {
		words[rand() % 32] = (uint32_t)rand() << 1 ^ (uint32_t)rand();
		block[rand() % 20] = (uint32_t)rand() << 1 ^ (uint32_t)rand();
		send(port[rand() % 20]);
		if (i % 7 == 0)
			unmask(port[rand() % 20]);
	}
	/* Set things right again and it works. */
	memset(words, 0, PAGE_SIZE);
	memset(block, 0, PAGE_SIZE);
	v->gate.vcpu_info->evtchn_upcall_pending = 0;
	assert_int_equal(send(port[3]), 0);
	assert_int_equal(v->gate.vcpu_info->evtchn_upcall_pending, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ipis),
		T(virqs),
		T(interdomain),
		T(loopback),
		T(ends_in_the_core),
		T(refusals),
		T(a_port_not_told_is_not_owned),
		T(ports_run_out),
		T(masked_then_unmasked),
		T(vcpu_info_moves),
		T(many_vcpus_need_a_place),
		T(fifo_setup),
		T(fifo_array_ends),
		T(fifo_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
