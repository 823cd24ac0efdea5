/* SPDX-License-Identifier: MIT */
/*
 * request.c - the store's protocol, one request at a time
 *
 * Each request that concerns nodes is a function from a view (a tree) to a reply and perhaps a
 * changed view; which view, the common one or a transaction's, is the caller's business. Checks
 * come first; a refused request has changed nothing.
 */
#include <xenopus/platform.h>

#include "xenstore.h"

/* ---- replies ---- */

static const struct {
	int err;
	const char *text;
} errors[] = {
	{ XEN_EINVAL, "EINVAL" }, { XEN_EACCES, "EACCES" },   { XEN_EEXIST, "EEXIST" },
	{ XEN_EISDIR, "EISDIR" }, { XEN_ENOENT, "ENOENT" },   { XEN_ENOMEM, "ENOMEM" },
	{ XEN_ENOSPC, "ENOSPC" }, { XEN_EIO, "EIO" },	      { XEN_ENOTEMPTY, "ENOTEMPTY" },
	{ XEN_ENOSYS, "ENOSYS" }, { XEN_EROFS, "EROFS" },     { XEN_EBUSY, "EBUSY" },
	{ XEN_EAGAIN, "EAGAIN" }, { XEN_EISCONN, "EISCONN" }, { XEN_E2BIG, "E2BIG" },
	{ XEN_EPERM, "EPERM" },
};

const char *xs_error(int err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].err == (err < 0 ? -err : err))
			return errors[i].text;
	return "EINVAL";
}

void xs_reply_error(struct xs_reply *rp, int err)
{
	rp->error = xs_error(err);
	rp->len = 0;
}

void xs_reply_text(struct xs_reply *rp, const char *text)
{
	rp->error = NULL;
	rp->len = (uint32_t)xstrlcpy(rp->payload, text, sizeof(rp->payload)) + 1;
}

void xs_reply_ok(struct xs_reply *rp)
{
	xs_reply_text(rp, "OK");
}

/* Append @len bytes; false when the reply would become too long. */
static bool append(struct xs_reply *rp, const char *bytes, size_t len)
{
	if (len > sizeof(rp->payload) - rp->len)
		return false;
	memcpy(rp->payload + rp->len, bytes, len);
	rp->len += (uint32_t)len;
	return true;
}

/* ---- paths and rights ---- */

static bool path_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '/' || c == '_' || c == '@';
}

bool xs_canon(const struct domain_store *c, const char *path, char out[XS_PATH_MAX + 1])
{
	size_t len = xstrlen(path), base = 0;
	unsigned depth = 0;

	if (!len)
		return false;
	if (*path != '/') {
		if (len > XENSTORE_REL_PATH_MAX)
			return false;
		base = (size_t)xsnprintf(out, XS_PATH_MAX + 1, "/local/domain/%u/", c->id);
	}
	if (base + len > XS_PATH_MAX)
		return false;
	memcpy(out + base, path, len + 1);
	len += base;
	for (size_t i = 0; i < len; i++) {
		if (!path_char(out[i]))
			return false;
		if (out[i] == '/' && out[i + 1] == '/')
			return false;
		depth += out[i] == '/';
	}
	return (len == 1 || out[len - 1] != '/') && depth <= XS_DEPTH_MAX;
}

bool xs_may(const struct domain_store *c, const struct xs_perms *perms, unsigned want)
{
	if (c->privileged || perms->perm[0].id == c->id)
		return true;
	for (unsigned i = 1; i < perms->nr; i++)
		if (perms->perm[i].id == c->id)
			return (perms->perm[i].perms & want) == want;
	return (perms->perm[0].perms & want) == want;
}

/*
 * The node at @path if @c has the rights @want on it: 0. When there is none: -ENOENT if @c has
 * those rights on the nearest node above, else -EACCES, for what exists below an unreadable node is
 * a secret too.
 */
static int lookup(const struct domain_store *c, const struct xs_view *view, const char *path,
		  unsigned want, struct xs_node **out)
{
	struct xs_node *n = xs_tree_nearest(view->root, path);

	if (!xs_may(c, &n->perms, want))
		return -XEN_EACCES;
	*out = n;
	return xs_tree_missing(view->root, path) ? -XEN_ENOENT : 0;
}

/* May what @c owns weigh @more than it does in @view? */
static bool quota_nodes(const struct domain_store *c, const struct xs_view *view, long more)
{
	long have = c->nodes;

	if (c->privileged || more <= 0)
		return true;
	for (unsigned i = 0; i < view->nr_deltas; i++)
		if (view->delta[i].id == c->id)
			have += view->delta[i].nodes;
	return have + more <= (long)XS_QUOTA_NODES;
}

/* How much heavier is what @c owns with a value of @len bytes at @path? What another owns, that one has let it write to. */
static long write_growth(const struct domain_store *c, const struct xs_view *view, const char *path, uint32_t len)
{
	unsigned missing = xs_tree_missing(view->root, path);
	const struct xs_node *n = xs_tree_nearest(view->root, path);

	if (missing)
		return missing + len / XS_WEIGHS_AS_NODE;
	return n->perms.perm[0].id == c->id ? xs_value_growth(n, len) : 0;
}

static domid_t new_owner(const struct domain_store *c)
{
	return c->privileged ? XS_OWNER_INHERIT : c->id;
}

static bool decimal(const char *s, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (uint32_t)(*s - '0');
		if (n > max)
			return false;
	}
	*out = (uint32_t)n;
	return true;
}

/* ---- requests on nodes: 0 or -errno, the reply's payload in @rp ---- */

/* What follows the path in the payload. */
struct rest {
	const char *p;
	uint32_t len;
};

typedef int tree_fn(struct domain_store *c, struct xs_view *view, const char *path,
		    struct rest rest, struct xs_reply *rp, struct xs_change *ch);

static int rq_directory(struct domain_store *c, struct xs_view *view, const char *path,
			struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_READ, &n);

	if (rc)
		return rc;
	for (unsigned i = 0; i < n->nr_children; i++)
		if (!append(rp, n->children[i]->name, xstrlen(n->children[i]->name) + 1))
			return -XEN_E2BIG;
	return 0;
}

/*
 * Part of a long directory: the generation, whole names from a byte offset on, a NUL behind the
 * last.
 */
static int rq_directory_part(struct domain_store *c, struct xs_view *view, const char *path,
			     struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_READ, &n);
	uint32_t offset, at = 0;
	unsigned i;

	if (rc)
		return rc;
	if (!rest.len || rest.p[rest.len - 1] || !decimal(rest.p, UINT32_MAX, &offset))
		return -XEN_EINVAL;
	rp->len = (uint32_t)xsnprintf(rp->payload, sizeof(rp->payload), "%lu",
				      (unsigned long)n->generation) +
		  1;
	for (i = 0; i < n->nr_children && at < offset; i++)
		at += (uint32_t)xstrlen(n->children[i]->name) + 1;
	if (at != offset)
		return -XEN_EINVAL;
	for (; i < n->nr_children; i++)
		if (!append(rp, n->children[i]->name, xstrlen(n->children[i]->name) + 1))
			return 0;
	/* No room for the end mark: the next part will be that alone. */
	append(rp, "", 1);
	return 0;
}

static int rq_read(struct domain_store *c, struct xs_view *view, const char *path, struct rest rest,
		   struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_READ, &n);

	if (rc)
		return rc;
	return append(rp, n->value, n->value_len) ? 0 : -XEN_E2BIG;
}

static int rq_write(struct domain_store *c, struct xs_view *view, const char *path,
		    struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	unsigned missing = xs_tree_missing(view->root, path);
	int rc = lookup(c, view, path, XS_PERM_WRITE, &n);

	if (rc && rc != -XEN_ENOENT)
		return rc;
	if (!c->privileged && rest.len > XS_QUOTA_VALUE)
		return -XEN_ENOSPC;
	if (!quota_nodes(c, view, write_growth(c, view, path, rest.len)))
		return -XEN_ENOSPC;

	n = xs_tree_make(view, path, new_owner(c));
	if (!n)
		return -XEN_ENOMEM;
	rc = xs_node_set_value(view, n, rest.p, rest.len);
	if (rc) {
		/* Memory ran out between the two steps: undo the first. */
		if (missing)
			xs_tree_remove(view, path);
		return rc;
	}
	ch->changed = true;
	xs_reply_ok(rp);
	return 0;
}

static int rq_mkdir(struct domain_store *c, struct xs_view *view, const char *path,
		    struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_WRITE, &n);

	if (rc && rc != -XEN_ENOENT)
		return rc;
	if (rc) {
		if (!quota_nodes(c, view, xs_tree_missing(view->root, path)))
			return -XEN_ENOSPC;
		if (!xs_tree_make(view, path, new_owner(c)))
			return -XEN_ENOMEM;
		ch->changed = true;
	}
	xs_reply_ok(rp);
	return 0;
}

static int rq_rm(struct domain_store *c, struct xs_view *view, const char *path, struct rest rest,
		 struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_WRITE, &n);

	if (!rc) {
		rc = xs_tree_remove(view, path);
		if (rc)
			return rc;
		ch->changed = ch->removed = true;
	} else if (rc != -XEN_ENOENT || xs_tree_missing(view->root, path) != 1) {
		return rc;
	}
	/* What is gone already is well removed, if only its parent is there. */
	xs_reply_ok(rp);
	return 0;
}

static const char perm_letters[] = "nrwb"; /* by XS_PERM_READ | XS_PERM_WRITE */

static int rq_get_perms(struct domain_store *c, struct xs_view *view, const char *path,
			struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_READ, &n);

	if (rc)
		return rc;
	for (unsigned i = 0; i < n->perms.nr; i++) {
		char text[8];
		int len = xsnprintf(text, sizeof(text), "%c%u",
				    perm_letters[n->perms.perm[i].perms], n->perms.perm[i].id);

		append(rp, text, (size_t)len + 1);
	}
	return 0;
}

static int parse_perms(struct rest rest, struct xs_perms *perms)
{
	perms->nr = 0;
	while (rest.len) {
		uint32_t len = (uint32_t)xstrlen(rest.p) + 1, id;
		unsigned bits = 0;

		if (len > rest.len) /* the last one is not terminated */
			return -XEN_EINVAL;
		if (perms->nr == XS_PERMS_MAX)
			return -XEN_ENOSPC;
		while (bits < 4 && perm_letters[bits] != rest.p[0])
			bits++;
		if (bits == 4 || !decimal(rest.p + 1, UINT16_MAX, &id))
			return -XEN_EINVAL;
		perms->perm[perms->nr++] =
			(struct xs_perm){ .id = (domid_t)id, .perms = (uint16_t)bits };
		rest.p += len;
		rest.len -= len;
	}
	return perms->nr ? 0 : -XEN_EINVAL;
}

static int rq_set_perms(struct domain_store *c, struct xs_view *view, const char *path,
			struct rest rest, struct xs_reply *rp, struct xs_change *ch)
{
	struct xs_perms perms;
	struct xs_node *n;
	int rc = lookup(c, view, path, XS_PERM_WRITE, &n);

	if (rc)
		return rc;
	rc = parse_perms(rest, &perms);
	if (rc)
		return rc;
	if (!c->privileged) {
		if (n->perms.perm[0].id != c->id)
			return -XEN_EACCES;
		if (perms.perm[0].id != c->id)
			return -XEN_EPERM;
		if (perms.nr > XS_QUOTA_PERMS)
			return -XEN_ENOSPC;
	}
	rc = xs_tree_set_perms(view, path, &perms);
	if (rc)
		return rc;
	ch->changed = true;
	xs_reply_ok(rp);
	return 0;
}

static const struct {
	tree_fn *fn;
	bool more; /* something may follow the path */
} tree_requests[XS_TYPE_COUNT] = {
	[XS_DIRECTORY] = { rq_directory, false }, [XS_DIRECTORY_PART] = { rq_directory_part, true },
	[XS_READ] = { rq_read, false },		  [XS_WRITE] = { rq_write, true },
	[XS_MKDIR] = { rq_mkdir, false },	  [XS_RM] = { rq_rm, false },
	[XS_GET_PERMS] = { rq_get_perms, false }, [XS_SET_PERMS] = { rq_set_perms, true },
};

bool xs_is_tree_request(uint32_t type)
{
	return type < XS_TYPE_COUNT && tree_requests[type].fn;
}

void xs_tree_request(struct domain_store *c, struct xs_view *view, const struct xs_request *rq,
		     struct xs_reply *rp, struct xs_change *ch)
{
	uint32_t path_len = (uint32_t)xstrlen(rq->payload) + 1;
	struct rest rest;
	int rc;

	ch->changed = ch->removed = false;
	rp->error = NULL;
	rp->len = 0;
	if (path_len > rq->len || (path_len < rq->len && !tree_requests[rq->type].more) ||
	    !xs_canon(c, rq->payload, ch->path)) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	rest = (struct rest){ rq->payload + path_len, rq->len - path_len };
	rc = tree_requests[rq->type].fn(c, view, ch->path, rest, rp, ch);
	if (rc)
		xs_reply_error(rp, rc);
}

/* ---- the other requests ---- */

/* A payload that is one decimal number with its NUL: a domain. */
static bool domid_arg(const struct xs_request *rq, uint32_t *id)
{
	return xstrlen(rq->payload) + 1 == rq->len &&
	       decimal(rq->payload, DOMID_FIRST_RESERVED - 1u, id);
}

static void rq_domain_path(const struct xs_request *rq, struct xs_reply *rp)
{
	char path[40];
	uint32_t id;

	if (!domid_arg(rq, &id)) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	xsnprintf(path, sizeof(path), "/local/domain/%u", id);
	xs_reply_text(rp, path);
}

static void rq_is_introduced(const struct xs_request *rq, struct xs_reply *rp)
{
	struct list *pos;
	uint32_t id;

	if (!domid_arg(rq, &id)) {
		xs_reply_error(rp, XEN_EINVAL);
		return;
	}
	xs_reply_text(rp, "F");
	list_for_each (pos, &xs_connections)
		if (list_entry(pos, struct domain_store, link)->id == id)
			xs_reply_text(rp, "T");
}

/* A request on nodes outside any transaction. */
static void common_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	static struct xs_change
		ch; /* too big for a hypervisor's stack; the store runs on one CPU at a time */
	struct xs_node *before = NULL;

	/*
	 * Who may hear of a removal depends on nodes that are then gone. Else spare the tree the
	 * copying.
	 */
	if (rq->type == XS_RM)
		before = xs_node_get(xs_main.root);
	xs_tree_request(c, &xs_main, rq, rp, &ch);
	xs_account(&xs_main);
	if (ch.changed)
		xs_watch_fire(ch.path, ch.removed, before ? before : xs_main.root, xs_main.root);
	if (before)
		xs_node_put(before);
}

bool xs_request(struct domain_store *c, const struct xs_request *rq, struct xs_reply *rp)
{
	switch (rq->type) {
	case XS_TRANSACTION_START:
		if (rq->tx_id)
			xs_reply_error(rp, XEN_EBUSY);
		else
			xs_tx_start(c, rp);
		break;
	case XS_TRANSACTION_END:
		return xs_tx_end(c, rq, rp);
	case XS_WATCH:
		xs_watch_add(c, rq, rp);
		break;
	case XS_UNWATCH:
		xs_watch_remove(c, rq, rp);
		break;
	case XS_RESET_WATCHES:
		xs_watch_reset(c);
		xs_tx_reset(c);
		xs_reply_ok(rp);
		break;
	case XS_GET_DOMAIN_PATH:
		rq_domain_path(rq, rp);
		break;
	case XS_IS_DOMAIN_INTRODUCED:
		rq_is_introduced(rq, rp);
		break;
	case XS_CONTROL:
	case XS_INTRODUCE:
	case XS_RELEASE:
	case XS_RESUME:
	case XS_SET_TARGET:
		/* The life of domains is the control layer's; it does not come through here. */
		xs_reply_error(rp, XEN_EACCES);
		break;
	default:
		if (!xs_is_tree_request(rq->type))
			xs_reply_error(rp, XEN_ENOSYS);
		else if (rq->tx_id)
			xs_tx_request(c, rq, rp);
		else
			common_request(c, rq, rp);
	}
	return true;
}
