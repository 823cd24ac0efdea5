/* SPDX-License-Identifier: MIT */
/*
 * domain.c - the life of a domain between its building and its end
 *
 *	domain_alloc -> domain_mm_init -> domain_event_init -> vcpu_alloc ... -> (the builder fills
 *it) BUILDING --unpause--> RUNNING --shutdown, crash--> SHUTDOWN --destroy--> gone
 *
 * The order above is the builder's; domain_destroy() undoes all of it, domain_free() only the first
 *step. A domain that has left RUNNING never runs again.
 */
#include <xenopus/control.h>
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/grant.h>
#include <xenopus/io.h>
#include <xenopus/platform.h>
#include <xen/sched.h>

struct list domain_list = { &domain_list, &domain_list };
struct spinlock domain_list_lock;

static void lock_list(void)
{
	spin_lock(&domain_list_lock, LOCK_DOMAINS);
}

static void unlock_list(void)
{
	spin_unlock(&domain_list_lock, LOCK_DOMAINS);
}

static struct domain *find(domid_t id)
{
	struct list *pos;

	list_for_each (pos, &domain_list) {
		struct domain *d = list_entry(pos, struct domain, link);

		if (d->id == id)
			return d;
	}
	return NULL;
}

struct domain *domain_by_id(domid_t id, struct domain *self)
{
	struct domain *d;

	if (id == DOMID_SELF)
		return self;
	lock_list();
	d = find(id);
	unlock_list();
	return d;
}

struct domain *domain_after(domid_t id)
{
	struct domain *next = NULL;
	struct list *pos;

	lock_list();
	list_for_each (pos, &domain_list) {
		struct domain *d = list_entry(pos, struct domain, link);

		if (d->id > id && (!next || d->id < next->id))
			next = d;
	}
	unlock_list();
	return next;
}

static bool any_running(const struct domain *d)
{
	unsigned i;

	for (i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && __atomic_load_n(&d->vcpu[i]->sched.running, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

/* One that still runs on another CPU is found again: that CPU notes the death when it puts it down. */
struct domain *domain_take_stopped(void)
{
	struct domain *found = NULL;
	struct list *pos;

	lock_list();
	list_for_each (pos, &domain_list) {
		struct domain *d = list_entry(pos, struct domain, link);

		if (READ_ONCE(d->state) != DOM_SHUTDOWN || d->shutdown_reported || any_running(d))
			continue;
		d->shutdown_reported = true;
		found = d;
		break;
	}
	unlock_list();
	return found;
}

/*
 * A random UUID (RFC 4122, version 4). It names, it does not protect, so the clocks are random
 * enough.
 */
static void make_uuid(uint8_t uuid[16], domid_t id)
{
	uint64_t x = plat_wallclock_ns() ^ plat_tsc() << 20 ^ (uint64_t)id << 48;

	for (unsigned i = 0; i < 16; i++) {
		/* splitmix64 */
		uint64_t z = x += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		uuid[i] = (uint8_t)(z >> 56);
	}
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

struct domain *domain_alloc(domid_t id, const char *name, unsigned max_vcpus)
{
	struct domain *d;
	bool taken;

	if (id >= DOMID_FIRST_RESERVED || !max_vcpus || max_vcpus > MAX_VCPUS)
		return NULL;
	d = heap_alloc(sizeof(*d));
	if (!d)
		return NULL;
	d->id = id;
	d->state = DOM_BUILDING;
	d->max_vcpus = max_vcpus;
	xstrlcpy(d->name, name, sizeof(d->name));
	make_uuid(d->uuid, id);
	lock_list();
	taken = find(id);
	if (!taken)
		list_add_tail(&domain_list, &d->link);
	unlock_list();
	if (!taken)
		return d;
	heap_free(d);
	return NULL;
}

static void leave_list(struct domain *d)
{
	lock_list();
	list_del(&d->link);
	unlock_list();
}

void domain_free(struct domain *d)
{
	leave_list(d);
	cpu_come_round(cpu_all());
	heap_free(d);
}

struct vcpu *vcpu_alloc(struct domain *d, unsigned id)
{
	struct vcpu *v;

	if (id >= d->max_vcpus || d->vcpu[id])
		return NULL;
	v = heap_alloc(sizeof(*v));
	if (!v)
		return NULL;
	v->domain = d;
	v->id = id;
	if (arch_vcpu_init(v))
		goto no_arch;
	if (vcpu_event_init(v))
		goto no_event;
	vcpu_time_init(v);
	sched_vcpu_init(v);
	if (plat_vcpu_init(v))
		goto no_plat;
	gate_slow(&v->gate, __atomic_load_n(&d->gate_slow, __ATOMIC_SEQ_CST), true);
	d->vcpu[id] = v;
	vcpu_sleep(v, VPF_PAUSED);
	return v;

no_plat:
	sched_vcpu_destroy(v);
	vcpu_time_destroy(v);
	vcpu_event_destroy(v);
no_event:
	arch_vcpu_destroy(v);
no_arch:
	heap_free(v);
	return NULL;
}

/* Everything but what memory holds on its account; the struct itself goes last, with its domain. */
static void vcpu_release(struct vcpu *v)
{
	sched_vcpu_destroy(v);
	vcpu_time_destroy(v);
	vcpu_event_destroy(v);
	mm_drop_descriptors(v);
	mm_drop_bases(v);
	plat_vcpu_free(v);
	arch_vcpu_destroy(v);
}

void domain_destroy(struct domain *d)
{
	ASSERT(READ_ONCE(d->state) != DOM_RUNNING ||
	       (d->vcpu[0] && READ_ONCE(d->vcpu[0]->sched.pause_flags) & VPF_PAUSED));
	WRITE_ONCE(d->state, DOM_DYING);
	domain_pause(d);
	/* Nobody starts to run it any more, and nobody who does not know that it is dying is still at it. */
	cpu_come_round(cpu_all());

	if (d->console)
		console_detach(d);
	if (d->store)
		store_release(d);
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i])
			vcpu_release(d->vcpu[i]);
	domain_event_destroy(d);
	domain_mm_destroy(d);
	grant_destroy(d);
	leave_list(d);
	cpu_come_round(cpu_all());
	for (unsigned i = 0; i < d->max_vcpus; i++)
		heap_free(d->vcpu[i]);
	heap_free(d);
}

static void for_each_vcpu(struct domain *d, void (*fn)(struct vcpu *v, uint32_t flag),
			  uint32_t flag)
{
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i])
			fn(d->vcpu[i], flag);
}

void domain_pause(struct domain *d)
{
	for_each_vcpu(d, vcpu_sleep, VPF_PAUSED);
}

void domain_unpause(struct domain *d)
{
	enum domain_state expected = DOM_BUILDING;

	__atomic_compare_exchange_n(&d->state, &expected, DOM_RUNNING, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	for_each_vcpu(d, vcpu_wake, VPF_PAUSED);
}

/* Leave RUNNING (or BUILDING) for @reason. False when someone did before. */
static bool leave_running(struct domain *d, unsigned reason)
{
	enum domain_state old = __atomic_load_n(&d->state, __ATOMIC_SEQ_CST);

	do {
		if (old != DOM_RUNNING && old != DOM_BUILDING)
			return false;
	} while (!__atomic_compare_exchange_n(&d->state, &old, DOM_SHUTDOWN, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	d->shutdown_reason = reason;
	return true;
}

void domain_shutdown(struct domain *d, unsigned reason)
{
	if (leave_running(d, reason))
		for_each_vcpu(d, vcpu_sleep, VPF_DEAD);
}

bool domain_gate_slow(struct domain *d, uint8_t reason)
{
	if (__atomic_fetch_or(&d->gate_slow, reason, __ATOMIC_SEQ_CST) & reason)
		return false;
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i])
			gate_slow(&d->vcpu[i]->gate, reason, true);
	return true;
}

void domain_crash(struct vcpu *v, const char *fmt, ...)
{
	struct domain *d = v->domain;
	char why[256];
	va_list ap;

	if (!leave_running(d, SHUTDOWN_crash))
		return;
	va_start(ap, fmt);
	xvsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	dlog(d, LOG_ERROR, "crashed by vcpu %u at %#lx: %s", v->id, (unsigned long)v->gate.regs.rip,
	     why);
	arch_dump_vcpu(v);
	for_each_vcpu(d, vcpu_sleep, VPF_DEAD);
}
