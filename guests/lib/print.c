/* SPDX-License-Identifier: MIT */
/* Console output, strings and verdicts of a conformance kernel. */
#include "guest.h"

void *memcpy(void *dst, const void *src, size_t n)
{
	void *ret = dst;

	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
	return ret;
}

void *memset(void *dst, int c, size_t n)
{
	void *ret = dst;

	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(c) : "memory");
	return ret;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

void console_write(const char *s, size_t n)
{
	HC3(console_io, CONSOLEIO_write, n, s);
}

struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_number(struct out *o, uint64_t v, unsigned base, int width, char pad)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width-- > n)
		put(o, pad);
	while (n)
		put(o, digits[--n]);
}

/* Knows %s %c %d %u %x %p %% with width, 0 and l. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *fmt; fmt++) {
		char pad = ' ';
		int width = 0, longs = 0;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt++;
		if (*fmt == '0')
			pad = *fmt++;
		while (*fmt >= '0' && *fmt <= '9')
			width = width * 10 + (*fmt++ - '0');
		for (; *fmt == 'l'; fmt++)
			longs++;
		switch (*fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(&o, *s);
			break;
		case 'c':
			put(&o, (char)va_arg(ap, int));
			break;
		case 'd': {
			int64_t v = longs ? va_arg(ap, long) : va_arg(ap, int);

			if (v < 0)
				put(&o, '-');
			put_number(&o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, width, pad);
			break;
		}
		case 'u':
			put_number(&o, longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 10,
				   width, pad);
			break;
		case 'x':
			put_number(&o, longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 16,
				   width, pad);
			break;
		case 'p':
			put_number(&o, (uint64_t)(uintptr_t)va_arg(ap, void *), 16, 16, '0');
			break;
		default:
			put(&o, *fmt);
		}
	}
	if (size)
		buf[o.len < size ? o.len : size - 1] = 0;
	return (int)o.len;
}

static void vprint(const char *fmt, va_list ap)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	console_write(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

static unsigned passed, failed;

bool check(bool ok, const char *name, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	if (ok) {
		passed++;
		printf("ok %s: %s\n", guest_topic, name);
		return true;
	}
	failed++;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	printf("FAIL %s: %s: %s\n", guest_topic, name, why);
	return false;
}

bool check_eq(const char *name, uint64_t got, uint64_t want)
{
	if ((int64_t)got < 0 && (int64_t)got > -1000)
		return check(got == want, name, "got %ld, want %ld", (long)got, (long)want);
	return check(got == want, name, "got 0x%lx, want 0x%lx", got, want);
}

void skip(const char *name, const char *why)
{
	printf("skip %s: %s: %s\n", guest_topic, name, why);
}

static void shut_down(unsigned reason)
{
	struct sched_shutdown arg = { .reason = reason };

	hc_sched_op(SCHEDOP_shutdown, &arg);
	for (;;)
		__asm__ volatile("ud2");
}

void finish(void)
{
	printf("%s: %u passed, %u failed\n", guest_topic, passed, failed);
	shut_down(SHUTDOWN_poweroff);
	__builtin_unreachable();
}

void panic(const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	printf("FAIL %s: panic: %s\n", guest_topic, why);
	failed++;
	finish();
}
