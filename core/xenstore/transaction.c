/* SPDX-License-Identifier: MIT */
/*
 * transaction.c - many requests as if at one moment
 *
 *	start: view = the common tree            base: the same, to compare with
 *	request: answered from view, logged with a fingerprint of the reply
 *	end: common tree == base?  yes: view becomes the common tree
 *	                           no: the log is replayed on the common tree; if every reply
 *	                               comes out the same, nobody can tell that it did not all
 *	                               happen now: that becomes the common tree. Else EAGAIN.
 *	     then those who watch what it changed are told, of each path once
 *
 * So a transaction fails only when somebody changed what it looked at, or when it is a large one and others change
 * something all the time: replaying and telling are done in parts, as time allows, and a part of a replay is worth
 * nothing on a tree that has changed since.
 */
#include <xenopus/hypercall.h>

#include "xenstore.h"

#define REPLAYS_MAX 8u

/*
 * One request of a transaction, and what became of it. @same: the first one about its path, if that is another; there
 * stand whether any of them @removed something, and whether its watchers were @told.
 */
struct logged {
	struct list link;
	struct logged *same;
	uint32_t type, len;
	uint64_t fingerprint; /* of the reply */
	bool changed, removed, told;
	char payload[]; /* @len bytes and a NUL */
};

/* @before, @at: REPLAYING, the common tree that it is done on, and what is next; TELLING, the one it took the place of. */
struct transaction {
	struct list link;
	uint32_t id;
	enum { COLLECTING, REPLAYING, TELLING } stage;
	struct xs_view view, replayed;
	struct xs_node *base, *before;
	struct list *at;
	unsigned replays;
	struct list log;
	uint32_t log_bytes;
	bool changed;
};

/* One CPU at a time is in the store. */
static struct xs_change change;
static struct xs_reply replay_reply;

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

static int tell(struct domain_store *c, struct transaction *t, bool preemptible)
{
	while (t->at != &t->log) {
		struct logged *l = list_entry(t->at, struct logged, link), *first = l->same ? l->same : l;

		t->at = t->at->next;
		if (l->changed && !first->told && xs_canon(c, l->payload, change.path)) {
			first->told = true;
			xs_watch_fire(change.path, first->removed, t->before, t->view.root);
		}
		if (preemptible && t->at != &t->log && hypercall_preempt())
			return -XEN_ERESTART;
	}
	return 0;
}

static void put_if_any(struct xs_node *n)
{
	if (n)
		xs_node_put(n);
}

static void drop(struct domain_store *c, struct transaction *t)
{
	struct list *pos, *tmp;

	/* Its changes are there, whatever became of who made them. */
	if (t->stage == TELLING)
		tell(c, t, false);
	list_for_each_safe (pos, tmp, &t->log)
		heap_free(list_entry(pos, struct logged, link));
	put_if_any(t->replayed.root);
	put_if_any(t->before);
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

static struct logged *first_about(struct transaction *t, const char *path)
{
	struct list *pos;

	list_for_each (pos, &t->log) {
		struct logged *l = list_entry(pos, struct logged, link);

		if (!l->same && !xstrcmp(l->payload, path))
			return l;
	}
	return NULL;
}

void xs_tx_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	struct transaction *t = find(c, rq->tx_id);
	uint32_t size = (uint32_t)sizeof(struct logged) + rq->len + 1;
	struct logged *l;

	if (!t || t->stage != COLLECTING) {
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
	l->same = first_about(t, rq->payload);
	if (l->same)
		l->same->removed |= change.removed;
	memcpy(l->payload, rq->payload, rq->len);
	t->log_bytes += size;
	t->changed |= change.changed;
	list_add_tail(&t->log, &l->link);
}

static void replay_anew(struct transaction *t)
{
	put_if_any(t->replayed.root);
	put_if_any(t->before);
	t->before = xs_node_get(xs_main.root);
	t->replayed = (struct xs_view){ .root = xs_node_get(xs_main.root) };
	t->at = t->log.next;
	t->stage = REPLAYING;
}

/* Do it all again on today's tree. 0 when no reply differs; then @view is the outcome. */
static int replay(struct domain_store *c, struct transaction *t)
{
	if (t->stage != REPLAYING || t->before != xs_main.root) {
		if (t->replays++ == REPLAYS_MAX)
			return -XEN_EAGAIN;
		replay_anew(t);
	}
	while (t->at != &t->log) {
		struct logged *l = list_entry(t->at, struct logged, link);
		struct xs_request rq = { .type = l->type, .len = l->len, .payload = l->payload };

		xs_tree_request(c, &t->replayed, &rq, &replay_reply, &change);
		if (fingerprint(&replay_reply) != l->fingerprint)
			return -XEN_EAGAIN;
		l->changed = change.changed;
		(l->same ? l->same : l)->removed |= change.removed;
		t->at = t->at->next;
		if (t->at != &t->log && hypercall_preempt())
			return -XEN_ERESTART;
	}
	xs_node_put(t->view.root);
	t->view = t->replayed;
	t->replayed.root = NULL;
	return 0;
}

/* @view becomes the common tree. */
static void put_in_place(struct transaction *t)
{
	put_if_any(t->before);
	t->before = xs_main.root;
	xs_main = t->view;
	xs_node_get(xs_main.root);
	xs_account(&xs_main);
	t->at = t->log.next;
	t->stage = TELLING;
}

/* 0, -XEN_EAGAIN, or -XEN_ERESTART: there is more to do, ask again. */
static int commit(struct domain_store *c, struct transaction *t)
{
	int rc = 0;

	if (!t->changed)
		return 0; /* it saw one moment, if not the present one */
	if (t->stage != TELLING) {
		if (t->stage == REPLAYING || xs_main.root != t->base)
			rc = replay(c, t);
		if (rc)
			return rc;
		put_in_place(t);
	}
	return tell(c, t, true);
}

bool xs_tx_end(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	struct transaction *t = find(c, rq->tx_id);
	int rc = 0;

	if (!rq->tx_id || !t) {
		xs_reply_error(rp, XEN_ENOENT);
		return true;
	}
	if (rq->len != 2 || rq->payload[1] || (rq->payload[0] != 'T' && rq->payload[0] != 'F')) {
		xs_reply_error(rp, XEN_EINVAL);
		return true;
	}
	if (rq->payload[0] == 'T')
		rc = commit(c, t);
	if (rc == -XEN_ERESTART)
		return false;
	drop(c, t);
	if (rc)
		xs_reply_error(rp, rc);
	else
		xs_reply_ok(rp);
	return true;
}
