/* SPDX-License-Identifier: MIT */
/* The verbs that do one thing to one domain. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xenopus/words.h>
#include "verb.h"

#define ONE "DOMAIN"

static int simple(int argc, char **argv, const char *summary, const char *method,
		  const GOptionEntry *more)
{
	struct verb v = { .arguments = ONE, .summary = summary, .min = 1, .max = 1, .more = more };
	int status = verb_open(&v, argc, argv);

	return status ? status : verb_finish(&v, method, verb_domain(v.args[0]));
}

int cmd_pause(int argc, char **argv)
{
	return simple(argc, argv, "Stops a domain's virtual CPUs until it is unpaused.",
		      "domain.pause", NULL);
}

int cmd_unpause(int argc, char **argv)
{
	return simple(argc, argv, "Lets a paused domain go on.", "domain.unpause", NULL);
}

int cmd_destroy(int argc, char **argv)
{
	gboolean force = FALSE; /* xl's leave to end domain 0, which there is not */
	const GOptionEntry more[] = {
		{ "force", 'f', 0, G_OPTION_ARG_NONE, &force,
		  "Taken as xl takes it; no domain needs it here", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};

	return simple(argc, argv, "Ends a domain at once, as if its power were cut.",
		      "domain.destroy", more);
}

/* A power-off or reboot that the guest is asked for, and perhaps waited for. */
static bool wait_for(struct verb *v, gint64 id)
{
	for (;;) {
		g_autoptr(GError) error = NULL;
		g_autoptr(JsonNode) root = client_next(&v->c, &error);
		JsonObject *o;
		const char *what;

		if (!root) {
			cmd_error(STATUS_FAILED, "%s", error->message);
			return false;
		}
		o = json_object_get_object_member(json_node_get_object(root), "params");
		what = verb_text(o, "event");
		if (verb_int(o, "id") == id &&
		    (!strcmp(what, "shutdown") || !strcmp(what, "destroyed")))
			return true;
	}
}

static JsonObject *first(JsonNode *array)
{
	return JSON_NODE_HOLDS_ARRAY(array) && json_array_get_length(json_node_get_array(array)) ?
		       json_array_get_object_element(json_node_get_array(array), 0) :
		       NULL;
}

static bool ask(struct verb *v, const char *word, const char *how, gboolean wait)
{
	g_autoptr(JsonNode) list = verb_call(v, "domain.list", verb_domain(word)),
			    subscribed = NULL, result = NULL;
	JsonObject *params;
	gint64 id;

	if (!list || !first(list))
		return false;
	id = verb_int(first(list), "id");
	if (wait && !(subscribed = verb_call(v, "events.subscribe", NULL)))
		return false;
	if (!v->json)
		fprintf(stderr, "%s domain %d\n",
			strcmp(how, "reboot") ? "Shutting down" : "Rebooting", (int)id);
	params = json_object_new();
	json_object_set_int_member(params, "domain", id);
	json_object_set_string_member(params, "how", how);
	result = verb_call(v, "domain.shutdown", params);
	if (!result)
		return false;
	verb_print_json(v, result);
	return !wait || wait_for(v, id);
}

static bool ask_all(struct verb *v, const char *how, gboolean wait)
{
	g_autoptr(JsonNode) list = verb_call(v, "domain.list", NULL);
	bool good = list;

	for (guint i = 0; list && i < json_array_get_length(json_node_get_array(list)); i++) {
		JsonObject *o = json_array_get_object_element(json_node_get_array(list), i);

		good &= ask(v, verb_text(o, "name"), how, wait);
	}
	return good;
}

static int shut(int argc, char **argv, const char *summary, const char *how)
{
	static gboolean wait, all, fallback;
	static const GOptionEntry more[] = {
		{ "all", 'a', 0, G_OPTION_ARG_NONE, &all, "Every domain", NULL },
		{ "wait", 'w', 0, G_OPTION_ARG_NONE, &wait, "Until it has stopped", NULL },
		/* The other way is an HVM guest's. */
		{ "fallback", 'F', 0, G_OPTION_ARG_NONE, &fallback,
		  "Taken as xl takes it; a PV kernel is asked in one way only", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = ONE, .summary = summary, .max = 1, .more = more };
	int status = verb_parse(&v, argc, argv);
	bool good;

	if (!status && (v.nr_args == 1) == all)
		status = cmd_error(STATUS_USAGE, "give a domain, or --all for every one");
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	good = all ? ask_all(&v, how, wait) : ask(&v, v.args[0], how, wait);
	return verb_close(&v, good ? STATUS_OK : STATUS_FAILED);
}

int cmd_shutdown(int argc, char **argv)
{
	return shut(argc, argv, "Asks a domain's kernel to shut down and power off.", "poweroff");
}

int cmd_reboot(int argc, char **argv)
{
	return shut(argc, argv, "Asks a domain's kernel to reboot.", "reboot");
}

int cmd_rename(int argc, char **argv)
{
	struct verb v = { .arguments = "DOMAIN NEW-NAME",
			  .summary = "Gives a domain another name.",
			  .min = 2,
			  .max = 2 };
	int status = verb_open(&v, argc, argv);
	JsonObject *params;

	if (status)
		return status;
	params = verb_domain(v.args[0]);
	json_object_set_string_member(params, "name", v.args[1]);
	return verb_finish(&v, "domain.rename", params);
}

static int memory(int argc, char **argv, const char *summary, const char *method)
{
	struct verb v = { .arguments = "DOMAIN MEMORY", .summary = summary, .min = 2, .max = 2 };
	int status = verb_parse(&v, argc, argv);
	JsonObject *params;
	uint64_t kib = 0;

	if (!status && !words_memory(v.args[1], &kib))
		status = cmd_error(STATUS_USAGE,
				   "memory of '%s': give MiB, or a number with k, m, g or t",
				   v.args[1]);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	params = verb_domain(v.args[0]);
	json_object_set_int_member(params, "kib", (gint64)kib);
	return verb_finish(&v, method, params);
}

int cmd_mem_set(int argc, char **argv)
{
	return memory(argc, argv, "Asks a domain's balloon driver to bring it to this much memory.",
		      "domain.set-memory");
}

int cmd_mem_max(int argc, char **argv)
{
	return memory(argc, argv, "Sets the most memory that a domain may have.",
		      "domain.set-max-memory");
}

int cmd_vcpu_set(int argc, char **argv)
{
	/* xl wants it for more than the host has; here that is always allowed. */
	gboolean ignore = FALSE;
	const GOptionEntry more[] = {
		{ "ignore-host", 'i', 0, G_OPTION_ARG_NONE, &ignore,
		  "Taken as xl takes it; more than the machine has are fine anyway", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = "DOMAIN N",
			  .summary = "Asks a domain's kernel to use so many virtual CPUs.",
			  .min = 2,
			  .max = 2,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	JsonObject *params;
	uint64_t n = 0;

	if (!status && !words_number(v.args[1], 1, 64, &n))
		status = cmd_error(STATUS_USAGE, "'%s' virtual CPUs: give 1 to 64", v.args[1]);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	params = verb_domain(v.args[0]);
	json_object_set_int_member(params, "vcpus", (gint64)n);
	return verb_finish(&v, "domain.set-vcpus", params);
}

int cmd_sysrq(int argc, char **argv)
{
	struct verb v = { .arguments = "DOMAIN LETTER",
			  .summary = "Sends a domain's kernel a magic SysRq key.",
			  .min = 2,
			  .max = 2 };
	int status = verb_open(&v, argc, argv);
	JsonObject *params;

	if (status)
		return status;
	params = verb_domain(v.args[0]);
	json_object_set_string_member(params, "key", v.args[1]);
	return verb_finish(&v, "domain.sysrq", params);
}

int cmd_trigger(int argc, char **argv)
{
	struct verb v = { .arguments = "DOMAIN nmi [VCPU]",
			  .summary = "Raises an NMI in a virtual CPU of a domain.",
			  .min = 2,
			  .max = 3 };
	int status = verb_parse(&v, argc, argv);
	JsonObject *params;
	uint64_t vcpu = 0;

	if (!status && v.nr_args == 3 && !words_number(v.args[2], 0, 63, &vcpu))
		status = cmd_error(STATUS_USAGE, "virtual CPU '%s': give 0 to 63", v.args[2]);
	if (!status)
		status = verb_connect(&v);
	if (status)
		return status;
	params = verb_domain(v.args[0]);
	json_object_set_string_member(params, "trigger", v.args[1]);
	json_object_set_int_member(params, "vcpu", (gint64)vcpu);
	return verb_finish(&v, "domain.trigger", params);
}

int cmd_dump_core(int argc, char **argv)
{
	struct verb v = { .arguments = "DOMAIN FILE",
			  .summary = "Writes a domain's memory and registers to an ELF core "
				     "file, which must not exist yet.",
			  .min = 2,
			  .max = 2 };
	int status = verb_open(&v, argc, argv);
	g_autofree char *path = NULL;
	JsonObject *params;

	if (status)
		return status;
	path = g_canonicalize_filename(v.args[1], NULL);
	params = verb_domain(v.args[0]);
	json_object_set_string_member(params, "file", path);
	return verb_finish(&v, "domain.dump-core", params);
}

static int look_up(int argc, char **argv, const char *arguments, const char *summary,
		   const char *member)
{
	struct verb v = { .arguments = arguments, .summary = summary, .min = 1, .max = 1 };
	int status = verb_open(&v, argc, argv);
	g_autoptr(JsonNode) list = NULL;

	if (status)
		return status;
	list = verb_call(&v, "domain.list", verb_domain(v.args[0]));
	if (!list || !first(list))
		return verb_close(&v, STATUS_FAILED);
	if (v.json)
		verb_print_json(&v, json_object_get_member(first(list), member));
	else if (!strcmp(member, "id"))
		printf("%d\n", (int)verb_int(first(list), "id"));
	else
		printf("%s\n", verb_text(first(list), member));
	return verb_close(&v, STATUS_OK);
}

int cmd_domid(int argc, char **argv)
{
	return look_up(argc, argv, "NAME", "Prints the id of the domain with this name.", "id");
}

int cmd_domname(int argc, char **argv)
{
	return look_up(argc, argv, "ID", "Prints the name of the domain with this id.", "name");
}
