/* SPDX-License-Identifier: MIT */
/*
 * How the machine ends. Power off by ACPI: the S5 sleep type is looked for in the DSDT's bytes (an interpreter for
 * one constant package would be a thousand times this file), then the ports QEMU's machines have had.
 */
#include "acpi.h"
#include "metal.h"

#define DEBUG_EXIT_PORT 0xf4

static struct {
	uint16_t pm1a, pm1b, smi_port;
	uint8_t smi_enable, type_a, type_b;
	bool found;
} acpi;

/* An integer of AML: ZeroOp, OneOp or a byte constant. */
static bool aml_byte(const uint8_t **p, const uint8_t *end, uint8_t *v)
{
	if (*p + 2 > end)
		return false;
	*v = **p;
	if (*v == 0x0a)
		*v = *++*p;
	++*p;
	return true;
}

/* Name (_S5_, Package () { a, b, ... }): 08 _S5_ 12 length count a b */
static bool find_s5(const struct acpi_table *dsdt)
{
	const uint8_t *p = (const uint8_t *)dsdt + sizeof(*dsdt);
	const uint8_t *end = (const uint8_t *)dsdt + dsdt->length;

	for (; p + 12 < end; p++) {
		const uint8_t *q = p + 4;

		if (memcmp(p, "_S5_", 4) || *q != 0x12)
			continue;
		q++;
		q += (*q >> 6) + 2; /* package length, element count */
		return aml_byte(&q, end, &acpi.type_a) && aml_byte(&q, end, &acpi.type_b);
	}
	return false;
}

void power_init(void)
{
	const struct acpi_table *fadt = acpi_find("FACP"), *dsdt;

	if (!fadt)
		return;
	dsdt = acpi_table_at(acpi_get(fadt, 40, 4));
	if (!dsdt || !find_s5(dsdt))
		return;
	acpi.smi_port = (uint16_t)acpi_get(fadt, 48, 4);
	acpi.smi_enable = (uint8_t)acpi_get(fadt, 52, 1);
	acpi.pm1a = (uint16_t)acpi_get(fadt, 64, 4);
	acpi.pm1b = (uint16_t)acpi_get(fadt, 68, 4);
	acpi.found = acpi.pm1a;
}

static void acpi_power_off(void)
{
	if (!acpi.found)
		return;
	if (!(in16(acpi.pm1a) & 1) && acpi.smi_port && acpi.smi_enable) {
		out8(acpi.smi_port, acpi.smi_enable);
		for (unsigned i = 0; i < 1000000 && !(in16(acpi.pm1a) & 1); i++)
			cpu_relax();
	}
	out16(acpi.pm1a, (uint16_t)(acpi.type_a << 10 | 1 << 13));
	if (acpi.pm1b)
		out16(acpi.pm1b, (uint16_t)(acpi.type_b << 10 | 1 << 13));
}

void machine_end(enum ending how)
{
	static const uint8_t code[] = { [END_CRASH] = 0, [END_REFUSED] = 0, [END_PANIC] = 1 };

	__asm__ volatile("cli");
	serial_drain();
	/* QEMU ends with status 2 * code + 1. */
	if (debug_exit && how != END_GOOD)
		out8(DEBUG_EXIT_PORT, code[how]);
	/* After a panic what is on the screen is worth more than the power. */
	if (how != END_PANIC) {
		acpi_power_off();
		out16(0x604, 0x2000);
		out16(0xb004, 0x2000);
		for (unsigned i = 0; i < 10000000; i++)
			cpu_relax();
		xlog(LOG_ERROR, "the machine does not power off: it may be switched off now");
	}
	for (;;)
		__asm__ volatile("hlt");
}

void refuse(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	last_words(line);
	machine_end(END_REFUSED);
}
