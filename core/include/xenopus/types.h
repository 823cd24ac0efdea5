/* SPDX-License-Identifier: MIT */
/*
 * Types every part of the core shares. Kinds of number that must not be mixed (machine frames,
 * pseudo-physical frames) are distinct structs, so that the compiler refuses a mix-up.
 */
#ifndef XENOPUS_TYPES_H
#define XENOPUS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>

/** mfn_t - a machine frame number: machine address >> 12, the same to core, guest and hardware. */
typedef struct {
	uint64_t n;
} mfn_t;

/** pfn_t - a pseudo-physical frame number: what one domain believes to be its memory. */
typedef struct {
	uint64_t n;
} pfn_t;

#define MFN(x) ((mfn_t){ (x) })
#define PFN(x) ((pfn_t){ (x) })
#define INVALID_MFN MFN(~UINT64_C(0))

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
	return a.n == b.n;
}

static inline bool mfn_valid_number(mfn_t m)
{
	return m.n != ~UINT64_C(0);
}

#define PAGE_SHIFT 12
#ifndef PAGE_SIZE
#define PAGE_SIZE UINT64_C(4096)
#endif
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b) ((type)(a) > (type)(b) ? (type)(a) : (type)(b))

/* Atomic-width accesses to memory that a guest may change under us: read once, then use. */
#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* Which way an exit of a guest usually takes, where the compiler would guess wrong. */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct domain;
struct vcpu;

#endif
