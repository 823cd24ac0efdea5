/* SPDX-License-Identifier: MIT */
/*
 * ring.c - a domain's connection to the store: two byte streams in a page of the guest's
 *
 *	req: guest -> in[] until a message is whole -> xs_request() -> out list -> rsp: guest
 *
 * The indices that are ours to write are kept here and only published; the guest's are read once
 *per pass and must fit the ring. Whoever writes nonsense is not listened to any more, until it asks
 *to reconnect; it learns why from the ring's error field. No more is read while replies pile up, so
 *a guest that does not take them cannot make us keep many.
 */
#include <xenopus/hypercall.h>
#include <xenopus/io.h>
#include <xenopus/platform.h>

#include "xenstore.h"

/* Replies that may wait before requests do; and messages answered in one go. */
#define OUTPUT_HIGH_WATER 16384u
#define MESSAGES_AT_ONCE  256u

#define HEADER ((uint32_t)sizeof(struct xsd_sockmsg))

static void give_up(struct domain_store *c, uint32_t error, const char *why)
{
	dlog(c->d, LOG_WARN, "xenstore ring: %s; connection stopped", why);
	c->broken = true;
	WRITE_ONCE(c->ring->error, error);
}

/* ---- out ---- */

static uint32_t hash_of(const char *payload, uint32_t len)
{
	uint32_t h = 0x811c9dc5;

	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)payload[i]) * 0x01000193;
	return h;
}

/* The first of the waiting events whose hash falls into the same bucket. */
static struct xs_message **waiting_place(struct domain_store *c, uint32_t hash)
{
	return &c->waiting[hash % XS_WAITING];
}

static void wait_begins(struct domain_store *c, struct xs_message *m)
{
	struct xs_message **place;

	m->hash = hash_of(m->bytes + HEADER, m->size - HEADER);
	place = waiting_place(c, m->hash);
	m->waiting = *place;
	*place = m;
}

static void wait_ends(struct domain_store *c, struct xs_message *m)
{
	struct xs_message **place = waiting_place(c, m->hash);

	while (*place != m)
		place = &(*place)->waiting;
	*place = m->waiting;
}

static struct xs_message *message_new(struct domain_store *c, uint32_t size, bool event)
{
	struct xs_message *m = heap_alloc(sizeof(*m) + size);

	if (!m && !event) {
		m = c->spare;
		c->spare = NULL;
	}
	if (m) {
		m->size = size;
		m->done = 0;
		m->event = event;
	}
	return m;
}

static void message_free(struct domain_store *c, struct xs_message *m)
{
	if (m->spare)
		c->spare = m;
	else
		heap_free(m);
}

struct xs_message *xs_spare_message(void)
{
	struct xs_message *m = heap_alloc(sizeof(*m) + HEADER + XENSTORE_PAYLOAD_MAX);

	if (m)
		m->spare = true;
	return m;
}

bool xs_takes_events(struct domain_store *c)
{
	if (!c->d)
		return false; /* the core itself has no ring */
	if (c->out_bytes <= XS_QUOTA_OUTPUT_BYTES)
		return true;
	if (!c->overflown)
		dlog(c->d, LOG_WARN, "xenstore: does not take its watch events; they are dropped until it does");
	c->overflown = true;
	return false;
}

/* Telling it twice would tell no more. */
bool xs_event_waits(struct domain_store *c, const char *payload, uint32_t len)
{
	uint32_t hash = hash_of(payload, len);

	for (struct xs_message *m = *waiting_place(c, hash); m; m = m->waiting)
		if (m->hash == hash && m->size == HEADER + len && !memcmp(m->bytes + HEADER, payload, len))
			return true;
	return false;
}

bool xs_send(struct domain_store *c, uint32_t type, uint32_t req_id, uint32_t tx_id,
	     const char *payload, uint32_t len)
{
	struct xsd_sockmsg h = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = len };
	bool event = type == XS_WATCH_EVENT;
	struct xs_message *m;

	if (!c->d)
		return false; /* the core itself has no ring */
	m = message_new(c, HEADER + len, event);
	if (!m)
		return false;
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + sizeof(h), payload, len);
	list_add_tail(&c->out, &m->link);
	c->out_bytes += m->size;
	if (event)
		wait_begins(c, m);
	return true;
}

void xs_drop_output(struct domain_store *c)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &c->out)
		message_free(c, list_entry(pos, struct xs_message, link));
	list_init(&c->out);
	memset(c->waiting, 0, sizeof(c->waiting));
	c->out_bytes = 0;
}

/* Move what fits of the waiting messages into the ring. True when anything moved. */
static bool put_output(struct domain_store *c)
{
	struct xenstore_domain_interface *ring = c->ring;
	uint32_t used, space, moved = 0;

	if (!ring || c->broken || list_empty(&c->out))
		return false;
	used = c->rsp_prod - __atomic_load_n(&ring->rsp_cons, __ATOMIC_ACQUIRE);
	if (used > XENSTORE_RING_SIZE) {
		give_up(c, XENSTORE_ERROR_RINGIDX, "impossible response index");
		return true;
	}
	space = XENSTORE_RING_SIZE - used;
	while (space && !list_empty(&c->out)) {
		struct xs_message *m = list_entry(c->out.next, struct xs_message, link);
		uint32_t n = min_t(uint32_t, space, m->size - m->done);

		if (m->event && !m->done) {
			wait_ends(c, m);
			c->overflown = false;
		}
		for (uint32_t i = 0; i < n; i++)
			ring->rsp[MASK_XENSTORE_IDX(c->rsp_prod + i)] = m->bytes[m->done + i];
		c->rsp_prod += n;
		m->done += n;
		space -= n;
		moved += n;
		if (m->done == m->size) {
			c->out_bytes -= m->size;
			list_del(&m->link);
			message_free(c, m);
		}
	}
	__atomic_store_n(&ring->rsp_prod, c->rsp_prod, __ATOMIC_RELEASE);
	return moved;
}

void xs_flush(void)
{
	struct list *pos;

	list_for_each (pos, &xs_connections) {
		struct domain_store *c = list_entry(pos, struct domain_store, link);

		if (put_output(c))
			evtchn_notify_guest(c->d, c->port);
	}
}

/* ---- in ---- */

static struct xsd_sockmsg header_of(const struct domain_store *c)
{
	struct xsd_sockmsg h;

	memcpy(&h, c->in, sizeof(h));
	return h;
}

/*
 * Move up to @want - in_len bytes from the ring into in[]. False when the ring is empty or broken.
 */
static bool take(struct domain_store *c, uint32_t want, bool *taken)
{
	struct xenstore_domain_interface *ring = c->ring;
	uint32_t n = __atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE) - c->req_cons;

	if (n > XENSTORE_RING_SIZE) {
		give_up(c, XENSTORE_ERROR_RINGIDX, "impossible request index");
		return false;
	}
	n = min_t(uint32_t, n, want - c->in_len);
	for (uint32_t i = 0; i < n; i++)
		c->in[c->in_len + i] = ring->req[MASK_XENSTORE_IDX(c->req_cons + i)];
	c->in_len += n;
	c->req_cons += n;
	*taken |= n;
	__atomic_store_n(&ring->req_cons, c->req_cons, __ATOMIC_RELEASE);
	return n;
}

/* Is a whole message in in[] now? Takes what it needs from the ring. */
static bool receive(struct domain_store *c, bool *taken)
{
	while (c->in_len < HEADER)
		if (!take(c, HEADER, taken))
			return false;
	if (header_of(c).len > XENSTORE_PAYLOAD_MAX) {
		give_up(c, XENSTORE_ERROR_PROTO, "payload too long");
		return false;
	}
	while (c->in_len < HEADER + header_of(c).len)
		if (!take(c, HEADER + header_of(c).len, taken))
			return false;
	return true;
}

/* False: only a part of the work is done, the rest is for the next time. */
static bool answer(struct domain_store *c)
{
	static struct xs_reply rp; /* too big for the stack; one CPU at a time is in the store */
	struct xsd_sockmsg h = header_of(c);
	struct xs_request rq = { h.type, h.req_id, h.tx_id, h.len, c->in + HEADER };
	bool sent;

	c->in[HEADER + h.len] = '\0';
	c->unfinished = !xs_request(c, &rq, &rp);
	if (c->unfinished)
		return false;
	c->in_len = 0;
	if (rp.error)
		sent = xs_send(c, XS_ERROR, h.req_id, h.tx_id, rp.error,
			       (uint32_t)xstrlen(rp.error) + 1);
	else
		sent = xs_send(c, h.type, h.req_id, h.tx_id, rp.payload, rp.len);
	if (!sent)
		give_up(c, XENSTORE_ERROR_COMM, "out of memory");
	return true;
}

/* The guest starts anew, after a fault or because another kernel took over. */
static void reconnect(struct domain_store *c)
{
	struct xenstore_domain_interface *ring = c->ring;

	xs_watch_reset(c);
	xs_tx_reset(c);
	xs_drop_output(c);
	c->in_len = 0;
	c->req_cons = c->rsp_prod = 0;
	c->broken = c->unfinished = false;
	WRITE_ONCE(ring->req_cons, 0);
	WRITE_ONCE(ring->req_prod, 0);
	WRITE_ONCE(ring->rsp_cons, 0);
	WRITE_ONCE(ring->rsp_prod, 0);
	WRITE_ONCE(ring->error, XENSTORE_ERROR_NONE);
	__atomic_store_n(&ring->connection, XENSTORE_CONNECTED, __ATOMIC_RELEASE);
}

/* Replies first: there are many, or the last one went out on the spare message. */
static bool must_wait(const struct domain_store *c)
{
	return !c->unfinished && (c->out_bytes > OUTPUT_HIGH_WATER || !c->spare);
}

/* True: there may be more to do, but the time for it is over. */
static bool serve(struct domain *d, uint32_t port, void *data)
{
	struct domain_store *c = data;
	bool taken = false, again = false;

	if (__atomic_load_n(&c->ring->connection, __ATOMIC_ACQUIRE) == XENSTORE_RECONNECT) {
		reconnect(c);
		taken = true;
	}
	for (unsigned i = 0; i < MESSAGES_AT_ONCE && !c->broken && !again; i++) {
		if (must_wait(c)) {
			taken |= put_output(c);
			if (must_wait(c))
				break;
		}
		if (c->broken || !receive(c, &taken))
			break;
		again = !answer(c) || hypercall_preempt();
	}
	taken |= put_output(c);
	/* Space in the request ring, a reply, or an error to see. */
	if (taken || c->broken)
		evtchn_notify_guest(d, port);
	xs_flush();
	return again;
}

static int store_notify(struct domain *d, uint32_t port, void *data)
{
	bool again;

	xs_lock();
	again = serve(d, port, data);
	xs_unlock();
	return again ? -XEN_ERESTART : 0;
}

static void announce(struct domain *d, mfn_t ring, uint32_t port)
{
	char path[48], value[24];

	xsnprintf(path, sizeof(path), "/local/domain/%u/store/ring-ref", d->id);
	xsnprintf(value, sizeof(value), "%lu", (unsigned long)ring.n);
	xs_core_write(path, value);
	xsnprintf(path, sizeof(path), "/local/domain/%u/store/port", d->id);
	xsnprintf(value, sizeof(value), "%u", port);
	xs_core_write(path, value);
}

static int attach(struct domain *d, mfn_t ring)
{
	struct domain_store *c = d->store;
	int port;

	if (!c)
		return -XEN_ENOENT;
	if (c->ring)
		return -XEN_EBUSY;
	c->ring = mm_map_shared(d, ring);
	if (!c->ring)
		return -XEN_EINVAL;
	port = evtchn_bind_core(d, store_notify, c);
	if (port < 0) {
		mm_unmap_shared(c->ring);
		c->ring = NULL;
		return port;
	}
	c->port = (uint32_t)port;
	c->req_cons = READ_ONCE(c->ring->req_cons);
	c->rsp_prod = READ_ONCE(c->ring->rsp_prod);
	WRITE_ONCE(c->ring->server_features,
		   XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
	announce(d, ring, c->port);
	return port;
}

int store_attach(struct domain *d, mfn_t ring)
{
	int rc;

	xs_lock();
	rc = attach(d, ring);
	xs_unlock();
	return rc;
}

void xs_detach(struct domain *d)
{
	struct domain_store *c = d->store;

	if (!c || !c->ring)
		return;
	evtchn_unbind_core(d, c->port);
	plat_frame_dirty(virt_to_mfn(c->ring));
	mm_unmap_shared(c->ring);
	c->ring = NULL;
	c->in_len = 0;
	c->broken = c->unfinished = false;
	xs_drop_output(c);
}

void store_detach(struct domain *d)
{
	xs_lock();
	xs_detach(d);
	xs_unlock();
}
