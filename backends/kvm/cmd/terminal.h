/* SPDX-License-Identifier: MIT */
/*
 * The person in front of a machine: what is typed (or piped in), Ctrl-], signals. Everything here
 * is called, and calls, on the thread of GLib's main loop, terminal_taken() excepted.
 */
#ifndef XENOPUS_TERMINAL_H
#define XENOPUS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

/**
 * struct terminal - what a home does with it, and why it was asked to stop.
 * @typed: bytes for the guest, in order; takes over the reference, and terminal_taken() follows
 * @stop: the machine must end
 * @left: by Ctrl-]
 * @signal: or by this signal
 */
struct terminal {
	void (*typed)(GBytes *bytes);
	void (*stop)(void);
	bool left;
	int signal;
};

/** terminal_open() - raw mode if it is a terminal; @t is used until terminal_close(). */
void terminal_open(struct terminal *t);

/** terminal_taken() - the guest has taken @n bytes of what was typed. From any thread. */
void terminal_taken(size_t n);

/** terminal_close() - the terminal as it was. */
void terminal_close(void);

/** terminal_verdict() - exit status if the person or a signal ended it, with the line that says so;
 * else -1. */
int terminal_verdict(const struct terminal *t);

#endif
