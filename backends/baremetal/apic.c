/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: timer and end of interrupt, by MSRs in x2APIC mode or by its page. The old interrupt controller
 * stays where there is no I/O APIC (ioapic.c), for the serial line alone, through LINT0.
 */
#include "metal.h"

#define APIC_BASE_ENABLE UINT64_C(0x800)
#define APIC_BASE_X2     UINT64_C(0x400)

#define APIC_TPR      0x080u
#define APIC_EOI      0x0b0u
#define APIC_SVR      0x0f0u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_LVT_ERROR 0x370u
#define APIC_INITIAL  0x380u
#define APIC_CURRENT  0x390u
#define APIC_DIVIDE   0x3e0u
#define APIC_ID       0x020u
#define APIC_COMMAND  0x300u
#define APIC_TARGET   0x310u

#define COMMAND_PENDING 0x1000u

#define LVT_MASKED   0x10000u
#define LVT_NMI      0x400u
#define LVT_EXTINT   0x700u
#define LVT_DEADLINE 0x40000u
#define DIVIDE_16    3u

#define PIC1 0x20
#define PIC2 0xa0

static volatile uint32_t *page; /* NULL: x2APIC */
static bool deadline;

static uint32_t apic_read(unsigned reg)
{
	return page ? page[reg / 4] : (uint32_t)msr_read(0x800 + reg / 16);
}

static void apic_write(unsigned reg, uint32_t v)
{
	if (page)
		page[reg / 4] = v;
	else
		msr_write(0x800 + reg / 16, v);
}

/* Both controllers to vectors of ours, all lines off but the second's and the serial line's. */
static void pic_init(void)
{
	out8(PIC1, 0x11);
	out8(PIC2, 0x11);
	out8(PIC1 + 1, VECTOR_PIC);
	out8(PIC2 + 1, VECTOR_PIC + 8);
	out8(PIC1 + 1, 4);
	out8(PIC2 + 1, 2);
	out8(PIC1 + 1, 1);
	out8(PIC2 + 1, 1);
	out8(PIC1 + 1, (uint8_t)~(1u << 4));
	out8(PIC2 + 1, 0xff);
}

/* The I/O APIC has taken over. */
void pic_silence(void)
{
	out8(PIC1 + 1, 0xff);
	out8(PIC2 + 1, 0xff);
}

/* x2APIC where it is offered. Returns APIC_BASE. */
static uint64_t enable(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE);
	uint32_t r[4];

	cpuid(1, 0, r);
	deadline = r[2] & 1u << 24;
	/* In two steps: from off there is no way straight to x2APIC. */
	base |= APIC_BASE_ENABLE;
	msr_write(MSR_APIC_BASE, base);
	if ((r[2] & 1u << 21) && !(base & APIC_BASE_X2)) {
		base |= APIC_BASE_X2;
		msr_write(MSR_APIC_BASE, base);
	}
	return base;
}

static void set_up(uint32_t lint0)
{
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, 0x100 | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_LINT0, lint0);
	apic_write(APIC_LVT_LINT1, LVT_NMI);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_DIVIDE, DIVIDE_16);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (deadline ? LVT_DEADLINE : 0));
}

void apic_init(void)
{
	uint64_t base = enable();

	if (!(base & APIC_BASE_X2))
		page = device_map(base & PTE_ADDR);
	pic_init();
	set_up(LVT_EXTINT);
	this_cpu()->apic_id = apic_id();
}

/* The old controller speaks to the first CPU only. */
void apic_init_cpu(void)
{
	enable();
	set_up(LVT_MASKED);
}

uint32_t apic_id(void)
{
	return page ? apic_read(APIC_ID) >> 24 : apic_read(APIC_ID);
}

void apic_send(uint32_t id, uint32_t command)
{
	if (!page) {
		__asm__ volatile("mfence; lfence" : : : "memory"); /* the MSR's writes wait for nothing else */
		msr_write(0x800 + APIC_COMMAND / 16, (uint64_t)id << 32 | command);
		return;
	}
	apic_write(APIC_TARGET, id << 24);
	apic_write(APIC_COMMAND, command);
	while (apic_read(APIC_COMMAND) & COMMAND_PENDING)
		cpu_relax();
}

bool apic_has_deadline(void)
{
	return deadline;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

uint32_t apic_timer_count(bool restart)
{
	if (restart) {
		apic_write(APIC_LVT_TIMER, VECTOR_TIMER | LVT_MASKED);
		apic_write(APIC_INITIAL, ~0u);
		return ~0u;
	}

	uint32_t now = apic_read(APIC_CURRENT);

	apic_write(APIC_INITIAL, 0);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (deadline ? LVT_DEADLINE : 0));
	return now;
}

/* Early is allowed: the core looks at the clock and asks again. */
void apic_timer_start(uint64_t tsc)
{
	uint64_t now, ticks, longest = (uint64_t)metal_info.tsc_khz * 30000; /* 30 s */

	if (deadline) {
		__asm__ volatile("mfence" : : : "memory");
		msr_write(MSR_TSC_DEADLINE, tsc);
		return;
	}
	if (!tsc) {
		apic_write(APIC_INITIAL, 0);
		return;
	}
	now = tsc_read();
	ticks = tsc > now ? min_t(uint64_t, tsc - now, longest) : 0;
	apic_write(APIC_INITIAL, (uint32_t)(ticks * clock_apic_khz() / metal_info.tsc_khz) + 1);
}

bool interrupt(unsigned vector)
{
	switch (vector) {
	case VECTOR_TIMER:
		this_cpu()->timer_tsc = 0;
		apic_eoi();
		if (this_cpu()->id == 0)
			serial_interrupt(); /* should its line be dead, typing is still heard now and then */
		return true;
	case VECTOR_KICK:
		apic_eoi();
		return true;
	case VECTOR_SERIAL:
		serial_interrupt();
		apic_eoi();
		return true;
	case VECTOR_PIC + 4:
		serial_interrupt();
		out8(PIC1, 0x20);
		return true;
	case VECTOR_PIC + 7: /* the controllers' spurious ones */
	case VECTOR_PIC + 15:
	case VECTOR_SPURIOUS:
		return true;
	default:
		return false;
	}
}
