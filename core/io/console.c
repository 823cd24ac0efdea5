/* SPDX-License-Identifier: MIT */
/*
 * console.c - the core's end of the PV console ring
 *
 *	guest: out[out_prod++] --event--> console_notify() ----> plat_console_write()
 *	home: console_input() -> backlog -> in[in_prod++] --event--> guest
 *
 * The ring lies in the guest's memory. The two indices that are ours to write are kept here and
 *only published there; the guest's two are read once per pass and believed only as far as the ring
 *is long. A guest that writes nonsense loses its own console text.
 */
#include <xenopus/control.h>
#include <xenopus/domain.h>
#include <xenopus/io.h>
#include <xenopus/platform.h>
#include <xen/io/console.h>

#define BACKLOG 4096u /* typed, but not yet in the ring: a pasted page */

struct domain_console {
	struct spinlock lock;
	struct xencons_interface *ring;
	uint32_t port;
	uint32_t out_cons, in_prod;
	uint32_t backlog_head, backlog_len;
	char backlog[BACKLOG];
};

/*
 * Guest to people. True when something was taken, so that the guest may be waiting for the space.
 */
static bool drain(struct domain *d, struct domain_console *c)
{
	struct xencons_interface *ring = c->ring;
	uint32_t prod = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);
	uint32_t left = prod - c->out_cons;
	char buf[256];

	if (!left)
		return false;
	if (left > sizeof(ring->out)) {
		dlog(d, LOG_WARN, "console ring: %u bytes claimed in %u; skipped", left,
		     (unsigned)sizeof(ring->out));
		left = 0;
	}
	while (left) {
		uint32_t at = MASK_XENCONS_IDX(prod - left, ring->out);
		uint32_t n = min_t(uint32_t, left, sizeof(ring->out) - at);

		n = min_t(uint32_t, n, sizeof(buf));
		memcpy(buf, ring->out + at, n);
		plat_console_write(d, buf, n);
		left -= n;
	}
	c->out_cons = prod;
	__atomic_store_n(&ring->out_cons, prod, __ATOMIC_RELEASE);
	return true;
}

/* People to guest, as much as the ring takes. True when something was put there. */
static bool fill(struct domain_console *c)
{
	struct xencons_interface *ring = c->ring;
	uint32_t used = c->in_prod - __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
	uint32_t n;

	/* More used than there is: a nonsense index; wait until it makes sense. */
	if (used >= sizeof(ring->in) || !c->backlog_len)
		return false;
	n = min_t(uint32_t, sizeof(ring->in) - used, c->backlog_len);
	for (uint32_t i = 0; i < n; i++)
		ring->in[MASK_XENCONS_IDX(c->in_prod + i, ring->in)] =
			c->backlog[(c->backlog_head + i) % BACKLOG];
	c->backlog_head = (c->backlog_head + n) % BACKLOG;
	c->backlog_len -= n;
	c->in_prod += n;
	__atomic_store_n(&ring->in_prod, c->in_prod, __ATOMIC_RELEASE);
	return true;
}

static int console_notify(struct domain *d, uint32_t port, void *data)
{
	struct domain_console *c = data;
	bool changed;

	spin_lock(&c->lock, LOCK_CONSOLE);
	changed = drain(d, c);
	changed |= fill(c);
	spin_unlock(&c->lock, LOCK_CONSOLE);
	if (changed)
		evtchn_notify_guest(d, port);
	return 0;
}

size_t console_input(struct domain *d, const char *buf, size_t len)
{
	struct domain_console *c = d->console;
	bool filled;
	size_t n;

	if (!c)
		return 0;
	spin_lock(&c->lock, LOCK_CONSOLE);
	n = min_t(size_t, len, BACKLOG - c->backlog_len);
	for (size_t i = 0; i < n; i++)
		c->backlog[(c->backlog_head + c->backlog_len + i) % BACKLOG] = buf[i];
	c->backlog_len += (uint32_t)n;
	filled = fill(c);
	spin_unlock(&c->lock, LOCK_CONSOLE);
	if (filled)
		evtchn_notify_guest(d, c->port);
	return n;
}

/* What a front-end that looks into xenstore rather than into start_info finds. */
static void announce(struct domain *d, mfn_t ring, uint32_t port)
{
	static const struct {
		const char *node, *value;
	} fixed[] = {
		{ "tty", "" },
		{ "type", "xenconsoled" },
		{ "output", "pty" },
		{ "limit", "1048576" },
	};
	char path[64], value[24];

	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		xsnprintf(path, sizeof(path), "/local/domain/%u/console/%s", d->id, fixed[i].node);
		store_write(path, fixed[i].value);
	}
	xsnprintf(path, sizeof(path), "/local/domain/%u/console/ring-ref", d->id);
	xsnprintf(value, sizeof(value), "%lu", (unsigned long)ring.n);
	store_write(path, value);
	xsnprintf(path, sizeof(path), "/local/domain/%u/console/port", d->id);
	xsnprintf(value, sizeof(value), "%u", port);
	store_write(path, value);
}

int console_attach(struct domain *d, mfn_t ring)
{
	struct domain_console *c;
	int port;

	if (d->console)
		return -XEN_EBUSY;
	c = heap_alloc(sizeof(*c));
	if (!c)
		return -XEN_ENOMEM;
	c->ring = mm_map_shared(d, ring);
	if (!c->ring) {
		heap_free(c);
		return -XEN_EINVAL;
	}
	port = evtchn_bind_core(d, console_notify, c);
	if (port < 0) {
		mm_unmap_shared(c->ring);
		heap_free(c);
		return port;
	}
	c->port = (uint32_t)port;
	c->out_cons = READ_ONCE(c->ring->out_cons);
	c->in_prod = READ_ONCE(c->ring->in_prod);
	d->console = c;
	announce(d, ring, c->port);
	return port;
}

void console_detach(struct domain *d)
{
	struct domain_console *c = d->console;

	if (!c)
		return;
	/* The last words before a crash or power off. */
	drain(d, c);
	d->console = NULL;
	evtchn_unbind_core(d, c->port);
	plat_frame_dirty(virt_to_mfn(c->ring));
	mm_unmap_shared(c->ring);
	heap_free(c);
}
