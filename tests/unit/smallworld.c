/* SPDX-License-Identifier: MIT */
/* See smallworld.h. */
#include <stdlib.h>
#include <string.h>

#include "smallworld.h"
#include "xenopus/control.h"
#include "xenopus/core.h"

#define MACHINE_FRAMES 4096u
#define MAX_DOMAINS    8u

static struct sw {
	struct domain *d;
	mfn_t page[SW_PAGES], l1;
} worlds[MAX_DOMAINS];

static void must(bool ok)
{
	if (!ok)
		abort();
}

void smallworld_start_on(unsigned pcpus)
{
	memset(worlds, 0, sizeof(worlds));
	testplat_start(MACHINE_FRAMES);
	tp.info.pcpus = pcpus;
	must(core_init() == 0);
}

void smallworld_start(void)
{
	smallworld_start_on(1);
}

static struct sw *world(struct domain *d)
{
	for (unsigned i = 0; i < MAX_DOMAINS; i++)
		if (worlds[i].d == d)
			return &worlds[i];
	abort();
}

void sw_destroy(struct domain *d)
{
	world(d)->d = NULL;
	domain_pause(d);
	domain_destroy(d);
}

void smallworld_stop(void)
{
	for (unsigned i = 0; i < MAX_DOMAINS; i++)
		if (worlds[i].d)
			sw_destroy(worlds[i].d);
	testplat_stop();
}

static mfn_t frame(struct domain *d)
{
	mfn_t m = mm_alloc_domain_frame(d);

	must(mfn_valid_number(m));
	return m;
}

static void link_table(mfn_t table, uint64_t va, unsigned level, mfn_t to, uint64_t flags)
{
	uint64_t *t = plat_frame_ptr(table);

	t[pt_index(va, level)] = to.n << PAGE_SHIFT | flags | PTE_P | PTE_US;
}

struct domain *sw_domain(unsigned vcpus)
{
	struct sw *w = world(NULL);
	struct domain *d = domain_alloc((domid_t)(1 + (w - worlds)), "test", vcpus);
	mfn_t table[5];

	must(d && domain_mm_init(d, 1024) == 0 && domain_event_init(d) == 0);
	for (unsigned i = 0; i < vcpus; i++)
		must(vcpu_alloc(d, i) != NULL);
	w->d = d;
	for (unsigned level = 1; level <= 4; level++)
		table[level] = frame(d);
	w->l1 = table[1];
	for (unsigned i = 0; i < SW_PAGES; i++) {
		w->page[i] = frame(d);
		link_table(table[1], SW_VA + i * PAGE_SIZE, 1, w->page[i], PTE_RW);
	}
	for (unsigned level = 2; level <= 4; level++)
		link_table(table[level], SW_VA, level, table[level - 1], PTE_RW);
	must(mm_pin_table(d, table[4], 4) == 0);
	for (unsigned i = 0; i < vcpus; i++) {
		d->vcpu[i]->gate.flags |= GATE_KERNEL_MODE;
		must(mm_set_kernel_base(d->vcpu[i], table[4]) == 0);
	}
	d->state = DOM_RUNNING;
	return d;
}

mfn_t sw_mfn(struct domain *d, unsigned n)
{
	must(n < SW_PAGES);
	return world(d)->page[n];
}

void *sw_page(struct domain *d, unsigned n)
{
	return plat_frame_ptr(sw_mfn(d, n));
}

uint64_t sw_entry_ma(struct domain *d, unsigned n)
{
	return world(d)->l1.n * PAGE_SIZE + pt_index(SW_VA + n * PAGE_SIZE, 1) * 8;
}

void *sw_ptr(struct domain *d, uint64_t va)
{
	return (char *)sw_page(d, (unsigned)((va - SW_VA) / PAGE_SIZE)) + va % PAGE_SIZE;
}

void sw_run(struct vcpu *v)
{
	v->initialised = true;
	vcpu_wake(v, VPF_DOWN | VPF_PAUSED);
}

long sw_call(struct vcpu *v, hypercall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct hypercall_args a = { .arg = { a0, a1, a2 } };

	return fn(v, &a);
}

long sw_op(struct vcpu *v, hypercall_fn *fn, uint64_t cmd, void *arg, size_t size)
{
	void *guest = sw_ptr(v->domain, SW_ARGS);
	long rc;

	memcpy(guest, arg, size);
	rc = sw_call(v, fn, cmd, SW_ARGS, 0);
	memcpy(arg, guest, size);
	return rc;
}

long sw_vcpu_op(struct vcpu *v, uint64_t cmd, unsigned vcpu, void *arg, size_t size)
{
	void *guest = sw_ptr(v->domain, SW_ARGS);
	long rc;

	if (!arg)
		return sw_call(v, do_vcpu_op, cmd, vcpu, 0);
	memcpy(guest, arg, size);
	rc = sw_call(v, do_vcpu_op, cmd, vcpu, SW_ARGS);
	memcpy(arg, guest, size);
	return rc;
}
