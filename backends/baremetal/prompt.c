/* SPDX-License-Identifier: MIT */
/*
 * The line that a person types at the monitor: its editing and its echo. Others' lines come at any moment, so it can
 * be taken off the screen and put back. Everything here happens under console.c's lock.
 */
#include "console.h"
#include "metal.h"

#define CTRL(c)	 ((c) & 0x1f)
#define DELETE	 0x7f
#define ESCAPE	 0x1b

static const char words[] = "xenopus> ";

static bool open, shown;
static unsigned n;
static char text[PROMPT_LINE];
static enum { PLAIN, BEGUN, SEQUENCE } escape; /* of a key that sends several characters */

static void out(const char *s)
{
	serial_write(s, xstrlen(s));
}

bool prompt_is_open(void)
{
	return open;
}

void prompt_open(void)
{
	open = true;
	n = 0;
	escape = PLAIN;
	prompt_show();
}

void prompt_close(void)
{
	prompt_hide();
	open = false;
}

/* Blanks do on every terminal. */
void prompt_hide(void)
{
	if (!shown)
		return;
	shown = false;
	out("\r");
	for (unsigned i = 0; i < sizeof(words) - 1 + n; i++)
		out(" ");
	out("\r");
}

void prompt_show(void)
{
	if (!open || shown)
		return;
	shown = true;
	out(words);
	serial_write(text, n);
}

static void take_back(unsigned characters)
{
	for (; characters && n; characters--, n--)
		out("\b \b");
}

/* Arrows and their like: ESC, one character or [ up to a letter. Nothing here is bound to one. */
static bool swallowed(char c)
{
	if (c == ESCAPE)
		escape = BEGUN;
	else if (escape == BEGUN)
		escape = c == '[' || c == 'O' ? SEQUENCE : PLAIN;
	else if (escape == SEQUENCE)
		escape = c >= '@' && c <= '~' ? PLAIN : SEQUENCE;
	else
		return false;
	return true;
}

static void begin_again(const char *mark)
{
	out(mark);
	out("\r\n");
	n = 0;
	shown = false;
}

enum prompt_said prompt_key(char c, char line[PROMPT_LINE])
{
	if (swallowed(c))
		return PROMPT_GOES_ON;
	switch (c) {
	case '\r':
	case '\n':
		memcpy(line, text, n);
		line[n] = '\0';
		begin_again("");
		return PROMPT_SAID;
	case CTRL('C'):
		begin_again("^C");
		prompt_show();
		return PROMPT_GOES_ON;
	case CTRL('D'):
		return n ? PROMPT_GOES_ON : PROMPT_LEFT;
	case CTRL('U'):
		take_back(n);
		return PROMPT_GOES_ON;
	case '\b':
	case DELETE:
		take_back(1);
		return PROMPT_GOES_ON;
	}
	if ((unsigned char)c < ' ' || n == sizeof(text) - 1) {
		out("\a");
		return PROMPT_GOES_ON;
	}
	text[n++] = c;
	serial_write(&c, 1);
	return PROMPT_GOES_ON;
}
