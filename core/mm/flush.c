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
 * Every domain has such a clock, for what its own frames become; domains that flush do not meet in memory. For
 * frames that leave their domain there is one of the machine: they are marked FF_STALE, and whoever gets the
 * first of them pays for the flush that does for all, of those CPUs only that had the domain: a guest that gives
 * and takes all the time shall not stop the others each time. A flush of all CPUs counts for both.
 *
 * Times are 16 bits and compared by their distance. A CPU that does not flush for long is made to before
 * the distance grows ambiguous; a frame's time may be older than that, and then costs a flush too many.
 *
 * A flush ends when no CPU concerned can be in a guest, or copying to or from one, with what was (cpu.h).
 */
#include "frame.h"

#define CLOCK_STEP 0x2000u /* so many flushes make everybody flush */

static struct flush_times machine_times;

void flush_reset(void)
{
	memset(&machine_times, 0, sizeof(machine_times));
}

static uint16_t time_of(const struct flush_times *t)
{
	return __atomic_load_n(&t->clock, __ATOMIC_SEQ_CST);
}

void flush_note(struct frame *f)
{
	if (f->owner)
		f->epoch = time_of(&f->owner->mm.flushes);
}

void flush_freed(struct frame *f, const struct domain *d)
{
	if (d && !flush_domain_cpus(d))
		return;
	f->flags |= FF_STALE;
	f->epoch = time_of(&machine_times);
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
static void note_flushed(struct flush_times *t, unsigned pcpu, uint16_t when)
{
	uint16_t was = __atomic_load_n(&t->flushed[pcpu], __ATOMIC_RELAXED);

	while ((int16_t)(when - was) > 0 &&
	       !__atomic_compare_exchange_n(&t->flushed[pcpu], &was, when, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED))
		;
}

static uint16_t tick(struct flush_times *t)
{
	return __atomic_add_fetch(&t->clock, 1, __ATOMIC_SEQ_CST);
}

static void note_all(struct flush_times *t, uint64_t pcpus, uint16_t when)
{
	for (; pcpus; pcpus &= pcpus - 1)
		note_flushed(t, (unsigned)__builtin_ctzll(pcpus), when);
}

void flush_tlb(struct domain *d, uint64_t pcpus)
{
	uint16_t now = d ? tick(&d->mm.flushes) : 0, machine_now = 0;
	bool everybody;

	if (d && now % CLOCK_STEP == 0)
		pcpus = cpu_all();
	everybody = !d || pcpus == cpu_all();
	if (everybody)
		machine_now = tick(&machine_times);
	if (everybody && machine_now % CLOCK_STEP == 0)
		pcpus = cpu_all();
	plat_tlb_flush(pcpus, PLAT_FLUSH_ALL, 0);
	cpu_quiesce(pcpus);
	if (d)
		note_all(&d->mm.flushes, pcpus, now);
	if (everybody)
		note_all(&machine_times, pcpus, machine_now);
}

void flush_page(uint64_t pcpus, uint64_t va)
{
	plat_tlb_flush(pcpus, PLAT_FLUSH_VA, va);
	cpu_quiesce(pcpus);
}

/* Those of @pcpus that have not flushed since @when. */
static uint64_t behind(const struct flush_times *t, uint64_t pcpus, uint16_t when)
{
	uint64_t late = 0;

	for (; pcpus; pcpus &= pcpus - 1) {
		unsigned i = (unsigned)__builtin_ctzll(pcpus);

		if ((int16_t)(__atomic_load_n(&t->flushed[i], __ATOMIC_SEQ_CST) - when) <= 0)
			late |= cpu_bit(i);
	}
	return late;
}

void flush_before_reuse(struct frame *f)
{
	struct domain *d = f->owner;
	uint64_t pcpus;

	/* Not of any type since it came from the allocator, so at most readable. */
	if (f->type == FT_NONE)
		return;
	pcpus = behind(&d->mm.flushes, flush_domain_cpus(d), f->epoch);
	if (pcpus)
		flush_tlb(d, pcpus);
}

void flush_before_new_owner(struct frame *f)
{
	uint64_t pcpus;

	pcpus = f->held | (uint64_t)f->held_type << 32;
	f->held = f->held_type = 0;
	if (!(f->flags & FF_STALE))
		return;
	pcpus = behind(&machine_times, pcpus, f->epoch);
	if (pcpus)
		flush_tlb(NULL, pcpus);
	f->flags &= (uint8_t)~FF_STALE;
}
