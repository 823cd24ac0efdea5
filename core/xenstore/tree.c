/* SPDX-License-Identifier: MIT */
/*
 * tree.c - nodes of the store
 *
 *	view A --> root'--+--> local' --> ...      A changed something below local,
 *	                  |                        so these two are its own ...
 *	view B --> root --+--> tool, vm, ...       ... and all else is shared.
 *	             `------> local --> ...
 *
 * The rule: a node with more than one reference is read-only. own() makes the path to a node
 *exclusive from the root down; every intermediate state means the same, so running out of memory
 *half-way harms nothing. Depth is bounded (XS_DEPTH_MAX), which makes recursion safe where it is
 *used.
 */
#include "xenstore.h"

static uint64_t generation;

struct xs_node *xs_node_get(struct xs_node *n)
{
	n->refs++;
	return n;
}

void xs_node_put(struct xs_node *n)
{
	struct xs_node *dead = NULL;

	if (--n->refs)
		return;
	for (dead = n, n->next_dead = NULL; dead;) {
		n = dead;
		dead = n->next_dead;
		for (unsigned i = 0; i < n->nr_children; i++) {
			struct xs_node *c = n->children[i];

			if (--c->refs)
				continue;
			c->next_dead = dead;
			dead = c;
		}
		heap_free(n->children);
		heap_free(n->value);
		heap_free(n);
	}
}

static struct xs_node *node_new(const char *name, size_t len)
{
	struct xs_node *n = heap_alloc(sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	n->refs = 1;
	n->generation = ++generation;
	memcpy(n->name, name, len);
	return n;
}

struct xs_node *xs_tree_new(void)
{
	struct xs_node *root = node_new("", 0);

	if (root) {
		root->perms.nr = 1;
		root->perms.perm[0] = (struct xs_perm){ .id = 0, .perms = XS_PERM_READ };
	}
	return root;
}

/* Room for one more child. */
static bool reserve_child(struct xs_node *n)
{
	struct xs_node **bigger;
	unsigned cap;

	if (n->nr_children < n->cap_children)
		return true;
	cap = n->cap_children ? n->cap_children * 2 : 4;
	bigger = heap_alloc(cap * sizeof(struct xs_node *));
	if (!bigger)
		return false;
	if (n->nr_children)
		memcpy(bigger, n->children, n->nr_children * sizeof(struct xs_node *));
	heap_free(n->children);
	n->children = bigger;
	n->cap_children = cap;
	return true;
}

static unsigned weight_of(uint32_t value_len)
{
	return 1 + value_len / XS_WEIGHS_AS_NODE;
}

unsigned xs_node_weight(const struct xs_node *n)
{
	return weight_of(n->value_len);
}

/* The value, and nothing about who pays for it. */
static int set_value(struct xs_node *n, const char *value, uint32_t len)
{
	char *copy = NULL;

	if (len) {
		copy = heap_alloc(len);
		if (!copy)
			return -XEN_ENOMEM;
		memcpy(copy, value, len);
	}
	heap_free(n->value);
	n->value = copy;
	n->value_len = len;
	n->generation = ++generation;
	return 0;
}

int xs_node_set_value(struct xs_view *view, struct xs_node *n, const char *value, uint32_t len)
{
	int more = xs_value_growth(n, len), rc = set_value(n, value, len);

	if (!rc && more)
		xs_view_delta(view, n->perms.perm[0].id, more);
	return rc;
}

int xs_value_growth(const struct xs_node *n, uint32_t len)
{
	return (int)weight_of(len) - (int)xs_node_weight(n);
}

/* A copy that shares the children. It keeps the generation: copying is no change. */
static struct xs_node *node_copy(const struct xs_node *n)
{
	struct xs_node *c = node_new(n->name, xstrlen(n->name));

	if (!c)
		return NULL;
	c->perms = n->perms;
	if (set_value(c, n->value, n->value_len))
		goto fail;
	if (n->nr_children) {
		c->children = heap_alloc(n->nr_children * sizeof(struct xs_node *));
		if (!c->children)
			goto fail;
		c->cap_children = c->nr_children = n->nr_children;
		for (unsigned i = 0; i < n->nr_children; i++)
			c->children[i] = xs_node_get(n->children[i]);
	}
	c->generation = n->generation;
	return c;
fail:
	xs_node_put(c);
	return NULL;
}

/*
 * Make *@ref, a reference to a node, the only one, by a copy if need be. NULL when out of memory.
 */
static struct xs_node *own(struct xs_node **ref)
{
	struct xs_node *copy;

	if ((*ref)->refs == 1)
		return *ref;
	copy = node_copy(*ref);
	if (!copy)
		return NULL;
	xs_node_put(*ref);
	*ref = copy;
	return copy;
}

/* ---- walking ---- */

/* The next component of @path ("/a/b"): *@name and its length; false at the end. */
static bool next_component(const char **path, const char **name, size_t *len)
{
	while (**path == '/')
		++*path;
	*name = *path;
	while (**path && **path != '/')
		++*path;
	*len = (size_t)(*path - *name);
	return *len > 0;
}

static struct xs_node **find_child(struct xs_node *n, const char *name, size_t len)
{
	for (unsigned i = 0; i < n->nr_children; i++)
		if (!xstrncmp(n->children[i]->name, name, len) && !n->children[i]->name[len])
			return &n->children[i];
	return NULL;
}

/* As far as @path exists; *@missing components are left. */
static struct xs_node *walk(struct xs_node *n, const char *path, unsigned *missing)
{
	struct xs_node **child;
	const char *name;
	size_t len;

	*missing = 0;
	while (next_component(&path, &name, &len)) {
		child = *missing ? NULL : find_child(n, name, len);
		if (child)
			n = *child;
		else
			++*missing;
	}
	return n;
}

struct xs_node *xs_tree_nearest(struct xs_node *root, const char *path)
{
	unsigned missing;

	return walk(root, path, &missing);
}

struct xs_node *xs_tree_find(struct xs_node *root, const char *path)
{
	unsigned missing;
	struct xs_node *n = walk(root, path, &missing);

	return missing ? NULL : n;
}

unsigned xs_tree_missing(struct xs_node *root, const char *path)
{
	unsigned missing;

	walk(root, path, &missing);
	return missing;
}

/* ---- changing ---- */

void xs_view_delta(struct xs_view *view, domid_t id, int nodes)
{
	unsigned i;

	for (i = 0; i < view->nr_deltas; i++)
		if (view->delta[i].id == id)
			break;
	if (i == XS_VIEW_OWNERS) {
		view->recount = true;
		return;
	}
	if (i == view->nr_deltas) {
		view->delta[i].id = id;
		view->delta[i].nodes = 0;
		view->nr_deltas++;
	}
	view->delta[i].nodes += nodes;
}

struct xs_node *xs_tree_own(struct xs_view *view, const char *path)
{
	struct xs_node *n = own(&view->root);
	struct xs_node **child;
	const char *name;
	size_t len;

	while (n && next_component(&path, &name, &len)) {
		child = find_child(n, name, len);
		n = child ? own(child) : NULL;
	}
	return n;
}

/*
 * The missing nodes of a path, made apart from the tree: a chain hung in by one store, or not at
 * all.
 */
static struct xs_node *make_chain(const char *path, const struct xs_perms *perms,
				  struct xs_node **last)
{
	struct xs_node *first = NULL, *n;
	const char *name;
	size_t len;

	*last = NULL;
	while (next_component(&path, &name, &len)) {
		n = node_new(name, len);
		if (n && *last && !reserve_child(*last)) {
			xs_node_put(n);
			n = NULL;
		}
		if (!n) {
			if (first)
				xs_node_put(first);
			return NULL;
		}
		n->perms = *perms;
		if (*last)
			(*last)->children[(*last)->nr_children++] = n;
		else
			first = n;
		*last = n;
	}
	return first;
}

struct xs_node *xs_tree_make(struct xs_view *view, const char *path, domid_t owner)
{
	struct xs_node *n = own(&view->root), *chain, *last;
	unsigned missing = xs_tree_missing(view->root, path);
	struct xs_perms perms;
	const char *rest = path, *name;
	size_t len;

	if (!n)
		return NULL;
	for (;;) {
		const char *here = rest;
		struct xs_node **child;

		if (!next_component(&rest, &name, &len))
			return n;
		child = find_child(n, name, len);
		if (!child) {
			rest = here;
			break;
		}
		n = own(child);
		if (!n)
			return NULL;
	}

	perms = n->perms;
	if (owner == XS_OWNER_INHERIT)
		owner = perms.perm[0].id;
	perms.perm[0].id = owner;
	chain = make_chain(rest, &perms, &last);
	if (!chain)
		return NULL;
	if (!reserve_child(n)) {
		xs_node_put(chain);
		return NULL;
	}
	n->children[n->nr_children++] = chain;
	n->generation = ++generation;
	xs_view_delta(view, owner, (int)missing);
	return last;
}

int xs_tree_set_perms(struct xs_view *view, const char *path, const struct xs_perms *perms)
{
	struct xs_node *n = xs_tree_own(view, path);

	if (!n)
		return -XEN_ENOMEM;
	if (n->perms.perm[0].id != perms->perm[0].id) {
		xs_view_delta(view, n->perms.perm[0].id, -(int)xs_node_weight(n));
		xs_view_delta(view, perms->perm[0].id, (int)xs_node_weight(n));
	}
	n->perms = *perms;
	n->generation = ++generation;
	return 0;
}

static void forget_subtree(struct xs_view *view, const struct xs_node *n)
{
	xs_view_delta(view, n->perms.perm[0].id, -(int)xs_node_weight(n));
	for (unsigned i = 0; i < n->nr_children; i++)
		forget_subtree(view, n->children[i]);
}

int xs_tree_remove(struct xs_view *view, const char *path)
{
	char parent_path[XS_PATH_MAX + 1];
	struct xs_node *victim = xs_tree_find(view->root, path), *parent;
	size_t len = xstrlcpy(parent_path, path, sizeof(parent_path));
	unsigned i;

	if (!victim)
		return -XEN_ENOENT;
	if (victim == view->root || len >= sizeof(parent_path))
		return -XEN_EINVAL;
	while (parent_path[len - 1] != '/')
		len--;
	parent_path[len] = '\0';
	parent = xs_tree_own(view, parent_path);
	if (!parent)
		return -XEN_ENOMEM;

	for (i = 0; parent->children[i] != victim; i++)
		ASSERT(i < parent->nr_children);
	for (parent->nr_children--; i < parent->nr_children; i++)
		parent->children[i] = parent->children[i + 1];
	parent->generation = ++generation;
	forget_subtree(view, victim);
	xs_node_put(victim);
	return 0;
}

unsigned xs_tree_count(const struct xs_node *root, domid_t id)
{
	unsigned n = root->perms.perm[0].id == id ? xs_node_weight(root) : 0;

	for (unsigned i = 0; i < root->nr_children; i++)
		n += xs_tree_count(root->children[i], id);
	return n;
}

static bool concerns(const struct xs_node *n, domid_t id)
{
	for (unsigned i = 0; i < n->perms.nr; i++)
		if (n->perms.perm[i].id == id)
			return true;
	for (unsigned i = 0; i < n->nr_children; i++)
		if (concerns(n->children[i], id))
			return true;
	return false;
}

static int disown(struct xs_view *view, struct xs_node **ref, domid_t id)
{
	struct xs_node *n;
	unsigned kept = 1;

	if (!concerns(*ref, id))
		return 0;
	n = own(ref);
	if (!n)
		return -XEN_ENOMEM;
	if (n->perms.perm[0].id == id) {
		n->perms.perm[0].id = 0;
		xs_view_delta(view, id, -(int)xs_node_weight(n));
		xs_view_delta(view, 0, (int)xs_node_weight(n));
	}
	for (unsigned i = 1; i < n->perms.nr; i++)
		if (n->perms.perm[i].id != id)
			n->perms.perm[kept++] = n->perms.perm[i];
	n->perms.nr = kept;
	for (unsigned i = 0; i < n->nr_children; i++)
		if (disown(view, &n->children[i], id))
			return -XEN_ENOMEM;
	return 0;
}

int xs_tree_disown(struct xs_view *view, domid_t id)
{
	return disown(view, &view->root, id);
}
