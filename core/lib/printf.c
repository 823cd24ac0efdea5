/* SPDX-License-Identifier: MIT */
/*
 * printf.c - formatting into a buffer of fixed size
 *
 * The subset of the C standard that a hypervisor's log needs (no floating point, no %n), with the
 * standard's meaning, so that the compiler's format checks hold. Never writes beyond the buffer and
 * always terminates it.
 */
#include <xenopus/lib.h>

/* Where the text goes: @len counts what was wanted, of which only the first @size - 1 fit. */
struct sink {
	char *buf;
	size_t size, len;
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->buf[s->len] = c;
	s->len++;
}

static void pad(struct sink *s, char c, int n)
{
	while (n-- > 0)
		put(s, c);
}

struct spec {
	bool left, zero, plus, space, alt;
	int width;
	int precision; /* -1: not given */
	int size;      /* bytes of an integer argument */
	char conv;
};

static int number(const char **fmt)
{
	int n = 0;

	for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
		if (n < 10000)
			n = n * 10 + (**fmt - '0');
	return n;
}

static void parse_flags(const char **fmt, struct spec *sp)
{
	for (;; ++*fmt) {
		switch (**fmt) {
		case '-':
			sp->left = true;
			break;
		case '0':
			sp->zero = true;
			break;
		case '+':
			sp->plus = true;
			break;
		case ' ':
			sp->space = true;
			break;
		case '#':
			sp->alt = true;
			break;
		default:
			return;
		}
	}
}

static void parse_size(const char **fmt, struct spec *sp)
{
	sp->size = sizeof(int);
	switch (**fmt) {
	case 'h':
		sp->size = sizeof(short);
		if (*++*fmt == 'h') {
			sp->size = sizeof(char);
			++*fmt;
		}
		break;
	case 'l':
		sp->size = sizeof(long);
		if (*++*fmt == 'l')
			++*fmt;
		break;
	case 'z':
	case 't':
	case 'j':
		sp->size = sizeof(size_t);
		++*fmt;
		break;
	}
}

/* Sign or 0x, zeros up to the precision or width, digits. */
static void put_number(struct sink *s, const struct spec *sp, uint64_t value, const char *prefix,
		       unsigned base)
{
	const char *digits = sp->conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char buf[24];
	int n = 0, zeros, blanks;

	for (uint64_t rest = value; rest; rest /= base)
		buf[n++] = digits[rest % base];
	if (!n && sp->precision != 0)
		buf[n++] = '0';

	blanks = sp->width - (int)xstrlen(prefix);
	zeros = sp->precision - n;
	if (sp->zero && !sp->left && sp->precision < 0)
		zeros = blanks - n;
	if (zeros < 0)
		zeros = 0;
	blanks -= zeros + n;

	if (!sp->left)
		pad(s, ' ', blanks);
	for (; *prefix; prefix++)
		put(s, *prefix);
	pad(s, '0', zeros);
	while (n)
		put(s, buf[--n]);
	if (sp->left)
		pad(s, ' ', blanks);
}

static void put_signed(struct sink *s, const struct spec *sp, int64_t value)
{
	const char *sign;

	if (sp->size == sizeof(char))
		value = (signed char)value;
	else if (sp->size == sizeof(short))
		value = (short)value;
	sign = value < 0 ? "-" : sp->plus ? "+" : sp->space ? " " : "";
	/* Negate as unsigned: the most negative number has no positive twin. */
	put_number(s, sp, value < 0 ? -(uint64_t)value : (uint64_t)value, sign, 10);
}

static void put_unsigned(struct sink *s, const struct spec *sp, uint64_t value, unsigned base)
{
	const char *prefix = "";

	if (sp->size == sizeof(char))
		value = (unsigned char)value;
	else if (sp->size == sizeof(short))
		value = (unsigned short)value;
	if (sp->conv == 'p' || (sp->alt && base == 16 && value))
		prefix = sp->conv == 'X' ? "0X" : "0x";
	put_number(s, sp, value, prefix, base);
}

static void put_string(struct sink *s, const struct spec *sp, const char *str)
{
	size_t n = 0;

	if (!str)
		str = "(null)";
	/* A string with a precision need not be terminated. */
	while ((sp->precision < 0 || n < (size_t)sp->precision) && str[n])
		n++;
	if (!sp->left)
		pad(s, ' ', sp->width - (int)n);
	for (size_t i = 0; i < n; i++)
		put(s, str[i]);
	if (sp->left)
		pad(s, ' ', sp->width - (int)n);
}

int xvsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct sink s = { .buf = buf, .size = size };
	va_list ap;

	va_copy(ap, args);
	for (; *fmt; fmt++) {
		struct spec sp = { .precision = -1 };

		if (*fmt != '%') {
			put(&s, *fmt);
			continue;
		}
		fmt++;
		parse_flags(&fmt, &sp);
		if (*fmt == '*') {
			fmt++;
			sp.width = va_arg(ap, int);
			if (sp.width < 0) {
				sp.left = true;
				sp.width = -sp.width;
			}
		} else {
			sp.width = number(&fmt);
		}
		if (*fmt == '.') {
			fmt++;
			if (*fmt == '*') {
				fmt++;
				sp.precision = va_arg(ap, int);
			} else {
				sp.precision = number(&fmt);
			}
		}
		parse_size(&fmt, &sp);
		sp.conv = *fmt;

		bool wide = sp.size == sizeof(long);

		switch (*fmt) {
		case '%':
			put(&s, '%');
			break;
		case 'c': {
			char c = (char)va_arg(ap, int);

			pad(&s, ' ', sp.left ? 0 : sp.width - 1);
			put(&s, c);
			pad(&s, ' ', sp.left ? sp.width - 1 : 0);
			break;
		}
		case 's':
			put_string(&s, &sp, va_arg(ap, const char *));
			break;
		case 'd':
		case 'i':
			put_signed(&s, &sp, wide ? va_arg(ap, long) : va_arg(ap, int));
			break;
		case 'u':
			put_unsigned(&s, &sp,
				     wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 10);
			break;
		case 'x':
		case 'X':
			put_unsigned(&s, &sp,
				     wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 16);
			break;
		case 'p':
			sp.size = sizeof(void *);
			put_unsigned(&s, &sp, (uintptr_t)va_arg(ap, void *), 16);
			break;
		default:
			/* Unknown: what follows cannot be trusted to match its argument. */
			put(&s, '%');
			put(&s, '?');
			goto out;
		}
	}
out:
	va_end(ap);
	if (size)
		buf[s.len < size ? s.len : size - 1] = '\0';
	return (int)s.len;
}

int xsnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = xvsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
