/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm_world.h"
#include "../../core/mm/frame.h"

unsigned world_restarts;
static uint64_t free_at_start;

void world_machine(uint64_t frames)
{
	void *p;

	testplat_start(frames);
	assert_int_equal(mm_init(), 0);
	/* What the heap keeps for later (one slab per class) is fetched before counting. */
	p = heap_alloc(sizeof(struct vcpu));
	heap_free(p);
	p = heap_alloc(sizeof(struct domain));
	heap_free(p);
	free_at_start = buddy_free_frames();
}

void *world_ptr(struct world *w, unsigned pfn)
{
	return plat_frame_ptr(MFN(w->p2m[pfn]));
}

static void fill_tables(struct world *w)
{
	uint64_t *l4 = world_ptr(w, w->l4), *l3 = world_ptr(w, w->l3), *l2 = world_ptr(w, w->l2);

	l4[pt_index(WORLD_BASE, 4)] = w->p2m[w->l3] << PAGE_SHIFT | PTE_WR;
	l3[pt_index(WORLD_BASE, 3)] = w->p2m[w->l2] << PAGE_SHIFT | PTE_WR;
	for (unsigned i = 0; i < w->nr_l1; i++) {
		uint64_t *l1 = world_ptr(w, w->l1 + i);

		l2[i] = w->p2m[w->l1 + i] << PAGE_SHIFT | PTE_WR;
		for (unsigned pfn = i * 512; pfn < (i + 1) * 512 && pfn < w->pages; pfn++)
			l1[pfn % 512] = w->p2m[pfn] << PAGE_SHIFT |
					(pfn >= w->table_first ? PTE_RO : PTE_WR);
	}
}

void world_make(struct world *w, domid_t id, unsigned pages, unsigned max_pages)
{
	struct domain *d = heap_alloc(sizeof(*d));
	struct vcpu *v = heap_alloc(sizeof(*v));

	assert_true(d && v && pages <= WORLD_MAX);
	memset(w, 0, sizeof(*w));
	w->d = d;
	w->v = v;
	w->pages = pages;
	d->id = id;
	d->max_vcpus = 2;
	d->vcpu[0] = v;
	v->domain = d;
	v->gate.flags = GATE_KERNEL_MODE;
	/* As if CPU 0 had it loaded, and nobody worked for it at the moment. */
	v->sched.loaded = true;
	v->sched.pause_flags = VPF_DOWN;
	list_add_tail(&domain_list, &d->link);
	assert_int_equal(domain_mm_init(d, max_pages), 0);
	mm_domain_on_cpu(d);
	v->gate.vcpu_info = &d->mm.shared_info->vcpu_info[0];
	assert_int_equal(plat_vcpu_init(v), 0);
	for (unsigned i = 0; i < pages; i++) {
		mfn_t mfn = mm_alloc_domain_frame(d);

		assert_true(mfn_valid_number(mfn));
		w->p2m[i] = mfn.n;
		m2p_set(mfn, i);
	}
	w->nr_l1 = (pages + 511) / 512;
	w->l1 = pages - w->nr_l1;
	w->l2 = w->l1 - 1;
	w->l3 = w->l2 - 1;
	w->l4 = w->l3 - 1;
	w->table_first = w->l4;
	fill_tables(w);
	assert_int_equal(mm_pin_table(d, MFN(w->p2m[w->l4]), 4), 0);
	assert_int_equal(mm_set_kernel_base(v, MFN(w->p2m[w->l4])), 0);
}

void world_destroy(struct world *w)
{
	domain_mm_destroy(w->d);
	plat_vcpu_free(w->v);
	heap_free(w->v);
	list_del(&w->d->link);
	heap_free(w->d);
	w->d = NULL;
	world_audit();
}

void world_end(void)
{
	unsigned tables = 0;

	assert_true(list_empty(&domain_list));
	/* Only the M2P's own tables are left in the hardware's view. */
	for (uint64_t n = 0; n < tp.info.frames; n++)
		tables += tp.pt_level[n] != 0;
	assert_int_equal(tables, 3);
	assert_int_equal(buddy_free_frames(), free_at_start);
	testplat_stop();
}

void world_audit(void)
{
	unsigned violations = mm_audit();

	if (violations)
		print_error("%s", tp.log);
	assert_int_equal(violations, 0);
}

uint64_t world_pte_ma(struct world *w, unsigned pfn, unsigned cmd)
{
	return (w->p2m[w->l1 + pfn / 512] << PAGE_SHIFT | (pfn % 512) * 8) + cmd;
}

uint64_t world_pte(struct world *w, unsigned pfn)
{
	return ((uint64_t *)world_ptr(w, w->l1 + pfn / 512))[pfn % 512];
}

long world_call(struct world *w, unsigned nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	struct cpu_user_regs *regs = &w->v->gate.regs;
	uint64_t next = UINT64_C(0xffffffff81000002);

	regs->rdi = a1;
	regs->rsi = a2;
	regs->rdx = a3;
	regs->r10 = a4;
	for (world_restarts = 0;; world_restarts++) {
		assert_true(world_restarts < 1000000);
		regs->rax = nr;
		regs->rip = next;
		hypercall_dispatch(w->v);
		if (regs->rip == next)
			return (long)regs->rax;
	}
}

long world_mmu_update(struct world *w, uint64_t ptr, uint64_t val)
{
	struct mmu_update *req = world_ptr(w, 0);
	uint32_t *done = (void *)(req + 1);
	long rc;

	*req = (struct mmu_update){ptr, val};
	*done = 77;
	rc = world_call(w, __HYPERVISOR_mmu_update, world_va(0), 1, world_va(0) + sizeof(*req),
			DOMID_SELF);
	assert_int_equal(*done, rc ? 0 : 1);
	return rc;
}

long world_mmuext(struct world *w, unsigned cmd, uint64_t arg1, uint64_t arg2)
{
	struct mmuext_op *op = world_ptr(w, 0);
	uint32_t *done = (void *)(op + 1);
	long rc;

	memset(op, 0, sizeof(*op));
	op->cmd = cmd;
	op->arg1.linear_addr = arg1;
	memcpy(&op->arg2, &arg2, sizeof(arg2));
	*done = 77;
	rc = world_call(w, __HYPERVISOR_mmuext_op, world_va(0), 1, world_va(0) + sizeof(*op),
			DOMID_SELF);
	assert_int_equal(*done, rc ? 0 : 1);
	return rc;
}

long world_va_mapping(struct world *w, uint64_t va, uint64_t val, uint64_t flags)
{
	return world_call(w, __HYPERVISOR_update_va_mapping, va, val, flags, 0);
}

long world_protect(struct world *w, unsigned pfn, uint64_t bits)
{
	return world_va_mapping(w, world_va(pfn), bits ? w->p2m[pfn] << PAGE_SHIFT | bits : 0,
				UVMF_TLB_FLUSH | UVMF_ALL);
}
