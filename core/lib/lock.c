/* SPDX-License-Identifier: MIT */
/* The slow half of spinlocks, and in builds that ask for it the account of who holds what. */
#include <xenopus/cpu.h>
#include <xenopus/lib.h>
#include <xenopus/lock.h>
#include <xenopus/platform.h>

void spin_wait(const struct spinlock *l)
{
	unsigned spins = 0;

	while (__atomic_load_n(&l->held, __ATOMIC_RELAXED)) {
		cpu_answer();
		plat_cpu_relax(spins++);
	}
}

#ifdef XENOPUS_DEBUG_LOCKS
static uint32_t held[MAX_PCPUS]; /* bit per rank; each CPU its own word */

void lock_note_taken(const struct spinlock *l, enum lock_rank rank, bool second)
{
	uint32_t *h = &held[plat_cpu_id()], below = *h >> rank;

	if (second ? below != 1 : below != 0) {
		*h = 0; /* the panic wants locks, too */
		xlog(LOG_ERROR, "lock %p of rank %u taken out of order, held: %#x", (const void *)l, rank,
		     below << rank);
		BUG();
	}
	*h |= 1u << rank;
}

void lock_note_dropped(enum lock_rank rank)
{
	uint32_t *h = &held[plat_cpu_id()];

	ASSERT(*h >> rank & 1);
	*h &= ~(1u << rank);
}

void lock_none_held(void)
{
	ASSERT(!held[plat_cpu_id()]);
}
#endif
