/* SPDX-License-Identifier: MIT */
/*
 * stats.c - a domain's counters as text
 */
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/platform.h>

static const char *const exception_names[32] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"device not available",
	"double fault",
	"coprocessor overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"spurious",
	"x87 error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization",
	"control protection",
};

const char *stats_hypercall_name(unsigned nr)
{
	return hypercall_name(nr);
}

static void add(const struct vcpu *v, struct domain_stats *out)
{
	const uint64_t *from = (const uint64_t *)(const void *)&v->stats;
	uint64_t *to = (uint64_t *)(void *)out;

	_Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "nothing but 64-bit counters");
	for (unsigned i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void stats_read(const struct domain *d, struct domain_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i])
			add(d->vcpu[i], out);
}

void stats_read_vcpu(const struct vcpu *v, struct domain_stats *out)
{
	memset(out, 0, sizeof(*out));
	add(v, out);
}

uint64_t stats_hypercalls(const struct domain_stats *st)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(st->hypercall); i++)
		n += st->hypercall[i].count;
	return n;
}

uint64_t stats_exits(const struct domain_stats *st)
{
	uint64_t n = stats_hypercalls(st) + st->soft_ints + st->kicks;

	for (unsigned i = 0; i < ARRAY_SIZE(st->exceptions); i++)
		n += st->exceptions[i];
	return n;
}

/* Where the lines go, and the one line being made. */
struct out {
	void (*line)(void *opaque, const char *text);
	void *opaque;
};

__attribute__((format(printf, 2, 3))) static void say(const struct out *o, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->line(o->opaque, text);
}

static void count_line(const struct out *o, const char *name, uint64_t n)
{
	if (n)
		say(o, "  %-28s %12lu", name, (unsigned long)n);
}

/* Tenths of a microsecond in @tsc ticks. */
static uint64_t tenths_us(uint64_t tsc)
{
	uint64_t khz = plat_info()->tsc_khz;

	/* In two steps, so that the product cannot overflow. */
	return khz ? tsc / khz * 10000 + tsc % khz * 10000 / khz : 0;
}

static void print_hypercalls(const struct out *o, const struct domain_stats *st)
{
	uint64_t calls = 0, ticks = 0;

	say(o, "%-30s %12s %10s %12s", "hypercalls", "count", "us each", "ms total");
	for (unsigned nr = 0; nr < STATS_HYPERCALLS; nr++) {
		uint64_t n = st->hypercall[nr].count, tsc = st->hypercall[nr].tsc;
		const char *name = hypercall_name(nr);
		uint64_t each, total = tenths_us(tsc);

		if (!n || !name)
			continue;
		each = tenths_us(tsc / n);
		say(o, "  %-28s %12lu %8lu.%lu %10lu.%lu", name, (unsigned long)n,
		    (unsigned long)(each / 10), (unsigned long)(each % 10),
		    (unsigned long)(total / 10000), (unsigned long)(total / 1000 % 10));
		calls += n;
		ticks += tsc;
	}
	say(o, "  %-28s %12lu %10s %10lu.%lu", "all", (unsigned long)calls, "",
	    (unsigned long)(tenths_us(ticks) / 10000),
	    (unsigned long)(tenths_us(ticks) / 1000 % 10));
}

/* What the gate finished by itself is counted there and in none of the other lines. */
static void print_finished(const struct out *o, const struct domain *d)
{
	static const char *const names[GATE_DID_KINDS] = {
		[GATE_DID_SYSCALL] = "system calls",
		[GATE_DID_IRET] = "iret",
		[GATE_DID_PAGE_FAULT] = "page faults",
		[GATE_DID_STACK_SWITCH] = "stack_switch",
		[GATE_DID_SEGMENT_BASE] = "set_segment_base",
	};

	for (unsigned kind = 0; kind < GATE_DID_KINDS; kind++) {
		char name[32];
		uint64_t n = 0;

		for (unsigned i = 0; i < d->max_vcpus; i++)
			if (d->vcpu[i])
				n += d->vcpu[i]->gate.finished[kind];
		xsnprintf(name, sizeof(name), "in the gate: %s", names[kind]);
		count_line(o, name, n);
	}
}

void stats_print(const struct domain *d, void (*line)(void *opaque, const char *text), void *opaque)
{
	const struct out o = { line, opaque };
	struct domain_stats now, *st = &now;
	uint64_t emulated = 0;

	stats_read(d, st);
	say(&o, "domain %u (%s)", d->id, d->name);
	print_hypercalls(&o, st);

	say(&o, "%-30s %12s", "exits", "count");
	for (unsigned i = 0; i < ARRAY_SIZE(st->exceptions); i++) {
		char name[32];

		if (exception_names[i])
			xstrlcpy(name, exception_names[i], sizeof(name));
		else
			xsnprintf(name, sizeof(name), "exception %u", i);
		count_line(&o, name, st->exceptions[i]);
	}
	count_line(&o, "guest system calls", st->guest_syscalls);
	print_finished(&o, d);
	count_line(&o, "software interrupts", st->soft_ints);
	count_line(&o, "kicks and timers", st->kicks);
	count_line(&o, "upcalls delivered", st->upcalls);
	for (unsigned i = 0; i < ARRAY_SIZE(st->emulated); i++)
		emulated += st->emulated[i];
	count_line(&o, "instructions emulated", emulated);
	for (unsigned i = 0; arch_emul_name(i); i++) {
		char name[32];

		xsnprintf(name, sizeof(name), "  %s", arch_emul_name(i));
		count_line(&o, name, st->emulated[i]);
	}

	say(&o, "%-30s %12s", "page tables", "count");
	count_line(&o, "mmu_update entries", st->mmu_updates);
	count_line(&o, "update_va_mapping entries", st->va_mappings);
	count_line(&o, "direct stores emulated", st->ptwr);
	count_line(&o, "entries stored in all", d->mm.pt_updates);
}
