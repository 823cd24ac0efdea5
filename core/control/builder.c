/* SPDX-License-Identifier: MIT */
/*
 * domain_create(): from a kernel image to a paused domain at its first instruction. The plan is
 * made and checked first (builder_layout.c); from then on only running out of memory can fail, and
 * whatever fails leaves nothing allocated.
 */
#include "xenopus/io.h"
#include "builder.h"

mfn_t builder_mfn(const struct builder *b, uint64_t pfn)
{
	const uint64_t *page;

	ASSERT(pfn < b->pages);
	page = plat_frame_ptr(b->list[pfn / 512]);
	return MFN(page[pfn % 512]);
}

/**
 * populate() - give the domain its memory. The P2M list is written into the very frames that will
 * show it to the guest; they are taken first, and get their place in the list when its turn comes.
 */
static int populate(struct builder *b)
{
	const struct start_layout *l = &b->layout;

	for (uint64_t i = 0; i < l->p2m.nr; i++) {
		b->list[i] = mm_alloc_domain_frame(b->d);
		if (!mfn_valid_number(b->list[i]))
			return -XEN_ENOMEM;
		memset(plat_frame_ptr(b->list[i]), 0xff, PAGE_SIZE); /* behind the end: no frame */
	}
	for (uint64_t pfn = 0; pfn < l->nr_pages;) {
		bool listed = pfn_in(&l->p2m, pfn);
		/* Up to the list's own frames, or to the end. */
		uint64_t end = pfn < l->p2m.first ? l->p2m.first : l->nr_pages;
		mfn_t mfn = listed ? b->list[pfn - l->p2m.first] : INVALID_MFN;
		unsigned n = listed ? 1 : mm_alloc_domain_frames(b->d, end - pfn, &mfn);

		if (!n)
			return -XEN_ENOMEM;
		for (; n; n--, pfn++, mfn.n++) {
			uint64_t *page = plat_frame_ptr(b->list[pfn / 512]);

			page[pfn % 512] = mfn.n;
			m2p_set(mfn, pfn);
		}
		cpu_breathe();
	}
	for (uint64_t i = 0; i < l->p2m.nr; i++)
		plat_frame_dirty(b->list[i]);
	b->pages = l->nr_pages;
	return 0;
}

/** connect() - the core's ends of the two rings every domain starts with. */
static int connect(struct builder *b)
{
	struct domain *d = b->d;
	int rc = store_introduce(d);

	if (rc)
		return rc;
	b->store_port = store_attach(d, builder_mfn(b, b->layout.store));
	if (b->store_port < 0)
		return b->store_port;
	b->console_port = console_attach(d, builder_mfn(b, b->layout.console));
	return b->console_port < 0 ? b->console_port : 0;
}

/**
 * boot_context() - virtual CPU 0's first registers (xen/arch-x86/xen.h; Xen's tools set the same).
 */
static void boot_context(const struct builder *b, mfn_t l4, struct vcpu_guest_context *c)
{
	const struct start_layout *l = &b->layout;
	struct cpu_user_regs *r = &c->user_regs;

	r->rip = b->cfg->kernel->entry;
	r->rsp = layout_va(l, l->stack) + PAGE_SIZE;
	r->rsi = layout_va(l, l->start_info);
	r->rflags = 0x202; /* IF and the bit that is always set */
	r->cs = FLAT_KERNEL_CS;
	r->ss = r->ds = r->es = r->fs = r->gs = FLAT_KERNEL_DS;
	c->flags = VGCF_in_kernel | VGCF_online;
	c->kernel_ss = r->ss;
	c->kernel_sp = r->rsp;
	c->ctrlreg[3] = l4.n << PAGE_SHIFT;
	c->debugreg[6] = 0xffff0ff0;
	c->debugreg[7] = 0x400;
}

static int start_vcpu(struct builder *b, mfn_t l4)
{
	struct vcpu_guest_context *c = heap_alloc(sizeof(*c));
	struct vcpu *v = b->d->vcpu[0];
	int rc;

	if (!c)
		return -XEN_ENOMEM;
	boot_context(b, l4, c);
	rc = vcpu_set_context(v, c);
	heap_free(c);
	return rc;
}

static int construct(struct builder *b)
{
	struct shared_info *shared = b->d->mm.shared_info;
	mfn_t l4;
	int rc;

	rc = populate(b);
	if (rc)
		return rc;
	rc = connect(b);
	if (rc)
		return rc;
	build_fill(b);
	l4 = build_tables(b);
	rc = mm_pin_table(b->d, l4, 4);
	if (rc)
		return rc;
	for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
		shared->vcpu_info[i].evtchn_upcall_mask = 1;
	return start_vcpu(b, l4);
}

static domid_t free_domid(void)
{
	domid_t id = 1; /* 0 is the privileged domain's, should there ever be one */

	while (domain_by_id(id, NULL))
		id++;
	return id;
}

/**
 * make_domain() - an empty domain with its virtual CPUs; b->d stays NULL when there is nothing to
 * destroy.
 */
static int make_domain(struct builder *b)
{
	const struct domain_config *cfg = b->cfg;
	domid_t id = cfg->id ? cfg->id : free_domid();
	struct domain *d = domain_alloc(id, cfg->name ? cfg->name : "guest", cfg->vcpus);
	int rc;

	if (!d)
		return domain_by_id(id, NULL) ? -XEN_EEXIST : -XEN_ENOMEM;
	if (cfg->uuid)
		memcpy(d->uuid, cfg->uuid, sizeof(d->uuid));
	rc = domain_mm_init(d, max_t(uint64_t, cfg->max_pages, cfg->memory_pages));
	if (rc) {
		domain_free(d);
		return rc;
	}
	rc = domain_event_init(d);
	if (rc) {
		domain_mm_destroy(d);
		domain_free(d);
		return rc;
	}
	b->d = d;
	for (unsigned i = 0; i < cfg->vcpus; i++)
		if (!vcpu_alloc(d, i))
			return -XEN_ENOSPC;
	return 0;
}

struct domain *domain_create(const struct domain_config *cfg)
{
	struct builder b = { .cfg = cfg };
	int rc;

	if (start_layout_plan(cfg, &b.layout))
		return NULL;
	b.list = heap_alloc(b.layout.p2m.nr * sizeof(*b.list));
	rc = b.list ? make_domain(&b) : -XEN_ENOMEM;
	if (!rc)
		rc = construct(&b);
	heap_free(b.list);
	if (!rc)
		return b.d;
	if (b.d)
		domain_destroy(b.d);
	if (rc == -XEN_ENOMEM)
		build_error(cfg,
			    "the machine has not enough free memory for a domain of %llu MiB: give "
			    "it less",
			    (unsigned long long)cfg->memory_pages >> 8);
	else if (rc == -XEN_ENOSPC)
		build_error(cfg, "the machine has no memory or no room for %u more virtual CPUs: give the domain fewer, "
			    "or end another", cfg->vcpus);
	else
		build_error(cfg,
			    "the core refused the domain it was building (error %d): please report "
			    "this",
			    -rc);
	return NULL;
}
