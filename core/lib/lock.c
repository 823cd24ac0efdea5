/* SPDX-License-Identifier: MIT */
/* The slow half of spinlocks, how often it was needed, and in builds that ask for it the account of who holds what. */
#include <xenopus/cpu.h>
#include <xenopus/lib.h>
#include <xenopus/lock.h>
#include <xenopus/platform.h>

/* Each CPU its own lines: who holds what is written at every step. */
static struct account {
	uint64_t waits[LOCK_RANKS];
	uint64_t taken[LOCK_RANKS];
	uint32_t held; /* bit per rank */
} __attribute__((aligned(64))) accounts[MAX_PCPUS];

static struct account *mine(void)
{
	return &accounts[plat_cpu_id()];
}

/* Others only read. */
static void count(uint64_t *n)
{
	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

void spin_wait(const struct spinlock *l, enum lock_rank rank)
{
	unsigned spins = 0;

	count(&mine()->waits[rank]);
	while (__atomic_load_n(&l->held, __ATOMIC_RELAXED)) {
		cpu_answer();
		plat_cpu_relax(spins++);
	}
}

uint64_t lock_waits(enum lock_rank rank)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MAX_PCPUS; i++)
		n += __atomic_load_n(&accounts[i].waits[rank], __ATOMIC_RELAXED);
	return n;
}

uint64_t lock_taken(enum lock_rank rank)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MAX_PCPUS; i++)
		n += __atomic_load_n(&accounts[i].taken[rank], __ATOMIC_RELAXED);
	return n;
}

const char *lock_name(enum lock_rank rank)
{
	static const char *const names[LOCK_RANKS] = {
		[LOCK_STORE] = "store",	    [LOCK_CONSOLE] = "console",	  [LOCK_GRANT] = "grant",
		[LOCK_EVENT] = "event",	    [LOCK_MM] = "mm",		  [LOCK_RUNQ] = "run queue",
		[LOCK_WATCHDOG] = "watchdogs",
		[LOCK_RUNSTATE] = "runstate", [LOCK_TIMER] = "timer",	  [LOCK_DOMAINS] = "domains",
		[LOCK_SLAB] = "slab",	    [LOCK_BUDDY] = "buddy",	  [LOCK_HOME] = "home",
	};

	return names[rank];
}

#ifdef XENOPUS_DEBUG_LOCKS
void lock_note_taken(const struct spinlock *l, enum lock_rank rank, bool second)
{
	uint32_t *h = &mine()->held, below = *h >> rank;

	if (second ? below != 1 : below != 0) {
		*h = 0; /* the panic wants locks, too */
		xlog(LOG_ERROR, "lock %p of rank %u taken out of order, held: %#x", (const void *)l, rank,
		     below << rank);
		BUG();
	}
	*h |= 1u << rank;
	count(&mine()->taken[rank]);
}

void lock_note_dropped(enum lock_rank rank)
{
	uint32_t *h = &mine()->held;

	ASSERT(*h >> rank & 1);
	*h &= ~(1u << rank);
}

void lock_none_held(void)
{
	ASSERT(!mine()->held);
}
#endif
