/* SPDX-License-Identifier: MIT */
/* The verbs that show: domains, virtual CPUs, the machine, its log. Columns are xl's. */
#include <stdio.h>
#include <string.h>

#include <xenopus/words.h>
#include "verb.h"

/* Open, call @method for one domain or all. NULL after a line, *@status then says what to return. */
static JsonNode *ask(struct verb *v, int argc, char **argv, const char *method, int *status)
{
	JsonNode *result;

	*status = verb_open(v, argc, argv);
	if (*status)
		return NULL;
	result = verb_call(v, method, v->nr_args ? verb_domain(v->args[0]) : NULL);
	verb_close(v, 0);
	if (!result)
		*status = STATUS_FAILED;
	return result;
}

static void each(JsonNode *list, void (*fn)(JsonObject *o))
{
	JsonArray *a = json_node_get_array(list);

	for (guint i = 0; i < json_array_get_length(a); i++)
		fn(json_array_get_object_element(a, i));
}

/* A table: header, then one line for each element of the answer. */
static int table(int argc, char **argv, const char *summary, const char *method, const char *header,
		 void (*row)(JsonObject *o))
{
	struct verb v = { .arguments = "[DOMAIN]", .summary = summary, .max = 1 };
	int status;
	g_autoptr(JsonNode) list = ask(&v, argc, argv, method, &status);

	if (!list || verb_print_json(&v, list))
		return status;
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
	return table(argc, argv, "Lists the domains, or one.", "domain.list", table_domains, list_row);
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
	return table(argc, argv, "Lists the virtual CPUs of all domains, or of one.", "domain.vcpus", table_vcpus,
		     vcpu_row);
}

static void uptime_row(JsonObject *o)
{
	char row[TABLE_ROW];

	table_uptime(verb_text(o, "name"), (unsigned)verb_int(o, "id"), (uint64_t)verb_int(o, "uptime_s"), row,
		     sizeof(row));
	puts(row);
}

int cmd_uptime(int argc, char **argv)
{
	return table(argc, argv, "Tells how long domains have been up since they were last started.", "domain.list",
		     table_uptimes, uptime_row);
}

int cmd_info(int argc, char **argv)
{
	struct verb v = { .arguments = "[NAME]", .summary = "Tells about the machine, or only the value of one line.",
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
		return cmd_error(STATUS_USAGE, "there is no '%s' among what is told about a machine", only);
	if (verb_print_json(&v, only ? json_object_get_member(json_node_get_object(info), only) : info))
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
	struct verb v = { .arguments = "", .summary = "Prints the last lines of the hypervisor's log." };
	int status;
	g_autoptr(JsonNode) lines = ask(&v, argc, argv, "machine.log", &status);

	return lines ? print_lines(&v, lines) : status;
}

int cmd_debug_keys(int argc, char **argv)
{
	struct verb v = { .arguments = "KEYS", .summary = "Asks the hypervisor what each of the keys stands for; h lists "
			  "them.", .min = 1, .max = 1 };
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
