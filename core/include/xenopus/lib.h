/* SPDX-License-Identifier: MIT */
/*
 * The small library of the freestanding core: memory and string functions, a bounded printf, the log,
 * assertions, doubly linked lists, bitmaps. Nothing here knows a guest.
 */
#ifndef XENOPUS_LIB_H
#define XENOPUS_LIB_H

#include <stdarg.h>
#include "types.h"

/*
 * The compiler may emit calls to the first four whatever we write; the core defines them only in the
 * bare-metal image (the hosted process has its C library's).
 */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memset(void *dst, int c, size_t n);
void *memmove(void *dst, const void *src, size_t n);
int memcmp(const void *a, const void *b, size_t n);

size_t xstrlen(const char *s);
int xstrcmp(const char *a, const char *b);
int xstrncmp(const char *a, const char *b, size_t n);
/** xstrlcpy() - copy at most @size - 1 characters and terminate. Returns the length of @src. */
size_t xstrlcpy(char *dst, const char *src, size_t size);

/**
 * xvsnprintf() / xsnprintf() - format into @buf of @size bytes, always terminated when @size > 0.
 * Supports %% %c %s %d %i %u %x %X %p with flags 0 - # +, width, precision, * and l, ll, z, h, hh.
 * Returns the length the whole result would have had.
 */
int xvsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int xsnprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/** log_threshold - lines above this level do not reach people; set by the home's --log-level. */
extern enum log_level log_threshold;

/**
 * log_ring_add() - remember a finished line; log.c does so for every line up to LOG_INFO, shown or not.
 * log_ring_line() - the next line from position *@from (0 at first) as a string; its length, 0 at the end.
 * log_ring_clear() - nobody shall see again what lies before position @upto.
 */
void log_ring_add(const char *line, size_t len);
size_t log_ring_line(uint64_t *from, char *buf, size_t size);
void log_ring_clear(uint64_t upto);

/** xlog() - one line to the hypervisor log (no trailing newline in @fmt). */
void xlog(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** dlog() - a line about a domain ("d3: ..."); guest-triggered lines are rate-limited per domain. */
void dlog(struct domain *d, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

__attribute__((noreturn)) void assert_failed(const char *expr, const char *file, int line);
#define ASSERT(e) ((e) ? (void)0 : assert_failed(#e, __FILE__, __LINE__))
#define BUG()     assert_failed("BUG", __FILE__, __LINE__)

/* Circular doubly linked lists with a head. */
struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_before(struct list *pos, struct list *n)
{
	n->prev = pos->prev;
	n->next = pos;
	pos->prev->next = n;
	pos->prev = n;
}

#define list_add_tail(head, n) list_add_before(head, n)

static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_safe(pos, tmp, head) \
	for (pos = (head)->next, tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

/* Atomic bit operations on arrays of 64-bit words, as event-channel bitmaps need them. */
static inline bool bit_test(const uint64_t *map, unsigned long bit)
{
	return (__atomic_load_n(&map[bit / 64], __ATOMIC_SEQ_CST) >> (bit % 64)) & 1;
}

static inline bool bit_test_and_set(uint64_t *map, unsigned long bit)
{
	uint64_t m = UINT64_C(1) << (bit % 64);

	return __atomic_fetch_or(&map[bit / 64], m, __ATOMIC_SEQ_CST) & m;
}

static inline bool bit_test_and_clear(uint64_t *map, unsigned long bit)
{
	uint64_t m = UINT64_C(1) << (bit % 64);

	return __atomic_fetch_and(&map[bit / 64], ~m, __ATOMIC_SEQ_CST) & m;
}

#endif
