/* SPDX-License-Identifier: MIT */
/* People: the log, consoles, the command line; and when there is nobody left to run. */
#include <xenopus/control.h>
#include <xenopus/core.h>
#include "metal.h"
#include <xen/sched.h>

struct plat_info metal_info = {
	.pcpus = 1,
	.slot256_visible = true,
	.raises_nm = true,
	.guest_reads_native_cpuid = true,
	.name = "on bare metal",
};

bool debug_exit, test_panic, no_smep, no_smap;
static bool debugcon;

#define CTRL_A 1

static struct domain *focus; /* who hears what is typed */
static unsigned presses;     /* of Ctrl-A, one after another */
static unsigned nr_running;
static enum ending ending = END_GOOD;

const struct plat_info *plat_info(void)
{
	return &metal_info;
}

void plat_log(int level, const char *line, size_t len)
{
	static const char head[] = "(xenopus) ";

	if (channel_line(head, line, len))
		return;
	serial_write(head, sizeof(head) - 1);
	serial_write(line, len);
	serial_write("\r\n", 2);
}

void plat_console_write(struct domain *d, const char *buf, size_t len)
{
	if (!milestones.first_output)
		milestones.first_output = tsc_read();
	serial_write(buf, len);
}

/* The next domain that runs gets the keyboard. */
static void move_focus(void)
{
	struct list *pos = focus ? focus->link.next : domain_list.next;

	for (unsigned wraps = 0; wraps < 2; pos = pos->next) {
		struct domain *d = list_entry(pos, struct domain, link);

		if (pos == &domain_list) {
			wraps++;
			continue;
		}
		if (d->state == DOM_RUNNING) {
			focus = d;
			return;
		}
	}
	focus = NULL;
}

/* How many of the first bytes typed are the domain's; pressing Ctrl-A three times moves to the next. */
static size_t scan(const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		presses = buf[i] == CTRL_A ? presses + 1 : 0;
		if (presses == 3)
			return i + 1;
	}
	return n;
}

/* What does not fit into the console's ring stays with us and is offered again at the next poll. */
void plat_poll(void)
{
	unsigned before = presses;
	char buf[64];
	size_t n = serial_peek(buf, sizeof(buf)), taken;

	if (!n)
		return;
	n = scan(buf, n);
	taken = focus ? console_input(focus, buf, n) : n;
	serial_take(taken);
	if (taken < n) {
		presses = before;
		scan(buf, taken);
		return;
	}
	if (presses == 3) {
		presses = 0;
		move_focus();
		xlog(LOG_ERROR, "what is typed goes to domain %s", focus ? focus->name : "(none)");
	}
}

void home_domain_added(struct domain *d)
{
	if (!focus)
		focus = d;
	nr_running++;
}

void plat_domain_shutdown(struct domain *d, unsigned reason)
{
	static const char *const names[] = { "poweroff", "reboot", "suspend", "crash", "watchdog",
					     "soft reset" };
	bool good = reason == SHUTDOWN_poweroff || reason == SHUTDOWN_reboot;

	char line[128];

	xsnprintf(line, sizeof(line), "domain %s stopped: %s", d->name,
		  reason < ARRAY_SIZE(names) ? names[reason] : "an unknown reason");
	report_domain(d);
	if (focus == d)
		move_focus();
	nr_running--;
	if (!nr_running)
		report_machine();
	if (good) {
		xlog(LOG_INFO, "%s", line);
	} else {
		ending = END_CRASH;
		last_words(line);
	}
	if (nr_running)
		return;
	machine_end(ending);
}

static bool word(const char *at, size_t len, const char *what)
{
	return xstrlen(what) == len && !memcmp(at, what, len);
}

static void one_word(const char *at, size_t len)
{
	static const char *const levels[] = { "log-level=error", "log-level=warn", "log-level=info",
					      "log-level=debug" };
	static const struct {
		const char *word;
		bool *set;
	} flags[] = { { "debug-exit", &debug_exit }, { "test-panic", &test_panic }, { "no-smep", &no_smep },
		      { "no-smap", &no_smap }, { "stats", &stats_wanted }, { "debugcon", &debugcon } };

	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (word(at, len, levels[i])) {
			log_threshold = (enum log_level)i;
			return;
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		if (word(at, len, flags[i].word)) {
			*flags[i].set = true;
			return;
		}
	}
	refuse("unknown word on the command line: %.*s (known: log-level=error|warn|info|debug, debug-exit, "
	       "debugcon, no-smep, no-smap, stats, test-panic)", (int)len, at);
}

void cmdline_parse(const char *line)
{
	while (*line) {
		size_t n = 0;

		while (line[n] && line[n] != ' ')
			n++;
		if (n)
			one_word(line, n);
		line += n;
		while (*line == ' ')
			line++;
	}
	if (debugcon)
		channel_open();
}
