/* SPDX-License-Identifier: MIT */
/*
 * FIFO event channels (xen/event_channel.h): a word per port, a linked list per priority, delivered
 * in the order of sending within a priority, higher priorities first.
 */
#include "guest.h"

const char guest_topic[] = "fifo";

#define PORTS 64

static struct evtchn_fifo_control_block *control;
static volatile event_word_t *word;
static uint32_t order[256];
static unsigned arrived;

static uint32_t ipi(void)
{
	struct evtchn_bind_ipi op = { .vcpu = 0 };
	long rc = hc_event_channel_op(EVTCHNOP_bind_ipi, &op);

	if (rc)
		panic("bind_ipi: %ld", rc);
	return op.port;
}

static void send(uint32_t port)
{
	struct evtchn_send op = { .port = port };

	hc_event_channel_op(EVTCHNOP_send, &op);
}

static void clear_bit(uint32_t port, unsigned bit)
{
	__atomic_fetch_and(&word[port], ~(1u << bit), __ATOMIC_SEQ_CST);
}

static void unmask(uint32_t port)
{
	clear_bit(port, EVTCHN_FIFO_MASKED);
	if (word[port] >> EVTCHN_FIFO_PENDING & 1)
		event_unmask(port);
}

/* Take the head of queue @q: its LINKED bit and link field go, the next one becomes the head. */
static void consume(unsigned q, uint32_t *ready)
{
	uint32_t port = READ_ONCE(control->head[q]), next;
	event_word_t w, n;

	do {
		w = word[port];
		n = w & ~((1u << EVTCHN_FIFO_LINKED) | ((1u << EVTCHN_FIFO_LINK_BITS) - 1));
	} while (!__atomic_compare_exchange_n(&word[port], &w, n, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	next = w & ((1u << EVTCHN_FIFO_LINK_BITS) - 1);
	if (!next)
		*ready &= ~(1u << q);
	control->head[q] = next;
	if ((w >> EVTCHN_FIFO_PENDING & 1) && !(w >> EVTCHN_FIFO_MASKED & 1)) {
		clear_bit(port, EVTCHN_FIFO_PENDING);
		if (arrived < ARRAY_SIZE(order))
			order[arrived] = port;
		arrived++;
	}
}

static bool on_upcall(struct frame *f)
{
	uint32_t ready;

	if (f->vector != VEC_EVENT)
		return false;
	event_upcalls++;
	vcpu_info(0)->evtchn_upcall_pending = 0;
	ready = __atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST);
	while (ready) {
		consume((unsigned)__builtin_ctz(ready), &ready);
		ready |= __atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST);
	}
	return true;
}

static bool set_up(void)
{
	struct evtchn_init_control init = { .vcpu = 0 };
	struct evtchn_expand_array expand;
	uint32_t *array = page_alloc();

	control = page_alloc();
	init.control_gfn = virt_to_mfn(control);
	init.offset = 4090;
	check(hc_event_channel_op(EVTCHNOP_init_control, &init) < 0,
	      "a control block across a page end is refused", "taken");
	init.offset = 0;
	if (!check_eq("init_control", hc_event_channel_op(EVTCHNOP_init_control, &init), 0))
		return false;
	check_eq("... tells the link bits", init.link_bits, EVTCHN_FIFO_LINK_BITS);
	check(hc_event_channel_op(EVTCHNOP_init_control, &init) < 0, "... once", "a second time");
	for (unsigned i = 0; i < 1024; i++)
		array[i] = 1u << EVTCHN_FIFO_MASKED;
	expand.array_gfn = virt_to_mfn(array);
	check_eq("expand_array", hc_event_channel_op(EVTCHNOP_expand_array, &expand), 0);
	word = array;
	return true;
}

static void test_one(void)
{
	uint32_t port = ipi();

	send(port);
	check(!arrived && word[port] >> EVTCHN_FIFO_PENDING & 1,
	      "a masked port only becomes pending", "word 0x%x", word[port]);
	unmask(port);
	check(arrived == 1 && order[0] == port, "unmasking delivers it", "%u arrived", arrived);
	send(port);
	check_eq("an unmasked port arrives", arrived, 2);
	upcalls_off();
	send(port);
	send(port);
	upcalls_on();
	check_eq("two sends arrive as one", arrived, 3);
	check_eq("the word is left clean", word[port] & ~(1u << EVTCHN_FIFO_BUSY), 0);
}

static void test_order(void)
{
	static uint32_t port[PORTS];
	unsigned wrong = 0;

	for (unsigned i = 0; i < PORTS; i++) {
		port[i] = ipi();
		unmask(port[i]);
	}
	arrived = 0;
	upcalls_off();
	for (unsigned i = 0; i < PORTS; i++)
		send(port[(i * 5) % PORTS]);
	upcalls_on();
	check_eq("all of many arrive", arrived, PORTS);
	for (unsigned i = 0; i < PORTS; i++)
		wrong += order[i] != port[(i * 5) % PORTS];
	check(!wrong, "... in the order of sending", "%u out of order", wrong);
}

static void test_priority(void)
{
	uint32_t low = ipi(), high = ipi(), mid = ipi();
	struct evtchn_set_priority p = { .port = high, .priority = EVTCHN_FIFO_PRIORITY_MAX };

	check_eq("set_priority", hc_event_channel_op(EVTCHNOP_set_priority, &p), 0);
	p = (struct evtchn_set_priority){ .port = low, .priority = EVTCHN_FIFO_PRIORITY_MIN };
	hc_event_channel_op(EVTCHNOP_set_priority, &p);
	p.priority = 16;
	check_eq("a priority that is none", hc_event_channel_op(EVTCHNOP_set_priority, &p),
		 (uint64_t)-XEN_EINVAL);
	unmask(low);
	unmask(mid);
	unmask(high);
	arrived = 0;
	upcalls_off();
	send(low);
	send(mid);
	send(high);
	upcalls_on();
	check(arrived == 3 && order[0] == high && order[1] == mid && order[2] == low,
	      "higher priorities come first", "%u: %u %u %u", arrived, order[0], order[1],
	      order[2]);
}

void guest_main(void)
{
	if (!set_up())
		return;
	trap_hook = on_upcall;
	upcalls_on();
	test_one();
	test_order();
	test_priority();
}
