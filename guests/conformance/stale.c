/* SPDX-License-Identifier: MIT */
/*
 * No stale translation is ever seen: all virtual CPUs map, remap, protect and unmap a handful of pages and turn their
 * frames into page tables, exchange them and give them back, while all of them read and write through the same
 * addresses. What each finds must be what is there now.
 *
 * Slots are addresses, frames are what is mapped there; one frame is in one slot at most, the others rest in a pool. Who
 * changes a slot holds it:
 *
 *	version odd -> entry stored, not flushed -> old frame to its rest -> flush, all CPUs -> version even
 *
 * Who reads or writes through a slot and finds the same even version before and after must have met the frame, and the
 * rights, that the slot says, or have faulted where it says nothing. So much is the guest's doing: it asks for
 * the flush. What a frame becomes while it goes to its rest is the hypervisor's: nobody may write it any more, though the
 * guest has flushed nothing yet. A frame at rest is
 *
 *	PLAIN	the guest's own; this one was flushed before. Filled with a pattern
 *	TABLE	a pinned page table; its content may not change from the moment it is pinned
 *	OUT	given back (decrease_reservation); what comes back in its place is zero
 *	NEW	exchanged for another frame, which is zero
 *
 * and whoever takes it from there looks whether it is as it was left: stores that came late show up, in this frame or in
 * whosever it is now.
 */
#include "guest.h"
#include "touch.h"

const char guest_topic[] = "stale";

#define MAX_CPUS 8u
#define SLOTS	 6u
#define FRAMES	 (SLOTS + 4u)
#define DEEDS	 150u /* of each virtual CPU */
#define LOOKS	 2000u /* between two deeds, ... */
#define FAULTS	 6u    /* ... unless so many of them fault, which costs more */
#define PAUSE	 UINT64_C(200000) /* ns: time for others to do what they should not be able to */
#define PATTERN	 UINT64_C(0x5a0)
#define NOTHING	 (-1)
#define PATIENCE UINT64_C(90000000000) /* ns; for machines that are emulated beside others */

enum rest { PLAIN, TABLE, OUT, NEW, TAKEN };

/* A word of a frame is even and small, so that all of it may lie in a page table: nothing is present, none names memory. */
static struct page {
	unsigned rest;
	char *alias; /* its page of the initial mapping */
	uint64_t sum; /* TABLE: of its words */
} frames[FRAMES];

static struct slot {
	uint32_t version, held;
	int frame;
	bool writable;
	uint64_t tag; /* the first word of the frame */
	uint64_t va, *pte;
} slots[SLOTS];

static struct worker {
	uint64_t seed;
	unsigned done, deeds[4], seen, faults;
	/* what went wrong */
	unsigned refused, stale_read, stale_write, lost, changed, not_zero;
} workers[MAX_CPUS];

static unsigned nr_cpus;
static uint64_t all_cpus;
static uint32_t next_tag;

static unsigned roll(struct worker *w, unsigned n)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(w->seed >> 33) % n;
}

/* ---- frames ---- */

static uint64_t mfn_of(const struct page *f)
{
	return virt_to_mfn(f->alias);
}

static uint64_t *words(const struct page *f)
{
	return (uint64_t *)(void *)f->alias;
}

static void must(struct worker *w, bool well)
{
	w->refused += !well;
}

static void set_alias(struct worker *w, const struct page *f, uint64_t bits, uint64_t flush)
{
	must(w, !hc_update_va_mapping((uint64_t)f->alias, bits ? mfn_of(f) * PAGE_SIZE | bits : 0, flush));
}

static bool all_are(const struct page *f, uint64_t value)
{
	for (unsigned i = 0; i < 512; i++)
		if (READ_ONCE(words(f)[i]) != value)
			return false;
	return true;
}

static uint64_t sum_of(const struct page *f)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 512; i++)
		sum = sum * 31 + READ_ONCE(words(f)[i]);
	return sum;
}

/* Somebody else's frame until a moment ago: not one word of that, and none of what comes late. */
static void see_new(struct worker *w, struct page *f)
{
	set_alias(w, f, PTE_LEAF | PTE_RW, UVMF_INVLPG | UVMF_ALL);
	w->not_zero += !all_are(f, 0);
}

static long reservation(unsigned cmd, xen_pfn_t *frame)
{
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

	r.extent_start.p = frame;
	return HC2(memory_op, cmd, &r);
}

static void give_back(struct worker *w, struct page *f)
{
	xen_pfn_t mfn = mfn_of(f);

	set_alias(w, f, 0, UVMF_NONE);
	must(w, reservation(XENMEM_decrease_reservation, &mfn) == 1);
}

static void get_back(struct worker *w, struct page *f)
{
	xen_pfn_t frame = virt_to_pfn(f->alias);

	must(w, reservation(XENMEM_populate_physmap, &frame) == 1);
	p2m[virt_to_pfn(f->alias)] = frame;
	see_new(w, f);
}

static void exchange(struct worker *w, struct page *f)
{
	xen_pfn_t in = mfn_of(f), out = virt_to_pfn(f->alias);
	struct xen_memory_exchange x = {
		.in = { .nr_extents = 1, .domid = DOMID_SELF },
		.out = { .nr_extents = 1, .domid = DOMID_SELF },
	};

	x.in.extent_start.p = &in;
	x.out.extent_start.p = &out;
	set_alias(w, f, 0, UVMF_NONE);
	must(w, !HC2(memory_op, XENMEM_exchange, &x) && x.nr_exchanged == 1);
	p2m[virt_to_pfn(f->alias)] = out;
	see_new(w, f);
}

static void make_table(struct worker *w, struct page *f)
{
	set_alias(w, f, PTE_LEAF, UVMF_NONE);
	must(w, !mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(f), 0));
	f->sum = sum_of(f);
}

static void make_page(struct worker *w, struct page *f)
{
	w->changed += sum_of(f) != f->sum;
	must(w, !mmuext(MMUEXT_UNPIN_TABLE, mfn_of(f), 0));
	set_alias(w, f, PTE_LEAF | PTE_RW, UVMF_INVLPG | UVMF_ALL);
}

/* ---- the pool ---- */

static void fill(const struct page *f)
{
	for (unsigned i = 0; i < 512; i++)
		words(f)[i] = PATTERN;
}

/* @f goes to its rest; @flushed: by the guest, since it was in its slot. */
static void lay_down(struct worker *w, struct page *f, enum rest how)
{
	switch (how) {
	case TABLE:
		make_table(w, f);
		break;
	case OUT:
		give_back(w, f);
		break;
	case NEW:
		exchange(w, f);
		/* fall through */
	default:
		fill(f);
	}
	w->deeds[how]++;
	__atomic_store_n(&f->rest, how, __ATOMIC_RELEASE);
}

/* One of those at rest, ready for use; NOTHING when there is none. */
static int take(struct worker *w)
{
	unsigned at = roll(w, FRAMES);

	for (unsigned i = 0; i < FRAMES; i++, at = (at + 1) % FRAMES) {
		struct page *f = &frames[at];
		unsigned how = __atomic_exchange_n(&f->rest, TAKEN, __ATOMIC_ACQUIRE);

		if (how == TAKEN)
			continue;
		if (how == OUT)
			get_back(w, f);
		else if (how == TABLE)
			make_page(w, f);
		else
			w->changed += !all_are(f, PATTERN);
		return (int)at;
	}
	return NOTHING;
}

/* ---- slots ---- */

static void flush_everywhere(struct worker *w, const struct slot *s)
{
	static const unsigned cmds[] = { MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL, MMUEXT_TLB_FLUSH_MULTI,
					 MMUEXT_INVLPG_MULTI };
	struct mmuext_op op = { .cmd = cmds[roll(w, ARRAY_SIZE(cmds))] };

	op.arg1.linear_addr = s->va;
	op.arg2.vcpumask.p = (void *)&all_cpus;
	must(w, !HC4(mmuext_op, &op, 1, 0, DOMID_SELF));
}

static void store_entry(struct worker *w, const struct slot *s, uint64_t entry)
{
	if (roll(w, 2))
		must(w, !pte_set(s->pte, entry));
	else
		must(w, !hc_update_va_mapping(s->va, entry, UVMF_NONE));
}

static void change(struct worker *w, struct slot *s)
{
	enum rest how = (enum rest)roll(w, 4);
	int old = s->frame, new = roll(w, 4) ? take(w) : NOTHING;
	uint64_t entry = 0;

	__atomic_add_fetch(&s->version, 1, __ATOMIC_SEQ_CST);
	s->frame = new;
	s->writable = roll(w, 3);
	if (new != NOTHING) {
		struct page *f = &frames[new];

		s->tag = __atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED) % 0x700 * 2;
		words(f)[0] = s->tag;
		entry = mfn_of(f) * PAGE_SIZE | PTE_LEAF | (s->writable ? PTE_RW : 0);
	}
	store_entry(w, s, entry);
	if (how == PLAIN)
		flush_everywhere(w, s);
	if (old != NOTHING)
		lay_down(w, &frames[old], how);
	if (how != PLAIN) {
		delay(PAUSE);
		flush_everywhere(w, s);
	}
	__atomic_add_fetch(&s->version, 1, __ATOMIC_SEQ_CST);
}

/* The same slot, other rights. */
static void protect_slot(struct worker *w, struct slot *s)
{
	if (s->frame == NOTHING)
		return;
	__atomic_add_fetch(&s->version, 1, __ATOMIC_SEQ_CST);
	s->writable = !s->writable;
	store_entry(w, s, mfn_of(&frames[s->frame]) * PAGE_SIZE | PTE_LEAF | (s->writable ? PTE_RW : 0));
	flush_everywhere(w, s);
	__atomic_add_fetch(&s->version, 1, __ATOMIC_SEQ_CST);
}

static void look(struct worker *w, unsigned cpu, const struct slot *s)
{
	uint32_t version = __atomic_load_n(&s->version, __ATOMIC_SEQ_CST);
	bool mapped = READ_ONCE(s->frame) != NOTHING, writable = mapped && READ_ONCE(s->writable), faulted;
	uint64_t tag = READ_ONCE(s->tag), value = 0, mine = roll(w, 0x700) * 2, word = s->va + 8 * (1 + cpu);
	bool writes = roll(w, 2);

	faulted = writes ? touch_store(word, mine) : touch_load(s->va, &value);
	if (writes && !faulted)
		touch_load(word, &value);
	if ((version & 1) || __atomic_load_n(&s->version, __ATOMIC_SEQ_CST) != version)
		return;
	if (faulted) {
		w->faults++;
		w->lost += writes ? writable : mapped;
		return;
	}
	w->seen++;
	if (writes)
		w->stale_write += !writable || value != mine;
	else
		w->stale_read += !mapped || value != tag;
}

static void look_around(struct worker *w, unsigned cpu)
{
	unsigned before = w->faults;

	for (unsigned i = 0; i < LOOKS && w->faults - before < FAULTS; i++)
		look(w, cpu, &slots[roll(w, SLOTS)]);
}

static void work(unsigned cpu)
{
	struct worker *w = &workers[cpu];

	w->seed = rdtsc() + cpu;
	for (unsigned i = 0; i < DEEDS; i++) {
		struct slot *s = &slots[roll(w, SLOTS)];

		look_around(w, cpu);
		if (__atomic_exchange_n(&s->held, 1, __ATOMIC_ACQUIRE))
			continue;
		if (roll(w, 4))
			change(w, s);
		else
			protect_slot(w, s);
		__atomic_store_n(&s->held, 0, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
}

static void secondary(unsigned cpu)
{
	touch_init();
	work(cpu);
	for (;;)
		HC3(vcpu_op, VCPUOP_down, cpu, 0);
}

static bool all_done(void)
{
	uint64_t end = system_time() + PATIENCE;

	for (unsigned i = 0; i < nr_cpus; i++)
		while (!__atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE)) {
			if (system_time() > end)
				return false;
			HC2(sched_op, SCHEDOP_yield, 0);
		}
	return true;
}

static void prepare(void)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		frames[i].alias = page_alloc();
		frames[i].rest = PLAIN;
		fill(&frames[i]);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].va = va_reserve(1);
		slots[i].pte = pte_of(slots[i].va, 1);
		slots[i].frame = NOTHING;
	}
	all_cpus = (UINT64_C(1) << nr_cpus) - 1;
	for (unsigned i = 1; i < nr_cpus; i++)
		if (vcpu_prepare(i, secondary))
			panic("virtual CPU %u cannot be made", i);
}

static void judge(void)
{
	static const char *const rests[] = { "plain", "page tables", "given back", "exchanged" };
	struct worker sum = { 0 };

	for (unsigned i = 0; i < nr_cpus; i++) {
		const struct worker *w = &workers[i];

		for (unsigned r = 0; r < 4; r++)
			sum.deeds[r] += w->deeds[r];
		sum.seen += w->seen;
		sum.faults += w->faults;
		sum.refused += w->refused;
		sum.stale_read += w->stale_read;
		sum.stale_write += w->stale_write;
		sum.lost += w->lost;
		sum.changed += w->changed;
		sum.not_zero += w->not_zero;
	}
	for (unsigned r = 0; r < 4; r++)
		check(sum.deeds[r] > 0, rests[r], "no frame was");
	check(sum.seen && sum.faults, "pages are met, and missed", "%u met, %u missed", sum.seen, sum.faults);
	check_eq("no hypercall is refused", sum.refused, 0);
	check_eq("nobody reads what was mapped before", sum.stale_read, 0);
	check_eq("nobody writes where it was mapped before", sum.stale_write, 0);
	check_eq("nobody misses what is mapped", sum.lost, 0);
	check_eq("frames at rest, page tables among them, stay as they are", sum.changed, 0);
	check_eq("frames from the hypervisor are zero", sum.not_zero, 0);
}

void guest_main(void)
{
	nr_cpus = vcpu_possible();
	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	prepare();
	upcalls_off();
	touch_init();
	for (unsigned i = 1; i < nr_cpus; i++)
		if (HC3(vcpu_op, VCPUOP_up, i, 0))
			panic("virtual CPU %u does not come up", i);
	work(0);
	check(all_done(), "all virtual CPUs do their work", "they do not");
	judge();
}
