/* SPDX-License-Identifier: MIT */
/*
 * The store through a guest's ring: requests, rights, watches, transactions, quotas, and guests
 * that write nonsense into the ring. Random operations against a model are in
 * test_xenstore_model.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storeclient.h"
#include "xenopus/io.h"
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

static void nodes(void **state)
{
	assert_true(sc_write(&a, 0, "/local/domain/1/data/x", "hello"));
	assert_string_equal(a.data, "OK");
	assert_true(sc_read(&a, 0, "/local/domain/1/data/x"));
	assert_int_equal(a.len, 5);
	assert_string_equal(a.data, "hello");
	assert_true(sc_read(&a, 0, "data/x")); /* relative to the domain's own directory */
	assert_string_equal(a.data, "hello");

	/* Parents come by themselves, empty. */
	assert_true(sc_write(&a, 0, "data/p/q/r", ""));
	assert_true(sc_read(&a, 0, "data/p/q"));
	assert_int_equal(a.len, 0);
	assert_true(sc_path(&a, XS_MKDIR, 0, "data/p/s"));
	assert_true(sc_path(&a, XS_DIRECTORY, 0, "data/p"));
	assert_memory_equal(a.data, "q\0s\0", a.len);
	assert_int_equal(a.len, 4);

	/* Making what is there changes nothing. */
	assert_true(sc_write(&a, 0, "data/p/s", "kept"));
	assert_true(sc_path(&a, XS_MKDIR, 0, "data/p/s"));
	assert_true(sc_read(&a, 0, "data/p/s"));
	assert_string_equal(a.data, "kept");

	assert_true(sc_path(&a, XS_RM, 0, "data/p"));
	assert_false(sc_read(&a, 0, "data/p/q/r"));
	assert_true(sc_is(&a, "ENOENT"));
	assert_true(sc_path(&a, XS_RM, 0, "data/p")); /* gone already, parent there */
	assert_false(sc_path(&a, XS_RM, 0, "data/p/q"));
	assert_true(sc_is(&a, "ENOENT"));
	assert_false(sc_path(&a, XS_RM, 0, "/"));

	/* Any bytes are a value. */
	assert_true(sc_rpc(&a, XS_WRITE, 0, "data/x\0a\0b\xff", 11));
	assert_true(sc_read(&a, 0, "data/x"));
	assert_int_equal(a.len, 4);
	assert_memory_equal(a.data, "a\0b\xff", 4);
}

static void what_a_kernel_asks_first(void **state)
{
	static const char *const there[] = {
		"name",
		"domid",
		"vm",
		"memory/target",
		"memory/static-max",
		"cpu/0/availability",
		"control/shutdown",
		"store/port",
		"store/ring-ref",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(there); i++)
		assert_true(sc_read(&a, 0, there[i]));
	assert_true(sc_read(&a, 0, "domid"));
	assert_string_equal(a.data, "1");
	assert_true(sc_read(&a, 0, "store/port"));
	assert_int_equal(strtoul(a.data, NULL, 10), a.port);
	assert_true(sc_path(&a, XS_DIRECTORY, 0, "device"));
	assert_true(sc_path(&a, XS_GET_DOMAIN_PATH, 0, "7"));
	assert_string_equal(a.data, "/local/domain/7");
	assert_int_equal(a.len, strlen(a.data) + 1);
	assert_true(sc_path(&a, XS_IS_DOMAIN_INTRODUCED, 0, "2"));
	assert_string_equal(a.data, "T");
	assert_true(sc_path(&a, XS_IS_DOMAIN_INTRODUCED, 0, "77"));
	assert_string_equal(a.data, "F");
	assert_true(sc_write(&a, 0, "control/shutdown", ""));
	assert_int_equal(store_write("/local/domain/1/control/shutdown", "poweroff"), 0);
	assert_true(sc_read(&a, 0, "control/shutdown"));
	assert_string_equal(a.data, "poweroff");
}

static void bad_requests(void **state)
{
	static const char *const bad_paths[] = {
		"",
		"/local//x",
		"/local/",
		"//",
		"data/",
		"data x",
		"/local/domain/1/data/\x01",
		"data/\xc3\xa9",
	};
	char deep[100] = "data", large[XENSTORE_PAYLOAD_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(bad_paths); i++) {
		assert_false(sc_read(&a, 0, bad_paths[i]));
		assert_true(sc_is(&a, "EINVAL"));
		assert_false(sc_write(&a, 0, bad_paths[i], "x"));
	}
	while (strlen(deep) < 90)
		strcat(deep, "/d");
	assert_false(sc_write(&a, 0, deep, "x"));
	assert_true(sc_is(&a, "EINVAL"));
	memset(large, 'a', sizeof(large));
	assert_false(sc_rpc(&a, XS_READ, 0, large, sizeof(large))); /* no NUL at all */
	assert_true(sc_is(&a, "EINVAL"));
	assert_false(sc_rpc(&a, XS_READ, 0, "data\0x", 7)); /* something behind the path */
	assert_true(sc_is(&a, "EINVAL"));
	assert_false(sc_rpc(&a, XS_READ, 0, "", 0));
	assert_false(sc_rpc(&a, 9999, 0, "data", 5));
	assert_true(sc_is(&a, "ENOSYS"));
	assert_false(sc_rpc(&a, XS_INTRODUCE, 0, "1", 2));
	assert_true(sc_is(&a, "EACCES"));
	assert_false(sc_path(&a, XS_GET_DOMAIN_PATH, 0, "x"));
	assert_false(sc_path(&a, XS_GET_DOMAIN_PATH, 0, "99999999999999999999"));
}

static void rights(void **state)
{
	/* The core's nodes: to read. */
	assert_false(sc_write(&a, 0, "name", "root"));
	assert_true(sc_is(&a, "EACCES"));
	assert_false(sc_write(&a, 0, "newdir", "x"));
	assert_true(sc_is(&a, "EACCES"));
	assert_false(sc_path(&a, XS_RM, 0, "name"));
	assert_false(sc_path(&a, XS_DIRECTORY, 0, "/"));
	assert_true(sc_is(&a, "EACCES"));

	/* Another domain's: not even whether they exist. */
	assert_true(sc_write(&a, 0, "data/secret", "1234"));
	assert_false(sc_read(&b, 0, "/local/domain/1/data/secret"));
	assert_true(sc_is(&b, "EACCES"));
	assert_false(sc_read(&b, 0, "/local/domain/1/data/nothing"));
	assert_true(sc_is(&b, "EACCES"));

	/* Unless it shows them. */
	assert_true(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0n1\0r2", 18));
	assert_true(sc_read(&b, 0, "/local/domain/1/data/secret"));
	assert_string_equal(b.data, "1234");
	assert_false(sc_write(&b, 0, "/local/domain/1/data/secret", "5"));
	assert_true(sc_is(&b, "EACCES"));
	assert_true(sc_path(&b, XS_GET_PERMS, 0, "/local/domain/1/data/secret"));
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "n1\0r2\0", 6);
	assert_true(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0w1\0b2", 18));
	assert_true(sc_write(&b, 0, "/local/domain/1/data/secret", "5"));
	/* What one creates in another's directory is one's own. */
	assert_true(sc_write(&b, 0, "/local/domain/1/data/secret/mine", "6"));
	assert_true(sc_path(&b, XS_GET_PERMS, 0, "/local/domain/1/data/secret/mine"));
	assert_memory_equal(b.data, "w2\0b2\0", 6);

	/* Ownership is not for giving or taking. */
	assert_false(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0n2", 15));
	assert_true(sc_is(&a, "EPERM"));
	assert_false(sc_rpc(&b, XS_SET_PERMS, 0, "/local/domain/1/data/secret\0n2", 31));
	assert_true(sc_is(&b, "EACCES"));
	assert_false(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0", 12));
	assert_false(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0x1", 15));
	assert_false(sc_rpc(&a, XS_SET_PERMS, 0, "data/secret\0n1", 14)); /* unterminated */
	assert_true(sc_is(&a, "EINVAL"));
}

static void watches(void **state)
{
	assert_true(sc_watch(&a, "data/w", "tok"));
	sc_drain(&a);
	assert_int_equal(sc_heard(&a, "data/w tok"), 1); /* at once, and as asked for */
	assert_false(sc_watch(&a, "data/w", "tok"));
	assert_true(sc_is(&a, "EEXIST"));
	assert_true(sc_watch(&a, "/local/domain/1/data/w", "abs"));
	sc_drain(&a);
	sc_forget(&a);

	assert_true(sc_write(&a, 0, "data/w", "1"));
	assert_true(sc_write(&a, 0, "data/w/x/y", "1"));
	assert_true(sc_write(&a, 0, "data/wx", "1")); /* a longer name, not a child */
	sc_drain(&a);
	assert_int_equal(sc_heard(&a, "data/w tok"), 1);
	assert_int_equal(sc_heard(&a, "/local/domain/1/data/w abs"), 1);
	assert_int_equal(sc_heard(&a, "data/w/x/y tok"), 1);
	assert_int_equal(a.events, 4);

	/* The end of a node above. */
	sc_forget(&a);
	assert_true(sc_path(&a, XS_RM, 0, "data"));
	sc_drain(&a);
	assert_int_equal(sc_heard(&a, "data/w tok"), 1);
	assert_int_equal(a.events, 2);

	sc_forget(&a);
	assert_true(sc_unwatch(&a, "data/w", "tok"));
	assert_false(sc_unwatch(&a, "data/w", "tok"));
	assert_true(sc_is(&a, "ENOENT"));
	assert_int_equal(store_write("/local/domain/1/data/w", "x"), 0);
	sc_drain(&a);
	assert_int_equal(sc_heard(&a, "/local/domain/1/data/w abs"), 1);
	assert_int_equal(a.events, 1);

	sc_forget(&a);
	assert_true(sc_rpc(&a, XS_RESET_WATCHES, 0, "", 1));
	assert_int_equal(store_write("/local/domain/1/data/w", "y"), 0);
	sc_drain(&a);
	assert_int_equal(a.events, 0);
}

static void watches_keep_secrets(void **state)
{
	assert_true(sc_watch(&b, "/local/domain/1/data", "spy"));
	sc_drain(&b);
	sc_forget(&b);
	assert_true(sc_write(&a, 0, "data/secret", "1"));
	assert_true(sc_path(&a, XS_RM, 0, "data/secret"));
	sc_drain(&b);
	assert_int_equal(b.events, 0);
	assert_true(sc_write(&a, 0, "data/shown", "1"));
	assert_true(sc_rpc(&a, XS_SET_PERMS, 0, "data/shown\0n1\0r2", 17));
	assert_true(sc_write(&a, 0, "data/shown", "2"));
	sc_drain(&b);
	/* Of the permission and of the value after it, but not of the node's creation. */
	assert_int_equal(sc_heard(&b, "/local/domain/1/data/shown spy"), 2);
	assert_int_equal(b.events, 2);
	assert_false(sc_watch(&b, "@somethingElse", "x"));
	assert_true(sc_is(&b, "EINVAL"));
}

static void transactions(void **state)
{
	uint32_t t = sc_begin(&a), u;

	assert_true(t);
	assert_true(sc_write(&a, t, "data/t", "inside"));
	assert_true(sc_read(&a, t, "data/t"));
	assert_false(sc_read(&a, 0, "data/t")); /* not yet for others */
	assert_true(sc_is(&a, "ENOENT"));
	assert_true(sc_watch(&a, "data", "w"));
	sc_drain(&a);
	sc_forget(&a);
	assert_true(sc_end(&a, t, true));
	assert_true(sc_read(&a, 0, "data/t"));
	assert_string_equal(a.data, "inside");
	sc_drain(&a);
	assert_int_equal(sc_heard(&a, "data/t w"), 1);

	/* Given up. */
	t = sc_begin(&a);
	assert_true(sc_write(&a, t, "data/t", "other"));
	assert_true(sc_end(&a, t, false));
	assert_true(sc_read(&a, 0, "data/t"));
	assert_string_equal(a.data, "inside");
	assert_false(sc_end(&a, t, true));
	assert_true(sc_is(&a, "ENOENT"));

	/* A conflict: what it read is no more so. */
	t = sc_begin(&a);
	assert_true(sc_read(&a, t, "data/t"));
	assert_true(sc_write(&a, t, "data/copy", a.data));
	assert_true(sc_write(&a, 0, "data/t", "changed"));
	assert_false(sc_end(&a, t, true));
	assert_true(sc_is(&a, "EAGAIN"));
	assert_false(sc_read(&a, 0, "data/copy"));

	/* Others' business is no conflict. */
	t = sc_begin(&a);
	u = sc_begin(&b);
	assert_true(sc_write(&a, t, "data/one", "1"));
	assert_true(sc_write(&b, u, "data/two", "2"));
	assert_true(sc_end(&b, u, true));
	assert_true(sc_end(&a, t, true));
	assert_true(sc_read(&a, 0, "data/one"));
	assert_true(sc_read(&b, 0, "data/two"));

	assert_false(sc_write(&a, 12345, "data/x", ""));
	assert_true(sc_is(&a, "ENOENT"));
	t = sc_begin(&a);
	assert_false(sc_rpc(&a, XS_TRANSACTION_START, t, "", 1));
	assert_true(sc_is(&a, "EBUSY"));
	assert_false(sc_rpc(&a, XS_TRANSACTION_END, t, "X", 2));
	assert_true(sc_is(&a, "EINVAL"));
}

/*
 * Long values count as more nodes; what is made short again, or removed, does not. So old ones, which open transactions
 * keep, cannot be much either.
 */
static void weight_of_values(void **state)
{
	unsigned before = a.d->store->nodes, made = 0;
	uint64_t free_frames = buddy_free_frames();
	char path[32], value[2001];

	memset(value, 'v', 2000);
	value[2000] = '\0';
	for (; made < 1000; made++) {
		snprintf(path, sizeof(path), "data/n%u", made);
		if (!sc_write(&a, 0, path, value))
			break;
	}
	assert_true(sc_is(&a, "ENOSPC"));
	assert_int_equal(made, (XS_QUOTA_NODES - before) / 8);
	assert_int_equal(a.d->store->nodes, before + 8 * made);
	assert_true(sc_write(&a, 0, "data/n0", "short"));
	assert_int_equal(a.d->store->nodes, before + 8 * made - 7);
	assert_true(sc_write(&a, 0, "data/n0", value));
	assert_true(sc_write(&a, 0, "data/n0", value)); /* no heavier */
	assert_int_equal(xs_audit(), 0);
	assert_true(sc_path(&a, XS_RM, 0, "data/n1"));
	assert_true(sc_path(&a, XS_RM, 0, "data/n2"));
	assert_int_equal(a.d->store->nodes, before + 8 * (made - 2));
	value[255] = '\0';
	assert_true(sc_write(&a, 0, "data/n3", value));
	assert_int_equal(a.d->store->nodes, before + 8 * (made - 3) + 1);
	assert_int_equal(xs_audit(), 0);

	value[255] = 'v';
	for (unsigned t = 0; t < XS_QUOTA_TRANSACTIONS; t++) {
		assert_true(sc_begin(&a) != 0);
		for (unsigned i = 4; i < made; i++) {
			snprintf(path, sizeof(path), "data/n%u", i);
			assert_true(sc_write(&a, 0, path, value));
		}
	}
	assert_in_range(free_frames - buddy_free_frames(), XS_QUOTA_TRANSACTIONS * (made - 4), 1600);
}

static void quotas(void **state)
{
	static char big[XS_QUOTA_VALUE + 2];
	char path[64];
	unsigned made = 0, nodes_before = a.d->store->nodes;

	memset(big, 'v', XS_QUOTA_VALUE);
	assert_true(sc_write(&a, 0, "data/big", big));
	big[XS_QUOTA_VALUE] = 'v';
	assert_false(sc_write(&a, 0, "data/big", big));
	assert_true(sc_is(&a, "ENOSPC"));

	for (;; made++) {
		snprintf(path, sizeof(path), "data/n%u", made);
		if (!sc_write(&a, 0, path, ""))
			break;
		assert_true(made < 5000);
	}
	assert_true(sc_is(&a, "ENOSPC"));
	assert_int_equal(made, XS_QUOTA_NODES - nodes_before - 1 - XS_QUOTA_VALUE / XS_WEIGHS_AS_NODE);
	assert_true(sc_write(&b, 0, "data/n", "")); /* nobody else suffers */
	assert_true(sc_path(&a, XS_RM, 0, "data/n0"));
	assert_true(sc_write(&a, 0, path, ""));
	{
		uint32_t t = sc_begin(&a);

		assert_false(sc_write(&a, t, "data/more", ""));
		assert_true(sc_is(&a, "ENOSPC"));
		assert_true(sc_end(&a, t, false));
	}

	/* A directory too long for a message comes in parts. */
	assert_false(sc_path(&a, XS_DIRECTORY, 0, "data"));
	assert_true(sc_is(&a, "E2BIG"));
	{
		char generation[32] = "", rq[64];
		unsigned names = 0, offset = 0;

		for (bool last = false; !last;) {
			int len = snprintf(rq, sizeof(rq), "data%c%u%c", 0, offset, 0);
			uint32_t at;

			assert_true(sc_rpc(&a, XS_DIRECTORY_PART, 0, rq, (uint32_t)len));
			at = (uint32_t)strlen(a.data) + 1;
			if (*generation)
				assert_string_equal(a.data, generation);
			snprintf(generation, sizeof(generation), "%.30s", a.data);
			while (at < a.len && a.data[at]) {
				names++;
				offset += (unsigned)strlen(a.data + at) + 1;
				at += (uint32_t)strlen(a.data + at) + 1;
			}
			last = at < a.len;
		}
		assert_int_equal(names, made + 1);
		assert_false(sc_rpc(&a, XS_DIRECTORY_PART, 0, "data\0001",
				    7)); /* not where a name starts */
	}

	made = 0;
	for (; made < 1000; made++) {
		snprintf(path, sizeof(path), "t%u", made);
		if (!sc_watch(&b, "data", path))
			break;
		sc_drain(&b);
		sc_forget(&b);
	}
	assert_int_equal(made, XS_QUOTA_WATCHES);
	assert_true(sc_is(&b, "ENOSPC"));

	for (made = 0; made < 100 && sc_begin(&b); made++)
		;
	assert_int_equal(made, XS_QUOTA_TRANSACTIONS);
	assert_true(sc_is(&b, "ENOSPC"));
}

static void still_works(struct store_client *c)
{
	assert_true(sc_write(c, 0, "data/alive", "yes"));
	assert_true(sc_read(c, 0, "data/alive"));
	assert_string_equal(c->data, "yes");
}

static void end_of_a_domain(void **state)
{
	assert_true(sc_write(&a, 0, "data/shared", ""));
	assert_true(sc_rpc(&a, XS_SET_PERMS, 0, "data/shared\0b1", 15));
	assert_true(sc_write(&b, 0, "/local/domain/1/data/shared/of-b", "x"));
	assert_true(sc_watch(&a, "data", "w"));
	store_release(b.d);
	assert_null(b.d->store);
	assert_int_equal(xs_tree_count(xs_main.root, b.d->id), 0);
	assert_null(xs_tree_find(xs_main.root, "/local/domain/2"));
	assert_true(sc_path(&a, XS_IS_DOMAIN_INTRODUCED, 0, "2"));
	assert_string_equal(a.data, "F");
	assert_int_equal(store_write("/local/domain/1/data/after", "z"), 0);
	still_works(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes, start, stop),
		cmocka_unit_test_setup_teardown(what_a_kernel_asks_first, start, stop),
		cmocka_unit_test_setup_teardown(bad_requests, start, stop),
		cmocka_unit_test_setup_teardown(rights, start, stop),
		cmocka_unit_test_setup_teardown(watches, start, stop),
		cmocka_unit_test_setup_teardown(watches_keep_secrets, start, stop),
		cmocka_unit_test_setup_teardown(transactions, start, stop),
		cmocka_unit_test_setup_teardown(quotas, start, stop),
		cmocka_unit_test_setup_teardown(weight_of_values, start, stop),
		cmocka_unit_test_setup_teardown(end_of_a_domain, start, stop),
	};

	return cmocka_run_group_tests_name("xenstore", tests, NULL, NULL);
}
