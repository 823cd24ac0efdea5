/* SPDX-License-Identifier: MIT */
/* The verbs that show: domains, virtual CPUs, the machine, its log. Columns are xl's. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <xenopus/stopped.h>
#include <xenopus/words.h>
#include <xen/sched.h>
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

/* What list shows behind its usual columns. */
static struct {
	gboolean details, verbose, context, pool, numa;
} wanted;

/* Of a domain that has shut down the number of SHUTDOWN_*, as xl prints it. */
static char *reason_code(JsonObject *o)
{
	for (unsigned i = 0; i <= SHUTDOWN_soft_reset; i++)
		if (!strcmp(verb_text(o, "reason"), stop_reason_name(i)))
			return g_strdup_printf("%8x", i);
	return g_strdup_printf("%8s", "-");
}

static void list_more(JsonObject *o)
{
	g_autofree char *reason = reason_code(o);

	if (wanted.verbose)
		printf(" %s %s", verb_text(o, "uuid"), reason);
	if (wanted.verbose || wanted.context)
		printf(" %16s", "-");
	if (wanted.pool)
		printf("%16s", "Pool-0");
	if (wanted.numa)
		fputs(" 0", stdout);
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
		.reason = verb_text(o, "reason"),
		.memory_kib = (uint64_t)verb_int(o, "memory_kib"),
		.vcpus = (unsigned)verb_int(o, "vcpus"),
		.cpu_ns = (uint64_t)verb_int(o, "cpu_ns"),
	};
	char row[TABLE_ROW];

	table_domain(&r, row, sizeof(row));
	fputs(row, stdout);
	list_more(o);
	putchar('\n');
}

int cmd_list(int argc, char **argv)
{
	const GOptionEntry more[] = {
		{ "long", 'l', 0, G_OPTION_ARG_NONE, &wanted.details,
		  "All that is known of them, which is JSON", NULL },
		{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &wanted.verbose,
		  "UUIDs, reasons of shutdowns and security labels, too", NULL },
		{ "context", 'Z', 0, G_OPTION_ARG_NONE, &wanted.context,
		  "Security labels, too, which no domain has here", NULL },
		{ "cpupool", 'c', 0, G_OPTION_ARG_NONE, &wanted.pool,
		  "Pools of CPUs, too, of which there is one", NULL },
		{ "numa", 'n', 0, G_OPTION_ARG_NONE, &wanted.numa,
		  "Memory nodes, too, of which there is one", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	struct verb v = { .arguments = SOME,
			  .summary = "Lists all domains, or those named.",
			  .max = SOME_MAX,
			  .more = more };
	int status = verb_parse(&v, argc, argv);
	g_autofree char *head = NULL;

	if (status)
		return status;
	v.json |= wanted.details;
	head = g_strconcat(
		table_domains,
		wanted.verbose ? "   UUID                            Reason-Code\tSecurity Label" :
		wanted.context ? "   Security Label" :
				 "",
		wanted.pool ? "         Cpupool" : "", wanted.numa ? " NODE Affinity" : "", NULL);
	return show(&v, "domain.list", head, list_row);
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
