/* SPDX-License-Identifier: MIT */
/*
 * When must TLBs be flushed on the core's own account? A guest may leave stale translations to its
 * own frames if it likes; but before a frame becomes something else (a page table, another owner's
 * page) none that allows more than the new use may be left anywhere. A clock counts full flushes; a
 * frame remembers the time its last use ended. Only when no full flush happened since then is one
 * needed, so guests that flush (they do, all the time) make this nearly free.
 */
#include "frame.h"

static uint16_t flush_clock;

void flush_reset(void)
{
	flush_clock = 1;
}

void flush_note(struct frame *f)
{
	f->epoch = flush_clock;
}

uint64_t flush_all_cpus(void)
{
	unsigned n = plat_info()->pcpus;

	return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* A home's plat_cpu_switch() leaves no translation of the virtual CPU it switches from. */
uint64_t flush_domain_cpus(const struct domain *d)
{
	uint64_t pcpus = 0;

	for (unsigned i = 0; i < MAX_VCPUS && i < d->max_vcpus; i++)
		if (d->vcpu[i])
			pcpus |= UINT64_C(1) << (d->vcpu[i]->sched.pcpu & 63);
	return pcpus;
}

void flush_tlb(uint64_t pcpus)
{
	plat_tlb_flush(pcpus, PLAT_FLUSH_ALL, 0);
	/* 0 stands for "never used" in frames; when the clock wraps, an old frame costs a flush too
	 * many. */
	if (pcpus == flush_all_cpus() && ++flush_clock == 0)
		flush_clock = 1;
}

void flush_before_reuse(struct frame *f)
{
	if (f->epoch == flush_clock)
		flush_tlb(flush_all_cpus());
}
