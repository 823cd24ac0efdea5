/* SPDX-License-Identifier: MIT */
/* The consoles on the serial line, the hypervisor's keys, and its monitor. */
#ifndef XENOPUS_METAL_CONSOLE_H
#define XENOPUS_METAL_CONSOLE_H

#include <xenopus/types.h>

/** console_domain_added() / console_domain_gone() - @d may own the line from now on, or no longer. */
void console_domain_added(struct domain *d);
void console_domain_gone(struct domain *d);
/** console_front() - @d is in front, and hears what is typed. */
void console_front(struct domain *d);

/** console_line() - a line as the log's are, whatever the log level; not remembered in the log ring. */
void console_line(const char *line, size_t len);
/** console_answer() - a line for whoever types at the monitor, as it is. */
void console_answer(const char *line);

/*
 * note.c: what is told of a domain that crashed. note_added() before it writes its first byte, note_gone() before it is
 * freed, note_output() for what it writes (under the console's lock), note_crash() when it has stopped.
 */
void note_added(struct domain *d);
void note_gone(struct domain *d);
void note_output(struct domain *d, const char *buf, size_t len);
void note_crash(struct domain *d);

/** machine_key() - @c was typed at the hypervisor: the answer, by @line. False: no such key. (keys.c) */
bool machine_key(char c, void (*line)(void *opaque, const char *text));

/* prompt.c: the line that is being typed */
#define PROMPT_LINE 128
bool prompt_is_open(void);
void prompt_open(void);
void prompt_close(void);
void prompt_hide(void); /* something else is to be written */
void prompt_show(void); /* it was */
enum prompt_said { PROMPT_GOES_ON, PROMPT_SAID, PROMPT_LEFT };
/** prompt_key() - one key; with PROMPT_SAID @line is what was typed, and the prompt is not shown. */
enum prompt_said prompt_key(char c, char line[PROMPT_LINE]);

/** monitor_obey() - do what a line says (monitor.c). False: the person wants to leave. */
bool monitor_obey(char *line);

#endif
