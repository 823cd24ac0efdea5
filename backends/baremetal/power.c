/* SPDX-License-Identifier: MIT */
/*
 * How the machine ends or starts anew. Power off by ACPI: the S5 sleep type is looked for in the DSDT's bytes (an
 * interpreter for one constant package would be a thousand times this file), then the ports QEMU's machines have had.
 * Restart by ACPI's reset register, else by the chipset's, the keyboard controller's, a triple fault.
 */
#include "acpi.h"
#include "metal.h"

#define DEBUG_EXIT_PORT 0xf4
#define CHIPSET_RESET   0xcf9
#define KEYBOARD        0x64

/* FADT: flags and the offsets of its generic addresses (ACPI 6.4, 5.2.9). */
#define FADT_FLAGS       112
#define FADT_RESET_REG   116
#define FADT_RESET_VALUE 128
#define FADT_X_DSDT      140
#define FADT_SLEEP_REG   244
#define FADT_HAS_RESET   (1u << 10)
#define FADT_HW_REDUCED  (1u << 20)

#define SLEEP_ENABLE (1 << 13) /* of a PM1 control register */

enum { SPACE_MEMORY = 0, SPACE_PORT = 1 };

/* A byte wide register; address 0: there is none. */
struct reg {
	uint8_t space;
	uint64_t address;
	volatile uint8_t *mapped;
};

static struct {
	uint16_t pm1a, pm1b, smi_port;
	uint8_t smi_enable, type_a, type_b, reset_value;
	bool found;
	struct reg sleep, reset;
} acpi;

enum panic_end on_panic;

static struct reg reg_at(const struct acpi_table *t, uint32_t offset)
{
	return (struct reg){ .space = (uint8_t)acpi_get(t, offset, 1), .address = acpi_get(t, offset + 4, 8) };
}

static void reg_map(struct reg *r)
{
	if (r->address && r->space == SPACE_MEMORY)
		r->mapped = device_map(r->address);
}

static void reg_write(const struct reg *r, uint8_t v)
{
	if (r->mapped)
		*r->mapped = v;
	else if (r->address && r->space == SPACE_PORT)
		out8((uint16_t)r->address, v);
}

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
	uint32_t flags;

	if (!fadt)
		return;
	flags = (uint32_t)acpi_get(fadt, FADT_FLAGS, 4);
	if (flags & FADT_HAS_RESET) {
		acpi.reset = reg_at(fadt, FADT_RESET_REG);
		acpi.reset_value = (uint8_t)acpi_get(fadt, FADT_RESET_VALUE, 1);
	}
	dsdt = acpi_table_at(acpi_get(fadt, 40, 4));
	if (!dsdt)
		dsdt = acpi_table_at(acpi_get(fadt, FADT_X_DSDT, 8));
	if (!dsdt || !find_s5(dsdt))
		return;
	if (flags & FADT_HW_REDUCED)
		acpi.sleep = reg_at(fadt, FADT_SLEEP_REG);
	acpi.smi_port = (uint16_t)acpi_get(fadt, 48, 4);
	acpi.smi_enable = (uint8_t)acpi_get(fadt, 52, 1);
	acpi.pm1a = (uint16_t)acpi_get(fadt, 64, 4);
	acpi.pm1b = (uint16_t)acpi_get(fadt, 68, 4);
	acpi.found = acpi.pm1a;
}

void power_map(void)
{
	reg_map(&acpi.sleep);
	reg_map(&acpi.reset);
}

static void wait(void)
{
	for (unsigned i = 0; i < 10000000; i++)
		cpu_relax();
}

static void acpi_power_off(void)
{
	reg_write(&acpi.sleep, (uint8_t)(acpi.type_a << 2 | 1 << 5));
	if (!acpi.found)
		return;
	if (!(in16(acpi.pm1a) & 1) && acpi.smi_port && acpi.smi_enable) {
		out8(acpi.smi_port, acpi.smi_enable);
		for (unsigned i = 0; i < 1000000 && !(in16(acpi.pm1a) & 1); i++)
			cpu_relax();
	}
	out16(acpi.pm1a, (uint16_t)(acpi.type_a << 10 | SLEEP_ENABLE));
	if (acpi.pm1b)
		out16(acpi.pm1b, (uint16_t)(acpi.type_b << 10 | SLEEP_ENABLE));
}

void machine_restart(void)
{
	struct table_pointer nothing = { 0, 0 };

	__asm__ volatile("cli");
	serial_drain();
	reg_write(&acpi.reset, acpi.reset_value);
	wait();
	out8(CHIPSET_RESET, 2);
	out8(CHIPSET_RESET, 6);
	wait();
	out8(KEYBOARD, 0xfe);
	wait();
	__asm__ volatile("lidt %0; int3" : : "m"(nothing));
	__builtin_unreachable();
}

static __attribute__((noreturn)) void power_off(void)
{
	acpi_power_off();
	out16(0x604, 0x2000);
	out16(0xb004, 0x2000);
	wait();
	xlog(LOG_ERROR, "the machine does not power off: it may be switched off now");
	for (;;)
		__asm__ volatile("hlt");
}

void machine_end(enum ending how)
{
	static const uint8_t code[] = { [END_CRASH] = 0, [END_REFUSED] = 0, [END_PANIC] = 1 };

	__asm__ volatile("cli");
	serial_drain();
	/* QEMU ends with status 2 * code + 1. */
	if (debug_exit && how != END_GOOD)
		out8(DEBUG_EXIT_PORT, code[how]);
	if (how == END_PANIC && on_panic == PANIC_RESTART)
		machine_restart();
	if (how != END_PANIC || on_panic == PANIC_POWER_OFF)
		power_off();
	/* After a panic what is on the screen is worth more than the power. */
	for (;;)
		__asm__ volatile("hlt");
}

void refuse(const char *fmt, ...)
{
	char line[448];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	last_words(line);
	machine_end(END_REFUSED);
}
