/* SPDX-License-Identifier: MIT */
/*
 * Physical CPUs and what they ask of each other.
 *
 * Each is at any moment in one place: at its home (not in the core's loop), in the core, in a guest, or
 * idle. Two kinds of wait are built on that, and need nothing of the CPUs that are not concerned:
 *
 *	cpu_quiesce()	the others have been at a point where they hold on to nothing they looked up without
 *			a lock: copies to and from guests, and TLB entries of ring 3. Spinning for a lock is
 *			such a point, so it may be used with locks held.
 *	cpu_come_round()  the others have been at the top of their loop. For what is found by number and used
 *			without a lock, as domains are. No lock may be held.
 *
 * A copy to or from a guest walks the guest's tables and touches the frame it finds; in between it
 * takes no lock. So a frame that no table names any more, and that cpu_quiesce() lies behind, is not being
 * copied to by anyone: what protects ring 3's TLB entries protects the core's copies as well.
 */
#ifndef XENOPUS_CPU_H
#define XENOPUS_CPU_H

#include "types.h"

#define MAX_PCPUS 64

static inline uint64_t cpu_bit(unsigned pcpu)
{
	return UINT64_C(1) << (pcpu & 63);
}

/** cpu_all() - bitmap of this machine's physical CPUs. */
uint64_t cpu_all(void);

/** cpus_init() - at the core's start. */
void cpus_init(void);

/** cpu_request() - let @pcpu come round its loop soon, wherever it is. */
void cpu_request(unsigned pcpu);

/** cpu_quiesce() / cpu_come_round() - wait for those of @pcpus that are not this one; see above. */
void cpu_quiesce(uint64_t pcpus);
void cpu_come_round(uint64_t pcpus);

/**
 * cpu_stop_others() / cpu_resume_others() - the other physical CPUs stand still at the top of their loops, holding no
 * lock. Whoever calls holds none either.
 */
void cpu_stop_others(void);
void cpu_resume_others(void);

/**
 * cpu_breathe() - long work of control's, in plat_poll(), calls this often, with no lock held: the guests of this CPU get
 * every other millisecond, and others that wait for it an answer. Does nothing where the loop does not run.
 */
void cpu_breathe(void);

/** cpu_answer() - this CPU is at a point as cpu_quiesce() waits for. Called while spinning. */
void cpu_answer(void);

/* ---- for the CPU loop ---- */

/** cpu_starts() / cpu_stops() - this CPU enters / leaves the core's loop. */
void cpu_starts(void);
void cpu_stops(void);
/** cpu_top() - at the top of the loop. True: somebody asked this CPU to come round. */
bool cpu_top(void);
/**
 * cpu_enter_guest() / cpu_enter_idle() - from here on others have to kick this CPU. False: they want it
 * now, go round. cpu_leave() / cpu_leave_idle() - back in the core.
 */
bool cpu_enter_guest(void);
bool cpu_enter_idle(void);
void cpu_leave(void);
void cpu_leave_idle(void);

#endif
