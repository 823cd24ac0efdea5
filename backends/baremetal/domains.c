/* SPDX-License-Identifier: MIT */
/*
 * From modules to domains. A bundle is needed until its last domain is built, and as long as a domain may be started
 * again from it; after that its memory is the core's, and only what the domains are since is still here.
 */
#include <xenopus/words.h>
#include "bundle.h"
#include "metal.h"

#define MAX_DOMAINS 64

/* @h and @b may be looked at while bundles_are_there; @d is NULL while the domain is not. */
static struct origin {
	const struct bundle_header *h;
	const struct bundle_domain *b;
	struct domain *d;
	struct domain_life life;
} origins[MAX_DOMAINS];
static unsigned nr_origins;
static bool bundles_are_there = true;

bool keep_bundles;

enum reboot on_reboot;

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	last_words(line);
	home_incomplete();
}

struct domain *domain_called(const char *name)
{
	struct domain *d = domain_after(0);

	while (d && xstrcmp(d->name, name))
		d = domain_after(d->id);
	return d;
}

static const char *name_of(const struct origin *o)
{
	return bundle_at(o->h, o->b->name);
}

static struct domain *build(const struct bundle_header *h, const struct bundle_domain *b, char *why, size_t size)
{
	struct kernel_segment *segments = heap_alloc(b->nr_segments * sizeof(*segments));
	const struct bundle_segment *s = bundle_at(h, b->segments);
	struct kernel_image image = {
		.segments = segments,
		.nr_segments = b->nr_segments,
		.entry = b->entry,
		.virt_base = b->virt_base,
		.vstart = b->vstart,
		.vend = b->vend,
		.hypercall_page = b->hypercall_page,
		.init_p2m = b->init_p2m,
		.mod_start_pfn = b->flags & BUNDLE_MOD_START_PFN,
	};
	struct domain_config cfg = {
		.name = bundle_at(h, b->name),
		.memory_pages = b->memory_pages,
		.max_pages = b->max_pages,
		.vcpus = b->vcpus,
		.cmdline = bundle_at(h, b->cmdline),
		.kernel = &image,
		.initrd = b->initrd_size ? bundle_at(h, b->initrd) : NULL,
		.initrd_size = b->initrd_size,
		.error = why,
		.error_size = size,
	};
	struct domain *d;

	if (!words_name(cfg.name, why, size)) {
		heap_free(segments);
		return NULL;
	}
	if (domain_called(cfg.name)) {
		xsnprintf(why, size, "there is a domain of this name already: give one of them another (xenopus-bundle --name)");
		heap_free(segments);
		return NULL;
	}
	if (!segments) {
		xstrlcpy(why, "no memory for its list of segments", size);
		return NULL;
	}
	for (uint32_t i = 0; i < b->nr_segments; i++)
		segments[i] = (struct kernel_segment){ s[i].va, bundle_at(h, s[i].data), s[i].filesz, s[i].memsz };
	d = domain_create(&cfg);
	heap_free(segments);
	return d;
}

static bool start(struct origin *o, char *why, size_t size)
{
	o->d = build(o->h, o->b, why, size);
	if (!o->d)
		return false;
	o->life = (struct domain_life){ .since_ns = time_now() };
	home_domain_added(o->d);
	domain_unpause(o->d);
	return true;
}

static void start_or_complain(struct origin *o)
{
	char why[160] = "";

	if (!start(o, why, sizeof(why)))
		complain("domain %s: %s", name_of(o), why);
}

static void start_bundle(unsigned nr, const struct module *m)
{
	const struct bundle_header *h = phys_ptr(m->start);
	const struct bundle_domain *b = (const void *)(h + 1);
	const char *why = bundle_fault(h, m->size);

	if (why && boot_info.nr_modules > 1) {
		complain("module %u: the boot bundle %s; its domains do not start", nr + 1, why);
		return;
	}
	if (why) {
		complain("the boot bundle %s", why);
		return;
	}
	for (uint32_t i = 0; i < h->nr_domains; i++) {
		if (nr_origins == MAX_DOMAINS) {
			complain("more than %u domains", MAX_DOMAINS);
			return;
		}
		origins[nr_origins] = (struct origin){ .h = h, .b = &b[i] };
		start_or_complain(&origins[nr_origins++]);
	}
}

/* A page that a module shares with something else stays. */
static void give_back(const struct module *m)
{
	uint64_t first = (m->start + PAGE_SIZE - 1) >> PAGE_SHIFT, end = (m->start + m->size) >> PAGE_SHIFT;

	if (first < end && end <= metal_info.frames)
		mm_add_frames(first, end);
}

void domains_start(void)
{
	bool any = false;

	if (!boot_info.nr_modules)
		refuse("no boot bundle: give the image one as its module (QEMU: -initrd, GRUB: module2)");
	for (unsigned i = 0; i < boot_info.nr_modules; i++)
		start_bundle(i, &boot_info.module[i]);
	for (unsigned i = 0; i < nr_origins; i++)
		any |= origins[i].d != NULL;
	if (!any)
		machine_end(END_REFUSED);
	if (on_reboot != REBOOT_DOMAIN && !keep_bundles) {
		bundles_are_there = false;
		for (unsigned i = 0; i < boot_info.nr_modules; i++)
			give_back(&boot_info.module[i]);
	}
}

static struct origin *origin_of(const struct domain *d)
{
	for (unsigned i = 0; i < nr_origins; i++)
		if (origins[i].d == d)
			return &origins[i];
	BUG();
}

struct domain_life *domains_life(const struct domain *d)
{
	return &origin_of(d)->life;
}

void domains_destroy(struct domain *d)
{
	origin_of(d)->d = NULL;
	domain_destroy(d);
}

bool domains_restart(struct domain *d)
{
	struct origin *o = origin_of(d);

	domains_destroy(d);
	start_or_complain(o);
	return o->d != NULL;
}

static struct origin *find_origin(const char *name)
{
	for (unsigned i = 0; i < nr_origins; i++)
		if (!xstrcmp(name_of(&origins[i]), name))
			return &origins[i];
	return NULL;
}

struct domain *domains_create(const char *name, char *why, size_t size)
{
	struct origin *o;

	if (!bundles_are_there) {
		xsnprintf(why, size, "the boot bundles are not in memory any more: start the machine with keep-bundles");
		return NULL;
	}
	o = find_origin(name);
	if (!o)
		xsnprintf(why, size, "no boot bundle has a domain %s", name);
	else if (o->d)
		xsnprintf(why, size, "domain %s is there already, as domain %s (%u)", name, o->d->name, o->d->id);
	else if (start(o, why, size))
		return o->d;
	return NULL;
}
