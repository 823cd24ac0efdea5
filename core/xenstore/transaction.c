/* SPDX-License-Identifier: MIT */
/*
 * transaction.c - many requests as if at one moment
 *
 *	start: view = the common tree            base: the same, to compare with
 *	request: answered from view, logged with a fingerprint of the reply
 *	end: common tree == base?  yes: view becomes the common tree
 *	                           no: the log is replayed on the common tree; if every reply
 *	                               comes out the same, nobody can tell that it did not all
 *happen now: that becomes the common tree. Else EAGAIN.
 *
 * So a transaction fails only when somebody changed what it looked at.
 */
#include "xenstore.h"

/* One request of a transaction, and what became of it. */
struct logged {
	struct list link;
	uint32_t type, len;
	uint64_t fingerprint; /* of the reply */
	bool changed, removed;
	char payload[]; /* @len bytes and a NUL */
};

struct transaction {
	struct list link;
	uint32_t id;
	struct xs_view view;
	struct xs_node *base;
	struct list log;
	uint32_t log_bytes;
	bool changed;
};

/* One CPU at a time is in the store. */
static struct xs_change change;
static struct xs_reply replayed;

/* FNV-1a; a guest that finds a collision cheats only itself. */
static uint64_t fingerprint(const struct xs_reply *rp)
{
	const char *bytes = rp->error ? rp->error : rp->payload;
	size_t len = rp->error ? xstrlen(rp->error) : rp->len;
	uint64_t h = rp->error ? UINT64_C(0xcbf29ce484222325) : UINT64_C(0x84222325cbf29ce4);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct transaction *find(struct domain_store *c, uint32_t id)
{
	struct list *pos;

	list_for_each (pos, &c->transactions) {
		struct transaction *t = list_entry(pos, struct transaction, link);

		if (t->id == id)
			return t;
	}
	return NULL;
}

static void drop(struct domain_store *c, struct transaction *t)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &t->log)
		heap_free(list_entry(pos, struct logged, link));
	xs_node_put(t->view.root);
	xs_node_put(t->base);
	list_del(&t->link);
	c->nr_transactions--;
	heap_free(t);
}

void xs_tx_reset(struct domain_store *c)
{
	while (!list_empty(&c->transactions))
		drop(c, list_entry(c->transactions.next, struct transaction, link));
}

void xs_tx_start(struct domain_store *c, struct xs_reply *rp)
{
	struct transaction *t;
	char text[16];

	if (!c->privileged && c->nr_transactions >= XS_QUOTA_TRANSACTIONS) {
		xs_reply_error(rp, XEN_ENOSPC);
		return;
	}
	t = heap_alloc(sizeof(*t));
	if (!t) {
		xs_reply_error(rp, XEN_ENOMEM);
		return;
	}
	do
		t->id = ++c->next_tx;
	while (!t->id || find(c, t->id));
	t->base = xs_node_get(xs_main.root);
	t->view.root = xs_node_get(xs_main.root);
	list_init(&t->log);
	list_add_tail(&c->transactions, &t->link);
	c->nr_transactions++;
	xsnprintf(text, sizeof(text), "%u", t->id);
	xs_reply_text(rp, text);
}

void xs_tx_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	struct transaction *t = find(c, rq->tx_id);
	uint32_t size = (uint32_t)sizeof(struct logged) + rq->len + 1;
	struct logged *l;

	if (!t) {
		xs_reply_error(rp, XEN_ENOENT);
		return;
	}
	if (!c->privileged && size > XS_QUOTA_TX_BYTES - t->log_bytes) {
		xs_reply_error(rp, XEN_ENOSPC);
		return;
	}
	l = heap_alloc(size);
	if (!l) {
		xs_reply_error(rp, XEN_ENOMEM);
		return;
	}
	xs_tree_request(c, &t->view, rq, rp, &change);
	l->type = rq->type;
	l->len = rq->len;
	l->fingerprint = fingerprint(rp);
	l->changed = change.changed;
	l->removed = change.removed;
	memcpy(l->payload, rq->payload, rq->len);
	t->log_bytes += size;
	t->changed |= change.changed;
	list_add_tail(&t->log, &l->link);
}

/* Do it all again on today's tree. True when no reply differs; then @view is the outcome. */
static bool replay(struct domain_store *c, struct transaction *t, struct xs_view *view)
{
	struct list *pos;

	list_for_each (pos, &t->log) {
		struct logged *l = list_entry(pos, struct logged, link);
		struct xs_request rq = { .type = l->type, .len = l->len, .payload = l->payload };

		xs_tree_request(c, view, &rq, &replayed, &change);
		if (fingerprint(&replayed) != l->fingerprint)
			return false;
		l->changed = change.changed;
		l->removed = change.removed;
	}
	return true;
}

static int commit(struct domain_store *c, struct transaction *t)
{
	struct xs_view view = t->view;
	struct xs_node *before;
	struct list *pos;

	if (!t->changed)
		return 0; /* it saw one moment, if not the present one */
	if (xs_main.root == t->base) {
		xs_node_get(view.root);
	} else {
		view = (struct xs_view){ .root = xs_node_get(xs_main.root) };
		if (!replay(c, t, &view)) {
			xs_node_put(view.root);
			return -XEN_EAGAIN;
		}
	}
	before = xs_main.root;
	xs_main = view;
	xs_account(&xs_main);

	list_for_each (pos, &t->log) {
		struct logged *l = list_entry(pos, struct logged, link);

		if (l->changed && xs_canon(c, l->payload, change.path))
			xs_watch_fire(change.path, l->removed, before, xs_main.root);
	}
	xs_node_put(before);
	return 0;
}

void xs_tx_end(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	struct transaction *t = find(c, rq->tx_id);
	int rc = 0;

	if (!rq->tx_id || !t) {
		xs_reply_error(rp, XEN_ENOENT);
		return;
	}
	if (rq->len != 2 || rq->payload[1] || (rq->payload[0] != 'T' && rq->payload[0] != 'F')) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	if (rq->payload[0] == 'T')
		rc = commit(c, t);
	drop(c, t);
	if (rc)
		xs_reply_error(rp, rc);
	else
		xs_reply_ok(rp);
}
