/* SPDX-License-Identifier: MIT */
/*
 * Locks, and the one place where their order is written.
 *
 * A lock of a lower line may be taken while one of a higher line is held, never the other way round:
 *
 *	STORE     the one tree of xenstore and its rings		core/xenstore
 *	CONSOLE   a domain's console ring				core/io
 *	GRANT     a domain's grant table				core/grant
 *	EVENT     a domain's event channels (two of them: lower	core/event
 *		  address first)
 *	MM        a domain's memory: frames it owns, their types and	core/mm
 *		  counts, its page tables, its virtual CPUs'
 *		  descriptor tables
 *	WATCHDOG  a domain's watchdogs					core/sched
 *	RUNQ      a physical CPU's run queue, and of the virtual CPUs	core/sched
 *		  placed there whether they may run
 *	RUNSTATE  the runstate of a virtual CPU			core/time
 *	TIMER     a physical CPU's timers				core/time
 *	DOMAINS   the list of domains					core/control
 *	SLAB      small objects of the heap				core/mm
 *	BUDDY     free frames						core/mm
 *	HOME      a home's own leaf locks
 *
 * What goes without: counters (atomic), event bitmaps and vcpu_info, which guests write too
 * (atomic), a virtual CPU's registers (its physical CPU's), copies to and from guests (cpu.h), and
 * a domain that was looked up: it stays for as long as its finder does not come round the CPU loop.
 *
 * Locks spin. Whoever spins goes on answering other physical CPUs (cpu_answer()), so a holder
 * may wait for those. No lock is held when a guest runs, and none is taken twice.
 *
 * With the build option debug_asserts every physical CPU remembers the ranks it holds, and a step
 * against the order panics.
 */
#ifndef XENOPUS_LOCK_H
#define XENOPUS_LOCK_H

#include "types.h"

enum lock_rank {
	LOCK_STORE,
	LOCK_CONSOLE,
	LOCK_GRANT,
	LOCK_EVENT,
	LOCK_MM,
	LOCK_WATCHDOG,
	LOCK_RUNQ,
	LOCK_RUNSTATE,
	LOCK_TIMER,
	LOCK_DOMAINS,
	LOCK_SLAB,
	LOCK_BUDDY,
	LOCK_HOME,
	LOCK_RANKS
};

/** struct spinlock - zeroed memory is a free lock. */
struct spinlock {
	uint32_t held;
};

/** spin_wait() - @l of @rank is taken: come back when it looks free. */
void spin_wait(const struct spinlock *l, enum lock_rank rank);

/**
 * lock_waits() - how often somebody found a lock of @rank taken, since the start. lock_name() - of @rank, for people.
 * lock_taken() - how often one was taken; 0 in builds without debug_asserts, which do not count that.
 */
uint64_t lock_waits(enum lock_rank rank);
uint64_t lock_taken(enum lock_rank rank);
const char *lock_name(enum lock_rank rank);

#ifdef XENOPUS_DEBUG_LOCKS
/** lock_note_taken() / lock_note_dropped() - keep this CPU's account; panics against the order. */
void lock_note_taken(const struct spinlock *l, enum lock_rank rank, bool second);
void lock_note_dropped(enum lock_rank rank);
/** lock_none_held() - panics when this physical CPU holds a lock. */
void lock_none_held(void);
#else
static inline void lock_note_taken(const struct spinlock *l, enum lock_rank rank, bool second)
{
}

static inline void lock_note_dropped(enum lock_rank rank)
{
}

static inline void lock_none_held(void)
{
}
#endif

static inline bool spin_try_raw(struct spinlock *l)
{
	return !__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE);
}

/** spin_lock() - take @l, which is of @rank. */
static inline void spin_lock(struct spinlock *l, enum lock_rank rank)
{
	while (!spin_try_raw(l))
		spin_wait(l, rank);
	lock_note_taken(l, rank, false);
}

/** spin_unlock() - release @l. */
static inline void spin_unlock(struct spinlock *l, enum lock_rank rank)
{
	lock_note_dropped(rank);
	__atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}

/** spin_lock_two() - two locks of one rank, which may be the same one. */
static inline void spin_lock_two(struct spinlock *a, struct spinlock *b, enum lock_rank rank)
{
	struct spinlock *first = (uintptr_t)a < (uintptr_t)b ? a : b, *second = first == a ? b : a;

	spin_lock(first, rank);
	if (first == second)
		return;
	while (!spin_try_raw(second))
		spin_wait(second, rank);
	lock_note_taken(second, rank, true);
}

static inline void spin_unlock_two(struct spinlock *a, struct spinlock *b, enum lock_rank rank)
{
	if (a != b)
		__atomic_store_n(&b->held, 0, __ATOMIC_RELEASE);
	spin_unlock(a, rank);
}

#endif
