/* SPDX-License-Identifier: MIT */
/* The verbs that tell about the machine: facts, its log, answers to keys. */
#include <stdio.h>
#include <string.h>

#include "verb.h"

/* Each physical CPU is a core of the one socket, and all memory is one node, near to itself. */
#define DISTANCE 10

static void add_topology(JsonObject *info)
{
	JsonArray *cpus = json_array_new(), *nodes = json_array_new(), *distances;
	JsonObject *o;

	for (gint64 i = 0; i < verb_int(info, "nr_cpus"); i++) {
		o = json_object_new();
		json_object_set_int_member(o, "cpu", i);
		json_object_set_int_member(o, "core", i);
		json_object_set_int_member(o, "socket", 0);
		json_object_set_int_member(o, "node", 0);
		json_array_add_object_element(cpus, o);
	}
	o = json_object_new();
	distances = json_array_new();
	json_array_add_int_element(distances, DISTANCE);
	json_object_set_int_member(o, "node", 0);
	json_object_set_int_member(o, "memsize", verb_int(info, "total_memory"));
	json_object_set_int_member(o, "memfree", verb_int(info, "free_memory"));
	json_object_set_array_member(o, "distances", distances);
	json_array_add_object_element(nodes, o);
	json_object_set_array_member(info, "cpu_topology", cpus);
	json_object_set_array_member(info, "numa_info", nodes);
}

static void show_topology(JsonObject *info)
{
	printf("%-23s:\ncpu:    core    socket     node\n", "cpu_topology");
	for (int i = 0; i < verb_int(info, "nr_cpus"); i++)
		printf("%3d:    %4d     %4d     %4d\n", i, i, 0, 0);
	printf("%-23s:\ndevice           node\nNo device topology data available\n",
	       "device topology");
	printf("%-23s:\nnode:    memsize    memfree    distances\n", "numa_info");
	printf("%4d:    %6" G_GINT64_FORMAT "     %6" G_GINT64_FORMAT "      %d\n", 0,
	       verb_int(info, "total_memory"), verb_int(info, "free_memory"), DISTANCE);
}

static void show_facts(JsonObject *info, const char *only)
{
	JsonObjectIter iter;
	const char *name;
	JsonNode *node;

	json_object_iter_init_ordered(&iter, info);
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
}

int cmd_info(int argc, char **argv)
{
	gboolean numa = FALSE;
	const GOptionEntry more[] = {
		{ "numa", 'n', 0, G_OPTION_ARG_NONE, &numa, "Cores, sockets and memory nodes, too",
		  NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "[NAME]",
			  .summary = "Tells about the machine, or only the value of one line.",
			  .max = 1,
			  .more = more };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) info = status ? NULL : verb_call(&v, "machine.info", NULL);
	const char *only = v.nr_args ? v.args[0] : NULL;
	JsonNode *answer = info;
	JsonObject *facts;

	verb_close(&v, 0);
	if (!info)
		return status ? status : STATUS_FAILED;
	facts = json_node_get_object(info);
	if (only && !json_object_has_member(facts, only))
		return cmd_error(STATUS_USAGE,
				 "there is no '%s' among what is told about a machine", only);
	if (only)
		answer = json_object_get_member(facts, only);
	else if (numa && v.json)
		add_topology(facts);
	if (verb_print_json(&v, answer))
		return STATUS_OK;
	show_facts(facts, only);
	if (numa && !only)
		show_topology(facts);
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
	gboolean clear = FALSE;
	const GOptionEntry more[] = {
		{ "clear", 'c', 0, G_OPTION_ARG_NONE, &clear,
		  "And forget them: the next one prints what came later", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "",
			  .summary = "Prints the last lines of the hypervisor's log.",
			  .more = more };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) lines = NULL;
	JsonObject *params;

	if (status)
		return status;
	params = json_object_new();
	json_object_set_boolean_member(params, "clear", clear);
	lines = verb_call(&v, "machine.log", params);
	verb_close(&v, 0);
	return lines ? print_lines(&v, lines) : STATUS_FAILED;
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
