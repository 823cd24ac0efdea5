/* SPDX-License-Identifier: MIT */
/* The command line: one builtin-*.c per verb. */
#ifndef XENOPUS_CMD_H
#define XENOPUS_CMD_H

#include <stdbool.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/** cmd_run() - `xenopus run`: a machine and one domain in the foreground. Returns the exit status.
 */
int cmd_run(int argc, char **argv);

/** cmd_serve() - `xenopus serve`: a machine that a socket drives. */
int cmd_serve(int argc, char **argv);

/* The verbs that drive it: builtin-create.c, -console.c, -domain.c, -list.c, -sched.c, -top.c. */
int cmd_create(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_reboot(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_domid(int argc, char **argv);
int cmd_domname(int argc, char **argv);
int cmd_rename(int argc, char **argv);
int cmd_mem_set(int argc, char **argv);
int cmd_mem_max(int argc, char **argv);
int cmd_vcpu_set(int argc, char **argv);
int cmd_vcpu_list(int argc, char **argv);
int cmd_vcpu_pin(int argc, char **argv);
int cmd_sched_bvt(int argc, char **argv);
int cmd_sched_credit(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_uptime(int argc, char **argv);
int cmd_dmesg(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_sysrq(int argc, char **argv);
int cmd_trigger(int argc, char **argv);
int cmd_debug_keys(int argc, char **argv);
int cmd_dump_core(int argc, char **argv);

/** cmd_dry_run - xl's -N before the verb: do nothing, only say what would be done. */
extern bool cmd_dry_run;

/** cmd_program - what each line begins with. */
extern const char *cmd_program;

/** cmd_error() - one line on standard error: what, where, the remedy. Returns @status. */
int cmd_error(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** cmd_note() - the same for what is worth knowing. */
void cmd_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
