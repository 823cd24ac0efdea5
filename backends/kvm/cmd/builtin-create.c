/* SPDX-License-Identifier: MIT */
/* `xenopus create FILE.cfg`: a domain from a configuration file of xl's. */
#include <stdio.h>
#include <string.h>

#include "verb.h"
#include "xlcfg.h"

static void warn(const char *line)
{
	cmd_note("%s", line);
}

int cmd_create(int argc, char **argv)
{
	gboolean console = FALSE, paused = FALSE, dry = FALSE, quiet = FALSE;
	g_autofree char *defconfig = NULL;
	const GOptionEntry more[] = {
		{ "console", 'c', 0, G_OPTION_ARG_NONE, &console, "Attach to its console", NULL },
		{ "paused", 'p', 0, G_OPTION_ARG_NONE, &paused, "Leave it paused", NULL },
		{ "dryrun", 'n', 0, G_OPTION_ARG_NONE, &dry,
		  "Only print, as JSON, what would be asked for", NULL },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet,
		  "Say nothing unless something is wrong", NULL },
		{ "defconfig", 'f', 0, G_OPTION_ARG_FILENAME, &defconfig, "The configuration file",
		  "FILE" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "FILE [KEY=VALUE...]",
			  .summary = "Creates a domain from a configuration file as "
				     "xl.cfg(5) describes it. What follows\nthe file is read as "
				     "further lines of it, and counts "
				     "where both say something.",
			  .max = 64,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	g_autoptr(JsonNode) result = NULL, attached = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) params = NULL;

	const char *file;
	char **more_lines;

	if (status)
		return status;
	/* As xl does: the first argument is the file unless it sets a key, or -f has said which. */
	file = defconfig ? defconfig : v.nr_args && !strchr(v.args[0], '=') ? v.args[0] : NULL;
	if (!file)
		return cmd_error(STATUS_USAGE,
				 "the configuration file is missing: xenopus create %s",
				 v.arguments);
	more_lines = v.args + (file == v.args[0]);
	params = xlcfg_read(file, more_lines, warn, &error);
	if (!params)
		return cmd_error(STATUS_FAILED, "%s", error->message);
	json_object_set_boolean_member(params, "paused", paused);
	if (dry) {
		g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), params);

		v.json = TRUE;
		verb_print_json(&v, root);
		return STATUS_OK;
	}
	status = verb_connect(&v);
	if (status)
		return status;
	if (!v.json && !quiet)
		printf("Parsing config from %s\n", file);
	fflush(stdout);
	result = client_call(&v.c, "domain.create", json_object_ref(params), &error);
	if (!result) {
		g_autofree char *line = xlcfg_blame(file, more_lines, params, error->message);

		return verb_close(&v, cmd_error(STATUS_FAILED, "%s", line));
	}
	verb_print_json(&v, result);
	if (console) {
		g_autofree char *id =
			g_strdup_printf("%d", (int)verb_int(json_node_get_object(result), "id"));

		fflush(stdout);
		attached = verb_call(&v, "domain.console", verb_domain(id));
		return verb_close(&v, attached ? verb_console(&v) : STATUS_FAILED);
	}
	return verb_close(&v, STATUS_OK);
}
