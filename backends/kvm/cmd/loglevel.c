/* SPDX-License-Identifier: MIT */
/* --log-level and --sched of the programs that contain the core. */
#include <string.h>

#include <xenopus/lib.h>
#include <xenopus/sched.h>
#include "cmd.h"
#include "options.h"

bool options_set_log_level(const char *word)
{
	for (unsigned i = 0; options_log_levels[i]; i++) {
		if (!strcmp(word, options_log_levels[i])) {
			log_threshold = (enum log_level)i;
			return true;
		}
	}
	return false;
}

int options_choose_sched(const char *word)
{
	return !word || sched_choose_policy(word) ?
		       0 :
		       cmd_error(STATUS_USAGE, "unknown scheduler '%s': use one of %s", word,
				 sched_policy_names());
}
