/* SPDX-License-Identifier: MIT */
/*
 * The PV console ring: output and input in order and whole, across the wrap, with hostile indices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/io.h"
#include <xen/event_channel.h>
#include <xen/io/console.h>

static struct domain *d;
static struct xencons_interface *ring;
static uint32_t port;

static int start(void **state)
{
	int rc;

	smallworld_start();
	d = sw_domain(1);
	sw_run(d->vcpu[0]);
	assert_int_equal(store_introduce(d), 0);
	ring = sw_page(d, 1);
	/* A predecessor used the ring: the indices do not start at 0. */
	ring->out_prod = ring->out_cons = 0xfffffff0;
	ring->in_prod = ring->in_cons = 0xffffff00;
	rc = console_attach(d, sw_mfn(d, 1));
	assert_true(rc > 0);
	port = (uint32_t)rc;
	testplat_clear();
	return 0;
}

static int stop(void **state)
{
	smallworld_stop();
	return 0;
}

static void kick(void)
{
	struct evtchn_send send = { .port = port };

	assert_int_equal(sw_op(d->vcpu[0], do_event_channel_op, EVTCHNOP_send, &send, sizeof(send)),
			 0);
}

static void guest_puts(const char *s)
{
	for (; *s; s++)
		ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = *s;
}

static size_t guest_gets(char *buf, size_t size)
{
	size_t n = 0;

	while (ring->in_cons != ring->in_prod && n < size)
		buf[n++] = ring->in[MASK_XENCONS_IDX(ring->in_cons++, ring->in)];
	return n;
}

static bool guest_event(void)
{
	bool pending = evtchn_port_pending(d, port);

	bit_test_and_clear((uint64_t *)d->mm.shared_info->evtchn_pending, port);
	return pending;
}

static void output(void **state)
{
	guest_puts("hello\n");
	assert_int_equal(tp.console_len, 0);
	kick();
	assert_string_equal(tp.console, "hello\n");
	assert_int_equal(ring->out_cons, ring->out_prod);
	assert_true(guest_event());
	kick(); /* nothing new: no output, no event */
	assert_int_equal(tp.console_len, 6);
	assert_false(guest_event());
}

static void output_whole_and_in_order(void **state)
{
	char text[1500], all[20 * 1500 + 1] = "";

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < sizeof(text) - 1; i++)
			text[i] = (char)('!' + (round * 7 + i) % 90);
		text[sizeof(text) - 1 - round * 50] = '\0';
		strcat(all, text);
		guest_puts(text);
		kick();
	}
	assert_string_equal(tp.console, all);
}

static void input(void **state)
{
	char buf[64];

	assert_int_equal(console_input(d, "ls\n", 3), 3);
	assert_true(guest_event());
	assert_int_equal(guest_gets(buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "ls\n", 3);
}

/* A pasted page is taken at once and reaches the guest as it makes room. */
static void input_backlog(void **state)
{
	static char paste[8192], got[8192];
	size_t taken, n = 0;

	for (size_t i = 0; i < sizeof(paste); i++)
		paste[i] = (char)('a' + i % 23);
	taken = console_input(d, paste, sizeof(paste));
	assert_in_range(taken, 2048, sizeof(paste) - 1);
	assert_int_equal(ring->in_prod - ring->in_cons, sizeof(ring->in));
	while (n < taken) {
		size_t more = guest_gets(got + n, 100);

		assert_true(more > 0);
		n += more;
		kick();
		if (n == 1000)
			taken += console_input(d, paste + taken, sizeof(paste) - taken);
	}
	assert_memory_equal(got, paste, n);
	assert_int_equal(guest_gets(got, 1), 0);
}

static void hostile_indices(void **state)
{
	uint32_t cons = ring->out_cons;

	/* More than the ring holds: nothing of it is text. */
	ring->out_prod = cons + sizeof(ring->out) + 1;
	kick();
	assert_int_equal(tp.console_len, 0);
	guest_puts("sane again");
	kick();
	assert_string_equal(tp.console, "sane again");

	/* The index that is ours is not read back. */
	ring->out_cons = 77;
	guest_puts("!");
	kick();
	assert_string_equal(tp.console, "sane again!");
	assert_int_equal(ring->out_cons, ring->out_prod);

	ring->in_cons = ring->in_prod + 1; /* took more than there was */
	assert_int_equal(console_input(d, "x", 1), 1);
	ring->in_cons = ring->in_prod;
	kick();
	assert_int_equal(ring->in_prod - ring->in_cons, 1);
}

static void random_indices(void **state)
{
	srand(3);
	log_threshold = LOG_ERROR;
	for (unsigned i = 0; i < 20000; i++) {
		switch (rand() % 5) {
		case 0:
			ring->out_prod = (uint32_t)rand();
			break;
		case 1:
			ring->out_prod += (uint32_t)rand() % 4096;
			break;
		case 2:
			ring->in_cons = (uint32_t)rand() % 2 ? ring->in_prod : (uint32_t)rand();
			break;
		case 3:
			ring->out_cons = ring->in_prod = (uint32_t)rand();
			break;
		case 4:
			console_input(d, "input", 5);
			break;
		}
		if (rand() % 3 == 0)
			testplat_clear();
		kick();
	}
}

static void detach(void **state)
{
	guest_puts("last words");
	console_detach(d);
	assert_string_equal(tp.console, "last words");
	assert_int_equal(console_input(d, "x", 1), 0);
	kick(); /* nobody there, no harm */
	assert_int_equal(console_attach(d, MFN(tp.info.frames + 5)), -XEN_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output, start, stop),
		cmocka_unit_test_setup_teardown(output_whole_and_in_order, start, stop),
		cmocka_unit_test_setup_teardown(input, start, stop),
		cmocka_unit_test_setup_teardown(input_backlog, start, stop),
		cmocka_unit_test_setup_teardown(hostile_indices, start, stop),
		cmocka_unit_test_setup_teardown(random_indices, start, stop),
		cmocka_unit_test_setup_teardown(detach, start, stop),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
