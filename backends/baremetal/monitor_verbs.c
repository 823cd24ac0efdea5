/* SPDX-License-Identifier: MIT */
/* The monitor's verbs that do something: check what was typed, ask the core, and say only what could not be done. */
#include <xenopus/domain.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"
#include "monitor.h"

/* One that runs, or could. A domain that stops is gone soon, or is preserved. */
static struct domain *alive(const char *word)
{
	struct domain *d = the_domain(word);

	if (!d || READ_ONCE(d->state) == DOM_RUNNING)
		return d;
	answer("domain %s has stopped", d->name);
	return NULL;
}

static void told(const struct domain *d, int rc)
{
	if (rc == -XEN_ENOMEM)
		answer("the machine has no memory left for that");
	else if (rc)
		answer("the core refuses that for domain %s: error %d", d->name, -rc);
}

void verb_pause(const struct said *s)
{
	struct domain *d = alive(s->arg[0]);

	if (d)
		domain_pause(d);
}

void verb_unpause(const struct said *s)
{
	struct domain *d = alive(s->arg[0]);

	if (d)
		domain_unpause(d);
}

void verb_destroy(const struct said *s)
{
	struct domain *d;

	if (!domain_called(s->arg[0]) && domains_waits(s->arg[0])) {
		domains_forget(s->arg[0]);
		return;
	}
	d = the_domain(s->arg[0]);
	if (d)
		home_destroy(d);
}

void verb_dump_core(const struct said *s)
{
	answer("dump-core: on bare metal there is no disk for a core file; a domain that crashes leaves its registers in "
	       "the log (dmesg)");
}

void verb_create(const struct said *s)
{
	char why[160] = "";

	if (!domains_create(s->arg[0], why, sizeof(why)))
		answer("domain %s cannot be created: %s", s->arg[0], why);
}

/* "shutdown" and "reboot" */
void verb_shutdown(const struct said *s)
{
	const char *what = xstrcmp(s->verb, "reboot") ? "poweroff" : "reboot";
	struct domain *d;

	if (xstrcmp(s->arg[0], "-a") && xstrcmp(s->arg[0], "--all")) {
		d = alive(s->arg[0]);
		if (d)
			told(d, domain_shutdown_request(d, what));
		return;
	}
	for (d = domain_after(0); d; d = domain_after(d->id))
		if (READ_ONCE(d->state) == DOM_RUNNING)
			told(d, domain_shutdown_request(d, what));
}

void verb_rename(const struct said *s)
{
	struct domain *d = alive(s->arg[0]), *other = domain_called(s->arg[1]);
	char why[160];

	if (!d)
		return;
	if (!words_name(s->arg[1], why, sizeof(why)))
		answer("%s", why);
	else if (other && other != d)
		answer("a domain %s exists already: give another name, or destroy that one", s->arg[1]);
	else
		told(d, domain_rename(d, s->arg[1]));
}

static bool memory(const struct said *s, struct domain **d, uint64_t *pages)
{
	uint64_t kib;

	if (!words_memory(s->arg[1], &kib)) {
		answer("memory of '%s': give MiB, or a number with k, m, g or t", s->arg[1]);
		return false;
	}
	*pages = kib >> (PAGE_SHIFT - 10);
	*d = alive(s->arg[0]);
	if (*d && !*pages)
		answer("memory of '%s' is less than a page: give more", s->arg[1]);
	return *d && *pages;
}

void verb_mem_set(const struct said *s)
{
	struct domain *d;
	uint64_t pages;
	int rc;

	if (!memory(s, &d, &pages))
		return;
	rc = domain_set_target(d, pages);
	if (rc == -XEN_E2BIG)
		answer("domain %s may not have so much: mem-max sets how much", d->name);
	else
		told(d, rc);
}

void verb_mem_max(const struct said *s)
{
	struct domain *d;
	uint64_t pages;

	if (memory(s, &d, &pages))
		told(d, domain_set_max(d, pages));
}

void verb_vcpu_set(const struct said *s)
{
	struct domain *d;
	uint64_t n;
	int rc;

	if (!words_number(s->arg[1], 1, MAX_VCPUS, &n)) {
		answer("'%s' virtual CPUs: give 1 to %u", s->arg[1], MAX_VCPUS);
		return;
	}
	d = alive(s->arg[0]);
	if (!d)
		return;
	rc = domain_set_online(d, (unsigned)n);
	if (rc == -XEN_EINVAL)
		answer("domain %s has %u virtual CPUs: give at most that", d->name, d->max_vcpus);
	else
		told(d, rc);
}

/* A virtual CPU's number, or "all". */
static bool vcpu_number(const char *word, bool all, int *vcpu)
{
	uint64_t n;

	if (all && !xstrcmp(word, "all")) {
		*vcpu = SCHED_ALL_VCPUS;
		return true;
	}
	if (!words_number(word, 0, MAX_VCPUS - 1, &n)) {
		answer("virtual CPU '%s': give 0 to %u%s", word, MAX_VCPUS - 1, all ? ", or all" : "");
		return false;
	}
	*vcpu = (int)n;
	return true;
}

void verb_vcpu_pin(const struct said *s)
{
	struct domain *d;
	uint64_t cpus;
	int vcpu, rc;

	if (!vcpu_number(s->arg[1], true, &vcpu))
		return;
	if (!words_cpus(s->arg[2], &cpus)) {
		answer("cpus of \"%s\": give numbers and ranges, as in 0-2,5, or all", s->arg[2]);
		return;
	}
	d = alive(s->arg[0]);
	if (!d)
		return;
	rc = sched_pin(d, vcpu, cpus);
	if (rc == -XEN_ENOENT)
		answer("domain %s has no virtual CPU %d", d->name, vcpu);
	else if (rc)
		answer("this machine has none of the physical CPUs %s: it has 0 to %u", s->arg[2],
		       plat_info()->pcpus - 1);
}

static void show_scheduling(struct domain *d, bool credit)
{
	struct sched_params p;
	char row[TABLE_ROW];

	if (sched_get_params(d, SCHED_ALL_VCPUS, &p))
		return;
	const struct row_scheduling r = {
		.name = d->name,
		.id = d->id,
		.weight = p.weight,
		.warp = p.warp,
		.warp_us = p.warp_ns / 1000,
		.warp_limit_us = p.warp_limit_ns / 1000,
		.unwarp_us = p.unwarp_ns / 1000,
		.cap = sched_get_cap(d),
	};
	(credit ? table_credit_row : table_sched)(&r, row, sizeof(row));
	answer_line(NULL, row);
}

enum { O_DOMAIN, O_VCPU, O_WEIGHT, O_CAP, O_WARP, O_WARP_VALUE, O_WARP_LIMIT, O_UNWARP, OPTIONS };

static const struct {
	const char *letter, *word;
} options[OPTIONS] = {
	[O_DOMAIN] = { "-d", "--domain" },	   [O_VCPU] = { "-v", "--vcpu" },
	[O_WEIGHT] = { "-w", "--weight" },	   [O_CAP] = { "-c", "--cap" },
	[O_WARP] = { "-W", "--warp" },		   [O_WARP_VALUE] = { "-o", "--warp-value" },
	[O_WARP_LIMIT] = { "-l", "--warp-limit" }, [O_UNWARP] = { "-u", "--unwarp" },
};

/* What was given for each option, NULL for those that were not. */
static bool take_options(const struct said *s, const char *given[OPTIONS])
{
	for (unsigned i = 0; i < s->n; i += 2) {
		unsigned o = 0;

		while (o < OPTIONS && xstrcmp(s->arg[i], options[o].letter) && xstrcmp(s->arg[i], options[o].word))
			o++;
		if (o == OPTIONS || i + 1 == s->n) {
			answer(o == OPTIONS ? "there is no option %s" : "%s is not followed by anything", s->arg[i]);
			return false;
		}
		given[o] = s->arg[i + 1];
	}
	return true;
}

static bool option_number(const char *text, uint64_t max, const char *what, uint64_t *n)
{
	if (!text || words_number(text, 0, max, n))
		return true;
	answer("%s of '%s': give a number up to %llu", what, text, (unsigned long long)max);
	return false;
}

#define MAX_US UINT64_C(1000000000)

/* Over what they are now: nothing is changed unless every one is a number. */
static bool take_params(const char *const given[OPTIONS], struct sched_params *p, uint64_t *cap)
{
	uint64_t weight = p->weight, warp = p->warp_ns / 1000, limit = p->warp_limit_ns / 1000, unwarp = p->unwarp_ns / 1000;

	if (!option_number(given[O_WEIGHT], SCHED_WEIGHT_MAX, "weight", &weight) ||
	    !option_number(given[O_CAP], SCHED_CAP_MAX, "cap", cap) ||
	    !option_number(given[O_WARP_VALUE], MAX_US, "warp value", &warp) ||
	    !option_number(given[O_WARP_LIMIT], MAX_US, "warp limit", &limit) ||
	    !option_number(given[O_UNWARP], MAX_US, "unwarp", &unwarp))
		return false;
	if (given[O_WARP] && xstrcmp(given[O_WARP], "on") && xstrcmp(given[O_WARP], "off")) {
		answer("warp '%s': give on or off", given[O_WARP]);
		return false;
	}
	p->weight = (uint32_t)weight;
	p->warp_ns = warp * 1000;
	p->warp_limit_ns = limit * 1000;
	p->unwarp_ns = unwarp * 1000;
	if (given[O_WARP])
		p->warp = !xstrcmp(given[O_WARP], "on");
	return true;
}

static void set_scheduling(struct domain *d, const char *const given[OPTIONS])
{
	int vcpu = SCHED_ALL_VCPUS;
	uint64_t cap = sched_get_cap(d);
	struct sched_params p;
	char why[160];

	if (given[O_VCPU] && !vcpu_number(given[O_VCPU], false, &vcpu))
		return;
	if (sched_get_params(d, vcpu, &p)) {
		answer("domain %s has no virtual CPU %d", d->name, vcpu);
		return;
	}
	if (!take_params(given, &p, &cap))
		return;
	if (sched_set_params(d, vcpu, &p, why, sizeof(why)) ||
	    (given[O_CAP] && sched_set_cap(d, (unsigned)cap, why, sizeof(why))))
		answer("%s", why);
}

static void show_or_set(const struct said *s, bool credit)
{
	const char *given[OPTIONS] = { NULL };
	struct domain *d = NULL;
	bool set = false;
	char why[160];

	if (!words_scheduler(credit ? "credit" : "bvt", why, sizeof(why))) {
		answer("%s", why);
		return;
	}
	if (!take_options(s, given))
		return;
	for (unsigned o = O_VCPU; o < OPTIONS; o++) {
		set |= given[o] != NULL;
		if (credit && given[o] && o != O_WEIGHT && o != O_CAP) {
			answer("sched-credit has no option %s", options[o].word);
			return;
		}
	}
	if (set && !given[O_DOMAIN]) {
		answer("say which domain, with -d");
		return;
	}
	if (given[O_DOMAIN]) {
		d = alive(given[O_DOMAIN]);
		if (!d)
			return;
	}
	if (set) {
		set_scheduling(d, given);
		return;
	}
	answer_line(NULL, credit ? table_credit : table_scheduling);
	if (d)
		show_scheduling(d, credit);
	else
		for (d = domain_after(0); d; d = domain_after(d->id))
			show_scheduling(d, credit);
}

void verb_sched(const struct said *s)
{
	show_or_set(s, false);
}

void verb_sched_credit(const struct said *s)
{
	show_or_set(s, true);
}

void verb_sysrq(const struct said *s)
{
	struct domain *d = alive(s->arg[0]);

	if (!d)
		return;
	if (s->arg[1][1])
		answer("a SysRq key is one character, not '%s'", s->arg[1]);
	else
		told(d, domain_sysrq(d, s->arg[1][0]));
}

void verb_trigger(const struct said *s)
{
	struct domain *d;
	int vcpu = 0;

	if (s->n == 3 && !vcpu_number(s->arg[2], false, &vcpu))
		return;
	d = alive(s->arg[0]);
	if (!d)
		return;
	if (xstrcmp(s->arg[1], "nmi"))
		answer("trigger must be nmi: a PV domain has none of the others' hardware");
	else if (domain_nmi(d, (unsigned)vcpu))
		answer("domain %s has no virtual CPU %d that was started", d->name, vcpu);
}

void verb_console(const struct said *s)
{
	struct domain *d = alive(s->arg[0]);

	if (d)
		console_front(d);
}
