/* SPDX-License-Identifier: MIT */
/*
 * string.c - the few string functions of the core
 *
 * Under names of their own, so that the hosted process may link its C library beside them. None of
 * them is for guest memory: a guest could change a string between two looks at it.
 */
#include <xenopus/lib.h>

size_t xstrlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int xstrcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int xstrncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (unsigned char)*a - (unsigned char)*b;
		if (!*a)
			break;
	}
	return 0;
}

size_t xstrlcpy(char *dst, const char *src, size_t size)
{
	size_t len = xstrlen(src);

	if (size) {
		size_t n = len < size ? len : size - 1;

		memcpy(dst, src, n);
		dst[n] = '\0';
	}
	return len;
}
