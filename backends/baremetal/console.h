/* SPDX-License-Identifier: MIT */
/* The consoles on the serial line, and the hypervisor's keys. */
#ifndef XENOPUS_METAL_CONSOLE_H
#define XENOPUS_METAL_CONSOLE_H

#include <xenopus/types.h>

/** console_domain_added() / console_domain_gone() - @d may own the line from now on, or no longer. */
void console_domain_added(struct domain *d);
void console_domain_gone(struct domain *d);

/** console_line() - a line as the log's are, whatever the log level; not remembered in the log ring. */
void console_line(const char *line, size_t len);

/** machine_key() - @c was typed at the hypervisor (keys.c). */
void machine_key(char c);

#endif
