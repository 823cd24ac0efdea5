/* SPDX-License-Identifier: MIT */
/* The monitor's verbs, and how they answer. All of it happens on CPU 0, outside any guest. */
#ifndef XENOPUS_METAL_MONITOR_H
#define XENOPUS_METAL_MONITOR_H

#include <xenopus/words.h>

#define SAID 16 /* arguments */

/** struct said - a line that was typed, in words: the verb, its @n arguments. */
struct said {
	const char *verb;
	unsigned n;
	char *arg[SAID];
};

/** answer() - a line for the person. */
void answer(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** answer_line() - the same for functions of the core that print. */
void answer_line(void *unused, const char *text);

/** the_domain() - what @word means, a name or an id. NULL after an answer. */
struct domain *the_domain(const char *word);

typedef void verb_fn(const struct said *s);

/* monitor_show.c: look */
verb_fn verb_list, verb_vcpu_list, verb_uptime, verb_info, verb_dmesg, verb_top, verb_debug_keys, verb_domid,
	verb_domname;
/* monitor_verbs.c: do */
verb_fn verb_pause, verb_unpause, verb_destroy, verb_create, verb_shutdown, verb_dump_core, verb_rename, verb_mem_set, verb_mem_max,
	verb_vcpu_set, verb_vcpu_pin, verb_sched, verb_sched_credit, verb_sysrq, verb_trigger, verb_console;

#endif
