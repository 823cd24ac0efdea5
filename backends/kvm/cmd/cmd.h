/* SPDX-License-Identifier: MIT */
/* The command line: one builtin-*.c per verb. */
#ifndef XENOPUS_CMD_H
#define XENOPUS_CMD_H

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/** cmd_run() - `xenopus run`: a machine and one domain in the foreground. Returns the exit status. */
int cmd_run(int argc, char **argv);

/** cmd_program - what each line begins with. */
extern const char *cmd_program;

/** cmd_error() - one line on standard error: what, where, the remedy. Returns @status. */
int cmd_error(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** cmd_note() - the same for what is worth knowing. */
void cmd_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
