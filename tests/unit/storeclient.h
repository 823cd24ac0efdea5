/* SPDX-License-Identifier: MIT */
/*
 * A guest's xenbus for tests: speaks through a domain's real ring page and event channel, in
 * whatever pieces fit, and keeps the watch events that come in between.
 */
#ifndef XENOPUS_STORECLIENT_H
#define XENOPUS_STORECLIENT_H

#include "smallworld.h"
#include <xen/io/xs_wire.h>

#define SC_EVENTS 512u

struct store_client {
	struct domain *d;
	struct xenstore_domain_interface *ring;
	uint32_t port;
	uint32_t next_req;
	/* The reply that sc_rpc() got: text or bytes, with a NUL behind. */
	uint32_t type, len;
	char data[XENSTORE_PAYLOAD_MAX + 1];
	/* Events so far: "path token". */
	char event[SC_EVENTS][200];
	unsigned events;
};

/** sc_open() - a new domain with a store connection on its data page 0. */
void sc_open(struct store_client *c);
/** sc_kick() - the guest's event: the store looks at the ring. */
void sc_kick(struct store_client *c);
/** sc_put() - bytes into the request ring, kicking whenever it is full. */
void sc_put(struct store_client *c, const void *bytes, uint32_t len);
/** sc_poll() - take one message; false when none is complete. Events go to event[]. */
bool sc_poll(struct store_client *c);
/** sc_rpc() - one request and its reply: true when the reply is no error. */
bool sc_rpc(struct store_client *c, uint32_t type, uint32_t tx, const void *payload, uint32_t len);
/** sc_drain() - take what is there; everything must be an event. */
void sc_drain(struct store_client *c);

/* The common requests. sc_is(): did the last one fail with this error (NULL: succeed)? */
bool sc_write(struct store_client *c, uint32_t tx, const char *path, const char *value);
bool sc_read(struct store_client *c, uint32_t tx, const char *path);
bool sc_path(struct store_client *c, uint32_t type, uint32_t tx, const char *path);
bool sc_watch(struct store_client *c, const char *path, const char *token);
bool sc_unwatch(struct store_client *c, const char *path, const char *token);
uint32_t sc_begin(struct store_client *c);
bool sc_end(struct store_client *c, uint32_t tx, bool commit);
bool sc_is(const struct store_client *c, const char *error);
/** sc_heard() - how often was event "path token" heard? sc_forget() - forget all. */
unsigned sc_heard(const struct store_client *c, const char *event);
void sc_forget(struct store_client *c);

#endif
