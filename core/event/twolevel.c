/* SPDX-License-Identifier: MIT */
/*
 * The two-level ABI: a pending and a mask bit per port in shared_info; a selector bit per 64 ports
 * in the vcpu_info of the virtual CPU that is to look.
 *
 *	pending bit 0 -> 1, unmasked  ->  selector bit 0 -> 1  ->  upcall pending, wake
 *
 * The order is the ABI's: a guest that clears selector, then pending bit, then handles, loses
 * nothing.
 */
#include "evtchn.h"

static uint64_t *pending_map(const struct domain *d)
{
	return d->mm.shared_info->evtchn_pending;
}

static uint64_t *mask_map(const struct domain *d)
{
	return d->mm.shared_info->evtchn_mask;
}

static void select_and_mark(struct domain *d, const struct evtchn *c)
{
	struct vcpu *v = d->vcpu[c->notify_vcpu];
	uint64_t *sel = &v->gate.vcpu_info->evtchn_pending_sel;

	if (!bit_test_and_set(sel, c->port / 64))
		vcpu_mark_events_pending(v);
}

void twolevel_set_pending(struct domain *d, struct evtchn *c)
{
	if (bit_test_and_set(pending_map(d), c->port))
		return;
	if (!bit_test(mask_map(d), c->port))
		select_and_mark(d, c);
	evtchn_check_pollers(d, c->port);
}

void twolevel_clear_pending(struct domain *d, struct evtchn *c)
{
	if (d->mm.shared_info)
		bit_test_and_clear(pending_map(d), c->port);
}

void twolevel_unmask(struct domain *d, struct evtchn *c)
{
	if (bit_test_and_clear(mask_map(d), c->port) && bit_test(pending_map(d), c->port))
		select_and_mark(d, c);
}

bool twolevel_is_pending(const struct domain *d, const struct evtchn *c)
{
	return bit_test(pending_map(d), c->port);
}
