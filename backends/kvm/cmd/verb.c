/* SPDX-License-Identifier: MIT */
/* What the verbs share: see verb.h. */
#include <stdio.h>

#include "verb.h"

int verb_parse(struct verb *v, int argc, char **argv)
{
	static char *path; /* for as long as the program runs */
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &v->json, "Print the answer as JSON", NULL },
		{ "socket", 0, 0, G_OPTION_ARG_FILENAME, &path, "Control socket of the machine",
		  "PATH" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(v->arguments);
	g_autofree char *name = g_strdup_printf("xenopus %s", argv[0]);
	g_autoptr(GError) error = NULL;

	g_set_prgname(name);
	v->c.fd = -1;
	g_option_context_set_summary(context, v->summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (v->more)
		g_option_context_add_main_entries(context, v->more, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return cmd_error(STATUS_USAGE, "%s ('%s --help' lists the options)", error->message,
				 name);
	v->socket = path;
	/* "--" ends the options and is no argument. */
	if (argc > 1 && !g_strcmp0(argv[1], "--")) {
		argc--;
		argv++;
	}
	v->nr_args = argc - 1;
	v->args = argv + 1;
	if (v->nr_args < v->min)
		return cmd_error(STATUS_USAGE, "%s is missing: %s %s",
				 v->nr_args ? "an argument" : "what it is about", name,
				 v->arguments);
	if (v->nr_args > v->max)
		return cmd_error(STATUS_USAGE, "unexpected argument '%s': %s %s", v->args[v->max],
				 name, v->arguments);
	return 0;
}

int verb_connect(struct verb *v)
{
	g_autoptr(GError) error = NULL;

	if (client_open(&v->c, v->socket, &error))
		return 0;
	return verb_close(v, cmd_error(STATUS_FAILED, "%s", error->message));
}

int verb_open(struct verb *v, int argc, char **argv)
{
	int status = verb_parse(v, argc, argv);

	return status ? status : verb_connect(v);
}

int verb_close(struct verb *v, int status)
{
	client_close(&v->c);
	return status;
}

JsonNode *verb_call(struct verb *v, const char *method, JsonObject *params)
{
	g_autoptr(GError) error = NULL;
	JsonNode *result = client_call(&v->c, method, params, &error);

	if (!result)
		cmd_error(STATUS_FAILED, "%s", error->message);
	return result;
}

JsonObject *verb_domain(const char *word)
{
	JsonObject *params = json_object_new();

	json_object_set_string_member(params, "domain", word);
	return params;
}

bool verb_print_json(const struct verb *v, JsonNode *result)
{
	g_autofree char *text = NULL;

	if (!v->json)
		return false;
	text = json_to_string(result, TRUE);
	puts(text);
	return true;
}

int verb_finish(struct verb *v, const char *method, JsonObject *params)
{
	g_autoptr(JsonNode) result = verb_call(v, method, params);

	if (result)
		verb_print_json(v, result);
	return verb_close(v, result ? STATUS_OK : STATUS_FAILED);
}

gint64 verb_int(JsonObject *o, const char *name)
{
	JsonNode *node = json_object_get_member(o, name);

	return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
}

const char *verb_text(JsonObject *o, const char *name)
{
	JsonNode *node = json_object_get_member(o, name);
	const char *text = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

	return text ? text : "";
}
