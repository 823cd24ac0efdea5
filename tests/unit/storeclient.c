/* SPDX-License-Identifier: MIT */
/* See storeclient.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storeclient.h"
#include "xenopus/io.h"
#include <xen/event_channel.h>

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "store client: %s\n", what);
	abort();
}

void sc_open(struct store_client *c)
{
	int port;

	memset(c, 0, sizeof(*c));
	c->d = sw_domain(1);
	sw_run(c->d->vcpu[0]);
	must(store_introduce(c->d) == 0, "introduce");
	port = store_attach(c->d, sw_mfn(c->d, 0));
	must(port > 0, "attach");
	c->port = (uint32_t)port;
	c->ring = sw_page(c->d, 0);
}

void sc_kick(struct store_client *c)
{
	struct evtchn_send send = { .port = c->port };

	must(sw_op(c->d->vcpu[0], do_event_channel_op, EVTCHNOP_send, &send, sizeof(send)) == 0,
	     "send");
}

void sc_put(struct store_client *c, const void *bytes, uint32_t len)
{
	const char *p = bytes;

	for (unsigned idle = 0; len; idle++) {
		must(idle < 100, "the request ring stays full");
		while (len && c->ring->req_prod - c->ring->req_cons < XENSTORE_RING_SIZE) {
			c->ring->req[MASK_XENSTORE_IDX(c->ring->req_prod)] = *p++;
			c->ring->req_prod++;
			len--;
			idle = 0;
		}
		if (len)
			sc_kick(c);
	}
}

/* @len bytes of the response ring; they must come. */
static void take(struct store_client *c, void *to, uint32_t len)
{
	char *p = to;

	for (unsigned idle = 0; len; idle++) {
		must(idle < 3, "the response stops in the middle");
		while (len && c->ring->rsp_cons != c->ring->rsp_prod) {
			*p++ = c->ring->rsp[MASK_XENSTORE_IDX(c->ring->rsp_cons)];
			c->ring->rsp_cons++;
			len--;
			idle = 0;
		}
		if (len)
			sc_kick(c);
	}
}

bool sc_poll(struct store_client *c)
{
	struct xsd_sockmsg h;

	if (c->ring->rsp_cons == c->ring->rsp_prod)
		sc_kick(c);
	if (c->ring->rsp_cons == c->ring->rsp_prod)
		return false;
	take(c, &h, sizeof(h));
	must(h.len <= XENSTORE_PAYLOAD_MAX, "response too long");
	c->type = h.type;
	c->len = h.len;
	take(c, c->data, h.len);
	c->data[h.len] = '\0';
	if (h.type == XS_WATCH_EVENT) {
		must(c->events < SC_EVENTS, "too many events");
		must(strlen(c->data) + 1 < h.len, "event without token");
		snprintf(c->event[c->events++], sizeof(c->event[0]), "%.100s %.90s", c->data,
			 c->data + strlen(c->data) + 1);
	} else {
		must(h.req_id == c->next_req, "reply to another request");
	}
	return true;
}

bool sc_rpc(struct store_client *c, uint32_t type, uint32_t tx, const void *payload, uint32_t len)
{
	struct xsd_sockmsg h = { .type = type, .req_id = ++c->next_req, .tx_id = tx, .len = len };

	sc_put(c, &h, sizeof(h));
	sc_put(c, payload, len);
	sc_kick(c);
	do
		must(sc_poll(c), "no reply");
	while (c->type == XS_WATCH_EVENT);
	must(c->type == type || c->type == XS_ERROR, "reply of another type");
	return c->type != XS_ERROR;
}

void sc_drain(struct store_client *c)
{
	while (sc_poll(c))
		must(c->type == XS_WATCH_EVENT, "an unasked reply");
}

bool sc_write(struct store_client *c, uint32_t tx, const char *path, const char *value)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	int len = snprintf(buf, sizeof(buf), "%s%c%s", path, 0, value);

	return sc_rpc(c, XS_WRITE, tx, buf, (uint32_t)len);
}

bool sc_path(struct store_client *c, uint32_t type, uint32_t tx, const char *path)
{
	return sc_rpc(c, type, tx, path, (uint32_t)strlen(path) + 1);
}

bool sc_read(struct store_client *c, uint32_t tx, const char *path)
{
	return sc_path(c, XS_READ, tx, path);
}

static bool watch(struct store_client *c, uint32_t type, const char *path, const char *token)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	int len = snprintf(buf, sizeof(buf), "%s%c%s%c", path, 0, token, 0);

	return sc_rpc(c, type, 0, buf, (uint32_t)len);
}

bool sc_watch(struct store_client *c, const char *path, const char *token)
{
	return watch(c, XS_WATCH, path, token);
}

bool sc_unwatch(struct store_client *c, const char *path, const char *token)
{
	return watch(c, XS_UNWATCH, path, token);
}

uint32_t sc_begin(struct store_client *c)
{
	return sc_rpc(c, XS_TRANSACTION_START, 0, "", 1) ? (uint32_t)strtoul(c->data, NULL, 10) : 0;
}

bool sc_end(struct store_client *c, uint32_t tx, bool commit)
{
	return sc_rpc(c, XS_TRANSACTION_END, tx, commit ? "T" : "F", 2);
}

bool sc_is(const struct store_client *c, const char *error)
{
	return error ? c->type == XS_ERROR && !strcmp(c->data, error) : c->type != XS_ERROR;
}

unsigned sc_heard(const struct store_client *c, const char *event)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->events; i++)
		n += !strcmp(c->event[i], event);
	return n;
}

void sc_forget(struct store_client *c)
{
	c->events = 0;
}
