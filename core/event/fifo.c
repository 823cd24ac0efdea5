/* SPDX-License-Identifier: MIT */
/*
 * The FIFO ABI's memory: control blocks (one per virtual CPU, in a page the guest names) and the
 * event array (one word per port, in pages the guest adds as it needs them). All of it is guest
 * memory, mapped for as long as the ABI is in use; the queues themselves are in fifo_queue.c.
 *
 * The first EVTCHNOP_init_control switches the whole domain over from the two-level ABI.
 */
#include "evtchn.h"

event_word_t *fifo_word(const struct domain *d, uint32_t port)
{
	const struct fifo_array *a = d->event.table->fifo;

	if (port / FIFO_WORDS_PER_PAGE >= a->pages)
		return NULL;
	return a->page[port / FIFO_WORDS_PER_PAGE] + port % FIFO_WORDS_PER_PAGE;
}

void fifo_destroy_vcpu(struct vcpu *v)
{
	struct evtchn_fifo_control_block *block;

	if (!v->event.fifo)
		return;
	block = fifo_control_block(v->event.fifo);
	if (block)
		mm_unmap_shared((void *)((uintptr_t)block & PAGE_MASK));
	heap_free(v->event.fifo);
	v->event.fifo = NULL;
}

void fifo_destroy(struct domain *d)
{
	struct fifo_array *a = d->event.table->fifo;
	unsigned i;

	for (i = 0; i < MAX_VCPUS; i++)
		if (d->vcpu[i])
			fifo_destroy_vcpu(d->vcpu[i]);
	if (!a)
		return;
	for (i = 0; i < a->pages; i++)
		mm_unmap_shared(a->page[i]);
	heap_free(a);
	d->event.table->fifo = NULL;
}

/* Queues for every virtual CPU and an empty event array. Leaves nothing behind when it fails. */
static int switch_over(struct domain *d)
{
	struct fifo_array *a = heap_alloc(sizeof(*a));
	unsigned i;

	if (!a)
		return -XEN_ENOMEM;
	for (i = 0; i < MAX_VCPUS; i++) {
		if (!d->vcpu[i])
			continue;
		d->vcpu[i]->event.fifo = fifo_queues_alloc();
		if (!d->vcpu[i]->event.fifo) {
			heap_free(a);
			fifo_destroy(d);
			return -XEN_ENOMEM;
		}
	}
	d->event.table->fifo = a;
	return 0;
}

/* What was pending under the two-level ABI is raised again when the port's event word appears. */
static void save_pending(struct domain *d)
{
	uint32_t port;

	for (port = 1; port < d->event.table->buckets * EVTCHN_PER_BUCKET; port++) {
		struct evtchn *c = evtchn_lookup(d, port);

		c->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
		c->last_priority = 0;
		c->last_vcpu = 0;
		if (c->state > ECS_RESERVED && twolevel_is_pending(d, c))
			c->pending = true;
	}
}

static int init_control(struct domain *d, uint32_t vcpu, mfn_t mfn, uint32_t offset)
{
	struct vcpu *v = evtchn_vcpu(d, vcpu);
	bool first = !d->event.table->fifo;
	char *page;
	int rc;

	if (!v)
		return -XEN_ENOENT;
	if (offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || offset % 8)
		return -XEN_EINVAL;
	if (!first && fifo_queues_attached(v->event.fifo))
		return -XEN_EINVAL; /* once only */
	page = mm_map_shared(d, mfn);
	if (!page)
		return -XEN_EINVAL;
	if (first) {
		rc = switch_over(d);
		if (rc) {
			mm_unmap_shared(page);
			return rc;
		}
		save_pending(d);
	}
	fifo_queues_attach(v->event.fifo, (void *)(page + offset));
	return 0;
}

int fifo_init_control(struct domain *d, uint32_t vcpu, mfn_t mfn, uint32_t offset)
{
	int rc;

	evtchn_lock(d);
	rc = init_control(d, vcpu, mfn, offset);
	evtchn_unlock(d);
	return rc;
}

static int expand_array(struct domain *d, mfn_t mfn)
{
	struct fifo_array *a = d->event.table->fifo;
	uint32_t port, end;
	void *page;

	if (!a)
		return -XEN_EOPNOTSUPP;
	if (a->pages == FIFO_MAX_PAGES)
		return -XEN_ENOSPC;
	page = mm_map_shared(d, mfn);
	if (!page)
		return -XEN_EINVAL;
	port = a->pages * FIFO_WORDS_PER_PAGE;
	end = port + FIFO_WORDS_PER_PAGE;
	a->page[a->pages] = page;
	__atomic_store_n(&a->pages, a->pages + 1, __ATOMIC_RELEASE);

	/* Raise what came before its word did. */
	for (; port < end; port++) {
		struct evtchn *c = evtchn_lookup(d, port);

		if (!c)
			break;
		if (c->pending && c->state > ECS_RESERVED) {
			c->pending = false;
			fifo_set_pending(d, c);
		}
	}
	return 0;
}

int fifo_expand_array(struct domain *d, mfn_t mfn)
{
	int rc;

	evtchn_lock(d);
	rc = expand_array(d, mfn);
	evtchn_unlock(d);
	return rc;
}
