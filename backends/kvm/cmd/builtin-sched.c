/* SPDX-License-Identifier: MIT */
/* The verbs about who runs where and how much. */
#include <stdio.h>
#include <string.h>

#include <xenopus/words.h>
#include "verb.h"

int cmd_vcpu_pin(int argc, char **argv)
{
	gboolean force = FALSE;
	const GOptionEntry more[] = {
		{ "force", 'f', 0, G_OPTION_ARG_NONE, &force,
		  "Taken as xl takes it; no pinning needs it here", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "DOMAIN VCPU|all CPUS|all [all]",
			  .summary = "Says on which physical CPUs a virtual "
				     "CPU may run: numbers and ranges, as in 0-2,5. It prefers "
				     "none of them (xl's soft affinity is\n"
				     "always all).",
			  .min = 3,
			  .max = 4,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	JsonObject *params;
	guint64 vcpu = 0;
	bool all;

	if (status)
		return status;
	all = !strcmp(v.args[1], "all");
	if (!all && !g_ascii_string_to_unsigned(v.args[1], 10, 0, 63, &vcpu, NULL))
		return cmd_error(STATUS_USAGE, "virtual CPU '%s': give 0 to 63, or all", v.args[1]);
	if (v.nr_args == 4 && strcmp(v.args[3], "all") && strcmp(v.args[3], "-"))
		return cmd_error(STATUS_USAGE,
				 "soft affinity '%s': virtual CPUs prefer no CPU here: give all, "
				 "or leave it "
				 "out",
				 v.args[3]);
	status = verb_connect(&v);
	if (status)
		return status;
	params = verb_domain(v.args[0]);
	if (!all)
		json_object_set_int_member(params, "vcpu", (gint64)vcpu);
	json_object_set_string_member(params, "cpus", v.args[2]);
	return verb_finish(&v, "domain.pin", params);
}

/* A scheduler's verb: what its table looks like. */
struct scheduler {
	const char *name, *head;
	void (*row)(const struct row_scheduling *r, char *buf, size_t size);
};

static int show(struct verb *v, const struct scheduler *s, JsonObject *params)
{
	g_autoptr(JsonNode) list = verb_call(v, "domain.scheduling", params);
	JsonArray *a;

	if (!list)
		return STATUS_FAILED;
	if (verb_print_json(v, list))
		return STATUS_OK;
	a = json_node_get_array(list);
	puts(s->head);
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		const struct row_scheduling r = {
			.name = verb_text(o, "name"),
			.id = (unsigned)verb_int(o, "id"),
			.weight = (uint32_t)verb_int(o, "weight"),
			.warp = json_object_get_boolean_member(o, "warp"),
			.warp_us = (uint64_t)verb_int(o, "warp_us"),
			.warp_limit_us = (uint64_t)verb_int(o, "warp_limit_us"),
			.unwarp_us = (uint64_t)verb_int(o, "unwarp_us"),
			.cap = (unsigned)verb_int(o, "cap"),
		};
		char row[TABLE_ROW];

		s->row(&r, row, sizeof(row));
		puts(row);
	}
	return STATUS_OK;
}

enum { WEIGHT, CAP }; /* the first of these */

static const char *const numbers[] = { "weight",	"cap",	     "warp_us",
				       "warp_limit_us", "unwarp_us", "vcpu" };

/* What was given; of the numbers those that were not are -1. */
struct settings {
	gint n[G_N_ELEMENTS(numbers)];
	char *domain, *warp;
};

#define NOTHING_SET                             \
	{                                       \
		.n = { -1, -1, -1, -1, -1, -1 } \
	}

/* @v: with options already taken. */
static int show_or_set(const struct scheduler *s, struct settings *set, struct verb *v)
{
	g_autofree char *domain = set->domain, *warp = set->warp;
	JsonObject *params;
	bool any = warp;
	int status;

	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
		any |= set->n[i] != -1;
	if (any && !domain)
		return cmd_error(STATUS_USAGE, "say which domain, with --domain");
	if (warp && strcmp(warp, "on") && strcmp(warp, "off"))
		return cmd_error(STATUS_USAGE, "warp '%s': give on or off", warp);
	status = verb_connect(v);
	if (status)
		return status;
	params = domain ? verb_domain(domain) : json_object_new();
	json_object_set_string_member(params, "scheduler", s->name);
	if (!any)
		return verb_close(v, show(v, s, params));
	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (set->n[i] != -1)
			json_object_set_int_member(params, numbers[i], set->n[i]);
	if (warp)
		json_object_set_boolean_member(params, "warp", !strcmp(warp, "on"));
	return verb_finish(v, "domain.set-scheduling", params);
}

#define OPTION_DOMAIN(set)                                                                         \
	{                                                                                          \
		"domain", 'd', 0, G_OPTION_ARG_STRING, &(set).domain, "Only this domain", "DOMAIN" \
	}
#define OPTION_WEIGHT(set)                                               \
	{                                                                \
		"weight", 'w', 0, G_OPTION_ARG_INT, &(set).n[0],         \
			"Its share beside others, 1 to 65535 (256)", "N" \
	}
#define OPTION_CAP(set)                                                                          \
	{                                                                                        \
		"cap", 'c', 0, G_OPTION_ARG_INT, &(set).n[1],                                    \
			"The most it gets, in percent of a physical CPU; 0: no limit", "PERCENT" \
	}

int cmd_sched_bvt(int argc, char **argv)
{
	static const struct scheduler bvt = { "bvt", table_scheduling, table_sched };
	struct settings set = NOTHING_SET;
	int status;
	const GOptionEntry more[] = {
		OPTION_DOMAIN(set),
		OPTION_WEIGHT(set),
		OPTION_CAP(set),
		{ "warp", 'W', 0, G_OPTION_ARG_STRING, &set.warp,
		  "May it borrow when it wakes: on or off", "WORD" },
		{ "warp-value", 'o', 0, G_OPTION_ARG_INT, &set.n[2], "How much, in microseconds",
		  "US" },
		{ "warp-limit", 'l', 0, G_OPTION_ARG_INT, &set.n[3],
		  "For how long at most; 0: any time", "US" },
		{ "unwarp", 'u', 0, G_OPTION_ARG_INT, &set.n[4], "And not again for how long",
		  "US" },
		{ "vcpu", 'v', 0, G_OPTION_ARG_INT, &set.n[5], "Only this virtual CPU", "N" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "",
			  .summary = "Shows or sets what the scheduler bvt knows of domains.",
			  .more = more };

	status = verb_parse(&v, argc, argv);
	return status ? status : show_or_set(&bvt, &set, &v);
}

/* The scheduler's own parameters, which xl calls those of a pool. They are as they are. */
static int show_parameters(struct verb *v)
{
	int status = verb_connect(v);
	JsonObject *params = json_object_new(), *o;
	g_autoptr(JsonNode) answer = NULL, list = NULL, info = NULL;
	gint64 slice;

	json_object_set_string_member(params, "scheduler", "credit");
	if (status) {
		json_object_unref(params);
		return status;
	}
	/* Refused if there is another one. */
	list = verb_call(v, "domain.scheduling", params);
	info = list ? verb_call(v, "machine.info", NULL) : NULL;
	if (!info)
		return verb_close(v, STATUS_FAILED);
	slice = verb_int(json_node_get_object(info), "sched_slice_us") / 1000;
	o = json_object_new();
	json_object_set_string_member(o, "cpupool", "Pool-0");
	json_object_set_int_member(o, "tslice_ms", slice);
	json_object_set_int_member(o, "ratelimit_us", 0);
	json_object_set_int_member(o, "migration_delay_us", 0);
	answer = json_node_init_object(json_node_alloc(), o);
	json_object_unref(o);
	if (!verb_print_json(v, answer))
		printf("Cpupool Pool-0: tslice=%dms ratelimit=0us migration-delay=0us\n",
		       (int)slice);
	return verb_close(v, STATUS_OK);
}

int cmd_sched_credit(int argc, char **argv)
{
	static const struct scheduler credit = { "credit", table_credit, table_credit_row };
	struct settings set = NOTHING_SET;
	gboolean parameters = FALSE;
	const GOptionEntry more[] = {
		OPTION_DOMAIN(set),
		OPTION_WEIGHT(set),
		OPTION_CAP(set),
		{ "schedparam", 's', 0, G_OPTION_ARG_NONE, &parameters,
		  "Show the scheduler's own parameters, which cannot be changed", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "",
			  .summary = "Shows or sets what the scheduler credit knows of domains.",
			  .more = more };
	int status = verb_parse(&v, argc, argv);

	if (status || !parameters)
		return status ? status : show_or_set(&credit, &set, &v);
	if (set.domain || set.n[WEIGHT] != -1 || set.n[CAP] != -1) {
		g_free(set.domain);
		return cmd_error(STATUS_USAGE,
				 "--schedparam is about the scheduler, not about a domain: leave "
				 "the other options out");
	}
	return show_parameters(&v);
}
