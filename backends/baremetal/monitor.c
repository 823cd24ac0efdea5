/* SPDX-License-Identifier: MIT */
/*
 * The monitor: xl's verbs on the serial line. A line becomes words, the first of them names the verb; what the verb
 * does is the core's control interface, the same that the hosted home's socket drives, at the place where that does
 * it: between two guests on CPU 0.
 */
#include <xenopus/domain.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"
#include "monitor.h"

static verb_fn verb_help;

static const struct verb {
	const char *name, *arguments, *help;
	unsigned min, max;
	verb_fn *fn; /* NULL: leave */
} verbs[] = {
	{ "console", "DOMAIN", "put this domain in front", 1, 1, verb_console },
	{ "create", "NAME", "start a domain again from its boot bundle (with keep-bundles)", 1, 1, verb_create },
	{ "debug-keys", "KEYS", "what each of the hypervisor's keys answers; h lists them", 1, 1, verb_debug_keys },
	{ "destroy", "DOMAIN", "end it at once", 1, 1, verb_destroy },
	{ "dmesg", "[-c]", "the hypervisor's log; -c: and clear it", 0, 1, verb_dmesg },
	{ "domid", "NAME", "the id of the domain with this name", 1, 1, verb_domid },
	{ "domname", "ID", "the name of the domain with this id", 1, 1, verb_domname },
	{ "dump-core", "DOMAIN [FILE]", "not here: there is nothing to write a core file to", 0, 2, verb_dump_core },
	{ "exit", "", "close the monitor (Ctrl-D does, too)", 0, 0, NULL },
	{ "help", "[VERB]", "this list; a verb may be shortened as long as only one begins so", 0, 1, verb_help },
	{ "info", "", "about the machine", 0, 0, verb_info },
	{ "list", "[DOMAIN...]", "the domains, or these", 0, SAID, verb_list },
	{ "mem-max", "DOMAIN MEMORY", "the most memory it may have: MiB, or with k, m, g, t", 2, 2, verb_mem_max },
	{ "mem-set", "DOMAIN MEMORY", "ask its balloon for this much", 2, 2, verb_mem_set },
	{ "pause", "DOMAIN", "stop its virtual CPUs", 1, 1, verb_pause },
	{ "reboot", "DOMAIN|-a", "ask its kernel, or every one, to reboot", 1, 1, verb_shutdown },
	{ "rename", "DOMAIN NAME", "give it another name", 2, 2, verb_rename },
	{ "sched-bvt", "[-d DOMAIN [-v VCPU] [-w N] [-c PERCENT] [-W on|off] [-o US] [-l US] [-u US]]",
	  "show or set weight, cap, warp, warp value, limit, unwarp", 0, SAID, verb_sched },
	{ "sched-credit", "[-d DOMAIN [-w N] [-c PERCENT]]", "show or set weight and cap", 0, 6, verb_sched_credit },
	{ "shutdown", "DOMAIN|-a", "ask its kernel, or every one, to power off", 1, 1, verb_shutdown },
	{ "sysrq", "DOMAIN KEY", "send it a magic SysRq key", 2, 2, verb_sysrq },
	{ "top", "", "what the domains did since the last look", 0, 0, verb_top },
	{ "trigger", "DOMAIN nmi [VCPU]", "raise an NMI", 2, 3, verb_trigger },
	{ "unpause", "DOMAIN", "let it go on", 1, 1, verb_unpause },
	{ "uptime", "[DOMAIN...]", "since when the domains are up", 0, SAID, verb_uptime },
	{ "vcpu-list", "[DOMAIN...]", "the virtual CPUs", 0, SAID, verb_vcpu_list },
	{ "vcpu-pin", "DOMAIN VCPU|all CPUS|all", "where they may run: numbers and ranges, as in 0-2,5", 3, 3,
	  verb_vcpu_pin },
	{ "vcpu-set", "DOMAIN N", "ask its kernel to use so many virtual CPUs", 2, 2, verb_vcpu_set },
};

void answer(const char *fmt, ...)
{
	char line[TABLE_ROW];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_answer(line);
}

void answer_line(void *unused, const char *text)
{
	console_answer(text);
}

struct domain *the_domain(const char *word)
{
	struct domain *d = domain_called(word);
	uint64_t id;

	if (!d && words_number(word, 0, DOMID_FIRST_RESERVED - 1, &id))
		d = domain_by_id((domid_t)id, NULL);
	if (!d && domains_waits(word))
		answer("domain %s is not there: it starts again soon", word);
	else if (!d)
		answer("there is no domain %s", word);
	return d;
}

static const struct verb *find(const char *name)
{
	int i = words_pick(name, verbs, sizeof(verbs[0]), ARRAY_SIZE(verbs));

	if (i == -2)
		answer("several verbs begin with %s; help lists them", name);
	else if (i < 0)
		answer("there is no verb %s; help lists those there are", name);
	return i < 0 ? NULL : &verbs[i];
}

static void verb_help(const struct said *s)
{
	const struct verb *only = s->n ? find(s->arg[0]) : NULL;

	if (s->n && !only)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (!only || only == v)
			answer("%s%s%s: %s", v->name, *v->arguments ? " " : "", v->arguments, v->help);
	}
}

/* The words of @line, which is cut into them. False: more than fit. */
static bool split(char *line, struct said *s)
{
	s->verb = NULL;
	s->n = 0;
	for (;;) {
		while (*line == ' ')
			*line++ = '\0';
		if (!*line)
			return true;
		if (s->n == ARRAY_SIZE(s->arg))
			return false;
		if (!s->verb)
			s->verb = line;
		else
			s->arg[s->n++] = line;
		while (*line && *line != ' ')
			line++;
	}
}

bool monitor_obey(char *line)
{
	const struct verb *v;
	struct said s;

	if (!split(line, &s)) {
		answer("too many words");
		return true;
	}
	v = s.verb ? find(s.verb) : NULL;
	if (!v)
		return true;
	if (s.n < v->min || s.n > v->max) {
		answer("%s: %s %s", s.n < v->min ? "an argument is missing" : "too many arguments", v->name,
		       v->arguments);
	} else if (v->fn) {
		s.verb = v->name; /* not what was typed for it */
		v->fn(&s);
	}
	/* "console" has closed the prompt itself: that is not leaving the monitor for the keys. */
	return v->fn || s.n;
}
