/* SPDX-License-Identifier: MIT */
/*
 * Long work of control's on a physical CPU, a large domain made and destroyed, and the guests of that CPU meanwhile: they have
 * their turns, its time is not on their account, and nothing of it is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/mm/frame.h"
#include "testplat.h"
#include "xenopus/control.h"
#include "xenopus/core.h"

#define PAGES	  16384u
#define FRAMES	  (PAGES + 2048)
#define VIRT_BASE UINT64_C(0xffffffff80000000)

static uint8_t text[600000]; /* more than is copied at a time */
static char error[256];
static const struct kernel_segment segment = { VIRT_BASE + 0x100000, text, sizeof(text), sizeof(text) };
static const struct kernel_image kernel = {
	.segments = &segment, .nr_segments = 1, .entry = VIRT_BASE + 0x100010, .virt_base = VIRT_BASE,
	.vstart = VIRT_BASE + 0x100000, .vend = VIRT_BASE + 0x100000 + sizeof(text),
};
static const struct domain_config config = {
	.name = "large", .memory_pages = PAGES, .vcpus = 2, .kernel = &kernel, .error = error, .error_size = sizeof(error),
};

static struct domain *hog, *large;
static unsigned rounds, while_made, while_destroyed;

static int setup(void **state)
{
	testplat_start(FRAMES);
	tp.info.pcpus = 1;
	assert_int_equal(core_init(), 0);
	/* Every look at the clock finds it 250 us later. */
	tp.tsc_step = 250000;
	rounds = while_made = while_destroyed = 0;
	return 0;
}

static int teardown(void **state)
{
	while (!list_empty(&domain_list)) {
		struct domain *d = list_entry(domain_list.next, struct domain, link);

		domain_pause(d);
		domain_destroy(d);
	}
	testplat_stop();
	return 0;
}

static void spin(struct vcpu *v, struct trap *t)
{
	assert_ptr_equal(current_vcpu(), v);
	assert_ptr_equal(v->domain, hog);
	tp.tsc += 100000;
	rounds++;
}

static void work(void)
{
	unsigned before = rounds;

	large = domain_create(&config);
	assert_non_null(large);
	while_made = rounds - before;
	assert_int_equal(mm_audit(), 0);
	before = rounds;
	domain_destroy(large);
	while_destroyed = rounds - before;
	assert_null(current_vcpu());
	core_stop();
}

static void poll(void)
{
	static uint64_t frames;

	if (large)
		return;
	frames = buddy_free_frames();
	work();
	assert_in_range(buddy_free_frames() + 14, frames, frames + 28);
	assert_int_equal(mm_audit(), 0);
}

static void loop(void)
{
	large = NULL;
	tp.run = spin;
	tp.poll = poll;
	core_cpu_loop();
}

static void guests_run_meanwhile(void **state)
{
	struct domain_config small = config;

	small.memory_pages = 1024;
	small.vcpus = 1;
	hog = domain_create(&small);
	assert_non_null(hog);
	assert_int_equal(rounds, 0); /* no loop, no guests */
	domain_unpause(hog);
	loop();
	assert_true(while_made > 5);
	assert_true(while_destroyed > 5);
	/* At most every other millisecond was theirs. */
	assert_true((while_made + while_destroyed) * 100000ull < tp.tsc / 2);
}

static void nobody_there(void **state)
{
	hog = NULL;
	loop();
	assert_int_equal(rounds, 0);
	assert_int_equal(tp.calls[TP_IDLE], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(guests_run_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
