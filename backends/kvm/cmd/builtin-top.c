/* SPDX-License-Identifier: MIT */
/* `xenopus top`: what the domains do, again and again; rates are of the time between two looks. */
#include <stdio.h>
#include <unistd.h>

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

/* Per second since @before; a domain that was not there then has no rate yet. */
static double rate(JsonObject *now, JsonObject *before, const char *member, double seconds)
{
	return before && seconds > 0 ? (double)(verb_int(now, member) - verb_int(before, member)) / seconds : 0;
}

static void show(const struct look *now, const struct look *before, JsonObject *info)
{
	JsonArray *a = json_node_get_array(now->list);
	double seconds = (double)(now->us - before->us) / G_USEC_PER_SEC;

	printf("%u domains, %d MiB of %d MiB free, %d CPUs\n", json_array_get_length(a), (int)verb_int(info, "free_memory"),
	       (int)verb_int(info, "total_memory"), (int)verb_int(info, "nr_cpus"));
	printf("%-24s %5s %-8s %9s %6s %8s %5s %9s %9s\n", "NAME", "ID", "STATE", "CPU(sec)", "CPU(%)", "MEM(MiB)",
	       "VCPUS", "HCALLS/s", "EXITS/s");
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i), *old = find(before->list, verb_int(o, "id"));

		printf("%-24.24s %5d %-8s %9.1f %6.1f %8d %5d %9.0f %9.0f\n", verb_text(o, "name"),
		       (int)verb_int(o, "id"), verb_text(o, "state"), (double)verb_int(o, "cpu_ns") / 1e9,
		       rate(o, old, "cpu_ns", seconds) / 1e7, (int)(verb_int(o, "memory_kib") / 1024),
		       (int)verb_int(o, "vcpus"), rate(o, old, "hypercalls", seconds), rate(o, old, "exits", seconds));
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
