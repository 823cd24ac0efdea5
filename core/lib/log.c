/* SPDX-License-Identifier: MIT */
/*
 * log.c - lines for people, and failed assertions
 *
 * A line is finished here, then given to the home whole. What a guest can trigger is limited per
 * domain and second, so that a hostile guest can neither fill a disk nor hide another domain's
 * lines; only errors pass always, and the core sees to it that each of those happens once in the
 * life of a domain.
 */
#include <xenopus/lib.h>
#include <xenopus/domain.h>
#include <xenopus/platform.h>

#define LINE_MAX 512

/* Lines per domain and second: ordinarily, and for someone who asked to see everything. */
#define BUDGET	     20
#define BUDGET_DEBUG 2000

enum log_level log_threshold = LOG_INFO;

static void emit(enum log_level level, const char *prefix, const char *fmt, va_list ap)
{
	char line[LINE_MAX];
	size_t len = xstrlcpy(line, prefix, sizeof(line));

	len += (size_t)xvsnprintf(line + len, sizeof(line) - len, fmt, ap);
	if (len > sizeof(line) - 1)
		len = sizeof(line) - 1;
	/* A guest may have chosen some of the characters: keep them from steering a terminal. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	log_ring_add(line, len);
	if (level <= log_threshold)
		plat_log(level, line, len);
}

/* By people, or at least by the ring. */
static bool wanted(enum log_level level)
{
	return level <= log_threshold || level <= LOG_INFO;
}

void xlog(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!wanted(level))
		return;
	va_start(ap, fmt);
	emit(level, "", fmt, ap);
	va_end(ap);
}

/* May another line about @d go out now? Says so once when the answer turns to no. */
static bool spend(struct domain *d, const char *prefix)
{
	uint64_t per_second = (uint64_t)plat_info()->tsc_khz * 1000;
	uint64_t epoch = per_second ? plat_tsc() / per_second + 1 : 1;
	unsigned left;

	if (__atomic_exchange_n(&d->log_epoch, epoch, __ATOMIC_RELAXED) != epoch)
		__atomic_store_n(&d->log_budget, log_threshold >= LOG_DEBUG ? BUDGET_DEBUG : BUDGET,
				 __ATOMIC_RELAXED);
	left = __atomic_load_n(&d->log_budget, __ATOMIC_RELAXED);
	do {
		if (!left)
			return false;
	} while (!__atomic_compare_exchange_n(&d->log_budget, &left, left - 1, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	if (left == 1) {
		xlog(LOG_WARN, "%sfurther messages suppressed for a second", prefix);
		return false;
	}
	return true;
}

void dlog(struct domain *d, enum log_level level, const char *fmt, ...)
{
	char prefix[16];
	va_list ap;

	if (!wanted(level))
		return;
	xsnprintf(prefix, sizeof(prefix), "d%u: ", d->id);
	if (level != LOG_ERROR && !spend(d, prefix))
		return;
	va_start(ap, fmt);
	emit(level, prefix, fmt, ap);
	va_end(ap);
}

void assert_failed(const char *expr, const char *file, int line)
{
	char text[LINE_MAX];

	xsnprintf(text, sizeof(text), "assertion failed: %s (%s:%d)", expr, file, line);
	plat_panic(text);
}
