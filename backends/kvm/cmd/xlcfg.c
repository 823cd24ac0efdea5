/* SPDX-License-Identifier: MIT */
/*
 * Syntax is libxlutil's affair, so that what xl reads is read here. It neither lists the keys of a
 * file nor tells their lines, so a scan of our own finds those first: names at the start of a
 * statement, outside brackets, strings and comments.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libxlutil.h>

#include <xenopus/words.h>
#include "xlcfg.h"
#include "xlkeys.h"

#define MAX_SIZE     (1u << 20)
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

/* The archive's reader of three-valued keys, which nothing here calls, wants it of libxl. */
void libxl_defbool_set(libxl_defbool *db, bool b)
{
	db->val = b ? 1 : -1;
}

/* ---- where things are ---- */

struct place {
	char *name;
	unsigned line;
};

static void place_clear(gpointer data)
{
	g_free(((struct place *)data)->name);
}

/* Behind the string that begins at @p; at its end if it has none. */
static const char *skip_string(const char *p, unsigned *line)
{
	char quote = *p++;

	for (; *p && *p != quote; p++) {
		*line += *p == '\n';
		if (*p == '\\' && p[1])
			p++;
	}
	return *p ? p + 1 : p;
}

static GArray *find_places(const char *text)
{
	GArray *places = g_array_new(FALSE, FALSE, sizeof(struct place));
	unsigned line = 1, depth = 0;
	bool start = true; /* of a statement */

	g_array_set_clear_func(places, place_clear);
	for (const char *p = text; *p;) {
		if (*p == '#') {
			p += strcspn(p, "\n");
		} else if (*p == '"' || *p == '\'') {
			start = false;
			p = skip_string(p, &line);
		} else if (start && !depth && (g_ascii_isalpha(*p) || *p == '_')) {
			size_t n = strspn(p, NAME_LETTERS);
			struct place at = { g_strndup(p, n), line };

			g_array_append_val(places, at);
			start = false;
			p += n;
		} else {
			depth += *p == '[';
			depth -= *p == ']' && depth;
			start = *p == '\n' || *p == ';' || (start && g_ascii_isspace(*p));
			line += *p == '\n';
			p++;
		}
	}
	return places;
}

/* ---- what they mean ---- */

struct reading {
	const char *path;
	unsigned lines; /* of the file; what is behind them was given as arguments */
	XLU_Config *config;
	GArray *places;
	JsonObject *params;
	void (*warn)(const char *line);
	GError **error;
};

static unsigned line_of(const struct reading *r, const char *name)
{
	for (guint i = r->places->len; i-- > 0;)
		if (!strcmp(g_array_index(r->places, struct place, i).name, name))
			return g_array_index(r->places, struct place, i).line;
	return 0;
}

/* "FILE:3: memory: why", or "memory: why" of an argument. */
static char *at_line(const struct reading *r, unsigned line, const char *name, const char *why)
{
	return line > r->lines ? g_strdup_printf("%s of the command line: %s", name, why) :
				 g_strdup_printf("%s:%u: %s: %s", r->path, line, name, why);
}

static bool refuse(struct reading *r, const char *name, const char *why)
{
	g_autofree char *text = at_line(r, line_of(r, name), name, why);

	g_set_error_literal(r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
	return false;
}

/* A string, or the number that was written in its place. NULL after a refusal. */
static const char *string_of(struct reading *r, const char *name)
{
	const char *text;

	if (!xlu_cfg_get_string(r->config, name, &text, 1))
		return text;
	refuse(r, name, "must be a string");
	return NULL;
}

static bool take_string(struct reading *r, const struct xlkey *k)
{
	const char *text = string_of(r, k->name);
	g_autofree char *full = NULL;
	char why[160];

	if (!text)
		return false;
	if (!g_utf8_validate(text, -1, NULL))
		return refuse(r, k->name, "is not UTF-8 text");
	if (!strcmp(k->name, "name") && !words_name(text, why, sizeof(why)))
		return refuse(r, k->name, why);
	if (k->kind == XLKEY_PATH && !*text)
		return refuse(r, k->name, "is empty: give a path");
	full = k->kind == XLKEY_PATH ? g_canonicalize_filename(text, NULL) : g_strdup(text);
	json_object_set_string_member(r->params, k->param, full);
	return true;
}

static bool take_number(struct reading *r, const struct xlkey *k)
{
	long n;

	if (xlu_cfg_get_long(r->config, k->name, &n, 1))
		return refuse(r, k->name, "must be a number");
	json_object_set_int_member(r->params, k->param, n);
	return true;
}

static bool take_action(struct reading *r, const struct xlkey *k)
{
	const char *text = string_of(r, k->name);

	if (!text)
		return false;
	if (!strcmp(text, "soft-reset"))
		return refuse(r, k->name, "soft-reset is for HVM domains");
	json_object_set_string_member(r->params, k->param, text);
	return true;
}

/* An empty list and a switch that is off ask for nothing. */
static bool asks_for_nothing(const struct reading *r, const char *name)
{
	const char *text;
	int entries;

	if (!xlu_cfg_get_list(r->config, name, NULL, &entries, 1))
		return entries == 0;
	return !xlu_cfg_get_string(r->config, name, &text, 1) && (!*text || !strcmp(text, "0"));
}

static bool take_type(struct reading *r, const char *name)
{
	const char *text = string_of(r, name);

	if (!text)
		return false;
	if (!strcmp(text, "pv") ||
	    (!strcmp(name, "builder") && (!strcmp(text, "generic") || !strcmp(text, "linux"))))
		return true;
	return refuse(r, name, "only PV domains can run here: give \"pv\"");
}

/* One text for all virtual CPUs, or a list of one for each. */
static bool take_cpus(struct reading *r)
{
	XLU_ConfigList *list;
	GString *text;
	int entries;

	if (xlu_cfg_get_list(r->config, "cpus", &list, &entries, 1)) {
		const char *word = string_of(r, "cpus");

		if (!word || !strcmp(word, ""))
			return word;
		json_object_set_string_member(r->params, "cpus", word);
		return true;
	}
	text = g_string_new(NULL);
	for (int i = 0; i < entries; i++) {
		const char *word = xlu_cfg_get_listitem(list, i);

		g_string_append_printf(text, "%s%s", i ? ";" : "", word ? word : "");
	}
	if (entries)
		json_object_set_string_member(r->params, "cpus", text->str);
	g_string_free(text, TRUE);
	return true;
}

static bool take(struct reading *r, const struct place *at)
{
	const struct xlkey *k = xlkey_find(at->name);
	g_autofree char *text = NULL;

	switch (k ? k->kind : XLKEY_NO_EFFECT) {
	case XLKEY_STRING:
	case XLKEY_PATH:
		return take_string(r, k);
	case XLKEY_NUMBER:
		return take_number(r, k);
	case XLKEY_ACTION:
		return take_action(r, k);
	case XLKEY_REFUSED:
		return asks_for_nothing(r, k->name) || refuse(r, k->name, k->why);
	case XLKEY_OTHER:
		if (!strcmp(at->name, "cpus"))
			return take_cpus(r);
		return (strcmp(at->name, "type") && strcmp(at->name, "builder")) ||
		       take_type(r, at->name);
	case XLKEY_NO_EFFECT:
		text = at_line(r, at->line, at->name, k ? k->why : "unknown key, ignored");
		r->warn(text);
		break;
	case XLKEY_NONE:
		break;
	}
	return true;
}

/* cmdline, or root and extra as xl puts them together. */
static bool take_cmdline(struct reading *r)
{
	const char *cmdline = NULL, *root = NULL, *extra = NULL;
	g_autofree char *text = NULL;

	if ((line_of(r, "cmdline") && !(cmdline = string_of(r, "cmdline"))) ||
	    (line_of(r, "root") && !(root = string_of(r, "root"))) ||
	    (line_of(r, "extra") && !(extra = string_of(r, "extra"))))
		return false;
	if (cmdline && (root || extra))
		r->warn("cmdline is given: root and extra are ignored");
	if (cmdline)
		text = g_strdup(cmdline);
	else if (root && extra)
		text = g_strdup_printf("root=%s %s", root, extra);
	else if (root)
		text = g_strdup_printf("root=%s", root);
	else
		text = g_strdup(extra ? extra : "");
	if (!g_utf8_validate(text, -1, NULL))
		return refuse(r, cmdline ? "cmdline" : "extra", "is not UTF-8 text");
	json_object_set_string_member(r->params, "cmdline", text);
	return true;
}

static bool take_all(struct reading *r)
{
	for (guint i = 0; i < r->places->len; i++) {
		const struct place *at = &g_array_index(r->places, struct place, i);

		/* The last one counts, as for libxlutil. */
		if (at->line == line_of(r, at->name) && !take(r, at))
			return false;
	}
	if (!take_cmdline(r))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		const char *needed = i ? "kernel" : "name";

		if (!json_object_has_member(r->params, needed)) {
			g_set_error(r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				    "%s: %s is missing: a domain needs it", r->path, needed);
			return false;
		}
	}
	return true;
}

/* What libxlutil has to say about syntax goes into one line of ours. */
static bool parse(struct reading *r, const char *text, size_t len)
{
	char *said = NULL;
	size_t said_len = 0;
	FILE *report = open_memstream(&said, &said_len);
	bool good;

	if (!report)
		return false;
	r->config = xlu_cfg_init(report, r->path);
	good = r->config && !xlu_cfg_readdata(r->config, text, (int)len);
	fflush(report);
	if (!good)
		g_set_error(r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%.*s",
			    (int)strcspn(said ? said : "", "\n"), said && *said ? said : r->path);
	else
		good = take_all(r);
	if (r->config)
		xlu_cfg_destroy(r->config);
	fclose(report);
	free(said);
	return good;
}

/* The file, and behind it, each on a line of its own, what else was said; NULL with @error. */
static char *read_text(struct reading *r, char *const *more)
{
	g_autofree char *text = NULL;
	GString *all;
	gsize len;

	if (!g_file_get_contents(r->path, &text, &len, r->error))
		return NULL;
	if (len > MAX_SIZE || strlen(text) != len) {
		g_set_error(r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s: is no configuration file: %s", r->path,
			    len > MAX_SIZE ? "it is larger than 1 MiB" : "it holds zero bytes");
		return NULL;
	}
	all = g_string_new(text);
	g_string_append_c(all, '\n');
	for (const char *c = all->str; *c; c++)
		r->lines += *c == '\n';
	for (; more && *more; more++)
		g_string_append_printf(all, "%s\n", *more);
	return g_string_free(all, FALSE);
}

JsonObject *xlcfg_read(const char *path, char *const *more, void (*warn)(const char *line),
		       GError **error)
{
	struct reading r = { .path = path, .warn = warn, .error = error };
	g_autofree char *text = read_text(&r, more);
	bool good;

	if (!text)
		return NULL;
	r.places = find_places(text);
	r.params = json_object_new();
	good = parse(&r, text, strlen(text));
	g_array_unref(r.places);
	if (good)
		return r.params;
	json_object_unref(r.params);
	return NULL;
}

/* The key whose value, a path, the machine complains of; NULL: none. */
static const char *path_at_fault(JsonObject *params, const char *complaint)
{
	const struct xlkey *k = NULL;

	while ((k = xlkey_next_path(k))) {
		const char *value = json_object_has_member(params, k->param) ?
					    json_object_get_string_member(params, k->param) :
					    NULL;

		if (value && g_str_has_prefix(complaint, value) && complaint[strlen(value)] == ':')
			return k->name;
	}
	return NULL;
}

char *xlcfg_blame(const char *path, char *const *more, JsonObject *params, const char *complaint)
{
	struct reading r = { .path = path };
	g_autofree char *text = read_text(&r, more);
	g_autofree char *word = g_strndup(complaint, strspn(complaint, NAME_LETTERS));
	const char *key = path_at_fault(params, complaint);
	char *blamed = NULL;
	unsigned line;

	if (!text)
		return g_strdup(complaint);
	r.places = find_places(text);
	/* cmdline is made of these, too. */
	if (!key && !strcmp(word, "cmdline") && !line_of(&r, word))
		key = line_of(&r, "extra") ? "extra" : "root";
	line = line_of(&r, key ? key : word);
	if (line && key)
		blamed = at_line(&r, line, key, complaint);
	else if (line && line <= r.lines)
		blamed = g_strdup_printf("%s:%u: %s", path, line, complaint);
	g_array_unref(r.places);
	return blamed ? blamed : g_strdup(complaint);
}
