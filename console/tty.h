/* SPDX-License-Identifier: MIT */
/* The user's terminal as a guest's console: raw mode, restored on every way out. */
#ifndef XENOPUS_TTY_H
#define XENOPUS_TTY_H

#include <stdbool.h>
#include <stddef.h>

#define TTY_ESCAPE 0x1d /* Ctrl-], as xl console has it */

/**
 * tty_raw() - put @fd, if it is a terminal, into raw mode; from now on exit(), a fatal signal and
 * tty_restore() give it back as it was. Returns false if @fd is no terminal.
 */
bool tty_raw(int fd);

/** tty_catch_fatal() - the part of tty_raw() about fatal signals, for who has other handlers to put in front of it. */
void tty_catch_fatal(void);

/** tty_restore() - give the terminal back. Async-signal-safe, idempotent. */
void tty_restore(void);

/**
 * tty_set_escape() - another character than Ctrl-] leaves the console.
 * @text: one character, or ^ and one: Ctrl with it (^A to ^_), as xl console -e has it
 * Return: false if it is neither; nothing is changed then.
 */
bool tty_set_escape(const char *text);

/** tty_find_escape() - index of the escape character in what was typed, or @len. */
size_t tty_find_escape(const char *buf, size_t len);

#endif
