/* SPDX-License-Identifier: MIT */
/* `xenopus top`: what the domains do, again and again; rates are of the time between two looks. */
#include <stdio.h>
#include <unistd.h>

#include <xenopus/words.h>
#include "verb.h"

struct look {
	gint64 us;
	JsonNode *list;
};

static JsonObject *find(JsonNode *list, gint64 id)
{
	JsonArray *a = list ? json_node_get_array(list) : NULL;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		if (verb_int(o, "id") == id)
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

static void show(const struct look *now, const struct look *before, JsonObject *info)
{
	JsonArray *a = json_node_get_array(now->list);
	char row[TABLE_ROW];

	table_rates_head(json_array_get_length(a), number(info, "free_memory"), number(info, "total_memory"),
			 (unsigned)number(info, "nr_cpus"), row, sizeof(row));
	puts(row);
	puts(table_rates);
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);
		const struct row_rates r = rates(o, find(before->list, verb_int(o, "id")), now->us - before->us);

		table_rate(&r, row, sizeof(row));
		puts(row);
	}
	fflush(stdout);
}

int cmd_top(int argc, char **argv)
{
	gint iterations = 0;
	gdouble delay = 3;
	const GOptionEntry more[] = {
		{ "delay", 'd', 0, G_OPTION_ARG_DOUBLE, &delay, "Seconds between two looks (3)", "SECONDS" },
		{ "iterations", 'i', 0, G_OPTION_ARG_INT, &iterations, "Looks, then end (no end)", "N" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "", .summary = "Shows CPU time, exits, hypercalls and memory of the domains.",
			  .more = more };
	struct look before = { 0, NULL };
	int status = verb_parse(&v, argc, argv);

	if (!status && !(delay >= 0.1 && delay <= 3600))
		status = cmd_error(STATUS_USAGE, "a delay of %g seconds: give 0.1 to 3600", delay);
	if (!status && iterations < 0)
		status = cmd_error(STATUS_USAGE, "%d looks: give 1 or more, or leave it out for no end", iterations);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	for (int n = 1;; n++) {
		struct look now = { g_get_monotonic_time(), verb_call(&v, "domain.list", NULL) };
		g_autoptr(JsonNode) info = now.list ? verb_call(&v, "machine.info", NULL) : NULL;

		if (!info) {
			status = STATUS_FAILED;
			g_clear_pointer(&now.list, json_node_unref);
			break;
		}
		if (!verb_print_json(&v, now.list)) {
			if (isatty(STDOUT_FILENO))
				printf("\033[H\033[J");
			show(&now, &before, json_node_get_object(info));
		}
		g_clear_pointer(&before.list, json_node_unref);
		before = now;
		if (n == iterations)
			break;
		g_usleep((gulong)(delay * G_USEC_PER_SEC));
	}
	g_clear_pointer(&before.list, json_node_unref);
	return verb_close(&v, status);
}
