/* SPDX-License-Identifier: MIT */
/*
 * Event channels under random operations, against a simple model. The test plays the guest kernel:
 * it masks, unmasks, takes upcalls and finds events the way the ABI prescribes. The model knows one
 * thing per port: was it raised since it was last seen?
 *
 *	- what is seen was raised, and was not masked (each send is seen at most once);
 *	- after all virtual CPUs whose upcall is pending have looked, nothing raised and unmasked
 *	  is left (each send is seen, and its virtual CPU was told);
 *	- both hold for the two-level and for the FIFO ABI, across bind_vcpu, set_priority, close.
 *
 * The last test runs guest and core at the same time on the same FIFO queue.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include "../../core/event/evtchn.h"

#define VCPUS 3u
#define PORTS 200u /* more than a selector word's worth */
#define STEPS 300000u

#define PENDING (UINT32_C(1) << EVTCHN_FIFO_PENDING)
#define MASKED  (UINT32_C(1) << EVTCHN_FIFO_MASKED)
#define LINKED  (UINT32_C(1) << EVTCHN_FIFO_LINKED)
#define BUSY    (UINT32_C(1) << EVTCHN_FIFO_BUSY)
#define LINK    ((UINT32_C(1) << EVTCHN_FIFO_LINK_BITS) - 1)

static struct domain *d;
static bool fifo;
static bool raised[EVTCHN_MAX_PORTS], masked[EVTCHN_MAX_PORTS];
static uint32_t port[PORTS];  /* what the test sends on: ends of loopback pairs ... */
static uint32_t heard[PORTS]; /* ... and where it is heard */
static uint64_t seen;
static uint32_t fifo_head[VCPUS][EVTCHN_FIFO_MAX_QUEUES]; /* as a guest kernel remembers them */

static struct evtchn_fifo_control_block *block(unsigned vcpu)
{
	return sw_page(d, vcpu);
}

static event_word_t *word(uint32_t p)
{
	return (event_word_t *)sw_page(d, VCPUS + p / 1024) + p % 1024;
}

static int setup(void **state)
{
	fifo = *state;
	smallworld_start();
	d = sw_domain(VCPUS);
	memset(raised, 0, sizeof(raised));
	memset(masked, 0, sizeof(masked));
	memset(fifo_head, 0, sizeof(fifo_head));
	seen = 0;
	if (fifo) {
		for (unsigned i = 0; i < VCPUS; i++)
			assert_int_equal(fifo_init_control(d, i, sw_mfn(d, i), 0), 0);
		assert_int_equal(fifo_expand_array(d, sw_mfn(d, VCPUS)), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	smallworld_stop();
	return 0;
}

/* ---- the guest's side ---- */

static bool guest_is_masked(uint32_t p)
{
	return fifo ? *word(p) & MASKED : bit_test(d->mm.shared_info->evtchn_mask, p);
}

static void guest_mask(uint32_t p)
{
	if (fifo)
		*word(p) |= MASKED;
	else
		bit_test_and_set(d->mm.shared_info->evtchn_mask, p);
	masked[p] = true;
}

/* A kernel tries without a hypercall and needs one only when the port is pending. */
static void guest_unmask(uint32_t p)
{
	masked[p] = false;
	if (fifo && !(*word(p) & BUSY)) {
		*word(p) &= ~MASKED;
		if (!(*word(p) & PENDING))
			return;
	}
	assert_int_equal(evtchn_unmask(d, p), 0);
}

static void guest_sees(uint32_t p)
{
	assert_true(raised[p]);
	assert_false(masked[p]);
	raised[p] = false;
	seen++;
}

static void look_two_level(struct vcpu *v)
{
	struct shared_info *s = d->mm.shared_info;
	uint64_t sel =
		__atomic_exchange_n(&v->gate.vcpu_info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

	for (unsigned w = 0; w < 64; w++) {
		if (!(sel >> w & 1))
			continue;
		for (uint32_t p = w * 64; p < w * 64 + 64; p++) {
			if (!bit_test(s->evtchn_pending, p) || bit_test(s->evtchn_mask, p))
				continue;
			bit_test_and_clear(s->evtchn_pending, p);
			guest_sees(p);
		}
	}
}

/* Take one event off the queue; true when that made it empty. */
static bool fifo_consume(unsigned vcpu, unsigned prio)
{
	uint32_t *head = &fifo_head[vcpu][prio];
	uint32_t p, w;

	if (!*head)
		*head = __atomic_load_n(&block(vcpu)->head[prio], __ATOMIC_SEQ_CST);
	p = *head;
	assert_true(p > 0 && p < EVTCHN_MAX_PORTS);
	w = __atomic_fetch_and(word(p), ~(LINKED | LINK), __ATOMIC_SEQ_CST);
	assert_true(w & LINKED);
	*head = w & LINK;
	if ((w & PENDING) && !(w & MASKED)) {
		__atomic_fetch_and(word(p), ~PENDING, __ATOMIC_SEQ_CST);
		guest_sees(p);
	}
	return !*head;
}

static void look_fifo(unsigned vcpu)
{
	uint32_t ready = __atomic_exchange_n(&block(vcpu)->ready, 0, __ATOMIC_SEQ_CST);

	while (ready) {
		unsigned prio = (unsigned)__builtin_ctz(ready);

		if (fifo_consume(vcpu, prio))
			ready &= ~(UINT32_C(1) << prio);
		ready |= __atomic_exchange_n(&block(vcpu)->ready, 0, __ATOMIC_SEQ_CST);
	}
}

static void guest_looks(unsigned vcpu)
{
	struct vcpu_info *info = d->vcpu[vcpu]->gate.vcpu_info;

	if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
		return;
	if (fifo)
		look_fifo(vcpu);
	else
		look_two_level(d->vcpu[vcpu]);
}

static void nothing_is_lost(void)
{
	for (unsigned i = 0; i < VCPUS; i++)
		guest_looks(i);
	for (uint32_t p = 0; p < EVTCHN_MAX_PORTS; p++)
		assert_false(raised[p] && !masked[p]);
}

/* ---- random operations ---- */

static void bind_one(unsigned i)
{
	int un, local;

	if (i % 2) {
		un = evtchn_bind_ipi(d, i % VCPUS);
		assert_true(un > 0);
		port[i] = heard[i] = (uint32_t)un;
	} else {
		un = evtchn_alloc_unbound(d, d->id);
		local = evtchn_bind_interdomain(d, d, (uint32_t)un);
		assert_true(un > 0 && local > 0);
		port[i] = (uint32_t)un;
		heard[i] = (uint32_t)local;
		raised[heard[i]] = true; /* binding raises it once */
	}
	masked[heard[i]] = guest_is_masked(heard[i]);
}

static void rebind(unsigned i)
{
	assert_int_equal(evtchn_close(d, port[i]), 0);
	if (heard[i] != port[i])
		assert_int_equal(evtchn_close(d, heard[i]), 0);
	raised[port[i]] = raised[heard[i]] = false;
	bind_one(i);
}

static void random_operations(void **state)
{
	(void)state;
	srand(fifo ? 11 : 12);
	for (unsigned i = 0; i < PORTS; i++)
		bind_one(i);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)rand() % PORTS, what = (unsigned)rand() % 100;

		if (what < 50) {
			assert_int_equal(evtchn_send(d, port[i]), 0);
			raised[heard[i]] = true;
		} else if (what < 60) {
			guest_mask(heard[i]);
		} else if (what < 72) {
			guest_unmask(heard[i]);
		} else if (what < 90) {
			guest_looks((unsigned)rand() % VCPUS);
		} else if (what < 93) {
			if (heard[i] != port[i])
				assert_int_equal(
					evtchn_bind_vcpu(d, heard[i], (unsigned)rand() % VCPUS), 0);
		} else if (what < 95) {
			if (fifo)
				evtchn_lookup(d, heard[i])->priority = (uint8_t)(rand() % 16);
		} else if (what < 97) {
			rebind(i);
		} else {
			nothing_is_lost();
		}
	}
	for (unsigned i = 0; i < PORTS; i++)
		guest_unmask(heard[i]);
	nothing_is_lost();
	assert_true(seen > STEPS / 10);
}

/* ---- at the same time ---- */

#define ROUNDS 400000u
#define RACERS 8u

static uint32_t sent[EVTCHN_MAX_PORTS], noticed[EVTCHN_MAX_PORTS];
static bool sender_done;

static void *guest_thread(void *arg)
{
	struct vcpu_info *info = d->vcpu[0]->gate.vcpu_info;
	bool last = false;

	(void)arg;
	for (;;) {
		bool done = __atomic_load_n(&sender_done, __ATOMIC_SEQ_CST);
		uint32_t ready;

		__atomic_exchange_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
		ready = __atomic_exchange_n(&block(0)->ready, 0, __ATOMIC_SEQ_CST);
		while (ready) {
			unsigned prio = (unsigned)__builtin_ctz(ready);
			uint32_t *head = &fifo_head[0][prio], p, w;

			if (!*head)
				*head = __atomic_load_n(&block(0)->head[prio], __ATOMIC_SEQ_CST);
			p = *head;
			w = __atomic_fetch_and(word(p), ~(LINKED | LINK), __ATOMIC_SEQ_CST);
			*head = w & LINK;
			if (!*head)
				ready &= ~(UINT32_C(1) << prio);
			if (__atomic_fetch_and(word(p), ~PENDING, __ATOMIC_SEQ_CST) & PENDING)
				noticed[p] = __atomic_load_n(&sent[p], __ATOMIC_SEQ_CST);
			ready |= __atomic_exchange_n(&block(0)->ready, 0, __ATOMIC_SEQ_CST);
		}
		if (last)
			return NULL;
		last = done; /* one more look after the sender's last word */
	}
}

static void guest_and_core_at_once(void **state)
{
	pthread_t guest;
	uint32_t p[RACERS];

	(void)state;
	memset(sent, 0, sizeof(sent));
	memset(noticed, 0, sizeof(noticed));
	sender_done = false;
	for (unsigned i = 0; i < RACERS; i++)
		p[i] = (uint32_t)evtchn_bind_ipi(d, 0);
	assert_int_equal(pthread_create(&guest, NULL, guest_thread, NULL), 0);
	srand(13);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint32_t q = p[(unsigned)rand() % RACERS];

		__atomic_fetch_add(&sent[q], 1, __ATOMIC_SEQ_CST);
		evtchn_send(d, q);
	}
	__atomic_store_n(&sender_done, true, __ATOMIC_SEQ_CST);
	pthread_join(guest, NULL);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(noticed[p[i]], sent[p[i]]);
}

int main(void)
{
	static int yes;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(random_operations, setup, teardown, NULL),
		cmocka_unit_test_prestate_setup_teardown(random_operations, setup, teardown, &yes),
		cmocka_unit_test_prestate_setup_teardown(guest_and_core_at_once, setup, teardown,
							 &yes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
