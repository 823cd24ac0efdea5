/* SPDX-License-Identifier: MIT */
/*
 * Types of frames: taken, validated, given up (frame.h has the picture). A validation that fails
 * leaves the frame as it found it, but for user bits added to entries it looked at.
 *
 * The recursion follows the table levels, so it is at most four deep. FF_BUSY marks the tables on
 * this stack: a table that is met again below itself, which a guest can construct, is refused
 * instead of torn down under our feet.
 */
#include "xenopus/hypercall.h"
#include "frame.h"

static void queue_remove(struct frame *f)
{
	struct domain_mm *mm = &f->owner->mm;

	for (unsigned i = 0; i < mm->nr_down; i++) {
		if (mm->down[i] == frame_mfn(f).n) {
			mm->down[i] = mm->down[mm->nr_down - 1];
			WRITE_ONCE(mm->nr_down, mm->nr_down - 1);
			break;
		}
	}
	f->flags &= (uint8_t)~FF_QUEUED;
}

/* The partial state ends; drop the reference it held. */
static void partial_end(struct frame *f)
{
	if (f->flags & FF_QUEUED)
		queue_remove(f);
	f->flags &= (uint8_t)~FF_PARTIAL;
	put_ref(f);
}

static void clear_reserved(struct frame *f)
{
	uint64_t *table = frame_ptr(f);

	memset(&table[L4_FIRST_RESERVED], 0,
	       (L4_LAST_RESERVED - L4_FIRST_RESERVED + 1) * sizeof(*table));
	plat_frame_dirty(frame_mfn(f));
}

/* The index of the first entry from @i on with one of the bits @mask, 512: none. Most tables are nearly empty. */
static unsigned next_entry(const uint64_t *table, unsigned level, unsigned i, uint64_t mask)
{
	for (; i < 512; i++) {
		while (i % 4 == 0 && i < 512 && !((table[i] | table[i + 1] | table[i + 2] | table[i + 3]) & mask))
			i += 4;
		if (i < 512 && (table[i] & mask) && !slot_reserved(level, i))
			break;
	}
	return i < 512 ? i : 512;
}

/* The same downwards: the number of entries up to and with the last one below @n that holds references, 0: none. */
static unsigned last_present(const uint64_t *table, unsigned level, unsigned n)
{
	for (; n; n--) {
		while (n % 4 == 0 && n && !((table[n - 1] | table[n - 2] | table[n - 3] | table[n - 4]) & PTE_P))
			n -= 4;
		if (n && (table[n - 1] & PTE_P) && !slot_reserved(level, n - 1))
			break;
		if (!n)
			break;
	}
	return n;
}

int type_abandon(struct frame *f, bool preemptible)
{
	const uint64_t *table = frame_ptr(f);
	struct domain *d = f->owner;
	unsigned level = f->type;

	ASSERT((f->flags & FF_PARTIAL) && !(f->flags & FF_BUSY));
	f->flags |= FF_BUSY;
	while ((f->nr_done = (uint16_t)last_present(table, level, f->nr_done))) {
		unsigned i = --f->nr_done;

		entry_put(d, f, level, table[i], preemptible);
		if (preemptible && level > 1 && f->nr_done && hypercall_preempt()) {
			f->flags &= (uint8_t)~FF_BUSY;
			return -XEN_ERESTART;
		}
	}
	f->flags &= (uint8_t)~FF_BUSY;
	partial_end(f);
	return 0;
}

/* Give up a PARTIAL frame now, as far as preemption allows; the rest is queued. */
static void abandon_or_queue(struct frame *f, bool preemptible)
{
	struct domain_mm *mm = &f->owner->mm;

	if (type_abandon(f, preemptible && mm->nr_down < MM_DOWN_MAX) == 0 ||
	    (f->flags & FF_QUEUED))
		return;
	if (mm->nr_down == MM_DOWN_MAX) { /* tables below this one took the last places */
		type_abandon(f, false);
		return;
	}
	mm->down[mm->nr_down] = (uint32_t)frame_mfn(f).n;
	WRITE_ONCE(mm->nr_down, mm->nr_down + 1);
	f->flags |= FF_QUEUED;
}

int mm_drain(struct domain *d)
{
	int rc;

	if (!READ_ONCE(d->mm.nr_down))
		return 0;
	mm_lock(d);
	rc = type_drain(d, true);
	mm_unlock(d);
	return rc;
}

int type_drain(struct domain *d, bool preemptible)
{
	while (d->mm.nr_down) {
		int rc = type_abandon(frame_at(d->mm.down[d->mm.nr_down - 1]), preemptible);

		if (rc)
			return rc;
	}
	return 0;
}

static void fill_reserved(struct frame *f)
{
	uint64_t *table = frame_ptr(f);

	for (unsigned i = L4_FIRST_RESERVED; i <= L4_LAST_RESERVED; i++)
		table[i] = m2p_slot(f->owner, i);
	plat_frame_dirty(frame_mfn(f));
}

static void validation_done(struct frame *f)
{
	if (f->type == FT_L4)
		fill_reserved(f);
	f->flags |= FF_VALIDATED;
	f->type_count = 1;
	plat_pt_enter(frame_mfn(f), f->type);
	partial_end(f);
}

/* Take the references of the entries from nr_done on. */
static int validate_table(struct frame *f, bool preemptible)
{
	uint64_t *table = frame_ptr(f), mask = l1tf_frames ? ~UINT64_C(0) : PTE_P;
	unsigned level = f->type;
	bool changed = false;
	int rc = 0;

	f->flags |= FF_BUSY;
	while (!rc && (f->nr_done = (uint16_t)next_entry(table, level, f->nr_done, mask)) < 512) {
		unsigned i = f->nr_done;
		uint64_t e = table[i];

		if (!(e & PTE_P) && entry_absent_ok(e)) {
			f->nr_done++;
			continue;
		}
		if (!(e & PTE_P)) {
			dlog(f->owner, LOG_DEBUG, "L%u entry %#llx is not present but names memory", level,
			     (unsigned long long)e);
			rc = -XEN_EINVAL;
			break;
		}

		rc = entry_get(f->owner, f, level, &e, preemptible);
		if (rc)
			break;
		if (table[i] != e) {
			table[i] = e;
			changed = true;
		}
		f->nr_done++;
		if (preemptible && level > 1 && f->nr_done < 512 && hypercall_preempt())
			rc = -XEN_ERESTART;
	}
	f->flags &= (uint8_t)~FF_BUSY;
	if (changed)
		plat_frame_dirty(frame_mfn(f));
	if (!rc)
		validation_done(f);
	else if (rc != -XEN_ERESTART)
		abandon_or_queue(f, preemptible);
	return rc;
}

static int get_first(struct frame *f, enum frame_type type, bool preemptible)
{
	if (f->type != type) {
		flush_before_reuse(f);
		WRITE_ONCE(f->type, (uint8_t)type);
	}
	if (type == FT_WRITABLE) {
		f->type_count = 1;
		return 0;
	}
	/* Pages the core itself writes to are never tables: it holds their first type reference. */
	ASSERT(f->kind == FK_DOMAIN);
	if (type == FT_SEGDESC) {
		if (!segdesc_page_ok(f))
			return -XEN_EINVAL;
		f->type_count = 1;
		f->flags |= FF_VALIDATED;
		return 0;
	}
	if (!get_ref(f))
		return -XEN_EBUSY;
	f->flags |= FF_PARTIAL;
	f->nr_done = 0;
	return validate_table(f, preemptible);
}

/*
 * @f was about to be a table; that comes to an end before it is something else. Who cannot be continued is told that it
 * is busy, and by how often he asks it gets less; what he asked for before and left behind goes first.
 */
static int make_way(struct frame *f, bool preemptible)
{
	int rc = preemptible ? 0 : type_drain(f->owner, true);

	if (!rc && (f->flags & FF_PARTIAL))
		rc = type_abandon(f, true);
	return rc && !preemptible ? -XEN_EBUSY : rc;
}

int type_get(struct frame *f, enum frame_type type, bool preemptible)
{
	if (f->type_count) {
		if (f->type != type || f->type_count >= REF_MAX) {
			dlog(f->owner, LOG_DEBUG, "frame %#llx is of type %u, not %u",
			     (unsigned long long)frame_mfn(f).n, f->type, type);
			return -XEN_EBUSY;
		}
		f->type_count++;
		return 0;
	}
	if (f->flags & FF_PARTIAL) {
		int rc;

		if (f->flags & FF_BUSY)
			return -XEN_EBUSY;
		if (f->type == type) {
			if (f->flags & FF_QUEUED)
				queue_remove(f);
			return validate_table(f, preemptible);
		}
		rc = make_way(f, preemptible);
		if (rc)
			return rc;
	}
	return get_first(f, type, preemptible);
}

void type_put(struct frame *f, bool preemptible)
{
	ASSERT(f->type_count > 0);
	if (--f->type_count)
		return;
	ASSERT(!(f->flags & FF_PINNED));
	flush_note(f);
	if (f->type == FT_WRITABLE)
		return;
	f->flags &= (uint8_t)~FF_VALIDATED;
	if (f->type < FT_L1 || f->type > FT_L4)
		return;
	/* The caller still holds its general reference, so this one cannot fail for long: make room
	 * by force. */
	f->count++;
	plat_pt_leave(frame_mfn(f), f->type);
	if (f->type > FT_L1)
		paths_gone(f->owner);
	if (f->type == FT_L4)
		clear_reserved(f);
	f->flags |= FF_PARTIAL;
	f->nr_done = 512;
	abandon_or_queue(f, preemptible);
}

int ref_type_get(struct domain *d, mfn_t mfn, enum frame_type type, bool preemptible)
{
	struct frame *f = frame_of(mfn);
	int rc;

	if (!frame_mappable(f, d) || !get_ref(f))
		return -XEN_EINVAL;
	rc = type_get(f, type, preemptible);
	if (rc)
		put_ref(f);
	return rc;
}
