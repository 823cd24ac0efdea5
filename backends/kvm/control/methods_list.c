/* SPDX-License-Identifier: MIT */
/* The methods that only look: domains, virtual CPUs, the machine, its log. */
#include <string.h>
#include <sys/utsname.h>

#include <xenopus/lib.h>
#include <xenopus/time.h>
#include <xenopus/words.h>
#include "../machine.h"
#include "config.h"
#include "methods.h"

static void add_int(JsonBuilder *b, const char *name, uint64_t value)
{
	json_builder_set_member_name(b, name);
	json_builder_add_int_value(b, (gint64)value);
}

static void add_string(JsonBuilder *b, const char *name, const char *value)
{
	json_builder_set_member_name(b, name);
	json_builder_add_string_value(b, value);
}

static void add_cpus(JsonBuilder *b, const char *name, uint64_t cpus)
{
	char text[WORDS_CPUS];

	words_cpus_text(cpus, text, sizeof(text));
	add_string(b, name, text);
}

static void answer(struct request *rq, JsonBuilder *b)
{
	rpc_result(rq, json_builder_get_root(b));
}

/* One domain, or with NULL all. */
static bool take_choice(struct request *rq, JsonObject *params, struct guest **only)
{
	const struct param table[] = { { "domain", PARAM_DOMAIN, false, only, 0, 0 },
				       { NULL, PARAM_STRING, false, NULL, 0, 0 } };

	*only = NULL;
	return params_take(rq, params, table);
}

static void each_chosen(const struct guest *only, void (*fn)(struct guest *g, JsonBuilder *b),
			JsonBuilder *b)
{
	for (guint i = 0; i < guests->len; i++) {
		struct guest *g = g_ptr_array_index(guests, i);

		if (!only || only == g)
			fn(g, b);
	}
}

static void status_in_core(struct domain *d, void *data)
{
	domain_get_status(d, data);
}

static const char *state_word(const struct guest *g, const struct domain_status *s)
{
	switch (g->state) {
	case GUEST_CREATING:
		return "creating";
	case GUEST_WAITING:
		return "waiting";
	case GUEST_STOPPED:
		return "shutdown";
	case GUEST_LIVE:
		break;
	}
	return domain_state_word(s);
}

static void list_one(struct guest *g, JsonBuilder *b)
{
	struct domain_status s = { .pages = 0 };
	g_autofree char *uuid = guest_uuid_text(g->cfg->uuid);

	guest_with(g, status_in_core, &s);
	json_builder_begin_object(b);
	add_int(b, "id", g->id);
	add_string(b, "name", g->name);
	add_string(b, "uuid", uuid);
	add_string(b, "state", state_word(g, &s));
	if (g->state == GUEST_STOPPED)
		add_string(b, "reason", stop_reason_name(g->reason));
	add_int(b, "memory_kib", s.pages << (PAGE_SHIFT - 10));
	add_int(b, "maxmem_kib", s.max_pages << (PAGE_SHIFT - 10));
	add_int(b, "target_kib", s.target << (PAGE_SHIFT - 10));
	add_int(b, "vcpus", s.online);
	add_int(b, "maxvcpus", g->cfg->maxvcpus);
	add_int(b, "cpu_ns", s.cpu_ns);
	add_int(b, "hypercalls", s.hypercalls);
	add_int(b, "exits", s.exits);
	add_int(b, "uptime_s",
		g->started ? (uint64_t)(g_get_monotonic_time() - g->started) / G_USEC_PER_SEC : 0);
	json_builder_end_object(b);
}

void method_list(struct request *rq, JsonObject *params)
{
	g_autoptr(JsonBuilder) b = json_builder_new();
	struct guest *only;

	if (!take_choice(rq, params, &only))
		return;
	json_builder_begin_array(b);
	each_chosen(only, list_one, b);
	json_builder_end_array(b);
	answer(rq, b);
}

struct vcpu_statuses {
	struct vcpu_status v[MAX_VCPUS];
	bool there[MAX_VCPUS];
};

static void vcpus_in_core(struct domain *d, void *data)
{
	struct vcpu_statuses *s = data;

	for (unsigned i = 0; i < MAX_VCPUS; i++)
		s->there[i] = vcpu_get_status(d, i, &s->v[i]);
}

static void vcpus_one(struct guest *g, JsonBuilder *b)
{
	g_autofree struct vcpu_statuses *s = g_new0(struct vcpu_statuses, 1);

	guest_with(g, vcpus_in_core, s);
	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		if (!s->there[i])
			continue;
		json_builder_begin_object(b);
		add_int(b, "id", g->id);
		add_string(b, "name", g->name);
		add_int(b, "vcpu", i);
		if (s->v[i].doing != VCPU_OFFLINE)
			add_int(b, "cpu", s->v[i].pcpu);
		add_string(b, "state", vcpu_state_word(s->v[i].doing));
		add_int(b, "cpu_ns", s->v[i].cpu_ns);
		add_int(b, "waited_ns", s->v[i].waited_ns);
		add_cpus(b, "affinity", s->v[i].affinity);
		add_int(b, "hypercalls", s->v[i].hypercalls);
		add_int(b, "exits", s->v[i].exits);
		json_builder_end_object(b);
	}
}

void method_vcpus(struct request *rq, JsonObject *params)
{
	g_autoptr(JsonBuilder) b = json_builder_new();
	struct guest *only;

	if (!take_choice(rq, params, &only))
		return;
	json_builder_begin_array(b);
	each_chosen(only, vcpus_one, b);
	json_builder_end_array(b);
	answer(rq, b);
}

static void fact_text(void *opaque, const char *name, const char *value)
{
	add_string(opaque, name, value);
}

static void fact_number(void *opaque, const char *name, uint64_t value)
{
	add_int(opaque, name, value);
}

static void facts_in_core(void *data)
{
	const struct facts f = { fact_text, fact_number, data };

	machine_facts(&f);
}

void method_info(struct request *rq, JsonObject *params)
{
	static const struct param none[] = { { NULL, PARAM_STRING, false, NULL, 0, 0 } };
	g_autoptr(JsonBuilder) b = NULL;
	struct utsname u;

	if (!params_take(rq, params, none))
		return;
	b = json_builder_new();
	uname(&u);
	json_builder_begin_object(b);
	add_string(b, "host", u.nodename);
	add_string(b, "release", u.release);
	add_string(b, "version", u.version);
	add_string(b, "machine", u.machine);
	add_int(b, "nr_domains", guests->len);
	home_call(facts_in_core, b);
	add_string(b, "xenopus_version", XENOPUS_VERSION);
	add_int(b, "pid", (uint64_t)getpid());
	json_builder_end_object(b);
	answer(rq, b);
}

void method_log(struct request *rq, JsonObject *params)
{
	g_autoptr(JsonBuilder) b = NULL;
	bool clear = false;
	const struct param table[] = { { "clear", PARAM_BOOL, false, &clear, 0, 0 },
				       { NULL, PARAM_STRING, false, NULL, 0, 0 } };
	char line[320];
	uint64_t from = 0;

	if (!params_take(rq, params, table))
		return;
	b = json_builder_new();
	json_builder_begin_array(b);
	while (log_ring_line(&from, line, sizeof(line))) {
		g_autofree char *valid = g_utf8_make_valid(line, -1);

		json_builder_add_string_value(b, valid);
	}
	if (clear)
		log_ring_clear(from);
	json_builder_end_array(b);
	answer(rq, b);
}

static void add_line(void *opaque, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	json_builder_add_string_value(opaque, valid);
}

struct keys {
	const char *keys;
	JsonBuilder *b;
};

static void keys_in_core(void *data)
{
	struct keys *k = data;

	for (const char *c = k->keys; *c; c++)
		if (*c == 'h')
			debug_keys_help(add_line, k->b);
		else
			debug_key(*c, add_line, k->b);
}

void method_debug_keys(struct request *rq, JsonObject *params)
{
	g_autoptr(JsonBuilder) b = NULL;
	const char *keys;
	const struct param table[] = { { "keys", PARAM_STRING, true, &keys, 0, 16 },
				       { NULL, PARAM_STRING, false, NULL, 0, 0 } };
	struct keys k;

	if (!params_take(rq, params, table))
		return;
	b = json_builder_new();
	k = (struct keys){ keys, b };
	json_builder_begin_array(b);
	home_call(keys_in_core, &k);
	json_builder_end_array(b);
	answer(rq, b);
}
