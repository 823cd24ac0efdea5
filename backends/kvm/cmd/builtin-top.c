/* SPDX-License-Identifier: MIT */
/* `xenopus top`: what the domains do, again and again; rates are of the time between two looks. */
#include <stdio.h>
#include <unistd.h>

#include <xenopus/words.h>
#include "verb.h"

/* @vcpus is NULL unless they were asked for. */
struct look {
	gint64 us;
	JsonNode *list, *vcpus;
};

static void look_clear(struct look *l)
{
	g_clear_pointer(&l->list, json_node_unref);
	g_clear_pointer(&l->vcpus, json_node_unref);
}

/* The element that is about the same domain and, if it is about one, virtual CPU as @like. */
static JsonObject *find(JsonNode *list, JsonObject *like)
{
	JsonArray *a = list ? json_node_get_array(list) : NULL;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		if (verb_int(o, "id") == verb_int(like, "id") &&
		    verb_int(o, "vcpu") == verb_int(like, "vcpu"))
			return o;
	}
	return NULL;
}

static uint64_t number(JsonObject *o, const char *member)
{
	return (uint64_t)verb_int(o, member);
}

/* What grew since @before; of a domain that was not there then nothing is known yet. */
static struct row_rates rates(JsonObject *now, JsonObject *before, gint64 us)
{
	struct row_rates r = {
		.d = {
			.name = verb_text(now, "name"),
			.id = (unsigned)number(now, "id"),
			.state = verb_text(now, "state"),
			.memory_kib = number(now, "memory_kib"),
			.vcpus = (unsigned)number(now, "vcpus"),
			.cpu_ns = number(now, "cpu_ns"),
		},
	};

	if (before && us > 0) {
		r.over_ns = (uint64_t)us * 1000;
		r.used_ns = number(now, "cpu_ns") - number(before, "cpu_ns");
		r.hypercalls = number(now, "hypercalls") - number(before, "hypercalls");
		r.exits = number(now, "exits") - number(before, "exits");
	}
	return r;
}

static void show_vcpus(const struct look *now, const struct look *before, gint64 id)
{
	JsonArray *a = json_node_get_array(now->vcpus);
	char row[TABLE_ROW];

	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		if (verb_int(o, "id") == id) {
			const struct row_rates r =
				rates(o, find(before->vcpus, o), now->us - before->us);

			table_rate_vcpu(&r, (unsigned)number(o, "vcpu"), row, sizeof(row));
			puts(row);
		}
	}
}

static void show(const struct look *now, const struct look *before, JsonObject *info, bool full)
{
	JsonArray *a = json_node_get_array(now->list);
	char row[TABLE_ROW];

	table_rates_head(json_array_get_length(a), number(info, "free_memory"),
			 number(info, "total_memory"), (unsigned)number(info, "nr_cpus"), row,
			 sizeof(row));
	puts(row);
	puts(table_rates);
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);
		struct row_rates r = rates(o, find(before->list, o), now->us - before->us);

		r.full_name = full;
		table_rate(&r, row, sizeof(row));
		puts(row);
		if (now->vcpus)
			show_vcpus(now, before, verb_int(o, "id"));
	}
	fflush(stdout);
}

/* The domains, each with an array of its virtual CPUs if those were asked for. */
static void print_json(const struct verb *v, const struct look *l)
{
	JsonArray *domains = json_node_get_array(l->list),
		  *all = l->vcpus ? json_node_get_array(l->vcpus) : NULL;

	for (guint i = 0; all && i < json_array_get_length(domains); i++) {
		JsonObject *d = json_array_get_object_element(domains, i);
		JsonArray *own = json_array_new();

		for (guint n = 0; n < json_array_get_length(all); n++) {
			JsonObject *o = json_array_get_object_element(all, n);

			if (verb_int(o, "id") == verb_int(d, "id"))
				json_array_add_object_element(own, json_object_ref(o));
		}
		json_object_set_array_member(d, "vcpu", own);
	}
	verb_print_json(v, l->list);
}

static bool take_look(struct verb *v, bool vcpus, struct look *l, JsonNode **info)
{
	*l = (struct look){ .us = g_get_monotonic_time(),
			    .list = verb_call(v, "domain.list", NULL) };
	if (l->list && vcpus)
		l->vcpus = verb_call(v, "domain.vcpus", NULL);
	*info = l->list && (l->vcpus || !vcpus) ? verb_call(v, "machine.info", NULL) : NULL;
	if (!*info)
		look_clear(l);
	return *info;
}

int cmd_top(int argc, char **argv)
{
	gint iterations = 0;
	gboolean vcpus = FALSE, batch = FALSE, full = FALSE;
	gdouble delay = 3;
	const GOptionEntry more[] = {
		{ "delay", 'd', 0, G_OPTION_ARG_DOUBLE, &delay, "Seconds between two looks (3)",
		  "SECONDS" },
		{ "iterations", 'i', 0, G_OPTION_ARG_INT, &iterations, "Looks, then end (no end)",
		  "N" },
		{ "vcpus", 'v', 0, G_OPTION_ARG_NONE, &vcpus, "Each virtual CPU, too", NULL },
		{ "batch", 'b', 0, G_OPTION_ARG_NONE, &batch,
		  "One look below the other, also on a terminal", NULL },
		{ "full-name", 'f', 0, G_OPTION_ARG_NONE, &full,
		  "Names at their whole length", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "",
			  .summary = "Shows CPU time, exits, hypercalls and memory of the domains.",
			  .more = more };
	struct look before = { .us = 0 };
	int status = verb_parse(&v, argc, argv);

	if (!status && !(delay >= 0.1 && delay <= 3600))
		status = cmd_error(STATUS_USAGE, "a delay of %g seconds: give 0.1 to 3600", delay);
	if (!status && iterations < 0)
		status = cmd_error(STATUS_USAGE,
				   "%d looks: give 1 or more, or leave it out for no end",
				   iterations);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	for (int n = 1;; n++) {
		g_autoptr(JsonNode) info = NULL;
		struct look now;

		if (!take_look(&v, vcpus, &now, &info)) {
			status = STATUS_FAILED;
			break;
		}
		if (v.json) {
			print_json(&v, &now);
		} else {
			if (!batch && isatty(STDOUT_FILENO))
				printf("\033[H\033[J");
			show(&now, &before, json_node_get_object(info), full);
		}
		look_clear(&before);
		before = now;
		if (n == iterations)
			break;
		g_usleep((gulong)(delay * G_USEC_PER_SEC));
	}
	look_clear(&before);
	return verb_close(&v, status);
}
