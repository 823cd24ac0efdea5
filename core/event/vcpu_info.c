/* SPDX-License-Identifier: MIT */
/*
 * Where a virtual CPU's vcpu_info is: the first 32 have one in shared_info; a guest may move each,
 * once, to memory of its own. A virtual CPU above 31 that was not given one yet has a private
 * dummy, so that v->gate.vcpu_info is never NULL.
 */
#include "evtchn.h"

int vcpu_event_init(struct vcpu *v)
{
	struct shared_info *s = v->domain->mm.shared_info;
	struct vcpu_info *info;
	struct evtchn_table *t = v->domain->event.table;

	if (s && v->id < XEN_LEGACY_MAX_VCPUS) {
		info = &s->vcpu_info[v->id];
	} else {
		info = v->event.dummy = heap_alloc(sizeof(*info));
		if (!info)
			return -XEN_ENOMEM;
	}
	if (t && t->fifo) {
		v->event.fifo = fifo_queues_alloc();
		if (!v->event.fifo) {
			heap_free(v->event.dummy);
			v->event.dummy = NULL;
			return -XEN_ENOMEM;
		}
	}
	info->evtchn_upcall_mask = 1; /* start of day: events are masked */
	v->gate.vcpu_info = info;
	return 0;
}

void vcpu_event_destroy(struct vcpu *v)
{
	evtchn_lock(v->domain);
	fifo_destroy_vcpu(v);
	if (v->event.info_page)
		mm_unmap_shared(v->event.info_page);
	v->event.info_page = NULL;
	heap_free(v->event.dummy);
	v->event.dummy = NULL;
	v->gate.vcpu_info = NULL;
	evtchn_unlock(v->domain);
}

bool vcpu_info_placed(const struct vcpu *v)
{
	return !v->event.dummy || v->gate.vcpu_info != v->event.dummy;
}

static int move_info(struct vcpu *v, mfn_t mfn, unsigned offset)
{
	struct vcpu_info *info;
	void *page;

	if (offset > PAGE_SIZE - sizeof(*info) || offset % sizeof(uint64_t))
		return -XEN_ENXIO;
	if (v->event.info_page)
		return -XEN_EBUSY; /* once only */
	page = mm_map_shared(v->domain, mfn);
	if (!page)
		return -XEN_EINVAL;

	info = (void *)((char *)page + offset);
	memcpy(info, v->gate.vcpu_info, sizeof(*info));
	if (!vcpu_info_placed(v))
		info->evtchn_upcall_mask = 1;
	v->event.info_page = page;
	v->gate.vcpu_info = info;
	/*
	 * Something may have become pending in the old place meanwhile: one spurious look at
	 * everything.
	 */
	info->evtchn_pending_sel = ~UINT64_C(0);
	WRITE_ONCE(info->evtchn_upcall_pending, 0);
	vcpu_mark_events_pending(v);
	return 0;
}

int vcpu_info_register(struct vcpu *v, mfn_t mfn, unsigned offset)
{
	int rc;

	evtchn_lock(v->domain);
	rc = move_info(v, mfn, offset);
	evtchn_unlock(v->domain);
	return rc;
}

bool vcpu_upcall_pending(const struct vcpu *v)
{
	const struct vcpu_info *info = v->gate.vcpu_info;

	return READ_ONCE(info->evtchn_upcall_pending) && !READ_ONCE(info->evtchn_upcall_mask);
}

/**
 * vcpu_mark_events_pending() - there is news in v's vcpu_info or FIFO control block. Only the first
 * piece of news since the guest last cleared the flag needs the virtual CPU's attention.
 */
void vcpu_mark_events_pending(struct vcpu *v)
{
	if (!__atomic_exchange_n(&v->gate.vcpu_info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
		vcpu_attention(v);
}
