/* SPDX-License-Identifier: MIT */
/* What a domain is made of, from the command line: for `xenopus run` and for xenopus-bundle. */
#ifndef XENOPUS_OPTIONS_H
#define XENOPUS_OPTIONS_H

#include <stdbool.h>
#include <glib.h>

#include <xenopus/stopped.h>

/**
 * struct domain_options - @memory in MiB; @initrd NULL: none; all others are set after
 * options_complete(), before that they may be OPTIONS_NOT_GIVEN or, @name, NULL.
 */
#define OPTIONS_NOT_GIVEN G_MININT

struct domain_options {
	char *kernel, *initrd, *name, *cmdline;
	gint memory, vcpus;
	int on[STOP_REASONS]; /* enum stop_action by SHUTDOWN_*; -1: not given */
	bool on_of_file[STOP_REASONS]; /* not an option, but a configuration file said so */
};

/** options_log_levels - the words for enum log_level, in its order, NULL behind the last. */
extern const char *const options_log_levels[];

/**
 * options_parse() - The command line: options, the kernel, "--", the kernel's arguments.
 * @argc, @argv: with the program's or verb's name first
 * @summary: of --help, which ends the program
 * @more: options beside the domain's own, ended by an empty one; at most 16
 * @opt: filled; the strings are never freed
 *
 * Return: 0, or an exit status after a line that says why.
 */
int options_parse(int argc, char **argv, const char *summary, const GOptionEntry *more,
		  struct domain_options *opt);

/** options_check_actions() - can a machine without disks do what is to become of @opt? Returns as
 * options_parse(). */
int options_check_actions(const struct domain_options *opt);

/** options_actions_given() - the first of the four that was, as it is typed; NULL: none, but a file may say what. */
const char *options_actions_given(const struct domain_options *opt);

/** options_complete() - Fill in what was not given, and check numbers; @max_memory in MiB. Returns
 * as options_parse(). */
int options_complete(struct domain_options *opt, int max_memory);

/** options_set_log_level() - the log's threshold by its word; false: no such word. (loglevel.c) */
bool options_set_log_level(const char *word);

/** options_choose_sched() - --sched; NULL: not given. 0, or a status after a line. (loglevel.c) */
int options_choose_sched(const char *word);

/** options_open_initrd() - The file mapped, *@initrd NULL if none was asked for; false with @error.
 */
gboolean options_open_initrd(const struct domain_options *opt, GMappedFile **initrd,
			     GError **error);
/** options_close_initrd() - It is needed no more; *@initrd may be NULL. */
void options_close_initrd(GMappedFile **initrd);

#endif
