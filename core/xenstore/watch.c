/* SPDX-License-Identifier: MIT */
/*
 * watch.c - who wants to know of changes, and telling them
 *
 * A watch on a node hears of changes of that node and of all below it, and of the node's end when
 * one above it is removed. Nobody hears of a node that he may not read: the path alone may be a
 * secret.
 */
#include "xenstore.h"

struct watch {
	struct list link;
	struct domain_store *c;
	uint32_t skip; /* characters to leave out of a reported path: it was asked for relatively */
	const char *token; /* behind the path */
	char path[];
};

static struct list watches = { &watches, &watches };

void xs_watch_init(void)
{
	list_init(&watches);
}

/* Is @path at or below @above? */
static bool covers(const char *above, const char *path)
{
	size_t n = xstrlen(above);

	if (n == 1) /* the root */
		return path[0] == '/';
	return !xstrncmp(above, path, n) && (path[n] == '\0' || path[n] == '/');
}

/* An event being written; one CPU at a time is in the store. */
static struct {
	char payload[XENSTORE_PAYLOAD_MAX];
	uint32_t len;
} event;

/* Write the event that @path is for @w. False: the domain would not get it, or has it waiting. */
static bool is_news(const struct watch *w, const char *path)
{
	int len;

	if (!xs_takes_events(w->c))
		return false;
	if (w->skip && xstrlen(path) >= w->skip)
		path += w->skip;
	len = xsnprintf(event.payload, sizeof(event.payload), "%s%c%s", path, '\0', w->token);
	event.len = (uint32_t)len + 1;
	return (size_t)len < sizeof(event.payload) && !xs_event_waits(w->c, event.payload, event.len);
}

static void report(const struct watch *w)
{
	xs_send(w->c, XS_WATCH_EVENT, 0, 0, event.payload, event.len);
}

static bool may_hear(const struct domain_store *c, const char *path, struct xs_node *before,
		     struct xs_node *after)
{
	struct xs_node *n = xs_tree_find(after, path);

	if (!n)
		n = xs_tree_find(before, path);
	if (!n)
		n = xs_tree_nearest(after, path);
	return xs_may(c, &n->perms, XS_PERM_READ);
}

/* The same of @path itself, of which all watches of a domain's ask in turn. */
static bool may_hear_change(struct domain_store *c, uint64_t change, const char *path, struct xs_node *before,
			    struct xs_node *after)
{
	if (c->asked != change) {
		c->asked = change;
		c->hears = may_hear(c, path, before, after);
	}
	return c->hears;
}

/* A guest can have thousands of these done in one transaction, so what is quick to know comes first. */
void xs_watch_fire(const char *path, bool removed, struct xs_node *before, struct xs_node *after)
{
	static uint64_t changes;
	uint64_t change = ++changes;
	struct list *pos;

	list_for_each (pos, &watches) {
		struct watch *w = list_entry(pos, struct watch, link);

		if (covers(w->path, path)) {
			if (is_news(w, path) && may_hear_change(w->c, change, path, before, after))
				report(w);
		} else if (removed && covers(path, w->path)) {
			if (is_news(w, w->path) && xs_tree_find(before, w->path) &&
			    may_hear(w->c, w->path, before, after))
				report(w);
		}
	}
}

void xs_watch_fire_special(const char *path)
{
	struct list *pos;

	list_for_each (pos, &watches) {
		struct watch *w = list_entry(pos, struct watch, link);

		if (w->c->privileged && !xstrcmp(w->path, path) && is_news(w, path))
			report(w);
	}
}

/* Take "path\0token\0" apart. */
static bool parse(struct domain_store *c, const struct xs_request *rq, char path[XS_PATH_MAX + 1],
		  const char **token, uint32_t *skip)
{
	size_t path_len = xstrlen(rq->payload) + 1;

	if (path_len >= rq->len || path_len + xstrlen(rq->payload + path_len) + 1 != rq->len)
		return false;
	*token = rq->payload + path_len;
	*skip = 0;
	if (rq->payload[0] == '@') {
		if (xstrcmp(rq->payload, "@introduceDomain") &&
		    xstrcmp(rq->payload, "@releaseDomain"))
			return false;
		xstrlcpy(path, rq->payload, XS_PATH_MAX + 1);
		return true;
	}
	if (!xs_canon(c, rq->payload, path))
		return false;
	if (rq->payload[0] != '/')
		*skip = (uint32_t)(xstrlen(path) - (path_len - 1));
	return true;
}

static struct watch *find(const struct domain_store *c, const char *path, const char *token)
{
	struct list *pos;

	list_for_each (pos, &watches) {
		struct watch *w = list_entry(pos, struct watch, link);

		if (w->c == c && !xstrcmp(w->path, path) && !xstrcmp(w->token, token))
			return w;
	}
	return NULL;
}

void xs_watch_add(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	static char path[XS_PATH_MAX + 1];
	size_t path_len, token_len;
	const char *token;
	struct watch *w;
	uint32_t skip;

	if (!parse(c, rq, path, &token, &skip)) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	if (find(c, path, token)) {
		xs_reply_error(rp, XEN_EEXIST);
		return;
	}
	if (!c->privileged && c->nr_watches >= XS_QUOTA_WATCHES) {
		xs_reply_error(rp, XEN_ENOSPC);
		return;
	}
	path_len = xstrlen(path) + 1;
	token_len = xstrlen(token) + 1;
	w = heap_alloc(sizeof(*w) + path_len + token_len);
	if (!w) {
		xs_reply_error(rp, XEN_ENOMEM);
		return;
	}
	w->c = c;
	w->skip = skip;
	memcpy(w->path, path, path_len);
	memcpy(w->path + path_len, token, token_len);
	w->token = w->path + path_len;
	list_add_tail(&watches, &w->link);
	c->nr_watches++;
	xs_reply_ok(rp);
	/* Each watch fires once at the start, so that its owner need not look first. */
	if (is_news(w, w->path))
		report(w);
}

static void drop(struct watch *w)
{
	list_del(&w->link);
	w->c->nr_watches--;
	heap_free(w);
}

void xs_watch_remove(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	static char path[XS_PATH_MAX + 1];
	const char *token;
	struct watch *w;
	uint32_t skip;

	if (!parse(c, rq, path, &token, &skip)) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	w = find(c, path, token);
	if (!w) {
		xs_reply_error(rp, XEN_ENOENT);
		return;
	}
	drop(w);
	xs_reply_ok(rp);
}

void xs_watch_reset(struct domain_store *c)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &watches)
		if (list_entry(pos, struct watch, link)->c == c)
			drop(list_entry(pos, struct watch, link));
}
