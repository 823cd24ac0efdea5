/* SPDX-License-Identifier: MIT */
/*
 * Where the physical CPUs are, and waiting for them (cpu.h).
 *
 * A request and the CPU it is for meet in two words, in opposite order: the one who asks stores @attention
 * and then reads @where, the CPU stores @where and then reads @attention. Both are sequentially consistent, so
 * either the CPU sees the request before it is away, or it is seen to be away and is kicked.
 */
#include <xenopus/cpu.h>
#include <xenopus/lib.h>
#include <xenopus/lock.h>
#include <xenopus/platform.h>

enum where { AT_HOME, IN_CORE, IN_GUEST, IDLE };

/* How often each kind of wait was asked for, and up to which this CPU has been there. */
struct rendezvous {
	uint64_t wanted, done;
};

static struct cpu_link {
	uint32_t where;
	uint32_t attention;
	struct rendezvous quiet, round;
} __attribute__((aligned(64))) links[MAX_PCPUS];

static uint32_t stopped_by; /* number + 1 of the CPU that others wait for, 0: none */

static struct cpu_link *me(void)
{
	return &links[plat_cpu_id()];
}

uint64_t cpu_all(void)
{
	unsigned n = plat_info()->pcpus;

	return n >= 64 ? ~UINT64_C(0) : cpu_bit(n) - 1;
}

void cpus_init(void)
{
	ASSERT(plat_info()->pcpus >= 1 && plat_info()->pcpus <= MAX_PCPUS);
	memset(links, 0, sizeof(links));
}

static void ask(struct cpu_link *l)
{
	__atomic_store_n(&l->attention, 1, __ATOMIC_SEQ_CST);
}

static enum where where(const struct cpu_link *l)
{
	return (enum where)__atomic_load_n(&l->where, __ATOMIC_SEQ_CST);
}

void cpu_request(unsigned pcpu)
{
	struct cpu_link *l = &links[pcpu];
	enum where w;

	ask(l);
	w = where(l);
	if (w == IN_GUEST || w == IDLE)
		plat_cpu_kick(pcpu);
}

static void keep(struct rendezvous *r)
{
	uint64_t wanted = __atomic_load_n(&r->wanted, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&r->done, __ATOMIC_RELAXED) != wanted)
		__atomic_store_n(&r->done, wanted, __ATOMIC_RELEASE);
}

static struct rendezvous *rendezvous_of(struct cpu_link *l, bool round)
{
	return round ? &l->round : &l->quiet;
}

/*
 * An idle CPU, and one at home, hold on to nothing, and look at what changed meanwhile when they are back: leaving
 * idleness is a full barrier.
 */
static void wait_for(unsigned pcpu, uint64_t turn, bool round)
{
	struct cpu_link *l = &links[pcpu];
	struct rendezvous *r = rendezvous_of(l, round);
	unsigned spins = 0;
	bool kicked = false;

	while ((int64_t)(__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) - turn) < 0) {
		enum where w = where(l);

		if (w == IDLE || w == AT_HOME)
			return;
		if (w == IN_GUEST && !kicked) {
			kicked = true;
			plat_cpu_kick(pcpu);
		}
		keep(&me()->quiet);
		if (round) /* two that wait for each other's */
			keep(&me()->round);
		plat_cpu_relax(spins++);
	}
}

static __attribute__((noinline)) void wait_for_others(uint64_t pcpus, bool round)
{
	uint64_t turn[MAX_PCPUS], left;

	for (left = pcpus; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		turn[i] = __atomic_add_fetch(&rendezvous_of(&links[i], round)->wanted, 1, __ATOMIC_SEQ_CST);
		ask(&links[i]);
	}
	for (left = pcpus; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		wait_for(i, turn[i], round);
	}
}

/* Mostly it is only about this one. */
static inline void wait_for_all(uint64_t pcpus, bool round)
{
	pcpus &= cpu_all() & ~cpu_bit(plat_cpu_id());
	if (pcpus)
		wait_for_others(pcpus, round);
}

void cpu_quiesce(uint64_t pcpus)
{
	wait_for_all(pcpus, false);
}

void cpu_come_round(uint64_t pcpus)
{
	lock_none_held();
	wait_for_all(pcpus, true);
}

static uint32_t stopper(void)
{
	return __atomic_load_n(&stopped_by, __ATOMIC_SEQ_CST);
}

/* Somebody wants everybody to stand still: until that is over. */
static void stand_still(struct cpu_link *l)
{
	unsigned spins = 0;

	while (stopper() && stopper() != plat_cpu_id() + 1) {
		keep(&l->quiet);
		keep(&l->round);
		plat_cpu_relax(spins++);
	}
}

void cpu_stop_others(void)
{
	uint32_t nobody = 0;

	lock_none_held();
	while (!__atomic_compare_exchange_n(&stopped_by, &nobody, plat_cpu_id() + 1, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
		stand_still(me());
		nobody = 0;
	}
	cpu_come_round(cpu_all());
}

void cpu_resume_others(void)
{
	__atomic_store_n(&stopped_by, 0, __ATOMIC_SEQ_CST);
}

void cpu_answer(void)
{
	keep(&me()->quiet);
}

void cpu_starts(void)
{
	__atomic_store_n(&me()->where, IN_CORE, __ATOMIC_SEQ_CST);
}

void cpu_stops(void)
{
	struct cpu_link *l = me();

	__atomic_store_n(&l->where, AT_HOME, __ATOMIC_SEQ_CST);
}

bool cpu_top(void)
{
	struct cpu_link *l = me();

	lock_none_held();
	if (!__atomic_load_n(&l->attention, __ATOMIC_RELAXED))
		return false;
	__atomic_exchange_n(&l->attention, 0, __ATOMIC_SEQ_CST);
	keep(&l->quiet);
	keep(&l->round);
	stand_still(l);
	return true;
}

static inline bool go(struct cpu_link *l, enum where w)
{
	__atomic_exchange_n(&l->where, w, __ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&l->attention, __ATOMIC_SEQ_CST)))
		return true;
	__atomic_store_n(&l->where, IN_CORE, __ATOMIC_RELEASE);
	return false;
}

inline bool cpu_enter_guest(void)
{
	return go(me(), IN_GUEST);
}

bool cpu_enter_idle(void)
{
	return go(me(), IDLE);
}

inline void cpu_leave(void)
{
	__atomic_store_n(&me()->where, IN_CORE, __ATOMIC_RELEASE);
}

void cpu_leave_idle(void)
{
	__atomic_exchange_n(&me()->where, IN_CORE, __ATOMIC_SEQ_CST);
}
