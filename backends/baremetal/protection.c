/* SPDX-License-Identifier: MIT */
/*
 * What the processor offers against hostile guests and against our own mistakes: detected, never assumed; each can be
 * switched on the command line, and what is on is listed at boot. docs/metal.md has the table.
 */
#include "metal.h"

/* The words: NAME=on, NAME=off (also yes, no, true, false, 1, 0), NAME alone, no-NAME; those of spec-ctrl= as a list. */
static struct setting {
	const char *name;
	int value; /* -1: as the processor needs it */
} settings[] = {
	{ "smep", -1 },
	{ "smap", -1 },
	{ "umip", -1 },
	{ "xpti", -1 },
	{ "pcid", -1 },
	{ "pv-l1tf", -1 },
	{ "spec-ctrl", -1 },
}, spec_settings[] = {
	{ "ibrs", -1 },
	{ "ibpb", -1 },
	{ "stibp", -1 },
	{ "ssbd", -1 },
	{ "md-clear", -1 },
	{ "rsb", -1 },
};

enum { SET_SMEP, SET_SMAP, SET_UMIP, SET_XPTI, SET_PCID, SET_L1TF, SET_SPEC };
enum { SPEC_IBRS, SPEC_IBPB, SPEC_STIBP, SPEC_SSBD, SPEC_MD_CLEAR, SPEC_RSB };

bool split_tables, use_pcid, use_ibpb;
EXPOSED uint64_t gate_spec_hypervisor, gate_spec_guest;

static struct {
	uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_edx, leaf8_ebx, model;
	uint64_t capabilities;
	bool intel, amd;
} cpu;
static uint64_t cr4_wanted;
static bool spec_ctrl_msr;

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

static bool one_word(struct setting *s, unsigned count, const char *at, size_t len)
{
	int negative = len > 3 && !memcmp(at, "no-", 3), value = !negative;
	const char *name = negative ? at + 3 : at;
	size_t n = 0;

	len -= (size_t)(name - at);
	while (n < len && name[n] != '=')
		n++;
	if (n < len && (negative || !truth(name + n + 1, len - n - 1, &value)))
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (same(name, n, s[i].name)) {
			s[i].value = value;
			return true;
		}
	}
	return false;
}

bool protection_word(const char *at, size_t len)
{
	static const char list[] = "spec-ctrl=";
	size_t head = sizeof(list) - 1;

	if (one_word(settings, ARRAY_SIZE(settings), at, len))
		return true;
	if (len <= head || memcmp(at, list, head))
		return false;
	for (at += head, len -= head; len;) {
		size_t n = 0;

		while (n < len && at[n] != ',')
			n++;
		if (!one_word(spec_settings, ARRAY_SIZE(spec_settings), at, n))
			return false;
		n += n < len;
		at += n;
		len -= n;
	}
	return true;
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

static bool spec_on(unsigned setting, bool by_itself)
{
	if (spec_settings[setting].value >= 0)
		return spec_settings[setting].value;
	return on(SET_SPEC) && by_itself;
}

/*
 * QEMU's emulation reads the stack of an IRETQ in ring 3 as ring 0 would, and SMAP then forbids it; PV kernels return
 * by such IRETQs.
 */
static bool emulated_by_tcg(void)
{
	uint32_t r[4];

	if (!(cpu.leaf1_ecx & 1u << 31))
		return false;
	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354; /* "TCGT" */
}

static void look(void)
{
	uint32_t r[4], vendor[3], last;

	cpuid(0, 0, r);
	last = r[0];
	vendor[0] = r[1];
	vendor[1] = r[3];
	vendor[2] = r[2];
	cpu.intel = !memcmp(vendor, "GenuineIntel", 12);
	cpu.amd = !memcmp(vendor, "AuthenticAMD", 12) || !memcmp(vendor, "HygonGenuine", 12);
	cpuid(1, 0, r);
	cpu.leaf1_ecx = r[2];
	cpu.model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
	if (last >= 7) {
		cpuid(7, 0, r);
		cpu.leaf7_ebx = r[1];
		cpu.leaf7_ecx = r[2];
		cpu.leaf7_edx = r[3];
	}
	cpuid(0x80000000, 0, r);
	if (r[0] >= 0x80000008) {
		cpuid(0x80000008, 0, r);
		cpu.leaf8_ebx = r[1];
	}
	if (cpu.leaf7_edx & CPUID7_EDX_ARCH_CAP)
		cpu.capabilities = msr_read(MSR_ARCH_CAPABILITIES);
}

/* Skylake and its relatives predict returns from elsewhere when their stack runs empty: retpolines are not enough. */
static bool needs_ibrs(void)
{
	static const uint8_t models[] = { 0x4e, 0x5e, 0x55, 0x8e, 0x9e, 0x66, 0xa5, 0xa6 };

	for (unsigned i = 0; cpu.intel && i < sizeof(models); i++)
		if (cpu.model == models[i])
			return true;
	return false;
}

/*
 * SPEC_CTRL has one value while C code runs and one for ring 3. Guests are not offered the register. The gate's fast
 * paths have no indirect branch and no return, so they run with ring 3's.
 */
static void choose_speculation(void)
{
	bool intel_msr = cpu.leaf7_edx & CPUID7_EDX_IBRS_IBPB;
	bool ibrs = intel_msr || (cpu.leaf8_ebx & CPUID8_EBX_IBRS);
	bool always = (cpu.capabilities & ARCH_CAP_IBRS_ALL) || (cpu.leaf8_ebx & CPUID8_EBX_IBRS_ALWAYS);
	bool stibp = cpu.leaf7_edx & CPUID7_EDX_STIBP || cpu.leaf8_ebx & CPUID8_EBX_STIBP;
	bool ssbd = cpu.leaf7_edx & CPUID7_EDX_SSBD || cpu.leaf8_ebx & CPUID8_EBX_SSBD;
	uint64_t both = 0;

	spec_ctrl_msr = ibrs || stibp || ssbd;
	if (ibrs && always && spec_on(SPEC_IBRS, true))
		both |= SPEC_CTRL_IBRS;
	else if (ibrs && spec_on(SPEC_IBRS, needs_ibrs()))
		gate_spec_hypervisor |= SPEC_CTRL_IBRS;
	if (stibp && spec_on(SPEC_STIBP, cpu.leaf8_ebx & CPUID8_EBX_STIBP_ALWAYS))
		both |= SPEC_CTRL_STIBP;
	if (ssbd && spec_on(SPEC_SSBD, false))
		both |= SPEC_CTRL_SSBD;
	gate_spec_hypervisor |= both;
	gate_spec_guest |= both;
	if (gate_spec_hypervisor != gate_spec_guest)
		gate_features |= 1u << GATE_ALT_SPEC_CTRL;
	use_ibpb = (intel_msr || (cpu.leaf8_ebx & CPUID8_EBX_IBPB)) && spec_on(SPEC_IBPB, true);
	if ((cpu.leaf7_edx & CPUID7_EDX_MD_CLEAR) && spec_on(SPEC_MD_CLEAR, !(cpu.capabilities & ARCH_CAP_MDS_NO)))
		gate_features |= 1u << GATE_ALT_VERW;
	/* With SMEP, ring 0 does not speculate into ring 3's pages, and that is all a guest's returns can lead to. */
	if (spec_on(SPEC_RSB, !(cr4_wanted & CR4_SMEP)))
		gate_features |= 1u << GATE_ALT_RSB;
}

/* Guests may use FSGSBASE; ring 0 may neither run nor, by accident, read what belongs to ring 3. */
static void choose_cr4(void)
{
	cr4_wanted = CR4_DE | CR4_PAE | CR4_MCE;
	cr4_wanted |= cpu.leaf7_ebx & 1 ? CR4_FSGSBASE : 0;
	cr4_wanted |= (cpu.leaf7_ebx >> 7 & 1) && on(SET_SMEP) ? CR4_SMEP : 0;
	cr4_wanted |= (cpu.leaf7_ebx >> 20 & 1) && on(SET_SMAP) && !emulated_by_tcg() ? CR4_SMAP : 0;
	cr4_wanted |= (cpu.leaf7_ecx >> 2 & 1) && on(SET_UMIP) ? CR4_UMIP : 0;
	if (cr4_wanted & CR4_SMAP)
		gate_features |= 1u << GATE_ALT_SMAP;
}

static void tell(void)
{
	unsigned f = gate_features;

	xlog(LOG_INFO, "CPU protection: NX%s%s%s%s%s%s", cr4_wanted & CR4_SMEP ? " SMEP" : "",
	     cr4_wanted & CR4_SMAP ? " SMAP" : "", cr4_wanted & CR4_UMIP ? " UMIP" : "",
	     split_tables ? " XPTI" : "", use_pcid ? " PCID" : "", metal_info.l1tf ? " PV-L1TF" : "");
	xlog(LOG_INFO, "speculation: retpolines%s%s%s%s%s%s%s", gate_spec_guest & SPEC_CTRL_IBRS ? " IBRS (always)" : "",
	     f >> GATE_ALT_SPEC_CTRL & 1 ? " IBRS (in the hypervisor)" : "",
	     gate_spec_guest & SPEC_CTRL_STIBP ? " STIBP" : "", gate_spec_guest & SPEC_CTRL_SSBD ? " SSBD" : "",
	     use_ibpb ? " IBPB" : "", f >> GATE_ALT_VERW & 1 ? " MD_CLEAR" : "",
	     f >> GATE_ALT_RSB & 1 ? " RSB" : "");
}

void protection_init(void)
{
	bool meltdown;

	look();
	/* Meltdown and L1TF: what a read may not have, speculative code gets all the same. AMD's never did. */
	meltdown = !cpu.amd && !(cpu.capabilities & ARCH_CAP_RDCL_NO);
	choose_cr4();
	split_tables = settings[SET_XPTI].value < 0 ? meltdown : settings[SET_XPTI].value;
	if (split_tables)
		gate_features |= 1u << GATE_ALT_SPLIT;
	/* Without INVPCID there is no way to flush an address space from outside. */
	use_pcid = (cpu.leaf1_ecx >> 17 & 1) && (cpu.leaf7_ebx >> 10 & 1) && on(SET_PCID);
	if (use_pcid) {
		gate_features |= 1u << GATE_ALT_PCID;
		cr4_wanted |= CR4_PCIDE;
	}
	metal_info.l1tf = settings[SET_L1TF].value < 0 ? meltdown && cpu.intel : settings[SET_L1TF].value;
	choose_speculation();
	tell();
}

void protect_cpu(void)
{
	cr4_write(cr4_wanted | (cr4_read() & CR4_PGE));
	cr0_write(cr0_read() | CR0_WP | CR0_AM);
	if (spec_ctrl_msr)
		msr_write(MSR_SPEC_CTRL, gate_spec_hypervisor);
}
