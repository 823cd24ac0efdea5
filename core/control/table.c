/* SPDX-License-Identifier: MIT */
/*
 * table.c - what people read of a machine: xl's columns, and facts
 *
 * The core has no floating point: seconds and percents are counted in tenths.
 */
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/words.h>

#define NSEC_PER_TENTH (NSEC_PER_SEC / 10)
#define DECIMAL	       24

const char table_domains[] = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
const char table_vcpus[] = "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)";
const char table_uptimes[] = "Name                                ID Uptime";
const char table_scheduling[] = "Name                                ID Weight Warp Value(us) Limit(us) Unwarp(us)   Cap";
const char table_credit[] = "Name                                ID Weight  Cap";
const char table_rates[] = "NAME                        ID STATE     CPU(sec) CPU(%) MEM(MiB) VCPUS  HCALLS/s   EXITS/s";

static const char *decimal(uint64_t tenths, char buf[DECIMAL])
{
	xsnprintf(buf, DECIMAL, "%llu.%u", (unsigned long long)(tenths / 10), (unsigned)(tenths % 10));
	return buf;
}

static const char *seconds(uint64_t ns, char buf[DECIMAL])
{
	return decimal((ns + NSEC_PER_TENTH / 2) / NSEC_PER_TENTH, buf);
}

const char *domain_state_word(const struct domain_status *s)
{
	return s->paused ? "paused" : s->running ? "running" : s->blocked ? "blocked" : "ready";
}

const char *vcpu_state_word(enum vcpu_doing doing)
{
	static const char *const words[] = { "running", "ready", "blocked", "paused", "offline", "dead" };

	return words[doing];
}

static char flag(bool set, char letter)
{
	return set ? letter : '-';
}

static bool is(const char *state, const char *word)
{
	return !xstrcmp(state, word);
}

/* As xl marks why a domain has shut down. */
static char reason_letter(const char *reason)
{
	static const struct {
		const char *reason;
		char letter;
	} letters[] = { { "reboot", 'r' },
			{ "suspend", 's' },
			{ "crash", 'c' },
			{ "watchdog", 'w' },
			{ "soft-reset", 'S' } };

	for (size_t i = 0; reason && i < ARRAY_SIZE(letters); i++)
		if (is(reason, letters[i].reason))
			return letters[i].letter;
	return '-';
}

void table_domain(const struct row_domain *r, char *buf, size_t size)
{
	char time[DECIMAL];

	xsnprintf(buf, size, "%-40s %5u %5llu %5u     %c%c%c%c%c-  %8s", r->name, r->id,
		  (unsigned long long)(r->memory_kib / 1024), r->vcpus, flag(is(r->state, "running"), 'r'),
		  flag(is(r->state, "blocked"), 'b'),
		  flag(is(r->state, "paused") || is(r->state, "creating") || is(r->state, "waiting"), 'p'),
		  flag(is(r->state, "shutdown"), 's'), reason_letter(r->reason),
		  seconds(r->cpu_ns, time));
}

void table_vcpu(const struct row_vcpu *r, char *buf, size_t size)
{
	char time[DECIMAL], cpu[DECIMAL] = "-";

	if (r->pcpu >= 0)
		xsnprintf(cpu, sizeof(cpu), "%d", r->pcpu);
	xsnprintf(buf, size, "%-32s %5u %5u %5s   %c%c%c %9s  %s / all", r->name, r->id, r->vcpu, cpu,
		  flag(is(r->state, "running"), 'r'), flag(is(r->state, "blocked"), 'b'), flag(r->pcpu < 0, 'p'),
		  seconds(r->cpu_ns, time), r->affinity);
}

void table_uptime(const char *name, unsigned id, uint64_t s, char *buf, size_t size)
{
	unsigned days = (unsigned)(s / 86400);
	char since[32] = "";

	if (days)
		xsnprintf(since, sizeof(since), "%u day%s, ", days, days > 1 ? "s" : "");
	xsnprintf(buf, size, "%-32s %5u %s%2u:%02u:%02u", name, id, since, (unsigned)(s / 3600 % 24),
		  (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

void table_sched(const struct row_scheduling *r, char *buf, size_t size)
{
	xsnprintf(buf, size, "%-32s %5u %6u %4s %9llu %9llu %10llu %5u", r->name, r->id, r->weight,
		  r->warp ? "on" : "off", (unsigned long long)r->warp_us, (unsigned long long)r->warp_limit_us,
		  (unsigned long long)r->unwarp_us, r->cap);
}

void table_credit_row(const struct row_scheduling *r, char *buf, size_t size)
{
	xsnprintf(buf, size, "%-33s %4u %6u %4u", r->name, r->id, r->weight, r->cap);
}

void table_rates_head(unsigned domains, uint64_t free_mib, uint64_t total_mib, unsigned cpus, char *buf, size_t size)
{
	xsnprintf(buf, size, "%u domains, %llu MiB of %llu MiB free, %u CPUs", domains, (unsigned long long)free_mib,
		  (unsigned long long)total_mib, cpus);
}

/* In tenths of a percent, and per second, of a time of @ms. */
static uint64_t share(const struct row_rates *r, uint64_t ms)
{
	/* Microseconds in a millisecond are thousandths, tenths of a percent. */
	return ms ? r->used_ns / 1000 / ms : 0;
}

static unsigned long long per_second(uint64_t n, uint64_t ms)
{
	return ms ? n * 1000 / ms : 0;
}

void table_rate(const struct row_rates *r, char *buf, size_t size)
{
	uint64_t ms = r->over_ns / NSEC_PER_MSEC;
	char time[DECIMAL], percent[DECIMAL];

	xsnprintf(buf, size, "%-24.*s %5u %-8s %9s %6s %8llu %5u %9llu %9llu",
		  r->full_name ? 128 : 24, r->d.name, r->d.id, r->d.state,
		  seconds(r->d.cpu_ns, time), decimal(share(r, ms), percent),
		  (unsigned long long)(r->d.memory_kib / 1024), r->d.vcpus, per_second(r->hypercalls, ms),
		  per_second(r->exits, ms));
}

void table_rate_vcpu(const struct row_rates *r, unsigned vcpu, char *buf, size_t size)
{
	uint64_t ms = r->over_ns / NSEC_PER_MSEC;
	char name[24], time[DECIMAL], percent[DECIMAL];

	xsnprintf(name, sizeof(name), "  VCPU %u", vcpu);
	xsnprintf(buf, size, "%-24s %5s %-8s %9s %6s %8s %5s %9llu %9llu", name, "", r->d.state,
		  seconds(r->d.cpu_ns, time), decimal(share(r, ms), percent), "", "", per_second(r->hypercalls, ms),
		  per_second(r->exits, ms));
}

void machine_facts(const struct facts *f)
{
	const struct plat_info *p = plat_info();
	uint64_t free_frames = mm_free_frames();

	f->number(f->opaque, "nr_cpus", p->pcpus);
	f->number(f->opaque, "cpu_mhz", p->tsc_khz / 1000);
	f->number(f->opaque, "total_memory", p->frames >> (20 - PAGE_SHIFT));
	f->number(f->opaque, "free_memory", free_frames >> (20 - PAGE_SHIFT));
	f->number(f->opaque, "free_memory_kib", free_frames << (PAGE_SHIFT - 10));
	f->text(f->opaque, "home", p->name);
	f->text(f->opaque, "xen_version", "4.17");
	f->text(f->opaque, "xen_caps", "xen-3.0-x86_64");
	f->number(f->opaque, "xen_pagesize", PAGE_SIZE);
	f->text(f->opaque, "xen_scheduler", sched_policy_name());
	if (sched_slice_ns())
		f->number(f->opaque, "sched_slice_us", sched_slice_ns() / 1000);
	f->number(f->opaque, "uptime_s", time_now() / NSEC_PER_SEC);
}
