/* SPDX-License-Identifier: MIT */
/* What the core gives to a home, in the order a home calls it. */
#ifndef XENOPUS_CORE_H
#define XENOPUS_CORE_H

#include "types.h"

#define XENOPUS_VERSION_MAJOR 4  /* the Xen ABI spoken: 4.17 */
#define XENOPUS_VERSION_MINOR 17

/** core_init() - memory, time, scheduler. After plat_info() is valid. 0 or -errno. */
int core_init(void);
/** core_cpu_loop() - run guests on this physical CPU until core_stop(). */
void core_cpu_loop(void);
/**
 * core_trap() - for a home that would rather not return from plat_cpu_run() for every trap of @v: what the loop would do
 * with *@t, and what it does before ring 3. True: go back to ring 3, with the registers @v has now. False: return from
 * plat_cpu_run() with TRAP_HANDLED. Interrupts are for the loop, as ever.
 */
struct vcpu;
struct trap;
bool core_trap(struct vcpu *v, const struct trap *t);
/**
 * core_hypercall() - the same for TRAP_SYSCALL of a guest in its kernel. CORE_GO_PLAIN: since the SYSCALL no register of
 * the guest's but rax has changed, nor its mode, and RIP is canonical.
 */
enum core_next { CORE_STOP, CORE_GO, CORE_GO_PLAIN };
enum core_next core_hypercall(struct vcpu *v);
/** core_stop() - let every CPU loop return soon. */
void core_stop(void);

#endif
