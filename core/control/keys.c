/* SPDX-License-Identifier: MIT */
/*
 * keys.c - one key, one answer: what a person debugging the hypervisor asks of it, the same in every home
 *
 * Nothing here changes a domain; only S asks something of them.
 */
#include <xenopus/control.h>
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/platform.h>

struct out {
	void (*line)(void *opaque, const char *text);
	void *opaque;
};

__attribute__((format(printf, 2, 3))) static void say(const struct out *o, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	o->line(o->opaque, line);
}

static void each_domain(const struct out *o, void (*fn)(const struct out *o, struct domain *d))
{
	for (struct domain *d = domain_after(0); d; d = domain_after(d->id))
		fn(o, d);
}

static const char *what_keeps(const struct vcpu *v)
{
	uint32_t f = __atomic_load_n(&v->sched.pause_flags, __ATOMIC_ACQUIRE);
	bool running = __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST);

	return f & VPF_DEAD ? "stopped" : f & VPF_PAUSED ? "paused" : f & VPF_DOWN ? "down" :
	       f & VPF_BLOCKED ? "waits" : running ? "runs" : "ready";
}

static void show_domain(const struct out *o, struct domain *d)
{
	static const char *const states[] = { "building", "running", "shut down", "dying" };
	uint64_t pages, max;

	mm_reservation(d, &pages, &max);
	say(o, "d%u %s: %s, %llu of at most %llu pages, %u virtual CPUs", d->id, d->name, states[d->state],
	    (unsigned long long)pages, (unsigned long long)max, d->max_vcpus);
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		const struct vcpu *v = d->vcpu[i];

		if (v && v->initialised)
			say(o, "  v%u on CPU %u: %s, %s mode at %#lx, events %s, upcall %s", i, v->sched.pcpu,
			    what_keeps(v), gate_kernel_mode(&v->gate) ? "kernel" : "user",
			    (unsigned long)v->gate.regs.rip,
			    READ_ONCE(v->gate.vcpu_info->evtchn_upcall_mask) ? "masked" : "on",
			    READ_ONCE(v->gate.vcpu_info->evtchn_upcall_pending) ? "pending" : "not pending");
	}
}

/* Registers of one that runs are in its processor, which puts them down when it comes round its loop. */
static void each_at_rest(const struct out *o, void (*fn)(const struct out *o, struct domain *d))
{
	cpu_stop_others();
	each_domain(o, fn);
	cpu_resume_others();
}

static void key_domains(const struct out *o)
{
	each_at_rest(o, show_domain);
}

static void show_registers(const struct out *o, struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->initialised)
			arch_print_vcpu(d->vcpu[i], o->line, o->opaque);
}

static void key_registers(const struct out *o)
{
	each_at_rest(o, show_registers);
}

static void show_stats(const struct out *o, struct domain *d)
{
	stats_print(d, o->line, o->opaque);
}

static void key_stats(const struct out *o)
{
	each_domain(o, show_stats);
}

static void key_time(const struct out *o)
{
	say(o, "up %llu ms, TSC %u kHz, wall clock %llu s since 1970", (unsigned long long)(time_now() / NSEC_PER_MSEC),
	    plat_info()->tsc_khz, (unsigned long long)(plat_wallclock_ns() / NSEC_PER_SEC));
}

static void key_audit(const struct out *o)
{
	say(o, "frame table audit: %u violations", mm_audit());
}

static void key_memory(const struct out *o)
{
	say(o, "%llu frames of %llu are free", (unsigned long long)mm_free_frames(),
	    (unsigned long long)plat_info()->frames);
}

static void key_locks(const struct out *o)
{
	say(o, "%-12s %14s %14s", "locks", "waited for", "taken");
	for (enum lock_rank rank = 0; rank < LOCK_RANKS; rank++)
		say(o, "  %-10s %14lu %14lu", lock_name(rank), (unsigned long)lock_waits(rank),
		    (unsigned long)lock_taken(rank));
}

static void key_log(const struct out *o)
{
	uint64_t from = 0;
	char line[320];

	while (log_ring_line(&from, line, sizeof(line)))
		o->line(o->opaque, line);
}

static void ask(const struct out *o, struct domain *d)
{
	if (d->state == DOM_RUNNING && domain_shutdown_request(d, "poweroff"))
		say(o, "domain %s cannot be asked", d->name);
}

static void key_shutdown(const struct out *o)
{
	say(o, "every domain is asked to power off");
	each_domain(o, ask);
}

static const struct {
	char key;
	const char *help;
	void (*fn)(const struct out *o);
} keys[] = {
	{ '0', "registers of every domain's virtual CPUs", key_registers },
	{ 'A', "audit of the frame table", key_audit },
	{ 'l', "locks, and how often somebody had to wait for one (taken: counted with debug_asserts only)", key_locks },
	{ 'm', "memory that is free", key_memory },
	{ 'q', "the domains and their virtual CPUs", key_domains },
	{ 'r', "the log so far", key_log },
	{ 's', "what the domains did, counted", key_stats },
	{ 'S', "ask every domain to power off", key_shutdown },
	{ 't', "clocks", key_time },
};

void debug_keys_help(void (*line)(void *opaque, const char *text), void *opaque)
{
	const struct out o = { line, opaque };

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		say(&o, "%c: %s", keys[i].key, keys[i].help);
}

bool debug_key(char key, void (*line)(void *opaque, const char *text), void *opaque)
{
	const struct out o = { line, opaque };

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].key == key) {
			keys[i].fn(&o);
			return true;
		}
	}
	return false;
}
