/* SPDX-License-Identifier: MIT */
/*
 * The plan of a start of day: pure arithmetic on a domain_config, no memory touched, so it can
 * refuse everything that cannot be built before anything is allocated. Rules: xen/xen.h,
 * "Start-of-day memory layout".
 */

#include "xenopus/layout.h"
#include "builder.h"

#define REGION_ALIGN (UINT64_C(4) << 20)
#define REGION_SLACK (UINT64_C(512) << 10)

int build_error(const struct domain_config *cfg, const char *fmt, ...)
{
	va_list ap;

	if (cfg->error && cfg->error_size) {
		va_start(ap, fmt);
		xvsnprintf(cfg->error, cfg->error_size, fmt, ap);
		va_end(ap);
	}
	return -XEN_EINVAL;
}

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes >> PAGE_SHIFT) + !!(bytes & (PAGE_SIZE - 1));
}

/** region_ok() - are @bytes (> 0) from @va guest addresses throughout? */
static bool region_ok(uint64_t va, uint64_t bytes)
{
	uint64_t last = va + bytes - 1;

	if (last < va || !va_guest_ok(va) || !va_guest_ok(last))
		return false;
	/* Both ends are good; between them no hole may be: the hypervisor's, the non-canonical. */
	return (va < RESERVED_VIRT_START) == (last < RESERVED_VIRT_START) &&
	       va_canonical(va) && (va >> 63) == (last >> 63);
}

static int check_segments(const struct domain_config *cfg, const struct kernel_image *k)
{
	for (unsigned i = 0; i < k->nr_segments; i++) {
		const struct kernel_segment *s = &k->segments[i];

		if (s->filesz > s->memsz || (s->filesz && !s->data) || s->va < k->vstart ||
		    s->va > k->vend || s->memsz > k->vend - s->va)
			return build_error(
				cfg,
				"kernel segment %u (%#llx, %llu bytes) lies outside the kernel "
				"image (%#llx-%#llx): the image is damaged",
				i, (unsigned long long)s->va, (unsigned long long)s->memsz,
				(unsigned long long)k->vstart, (unsigned long long)k->vend);
	}
	return 0;
}

static int check_config(const struct domain_config *cfg)
{
	const struct kernel_image *k = cfg->kernel;
	int rc;

	if (!k || !k->nr_segments || k->vend <= k->vstart || k->vstart < k->virt_base ||
	    !region_ok(k->virt_base, k->vend - k->virt_base))
		return build_error(
			cfg, "the kernel image has no usable extent in the guest's address space");
	if (k->virt_base & (PAGE_SIZE - 1))
		return build_error(cfg, "the kernel's VIRT_BASE %#llx is not a page boundary",
				   (unsigned long long)k->virt_base);
	rc = check_segments(cfg, k);
	if (rc)
		return rc;
	if (k->entry < k->vstart || k->entry >= k->vend)
		return build_error(cfg, "the kernel's entry point %#llx is outside its image",
				   (unsigned long long)k->entry);
	if (k->hypercall_page &&
	    (k->hypercall_page & (PAGE_SIZE - 1) || k->hypercall_page < k->vstart ||
	     k->hypercall_page > k->vend - PAGE_SIZE))
		return build_error(cfg,
				   "the kernel's HYPERCALL_PAGE %#llx is not a page of its image",
				   (unsigned long long)k->hypercall_page);
	if (cfg->vcpus < 1 || cfg->vcpus > MAX_VCPUS)
		return build_error(cfg, "%u virtual CPUs asked for: give 1 to %u", cfg->vcpus,
				   MAX_VCPUS);
	if (cfg->cmdline && xstrlen(cfg->cmdline) >= MAX_GUEST_CMDLINE)
		return build_error(cfg, "kernel arguments are %llu characters long: at most %u fit",
				   (unsigned long long)xstrlen(cfg->cmdline),
				   MAX_GUEST_CMDLINE - 1);
	if (cfg->memory_pages >= plat_info()->frames)
		return build_error(
			cfg,
			"memory of %llu MiB is more than this machine's %llu MiB: give less memory",
			(unsigned long long)cfg->memory_pages >> 8,
			(unsigned long long)plat_info()->frames >> 8);
	if (cfg->initrd_size && !cfg->initrd)
		return build_error(cfg, "the initrd has a size but no data");
	if (cfg->max_pages && cfg->max_pages < cfg->memory_pages)
		return build_error(cfg,
				   "memory of %llu MiB is more than its own maximum of %llu MiB",
				   (unsigned long long)cfg->memory_pages >> 8,
				   (unsigned long long)cfg->max_pages >> 8);
	return 0;
}

static uint64_t take(uint64_t *next, uint64_t nr)
{
	uint64_t first = *next;

	*next += nr;
	return first;
}

/** tables_for() - how many tables of @level map the bytes @first_va .. @last_va. */
static uint64_t tables_for(uint64_t first_va, uint64_t last_va, unsigned level)
{
	unsigned shift = PAGE_SHIFT + 9 * level;

	return (last_va >> shift) - (first_va >> shift) + 1;
}

/** tables_shared() - how many tables of @level two disjoint ranges have in common. */
static uint64_t tables_shared(uint64_t a_first, uint64_t a_last, uint64_t b_first, uint64_t b_last,
			      unsigned level)
{
	unsigned shift = PAGE_SHIFT + 9 * level;
	uint64_t lo = max_t(uint64_t, a_first >> shift, b_first >> shift);
	uint64_t hi = min_t(uint64_t, a_last >> shift, b_last >> shift);

	return lo <= hi ? hi - lo + 1 : 0;
}

/**
 * plan_region() - page tables, stack and slack: the tables map themselves, so their number and the
 * region's end depend on each other. The end only grows, so this ends.
 */
static int plan_region(const struct domain_config *cfg, struct start_layout *l, uint64_t next)
{
	uint64_t tables = 4, end, last;

	for (;;) {
		uint64_t need = layout_va(l, next + tables + 1) + REGION_SLACK, n = 1;

		end = (need + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
		last = end - 1;
		if (need < l->virt_base || last < l->virt_base ||
		    !region_ok(l->virt_base, last - l->virt_base + 1))
			return build_error(
				cfg,
				"kernel and initrd do not fit into the guest's address space above "
				"VIRT_BASE %#llx: use a smaller initrd",
				(unsigned long long)l->virt_base);
		for (unsigned level = 1; level <= 3; level++)
			n += tables_for(l->virt_base, last, level);
		if (n <= tables)
			break;
		tables = n;
	}
	l->tables = (struct pfn_range){ next, 0 };
	l->tables.nr = 1;
	for (unsigned level = 1; level <= 3; level++)
		l->tables.nr += tables_for(l->virt_base, last, level);
	l->stack = next + l->tables.nr;
	l->mapped = (last - l->virt_base + 1) >> PAGE_SHIFT;
	return 0;
}

/**
 * plan_p2m_tables() - tables for the list at INIT_P2M that the initial mapping does not have
 * already.
 */
static int plan_p2m_tables(const struct domain_config *cfg, struct start_layout *l)
{
	uint64_t first = l->p2m_va, last = first + (l->p2m.nr << PAGE_SHIFT) - 1;
	uint64_t region_last = layout_va(l, l->mapped) - 1;

	if (!region_ok(first, l->p2m.nr << PAGE_SHIFT) || last >= l->virt_base)
		return build_error(cfg,
				   "the P2M list for %llu MiB does not fit at the kernel's "
				   "INIT_P2M %#llx: give less "
				   "memory",
				   (unsigned long long)l->nr_pages >> 8, (unsigned long long)first);
	l->p2m_tables.nr = 0;
	for (unsigned level = 1; level <= 3; level++)
		l->p2m_tables.nr += tables_for(first, last, level) -
				    tables_shared(first, last, l->virt_base, region_last, level);
	return 0;
}

int start_layout_plan(const struct domain_config *cfg, struct start_layout *l)
{
	const struct kernel_image *k = cfg->kernel;
	uint64_t next;
	int rc;

	rc = check_config(cfg);
	if (rc)
		return rc;
	if (cfg->initrd_size >> PAGE_SHIFT >= cfg->memory_pages)
		return build_error(cfg,
				   "memory of %llu MiB is too small for an initrd of %llu MiB: "
				   "give more memory or a "
				   "smaller initrd",
				   (unsigned long long)cfg->memory_pages >> 8,
				   (unsigned long long)pages_of(cfg->initrd_size) >> 8);

	*l = (struct start_layout){ .virt_base = k->virt_base, .nr_pages = cfg->memory_pages };
	l->initrd.nr = pages_of(cfg->initrd_size);
	l->initrd_unmapped = l->initrd.nr && k->mod_start_pfn;
	l->p2m.nr = pages_of(cfg->memory_pages * sizeof(uint64_t));
	/*
	 * As the Xen tools do: a list base that is unaligned or not below the kernel is no list
	 * base.
	 */
	l->p2m_elsewhere =
		k->init_p2m && !(k->init_p2m & (PAGE_SIZE - 1)) && k->init_p2m < k->virt_base;

	next = pages_of(k->vend - k->virt_base);
	if (l->initrd.nr && !l->initrd_unmapped)
		l->initrd.first = take(&next, l->initrd.nr);
	if (!l->p2m_elsewhere) {
		l->p2m.first = take(&next, l->p2m.nr);
		l->p2m_va = layout_va(l, l->p2m.first);
	}
	l->start_info = take(&next, 1);
	l->store = take(&next, 1);
	l->console = take(&next, 1);
	rc = plan_region(cfg, l, next);
	if (rc)
		return rc;

	l->used = l->mapped;
	if (l->initrd_unmapped)
		l->initrd.first = take(&l->used, l->initrd.nr);
	if (l->p2m_elsewhere) {
		l->p2m_va = k->init_p2m;
		rc = plan_p2m_tables(cfg, l);
		if (rc)
			return rc;
		l->p2m.first = take(&l->used, l->p2m.nr);
		l->p2m_tables.first = take(&l->used, l->p2m_tables.nr);
	}
	if (l->used > l->nr_pages)
		return build_error(cfg,
				   "memory of %llu MiB is too small for kernel and initrd: give at "
				   "least %llu MiB",
				   (unsigned long long)cfg->memory_pages >> 8,
				   (unsigned long long)((l->used + 255) >> 8) + 1);
	return 0;
}

int domain_check(const struct domain_config *cfg)
{
	struct start_layout unused;

	return start_layout_plan(cfg, &unused);
}
