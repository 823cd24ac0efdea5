/* SPDX-License-Identifier: MIT */
/*
 * What the core's own work costs when several physical CPUs do it at once: threads that are physical CPUs run the core's
 * loop on the platform without any CPU; the "guests" make one hypercall after the other. So nothing is measured but
 * the core: no exits, no host's KVM, no page tables of the processor.
 *
 *	one	one domain on one physical CPU
 *	two	two domains on two
 *	both	two virtual CPUs of one domain on two
 *
 * A line gives CPU time per call with one, and how much two (both) do of it in the same time: 2 is perfect. CPU time and not
 * the clock on the wall, and of many samples those in which every thread had most of a processor to itself (the last
 * column says how much), so that others on the machine do little harm. Waits for locks are per 1,000 calls.
 *
 *	bench_scaling [SAMPLES [PART]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/core.h"
#include "xenopus/cpu.h"
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/version.h>

#define CPUS	   2u
#define SAMPLE_MS  5 /* short, so that now and then nobody comes in between */
#define TRIES	   6 /* for each sample that counts */
#define PAGES	   16u /* per virtual CPU: the first for arguments, the table, those whose entries change */
#define TABLE_PAGE 1u
#define FIRST_PTE  8u
#define PTES	   8u
#define REQUESTS   32u
#define LISTED	   8u
#define FLAGS	   (PTE_P | PTE_US | PTE_A | PTE_D)

/* What a virtual CPU does next, and what it has done. */
struct worker {
	struct vcpu *v;
	unsigned turn;
	uint64_t calls, cpu_ns, wall_ns;
	uint32_t port;
	bool refused;
} __attribute__((aligned(64)));

static struct worker workers[CPUS];
static _Thread_local struct worker *self;
static bool stop;

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned page_of(const struct worker *w, unsigned n)
{
	return w->v->id * PAGES + n;
}

static uint64_t va_of(const struct worker *w, unsigned n)
{
	return SW_VA + page_of(w, n) * PAGE_SIZE;
}

static void *args(const struct worker *w)
{
	return sw_page(w->v->domain, page_of(w, 0));
}

/* Each page is at its place, or nothing is there, in turn. */
static uint64_t entry(const struct worker *w, unsigned n)
{
	return w->turn & 1 ? 0 : sw_mfn(w->v->domain, page_of(w, n)).n << PAGE_SHIFT | FLAGS | PTE_RW;
}

static void ask(struct worker *w, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	struct cpu_user_regs *r = &w->v->gate.regs;

	r->rax = nr;
	r->rdi = a0;
	r->rsi = a1;
	r->rdx = a2;
	r->r10 = a3;
}

static void empty(struct worker *w)
{
	ask(w, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0);
}

static void va(struct worker *w)
{
	ask(w, __HYPERVISOR_update_va_mapping, va_of(w, FIRST_PTE), entry(w, FIRST_PTE), UVMF_INVLPG, 0);
}

static void va_flush(struct worker *w)
{
	ask(w, __HYPERVISOR_update_va_mapping, va_of(w, FIRST_PTE), entry(w, FIRST_PTE), UVMF_TLB_FLUSH, 0);
}

static void batch(struct worker *w)
{
	struct mmu_update *u = args(w);

	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned n = FIRST_PTE + i % PTES;

		u[i].ptr = sw_entry_ma(w->v->domain, page_of(w, n));
		u[i].val = i / PTES & 1 ? 0 : sw_mfn(w->v->domain, page_of(w, n)).n << PAGE_SHIFT | FLAGS | PTE_RW;
	}
	ask(w, __HYPERVISOR_mmu_update, va_of(w, 0), REQUESTS, 0, DOMID_SELF);
}

static void multicall(struct worker *w)
{
	struct multicall_entry *e = args(w);

	for (unsigned i = 0; i < LISTED; i++) {
		e[i].op = __HYPERVISOR_update_va_mapping;
		e[i].args[0] = va_of(w, FIRST_PTE + i % PTES);
		e[i].args[1] = entry(w, FIRST_PTE + i % PTES);
		e[i].args[2] = UVMF_INVLPG;
	}
	ask(w, __HYPERVISOR_multicall, va_of(w, 0), LISTED, 0, 0);
}

static void pin(struct worker *w)
{
	struct mmuext_op *op = args(w);

	op->cmd = w->turn & 1 ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L1_TABLE;
	op->arg1.mfn = sw_mfn(w->v->domain, page_of(w, TABLE_PAGE)).n;
	ask(w, __HYPERVISOR_mmuext_op, va_of(w, 0), 1, 0, DOMID_SELF);
}

static void event(struct worker *w)
{
	struct evtchn_send *op = args(w);

	op->port = w->port;
	__atomic_fetch_and(&w->v->domain->mm.shared_info->evtchn_pending[0], ~(UINT64_C(1) << w->port), __ATOMIC_SEQ_CST);
	ask(w, __HYPERVISOR_event_channel_op, EVTCHNOP_send, va_of(w, 0), 0, 0);
}

static void grant(struct worker *w)
{
	struct gnttab_query_size *op = args(w);

	op->dom = DOMID_SELF;
	ask(w, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, va_of(w, 0), 1, 0);
}

static const struct part {
	const char *name;
	void (*fn)(struct worker *w);
} parts[] = {
	{ "xen_version", empty },	   { "update_va_mapping", va },	    { "... with a full flush", va_flush },
	{ "mmu_update of 32", batch },	   { "multicall of 8", multicall }, { "pin and unpin an L1", pin },
	{ "event to itself, masked", event }, { "grant table size", grant },
};

static const struct part *part;

/* In place of the guest: look at the last answer, ask again. */
static void guest(struct vcpu *v, struct trap *t)
{
	struct worker *w = self;

	if (w->calls && (int64_t)v->gate.regs.rax < 0)
		w->refused = true;
	if (__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		t->cause = TRAP_KICK;
		core_stop();
		return;
	}
	t->cause = TRAP_SYSCALL;
	part->fn(w);
	w->turn++;
	w->calls++;
}

static void *cpu(void *arg)
{
	uint64_t cpu_ns = now(CLOCK_THREAD_CPUTIME_ID), wall_ns = now(CLOCK_MONOTONIC);

	self = arg;
	testplat_thread_is((unsigned)(self - workers));
	core_cpu_loop();
	self->cpu_ns = now(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	self->wall_ns = now(CLOCK_MONOTONIC) - wall_ns;
	return NULL;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_scaling: %s\n", what);
	exit(1);
}

static void prepare(struct worker *w, struct vcpu *v)
{
	struct evtchn_bind_ipi ipi = { .vcpu = v->id };
	uint64_t *table;

	*w = (struct worker){ .v = v };
	must(sw_op(v, do_event_channel_op, EVTCHNOP_bind_ipi, &ipi, sizeof(ipi)) == 0, "bind_ipi is refused");
	w->port = ipi.port;
	table = sw_page(v->domain, page_of(w, TABLE_PAGE));
	for (unsigned i = 0; i < 512; i++)
		table[i] = sw_mfn(v->domain, page_of(w, 0)).n << PAGE_SHIFT | FLAGS;
	/* So that it can be pinned. */
	must(sw_call(v, do_update_va_mapping, va_of(w, TABLE_PAGE),
		     sw_mfn(v->domain, page_of(w, TABLE_PAGE)).n << PAGE_SHIFT | FLAGS, UVMF_INVLPG) == 0,
	     "a page cannot be made read-only");
	v->gate.vcpu_info->evtchn_upcall_mask = 1;
	must(!sched_set_affinity(v, cpu_bit((unsigned)(w - workers))), "affinity is refused");
	sw_run(v);
}

static uint64_t waits(void)
{
	uint64_t n = 0;

	for (enum lock_rank rank = 0; rank < LOCK_RANKS; rank++)
		n += lock_waits(rank);
	return n;
}

struct sample {
	double ns;    /* CPU time per call */
	double share; /* of a processor that the thread with the least of it had */
	uint64_t calls, waits;
};

/* One machine, run for a moment. */
static struct sample sample(unsigned domains, unsigned vcpus)
{
	const struct timespec moment = { .tv_nsec = SAMPLE_MS * 1000000 };
	struct sample s = { .share = 1 };
	unsigned n = domains * vcpus;
	uint64_t before, cpu_ns = 0;
	pthread_t thread[CPUS];

	smallworld_start_on(n);
	for (unsigned i = 0; i < domains; i++) {
		struct domain *d = sw_domain(vcpus);

		for (unsigned j = 0; j < vcpus; j++)
			prepare(&workers[i * vcpus + j], d->vcpu[j]);
	}
	tp.threaded = true;
	tp.run = guest;
	time_init();
	stop = false;
	before = waits();
	for (unsigned i = 0; i < n; i++)
		must(!pthread_create(&thread[i], NULL, cpu, &workers[i]), "no thread");
	nanosleep(&moment, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	tp.threaded = false;
	s.waits = waits() - before;
	for (unsigned i = 0; i < n; i++) {
		const struct worker *w = &workers[i];
		double share = w->calls ? (double)w->cpu_ns / (double)w->wall_ns : 0;

		must(!w->refused, "a hypercall was refused");
		s.calls += w->calls;
		cpu_ns += w->cpu_ns;
		s.share = share < s.share ? share : s.share;
	}
	s.ns = (double)cpu_ns / (double)(s.calls ? s.calls : 1);
	smallworld_stop();
	return s;
}

static int by_share(const void *a, const void *b)
{
	double x = ((const struct sample *)a)->share, y = ((const struct sample *)b)->share;

	return (x < y) - (x > y);
}

static int by_ns(const void *a, const void *b)
{
	double x = ((const struct sample *)a)->ns, y = ((const struct sample *)b)->ns;

	return (x > y) - (x < y);
}

/* Of many samples the @want in which the threads had most of a processor each; of these the median by time per call. */
static struct sample median(unsigned domains, unsigned vcpus, unsigned want)
{
	unsigned n = TRIES * want;
	struct sample *all = calloc(n, sizeof(*all)), got;

	must(all, "no memory");
	for (unsigned i = 0; i < n; i++)
		all[i] = sample(domains, vcpus);
	qsort(all, n, sizeof(*all), by_share);
	qsort(all, want, sizeof(*all), by_ns);
	got = all[want / 2];
	free(all);
	must(got.calls, "the machine is too busy: a thread never ran");
	return got;
}

int main(int argc, char **argv)
{
	unsigned want = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 15;

	must(want > 0 && argc <= 3, "usage: bench_scaling [SAMPLES [PART]]");
	printf("%-26s %8s %8s %8s %14s %14s %8s\n", "", "one", "two", "both", "waits of two", "waits of both", "share");
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		struct sample one, two, both;

		part = &parts[i];
		if (argc > 2 && !strstr(part->name, argv[2]))
			continue;
		one = median(1, 1, want);
		two = median(2, 1, want);
		both = median(1, 2, want);
		printf("%-26s %5.0f ns %8.2f %8.2f %14.2f %14.2f %8.2f\n", part->name, one.ns, 2 * one.ns / two.ns,
		       2 * one.ns / both.ns, 1000. * (double)two.waits / (double)two.calls,
		       1000. * (double)both.waits / (double)both.calls, two.share < both.share ? two.share : both.share);
		fflush(stdout);
	}
	return 0;
}
