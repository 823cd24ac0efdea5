/* SPDX-License-Identifier: MIT */
/*
 * What is told of a domain that crashed: the registers of its virtual CPUs, and the last lines of its console. They go
 * into the log, so `dmesg` has them when they have long left the screen. What a guest wrote is shown without control
 * characters there.
 */
#include <xenopus/arch.h>
#include "console.h"
#include "metal.h"

#define LINES 8u

/* The last bytes a domain wrote: a ring, of which @n have been written so far. */
struct tail {
	uint64_t n;
	char text[1024];
};

/* Without memory for it, there will be no last lines. */
void note_added(struct domain *d)
{
	d->plat = heap_alloc(sizeof(struct tail));
}

void note_gone(struct domain *d)
{
	heap_free(d->plat);
	d->plat = NULL;
}

/* Under console.c's lock. */
void note_output(struct domain *d, const char *buf, size_t len)
{
	struct tail *t = d->plat;

	for (size_t i = 0; t && i < len; i++)
		t->text[t->n++ % sizeof(t->text)] = buf[i];
}

static char at(const struct tail *t, uint64_t i)
{
	return t->text[i % sizeof(t->text)];
}

/* Where the last @LINES lines begin, or all that is still there. */
static uint64_t first_line(const struct tail *t)
{
	uint64_t oldest = t->n > sizeof(t->text) ? t->n - sizeof(t->text) : 0;
	unsigned ends = 0;

	for (uint64_t i = t->n; i-- > oldest;)
		if (at(t, i) == '\n' && i + 1 != t->n && ++ends == LINES)
			return i + 1;
	return oldest;
}

static void log_line(void *unused, const char *text)
{
	xlog(LOG_INFO, "%s", text);
}

void note_crash(struct domain *d)
{
	const struct tail *t = d->plat;
	char line[128];
	unsigned n = 0;

	xlog(LOG_INFO, "domain %s (%u) crashed; its registers:", d->name, d->id);
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->initialised)
			arch_print_vcpu(d->vcpu[i], log_line, NULL);
	if (!t || !t->n)
		return;
	xlog(LOG_INFO, "last lines of its console:");
	for (uint64_t i = first_line(t); i < t->n; i++) {
		char c = at(t, i);

		if (c == '\r')
			continue;
		if (c != '\n')
			line[n++] = c >= ' ' && c < 0x7f ? c : '?';
		if (n && (c == '\n' || n == sizeof(line) - 1 || i + 1 == t->n)) {
			line[n] = '\0';
			xlog(LOG_INFO, "| %s", line);
			n = 0;
		}
	}
}
