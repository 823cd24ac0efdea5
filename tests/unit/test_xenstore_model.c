/* SPDX-License-Identifier: MIT */
/*
 * Random requests, in and out of transactions, against a model that is too simple to be wrong: a
 * table of all possible paths. A transaction of the model is a copy of the table and a list of
 * requests; it commits when doing the list again on the present table gives the same answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storeclient.h"
#include "../../core/xenstore/xenstore.h"

/* The universe: "data", and three names at each of three levels below it. */
#define NAMES	     3u
#define PATHS	     (1u + 3u + 9u + 27u)
#define TRANSACTIONS 4u
#define LOG	     64u

static unsigned parent_of(unsigned p)
{
	return (p - 1) / NAMES;
}

static void path_text(unsigned p, char *out)
{
	if (!p) {
		strcpy(out, "data");
		return;
	}
	path_text(parent_of(p), out);
	sprintf(out + strlen(out), "/%c", 'a' + (int)((p - 1) % NAMES));
}

struct model {
	bool exists[PATHS];
	unsigned value[PATHS];
	unsigned born[PATHS]; /* for the order of directories */
	unsigned clock;
};

enum op { OP_READ, OP_WRITE, OP_MKDIR, OP_RM, OP_DIRECTORY, OPS };

static const uint32_t op_type[OPS] = { XS_READ, XS_WRITE, XS_MKDIR, XS_RM, XS_DIRECTORY };

struct request {
	enum op op;
	unsigned path, value;
};

/* What the store must say: an error, or a payload. */
struct answer {
	bool changed;
	const char *error;
	char data[64];
	uint32_t len;
};

static void make(struct model *m, unsigned p)
{
	if (m->exists[p])
		return;
	if (p)
		make(m, parent_of(p));
	m->exists[p] = true;
	m->value[p] = 0;
	m->born[p] = ++m->clock;
}

static void unmake(struct model *m, unsigned p)
{
	m->exists[p] = false;
	for (unsigned c = 0; c < NAMES; c++)
		if (p * NAMES + 1 + c < PATHS)
			unmake(m, p * NAMES + 1 + c);
}

static void directory(const struct model *m, unsigned p, struct answer *a)
{
	unsigned last = 0;

	for (unsigned n = 0; n < NAMES; n++) {
		unsigned first = 0;

		for (unsigned c = 0; c < NAMES; c++) {
			unsigned q = p * NAMES + 1 + c;

			if (q < PATHS && m->exists[q] && m->born[q] > last &&
			    (!first || m->born[q] < m->born[first]))
				first = q;
		}
		if (!first)
			return;
		last = m->born[first];
		a->data[a->len++] = (char)('a' + (first - 1) % NAMES);
		a->data[a->len++] = '\0';
	}
}

static struct answer apply(struct model *m, const struct request *r)
{
	struct answer a = { .changed = false };

	if ((r->op == OP_READ || r->op == OP_DIRECTORY) && !m->exists[r->path]) {
		a.error = "ENOENT";
		return a;
	}
	switch (r->op) {
	case OP_READ:
		if (m->value[r->path])
			a.len = (uint32_t)sprintf(a.data, "v%u", m->value[r->path]);
		return a;
	case OP_DIRECTORY:
		directory(m, r->path, &a);
		return a;
	case OP_WRITE:
		make(m, r->path);
		m->value[r->path] = r->value;
		a.changed = true;
		break;
	case OP_MKDIR:
		a.changed = !m->exists[r->path];
		make(m, r->path);
		break;
	default:
		if (!m->exists[r->path] && !m->exists[parent_of(r->path)]) {
			a.error = "ENOENT";
			return a;
		}
		a.changed = m->exists[r->path];
		unmake(m, r->path);
		break;
	}
	strcpy(a.data, "OK");
	a.len = 3;
	return a;
}

static bool same_answer(const struct answer *x, const struct answer *y)
{
	if (x->error || y->error)
		return x->error && y->error && !strcmp(x->error, y->error);
	return x->len == y->len && !memcmp(x->data, y->data, x->len);
}

struct model_tx {
	uint32_t id; /* the store's; 0: none */
	struct model m;
	struct request log[LOG];
	struct answer answer[LOG];
	unsigned logged;
	bool changed;
};

static struct store_client client;
static struct model common;
static struct model_tx txs[TRANSACTIONS];

static void ask(uint32_t tx, const struct request *r, const struct answer *want)
{
	char path[64], value[16] = "";

	path_text(r->path, path);
	if (r->op == OP_WRITE) {
		if (r->value)
			snprintf(value, sizeof(value), "v%u", r->value);
		sc_write(&client, tx, path, value);
	} else {
		sc_path(&client, op_type[r->op], tx, path);
	}
	if (want->error) {
		assert_true(sc_is(&client, want->error));
		return;
	}
	if (!sc_is(&client, NULL))
		fail_msg("%s in op %d on %s", client.data, r->op, path);
	assert_int_equal(client.len, want->len);
	assert_memory_equal(client.data, want->data, want->len);
}

static void random_request(void)
{
	struct model_tx *t = rand() % 3 ? &txs[(unsigned)rand() % TRANSACTIONS] : NULL;
	/* "data" itself stays: without it the domain could not make it again. */
	struct request r = { .op = (enum op)(rand() % OPS),
			     .path = 1 + (unsigned)rand() % (PATHS - 1) };
	struct answer a;

	r.value = (unsigned)rand() % 4;
	if (t && (!t->id || t->logged == LOG))
		t = NULL;
	a = apply(t ? &t->m : &common, &r);
	ask(t ? t->id : 0, &r, &a);
	if (t) {
		t->log[t->logged] = r;
		t->answer[t->logged++] = a;
		t->changed |= a.changed;
	}
}

static void begin(struct model_tx *t)
{
	t->id = sc_begin(&client);
	assert_true(t->id);
	t->m = common;
	t->logged = 0;
	t->changed = false;
}

/* True when it was committed with changes. */
static bool end(struct model_tx *t)
{
	bool commit = rand() % 4, ok = true;
	struct model again = common;

	for (unsigned i = 0; i < t->logged && ok; i++) {
		struct answer a = apply(&again, &t->log[i]);

		ok = same_answer(&a, &t->answer[i]);
	}
	sc_end(&client, t->id, commit);
	t->id = 0;
	if (!commit || !t->changed) {
		assert_true(sc_is(&client, NULL));
		return false;
	}
	assert_true(sc_is(&client, ok ? NULL : "EAGAIN"));
	if (ok)
		common = again;
	return ok;
}

static void random_operations(void **state)
{
	unsigned commits = 0, ends = 0;

	srand(20031019);
	common.exists[0] = true;
	for (unsigned round = 0; round < 30000; round++) {
		struct model_tx *t = &txs[(unsigned)rand() % TRANSACTIONS];

		if (rand() % 12) {
			random_request();
		} else if (t->id) {
			ends++;
			commits += end(t);
		} else {
			begin(t);
		}
		if (round % 500 == 0)
			assert_int_equal(xs_audit(), 0);
	}
	/* Both ways out were walked often. */
	assert_true(commits > 50 && ends - commits > 50);

	/* And in the end the store holds what the model holds. */
	for (unsigned p = 1; p < PATHS; p++) {
		struct request r = { .op = OP_READ, .path = p };
		struct answer a = apply(&common, &r);

		ask(0, &r, &a);
	}
	assert_int_equal(xs_audit(), 0);
}

static int start(void **state)
{
	smallworld_start();
	sc_open(&client);
	return 0;
}

static int stop(void **state)
{
	smallworld_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_operations, start, stop),
	};

	return cmocka_run_group_tests_name("xenstore_model", tests, NULL, NULL);
}
