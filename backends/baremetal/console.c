/* SPDX-License-Identifier: MIT */
/*
 * One serial line for the hypervisor's log and every domain's console, and one keyboard for all of them:
 *
 *	log ------------------------------> "(xenopus) line"
 *	the domain in front -------------> as it is
 *	every other domain --> its line --> "(name) line", when the line is complete
 *	typed --> the domain in front, or Xenopus' own keys (keys.c), or its monitor (monitor.c) while that has its
 *		  prompt open, and then no domain is in front; Ctrl-A three times moves on
 *
 * A whole line of somebody else never lands in the middle of one: it begins on a line of its own, and a line that is
 * being typed at the monitor is put back behind it. Any CPU may write; what is typed, and which domain is in front, is the business of CPU 0.
 */
#include <xenopus/control.h>
#include <xenopus/lock.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"

#define CTRL_A 1
#define LINE   160u

/* The unfinished lines of domains that are not in front. */
static struct pending {
	struct domain *d;
	unsigned n;
	char text[LINE];
} pending[16];

static struct domain *front;  /* whose output is shown as it is */
static bool keys_are_ours;    /* what is typed goes to keys.c, not to @front */
static unsigned presses;      /* of Ctrl-A, one after another, held back */
static bool mid_line;         /* @front's last byte was no newline */
static bool answering;        /* the monitor does what it was told */
static struct spinlock output; /* all of the above but the keys; a panicking CPU does without */

static void output_lock(void)
{
	if (!panicking())
		spin_lock(&output, LOCK_HOME);
}

static void output_unlock(void)
{
	if (!panicking())
		spin_unlock(&output, LOCK_HOME);
}

static void begin_line(void)
{
	prompt_hide();
	if (mid_line)
		serial_write("\r\n", 2);
	mid_line = false;
}

static void whole_line(const char *head, const char *line, size_t len)
{
	begin_line();
	serial_write("(", 1);
	serial_write(head, xstrlen(head));
	serial_write(") ", 2);
	serial_write(line, len);
	serial_write("\r\n", 2);
	/* While the monitor answers, the prompt stays away. */
	if (!answering)
		prompt_show();
}

void console_line(const char *line, size_t len)
{
	output_lock();
	if (!channel_line("(xenopus) ", line, len)) {
		whole_line("xenopus", line, len);
		screen_line("(xenopus) ", line, len);
	}
	output_unlock();
}

void console_answer(const char *line)
{
	output_lock();
	begin_line();
	serial_write(line, xstrlen(line));
	serial_write("\r\n", 2);
	output_unlock();
}

void plat_log(int level, const char *line, size_t len)
{
	console_line(line, len);
}

static struct pending *pending_of(struct domain *d)
{
	struct pending *unused = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(pending); i++) {
		if (pending[i].d == d)
			return &pending[i];
		if (!pending[i].d)
			unused = &pending[i];
	}
	if (unused) {
		unused->d = d;
		unused->n = 0;
	}
	return unused;
}

static void finish_line(struct pending *p)
{
	if (p->n)
		whole_line(p->d->name, p->text, p->n);
	p->n = 0;
}

static void write_behind(struct domain *d, const char *buf, size_t len)
{
	struct pending *p = pending_of(d);

	if (!p) { /* more domains than have a line: at least nothing is lost */
		whole_line(d->name, buf, len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (buf[i] != '\n' && buf[i] != '\r')
			p->text[p->n++] = buf[i];
		if (buf[i] == '\n' || p->n == LINE)
			finish_line(p);
	}
}

void plat_console_write(struct domain *d, const char *buf, size_t len)
{
	if (!len)
		return;
	if (!milestones.first_output)
		milestones.first_output = tsc_read();
	output_lock();
	note_output(d, buf, len);
	if (prompt_is_open() || (front && d != front)) {
		write_behind(d, buf, len);
	} else {
		serial_write(buf, len);
		mid_line = buf[len - 1] != '\n' && buf[len - 1] != '\r';
	}
	output_unlock();
}

static void forget_line(struct domain *d)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pending); i++) {
		if (pending[i].d == d) {
			finish_line(&pending[i]);
			pending[i].d = NULL;
		}
	}
}

/* The running domain after @d in the list, which is a ring with @d NULL as its head; NULL: none behind @d. */
static struct domain *next_domain(struct domain *d)
{
	for (struct list *pos = d ? d->link.next : domain_list.next; pos != &domain_list; pos = pos->next) {
		struct domain *next = list_entry(pos, struct domain, link);

		if (next->state == DOM_RUNNING || next->state == DOM_BUILDING)
			return next;
	}
	return NULL;
}

static void show(struct domain *d)
{
	output_lock();
	if (d)
		forget_line(d);
	front = d;
	output_unlock();
}

static void close_prompt(void)
{
	output_lock();
	prompt_close();
	if (front)
		forget_line(front);
	output_unlock();
}

void console_front(struct domain *d)
{
	keys_are_ours = false;
	close_prompt();
	show(d);
	xlog(LOG_ERROR, "what is typed goes to domain %s", d->name);
}

/* The domains one after another, then the hypervisor, then from the start. */
static void switch_keys(void)
{
	struct domain *next = next_domain(keys_are_ours ? NULL : front);

	presses = 0;
	if (next) {
		console_front(next);
		return;
	}
	keys_are_ours = true;
	xlog(LOG_ERROR, "what is typed goes to the hypervisor; h: help, Enter: its monitor, Ctrl-A three times: on to a "
	     "domain");
}

void console_domain_added(struct domain *d)
{
	if (!front)
		front = d;
}

void console_domain_gone(struct domain *d)
{
	struct domain *next;

	output_lock();
	forget_line(d);
	output_unlock();
	if (d != front)
		return;
	next = next_domain(d);
	front = NULL;
	if (!next)
		next = next_domain(NULL);
	if (next) {
		show(next);
		if (!keys_are_ours)
			xlog(LOG_WARN, "what is typed goes to domain %s", front->name);
	}
}

/* The first of the bytes typed that go to @front; how many were taken, which ends at a Ctrl-A. */
static size_t give(const char *buf, size_t n)
{
	static const char ctrl_a = CTRL_A;
	size_t plain = 0;

	/* Those that were held back were no switch after all. */
	for (; presses; presses--)
		if (!console_input(front, &ctrl_a, 1))
			return 0;
	while (plain < n && buf[plain] != CTRL_A)
		plain++;
	return console_input(front, buf, plain);
}

static void answer_line(void *unused, const char *text)
{
	console_line(text, xstrlen(text));
}

static void leave_prompt(void)
{
	close_prompt();
	home_end_if_alone();
	xlog(LOG_ERROR, "the monitor is closed; keys are the hypervisor's, h lists them");
}

/* Only CPU 0 reads keys, so nobody opens or closes the prompt meanwhile but the line that is obeyed. */
static void key_for_us(char c)
{
	char line[PROMPT_LINE];
	enum prompt_said said;
	bool stay;

	output_lock();
	if (!prompt_is_open() && (c == ':' || c == '\r' || c == '\n')) {
		begin_line();
		prompt_open();
		keys_are_ours = true;
		output_unlock();
		return;
	}
	if (!prompt_is_open()) {
		output_unlock();
		if (!machine_key(c, answer_line))
			answer_line(NULL, "no such key; h lists them");
		return;
	}
	said = prompt_key(c, line);
	answering = said == PROMPT_SAID;
	output_unlock();
	stay = said == PROMPT_SAID ? monitor_obey(line) : said == PROMPT_GOES_ON;
	output_lock();
	answering = false;
	if (stay)
		prompt_show();
	output_unlock();
	if (!stay)
		leave_prompt();
}

/*
 * A Ctrl-A is held back until the next key tells whether it is one of three. What does not fit into the console's
 * ring stays in the serial line's and is offered again at the next poll.
 */
static void poll_keys(void)
{
	char buf[64];
	size_t n, taken;

	while ((n = serial_peek(buf, sizeof(buf)))) {
		if (buf[0] == CTRL_A) {
			serial_take(1);
			if (++presses == 3)
				switch_keys();
		} else if (keys_are_ours || !front) {
			presses = 0;
			serial_take(1); /* first: a key may end the machine */
			key_for_us(buf[0]);
		} else {
			taken = give(buf, n);
			serial_take(taken);
			if (!taken)
				return;
		}
	}
}

void plat_poll(void)
{
	if (this_cpu()->id)
		return;
	poll_keys();
	domains_due();
}
