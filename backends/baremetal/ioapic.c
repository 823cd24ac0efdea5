/* SPDX-License-Identifier: MIT */
/*
 * The serial line's interrupt by I/O APIC, as the MADT says: which of them has the pin of ISA line 4, how the line was
 * wired, in what sense it speaks. Every other pin is silenced, whatever firmware left there. Without MADT the old
 * interrupt controllers, which apic.c has set up, keep doing it.
 */
#include "acpi.h"
#include "metal.h"

#define MADT_ENTRIES 44
enum { MADT_IOAPIC = 1, MADT_OVERRIDE = 2 };

#define SERIAL_IRQ 4

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_VERSION 1
#define IOAPIC_PIN(n) (0x10 + 2 * (n))

#define PIN_MASKED 0x10000u
#define PIN_LEVEL  0x08000u
#define PIN_LOW    0x02000u

static struct ioapic {
	uint64_t phys;
	uint32_t gsi;
	volatile uint32_t *regs;
} ioapics[16];
static unsigned nr_ioapics;

static uint32_t serial_gsi = SERIAL_IRQ, serial_mode;

static void override(const struct acpi_table *madt, uint32_t at)
{
	uint32_t flags = (uint32_t)acpi_get(madt, at + 8, 2);

	if (acpi_get(madt, at + 3, 1) != SERIAL_IRQ)
		return;
	serial_gsi = (uint32_t)acpi_get(madt, at + 4, 4);
	/* 1 and 3; 0 is the ISA bus's own way: high, edge. */
	serial_mode = ((flags & 3) == 3 ? PIN_LOW : 0) | ((flags >> 2 & 3) == 3 ? PIN_LEVEL : 0);
}

void ioapic_find(void)
{
	const struct acpi_table *madt = acpi_find("APIC");

	for (uint32_t at = MADT_ENTRIES; madt && at + 2 <= madt->length;) {
		uint32_t type = (uint32_t)acpi_get(madt, at, 1), size = (uint32_t)acpi_get(madt, at + 1, 1);

		if (size < 2)
			return;
		if (type == MADT_IOAPIC && nr_ioapics < ARRAY_SIZE(ioapics))
			ioapics[nr_ioapics++] = (struct ioapic){ .phys = acpi_get(madt, at + 4, 4),
								 .gsi = (uint32_t)acpi_get(madt, at + 8, 4) };
		else if (type == MADT_OVERRIDE)
			override(madt, at);
		at += size;
	}
}

static uint32_t ioapic_read(const struct ioapic *io, uint32_t reg)
{
	io->regs[IOAPIC_SELECT / 4] = reg;
	return io->regs[IOAPIC_WINDOW / 4];
}

static void ioapic_write(const struct ioapic *io, uint32_t reg, uint32_t v)
{
	io->regs[IOAPIC_SELECT / 4] = reg;
	io->regs[IOAPIC_WINDOW / 4] = v;
}

/* Returns whether it has the serial line's pin. */
static bool set_up(struct ioapic *io, uint32_t destination)
{
	uint32_t pins;
	bool here;

	io->regs = device_map(io->phys);
	pins = (ioapic_read(io, IOAPIC_VERSION) >> 16 & 0xff) + 1;
	for (uint32_t pin = 0; pin < pins; pin++)
		ioapic_write(io, IOAPIC_PIN(pin), PIN_MASKED);
	here = serial_gsi >= io->gsi && serial_gsi - io->gsi < pins;
	if (here) {
		ioapic_write(io, IOAPIC_PIN(serial_gsi - io->gsi) + 1, destination << 24);
		ioapic_write(io, IOAPIC_PIN(serial_gsi - io->gsi), VECTOR_SERIAL | serial_mode);
	}
	return here;
}

void ioapic_init(void)
{
	uint32_t r[4];
	bool routed = false;

	cpuid(1, 0, r);
	for (unsigned i = 0; i < nr_ioapics; i++)
		routed |= set_up(&ioapics[i], r[1] >> 24);
	if (routed)
		pic_silence();
	xlog(LOG_INFO, "serial line's interrupt: %s %u", routed ? "I/O APIC, global number" : "old controller, line",
	     routed ? serial_gsi : SERIAL_IRQ);
}
