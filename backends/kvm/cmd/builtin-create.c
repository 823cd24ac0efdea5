/* SPDX-License-Identifier: MIT */
/* `xenopus create FILE.cfg`: a domain from a configuration file of xl's. */
#include <stdio.h>

#include "verb.h"
#include "xlcfg.h"

static void warn(const char *line)
{
	cmd_note("%s", line);
}

int cmd_create(int argc, char **argv)
{
	gboolean console = FALSE, paused = FALSE, dry = FALSE;
	const GOptionEntry more[] = {
		{ "console", 'c', 0, G_OPTION_ARG_NONE, &console, "Attach to its console", NULL },
		{ "paused", 'p', 0, G_OPTION_ARG_NONE, &paused, "Leave it paused", NULL },
		{ "dryrun", 'n', 0, G_OPTION_ARG_NONE, &dry, "Only print, as JSON, what would be asked for", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "FILE", .summary = "Creates a domain from a configuration file as xl.cfg(5) "
			  "describes it.", .min = 1, .max = 1, .more = more };
	int status = verb_parse(&v, argc, argv);
	g_autoptr(JsonNode) result = NULL, attached = NULL;
	g_autoptr(GError) error = NULL;
	JsonObject *params;

	if (status)
		return status;
	params = xlcfg_read(v.args[0], warn, &error);
	if (!params)
		return cmd_error(STATUS_FAILED, "%s", error->message);
	json_object_set_boolean_member(params, "paused", paused);
	if (dry) {
		g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), params);

		v.json = TRUE;
		verb_print_json(&v, root);
		json_object_unref(params);
		return STATUS_OK;
	}
	status = verb_connect(&v);
	if (status) {
		json_object_unref(params);
		return status;
	}
	if (!v.json)
		printf("Parsing config from %s\n", v.args[0]);
	fflush(stdout);
	result = verb_call(&v, "domain.create", params);
	if (!result)
		return verb_close(&v, STATUS_FAILED);
	verb_print_json(&v, result);
	if (console) {
		g_autofree char *id = g_strdup_printf("%d", (int)verb_int(json_node_get_object(result), "id"));

		fflush(stdout);
		attached = verb_call(&v, "domain.console", verb_domain(id));
		return verb_close(&v, attached ? verb_console(&v) : STATUS_FAILED);
	}
	return verb_close(&v, STATUS_OK);
}
