/* SPDX-License-Identifier: MIT */
/* Grant tables: how a domain lets another one at a frame of its own. Owned by core/grant. */
#ifndef XENOPUS_GRANT_H
#define XENOPUS_GRANT_H

#include "types.h"

/**
 * grant_destroy() - free @d's grant table, if it has one. After domain_mm_destroy(): no mapping is
 * left.
 */
void grant_destroy(struct domain *d);

#endif
