/* SPDX-License-Identifier: MIT */
/*
 * Random but plausible hypercalls from all virtual CPUs at once, on the same few frames: entries, pins and base pointers,
 * mappings, memory given back, taken and exchanged, descriptor tables, grants, event channels, and virtual CPUs put down
 * and up. What keeps this kernel alive is left out; so everything else may be done or refused, and the machine must stay in
 * order (give it --audit=N). Arguments: rounds=, seed=.
 *
 * Frames of the pool have a level, by which others name them: 0 is data, 1 to 3 are page tables to be; roots are copies of
 * the kernel's own top-level table, whose upper half nobody touches.
 */
#include "hostile.h"
#include <xen/grant_table.h>
#include <xen/memory.h>

const char guest_topic[] = "chaos";

#define MAX_CPUS 8u
#define PER_LEVEL 8u
#define LEVELS 4u
#define ROOTS 4u
#define WINDOW 16u

struct cpu {
	uint64_t seed;
	uint64_t done, refused;
	uint64_t *args; /* a page for arguments */
	uint32_t port;
	bool finished;
};

static struct cpu cpus[MAX_CPUS];
static unsigned nr_cpus;
static uint64_t rounds;
static uint64_t *pool[LEVELS][PER_LEVEL], *root[ROOTS];
static uint64_t pool_mfn[LEVELS][PER_LEVEL]; /* of the data ones, may change */
static uint64_t grant_mfn[2];
static uint64_t window;

static uint64_t rnd(struct cpu *c, uint64_t n)
{
	c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (c->seed >> 33) % n;
}

static uint64_t some_mfn(struct cpu *c, unsigned level)
{
	return READ_ONCE(pool_mfn[level][rnd(c, PER_LEVEL)]);
}

static uint64_t root_mfn(struct cpu *c)
{
	return virt_to_mfn(root[rnd(c, ROOTS)]);
}

/* Any frame with a part in this. */
static uint64_t any_mfn(struct cpu *c)
{
	switch (rnd(c, 16)) {
	case 0:
		return root_mfn(c);
	case 1:
		return grant_mfn[rnd(c, 2)];
	case 2:
		return rnd(c, 1 << 17);
	default:
		return some_mfn(c, (unsigned)rnd(c, LEVELS));
	}
}

/* What an entry of a table of @level might hold. */
static uint64_t some_entry(struct cpu *c, unsigned level)
{
	uint64_t flags = PTE_LEAF | (rnd(c, 2) ? PTE_RW : 0);

	switch (rnd(c, 16)) {
	case 0:
		return any_mfn(c) * PAGE_SIZE | flags;
	case 1:
		return any_mfn(c) * PAGE_SIZE | flags | UINT64_C(1) << rnd(c, 12);
	case 2:
	case 3:
	case 4:
	case 5:
		return 0;
	default:
		return some_mfn(c, level - 1) * PAGE_SIZE | flags;
	}
}

static long entries(struct cpu *c)
{
	mmu_update_t *u = (void *)c->args;
	unsigned n = 1 + (unsigned)rnd(c, 6), done;

	for (unsigned i = 0; i < n; i++) {
		unsigned level = 1 + (unsigned)rnd(c, LEVELS);
		uint64_t mfn = level == 4 ? root_mfn(c) : some_mfn(c, level);

		u[i].ptr = mfn * PAGE_SIZE + rnd(c, level == 4 ? 256 : 512) * 8 + (rnd(c, 8) ? 0 : MMU_PT_UPDATE_PRESERVE_AD);
		u[i].val = some_entry(c, level);
	}
	return hc_mmu_update(u, n, &done);
}

static long pins(struct cpu *c)
{
	unsigned level = (unsigned)rnd(c, LEVELS) + 1;

	if (!rnd(c, 32))
		return mmuext(MMUEXT_PIN_L1_TABLE + (unsigned)rnd(c, 4), any_mfn(c), 0);
	return mmuext(rnd(c, 2) ? MMUEXT_PIN_L1_TABLE + level - 1 : MMUEXT_UNPIN_TABLE,
		      level == 4 ? root_mfn(c) : some_mfn(c, level), 0);
}

static long bases(struct cpu *c)
{
	if (rnd(c, 2))
		return mmuext(MMUEXT_NEW_USER_BASEPTR, rnd(c, 3) ? root_mfn(c) : 0, 0);
	return mmuext(MMUEXT_NEW_BASEPTR, rnd(c, 3) ? root_mfn(c) : kernel_l4_mfn, 0);
}

static uint64_t some_va(struct cpu *c)
{
	return window + rnd(c, WINDOW) * PAGE_SIZE;
}

static uint64_t some_flush(struct cpu *c)
{
	*c->args = rnd(c, 256);
	switch (rnd(c, 8)) {
	case 0:
		return UVMF_TLB_FLUSH | UVMF_ALL;
	case 1:
		return UVMF_INVLPG | UVMF_ALL;
	case 2:
		return UVMF_TLB_FLUSH | (uint64_t)c->args;
	case 3:
		return UVMF_INVLPG;
	default:
		return 0;
	}
}

static long mappings(struct cpu *c)
{
	unsigned level = (unsigned)rnd(c, LEVELS);

	if (rnd(c, 3)) /* of its page in the kernel, mostly the one that was there */
		return hc_update_va_mapping((uint64_t)pool[level][rnd(c, PER_LEVEL)],
					    some_mfn(c, level) * PAGE_SIZE | PTE_LEAF | (rnd(c, 3) ? 0 : PTE_RW), some_flush(c));
	return hc_update_va_mapping(some_va(c), some_entry(c, 1), some_flush(c));
}

static long pages(struct cpu *c)
{
	static const unsigned cmds[] = { MMUEXT_CLEAR_PAGE, MMUEXT_COPY_PAGE, MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_TLB_FLUSH_ALL,
					 MMUEXT_INVLPG_ALL, MMUEXT_TLB_FLUSH_MULTI, MMUEXT_SET_LDT };
	unsigned cmd = cmds[rnd(c, ARRAY_SIZE(cmds))];
	uint64_t mfn = some_mfn(c, (unsigned)rnd(c, LEVELS));

	*c->args = rnd(c, 256);
	if (cmd == MMUEXT_CLEAR_PAGE || cmd == MMUEXT_COPY_PAGE)
		return mmuext(cmd, mfn, any_mfn(c));
	if (cmd == MMUEXT_SET_LDT)
		return mmuext(cmd, some_va(c), rnd(c, 1024));
	return mmuext(cmd, some_va(c), (uint64_t)c->args);
}

/* Data frames only: the others stay known by where they are. */
static long balloon(struct cpu *c)
{
	uint64_t *which = &pool_mfn[0][rnd(c, PER_LEVEL)];
	struct xen_memory_reservation *r = (void *)(c->args + 8);
	struct xen_memory_exchange *x = (void *)(c->args + 8);
	long ret;

	memset(c->args, 0, 512);
	c->args[0] = READ_ONCE(*which);
	if (rnd(c, 2)) {
		x->in.nr_extents = x->out.nr_extents = 1;
		x->in.domid = x->out.domid = DOMID_SELF;
		x->in.extent_start.p = (void *)c->args;
		x->out.extent_start.p = (void *)(c->args + 1);
		ret = HC2(memory_op, XENMEM_exchange, x);
		if (!ret)
			READ_ONCE(*which) = c->args[1];
		return ret;
	}
	r->nr_extents = 1;
	r->domid = DOMID_SELF;
	r->extent_start.p = (void *)c->args;
	if (HC2(memory_op, XENMEM_decrease_reservation, r) != 1)
		return -1;
	c->args[0] = 1;
	if (HC2(memory_op, XENMEM_populate_physmap, r) == 1)
		READ_ONCE(*which) = c->args[0];
	return 0;
}

static long segments(struct cpu *c)
{
	uint64_t mfn = some_mfn(c, (unsigned)rnd(c, 2));

	if (rnd(c, 2))
		return HC2(update_descriptor, mfn * PAGE_SIZE + rnd(c, 512) * 8,
			   rnd(c, 4) ? UINT64_C(0x00cff3000000ffff) : (uint64_t)rnd(c, 1u << 31) << 16);
	c->args[0] = mfn;
	c->args[1] = some_mfn(c, 0);
	return HC2(set_gdt, c->args, rnd(c, 1025));
}

static long grants(struct cpu *c)
{
	struct gnttab_setup_table *s = (void *)(c->args + 16);
	struct gnttab_set_version *v = (void *)(c->args + 16);

	memset(c->args, 0, 512);
	if (rnd(c, 2)) {
		v->version = 1 + (uint32_t)rnd(c, 2);
		return HC3(grant_table_op, GNTTABOP_set_version, v, 1);
	}
	s->dom = DOMID_SELF;
	s->nr_frames = 1 + (uint32_t)rnd(c, 4);
	s->frame_list.p = (void *)c->args;
	if (HC3(grant_table_op, GNTTABOP_setup_table, s, 1) || s->status)
		return -1;
	grant_mfn[rnd(c, 2)] = c->args[rnd(c, s->nr_frames)];
	return 0;
}

static long events(struct cpu *c)
{
	struct evtchn_bind_ipi bind = { .vcpu = (uint32_t)rnd(c, nr_cpus) };
	struct evtchn_send send = { .port = c->port };
	struct evtchn_bind_vcpu move = { .port = cpus[rnd(c, nr_cpus)].port, .vcpu = bind.vcpu };

	switch (rnd(c, 4)) {
	case 0:
		if (c->port)
			hc_event_channel_op(EVTCHNOP_close, &send);
		c->port = hc_event_channel_op(EVTCHNOP_bind_ipi, &bind) ? 0 : bind.port;
		return c->port ? 0 : -1;
	case 1:
		return hc_event_channel_op(EVTCHNOP_bind_vcpu, &move);
	default:
		send.port = cpus[rnd(c, nr_cpus)].port;
		return hc_event_channel_op(EVTCHNOP_send, &send);
	}
}

static long vcpus(struct cpu *c)
{
	unsigned me = (unsigned)(c - cpus), other = (unsigned)rnd(c, nr_cpus);

	switch (rnd(c, 8)) {
	case 0:
		/* Whoever is the last to be up wakes the others when it has finished. */
		return me ? HC3(vcpu_op, VCPUOP_down, me, 0) : -1;
	case 1:
		memset(c->args, 0, sizeof(struct vcpu_guest_context));
		return HC3(vcpu_op, VCPUOP_initialise, other, c->args);
	case 2:
		c->args[0] = 1000000 + rnd(c, 1000000);
		return HC3(vcpu_op, VCPUOP_set_periodic_timer, other, c->args);
	case 3:
		c->args[0] = some_va(c);
		return HC3(vcpu_op, VCPUOP_register_runstate_memory_area, me, c->args);
	default:
		return HC3(vcpu_op, VCPUOP_up, other, 0);
	}
}

static long several(struct cpu *c)
{
	multicall_entry_t *m = (void *)(c->args + 256);
	mmu_update_t *u = (void *)c->args;
	unsigned n = 1 + (unsigned)rnd(c, 8);

	memset(m, 0, n * sizeof(*m));
	for (unsigned i = 0; i < n; i++) {
		unsigned level = 1 + (unsigned)rnd(c, 3);

		u[i].ptr = some_mfn(c, level) * PAGE_SIZE + rnd(c, 512) * 8;
		u[i].val = some_entry(c, level);
		m[i].op = __HYPERVISOR_mmu_update;
		m[i].args[0] = (uint64_t)&u[i];
		m[i].args[1] = 1;
		m[i].args[3] = DOMID_SELF;
		if (rnd(c, 3))
			continue;
		m[i].op = __HYPERVISOR_update_va_mapping;
		m[i].args[0] = some_va(c);
		m[i].args[1] = u[i].val;
		m[i].args[2] = UVMF_INVLPG | UVMF_ALL;
	}
	return HC2(multicall, m, n);
}

static void work(struct cpu *c)
{
	static long (*const deeds[])(struct cpu *c) = { entries, entries, pins, pins, bases, mappings, mappings, pages, balloon,
							segments, grants, events, events, vcpus, several };

	for (uint64_t i = 0; i < rounds; i++) {
		if (deeds[rnd(c, ARRAY_SIZE(deeds))](c) < 0)
			c->refused++;
		else
			c->done++;
	}
	__atomic_store_n(&c->finished, true, __ATOMIC_RELEASE);
}

static void __attribute__((noreturn)) secondary(unsigned cpu)
{
	work(&cpus[cpu]);
	for (;;)
		HC3(vcpu_op, VCPUOP_down, cpu, 0);
}

static void make_pool(void)
{
	window = va_reserve(WINDOW);
	for (unsigned level = 0; level < LEVELS; level++) {
		for (unsigned i = 0; i < PER_LEVEL; i++) {
			pool[level][i] = page_alloc();
			pool_mfn[level][i] = virt_to_mfn(pool[level][i]);
		}
	}
	/* Full ones, so that validating takes its time. */
	for (unsigned level = 1; level < LEVELS; level++)
		for (unsigned i = 0; i < PER_LEVEL; i++)
			for (unsigned n = 0; n < 512; n++)
				pool[level][i][n] = pool_mfn[level - 1][(i + n) % PER_LEVEL] * PAGE_SIZE | PTE_LEAF |
						    (level > 1 || !(i & 1) ? PTE_RW : 0);
	for (unsigned level = 1; level < LEVELS; level++)
		for (unsigned i = 0; i < PER_LEVEL; i++)
			protect(pool[level][i], PTE_LEAF);
	for (unsigned i = 0; i < ROOTS; i++) {
		root[i] = page_alloc();
		memcpy(root[i], kernel_l4, PAGE_SIZE);
		for (unsigned n = 256; n < 272; n++)
			root[i][n] = 0;
		protect(root[i], PTE_LEAF);
	}
}

void guest_main(void)
{
	uint64_t done = 0, refused = 0;

	nr_cpus = vcpu_possible();
	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	rounds = told_number("rounds=", 600);
	make_pool();
	for (unsigned i = 0; i < nr_cpus; i++) {
		cpus[i].seed = told_number("seed=", 1) * 0x9e3779b9 + i;
		cpus[i].args = page_alloc();
		page_alloc(); /* a context is larger than a page */
		if (i && (vcpu_prepare(i, secondary) || HC3(vcpu_op, VCPUOP_up, i, 0)))
			panic("virtual CPU %u does not come up", i);
	}
	upcalls_on(); /* those of others are a reason to leave a long hypercall */
	work(&cpus[0]);
	for (unsigned i = 1; i < nr_cpus; i++) {
		while (!__atomic_load_n(&cpus[i].finished, __ATOMIC_ACQUIRE)) {
			HC3(vcpu_op, VCPUOP_up, i, 0);
			HC2(sched_op, SCHEDOP_yield, 0);
		}
	}
	mmuext(MMUEXT_NEW_BASEPTR, kernel_l4_mfn, 0);
	for (unsigned i = 0; i < nr_cpus; i++) {
		done += cpus[i].done;
		refused += cpus[i].refused;
	}
	check(done && refused, "random hypercalls of all virtual CPUs are done or refused", "%lu done, %lu refused", done, refused);
	printf("# %lu done, %lu refused, %u virtual CPUs\n", done, refused, nr_cpus);
}
