/* SPDX-License-Identifier: MIT */
/*
 * The store under guests that do not take their replies, that write nonsense into the ring, and on
 * a machine without memory: the others, and the tree, do not suffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storeclient.h"
#include "xenopus/io.h"
#include <xen/event_channel.h>
#include "../../core/mm/frame.h"
#include "../../core/xenstore/xenstore.h"

static struct store_client a, b; /* domains 1 and 2 */

static int start(void **state)
{
	smallworld_start();
	sc_open(&a);
	sc_open(&b);
	return 0;
}

static int stop(void **state)
{
	assert_int_equal(xs_audit(), 0);
	smallworld_stop();
	return 0;
}

/* A guest that asks and never takes: we keep little, and go on when it does. */
static void slow_reader(void **state)
{
	struct xsd_sockmsg h = { .type = XS_READ, .len = 9 };
	unsigned asked = 0, got = 0;
	char value[2001];

	memset(value, 'v', 2000);
	value[2000] = '\0';
	assert_true(sc_write(&a, 0, "data/big", value));
	h.req_id = a.next_req;
	while (asked < 200 &&
	       a.ring->req_prod - a.ring->req_cons + sizeof(h) + 9 <= XENSTORE_RING_SIZE) {
		sc_put(&a, &h, sizeof(h));
		sc_put(&a, "data/big", 9);
		sc_kick(&a);
		asked++;
	}
	assert_in_range(asked, 8, 199);
	assert_true(a.d->store->out_bytes < 32768);
	while (sc_poll(&a)) {
		assert_int_equal(a.len, 2000);
		got++;
	}
	assert_int_equal(got, asked);
}

/* However many requests there are and whatever each costs: the one who asks is heard in parts. */
static void long_work(void **state)
{
	struct xsd_sockmsg h = { .type = XS_READ, .len = 5 };
	struct evtchn_send send = { .port = a.port };
	unsigned asked = 0, parts = 0, got = 0;
	long rc;

	for (; asked < 20; asked++) {
		sc_put(&a, &h, sizeof(h));
		sc_put(&a, "data", 5);
	}
	tp.tsc_step = 10000000; /* each look at the clock finds the time used up */
	do {
		preemptible_begin(a.d->vcpu[0]);
		rc = sw_op(a.d->vcpu[0], do_event_channel_op, EVTCHNOP_send, &send, sizeof(send));
		preemptible_end();
		parts++;
	} while (rc == -XEN_ERESTART);
	tp.tsc_step = 10;
	assert_int_equal(rc, 0);
	assert_in_range(parts, asked / 2, asked + 1);
	while (sc_poll(&a))
		got++;
	assert_int_equal(got, asked);
}

static void still_works(struct store_client *c)
{
	assert_true(sc_write(c, 0, "data/alive", "yes"));
	assert_true(sc_read(c, 0, "data/alive"));
	assert_string_equal(c->data, "yes");
}

/* ---- a large transaction's end, in parts ---- */

#define NAMES 30u
#define OF_A  "/local/domain/1/data"

static void b_changes_something(void)
{
	assert_true(sc_write(&b, 0, "data/x", "1"));
}

static void a_starts_anew(void)
{
	a.ring->connection = XENSTORE_RECONNECT;
}

/* A transaction of @a's that names each of NAMES nodes four times; b watches them, and has changed the tree. */
static uint32_t large(void)
{
	uint32_t tx;
	char path[32];

	assert_true(sc_rpc(&a, XS_SET_PERMS, 0, "data\0n1\0r2", 11));
	assert_true(sc_watch(&b, OF_A, "w"));
	sc_drain(&b);
	sc_forget(&b);
	tx = sc_begin(&a);
	for (unsigned i = 0; i < 4 * NAMES; i++) {
		snprintf(path, sizeof(path), "data/n%u", i % NAMES);
		assert_true(sc_write(&a, tx, path, "value"));
	}
	b_changes_something();
	return tx;
}

/* The request, and @between before each part but the first, up to @most times. How many parts there were. */
static unsigned end_in_parts(uint32_t tx, void (*between)(void), unsigned skip, unsigned most)
{
	struct xsd_sockmsg h = { .type = XS_TRANSACTION_END, .req_id = a.next_req, .tx_id = tx, .len = 2 };
	struct evtchn_send send = { .port = a.port };
	unsigned parts = 0;
	long rc;

	sc_put(&a, &h, sizeof(h));
	sc_put(&a, "T", 2);
	for (;;) {
		tp.tsc_step = 10000000; /* each look at the clock finds the time used up */
		preemptible_begin(a.d->vcpu[0]);
		rc = sw_op(a.d->vcpu[0], do_event_channel_op, EVTCHNOP_send, &send, sizeof(send));
		preemptible_end();
		tp.tsc_step = 10;
		parts++;
		if (rc != -XEN_ERESTART)
			break;
		if (parts > skip && most) {
			between();
			most--;
		}
	}
	assert_int_equal(rc, 0);
	return parts;
}

static void b_has_heard_of_all(void)
{
	char event[64];

	sc_drain(&b);
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(event, sizeof(event), OF_A "/n%u w", i);
		assert_int_equal(sc_heard(&b, event), 1);
	}
}

/* Two steps are done in each part. Others get their turn while it is replayed and while watchers are told, and are told of each node once. */
static void large_transaction(void **state)
{
	uint32_t tx = large();

	/* Half-way through replaying somebody changes something: it begins anew. */
	assert_in_range(end_in_parts(tx, b_changes_something, 10, 1), 4 * NAMES + 8, 5 * NAMES);
	assert_true(sc_poll(&a));
	assert_int_equal(a.type, XS_TRANSACTION_END);
	assert_true(sc_read(&b, 0, OF_A "/n7"));
	b_has_heard_of_all();
}

/* The others do not stop: it is given up, not tried for ever, and has changed nothing. */
static void no_end_of_changes(void **state)
{
	uint32_t tx = large();

	assert_in_range(end_in_parts(tx, b_changes_something, 0, 1000), 2, 100);
	assert_true(sc_poll(&a));
	assert_true(sc_is(&a, "EAGAIN"));
	assert_false(sc_read(&b, 0, OF_A "/n7"));
	sc_drain(&b);
	assert_int_equal(sc_heard(&b, OF_A "/n7 w"), 0);
}

/* Who makes it goes away while watchers are told: they are told all the same. */
static void leaves_while_telling(void **state)
{
	uint32_t tx = large();

	end_in_parts(tx, a_starts_anew, 2 * NAMES + 5, 1);
	assert_int_equal(a.d->store->nr_transactions, 0);
	assert_true(sc_read(&b, 0, OF_A "/n7"));
	b_has_heard_of_all();
}

/* Thousands of events that nobody takes: kept up to a limit, those that are the same once, with one line in the log. */
static void events_nobody_takes(void **state)
{
	char path[32], token[8];
	const char *line;
	uint32_t tx;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(token, sizeof(token), "%u", i);
		assert_true(sc_watch(&a, "data", token));
		sc_drain(&a);
		sc_forget(&a);
	}
	tx = sc_begin(&a);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "data/n%u", i);
		assert_true(sc_write(&a, tx, path, ""));
	}
	testplat_clear();
	end_in_parts(tx, NULL, 0, 0);
	assert_in_range(a.d->store->out_bytes, XS_QUOTA_OUTPUT_BYTES, XS_QUOTA_OUTPUT_BYTES + 200);
	line = strstr(tp.log, "watch events");
	assert_non_null(line);
	assert_null(strstr(line + 1, "watch events"));
	/* When it does take them, all is well again. */
	while (sc_poll(&a) || a.d->store->out_bytes) {
		sc_forget(&a);
		sc_kick(&a);
	}
	still_works(&a);
}

static void reconnect(struct store_client *c)
{
	c->ring->connection = XENSTORE_RECONNECT;
	sc_kick(c);
	assert_int_equal(c->ring->connection, XENSTORE_CONNECTED);
	assert_int_equal(c->ring->error, XENSTORE_ERROR_NONE);
	c->next_req = 0;
	still_works(c);
}

static void hostile_ring(void **state)
{
	struct xsd_sockmsg h = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };

	still_works(&a);
	a.ring->req_prod += XENSTORE_RING_SIZE + 1;
	sc_kick(&a);
	assert_int_equal(a.ring->error, XENSTORE_ERROR_RINGIDX);
	still_works(&b);
	reconnect(&a);

	sc_put(&a, &h, sizeof(h));
	sc_kick(&a);
	assert_int_equal(a.ring->error, XENSTORE_ERROR_PROTO);
	reconnect(&a);

	/* Our own indices, overwritten: they are not read back. */
	a.ring->req_cons = 12345;
	a.ring->rsp_prod = 54321;
	h.len = 5;
	for (unsigned i = 0; i < 21; i++)
		a.ring->req[MASK_XENSTORE_IDX(a.ring->req_prod + i)] =
			i < 16 ? ((char *)&h)[i] : "data"[i - 16];
	a.ring->req_prod += 21;
	sc_kick(&a);
	assert_int_equal(a.ring->error, XENSTORE_ERROR_NONE);
	assert_int_equal(a.ring->req_cons, a.ring->req_prod);
	a.ring->rsp_cons = a.ring->rsp_prod + 1;
	sc_kick(&a);
	reconnect(&a);
	still_works(&b);
}

static void random_ring(void **state)
{
	srand(7);
	log_threshold = LOG_ERROR;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned changes = 1 + (unsigned)rand() % 40;

		while (changes--) {
			uint32_t *header =
				(uint32_t *)(void *)(a.ring->req + (rand() % 1024 & ~15));

			switch (rand() % 8) {
			case 0:
				a.ring->req[rand() % 1024] = (char)rand();
				break;
			case 1:
				a.ring->rsp[rand() % 1024] = (char)rand();
				break;
			case 2:
				a.ring->req_prod += (uint32_t)rand() % 200;
				break;
			case 3:
				a.ring->rsp_cons = a.ring->rsp_prod;
				break;
			case 4:
				a.ring->req_cons = (uint32_t)rand();
				break;
			case 5:
				/* Something that may be a request. */
				header[0] = (uint32_t)rand() % XS_TYPE_COUNT;
				header[2] = (uint32_t)rand() % 3;
				header[3] = (uint32_t)rand() % 24;
				break;
			case 6:
				memcpy(header, "data/a\0data/b\0/", 16);
				break;
			case 7:
				if (rand() % 50 == 0)
					a.ring->rsp_cons = (uint32_t)rand();
				break;
			}
		}
		sc_kick(&a);
		if (a.ring->error || rand() % 100 == 0) {
			a.ring->connection = XENSTORE_RECONNECT;
			sc_kick(&a);
		}
		if (round % 100 == 0) {
			assert_int_equal(xs_audit(), 0);
			still_works(&b);
		}
	}
	reconnect(&a);
}

/*
 * Another domain has taken all memory. Requests are refused or served, never half done, and when
 * there is memory again everything goes on.
 */
static void no_memory(void **state)
{
	static mfn_t taken[8192];
	struct domain *hog = sw_domain(1);
	unsigned n = 0, refused = 0;
	char path[64];

	still_works(&a);
	assert_true(sc_watch(&a, "data", "w"));
	sc_drain(&a);
	hog->mm.max_pages = ARRAY_SIZE(taken);
	for (mfn_t m; mfn_valid_number(m = mm_alloc_domain_frame(hog)); n++) {
		assert_true(n < ARRAY_SIZE(taken));
		taken[n] = m;
	}
	assert_true(n > 100);

	for (unsigned i = 0; i < 400 && !a.d->store->broken; i++) {
		sc_forget(&a);
		snprintf(path, sizeof(path), "data/m%u/deep/er", i);
		if (!sc_write(&a, 0, path, "some value of some length")) {
			assert_true(sc_is(&a, "ENOMEM"));
			refused++;
			/* Nothing of it is there. */
			snprintf(path, sizeof(path), "/local/domain/1/data/m%u", i);
			assert_null(xs_tree_find(xs_main.root, path));
		}
		assert_int_equal(xs_audit(), 0);
	}
	assert_true(refused > 10);
	assert_false(a.d->store->broken);
	assert_true(sc_read(&a, 0, "data/alive")); /* reading needs no memory of its own */

	while (n)
		assert_true(frame_surrender(frame_of(taken[--n])));
	still_works(&a);
	still_works(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slow_reader, start, stop),
		cmocka_unit_test_setup_teardown(long_work, start, stop),
		cmocka_unit_test_setup_teardown(large_transaction, start, stop),
		cmocka_unit_test_setup_teardown(no_end_of_changes, start, stop),
		cmocka_unit_test_setup_teardown(leaves_while_telling, start, stop),
		cmocka_unit_test_setup_teardown(events_nobody_takes, start, stop),
		cmocka_unit_test_setup_teardown(hostile_ring, start, stop),
		cmocka_unit_test_setup_teardown(random_ring, start, stop),
		cmocka_unit_test_setup_teardown(no_memory, start, stop),
	};

	return cmocka_run_group_tests_name("xenstore_hostile", tests, NULL, NULL);
}
