/* SPDX-License-Identifier: MIT */
/* Between guest.c, which makes and unmakes domains, and lifecycle.c, which decides when. Private to
 * both. */
#ifndef XENOPUS_LIFECYCLE_H
#define XENOPUS_LIFECYCLE_H

#include <xenopus/features.h>
#include "guest.h"

/** lifecycle_init() - hook into the machine: consoles, and domains that stop. */
void lifecycle_init(const char *crash_dir);

/** guests_ending() - has guests_end() been called? */
bool guests_ending(void);
/** guest_add() - a record for a domain of @cfg, whose name is free and which it takes over. */
struct guest *guest_add(struct guest_config *cfg);
/** guest_start() - load and build what g->cfg says under g->id. */
void guest_start(struct guest *g, bool paused, guest_created_fn *done, void *data);
/** guest_undo() - the core's domain goes, the record stays. */
void guest_undo(struct guest *g);
/** guest_renew() - the record gets another id, for its next domain. */
void guest_renew(struct guest *g);
/** guest_dumped() - a core file of @g is written, or was given up: what waited for that goes on. */
void guest_dumped(struct guest *g);
struct guest *guest_ref(struct guest *g);
void guest_unref(gpointer g);
void guest_event(const char *what, const struct guest *g, const char *detail);

#endif
