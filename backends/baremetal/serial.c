/* SPDX-License-Identifier: MIT */
/* The first serial port: output polled, so that it works from a panic; input by interrupt into a ring. */
#include "metal.h"

#define COM1 0x3f8
#define DATA 0
#define IER  1
#define FCR  2
#define LCR  3
#define MCR  4
#define LSR  5
#define SCR  7

#define LSR_RECEIVED 0x01
#define LSR_EMPTY    0x20
#define LSR_IDLE     0x40

#define RING 1024u

static bool present;
static char ring[RING];
static unsigned produced, consumed;

/* What finds no room in the ring stays in the FIFO: an emulated line then makes its other end wait. */
static void take_received(void)
{
	while (produced - consumed < RING && (in8(COM1 + LSR) & LSR_RECEIVED))
		ring[produced++ % RING] = (char)in8(COM1 + DATA);
}

void serial_init(void)
{
	out8(COM1 + SCR, 0x5a);
	present = in8(COM1 + SCR) == 0x5a;
	if (!present)
		return;
	out8(COM1 + IER, 0);
	take_received(); /* before the FIFO is emptied */
	out8(COM1 + LCR, 0x80);
	out8(COM1 + DATA, 1); /* 115200 */
	out8(COM1 + IER, 0);
	out8(COM1 + LCR, 3); /* 8N1 */
	out8(COM1 + FCR, 7);
	out8(COM1 + MCR, 0x0b); /* DTR, RTS, and OUT2, which lets the interrupt out */
}

/* A line that never takes anything is broken, but for one that ends in somebody's pipe: he just does not read yet. */
static void put(char c)
{
	for (unsigned i = 0; (i < 1000000 || channel_is_open()) && !(in8(COM1 + LSR) & LSR_EMPTY); i++)
		cpu_relax();
	out8(COM1 + DATA, (uint8_t)c);
}

void serial_write(const char *buf, size_t len)
{
	if (!present)
		return;
	while (len--)
		put(*buf++);
}

/* What the line still holds would be lost with the power. */
void serial_drain(void)
{
	for (unsigned i = 0; present && (i < 1000000 || channel_is_open()) && !(in8(COM1 + LSR) & LSR_IDLE); i++)
		cpu_relax();
}

void serial_interrupts(void)
{
	if (present)
		out8(COM1 + IER, 1);
}

void serial_interrupt(void)
{
	if (!present)
		return;
	take_received();
	if (produced - consumed == RING)
		out8(COM1 + IER, 0); /* until serial_take() has made room */
}

size_t serial_peek(char *buf, size_t size)
{
	size_t n = 0;

	while (n < size && consumed + n != produced) {
		buf[n] = ring[(consumed + n) % RING];
		n++;
	}
	return n;
}

void serial_take(size_t n)
{
	bool was_full = produced - consumed == RING;

	consumed += (unsigned)n;
	if (was_full && n)
		serial_interrupts();
}
