/* SPDX-License-Identifier: MIT */
/* The verbs that show: domains, virtual CPUs, the machine, its log. Columns are xl's. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <xenopus/words.h>
#include "verb.h"

#define SOME	 "[DOMAIN...]"
#define SOME_MAX 1024

static void each(JsonNode *list, void (*fn)(JsonObject *o))
{
	JsonArray *a = json_node_get_array(list);

	for (guint i = 0; i < json_array_get_length(a); i++)
		fn(json_array_get_object_element(a, i));
}

/* The answers about each of the domains that were named, as one; about all if none was. NULL after
 * a line. */
static JsonNode *gather(struct verb *v, const char *method)
{
	JsonArray *all;

	if (!v->nr_args)
		return verb_call(v, method, NULL);
	all = json_array_new();
	for (int i = 0; i < v->nr_args; i++) {
		g_autoptr(JsonNode) one = verb_call(v, method, verb_domain(v->args[i]));

		if (!one) {
			json_array_unref(all);
			return NULL;
		}
		for (guint n = 0; n < json_array_get_length(json_node_get_array(one)); n++)
			json_array_add_element(all,
					       json_array_dup_element(json_node_get_array(one), n));
	}
	return json_node_init_array(json_node_alloc(), all);
}

/* A table: header (NULL: none), then one line for each element of the answer. @v: with options
 * already taken. */
static int show(struct verb *v, const char *method, const char *header, void (*row)(JsonObject *o))
{
	int status = verb_connect(v);
	g_autoptr(JsonNode) list = status ? NULL : gather(v, method);

	verb_close(v, 0);
	if (!list)
		return status ? status : STATUS_FAILED;
	if (verb_print_json(v, list))
		return STATUS_OK;
	if (header)
		puts(header);
	each(list, row);
	return STATUS_OK;
}

static void list_row(JsonObject *o)
{
	const char *state = verb_text(o, "state");
	const struct row_domain r = {
		.name = verb_text(o, "name"),
		.id = (unsigned)verb_int(o, "id"),
		.state = state,
		.crashed = !strcmp(state, "shutdown") && !strcmp(verb_text(o, "reason"), "crash"),
		.memory_kib = (uint64_t)verb_int(o, "memory_kib"),
		.vcpus = (unsigned)verb_int(o, "vcpus"),
		.cpu_ns = (uint64_t)verb_int(o, "cpu_ns"),
	};
	char row[TABLE_ROW];

	table_domain(&r, row, sizeof(row));
	puts(row);
}

int cmd_list(int argc, char **argv)
{
	gboolean details = FALSE;
	const GOptionEntry more[] = {
		{ "long", 'l', 0, G_OPTION_ARG_NONE, &details,
		  "All that is known of them, which is JSON", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = SOME,
			  .summary = "Lists all domains, or those named.",
			  .max = SOME_MAX,
			  .more = more };
	int status = verb_parse(&v, argc, argv);

	v.json |= details;
	return status ? status : show(&v, "domain.list", table_domains, list_row);
}

static void vcpu_row(JsonObject *o)
{
	const struct row_vcpu r = {
		.name = verb_text(o, "name"),
		.id = (unsigned)verb_int(o, "id"),
		.vcpu = (unsigned)verb_int(o, "vcpu"),
		.state = verb_text(o, "state"),
		.pcpu = json_object_has_member(o, "cpu") ? (int)verb_int(o, "cpu") : -1,
		.cpu_ns = (uint64_t)verb_int(o, "cpu_ns"),
		.affinity = verb_text(o, "affinity"),
	};
	char row[TABLE_ROW];

	table_vcpu(&r, row, sizeof(row));
	puts(row);
}

int cmd_vcpu_list(int argc, char **argv)
{
	struct verb v = { .arguments = SOME,
			  .summary = "Lists the virtual CPUs of all domains, or of those named.",
			  .max = SOME_MAX };
	int status = verb_parse(&v, argc, argv);

	return status ? status : show(&v, "domain.vcpus", table_vcpus, vcpu_row);
}

static void uptime_row(JsonObject *o)
{
	char row[TABLE_ROW];

	table_uptime(verb_text(o, "name"), (unsigned)verb_int(o, "id"),
		     (uint64_t)verb_int(o, "uptime_s"), row, sizeof(row));
	puts(row);
}

static void short_uptime_row(JsonObject *o)
{
	uint64_t up = (uint64_t)verb_int(o, "uptime_s"), days = up / 86400;
	time_t now = time(NULL);
	g_autofree char *past =
		days ? g_strdup_printf("%" G_GUINT64_FORMAT " day%s, ", days, days > 1 ? "s" : "") :
		       g_strdup("");
	struct tm tm;
	char clock[16] = "";

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf(" %s up %s%2u:%02u, %s (%u)\n", clock, past, (unsigned)(up / 3600 % 24),
	       (unsigned)(up / 60 % 60), verb_text(o, "name"), (unsigned)verb_int(o, "id"));
}

int cmd_uptime(int argc, char **argv)
{
	gboolean brief = FALSE;
	const GOptionEntry more[] = {
		{ "short", 's', 0, G_OPTION_ARG_NONE, &brief,
		  "A line as uptime(1) prints it, without a header", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = {
		.arguments = SOME,
		.summary = "Tells how long domains have been up since they were last started.",
		.max = SOME_MAX,
		.more = more
	};
	int status = verb_parse(&v, argc, argv);

	if (status)
		return status;
	return brief ? show(&v, "domain.list", NULL, short_uptime_row) :
		       show(&v, "domain.list", table_uptimes, uptime_row);
}

int cmd_info(int argc, char **argv)
{
	struct verb v = { .arguments = "[NAME]",
			  .summary = "Tells about the machine, or only the value of one line.",
			  .max = 1 };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) info = status ? NULL : verb_call(&v, "machine.info", NULL);
	const char *only = v.nr_args ? v.args[0] : NULL;
	JsonObjectIter iter;
	const char *name;
	JsonNode *node;

	verb_close(&v, 0);
	if (!info)
		return status ? status : STATUS_FAILED;
	if (only && !json_object_has_member(json_node_get_object(info), only))
		return cmd_error(STATUS_USAGE,
				 "there is no '%s' among what is told about a machine", only);
	if (verb_print_json(&v,
			    only ? json_object_get_member(json_node_get_object(info), only) : info))
		return STATUS_OK;
	json_object_iter_init_ordered(&iter, json_node_get_object(info));
	while (json_object_iter_next_ordered(&iter, &name, &node)) {
		if (only && strcmp(only, name))
			continue;
		if (!only)
			printf("%-23s: ", name);
		if (json_node_get_value_type(node) == G_TYPE_STRING)
			puts(json_node_get_string(node));
		else
			printf("%" G_GINT64_FORMAT "\n", json_node_get_int(node));
	}
	return STATUS_OK;
}

static int print_lines(const struct verb *v, JsonNode *lines)
{
	JsonArray *a = json_node_get_array(lines);

	if (verb_print_json(v, lines))
		return STATUS_OK;
	for (guint i = 0; i < json_array_get_length(a); i++)
		puts(json_array_get_string_element(a, i));
	return STATUS_OK;
}

int cmd_dmesg(int argc, char **argv)
{
	struct verb v = { .arguments = "",
			  .summary = "Prints the last lines of the hypervisor's log." };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) lines = status ? NULL : verb_call(&v, "machine.log", NULL);

	verb_close(&v, 0);
	if (!lines)
		return status ? status : STATUS_FAILED;
	return print_lines(&v, lines);
}

int cmd_debug_keys(int argc, char **argv)
{
	struct verb v = { .arguments = "KEYS",
			  .summary =
				  "Asks the hypervisor what each of the keys stands for; h lists "
				  "them.",
			  .min = 1,
			  .max = 1 };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) lines = NULL;
	JsonObject *params;

	if (status)
		return status;
	params = json_object_new();
	json_object_set_string_member(params, "keys", v.args[0]);
	lines = verb_call(&v, "machine.debug-keys", params);
	verb_close(&v, 0);
	return lines ? print_lines(&v, lines) : STATUS_FAILED;
}
