/* SPDX-License-Identifier: MIT */
/*
 * Raw mode is a promise to the shell that started us: whatever happens, its terminal comes back. Normal ends are
 * covered by atexit(), crashes by handlers that restore and then let the default action run.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tty.h"

static struct termios saved;
static int saved_fd;
static _Atomic bool is_raw;

void tty_restore(void)
{
	if (atomic_exchange(&is_raw, false))
		tcsetattr(saved_fd, TCSANOW, &saved);
}

static void on_fatal(int sig)
{
	tty_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Only there when a sanitizer is. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

void tty_catch_fatal(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	struct sigaction sa, old;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_fatal;
	sa.sa_flags = SA_RESETHAND;
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		/* A sanitizer's own handler reports more than ours would, and restores by the callback. */
		if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &sa, NULL);
	}
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(tty_restore);
}

bool tty_raw(int fd)
{
	struct termios t;

	if (!isatty(fd) || tcgetattr(fd, &saved))
		return false;
	saved_fd = fd;
	t = saved;
	cfmakeraw(&t);
	atexit(tty_restore);
	tty_catch_fatal();
	atomic_store(&is_raw, true);
	tcsetattr(fd, TCSANOW, &t);
	return true;
}

static char escape = TTY_ESCAPE;

bool tty_set_escape(const char *text)
{
	size_t n = strlen(text);

	if (n == 2 && text[0] == '^' && text[1] >= '@' && text[1] < 0x7f)
		escape = text[1] & 0x1f;
	else if (n == 1)
		escape = text[0];
	else
		return false;
	return true;
}

size_t tty_find_escape(const char *buf, size_t len)
{
	const char *e = memchr(buf, escape, len);

	return e ? (size_t)(e - buf) : len;
}
