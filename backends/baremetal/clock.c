/* SPDX-License-Identifier: MIT */
/*
 * Time: the TSC is the clock, its frequency from CPUID or else measured against the HPET, ACPI's timer or the PIT,
 * whichever there is first; the wall clock is the RTC's at start plus what the TSC has counted since.
 */
#include "acpi.h"
#include "metal.h"

#define PIT_HZ      1193182u
#define PIT_CH2     0x42
#define PIT_MODE    0x43
#define PIT_GATE    0x61
#define MEASURE_NS  10000000u
#define MEASUREMENTS 20u

/* HPET registers, and its table's and the FADT's fields (ACPI 6.4; IA-PC HPET 1.0a). */
#define HPET_PERIOD   0x004 /* femtoseconds, at most 10^8 */
#define HPET_CONFIG   0x010
#define HPET_COUNTER  0x0f0
#define HPET_TABLE_SPACE   40
#define HPET_TABLE_ADDRESS 44
#define FADT_PM_TIMER 76
#define FADT_FLAGS    112
#define PM_TIMER_32   (1u << 8)
#define PM_TIMER_HZ   3579545u

#define FS_PER_SEC UINT64_C(1000000000000000)

static uint32_t apic_khz = 1;
static uint64_t wall_start_ns, wall_start_tsc;

uint32_t clock_apic_khz(void)
{
	return apic_khz;
}

/* A counter of known speed to measure against; fs 0: none, the PIT must do. */
static struct reference {
	const char *name;
	volatile uint32_t *counter; /* NULL: a port */
	uint16_t port;
	uint32_t mask;
	uint64_t fs; /* femtoseconds a tick */
	uint64_t hpet; /* physical address, before it is mapped */
} ref = { .name = "PIT" };

void clock_find(void)
{
	const struct acpi_table *hpet = acpi_find("HPET"), *fadt = acpi_find("FACP");

	if (hpet && !acpi_get(hpet, HPET_TABLE_SPACE, 1))
		ref.hpet = acpi_get(hpet, HPET_TABLE_ADDRESS, 8);
	if (!fadt || !acpi_get(fadt, FADT_PM_TIMER, 4))
		return;
	ref.name = "ACPI timer";
	ref.port = (uint16_t)acpi_get(fadt, FADT_PM_TIMER, 4);
	ref.mask = acpi_get(fadt, FADT_FLAGS, 4) & PM_TIMER_32 ? 0xffffffff : 0xffffff;
	ref.fs = FS_PER_SEC / PM_TIMER_HZ;
}

static void use_hpet(void)
{
	volatile uint32_t *regs = ref.hpet ? device_map(ref.hpet) : NULL;
	uint32_t fs = regs ? regs[HPET_PERIOD / 4] : 0;

	if (fs < 100000 || fs > 100000000)
		return;
	regs[HPET_CONFIG / 4] |= 1;
	ref.name = "HPET";
	ref.counter = &regs[HPET_COUNTER / 4];
	ref.mask = 0xffffffff;
	ref.fs = fs;
}

static uint32_t ref_read(void)
{
	return ref.counter ? *ref.counter : in32(ref.port);
}

/**
 * struct measurement - how far TSC and APIC timer came in @ns by the reference.
 * @doubt: TSC ticks that passed around the readings. A CPU of a virtual machine may be kept waiting there.
 */
struct measurement {
	uint64_t tsc, ns, doubt;
	uint32_t apic;
};

static bool measure_by_counter(struct measurement *m)
{
	uint64_t before, start, waiting, end, ticks, want = MEASURE_NS * UINT64_C(1000000) / ref.fs;
	uint32_t first, now, limit = 1000000;

	before = tsc_read();
	first = ref_read();
	start = tsc_read();
	apic_timer_count(true);
	do {
		if (!limit--)
			return false;
		waiting = tsc_read();
		now = ref_read();
		end = tsc_read();
		ticks = (now - first) & ref.mask;
	} while (ticks < want);
	m->apic = ~0u - apic_timer_count(false);
	m->tsc = end - start;
	m->ns = ticks * ref.fs / 1000000;
	m->doubt = start - before + end - waiting + tsc_read() - end;
	return true;
}

static bool measure_by_pit(struct measurement *m)
{
	unsigned count = PIT_HZ / (1000000000 / MEASURE_NS), limit = 100000000;
	uint64_t before, start, waiting, end, after;

	out8(PIT_GATE, (in8(PIT_GATE) & 0xfc) | 1);
	out8(PIT_MODE, 0xb0); /* channel 2, both bytes, one-shot */
	out8(PIT_CH2, count & 0xff);
	before = tsc_read();
	out8(PIT_CH2, (uint8_t)(count >> 8));
	apic_timer_count(true);
	start = tsc_read();
	do {
		if (!limit--)
			return false;
		waiting = tsc_read();
	} while (!(in8(PIT_GATE) & 0x20));
	end = tsc_read();
	m->apic = ~0u - apic_timer_count(false);
	after = tsc_read();
	m->tsc = end - start;
	m->ns = MEASURE_NS;
	m->doubt = start - before + end - waiting + after - end;
	return true;
}

static bool agree(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) < a / 1000;
}

/* Measurements may have gone on for differently long: TSC ticks in 4096 us. */
static uint64_t rate(const struct measurement *m)
{
	return m->tsc * 4096 / (m->ns / 1000);
}

/* Until one agrees with an earlier one, since disturbed ones differ; else the least doubtful of all. */
static bool measure_well(struct measurement *best)
{
	struct measurement m[MEASUREMENTS];

	for (unsigned i = 0; i < MEASUREMENTS; i++) {
		if (!(ref.fs ? measure_by_counter(&m[i]) : measure_by_pit(&m[i])))
			return false;
		if (!i || m[i].doubt < best->doubt)
			*best = m[i];
		for (unsigned j = 0; j < i; j++) {
			if (agree(rate(&m[i]), rate(&m[j]))) {
				*best = m[i].doubt < m[j].doubt ? m[i] : m[j];
				return true;
			}
		}
	}
	return true;
}

/* Crystal and ratio, or the base frequency it comes to (SDM vol. 2, CPUID 15H and 16H), or what a hypervisor tells. */
static uint32_t told_khz(void)
{
	uint32_t r[4], max;

	cpuid(0, 0, r);
	max = r[0];
	if (max >= 0x15) {
		cpuid(0x15, 0, r);
		if (r[0] && r[1] && r[2])
			return (uint32_t)((uint64_t)r[2] * r[1] / r[0] / 1000);
		if (r[0] && r[1] && max >= 0x16) {
			cpuid(0x16, 0, r);
			if (r[0] & 0xffff)
				return (r[0] & 0xffff) * 1000;
		}
	}
	cpuid(1, 0, r);
	if (r[2] & 1u << 31) {
		cpuid(0x40000000, 0, r);
		if (r[0] >= 0x40000010 && r[0] < 0x40010000) {
			cpuid(0x40000010, 0, r);
			return r[0];
		}
	}
	return 0;
}

static unsigned cmos(unsigned reg)
{
	out8(0x70, (uint8_t)(0x80 | reg));
	return in8(0x71);
}

static unsigned from_bcd(unsigned v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static uint64_t days(unsigned y, unsigned m, unsigned d)
{
	/* Years begin in March, so that the leap day is the last. */
	unsigned years = m > 2 ? y : y - 1, month = m > 2 ? m - 3 : m + 9;

	return years * UINT64_C(365) + years / 4 - years / 100 + years / 400 + (153 * month + 2) / 5 + d - 1 -
	       719468;
}

static void read_rtc(unsigned t[6])
{
	static const uint8_t regs[6] = { 0, 2, 4, 7, 8, 9 };
	unsigned again[6], tries = 0;

	do {
		for (unsigned i = 0; i < 1000000 && (cmos(10) & 0x80); i++)
			cpu_relax();
		for (unsigned i = 0; i < 6; i++)
			t[i] = cmos(regs[i]);
		for (unsigned i = 0; i < 6; i++)
			again[i] = cmos(regs[i]);
	} while (memcmp(t, again, sizeof(again)) && ++tries < 10);
}

static uint64_t rtc_ns(void)
{
	unsigned t[6], format = cmos(11), pm;

	read_rtc(t);
	pm = t[2] & 0x80;
	t[2] &= 0x7f;
	for (unsigned i = 0; i < 6 && !(format & 4); i++)
		t[i] = from_bcd(t[i]);
	if (!(format & 2))
		t[2] = t[2] % 12 + (pm ? 12 : 0);
	if (t[4] < 1 || t[4] > 12 || t[3] < 1 || t[3] > 31)
		return 0;
	return ((days(2000 + t[5], t[4], t[3]) * 24 + t[2]) * 60 + t[1]) * 60 * NSEC_PER_SEC +
	       t[0] * NSEC_PER_SEC;
}

void clock_init(void)
{
	struct measurement m = { 0 };
	uint32_t khz = told_khz();

	if (!khz || !apic_has_deadline()) {
		use_hpet();
		if (!measure_well(&m))
			refuse("the timer (%s) does not run and CPUID does not tell the frequency of the TSC",
			       ref.name);
		apic_khz = max_t(uint32_t, (uint32_t)(m.apic * UINT64_C(1000000) / m.ns), 1);
		if (!khz)
			khz = (uint32_t)(m.tsc * 1000000 / m.ns);
		xlog(LOG_INFO, "clocks measured by the %s", ref.name);
	}
	if (!khz)
		refuse("the time-stamp counter does not run");
	metal_info.tsc_khz = khz;
	wall_start_ns = rtc_ns();
	wall_start_tsc = tsc_read();
}

uint64_t plat_tsc(void)
{
	return tsc_read();
}

uint64_t plat_wallclock_ns(void)
{
	uint64_t ticks = tsc_read() - wall_start_tsc;

	return wall_start_ns + ticks / metal_info.tsc_khz * 1000000 +
	       ticks % metal_info.tsc_khz * 1000000 / metal_info.tsc_khz;
}

void plat_timer_set(uint64_t tsc)
{
	struct percpu *p = this_cpu();

	if (p->timer_tsc == tsc)
		return;
	p->timer_tsc = tsc;
	apic_timer_start(tsc);
}

/* Interrupts have been off since the core looked for work, so none that brings some is lost. */
void plat_cpu_idle(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

unsigned plat_cpu_id(void)
{
	return this_cpu_id();
}

void plat_cpu_relax(unsigned spins)
{
	cpu_relax();
}
