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

struct choices {
	gboolean console, paused, dry, quiet, foreground, viewer, password, unwaited, debug;
	char *defconfig;
};

/* Is there a domain with this uuid? It has it also when it is started again. */
static bool is_there(JsonNode *list, const char *uuid)
{
	JsonArray *a = json_node_get_array(list);

	for (guint i = 0; i < json_array_get_length(a); i++)
		if (!strcmp(verb_text(json_array_get_object_element(a, i), "uuid"), uuid))
			return true;
	return false;
}

/* Until the domain of this id is gone for good. @v is subscribed to events since before it was made. */
static int wait_gone(struct verb *v, gint64 id)
{
	g_autofree char *uuid = NULL;

	for (;;) {
		g_autoptr(JsonNode) list = verb_call(v, "domain.list", NULL), event = NULL;
		g_autoptr(GError) error = NULL;
		JsonArray *a = list ? json_node_get_array(list) : NULL;

		if (!list)
			return STATUS_FAILED;
		for (guint i = 0; !uuid && i < json_array_get_length(a); i++) {
			JsonObject *o = json_array_get_object_element(a, i);

			if (verb_int(o, "id") == id)
				uuid = g_strdup(verb_text(o, "uuid"));
		}
		if (!uuid || !is_there(list, uuid))
			return STATUS_OK;
		event = client_next(&v->c, &error);
		if (!event)
			return cmd_error(STATUS_FAILED, "%s", error->message);
	}
}

static int attach(struct verb *v, gint64 id)
{
	g_autofree char *word = g_strdup_printf("%d", (int)id);
	g_autoptr(JsonNode) attached = NULL;

	fflush(stdout);
	attached = verb_call(v, "domain.console", verb_domain(word));
	return attached ? verb_console(v) : STATUS_FAILED;
}

/* What was read from @file is asked for. @v and @events are connected, @events only to wait. */
static int create(struct verb *v, struct verb *events, const struct choices *c, const char *file,
		  char **more_lines, JsonObject *params)
{
	g_autoptr(JsonNode) subscribed = NULL, result = NULL;
	g_autoptr(GError) error = NULL;
	int status = STATUS_OK;
	gint64 id;

	if (c->foreground && !(subscribed = verb_call(events, "events.subscribe", NULL)))
		return STATUS_FAILED;
	if (!v->json && !c->quiet)
		printf("Parsing config from %s\n", file);
	fflush(stdout);
	result = client_call(&v->c, "domain.create", json_object_ref(params), &error);
	if (!result) {
		g_autofree char *line = xlcfg_blame(file, more_lines, params, error->message);

		return cmd_error(STATUS_FAILED, "%s", line);
	}
	verb_print_json(v, result);
	fflush(stdout);
	id = verb_int(json_node_get_object(result), "id");
	if (c->console)
		status = attach(v, id);
	return c->foreground ? wait_gone(events, id) : status;
}

static int check(const struct choices *c)
{
	if (c->viewer || c->password)
		return cmd_error(STATUS_USAGE,
				 "there are no framebuffers yet, so nothing for a VNC viewer: "
				 "leave out --%s",
				 c->viewer ? "vncviewer" : "vncviewer-autopass");
	return 0;
}

int cmd_create(int argc, char **argv)
{
	struct choices c = { .defconfig = NULL };
	const GOptionEntry more[] = {
		{ "console", 'c', 0, G_OPTION_ARG_NONE, &c.console, "Attach to its console", NULL },
		{ "paused", 'p', 0, G_OPTION_ARG_NONE, &c.paused, "Leave it paused", NULL },
		{ "foreground", 'F', 0, G_OPTION_ARG_NONE, &c.foreground,
		  "Wait until it is gone, restarts and all", NULL },
		{ "dryrun", 'n', 0, G_OPTION_ARG_NONE, &c.dry,
		  "Only print, as JSON, what would be asked for", NULL },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &c.quiet,
		  "Say nothing unless something is wrong", NULL },
		{ "defconfig", 'f', 0, G_OPTION_ARG_FILENAME, &c.defconfig,
		  "The configuration file", "FILE" },
		{ "no-wait", 'e', 0, G_OPTION_ARG_NONE, &c.unwaited,
		  "Taken as xl takes it; the machine looks after its domains anyway", NULL },
		{ "debug", 'd', 0, G_OPTION_ARG_NONE, &c.debug,
		  "Taken as xl takes it; the log is the machine's (xenopus dmesg)", NULL },
		{ "vncviewer", 'V', 0, G_OPTION_ARG_NONE, &c.viewer,
		  "Refused: there are no framebuffers yet", NULL },
		{ "vncviewer-autopass", 'A', 0, G_OPTION_ARG_NONE, &c.password, "Refused, too",
		  NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "FILE [KEY=VALUE...]",
			  .summary = "Creates a domain from a configuration file as xl.cfg(5) "
				     "describes it. What follows\nthe file is read as further "
				     "lines of it, and counts where both say something.",
			  .max = 64,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	struct verb events = { .socket = v.socket, .c = { .fd = -1 } };
	g_autofree char *defconfig = c.defconfig;
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) params = NULL;
	char **more_lines;
	const char *file;

	if (!status)
		status = check(&c);
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
	json_object_set_boolean_member(params, "paused", c.paused);
	if (c.dry || cmd_dry_run) {
		g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), params);

		v.json = TRUE;
		verb_print_json(&v, root);
		return STATUS_OK;
	}
	status = verb_connect(&v);
	if (!status && c.foreground)
		status = verb_connect(&events);
	if (!status)
		status = create(&v, &events, &c, file, more_lines, params);
	verb_close(&events, 0);
	return verb_close(&v, status);
}
