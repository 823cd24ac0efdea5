/* SPDX-License-Identifier: MIT */
/*
 * What the processor offers against hostile guests and against our own mistakes: detected, never assumed; each
 * can be switched on the command line, and what is on is listed at boot.
 */
#include "metal.h"

/* The words: NAME=on, NAME=off (also yes, no, true, false, 1, 0), NAME alone, no-NAME. */
static struct setting {
	const char *name;
	int value; /* -1: as the processor needs it */
} settings[] = {
	{ "smep", -1 },
	{ "smap", -1 },
	{ "xpti", -1 },
};

enum { SET_SMEP, SET_SMAP, SET_XPTI };

bool split_tables;

static uint64_t cr4_wanted;

static bool same(const char *at, size_t len, const char *what)
{
	return xstrlen(what) == len && !memcmp(at, what, len);
}

static bool truth(const char *at, size_t len, int *value)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "0", "1" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (same(at, len, words[i])) {
			*value = (int)(i & 1);
			return true;
		}
	}
	return false;
}

bool protection_word(const char *at, size_t len)
{
	int negative = len > 3 && !memcmp(at, "no-", 3), value = !negative;
	const char *name = negative ? at + 3 : at;
	size_t n = 0;

	len -= (size_t)(name - at);
	while (n < len && name[n] != '=')
		n++;
	if (n < len && (negative || !truth(name + n + 1, len - n - 1, &value)))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		if (same(name, n, settings[i].name)) {
			settings[i].value = value;
			return true;
		}
	}
	return false;
}

const char *protection_name(unsigned n)
{
	return n < ARRAY_SIZE(settings) ? settings[n].name : NULL;
}

/* Wanted, or not said otherwise. */
static bool on(unsigned setting)
{
	return settings[setting].value != 0;
}

/*
 * QEMU's emulation reads the stack of an IRETQ in ring 3 as ring 0 would, and SMAP then forbids it; PV kernels return
 * by such IRETQs.
 */
static bool emulated_by_tcg(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1u << 31))
		return false;
	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354; /* "TCGT" */
}

static bool vendor_is(const char *name)
{
	uint32_t r[4], text[3];

	cpuid(0, 0, r);
	text[0] = r[1];
	text[1] = r[3];
	text[2] = r[2];
	return !memcmp(text, name, sizeof(text));
}

static uint64_t arch_capabilities(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	if (r[0] < 7)
		return 0;
	cpuid(7, 0, r);
	return r[3] >> 29 & 1 ? msr_read(MSR_ARCH_CAPABILITIES) : 0;
}

/* Meltdown: a read that faults gives speculative code the data all the same. AMD's processors never did. */
static bool reads_across_rings(void)
{
	return !vendor_is("AuthenticAMD") && !vendor_is("HygonGenuine") && !(arch_capabilities() & ARCH_CAP_RDCL_NO);
}

/* Guests may use FSGSBASE; ring 0 may neither run nor, by accident, read what belongs to ring 3. */
void protection_init(void)
{
	uint32_t r[4];

	cr4_wanted = CR4_DE | CR4_PAE | CR4_MCE;
	cpuid(0, 0, r);
	if (r[0] >= 7) {
		cpuid(7, 0, r);
		cr4_wanted |= r[1] & 1 ? CR4_FSGSBASE : 0;
		cr4_wanted |= (r[1] >> 7 & 1) && on(SET_SMEP) ? CR4_SMEP : 0;
		cr4_wanted |= (r[1] >> 20 & 1) && on(SET_SMAP) && !emulated_by_tcg() ? CR4_SMAP : 0;
	}
	split_tables = settings[SET_XPTI].value < 0 ? reads_across_rings() : settings[SET_XPTI].value;
	if (split_tables)
		gate_features |= 1u << GATE_ALT_SPLIT;
	if (cr4_wanted & CR4_SMAP)
		gate_features |= 1u << GATE_ALT_SMAP;
	xlog(LOG_INFO, "CPU protection: NX%s%s%s", cr4_wanted & CR4_SMEP ? " SMEP" : "",
	     cr4_wanted & CR4_SMAP ? " SMAP" : "", split_tables ? " XPTI" : "");
}

void protect_cpu(void)
{
	cr4_write(cr4_wanted | (cr4_read() & CR4_PGE));
	cr0_write(cr0_read() | CR0_WP | CR0_AM);
}
