/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a guest that writes what it likes into its xenstore and console rings, and sends
 * events. After every input the store's accounts must be right, its connection must come back, and
 * a second domain must not have noticed anything.
 *
 * Input: steps of one byte (what) and its operands; see step().
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/smallworld.h"
#include "xenopus/control.h"
#include "xenopus/io.h"
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include "../../core/xenstore/xenstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct domain *guest, *bystander;
static struct xenstore_domain_interface *ring;
static struct xencons_interface *console;
static uint32_t store_port, console_port;

struct input {
	const uint8_t *p;
	size_t left;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t word(struct input *in)
{
	uint32_t w = byte(in);

	w |= (uint32_t)byte(in) << 8;
	w |= (uint32_t)byte(in) << 16;
	return w | (uint32_t)byte(in) << 24;
}

static void kick(uint32_t port)
{
	struct evtchn_send send = { .port = port };

	sw_op(guest->vcpu[0], do_event_channel_op, EVTCHNOP_send, &send, sizeof(send));
}

static void put(const void *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ring->req[MASK_XENSTORE_IDX(ring->req_prod + i)] = ((const char *)bytes)[i];
	ring->req_prod += n;
}

/*
 * A request that is well formed outside; paths and perms come from the input, or from a dictionary.
 */
static void message(struct input *in)
{
	static const char *const words[] = {
		"data",
		"data/a",
		"data/a/b",
		"data/b",
		"/local/domain/1/data",
		"/",
		"control",
		"/local/domain/2/name",
		"@release",
		"@introduceDomain",
		"n1",
		"b1",
		"r2",
		"T",
		"F",
		"0",
		"1",
		"2",
		"token",
		"",
	};
	struct xsd_sockmsg h = { .type = byte(in) % (XS_TYPE_COUNT + 1), .tx_id = byte(in) % 12 };
	char payload[256];

	for (unsigned parts = byte(in) % 4; parts; parts--) {
		const char *w = words[byte(in) % ARRAY_SIZE(words)];

		memcpy(payload + h.len, w, strlen(w) + 1);
		h.len += (uint32_t)strlen(w) + 1;
	}
	for (unsigned raw = byte(in) % 16; raw && in->left; raw--)
		payload[h.len++] = (char)byte(in);
	put(&h, sizeof(h));
	put(payload, h.len);
	kick(store_port);
}

static void step(struct input *in)
{
	char raw[32];
	uint32_t n;

	switch (byte(in) % 12) {
	default:
		message(in);
		break;
	case 0:
		n = byte(in) % sizeof(raw);
		for (uint32_t i = 0; i < n; i++)
			raw[i] = (char)byte(in);
		put(raw, n);
		kick(store_port);
		break;
	case 1:
		ring->rsp_cons = ring->rsp_prod;
		kick(store_port);
		break;
	case 2:
		ring->req_prod = word(in);
		break;
	case 3:
		ring->rsp_cons = word(in);
		break;
	case 4:
		ring->req_cons = ring->rsp_prod = word(in);
		break;
	case 5:
		ring->connection = byte(in) % 3;
		kick(store_port);
		break;
	case 6:
		console->out_prod = word(in);
		console->in_cons = word(in);
		kick(console_port);
		console_input(guest, "x", 1);
		break;
	}
}

static void start(void)
{
	int rc;

	smallworld_start();
	log_threshold = LOG_ERROR;
	guest = sw_domain(1);
	bystander = sw_domain(1);
	sw_run(guest->vcpu[0]);
	must(!store_introduce(guest) && !store_introduce(bystander), "introduce");
	rc = store_attach(guest, sw_mfn(guest, 0));
	must(rc > 0, "attach");
	store_port = (uint32_t)rc;
	rc = console_attach(guest, sw_mfn(guest, 1));
	must(rc > 0, "attach");
	console_port = (uint32_t)rc;
	ring = sw_page(guest, 0);
	console = sw_page(guest, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct evtchn_close close;
	char name[64];

	if (!guest)
		start();
	close.port = store_port;
	while (in.left)
		step(&in);

	must(xs_audit() == 0, "the accounts are wrong");
	must(!store_read("/local/domain/2/name", name, sizeof(name)) && !strcmp(name, "test"),
	     "another domain's node has changed");

	/* As at the start, for inputs to be independent. */
	ring->connection = XENSTORE_RECONNECT;
	kick(store_port);
	must(!guest->store->broken && guest->store->nr_watches == 0 &&
		     guest->store->nr_transactions == 0 && guest->store->out_bytes == 0,
	     "something is left after reconnecting");
	store_release(guest);
	sw_op(guest->vcpu[0], do_event_channel_op, EVTCHNOP_close, &close, sizeof(close));
	must(!store_introduce(guest), "introduce again");
	{
		int rc = store_attach(guest, sw_mfn(guest, 0));

		must(rc > 0, "attach again");
		store_port = (uint32_t)rc;
	}
	testplat_clear();
	return 0;
}
