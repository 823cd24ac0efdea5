/* SPDX-License-Identifier: MIT */
/*
 * store.c - the one store of this machine: the common tree, who is connected, the core's own way in
 *
 * The core speaks to the store through the same requests as everyone else, as a connection without
 * a ring that may do everything. So what it writes fires watches and conflicts with transactions
 * like anything else.
 *
 * The store is one piece of work at a time: its callers hold the machine's store lock as soon as
 * more than one CPU runs core code.
 */
#include <xenopus/io.h>
#include <xenopus/platform.h>

#include "xenstore.h"

struct spinlock xs_store_lock;
struct xs_view xs_main;
struct list xs_connections = { &xs_connections, &xs_connections };

static struct domain_store *core_connection;

/* ---- connections and accounts ---- */

struct domain_store *xs_connection_new(struct domain *d, domid_t id, bool privileged)
{
	struct domain_store *c = heap_alloc(sizeof(*c));

	if (!c)
		return NULL;
	c->spare = xs_spare_message();
	if (!c->spare) {
		heap_free(c);
		return NULL;
	}
	c->d = d;
	c->id = id;
	c->privileged = privileged;
	c->nodes = xs_tree_count(xs_main.root, id);
	list_init(&c->transactions);
	list_init(&c->out);
	list_add_tail(&xs_connections, &c->link);
	return c;
}

void xs_connection_free(struct domain_store *c)
{
	xs_watch_reset(c);
	xs_tx_reset(c);
	xs_drop_output(c);
	list_del(&c->link);
	heap_free(c->spare);
	heap_free(c);
}

void xs_account(struct xs_view *view)
{
	struct list *pos;

	list_for_each (pos, &xs_connections) {
		struct domain_store *c = list_entry(pos, struct domain_store, link);

		if (view->recount)
			c->nodes = xs_tree_count(view->root, c->id);
		for (unsigned i = 0; i < view->nr_deltas && !view->recount; i++)
			if (view->delta[i].id == c->id)
				c->nodes += (unsigned)view->delta[i].nodes;
	}
	view->nr_deltas = 0;
	view->recount = false;
}

unsigned xs_audit(void)
{
	struct list *pos;
	unsigned wrong = 0;

	list_for_each (pos, &xs_connections) {
		struct domain_store *c = list_entry(pos, struct domain_store, link);
		unsigned n = xs_tree_count(xs_main.root, c->id);

		if (n != c->nodes) {
			xlog(LOG_ERROR, "xenstore: domain %u owns %u nodes, accounted are %u",
			     c->id, n, c->nodes);
			wrong++;
		}
	}
	return wrong;
}

/* ---- the core's own requests ---- */

/* @payload is a path, perhaps followed by more. */
static int core_request(uint32_t type, const char *path, const char *more, size_t more_len,
			struct xs_reply **out)
{
	static char payload[XENSTORE_PAYLOAD_MAX + 1];
	static struct xs_reply rp;
	size_t path_len = xstrlen(path) + 1;
	struct xs_request rq = { .type = type, .payload = payload };

	if (!core_connection)
		return -XEN_ENODEV;
	if (path_len > XENSTORE_PAYLOAD_MAX || more_len > XENSTORE_PAYLOAD_MAX - path_len)
		return -XEN_E2BIG;
	memcpy(payload, path, path_len);
	if (more_len)
		memcpy(payload + path_len, more, more_len);
	rq.len = (uint32_t)(path_len + more_len);
	payload[rq.len] = '\0';
	/* At once: only a transaction's end can take more than one go, and the core makes none. */
	if (!xs_request(core_connection, &rq, &rp))
		return -XEN_EBUSY;
	xs_flush();
	if (out)
		*out = &rp;
	if (!rp.error)
		return 0;
	return !xstrcmp(rp.error, "ENOENT")   ? -XEN_ENOENT
	       : !xstrcmp(rp.error, "ENOMEM") ? -XEN_ENOMEM
					      : -XEN_EINVAL;
}

int xs_core_write(const char *path, const char *value)
{
	return core_request(XS_WRITE, path, value, xstrlen(value), NULL);
}

int store_write(const char *path, const char *value)
{
	int rc;

	xs_lock();
	rc = xs_core_write(path, value);
	xs_unlock();
	return rc;
}

static int core_read(const char *path, char *buf, size_t size)
{
	struct xs_reply *rp;
	int rc = core_request(XS_READ, path, NULL, 0, &rp);

	if (rc)
		return rc;
	if (rp->len >= size)
		return -XEN_E2BIG;
	memcpy(buf, rp->payload, rp->len);
	buf[rp->len] = '\0';
	return 0;
}

int store_read(const char *path, char *buf, size_t size)
{
	int rc;

	xs_lock();
	rc = core_read(path, buf, size);
	xs_unlock();
	return rc;
}

static int core_remove(const char *path)
{
	int rc = core_request(XS_RM, path, NULL, 0, NULL);

	if (rc != -XEN_ENOMEM)
		return rc;
	/* What was there before is kept for those who watch nodes below; where that takes memory there is not, they go without. */
	rc = xs_tree_remove(&xs_main, path);
	if (rc)
		return rc;
	xs_account(&xs_main);
	xs_watch_fire(path, true, xs_main.root, xs_main.root);
	xs_flush();
	return 0;
}

int store_remove(const char *path)
{
	int rc;

	xs_lock();
	rc = core_remove(path);
	xs_unlock();
	return rc;
}

/* ---- start, and domains that come and go ---- */

int store_init(void)
{
	static const char *const skeleton[] = { "/local/domain", "/tool", "/vm" };
	struct xs_node *root;
	int rc;

	/* A machine starts: what an earlier one may have left went with its memory. */
	core_connection = NULL;
	list_init(&xs_connections);
	xs_watch_init();
	root = xs_tree_new();
	if (!root)
		return -XEN_ENOMEM;
	/* Only the core may look around at the top; what is a domain's, it is shown. */
	root->perms.perm[0].perms = 0;
	xs_main = (struct xs_view){ .root = root };
	core_connection = xs_connection_new(NULL, 0, true);
	if (!core_connection)
		return -XEN_ENOMEM;
	for (unsigned i = 0; i < ARRAY_SIZE(skeleton); i++) {
		rc = core_request(XS_MKDIR, skeleton[i], NULL, 0, NULL);
		if (rc)
			return rc;
	}
	return xs_core_write("/tool/xenstored", "");
}

/*
 * Who may do what with a new node: only the core writes, the domain reads; or the domain owns it.
 */
enum access { RO, RW };

struct introducer {
	struct domain *d;
	int rc; /* the first error sticks */
};

__attribute__((format(printf, 4, 5))) static void node(struct introducer *in, enum access access,
						       const char *value, const char *fmt, ...)
{
	char path[128], perms[24];
	va_list ap;
	int len;

	if (in->rc)
		return;
	va_start(ap, fmt);
	xvsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	in->rc = xs_core_write(path, value);
	if (in->rc)
		return;
	if (access == RW)
		len = xsnprintf(perms, sizeof(perms), "n%u", in->d->id);
	else
		len = xsnprintf(perms, sizeof(perms), "n0%cr%u", '\0', in->d->id);
	in->rc = core_request(XS_SET_PERMS, path, perms, (size_t)len + 1, NULL);
}

static void uuid_text(const uint8_t uuid[16], char out[37])
{
	for (unsigned i = 0, at = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		at += (unsigned)xsnprintf(out + at, 37 - at, "%02x", uuid[i]);
	}
}

/*
 * The directories and files that a domain's tools and kernel expect, after what xl writes for a PV
 * guest.
 */
static void introduce_nodes(struct introducer *in)
{
	static const char *const ro_dirs[] = { "cpu",	  "memory", "device",
					       "control", "store",  "console" };
	static const char *const rw_nodes[] = {
		"control/shutdown",
		"control/feature-poweroff",
		"control/feature-reboot",
		"control/feature-suspend",
		"control/sysrq",
		"device/suspend/event-channel",
		"data",
		"drivers",
		"feature",
		"attr",
		"error",
	};
	struct domain *d = in->d;
	char uuid[37], text[48];

	uuid_text(d->uuid, uuid);
	node(in, RO, "", "/vm/%s", uuid);
	node(in, RO, d->name, "/vm/%s/name", uuid);
	node(in, RO, uuid, "/vm/%s/uuid", uuid);

	node(in, RO, "", "/local/domain/%u", d->id);
	xsnprintf(text, sizeof(text), "/vm/%s", uuid);
	node(in, RO, text, "/local/domain/%u/vm", d->id);
	node(in, RO, d->name, "/local/domain/%u/name", d->id);
	xsnprintf(text, sizeof(text), "%u", d->id);
	node(in, RO, text, "/local/domain/%u/domid", d->id);
	for (unsigned i = 0; i < ARRAY_SIZE(ro_dirs); i++)
		node(in, RO, "", "/local/domain/%u/%s", d->id, ro_dirs[i]);
	for (unsigned i = 0; i < d->max_vcpus; i++)
		node(in, RO, d->vcpu[i] ? "online" : "offline",
		     "/local/domain/%u/cpu/%u/availability", d->id, i);
	xsnprintf(text, sizeof(text), "%lu", (unsigned long)d->mm.max_pages * 4);
	node(in, RO, text, "/local/domain/%u/memory/static-max", d->id);
	xsnprintf(text, sizeof(text), "%lu", (unsigned long)d->mm.tot_pages * 4);
	node(in, RO, text, "/local/domain/%u/memory/target", d->id);
	node(in, RO, "1", "/local/domain/%u/control/platform-feature-xs_reset_watches", d->id);
	for (unsigned i = 0; i < ARRAY_SIZE(rw_nodes); i++)
		node(in, RW, "", "/local/domain/%u/%s", d->id, rw_nodes[i]);
}

static void release(struct domain *d)
{
	char path[64], uuid[37];

	if (!d->store)
		return;
	xs_detach(d);
	xs_connection_free(d->store);
	d->store = NULL;
	xsnprintf(path, sizeof(path), "/local/domain/%u", d->id);
	core_remove(path);
	uuid_text(d->uuid, uuid);
	xsnprintf(path, sizeof(path), "/vm/%s", uuid);
	core_remove(path);
	/* What it owned elsewhere must not fall to a later domain of the same number. */
	if (xs_tree_disown(&xs_main, d->id))
		xlog(LOG_WARN, "xenstore: no memory to clean up after domain %u", d->id);
	xs_account(&xs_main);
	xs_watch_fire_special("@releaseDomain");
	xs_flush();
}

static int introduce(struct domain *d)
{
	struct introducer in = { .d = d };

	if (d->store)
		return -XEN_EBUSY;
	if (!core_connection)
		return -XEN_ENODEV;
	d->store = xs_connection_new(d, d->id, false);
	if (!d->store)
		return -XEN_ENOMEM;
	introduce_nodes(&in);
	if (in.rc) {
		release(d);
		return in.rc;
	}
	xs_watch_fire_special("@introduceDomain");
	xs_flush();
	return 0;
}

int store_introduce(struct domain *d)
{
	int rc;

	xs_lock();
	rc = introduce(d);
	xs_unlock();
	return rc;
}

void store_release(struct domain *d)
{
	xs_lock();
	release(d);
	xs_unlock();
}
