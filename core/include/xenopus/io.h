/* SPDX-License-Identifier: MIT */
/* Back-ends inside the core: the PV console ring and the xenstore ring (start_info's pages). */
#ifndef XENOPUS_IO_H
#define XENOPUS_IO_H

#include "types.h"

/**
 * console_attach() - the core's end of d's console: ring page @mfn (struct xencons_interface), event port @port
 * made here. Returns the port or -errno. store_attach() likewise for xenstore (struct xenstore_domain_interface).
 */
int console_attach(struct domain *d, mfn_t ring);
void console_detach(struct domain *d);
int store_attach(struct domain *d, mfn_t ring);
void store_detach(struct domain *d);

/** store_init() - the one tree of this machine. */
int store_init(void);
/** store_introduce() - make /local/domain/<id> with the usual nodes of a PV domain; before store_attach(). */
int store_introduce(struct domain *d);
/** store_release() - end @d's connection, watches and transactions and remove its subtree. */
void store_release(struct domain *d);
/** store_write() / store_read() - by the core itself (Dom0 rights); fires watches. */
int store_write(const char *path, const char *value);
int store_read(const char *path, char *buf, size_t size);
int store_remove(const char *path);

#endif
