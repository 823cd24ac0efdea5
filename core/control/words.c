/* SPDX-License-Identifier: MIT */
/*
 * words.c - what people type to control a machine: numbers, sizes, sets of processors, names
 *
 * Text comes in whole and is only read; a refusal leaves the result alone.
 */
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/words.h>

/* The number at *@at, which moves behind it. False: there is none, or it is above @max. */
static bool take_number(const char **at, uint64_t max, uint64_t *n)
{
	const char *c = *at;
	uint64_t value = 0;

	for (; *c >= '0' && *c <= '9'; c++) {
		uint64_t digit = (uint64_t)(*c - '0');

		if (digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (c == *at)
		return false;
	*at = c;
	*n = value;
	return true;
}

bool words_number(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	uint64_t value;

	if (!take_number(&text, max, &value) || *text || value < min)
		return false;
	*n = value;
	return true;
}

bool words_memory(const char *text, uint64_t *kib)
{
	static const struct {
		char letter;
		unsigned shift; /* from KiB */
	} units[] = { { 'k', 0 }, { 'm', 10 }, { 'g', 20 }, { 't', 30 } };
	unsigned shift = 10;
	uint64_t n;

	if (!take_number(&text, UINT64_C(1) << 40, &n))
		return false;
	for (unsigned i = 0; *text && i < ARRAY_SIZE(units); i++) {
		if ((*text | 0x20) == units[i].letter) {
			shift = units[i].shift;
			text++;
			break;
		}
	}
	if (*text || n > UINT64_C(1) << (40 - shift))
		return false;
	*kib = n << shift;
	return true;
}

static const char *skip_spaces(const char *at)
{
	while (*at == ' ')
		at++;
	return at;
}

/* One of the parts between commas. */
static bool take_cpus(const char **at, uint64_t *cpus)
{
	const char *c = skip_spaces(*at);
	bool without = *c == '^';
	uint64_t first = 0, last = MAX_PCPUS - 1;

	c += without;
	if (!xstrncmp(c, "all", 3)) {
		c += 3;
	} else {
		if (!take_number(&c, MAX_PCPUS - 1, &first))
			return false;
		last = first;
		if (*c == '-') {
			c++;
			if (!take_number(&c, MAX_PCPUS - 1, &last) || last < first)
				return false;
		}
	}
	for (uint64_t i = first; i <= last; i++)
		*cpus = without ? *cpus & ~cpu_bit((unsigned)i) : *cpus | cpu_bit((unsigned)i);
	*at = skip_spaces(c);
	return !**at || **at == ',';
}

bool words_cpus(const char *text, uint64_t *cpus)
{
	uint64_t set = 0;

	for (;;) {
		if (!take_cpus(&text, &set))
			return false;
		if (!*text)
			break;
		text++;
	}
	*cpus = set ? set : *cpus;
	return set != 0;
}

void words_cpus_text(uint64_t cpus, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	if ((cpus & cpu_all()) == cpu_all()) {
		xstrlcpy(buf, "all", size);
		return;
	}
	for (unsigned i = 0; i < MAX_PCPUS && n < size; i++) {
		unsigned last = i;

		if (!(cpus & cpu_bit(i)))
			continue;
		while (last + 1 < MAX_PCPUS && cpus & cpu_bit(last + 1))
			last++;
		n += (size_t)xsnprintf(buf + n, size - n, "%s%u", n ? "," : "", i);
		if (last > i && n < size)
			n += (size_t)xsnprintf(buf + n, size - n, "-%u", last);
		i = last;
	}
}

bool words_name(const char *name, char *error, size_t size)
{
	size_t longest = sizeof(((struct domain *)0)->name) - 1, len = xstrlen(name), digits = 0;
	bool plain = true;

	for (const char *c = name; *c; c++) {
		digits += *c >= '0' && *c <= '9';
		plain &= *c != '/' && (unsigned char)*c >= ' ' && *c != 0x7f;
	}
	if (!len || len > longest)
		xsnprintf(error, size, "a domain's name has 1 to %u bytes", (unsigned)longest);
	else if (digits == len)
		xsnprintf(error, size, "the name %s is a number, which means a domain id: give another name", name);
	else if (!plain)
		xsnprintf(error, size, "a domain's name has neither slashes nor control characters: give another name");
	else
		return true;
	return false;
}

int words_pick(const char *word, const void *names, size_t size, unsigned n)
{
	size_t len = xstrlen(word);
	int found = -1;

	for (unsigned i = 0; i < n; i++) {
		const char *name = *(const char *const *)(const void *)((const char *)names + i * size);

		if (xstrncmp(word, name, len))
			continue;
		if (!name[len])
			return (int)i;
		found = found == -1 ? (int)i : -2;
	}
	return found;
}

bool words_scheduler(const char *policy, char *error, size_t size)
{
	const char *has = sched_policy_name();

	if (!xstrcmp(has, policy))
		return true;
	if (!xstrcmp(has, "rr"))
		xsnprintf(error, size, "this machine's scheduler is rr, which has nothing to set: start the machine with "
			  "another");
	else
		xsnprintf(error, size, "this machine's scheduler is %s, not %s: use sched-%s", has, policy, has);
	return false;
}
