/* SPDX-License-Identifier: MIT */
/*
 * The life of a domain: its numbers, its states, its end by shutdown and by crash, and that nothing
 * of it is left.
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
#include <xen/sched.h>
#include "../../core/grant/gnttab.h"
#include "../../core/mm/frame.h"

static int start(void **state)
{
	smallworld_start();
	testplat_clear();
	return 0;
}

static int stop(void **state)
{
	smallworld_stop();
	return 0;
}

static unsigned log_lines(const char *with)
{
	unsigned n = 0;

	for (const char *p = tp.log; (p = strstr(p, with)); p++)
		n++;
	return n;
}

static void numbers(void **state)
{
	struct domain *a = domain_alloc(1, "one", 1), *b = domain_alloc(2, "two", MAX_VCPUS);

	assert_non_null(a);
	assert_non_null(b);
	assert_null(domain_alloc(1, "again", 1));
	assert_null(domain_alloc(DOMID_SELF, "self", 1));
	assert_null(domain_alloc(DOMID_FIRST_RESERVED, "reserved", 1));
	assert_null(domain_alloc(3, "none", 0));
	assert_null(domain_alloc(3, "many", MAX_VCPUS + 1));
	assert_ptr_equal(domain_by_id(1, NULL), a);
	assert_ptr_equal(domain_by_id(2, a), b);
	assert_ptr_equal(domain_by_id(DOMID_SELF, a), a);
	assert_null(domain_by_id(DOMID_SELF, NULL));
	assert_null(domain_by_id(9, a));
	assert_int_equal(a->state, DOM_BUILDING);
	assert_memory_not_equal(a->uuid, b->uuid, 16);
	assert_int_equal(a->uuid[6] >> 4, 4);
	assert_int_equal(a->uuid[8] >> 6, 2);
	domain_free(a);
	assert_null(domain_by_id(1, NULL));
	domain_free(b);
}

static void a_failed_vcpu_leaves_nothing(void **state)
{
	struct domain *d = sw_domain(1);
	uint64_t before;

	d->max_vcpus = 2;
	before = buddy_free_frames();
	for (unsigned i = 0; i < 100; i++) {
		tp.vcpu_init_error = -XEN_ENOMEM;
		assert_null(vcpu_alloc(d, 1));
		assert_null(d->vcpu[1]);
	}
	/* A slab or two may stay for the next. */
	assert_in_range(before - buddy_free_frames(), 0, 4);
	assert_null(vcpu_alloc(d, 0)); /* there already */
	assert_null(vcpu_alloc(d, 2)); /* beyond the last */
	assert_non_null(vcpu_alloc(d, 1));
}

static void pause_and_unpause(void **state)
{
	struct domain *d = sw_domain(2);

	assert_true(d->vcpu[0]->sched.pause_flags & VPF_PAUSED);
	d->state = DOM_BUILDING;
	domain_unpause(d);
	assert_int_equal(d->state, DOM_RUNNING);
	assert_false((d->vcpu[0]->sched.pause_flags | d->vcpu[1]->sched.pause_flags) & VPF_PAUSED);
	domain_pause(d);
	assert_true(d->vcpu[0]->sched.pause_flags & d->vcpu[1]->sched.pause_flags & VPF_PAUSED);
	assert_int_equal(d->state, DOM_RUNNING);
}

static void shutdown_is_once(void **state)
{
	struct domain *d = sw_domain(2);

	domain_shutdown(d, SHUTDOWN_reboot);
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(d->shutdown_reason, SHUTDOWN_reboot);
	assert_true(d->vcpu[0]->sched.pause_flags & d->vcpu[1]->sched.pause_flags & VPF_DEAD);
	domain_shutdown(d, SHUTDOWN_poweroff);
	domain_crash(d->vcpu[0], "too late");
	assert_int_equal(d->shutdown_reason, SHUTDOWN_reboot);
	assert_int_equal(log_lines("too late"), 0);
	domain_unpause(d);
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_true(d->vcpu[0]->sched.pause_flags & VPF_DEAD);
}

static void crash_is_one_line_and_registers(void **state)
{
	struct domain *d = sw_domain(1), *other = sw_domain(1);
	struct vcpu *v = d->vcpu[0];

	v->gate.regs.rip = 0xffffffff81234567;
	domain_crash(v, "wrote to frame %#x", 0xabc);
	domain_crash(v, "and again");
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(d->shutdown_reason, SHUTDOWN_crash);
	assert_int_equal(
		log_lines("d1: crashed by vcpu 0 at 0xffffffff81234567: wrote to frame 0xabc"), 1);
	assert_int_equal(log_lines("and again"), 0);
	assert_true(log_lines("rax") + log_lines("RAX") > 0);
	assert_int_equal(other->state, DOM_RUNNING);
}

static void shutdown_request(void **state)
{
	struct domain *d = sw_domain(1);
	char value[16];

	assert_int_equal(store_introduce(d), 0);
	assert_int_equal(domain_shutdown_request(d, "poweroff"), 0);
	assert_int_equal(store_read("/local/domain/1/control/shutdown", value, sizeof(value)), 0);
	assert_string_equal(value, "poweroff");
}

/* Domains with everything they can have come and go, and the machine is as before. */
static void nothing_is_left(void **state)
{
	uint64_t settled = 0;

	for (unsigned round = 0; round < 12; round++) {
		struct domain *d = domain_alloc((domid_t)(20 + round % 3), "guest", 2);
		mfn_t ring[2];

		assert_int_equal(domain_mm_init(d, 64), 0);
		assert_int_equal(domain_event_init(d), 0);
		assert_non_null(vcpu_alloc(d, 0));
		assert_non_null(vcpu_alloc(d, 1));
		ring[0] = mm_alloc_domain_frame(d);
		ring[1] = mm_alloc_domain_frame(d);
		assert_int_equal(store_introduce(d), 0);
		assert_true(store_attach(d, ring[0]) > 0);
		assert_true(console_attach(d, ring[1]) > 0);
		assert_int_equal(console_input(d, "x", 1), 1);
		assert_int_equal(gnttab_grow(d, 3), 0);
		assert_int_equal(gnttab_set_version(d, 2), 0);
		domain_unpause(d);
		domain_shutdown(d, SHUTDOWN_poweroff);
		domain_destroy(d);
		assert_null(domain_by_id((domid_t)(20 + round % 3), NULL));
		assert_int_equal(store_read("/local/domain/20/name", (char[8]){ 0 }, 8),
				 -XEN_ENOENT);
		if (round == 3)
			settled = buddy_free_frames();
		assert_int_equal(mm_audit(), 0);
	}
	assert_int_equal(buddy_free_frames(), settled);
}

/* A guest that is destroyed while it has a GDT and an LDT, as any Linux program can have one. */
static void descriptor_tables_go_along(void **state)
{
	struct domain *d = sw_domain(2);
	mfn_t gdt = sw_mfn(d, 1), ldt = sw_mfn(d, 2);

	for (unsigned n = 1; n <= 2; n++)
		assert_int_equal(sw_call(d->vcpu[0], do_update_va_mapping, SW_VA + n * PAGE_SIZE,
					 sw_mfn(d, n).n << PAGE_SHIFT | PTE_P | PTE_US, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(mm_set_gdt(d->vcpu[i], &gdt.n, 4), 0);
		assert_int_equal(mm_set_ldt(d->vcpu[i], SW_VA + 2 * PAGE_SIZE, 4), 0);
		assert_true(mfn_eq(d->vcpu[i]->arch.ldt_frames[0], ldt));
	}
	sw_destroy(d);
	assert_int_equal(mm_audit(), 0);
	assert_int_equal(frame_of(gdt)->kind, FK_FREE);
	assert_int_equal(frame_of(ldt)->kind, FK_FREE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers, start, stop),
		cmocka_unit_test_setup_teardown(a_failed_vcpu_leaves_nothing, start, stop),
		cmocka_unit_test_setup_teardown(pause_and_unpause, start, stop),
		cmocka_unit_test_setup_teardown(shutdown_is_once, start, stop),
		cmocka_unit_test_setup_teardown(crash_is_one_line_and_registers, start, stop),
		cmocka_unit_test_setup_teardown(shutdown_request, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_left, start, stop),
		cmocka_unit_test_setup_teardown(descriptor_tables_go_along, start, stop),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
