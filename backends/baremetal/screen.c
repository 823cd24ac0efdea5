/* SPDX-License-Identifier: MIT */
/*
 * The log on the screen, if the loader left one: characters where the VGA is in text mode, else points. Nothing is
 * ever read from it and nothing scrolls, for both are slow: lines go from the top to the bottom and then again from
 * the top, with an empty line before the oldest.
 */
#include "font.h"
#include "metal.h"

#define VGA_TEXT    0xb8000
#define VGA_COLUMNS 80
#define VGA_ROWS    25
#define VGA_GREY    0x0700

#define CELL_WIDTH  8
#define CELL_HEIGHT 16

static struct screen_info screen;
static volatile uint8_t *base;
static uint32_t columns, rows, row;
static uint32_t ink;
static bool cleared; /* of what the loader has written: with the first line */

static void draw_pixels(uint32_t column, uint32_t at_row, char c)
{
	const uint8_t *glyph = font[c >= FONT_FIRST && c <= FONT_LAST ? c - FONT_FIRST : '?' - FONT_FIRST];
	volatile uint8_t *line = base + (uint64_t)at_row * CELL_HEIGHT * screen.pitch +
				 column * CELL_WIDTH * screen.bytes_per_pixel;

	for (unsigned y = 0; y < CELL_HEIGHT; y++, line += screen.pitch) {
		unsigned bits = y >= 1 && y <= 2 * FONT_ROWS ? glyph[(y - 1) / 2] : 0;
		volatile uint8_t *p = line;

		for (unsigned x = 0; x < CELL_WIDTH; x++, p += screen.bytes_per_pixel) {
			uint32_t colour = x >= 1 && x <= 5 && (bits >> (5 - x) & 1) ? ink : 0;

			if (screen.bytes_per_pixel == 4) {
				*(volatile uint32_t *)p = colour;
			} else {
				p[0] = (uint8_t)colour;
				p[1] = (uint8_t)(colour >> 8);
				p[2] = (uint8_t)(colour >> 16);
			}
		}
	}
}

static void draw(uint32_t column, uint32_t at_row, char c)
{
	if (screen.kind == SCREEN_TEXT)
		((volatile uint16_t *)(base + at_row * screen.pitch))[column] = VGA_GREY | (uint8_t)c;
	else
		draw_pixels(column, at_row, c);
}

static void clear_row(uint32_t at_row, uint32_t from)
{
	for (uint32_t i = from; i < columns; i++)
		draw(i, at_row, ' ');
}

static void next_row(void)
{
	row = (row + 1) % rows;
	clear_row((row + 1) % rows, 0);
}

void screen_line(const char *head, const char *line, size_t len)
{
	uint32_t column = 0;

	if (!base)
		return;
	for (uint32_t i = 0; i < rows && !cleared; i++)
		clear_row(i, 0);
	cleared = true;
	for (; *head; head++)
		draw(column++, row, *head);
	for (size_t i = 0; i < len; i++) {
		if (column == columns) {
			next_row();
			column = 0;
		}
		draw(column++, row, line[i]);
	}
	clear_row(row, column);
	next_row();
}

static uint64_t screen_bytes(void)
{
	return (uint64_t)screen.pitch * screen.height;
}

/* On the tables of boot.S everything below 4 GiB can be reached; the rest waits for screen_map(). */
void screen_init(unsigned door)
{
	screen = boot_info.screen;
	/* These loaders come from a BIOS, or from an emulator that has run one. */
	if (screen.kind == SCREEN_NONE && door != DOOR_MULTIBOOT2)
		screen = (struct screen_info){ .kind = SCREEN_TEXT, .phys = VGA_TEXT, .pitch = 2 * VGA_COLUMNS,
					       .width = VGA_COLUMNS, .height = VGA_ROWS };
	if (screen.kind == SCREEN_NONE)
		return;
	columns = screen.kind == SCREEN_TEXT ? screen.width : screen.width / CELL_WIDTH;
	rows = screen.kind == SCREEN_TEXT ? screen.height : screen.height / CELL_HEIGHT;
	ink = 0xaau << screen.red | 0xaau << screen.green | 0xaau << screen.blue;
	if (columns < 40 || rows < 4 || (uint64_t)screen.width * screen.bytes_per_pixel > screen.pitch ||
	    screen_bytes() > MAX_SCREEN) {
		screen.kind = SCREEN_NONE;
		return;
	}
	if (screen.phys + screen_bytes() <= UINT64_C(1) << 32)
		base = phys_ptr(screen.phys);
}

void screen_map(void)
{
	uint64_t first = screen.phys & PAGE_MASK, end = screen.phys + screen_bytes();
	uint8_t *at = NULL;

	if (screen.kind == SCREEN_NONE)
		return;
	/* Pages that are mapped one after another lie one behind the other. */
	for (uint64_t page = first; page < end; page += PAGE_SIZE) {
		uint8_t *p = device_map(page);

		if (!at)
			at = p;
	}
	base = at + (screen.phys & ~PAGE_MASK);
}
