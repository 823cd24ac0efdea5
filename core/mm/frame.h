/* SPDX-License-Identifier: MIT */
/*
 * The frame table, seen from inside core/mm: one struct frame per machine frame.
 *
 *	kind        count holds                                 on whose list
 *	RESERVED    nothing (home, firmware, frame table)       none
 *	FREE        0; content is zero unless FF_DIRTY          free list of its order (block heads)
 *	HEAP        1 for the core                              none
 *	SHARED      1 for the core + mappings by guests         its owner's
 *	DOMAIN      1 while allocated + every use               its owner's
 *	ORPHAN      uses by others that outlive the owner       none
 *
 * A general reference (count) keeps a frame from being given to anyone else. A type reference
 *(type_count) keeps it what it is: as long as there is one, it has no other type. Whoever holds a
 *type reference holds a general one too. Page tables are validated when the first type reference is
 *taken and given up with the last.
 *
 * Validating a table may take long, so it stops and goes on (PARTIAL): entries [0, nr_done) hold
 *references, the table itself holds one general reference on its own frame, type_count is 0 and
 *hardware does not see the table. Going up nr_done grows to 512, giving up it shrinks to 0; either
 *may be taken up again at any time, in either direction.
 *
 * All of this, of a frame that has an owner, changes under the memory lock of the owner (mm_lock()); free frames
 * under the allocator's; those of the core are its holder's. Who may not hold the right lock, because he
 * does not know the owner yet, may read @owner and @kind and must look again with the lock held. Functions
 * declared here are called with the lock of the domain in question held, those of mm.h without.
 */
#ifndef CORE_MM_FRAME_H
#define CORE_MM_FRAME_H

#include "xenopus/cpu.h"
#include "xenopus/domain.h"
#include "xenopus/layout.h"
#include "xenopus/mm.h"
#include "xenopus/platform.h"

enum frame_kind { FK_RESERVED = 0, FK_FREE, FK_HEAP, FK_SHARED, FK_DOMAIN, FK_ORPHAN };

#define FT_SHARED_RO \
	7 /* a core page that no guest may write; the core holds the one type reference */

#define FF_ALLOC  0x01u /* the owner's own general reference */
#define FF_PINNED 0x02u /* a general and a type reference held by MMUEXT_PIN */
#define FF_VALIDATED \
	0x04u /* every entry was checked and holds its references; hardware may walk it */
#define FF_PARTIAL 0x08u /* entries [0, nr_done) hold references */
#define FF_BUSY	   0x10u /* on the stack of a running validation */
#define FF_DIRTY   0x40u /* FREE: to be scrubbed before anyone gets it */
#define FF_QUEUED  0x20u /* PARTIAL, and in owner's mm.down: to be given up */
#define FF_STALE   0x80u /* has left its owner, some of whose TLBs may remember it; see flush.c */

/**
 * struct frame - one machine frame
 * @count: general references
 * @type_count: references to its being of @type; @type stays as a memory when this falls to 0
 * @order: FREE: 1 + order of the block this frame heads, 0: not a head
 * @nr_done: PARTIAL: entries that hold references
 * @epoch: flush clock of its owner (FF_STALE: of the machine) when a use ended that TLBs may remember; see flush.c
 * @next, @prev: frame numbers in the list this frame is on, 0: end
 * @owner: NULL for the core's and orphans
 * @held, @held_type: those of count and type_count taken through mm_get_frame(),
 *mm_get_frame_type() and mm_map_shared(); only the audit needs them. FREE and FF_STALE: the CPUs whose TLBs may remember
 *it, lower and upper half
 */
struct frame {
	uint32_t count;
	uint32_t type_count;
	uint8_t type;
	uint8_t flags;
	uint8_t kind;
	uint8_t order;
	uint16_t nr_done;
	uint16_t epoch;
	uint32_t next, prev;
	struct domain *owner;
	uint32_t held, held_type;
};

extern struct frame *frame_table; /* [nr_frames] */
extern uint64_t nr_frames;

static inline struct frame *frame_at(uint64_t n)
{
	return &frame_table[n];
}

/** frame_of() - NULL beyond the machine. */
static inline struct frame *frame_of(mfn_t mfn)
{
	return mfn.n < nr_frames ? &frame_table[mfn.n] : NULL;
}

static inline mfn_t frame_mfn(const struct frame *f)
{
	return MFN((uint64_t)(f - frame_table));
}

extern char *frame_zero; /* where the core sees frame 0; the others lie behind it in order */

/** mfn_ptr() - plat_frame_ptr() without a call, for what every exit does. */
static inline void *mfn_ptr(mfn_t mfn)
{
	return frame_zero + (mfn.n << PAGE_SHIFT);
}

/** ptr_mfn() - back from there. */
static inline mfn_t ptr_mfn(const void *p)
{
	return MFN((uint64_t)((const char *)p - frame_zero) >> PAGE_SHIFT);
}

static inline void *frame_ptr(const struct frame *f)
{
	return mfn_ptr(frame_mfn(f));
}

static inline void mm_lock(struct domain *d)
{
	spin_lock(&d->mm.lock, LOCK_MM);
}

static inline void mm_unlock(struct domain *d)
{
	spin_unlock(&d->mm.lock, LOCK_MM);
}

/* These two are read of frames whose lock one does not hold. */
static inline void frame_set_owner(struct frame *f, struct domain *d)
{
	WRITE_ONCE(f->owner, d);
}

static inline void frame_set_kind(struct frame *f, enum frame_kind kind)
{
	WRITE_ONCE(f->kind, (uint8_t)kind);
}

static inline struct domain *frame_owner(const struct frame *f)
{
	return READ_ONCE(f->owner);
}

/** frame_mappable() - may @d map @f? */
static inline bool frame_mappable(const struct frame *f, const struct domain *d)
{
	return f && frame_owner(f) == d && (f->kind == FK_DOMAIN || f->kind == FK_SHARED);
}

/** frame_live_table() - is @f a validated page table in use? */
static inline bool frame_live_table(const struct frame *f)
{
	return f->type_count && f->type >= FT_L1 && f->type <= FT_L4;
}

#define REF_MAX 0xfffffff0u

/* ---- frame.c ---- */
void frame_release(struct frame *f);

/** get_ref() - false when there are too many (a guest may try). */
static inline bool get_ref(struct frame *f)
{
	if (f->count >= REF_MAX)
		return false;
	f->count++;
	return true;
}

static inline void put_ref(struct frame *f)
{
	ASSERT(f->count > 0);
	if (--f->count == 0)
		frame_release(f);
}

void frame_link(struct domain *d, struct frame *f);
void frame_unlink(struct domain *d, struct frame *f);
/** frame_assign() - the 2^@order frames at @n, fresh from buddy_alloc(), become @d's. */
void frame_assign(struct domain *d, uint64_t n, unsigned order);
/** frame_return() - free a frame that nothing refers to any more; @d: whose it was, NULL: not known. */
void frame_return(struct frame *f, const struct domain *d);
/** frame_surrender() - drop the owner's allocation of @f (decrease_reservation). False: not
 * allocated. */
bool frame_surrender(struct frame *f);

/* ---- buddy.c ---- */
#define BUDDY_MAX_ORDER 20u

/** buddy_add() - the zeroed frames [@first, @end) of kind RESERVED become free. */
void buddy_add(uint64_t first, uint64_t end);
/** buddy_alloc() - 2^@order contiguous zeroed frames below frame @limit, kind HEAP, count 0. 0:
 * none. */
uint64_t buddy_alloc(unsigned order, uint64_t limit);
/** buddy_free() - one frame that nothing refers to, zeroed or FF_DIRTY. */
void buddy_free(uint64_t n);
/** buddy_free_frames() - how many frames are free. */
uint64_t buddy_free_frames(void);
void buddy_reset(void);

/* ---- heap.c ---- */
void heap_reset(void);

/* ---- flush.c ---- */
void flush_reset(void);
/** flush_note() - a use of @f by its owner has ended that TLBs may remember. */
void flush_note(struct frame *f);
/** flush_freed() - @f leaves @d, NULL: somebody unknown; what it was may be remembered by the CPUs of that. */
void flush_freed(struct frame *f, const struct domain *d);
/**
 * flush_before_reuse() - @f is about to become something else of its owner's: no stale translation may survive on the
 * owner's CPUs, and no copy of the core to or from it be under way there. flush_before_new_owner() - the same for a
 * frame fresh from the allocator, on any CPU.
 */
void flush_before_reuse(struct frame *f);
void flush_before_new_owner(struct frame *f);
/** flush_domain_cpus() - physical CPUs whose TLBs may hold translations of @d. */
uint64_t flush_domain_cpus(const struct domain *d);
/**
 * flush_tlb() - a full flush for @d (NULL: for all), known to its clock. When it returns no guest runs on @pcpus with
 * what was.
 */
void flush_tlb(struct domain *d, uint64_t pcpus);
/** flush_page() - the same for one address, which no clock learns of. */
void flush_page(uint64_t pcpus, uint64_t va);

/* ---- m2p.c ---- */
int m2p_init(void);
/** m2p_slot() - the entry for reserved L4 slot @slot of @d's tables: the M2P's, or the home's. */
uint64_t m2p_slot(const struct domain *d, unsigned slot);
/** m2p_strict() - has @d asked that its user mode does not see the M2P (VMASST_TYPE_m2p_strict)? */
bool m2p_strict(const struct domain *d);
/** m2p_show() - make the M2P visible, or not, in live L4 @f. */
void m2p_show(struct frame *f, bool show);
void *m2p_page(uint64_t n);
/** m2p_bytes() - its size: whole pages, all of which guests see. */
uint64_t m2p_bytes(void);

/* ---- entry.c ---- */
/** entry_get() - check present entry *@e of a @level table @table for @d, take its references, and
 * adjust it to what hardware shall see. 0, -errno (nothing taken), -XEN_ERESTART (only when
 * @preemptible). */
int entry_get(struct domain *d, struct frame *table, unsigned level, uint64_t *e, bool preemptible);
/** entry_put() - release the references of present entry @e. */
void entry_put(struct domain *d, struct frame *table, unsigned level, uint64_t e, bool preemptible);
/**
 * entry_absent_ok() - may a guest keep @e, which is not present, in a page table? Where the processor reads through such
 * entries, what would be the address must not be memory's. Kernels that know of this invert it. Address bits from 44
 * (46 in a large machine) on are not compared by the cache, so they do not count.
 */
extern uint64_t l1tf_frames; /* 0: the processor does not */
static inline bool entry_absent_ok(uint64_t e)
{
	uint64_t n = pte_mfn(e).n & (l1tf_frames >> 31 ? 0x3ffffffff : 0xffffffff);

	return n == 0 || n >= l1tf_frames;
}

/** entry_flags_ok() - no bit that a guest must not set. */
bool entry_flags_ok(struct domain *d, unsigned level, uint64_t e);
static inline bool slot_reserved(unsigned level, unsigned index)
{
	return level == 4 && index >= L4_FIRST_RESERVED && index <= L4_LAST_RESERVED;
}

/* ---- type.c ---- */
/**
 * type_get() - take a type reference; the caller holds a general one. 0, -errno, -XEN_ERESTART (only when @preemptible;
 * otherwise what takes long is a part nearer to its end, and the answer -XEN_EBUSY).
 */
int type_get(struct frame *f, enum frame_type type, bool preemptible);
/** type_put() - drop one; what remains to be done when preempted waits in owner's mm.down. */
void type_put(struct frame *f, bool preemptible);
/** type_abandon() - bring a PARTIAL frame down to nothing. 0 or -XEN_ERESTART. */
int type_abandon(struct frame *f, bool preemptible);
/** type_drain() - do what type_put() left. 0 or -XEN_ERESTART. */
int type_drain(struct domain *d, bool preemptible);
/** mm_drain() - the same, preemptible and without the lock. */
int mm_drain(struct domain *d);

/** ref_type_get() - a general and a type reference on @d's frame @mfn. */
int ref_type_get(struct domain *d, mfn_t mfn, enum frame_type type, bool preemptible);
static inline void ref_type_put(struct frame *f, bool preemptible)
{
	type_put(f, preemptible);
	put_ref(f);
}

/**
 * table_hold() - keep @f the live table that it is while one of its entries is changed: the references of a new entry
 * are taken by giving up partial frames, and one of those may be the table's only user. False: it is no live table.
 */
static inline bool table_hold(struct frame *f)
{
	if (!frame_live_table(f) || f->type_count >= REF_MAX || !get_ref(f))
		return false;
	f->type_count++;
	return true;
}

static inline void table_release(struct frame *f)
{
	ref_type_put(f, true);
}

/* ---- update.c ---- */
#define MMU_UPDATE_PREEMPTED \
	0x80000000u /* in the count argument of a batch that is being continued */

/**
 * table_store() - replace entry @index of page table @table of @d, held (table_hold()), by @e, wholly checked.
 * @expect: when not NULL, only if the entry still is *@expect, else -XEN_EAGAIN
 * @keep_ad: accessed and dirty bits of the old entry stay
 * 0, -errno (nothing changed), -XEN_ERESTART.
 */
int table_store(struct domain *d, struct frame *table, unsigned index, uint64_t e,
		const uint64_t *expect, bool keep_ad, bool preemptible);

/** mm_foreign_ok() - 0 when @domid names @d itself; otherwise the errno of who may not. */
int foreign_ok(struct domain *d, domid_t domid);
static inline int mm_foreign_ok(struct domain *d, domid_t domid)
{
	return likely(domid == DOMID_SELF) ? 0 : foreign_ok(d, domid);
}

/** mm_vcpu_mask() - physical CPUs of the virtual CPUs in the guest's bitmap at @va. 0 or -errno. */
int mm_vcpu_mask(struct vcpu *v, uint64_t va, uint64_t *pcpus);

/* ---- base.c ---- */
int base_pin(struct domain *d, mfn_t mfn, unsigned level, bool preemptible);
int base_unpin(struct domain *d, mfn_t mfn, bool preemptible);
int base_set_kernel(struct vcpu *v, mfn_t mfn, bool preemptible);
int base_set_user(struct vcpu *v, mfn_t mfn, bool preemptible);
void base_drop(struct vcpu *v);

/* ---- segdesc.c ---- */
/** segdesc_page_ok() - check and fix up the 512 descriptors of a page. */
bool segdesc_page_ok(struct frame *f);
int segdesc_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned entries);
int segdesc_set_ldt(struct vcpu *v, uint64_t base, unsigned entries);
/** segdesc_drop() - @v dies: give up its GDT and LDT without telling the home. */
void segdesc_drop(struct vcpu *v);
/** segdesc_new_tables() - @v runs on other page tables: its LDT may lie elsewhere. */
void segdesc_new_tables(struct vcpu *v);
/** segdesc_unmapped() - a mapping of descriptor page @f went away: LDTs that use it forget it. */
void segdesc_unmapped(struct domain *d, struct frame *f);

/* ---- guest_access.c ---- */
/**
 * paths_gone() - an entry above L1 that was present has been replaced in a table of @d's, or a table above L1 has ceased to
 * be one. Called when that is done, and before anything that was only reachable by it is given up.
 */
static inline void paths_gone(struct domain *d)
{
	__atomic_fetch_add(&d->mm.table_generation, 1, __ATOMIC_SEQ_CST);
}

/** walk_l1() - the live L1 table and index that map @va in v's kernel tables; NULL when a level is
 * missing. */
struct frame *walk_l1(struct vcpu *v, uint64_t va, unsigned *index);

/** guest_paths_audit() - how many ways to L1 tables that virtual CPUs of @d would take are wrong. Nobody runs. */
unsigned guest_paths_audit(const struct domain *d);

/* ---- memory_op.c ---- */
/** memory_frame_limit() - the first frame number that XENMEMF_address_bits excludes. */
uint64_t memory_frame_limit(unsigned mem_flags);

/* ---- exchange.c ---- */
long memory_exchange(struct vcpu *v, uint64_t arg);

#endif
