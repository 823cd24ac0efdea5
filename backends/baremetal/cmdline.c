/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's command line: one table of words without a value, one of words with one. What is in neither is
 * refused, and the refusal lists them. docs/metal.md says what each does.
 */
#include <xenopus/mm.h>
#include <xenopus/sched.h>
#include "bundle.h"
#include "metal.h"

bool check_tables, debug_exit;
enum test_panic test_panic;
static bool debugcon;

static const struct {
	const char *word;
	bool *set;
} flags[] = {
	{ "check-tables", &check_tables },
	{ "debug-exit", &debug_exit },
	{ "debugcon", &debugcon },
	{ "keep-bundles", &keep_bundles },
	{ "stats", &stats_wanted },
};

static bool is(const char *at, size_t len, const char *what)
{
	return xstrlen(what) == len && !memcmp(at, what, len);
}

/* Which of @names (ended by NULL) is meant; -1: none. */
static int choice(const char *at, size_t len, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (is(at, len, names[i]))
			return i;
	return -1;
}

static bool set_log_level(const char *at, size_t len)
{
	static const char *const names[] = { "error", "warn", "info", "debug", NULL };
	int n = choice(at, len, names);

	if (n >= 0)
		log_threshold = (enum log_level)n;
	return n >= 0;
}

static bool set_on_panic(const char *at, size_t len)
{
	static const char *const names[] = { "halt", "restart", "poweroff", NULL };
	int n = choice(at, len, names);

	if (n >= 0)
		on_panic = (enum panic_end)n;
	return n >= 0;
}

static bool set_on_reboot(const char *at, size_t len)
{
	static const char *const names[] = { "stop", "domain", "machine", NULL };
	int n = choice(at, len, names);

	if (n >= 0)
		on_reboot = (enum reboot)n;
	return n >= 0;
}

static bool set_audit(const char *at, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++) {
		if (at[i] < '0' || at[i] > '9' || n > 100000000)
			return false;
		n = n * 10 + (unsigned)(at[i] - '0');
	}
	mm_audit_every = n;
	return true;
}

static bool set_max_cpus(const char *at, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len && n <= MAX_PCPUS; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		n = n * 10 + (unsigned)(at[i] - '0');
	}
	if (!n || n > MAX_PCPUS)
		return false;
	max_cpus = n;
	return true;
}

static bool set_sched(const char *at, size_t len)
{
	char name[16];

	if (len >= sizeof(name))
		return false;
	memcpy(name, at, len);
	name[len] = 0;
	return sched_choose_policy(name);
}

static bool set_test_panic(const char *at, size_t len)
{
	static const char *const names[] = { "stack", "fault", "tables", "other", NULL };
	int n = choice(at, len, names);

	if (n >= 0)
		test_panic = (enum test_panic)(n + 1);
	return n >= 0;
}

static const struct {
	const char *word; /* with its = */
	const char *values;
	bool (*set)(const char *at, size_t len);
} values[] = {
	{ "audit=", "HYPERCALLS", set_audit },
	{ "log-level=", "error|warn|info|debug", set_log_level },
	{ "maxcpus=", "1..64", set_max_cpus },
	{ "on-panic=", "halt|restart|poweroff", set_on_panic },
	{ "on-reboot=", "stop|domain|machine", set_on_reboot },
	{ "sched=", "bvt|credit|rr", set_sched },
	{ "test-panic=", "stack|fault|tables|other", set_test_panic },
};

static bool known(const char *at, size_t len)
{
	if (is(at, len, "nosmp")) {
		max_cpus = 1;
		return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		if (is(at, len, flags[i].word)) {
			*flags[i].set = true;
			return true;
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		size_t n = xstrlen(values[i].word);

		if (len > n && !memcmp(at, values[i].word, n))
			return values[i].set(at + n, len - n);
	}
	return protection_word(at, len);
}

static void list(char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(values) && n < size; i++)
		n += (size_t)xsnprintf(buf + n, size - n, "%s%s%s", n ? ", " : "", values[i].word,
				       values[i].values);
	for (unsigned i = 0; i < ARRAY_SIZE(flags) && n < size; i++)
		n += (size_t)xsnprintf(buf + n, size - n, ", %s", flags[i].word);
	n += (size_t)xsnprintf(buf + n, n < size ? size - n : 0, ", nosmp");
	for (unsigned i = 0; protection_name(i) && n < size; i++)
		n += (size_t)xsnprintf(buf + n, size - n, ", %s=on|off", protection_name(i));
}

void cmdline_parse(const char *line)
{
	const char *wrong = NULL;
	char words[480];
	size_t wrong_len = 0;

	while (*line) {
		size_t n = 0;

		while (line[n] && line[n] != ' ')
			n++;
		if (n && !known(line, n) && !wrong) {
			wrong = line;
			wrong_len = n;
		}
		line += n;
		while (*line == ' ')
			line++;
	}
	if (debugcon)
		channel_open();
	/* At the end, so that words behind this one (debug-exit) still have their effect. */
	if (wrong) {
		list(words, sizeof(words));
		refuse("unknown word on the command line: %.*s (known: %s)", (int)wrong_len, wrong, words);
	}
}
