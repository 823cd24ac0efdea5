/* SPDX-License-Identifier: MIT */
/*
 * When must TLBs be flushed on the core's own account? A guest may leave stale translations to its
 * own frames if it likes; but before a frame becomes something else (a page table, another owner's
 * page) none that allows more than the new use may be left anywhere.
 *
 * A clock counts full flushes as they begin; a physical CPU remembers the time of its last one, a frame
 * the time its last use ended. A flush that began after that has done what is needed, so guests that flush
 * (they do, all the time) make this nearly free:
 *
 *	use ends (epoch = 7)  ->  flush of CPU 0 begins (clock 8), ends (CPU 0: 8)  ->  8 > 7: reuse needs none on CPU 0
 *
 * Times are 16 bits and compared by their distance. A CPU that does not flush for long is made to before
 * the distance grows ambiguous; a frame's time may be older than that, and then costs a flush too many.
 *
 * A flush ends when no CPU concerned can be in a guest, or copying to or from one, with what was (cpu.h).
 */
#include "frame.h"

#define CLOCK_STEP 0x2000u /* so many flushes make everybody flush */

static uint16_t flush_clock;
static uint16_t flushed[MAX_PCPUS];

void flush_reset(void)
{
	unsigned i;

	flush_clock = 1;
	for (i = 0; i < MAX_PCPUS; i++)
		flushed[i] = 1;
}

void flush_note(struct frame *f)
{
	f->epoch = __atomic_load_n(&flush_clock, __ATOMIC_SEQ_CST);
}

/* The home's plat_cpu_switch() leaves no translation of the virtual CPU it switches from. */
void mm_domain_on_cpu(struct domain *d)
{
	__atomic_fetch_or(&d->mm.cpus, cpu_bit(plat_cpu_id()), __ATOMIC_SEQ_CST);
}

void mm_domain_off_cpu(struct domain *d)
{
	__atomic_fetch_and(&d->mm.cpus, ~cpu_bit(plat_cpu_id()), __ATOMIC_SEQ_CST);
}

uint64_t flush_domain_cpus(const struct domain *d)
{
	return __atomic_load_n(&d->mm.cpus, __ATOMIC_SEQ_CST);
}

/* Another may have flushed @pcpu meanwhile, later than we did. */
static void note_flushed(unsigned pcpu, uint16_t when)
{
	uint16_t was = __atomic_load_n(&flushed[pcpu], __ATOMIC_RELAXED);

	while ((int16_t)(when - was) > 0 &&
	       !__atomic_compare_exchange_n(&flushed[pcpu], &was, when, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED))
		;
}

void flush_tlb(uint64_t pcpus)
{
	uint16_t now = __atomic_add_fetch(&flush_clock, 1, __ATOMIC_SEQ_CST);

	if (now % CLOCK_STEP == 0)
		pcpus = cpu_all();
	plat_tlb_flush(pcpus, PLAT_FLUSH_ALL, 0);
	cpu_quiesce(pcpus);
	for (; pcpus; pcpus &= pcpus - 1)
		note_flushed((unsigned)__builtin_ctzll(pcpus), now);
}

void flush_page(uint64_t pcpus, uint64_t va)
{
	plat_tlb_flush(pcpus, PLAT_FLUSH_VA, va);
	cpu_quiesce(pcpus);
}

void flush_before_reuse(struct frame *f, uint64_t pcpus)
{
	uint64_t behind = 0;

	for (; pcpus; pcpus &= pcpus - 1) {
		unsigned i = (unsigned)__builtin_ctzll(pcpus);

		if ((int16_t)(__atomic_load_n(&flushed[i], __ATOMIC_SEQ_CST) - f->epoch) <= 0)
			behind |= cpu_bit(i);
	}
	if (behind)
		flush_tlb(behind);
}
