/* SPDX-License-Identifier: MIT */
/* What the files of the worker share. */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>

#define LINE 80u

/** read_line() - the next line typed, without its end, in @line[LINE + 1]. False: it is "end". Upcalls must be off. */
bool read_line(char *line);

/** line_waiting() - has something been typed that was not read yet? */
bool line_waiting(void);

/** obey() - see obey.c. */
void obey(void);

#endif
