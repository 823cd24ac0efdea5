/* SPDX-License-Identifier: MIT */
/*
 * The audit: recompute from scratch what every count must be and compare. It believes only the page
 * tables in use, the pins, the virtual CPUs' base pointers and descriptor tables, and what other
 * subsystems said they hold; so it finds references lost or kept too long, and every broken rule
 * about what may be mapped how.
 *
 * It goes through the machine in windows, as large as the heap has room for counters.
 */
#include "frame.h"

struct expect {
	uint32_t count, type_count;
};

struct audit {
	uint64_t first, end; /* window of frames counted now */
	struct expect *expect;
	unsigned violations;
};

__attribute__((format(printf, 3, 4))) static void bad(struct audit *a, uint64_t n, const char *fmt,
						      ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (a->violations++ < 32)
		xlog(LOG_ERROR,
		     "audit: frame %#llx (kind %u, type %u, count %u, types %u, flags %#x): %s",
		     (unsigned long long)n, frame_at(n)->kind, frame_at(n)->type,
		     frame_at(n)->count, frame_at(n)->type_count, frame_at(n)->flags, text);
}

static void expect(struct audit *a, uint64_t n, unsigned count, unsigned type_count)
{
	if (n >= a->first && n < a->end) {
		a->expect[n - a->first].count += count;
		a->expect[n - a->first].type_count += type_count;
	}
}

/* One present entry of a table: what it refers to, and whether it may. */
static void count_entry(struct audit *a, struct frame *t, uint64_t e, bool check)
{
	uint64_t n = pte_mfn(e).n, at = frame_mfn(t).n;
	unsigned level = t->type;
	struct frame *f = frame_of(MFN(n));

	if (!f) {
		bad(a, at, "an entry names %#llx, beyond the machine", (unsigned long long)n);
		return;
	}
	if (level == 4 && f == t) {
		if (e & PTE_RW)
			bad(a, at, "maps itself writable");
		expect(a, n, 1, 0);
		return;
	}
	expect(a, n, 1, level > 1 || (e & PTE_RW));
	if (!check)
		return;
	if (!(e & PTE_US))
		bad(a, at, "entry %#llx without the user bit", (unsigned long long)e);
	if (f->kind != FK_DOMAIN && f->kind != FK_SHARED)
		bad(a, at, "entry %#llx names a frame of kind %u", (unsigned long long)e, f->kind);
	else if (f->owner != t->owner)
		bad(a, at, "entry %#llx names a frame of another", (unsigned long long)e);
	if (level > 1 ? f->type != level - 1 : (e & PTE_RW) && f->type != FT_WRITABLE)
		bad(a, at, "entry %#llx names a frame of type %u", (unsigned long long)e, f->type);
}

static void check_reserved(struct audit *a, struct frame *t, unsigned slot, uint64_t e)
{
	bool hidden = !e && slot <= L4_M2P && m2p_strict(t->owner);

	if (!hidden && ((e ^ m2p_slot(t->owner, slot)) & ~(PTE_A | PTE_D)))
		bad(a, frame_mfn(t).n, "reserved slot %u is %#llx", slot, (unsigned long long)e);
}

static void count_table(struct audit *a, struct frame *t, bool check)
{
	const uint64_t *table = frame_ptr(t);
	unsigned upto = t->flags & FF_PARTIAL ? t->nr_done : 512;

	for (unsigned i = 0; i < upto; i++) {
		if (!slot_reserved(t->type, i)) {
			if (table[i] & PTE_P)
				count_entry(a, t, table[i], check);
		} else if (check && !(t->flags & FF_PARTIAL)) {
			check_reserved(a, t, i, table[i]);
		}
	}
}

static void count_base(struct audit *a, uint64_t mfn)
{
	if (mfn)
		expect(a, mfn, 1, 1);
}

static void count_vcpu(struct audit *a, const struct vcpu *v)
{
	count_base(a, v->gate.cr3_kernel >> PAGE_SHIFT);
	count_base(a, v->gate.cr3_user >> PAGE_SHIFT);
	for (unsigned i = 0; i < (v->arch.gdt_entries + 511) / 512; i++)
		count_base(a, v->arch.gdt_frames[i].n);
	for (unsigned i = 0; i < ARRAY_SIZE(v->arch.ldt_frames); i++)
		count_base(a, v->arch.ldt_frames[i].n);
}

/* All uses anywhere that fall into the window. */
static void count_uses(struct audit *a, bool check)
{
	struct list *l;

	for (uint64_t n = 1; n < nr_frames; n++) {
		struct frame *f = frame_at(n);

		if (frame_live_table(f) || (f->flags & FF_PARTIAL))
			count_table(a, f, check);
	}
	list_for_each (l, &domain_list) {
		struct domain *d = list_entry(l, struct domain, link);

		for (unsigned i = 0; i < MAX_VCPUS; i++)
			if (d->vcpu[i])
				count_vcpu(a, d->vcpu[i]);
	}
}

/* The rules one frame must keep by itself. */
static void check_state(struct audit *a, uint64_t n)
{
	const struct frame *f = frame_at(n);
	bool table = f->type >= FT_L1 && f->type <= FT_L4;

	if (f->kind == FK_FREE || f->kind == FK_RESERVED) {
		if (f->count || f->type_count || (f->flags & ~(FF_DIRTY | FF_STALE)) || f->owner)
			bad(a, n, "in use though free or reserved");
		return;
	}
	if (f->type_count > f->count)
		bad(a, n, "more type references than references");
	if (f->count == 0)
		bad(a, n, "no reference, not free");
	if ((f->kind == FK_DOMAIN || f->kind == FK_SHARED) != (f->owner != NULL))
		bad(a, n, "owner and kind disagree");
	if ((f->flags & FF_VALIDATED) && (!f->type_count || f->type == FT_WRITABLE))
		bad(a, n, "validated without type reference");
	if (f->type_count && (table || f->type == FT_SEGDESC) && !(f->flags & FF_VALIDATED))
		bad(a, n, "type in use but not validated");
	if ((f->flags & FF_PARTIAL) && (f->type_count || !table || f->nr_done > 512))
		bad(a, n, "partly validated and in use");
	if ((f->flags & FF_PINNED) && !(f->type_count && table))
		bad(a, n, "pinned, no page table");
	if (f->flags & FF_BUSY)
		bad(a, n, "validation never ended");
}

static bool all_zero(const uint64_t *page)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < 512; i++)
		any |= page[i];
	return !any;
}

static void compare(struct audit *a, uint64_t n)
{
	const struct frame *f = frame_at(n);
	struct expect e = a->expect[n - a->first];

	if (f->kind == FK_RESERVED)
		return;
	if (f->kind == FK_FREE) {
		if (!(f->flags & FF_DIRTY) && !all_zero(plat_frame_ptr(MFN(n))))
			bad(a, n, "free, neither zero nor to be scrubbed");
		return;
	}
	e.count += f->held + !!(f->flags & FF_ALLOC) + !!(f->flags & FF_PINNED) +
		   !!(f->flags & FF_PARTIAL) + (f->kind == FK_HEAP || f->kind == FK_SHARED);
	e.type_count += f->held_type + !!(f->flags & FF_PINNED) + (f->kind == FK_SHARED);
	if (e.count != f->count)
		bad(a, n, "%u references found", e.count);
	if (e.type_count != f->type_count)
		bad(a, n, "%u type references found", e.type_count);
}

/* Each domain's list has its frames, each once, and their number is its reservation. */
static void check_lists(struct audit *a)
{
	uint64_t listed = 0, owned = 0;
	struct list *l;

	list_for_each (l, &domain_list) {
		struct domain *d = list_entry(l, struct domain, link);
		uint64_t pages = 0;

		a->violations += guest_paths_audit(d);
		for (uint32_t n = d->mm.first_frame; n && listed <= nr_frames;
		     n = frame_at(n)->next) {
			listed++;
			pages += frame_at(n)->kind == FK_DOMAIN;
			if (frame_at(n)->owner != d)
				bad(a, n, "in the list of d%u", d->id);
		}
		if (pages != d->mm.tot_pages)
			bad(a, d->mm.first_frame, "d%u has %llu frames, not %llu", d->id,
			    (unsigned long long)pages, (unsigned long long)d->mm.tot_pages);
	}
	for (uint64_t n = 1; n < nr_frames; n++)
		owned += frame_at(n)->owner != NULL;
	if (owned != listed)
		bad(a, 0, "%llu frames owned, %llu in lists", (unsigned long long)owned,
		    (unsigned long long)listed);
}

/* Counters for as many frames as fit into one piece of heap; returns the pages taken. */
static unsigned alloc_window(struct audit *a)
{
	uint64_t pages = (nr_frames * sizeof(*a->expect) + PAGE_SIZE - 1) >> PAGE_SHIFT;

	for (; pages; pages /= 2) {
		a->expect = heap_alloc_pages((unsigned)pages);
		if (a->expect)
			break;
	}
	return (unsigned)pages;
}

static unsigned audit(void)
{
	struct audit a = {.violations = 0};
	unsigned pages = alloc_window(&a);
	uint64_t per_window = pages * PAGE_SIZE / sizeof(*a.expect);

	if (!pages) {
		xlog(LOG_ERROR, "audit: not one free page for its counters");
		return 1;
	}
	check_lists(&a);
	for (a.first = 0; a.first < nr_frames; a.first = a.end) {
		a.end = min_t(uint64_t, a.first + per_window, nr_frames);
		memset(a.expect, 0, pages * PAGE_SIZE);
		count_uses(&a, a.first == 0);
		for (uint64_t n = a.first ? a.first : 1; n < a.end; n++) {
			check_state(&a, n);
			compare(&a, n);
		}
	}
	heap_free_pages(a.expect, pages);
	return a.violations;
}

unsigned mm_audit_every;

void mm_audit_tick(void)
{
	static unsigned calls;
	unsigned every = mm_audit_every, bad;

	if (!every || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % every)
		return;
	bad = mm_audit();
	if (bad) {
		xlog(LOG_ERROR, "frame table audit: %u violations", bad);
		plat_panic("the frame table is wrong");
	}
}

unsigned mm_audit(void)
{
	unsigned violations;

	cpu_stop_others();
	violations = audit();
	cpu_resume_others();
	return violations;
}
