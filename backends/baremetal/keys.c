/* SPDX-License-Identifier: MIT */
/*
 * Keys for people: what the hypervisor does when it is typed at (Ctrl-A three times, past the last domain). Answers
 * are lines of the log like any other.
 */
#include <xenopus/control.h>
#include "console.h"
#include "metal.h"

static void show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void show(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_line(line, xstrlen(line));
}

static void each_domain(void (*fn)(struct domain *d))
{
	struct list *pos;

	list_for_each (pos, &domain_list)
		fn(list_entry(pos, struct domain, link));
}

static const char *what_keeps(const struct vcpu *v)
{
	uint32_t f = v->sched.pause_flags;

	return f & VPF_DEAD ? "stopped" : f & VPF_PAUSED ? "paused" : f & VPF_DOWN ? "down" :
	       f & VPF_BLOCKED ? "waits" : v->sched.running ? "runs" : "ready";
}

static void show_domain(struct domain *d)
{
	static const char *const states[] = { "building", "running", "shut down", "dying" };

	show("d%u %s: %s, %llu of at most %llu pages, %u virtual CPUs", d->id, d->name, states[d->state],
	     (unsigned long long)d->mm.tot_pages, (unsigned long long)d->mm.max_pages, d->max_vcpus);
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		const struct vcpu *v = d->vcpu[i];

		if (v && v->initialised)
			show("  v%u on CPU %u: %s, %s mode at %#lx, events %s, upcall %s", i, v->sched.pcpu,
			     what_keeps(v), gate_kernel_mode(&v->gate) ? "kernel" : "user",
			     (unsigned long)v->gate.regs.rip,
			     READ_ONCE(v->gate.vcpu_info->evtchn_upcall_mask) ? "masked" : "on",
			     READ_ONCE(v->gate.vcpu_info->evtchn_upcall_pending) ? "pending" : "not pending");
	}
}

static void key_domains(void)
{
	each_domain(show_domain);
}

static void dump_domain(struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->initialised)
			arch_dump_vcpu(d->vcpu[i]);
}

static void key_guests(void)
{
	each_domain(dump_domain);
}

static void key_registers(void)
{
	const struct percpu *p = this_cpu();

	show("CPU %u: cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx, timer %#llx, TSC %#llx", p->id,
	     (unsigned long long)cr0_read(), (unsigned long long)cr2_read(), (unsigned long long)cr3_read(),
	     (unsigned long long)cr4_read(), (unsigned long long)p->timer_tsc, (unsigned long long)tsc_read());
	if (p->loaded)
		arch_dump_vcpu(p->loaded);
}

static void print_line(void *unused, const char *text)
{
	console_line(text, xstrlen(text));
}

static void show_stats(struct domain *d)
{
	stats_print(d, print_line, NULL);
}

static void key_stats(void)
{
	each_domain(show_stats);
}

static void key_time(void)
{
	show("up %llu ms, TSC %u kHz, wall clock %llu s since 1970",
	     (unsigned long long)(tsc_read() / metal_info.tsc_khz), metal_info.tsc_khz,
	     (unsigned long long)(plat_wallclock_ns() / NSEC_PER_SEC));
}

static void key_audit(void)
{
	show("frame table audit: %u violations", mm_audit());
}

static void key_log(void)
{
	uint64_t from = 0;
	char line[320];
	size_t n;

	while ((n = log_ring_line(&from, line, sizeof(line))))
		console_line(line, n);
}

static void shut_domain(struct domain *d)
{
	if (d->state == DOM_RUNNING && domain_shutdown_request(d, "poweroff"))
		show("domain %s cannot be asked", d->name);
}

static void key_shutdown(void)
{
	show("every domain is asked to power off");
	each_domain(shut_domain);
}

static void key_restart(void)
{
	show("the machine restarts");
	machine_restart();
}

static void key_power_off(void)
{
	show("the machine powers off");
	machine_end(END_GOOD);
}

static void key_help(void);

static const struct {
	char key;
	const char *help;
	void (*fn)(void);
} keys[] = {
	{ 'h', "this list", key_help },
	{ '0', "registers of every domain's virtual CPUs", key_guests },
	{ 'A', "audit of the frame table", key_audit },
	{ 'd', "registers of this CPU and of what it runs", key_registers },
	{ 'P', "power off at once", key_power_off },
	{ 'q', "the domains and their virtual CPUs", key_domains },
	{ 'R', "restart the machine at once", key_restart },
	{ 'r', "the log so far", key_log },
	{ 's', "what the domains did, counted", key_stats },
	{ 'S', "ask every domain to power off", key_shutdown },
	{ 't', "clocks", key_time },
};

static void key_help(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		show("%c: %s", keys[i].key, keys[i].help);
}

void debug_key(char c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].key == c) {
			keys[i].fn();
			return;
		}
	}
	if (c != '\r' && c != '\n')
		show("no such key; h lists them");
}
