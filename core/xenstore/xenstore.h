/* SPDX-License-Identifier: MIT */
/*
 * xenstore.h - the inside of the store
 *
 *	ring.c        bytes <-> messages, per domain
 *	request.c     one message -> one reply, by the protocol (io/xs_wire.h)
 *	watch.c       who wants to know, and telling them
 *	transaction.c many requests as if at one moment
 *	tree.c        nodes, and nothing of who asks
 *	store.c       the store as a whole, and the core's own way in
 *
 * The tree is persistent in the functional sense: a node that two trees share is never changed, but
 *copied on the way to the change. So a transaction's view costs one reference on the root, lives
 *beside the tree of all others, and dies by dropping that reference.
 */
#ifndef XENOPUS_XENSTORE_H
#define XENOPUS_XENSTORE_H

#include <xenopus/domain.h>
#include <xenopus/lib.h>
#include <xen/io/xs_wire.h>

#define XS_PATH_MAX  XENSTORE_ABS_PATH_MAX
#define XS_DEPTH_MAX 32 /* components of a path */
#define XS_PERMS_MAX 8

/* What one domain may have; the core may have all it wants. */
#define XS_QUOTA_NODES	      1000u
#define XS_WEIGHS_AS_NODE     256u /* bytes of a value that count as one node more */
#define XS_QUOTA_WATCHES      128u
#define XS_QUOTA_TRANSACTIONS 10u
#define XS_QUOTA_VALUE	      2048u
#define XS_QUOTA_PERMS	      5u
#define XS_QUOTA_TX_BYTES     65536u  /* requests logged in one transaction */
#define XS_QUOTA_OUTPUT_BYTES 131072u /* replies and events not yet taken */

/* ---- tree.c ---- */

#define XS_PERM_READ  1u
#define XS_PERM_WRITE 2u

/**
 * struct xs_perm - @perms (XS_PERM_*) for @id; in a node's first entry @id owns it, @perms are the
 * others'.
 */
struct xs_perm {
	domid_t id;
	uint16_t perms;
};

struct xs_perms {
	unsigned nr;
	struct xs_perm perm[XS_PERMS_MAX];
};

struct xs_node {
	unsigned refs;
	uint64_t generation; /* changes whenever the node itself changes */
	struct xs_perms perms;
	unsigned nr_children, cap_children;
	struct xs_node **children; /* in the order of their creation */
	uint32_t value_len;
	char *value;
	struct xs_node *next_dead; /* while being freed */
	char name[];
};

#define XS_VIEW_OWNERS 8

/**
 * struct xs_view - a tree and by how much it differs in the weight of every owner's nodes from what the
 * owners' accounts say. @recount: too many owners, count anew.
 */
struct xs_view {
	struct xs_node *root;
	struct {
		domid_t id;
		int nodes;
	} delta[XS_VIEW_OWNERS];
	unsigned nr_deltas;
	bool recount;
};

/* Owner of new nodes: the parent's. */
#define XS_OWNER_INHERIT DOMID_INVALID

struct xs_node *xs_node_get(struct xs_node *n);
void xs_node_put(struct xs_node *n);
/** xs_tree_new() - an empty root, the core's, readable by all. NULL when out of memory. */
struct xs_node *xs_tree_new(void);
/** xs_tree_find() - the node at the canonical absolute @path, or NULL. */
struct xs_node *xs_tree_find(struct xs_node *root, const char *path);
/** xs_tree_nearest() - the node at @path, or else the last one on the way to it. */
struct xs_node *xs_tree_nearest(struct xs_node *root, const char *path);
/** xs_tree_missing() - how many nodes xs_tree_make() would create. */
unsigned xs_tree_missing(struct xs_node *root, const char *path);
/**
 * xs_tree_make() - the node at @path, for changing: created, with missing parents, when not there.
 * New nodes take their permissions from the parent, and @owner (or the parent's) as owner. NULL
 * when out of memory: then the view means the same as before.
 */
struct xs_node *xs_tree_make(struct xs_view *view, const char *path, domid_t owner);
/**
 * xs_tree_own() - the existing node at @path, for changing; NULL when out of memory (or not there).
 */
struct xs_node *xs_tree_own(struct xs_view *view, const char *path);
/** xs_node_weight() - as how many nodes @n counts: one, and more for a long value. */
unsigned xs_node_weight(const struct xs_node *n);
/** xs_value_growth() - how much more it would weigh with a value of @len bytes; may be negative. */
int xs_value_growth(const struct xs_node *n, uint32_t len);
/** xs_node_set_value() - 0 or -XEN_ENOMEM. @n must come from xs_tree_make() or _own(). */
int xs_node_set_value(struct xs_view *view, struct xs_node *n, const char *value, uint32_t len);
/** xs_tree_set_perms() - 0 or -errno. */
int xs_tree_set_perms(struct xs_view *view, const char *path, const struct xs_perms *perms);
/**
 * xs_tree_remove() - the node and all below it. 0, -XEN_ENOENT, -XEN_ENOMEM, -XEN_EINVAL (the
 * root).
 */
int xs_tree_remove(struct xs_view *view, const char *path);
/** xs_tree_count() - what the nodes owned by @id in the tree weigh. */
unsigned xs_tree_count(const struct xs_node *root, domid_t id);
/** xs_tree_disown() - as domain @id ends: its remaining nodes become the core's, its rights end. */
int xs_tree_disown(struct xs_view *view, domid_t id);
/** xs_view_delta() - account @nodes more (or less) nodes owned by @id, by their weight. */
void xs_view_delta(struct xs_view *view, domid_t id, int nodes);

/* ---- store.c ---- */

#define XS_WAITING 256u /* buckets */

/**
 * struct xs_message - bytes on their way to a domain: a header and its payload.
 * @waiting: for a watch event of which nothing is in the ring yet, the next of those with such a hash
 */
struct xs_message {
	struct list link;
	struct xs_message *waiting;
	uint32_t hash, size, done;
	bool event, spare;
	char bytes[];
};

/**
 * struct domain_store - a connection: a domain's (d->store), or the core's own.
 * @nodes: what those in the common tree that this domain owns weigh
 * @asked, @hears: the last change of which it was asked whether this domain may hear of it, and the answer
 * @in: the request being received, @in_len bytes of it
 */
struct domain_store {
	struct list link; /* all connections */
	struct domain *d; /* NULL: the core */
	domid_t id;
	bool privileged;
	unsigned nodes;

	struct list transactions;
	unsigned nr_transactions;
	uint32_t next_tx;
	unsigned nr_watches;
	uint64_t asked;
	bool hears;

	struct list out;
	uint32_t out_bytes;
	bool overflown; /* watch events were dropped since it last took one */
	struct xs_message *waiting[XS_WAITING]; /* events of @out by hash, to find whether one is there */
	struct xs_message *spare; /* for the reply when memory is short; NULL: on its way */

	struct xenstore_domain_interface *ring;
	uint32_t port;
	uint32_t req_cons, rsp_prod;
	bool broken; /* spoke nonsense: not listened to until it reconnects */
	bool unfinished; /* the request in @in is being worked on */
	uint32_t in_len;
	char in[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
};

/*
 * One lock for all of it. The functions of io.h and the notification take it, everything declared here is called
 * with it held.
 */
extern struct spinlock xs_store_lock;

static inline void xs_lock(void)
{
	spin_lock(&xs_store_lock, LOCK_STORE);
}

static inline void xs_unlock(void)
{
	spin_unlock(&xs_store_lock, LOCK_STORE);
}

/** xs_core_write() - store_write() from inside. */
int xs_core_write(const char *path, const char *value);
/** xs_detach() - store_detach() from inside. */
void xs_detach(struct domain *d);

extern struct xs_view xs_main;
extern struct list xs_connections;

struct domain_store *xs_connection_new(struct domain *d, domid_t id, bool privileged);
void xs_connection_free(struct domain_store *c);
/** xs_account() - apply the deltas of @view, which has become xs_main, to the owners' accounts. */
void xs_account(struct xs_view *view);
/** xs_audit() - are all owners' accounts what counting gives? The number of wrong ones. */
unsigned xs_audit(void);

/* ---- request.c ---- */

/** struct xs_request - a message taken apart; @payload has a NUL behind its @len bytes. */
struct xs_request {
	uint32_t type, req_id, tx_id, len;
	const char *payload;
};

/** struct xs_reply - @error as text, or NULL and @len bytes of payload. */
struct xs_reply {
	const char *error;
	uint32_t len;
	char payload[XENSTORE_PAYLOAD_MAX];
};

/**
 * struct xs_change - what a request changed, for the watches; @path: what it was about, canonical.
 */
struct xs_change {
	bool changed, removed;
	char path[XS_PATH_MAX + 1];
};

/**
 * xs_request() - answer @rq of @c into @rp; fires watches. False: there is no answer yet and nothing else of @c's may come
 * between, ask again with the same.
 */
bool xs_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp);
/** xs_tree_request() - the requests that concern nodes only, on any view; never fires watches. */
void xs_tree_request(struct domain_store *c, struct xs_view *view, const struct xs_request *rq,
		     struct xs_reply *rp, struct xs_change *ch);
bool xs_is_tree_request(uint32_t type);
/** xs_may() - does @c have all the rights @want (XS_PERM_*) on a node with @perms? */
bool xs_may(const struct domain_store *c, const struct xs_perms *perms, unsigned want);
/** xs_canon() - the absolute form of @path as @c means it. False when it is not a path. */
bool xs_canon(const struct domain_store *c, const char *path, char out[XS_PATH_MAX + 1]);
const char *xs_error(int err);
void xs_reply_error(struct xs_reply *rp, int err);
void xs_reply_ok(struct xs_reply *rp);
void xs_reply_text(struct xs_reply *rp, const char *text);

/* ---- watch.c ---- */

void xs_watch_init(void);
void xs_watch_add(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp);
void xs_watch_remove(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp);
void xs_watch_reset(struct domain_store *c);
/** xs_watch_fire() - @path changed between the trees @before and @after. */
void xs_watch_fire(const char *path, bool removed, struct xs_node *before, struct xs_node *after);
/** xs_watch_fire_special() - "@introduceDomain" and "@releaseDomain", for the privileged. */
void xs_watch_fire_special(const char *path);

/* ---- transaction.c ---- */

void xs_tx_start(struct domain_store *c, struct xs_reply *rp);
/** xs_tx_end() - false: its time is over, but there is more to do; come again with the same request. */
bool xs_tx_end(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp);
void xs_tx_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp);
void xs_tx_reset(struct domain_store *c);

/* ---- ring.c ---- */

/** xs_send() - queue a message to @c. False when it had to be dropped. */
bool xs_send(struct domain_store *c, uint32_t type, uint32_t req_id, uint32_t tx_id,
	     const char *payload, uint32_t len);
/** xs_takes_events() - has @c room for watch events? */
bool xs_takes_events(struct domain_store *c);
/** xs_event_waits() - is the same watch event waiting already? */
bool xs_event_waits(struct domain_store *c, const char *payload, uint32_t len);
/** xs_flush() - move queued messages of all connections into their rings. */
void xs_flush(void);
/** xs_spare_message() - one that holds any reply. */
struct xs_message *xs_spare_message(void);
void xs_drop_output(struct domain_store *c);

#endif
