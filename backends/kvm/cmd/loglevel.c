/* SPDX-License-Identifier: MIT */
/* --log-level of the programs that contain the core. */
#include <string.h>

#include <xenopus/lib.h>
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
