/* SPDX-License-Identifier: MIT */
/* The monitor's verbs that look: domains, virtual CPUs, the machine, its log. */
#include <xenopus/domain.h>
#include "bundle.h"
#include "console.h"
#include "metal.h"
#include "monitor.h"

/* fn() for the domains that were named, in that order, or for all, under @header. One that is not there: nothing else. */
static void each(const struct said *s, const char *header, void (*fn)(struct domain *d))
{
	struct domain *named[SAID];

	for (unsigned i = 0; i < s->n; i++) {
		named[i] = the_domain(s->arg[i]);
		if (!named[i])
			return;
	}
	answer("%s", header);
	for (unsigned i = 0; i < s->n; i++)
		fn(named[i]);
	for (struct domain *d = s->n ? NULL : domain_after(0); d; d = domain_after(d->id))
		fn(d);
}

/* As the row's, and what a look at the core told beside. */
static struct row_domain row_of(struct domain *d, struct domain_status *st)
{
	bool stopped = READ_ONCE(d->state) == DOM_SHUTDOWN;

	domain_get_status(d, st);
	return (struct row_domain){
		.name = d->name,
		.id = d->id,
		.state = stopped ? "shutdown" : domain_state_word(st),
		.reason = stopped ? stop_reason_name(d->shutdown_reason) : NULL,
		.memory_kib = st->pages << (PAGE_SHIFT - 10),
		.vcpus = st->online,
		.cpu_ns = st->cpu_ns,
	};
}

static void list_one(struct domain *d)
{
	struct domain_status st;
	struct row_domain r = row_of(d, &st);
	char row[TABLE_ROW];

	table_domain(&r, row, sizeof(row));
	answer_line(NULL, row);
}

void verb_list(const struct said *s)
{
	each(s, table_domains, list_one);
	if (!s->n)
		domains_show_waiting(answer_line);
}

static void vcpus_of(struct domain *d)
{
	char row[TABLE_ROW], affinity[WORDS_CPUS];
	struct vcpu_status st;

	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		if (!vcpu_get_status(d, i, &st))
			continue;
		words_cpus_text(st.affinity, affinity, sizeof(affinity));
		const struct row_vcpu r = {
			.name = d->name,
			.id = d->id,
			.vcpu = i,
			.state = vcpu_state_word(st.doing),
			.pcpu = st.doing == VCPU_OFFLINE ? -1 : (int)st.pcpu,
			.cpu_ns = st.cpu_ns,
			.affinity = affinity,
		};
		table_vcpu(&r, row, sizeof(row));
		answer_line(NULL, row);
	}
}

void verb_vcpu_list(const struct said *s)
{
	each(s, table_vcpus, vcpus_of);
}

static void uptime_of(struct domain *d)
{
	char row[TABLE_ROW];

	table_uptime(d->name, d->id, (time_now() - domains_life(d)->since_ns) / NSEC_PER_SEC, row, sizeof(row));
	answer_line(NULL, row);
}

void verb_uptime(const struct said *s)
{
	each(s, table_uptimes, uptime_of);
}

/* The columns of the hosted home's verb. */
static void fact_text(void *unused, const char *name, const char *value)
{
	answer("%-23s: %s", name, value);
}

static void fact_number(void *unused, const char *name, uint64_t value)
{
	answer("%-23s: %llu", name, (unsigned long long)value);
}

void verb_info(const struct said *s)
{
	const struct facts f = { fact_text, fact_number, NULL };

	fact_number(NULL, "nr_domains", home_running());
	machine_facts(&f);
	fact_text(NULL, "xenopus_version", XENOPUS_VERSION);
}

void verb_dmesg(const struct said *s)
{
	uint64_t from = 0;
	char line[320];

	if (s->n && xstrcmp(s->arg[0], "-c") && xstrcmp(s->arg[0], "--clear")) {
		answer("dmesg has no option %s", s->arg[0]);
		return;
	}
	while (log_ring_line(&from, line, sizeof(line)))
		answer_line(NULL, line);
	if (s->n)
		log_ring_clear(from);
}

/* Since somebody last looked; the first time since it was started. */
static void rates_of(struct domain *d)
{
	struct domain_life *life = domains_life(d);
	struct domain_status st;
	struct row_rates r = { .d = row_of(d, &st) };
	uint64_t now = time_now();
	char row[TABLE_ROW];

	r.over_ns = now - (life->seen_ns ? life->seen_ns : life->since_ns);
	r.used_ns = st.cpu_ns - life->cpu_ns;
	r.hypercalls = st.hypercalls - life->hypercalls;
	r.exits = st.exits - life->exits;
	life->seen_ns = now;
	life->cpu_ns = st.cpu_ns;
	life->hypercalls = st.hypercalls;
	life->exits = st.exits;
	table_rate(&r, row, sizeof(row));
	answer_line(NULL, row);
}

void verb_top(const struct said *s)
{
	const struct plat_info *p = plat_info();
	char row[TABLE_ROW];

	table_rates_head(home_running(), mm_free_frames() >> (20 - PAGE_SHIFT), p->frames >> (20 - PAGE_SHIFT),
			 p->pcpus, row, sizeof(row));
	answer_line(NULL, row);
	each(s, table_rates, rates_of);
}

void verb_debug_keys(const struct said *s)
{
	for (const char *c = s->arg[0]; *c; c++)
		if (!machine_key(*c, answer_line))
			answer("there is no key %c; h lists those there are", *c);
}

void verb_domid(const struct said *s)
{
	struct domain *d = domain_called(s->arg[0]);

	if (d)
		answer("%u", d->id);
	else
		answer("there is no domain %s", s->arg[0]);
}

void verb_domname(const struct said *s)
{
	struct domain *d;
	uint64_t id;

	if (!words_number(s->arg[0], 0, DOMID_FIRST_RESERVED - 1, &id)) {
		answer("'%s' is no id: give a number", s->arg[0]);
		return;
	}
	d = the_domain(s->arg[0]);
	if (d)
		answer("%s", d->name);
}
