/* SPDX-License-Identifier: MIT */
/* Exits of the hosted home by cause, for --stats. */
#include "machine.h"

static const char *const names[EXIT_KINDS] = {
	[EXIT_SYSCALL] = "syscall", [EXIT_ATTENDED] = "answered, but had to leave", [EXIT_EXCEPTION] = "exception", [EXIT_SOFT_INT] = "int n",
	[EXIT_SIGNAL] = "signal (timer, kick)", [EXIT_STORES] = "through a store stub",
	[EXIT_RERUN] = "run again after a signal", [EXIT_OTHER] = "other",
};

void kvm_stats_print(void (*line)(void *opaque, const char *text), void *opaque)
{
	uint64_t total = 0, ns = 0, answers = 0;
	char buf[128];

	for (unsigned c = 0; c < machine.nr_pcpus; c++) {
		for (unsigned i = 0; i < EXIT_KINDS; i++)
			if (i != EXIT_STORES)
				total += machine.pcpu[c].exits[i];
		ns += machine.pcpu[c].run_ns;
	}
	g_snprintf(buf, sizeof(buf), "exits from KVM_RUN: %" G_GUINT64_FORMAT ", %.3f s inside it", total,
		   (double)ns / 1e9);
	line(opaque, buf);
	for (unsigned c = 0; c < machine.nr_pcpus; c++)
		answers += door_answers(&machine.pcpu[c]);
	g_snprintf(buf, sizeof(buf), "hypercalls answered at the door: %" G_GUINT64_FORMAT, answers);
	line(opaque, buf);
	for (unsigned i = 0; i < EXIT_KINDS; i++) {
		uint64_t n = 0;

		for (unsigned c = 0; c < machine.nr_pcpus; c++)
			n += machine.pcpu[c].exits[i];
		g_snprintf(buf, sizeof(buf), "  %-28s %10" G_GUINT64_FORMAT, names[i], n);
		line(opaque, buf);
	}
}
