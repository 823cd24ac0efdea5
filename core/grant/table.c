/* SPDX-License-Identifier: MIT */
/*
 * table.c - grant tables as data: their pages, their two layouts
 */
#include "gnttab.h"

#define V1_PER_PAGE (unsigned)(PAGE_SIZE / sizeof(struct grant_entry_v1))
#define V2_PER_PAGE (unsigned)(PAGE_SIZE / sizeof(union grant_entry_v2))

unsigned gnttab_nr_entries(const struct domain_grant *gt)
{
	return gt->nr_frames * (gt->version == 1 ? V1_PER_PAGE : V2_PER_PAGE);
}

struct grant_entry_v1 *gnttab_v1(const struct domain_grant *gt, grant_ref_t ref)
{
	return (struct grant_entry_v1 *)gt->frames[ref / V1_PER_PAGE] + ref % V1_PER_PAGE;
}

union grant_entry_v2 *gnttab_v2(const struct domain_grant *gt, grant_ref_t ref)
{
	return (union grant_entry_v2 *)gt->frames[ref / V2_PER_PAGE] + ref % V2_PER_PAGE;
}

grant_status_t *gnttab_status(const struct domain_grant *gt, grant_ref_t ref)
{
	return (grant_status_t *)gt->status[ref / GNTTAB_STATUS_PER_PAGE] +
	       ref % GNTTAB_STATUS_PER_PAGE;
}

static unsigned status_for(unsigned frames)
{
	return (frames * V2_PER_PAGE + GNTTAB_STATUS_PER_PAGE - 1) / GNTTAB_STATUS_PER_PAGE;
}

/*
 * One more page at the end of an array of them. Status is the hypervisor's word: the guest only
 * reads it.
 */
static int add_page(struct domain *d, void **pages, unsigned *nr, bool writable)
{
	void *page = heap_alloc_pages(1);

	if (!page)
		return -XEN_ENOMEM;
	mm_share_xen_frame(d, page, writable);
	pages[(*nr)++] = page;
	return 0;
}

static int grow_status(struct domain *d, struct domain_grant *gt, unsigned frames)
{
	int rc = 0;

	while (!rc && gt->nr_status < status_for(frames))
		rc = add_page(d, gt->status, &gt->nr_status, false);
	return rc;
}

int gnttab_grow(struct domain *d, unsigned frames)
{
	struct domain_grant *gt = gnttab_get(d);
	int rc;

	if (!gt)
		return -XEN_ENOMEM;
	if (frames > GNTTAB_MAX_FRAMES)
		return -XEN_EINVAL;
	/* Status first: an entry without a status must never be there. */
	rc = gt->version == 2 ? grow_status(d, gt, max_t(unsigned, frames, gt->nr_frames)) : 0;
	while (!rc && gt->nr_frames < frames)
		rc = add_page(d, gt->frames, &gt->nr_frames, true);
	return rc;
}

struct domain_grant *gnttab_get(struct domain *d)
{
	if (!d->grant) {
		struct domain_grant *gt = heap_alloc(sizeof(*gt));

		if (!gt)
			return NULL;
		gt->version = 1;
		if (add_page(d, gt->frames, &gt->nr_frames, true)) {
			heap_free(gt);
			return NULL;
		}
		d->grant = gt;
	}
	return d->grant;
}

void grant_destroy(struct domain *d)
{
	struct domain_grant *gt = d->grant;

	if (!gt)
		return;
	for (unsigned i = 0; i < gt->nr_frames; i++)
		heap_free_pages(gt->frames[i], 1);
	for (unsigned i = 0; i < gt->nr_status; i++)
		heap_free_pages(gt->status[i], 1);
	heap_free(gt);
	d->grant = NULL;
}

/* ---- the two layouts ---- */

/* Reserved entry @ref as version 1 would have it. False when that cannot express it. */
static bool save_reserved(const struct domain_grant *gt, grant_ref_t ref,
			  struct grant_entry_v1 *out)
{
	union grant_entry_v2 e;

	if (gt->version == 1) {
		guest_bytes(out, gnttab_v1(gt, ref), sizeof(*out));
		return true;
	}
	guest_bytes(&e, gnttab_v2(gt, ref), sizeof(e));
	__asm__ volatile("" : : : "memory"); /* checked and used is this copy */
	*out = (struct grant_entry_v1){ 0 };
	switch (e.hdr.flags & GTF_type_mask) {
	case GTF_permit_access:
		if (e.full_page.frame >> 32)
			return false;
		out->flags = e.hdr.flags | *gnttab_status(gt, ref);
		out->domid = e.hdr.domid;
		out->frame = (uint32_t)e.full_page.frame;
		return true;
	case GTF_transitive:
		return false;
	default:
		return true;
	}
}

static void restore_reserved(struct domain_grant *gt, grant_ref_t ref,
			     const struct grant_entry_v1 *in)
{
	const uint16_t in_use = GTF_reading | GTF_writing;
	union grant_entry_v2 e = {
		.full_page = {
			.hdr = { .flags = (uint16_t)(in->flags & ~in_use), .domid = in->domid },
			.frame = in->frame,
		},
	};

	if (gt->version == 1) {
		guest_bytes(gnttab_v1(gt, ref), in, sizeof(*in));
		return;
	}
	*gnttab_status(gt, ref) = in->flags & in_use;
	guest_bytes(gnttab_v2(gt, ref), &e, sizeof(e));
}

/* Version 1 has no status. The pages stay ours and shared, so it would do no harm, but the ABI says that they are gone. */
static bool status_mapped(struct domain *d, const struct domain_grant *gt)
{
	for (unsigned i = 0; i < gt->nr_status; i++)
		if (mm_xen_frame_mapped(d, gt->status[i]))
			return true;
	return false;
}

int gnttab_set_version(struct domain *d, unsigned version)
{
	struct grant_entry_v1 reserved[GNTTAB_NR_RESERVED_ENTRIES];
	struct domain_grant *gt = gnttab_get(d);
	int rc;

	if (!gt)
		return -XEN_ENOMEM;
	if (version != 1 && version != 2)
		return -XEN_EINVAL;
	if (version == gt->version)
		return 0;
	if (version == 1 && status_mapped(d, gt))
		return -XEN_EBUSY;
	rc = version == 2 ? grow_status(d, gt, gt->nr_frames) : 0;
	if (rc)
		return rc;
	for (grant_ref_t ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++)
		if (!save_reserved(gt, ref, &reserved[ref]))
			return -XEN_ERANGE;

	for (unsigned i = 0; i < gt->nr_frames; i++)
		guest_clear(gt->frames[i], PAGE_SIZE);
	for (unsigned i = 0; i < gt->nr_status; i++)
		memset(gt->status[i], 0, PAGE_SIZE);
	gt->version = version;
	for (grant_ref_t ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++)
		restore_reserved(gt, ref, &reserved[ref]);
	return 0;
}
