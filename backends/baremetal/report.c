/* SPDX-License-Identifier: MIT */
/* What `xenopus run --stats` prints in the hosted home, for a machine started with the word "stats". */
#include <xenopus/mm.h>
#include <xenopus/stats.h>
#include "metal.h"

bool stats_wanted;
struct milestones milestones;

static void print_line(void *unused, const char *text)
{
	if (!channel_line("", text, xstrlen(text)))
		xlog(LOG_ERROR, "%s", text);
}

static void print_time(const char *what, uint64_t tsc)
{
	uint64_t tenths = tsc / (metal_info.tsc_khz / 10);
	char text[96];

	if (!tsc)
		return;
	xsnprintf(text, sizeof(text), "power-on to %s: %llu.%llu ms", what, (unsigned long long)(tenths / 10),
		  (unsigned long long)(tenths % 10));
	print_line(NULL, text);
}

void report_domain(const struct domain *d)
{
	if (!stats_wanted)
		return;
	print_line(NULL, "");
	stats_print(d, print_line, NULL);
}

void report_machine(void)
{
	char text[64];

	if (!stats_wanted)
		return;
	print_time("first guest instruction", milestones.first_instruction);
	print_time("first console output", milestones.first_output);
	print_time("end", tsc_read());
	xsnprintf(text, sizeof(text), "frame table audit: %u violations", mm_audit());
	print_line(NULL, text);
}
