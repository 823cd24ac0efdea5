/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out, at every single step: of making a domain, and of what control asks of one that is there. The
 * n-th allocation of the core fails, alone or with all that follow, for every n until one is not reached any more. Whatever
 * failed leaves nothing behind and works the next time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../core/mm/frame.h"
#include "testplat.h"
#include "xenopus/control.h"
#include "xenopus/core.h"

#define FRAMES	  8192u
#define PAGES	  2048u
#define VIRT_BASE UINT64_C(0xffffffff80000000)

/* The linker puts these in the place of the core's own (--wrap). */
void *__real_heap_alloc(size_t size);
void *__wrap_heap_alloc(size_t size);
void __real_heap_free(void *p);
void __wrap_heap_free(void *p);
uint64_t __real_buddy_alloc(unsigned order, uint64_t limit);
uint64_t __wrap_buddy_alloc(unsigned order, uint64_t limit);
int __real_plat_vcpu_init(struct vcpu *v);
int __wrap_plat_vcpu_init(struct vcpu *v);

static unsigned step, failing; /* 0: none fails */
static bool lasting; /* so do all behind it */
static bool reached;
static int objects; /* of the heap, in use */

static bool fails(void)
{
	reached |= ++step == failing;
	return step == failing || (lasting && failing && step > failing);
}

void *__wrap_heap_alloc(size_t size)
{
	void *p = fails() ? NULL : __real_heap_alloc(size);

	objects += p != NULL;
	return p;
}

void __wrap_heap_free(void *p)
{
	objects -= p != NULL;
	__real_heap_free(p);
}

uint64_t __wrap_buddy_alloc(unsigned order, uint64_t limit)
{
	return fails() ? 0 : __real_buddy_alloc(order, limit);
}

int __wrap_plat_vcpu_init(struct vcpu *v)
{
	return fails() ? -XEN_ENOMEM : __real_plat_vcpu_init(v);
}

static void fail_at(unsigned n)
{
	step = 0;
	failing = n;
	reached = false;
}

static uint8_t text[10000], initrd[9000];
static char error[256];
static const struct kernel_segment segment = { VIRT_BASE + 0x100000, text, sizeof(text), sizeof(text) };
static const struct kernel_image kernel = {
	.segments = &segment, .nr_segments = 1, .entry = VIRT_BASE + 0x100010, .virt_base = VIRT_BASE,
	.vstart = VIRT_BASE + 0x100000, .vend = VIRT_BASE + 0x100000 + sizeof(text),
};
static const struct domain_config config = {
	.name = "short", .memory_pages = PAGES, .vcpus = 3, .cmdline = "quiet", .kernel = &kernel, .initrd = initrd,
	.initrd_size = sizeof(initrd), .error = error, .error_size = sizeof(error),
};

static int setup(void **state)
{
	fail_at(0);
	testplat_start(FRAMES);
	assert_int_equal(core_init(), 0);
	/* What is made once and stays, the store's root, is there from now on. */
	domain_destroy(domain_create(&config));
	return 0;
}

static int teardown(void **state)
{
	fail_at(0);
	while (!list_empty(&domain_list))
		domain_destroy(list_entry(domain_list.next, struct domain, link));
	testplat_stop();
	return 0;
}

static uint64_t frames_before;
static int objects_before;

static void note_what_there_is(void)
{
	frames_before = buddy_free_frames();
	objects_before = objects;
}

/* The heap may keep one page of each of its 14 cell sizes. */
static void assert_nothing_left(void)
{
	assert_true(list_empty(&domain_list));
	assert_int_equal(objects, objects_before);
	assert_in_range(buddy_free_frames() + 14, frames_before, frames_before + 28);
}

static void create_short(void)
{
	unsigned n = 0, refused = 0;
	struct domain *d;
	bool hit;

	note_what_there_is();
	do {
		fail_at(++n);
		error[0] = '\0';
		d = domain_create(&config);
		hit = reached;
		if (d) {
			/* Some steps can be done without; then it must be a whole domain. */
			fail_at(0);
			assert_int_equal(d->mm.tot_pages, PAGES);
			assert_non_null(d->vcpu[config.vcpus - 1]);
			domain_destroy(d);
		} else {
			fail_at(0);
			refused++;
			assert_true(hit);
			assert_non_null(strstr(error, "memory"));
		}
		assert_nothing_left();
		assert_int_equal(mm_audit(), 0);
	} while (hit);
	assert_true(refused > 20);
}

static void test_create(void **state)
{
	create_short();
	lasting = true;
	create_short();
	lasting = false;
}

static int ask_shutdown(struct domain *d)
{
	return domain_shutdown_request(d, "poweroff");
}

static int ask_sysrq(struct domain *d)
{
	return domain_sysrq(d, 's');
}

static int ask_target(struct domain *d)
{
	return domain_set_target(d, PAGES / 2);
}

static int ask_online(struct domain *d)
{
	return domain_set_online(d, 2);
}

static int ask_name(struct domain *d)
{
	return domain_rename(d, "a longer name than it had before");
}

static int ask_max(struct domain *d)
{
	return domain_set_max(d, PAGES + 100);
}

static void test_control(void **state)
{
	static int (*const asks[])(struct domain *d) = { ask_shutdown, ask_sysrq, ask_target, ask_online, ask_name,
							 ask_max };
	unsigned refused = 0;

	note_what_there_is();
	for (unsigned i = 0; i < ARRAY_SIZE(asks); i++) {
		int rc = -1;

		for (unsigned n = 1; rc; n++) {
			struct domain *d;

			fail_at(0);
			d = domain_create(&config);
			assert_non_null(d);
			fail_at(n);
			rc = asks[i](d);
			fail_at(0);
			if (rc) {
				refused++;
				assert_int_equal(rc, -XEN_ENOMEM);
				assert_int_equal(asks[i](d), 0);
			}
			domain_destroy(d);
			assert_nothing_left();
			assert_int_equal(mm_audit(), 0);
		}
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
