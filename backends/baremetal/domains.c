/* SPDX-License-Identifier: MIT */
/*
 * From modules to domains. A bundle is needed until its last domain is built, and as long as a domain may be started
 * again from it; after that its memory is the core's, and only what the domains are since is still here.
 */
#include <xenopus/control.h>
#include <xenopus/words.h>
#include <xen/sched.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"

#define MAX_DOMAINS 64
#define MAX_ASIDE   64

/*
 * @h, @b: NULL when the memory of its bundle is given back, and of what is set aside; @d is NULL while the domain is not
 * there. @quick: starts in a row that did not last; @waiting: to be started again, at @timer; @due: now
 */
static struct origin {
	const struct bundle_header *h;
	const struct bundle_domain *b;
	struct domain *d;
	struct domain_life life;
	uint8_t on[BUNDLE_ACTIONS];
	unsigned quick;
	bool waiting, due;
	struct timer timer;
} origins[MAX_DOMAINS + MAX_ASIDE]; /* the last ones: domains that made room for a new one of theirs */
static unsigned nr_origins;

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
	memcpy(o->on, o->b->on, sizeof(o->on));
	note_added(o->d);
	xlog(LOG_INFO, "domain %s (%u) is created", o->d->name, o->d->id);
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

static bool restarts(const struct bundle_domain *b)
{
	for (unsigned i = 0; i < BUNDLE_ACTIONS; i++)
		if (b->on[i] == 1 + ACTION_RESTART || b->on[i] == 1 + ACTION_RENAME_RESTART)
			return true;
	return false;
}

/* Unless one of the domains in there may be started again. */
static void forget_bundle(const struct module *m)
{
	const struct bundle_header *h = phys_ptr(m->start);
	unsigned i;

	for (i = 0; i < nr_origins; i++)
		if (origins[i].h == h && restarts(origins[i].b))
			return;
	for (i = 0; i < nr_origins; i++) {
		if (origins[i].h == h) {
			origins[i].h = NULL;
			origins[i].b = NULL;
		}
	}
	give_back(m);
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
	for (unsigned i = 0; i < boot_info.nr_modules && on_reboot != REBOOT_DOMAIN && !keep_bundles; i++)
		forget_bundle(&boot_info.module[i]);
}

static struct origin *origin_of(const struct domain *d)
{
	for (unsigned i = 0; i < ARRAY_SIZE(origins); i++)
		if (origins[i].d == d)
			return &origins[i];
	BUG();
}

struct domain_life *domains_life(const struct domain *d)
{
	return &origin_of(d)->life;
}

/* BUNDLE_UNSAID: that is the machine's to say. */
static unsigned said(const struct domain *d, unsigned reason)
{
	unsigned i = bundle_action_of(reason);

	return i < BUNDLE_ACTIONS ? origin_of(d)->on[i] : 1 + ACTION_DESTROY;
}

bool domains_reboots_machine(const struct domain *d, unsigned reason)
{
	return reason == SHUTDOWN_reboot && on_reboot == REBOOT_MACHINE && said(d, reason) == BUNDLE_UNSAID;
}

enum stop_action domains_action(const struct domain *d, unsigned reason)
{
	unsigned action = said(d, reason);

	if (action != BUNDLE_UNSAID)
		return (enum stop_action)(action - 1);
	return reason == SHUTDOWN_reboot && on_reboot == REBOOT_DOMAIN ? ACTION_RESTART : ACTION_DESTROY;
}

void domains_destroy(struct domain *d)
{
	origin_of(d)->d = NULL;
	note_gone(d);
	domain_destroy(d);
}

/* Not here: the timers of a CPU run in the middle of what it does. */
static void on_timer(struct timer *t)
{
	struct origin *o = container_of(t, struct origin, timer);

	o->due = true;
	cpu_request(plat_cpu_id());
}

static void stop_waiting(struct origin *o)
{
	timer_stop(&o->timer);
	o->waiting = o->due = false;
}

static void start_again(struct origin *o)
{
	unsigned delay = restart_delay(&o->quick, time_now() - o->life.since_ns);

	if (!delay) {
		xlog(LOG_INFO, "domain %s starts again", name_of(o));
		start_or_complain(o);
		return;
	}
	xlog(LOG_INFO, "domain %s starts again in %u s", name_of(o), delay);
	o->waiting = true;
	timer_init(&o->timer, on_timer);
	timer_set(&o->timer, time_now() + delay * NSEC_PER_SEC);
}

void domains_restart(struct domain *d)
{
	struct origin *o = origin_of(d);

	domains_destroy(d);
	start_again(o);
}

bool domains_rename_restart(struct domain *d)
{
	struct origin *o = origin_of(d), *aside = &origins[MAX_DOMAINS];
	char name[sizeof(d->name)];
	unsigned n = 1;

	while (aside < origins + ARRAY_SIZE(origins) && aside->d)
		aside++;
	if (aside == origins + ARRAY_SIZE(origins))
		return false;
	do
		xsnprintf(name, sizeof(name), "%.50s-%u", d->name, n++);
	while (domain_called(name));
	if (domain_rename(d, name))
		return false;
	*aside = (struct origin){ .d = d, .life = o->life };
	o->d = NULL;
	start_again(o);
	return true;
}

void domains_due(void)
{
	bool again;

	/* To build one takes a while, in which others' time may come. */
	do {
		again = false;
		for (unsigned i = 0; i < nr_origins; i++) {
			struct origin *o = &origins[i];

			if (!READ_ONCE(o->due))
				continue;
			again = true;
			stop_waiting(o);
			start_or_complain(o);
			if (!o->d)
				home_end_if_alone();
		}
	} while (again);
}

unsigned domains_waiting(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_origins; i++)
		n += origins[i].waiting;
	return n;
}

static struct origin *find_origin(const char *name)
{
	for (unsigned i = 0; i < nr_origins; i++)
		if (origins[i].h && !xstrcmp(name_of(&origins[i]), name))
			return &origins[i];
	return NULL;
}

bool domains_waits(const char *name)
{
	const struct origin *o = find_origin(name);

	return o && o->waiting;
}

void domains_forget(const char *name)
{
	struct origin *o = find_origin(name);

	if (!o || !o->waiting)
		return;
	stop_waiting(o);
	xlog(LOG_INFO, "domain %s is not started again", name);
}

void domains_show_waiting(void (*line)(void *opaque, const char *text))
{
	uint64_t now = time_now();
	char text[128];

	for (unsigned i = 0; i < nr_origins; i++) {
		const struct origin *o = &origins[i];

		if (!o->waiting)
			continue;
		xsnprintf(text, sizeof(text), "domain %s starts again in %llu s", name_of(o),
			  (unsigned long long)(o->timer.expires > now ? (o->timer.expires - now) / NSEC_PER_SEC + 1 : 0));
		line(NULL, text);
	}
}

struct domain *domains_create(const char *name, char *why, size_t size)
{
	struct origin *o = find_origin(name);
	bool all = true; /* are the bundles there? */

	for (unsigned i = 0; i < nr_origins; i++)
		all &= origins[i].h != NULL;
	if (!o && !all) {
		xsnprintf(why, size, "the boot bundles are not in memory any more: start the machine with keep-bundles");
	} else if (!o) {
		xsnprintf(why, size, "no boot bundle has a domain %s", name);
	} else if (o->d) {
		xsnprintf(why, size, "domain %s is there already, as domain %s (%u)", name, o->d->name, o->d->id);
	} else {
		stop_waiting(o);
		o->quick = 0;
		if (start(o, why, size))
			return o->d;
	}
	return NULL;
}
