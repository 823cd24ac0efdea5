/* SPDX-License-Identifier: MIT */
/*
 * memory_op: the reservation shrinks and grows, the machine-to-physical table follows
 * (xen/memory.h).
 */
#include "guest.h"

const char guest_topic[] = "memory";

static struct xen_memory_reservation reservation(xen_pfn_t *frames, unsigned n)
{
	struct xen_memory_reservation r = { .nr_extents = n, .domid = DOMID_SELF };

	set_xen_guest_handle(r.extent_start, frames);
	return r;
}

static long pages(unsigned what)
{
	domid_t self = DOMID_SELF;

	return HC2(memory_op, what, &self);
}

static void test_questions(void)
{
	struct xen_machphys_mapping m;
	struct xen_machphys_mfn_list list = { .max_extents = 4 };
	static xen_pfn_t extents[4];

	check(pages(XENMEM_current_reservation) >= (long)start_info->nr_pages,
	      "current_reservation is what there is", "%ld, %lu pages",
	      pages(XENMEM_current_reservation), start_info->nr_pages);
	check(pages(XENMEM_maximum_reservation) >= pages(XENMEM_current_reservation),
	      "maximum_reservation is no less", "%ld", pages(XENMEM_maximum_reservation));
	check(HC2(memory_op, XENMEM_maximum_ram_page, 0) > 0, "maximum_ram_page", "%ld",
	      HC2(memory_op, XENMEM_maximum_ram_page, 0));
	check_eq("machphys_mapping", HC2(memory_op, XENMEM_machphys_mapping, &m), 0);
	check(m.v_end > m.v_start && m.max_mfn, "... is some", "0x%lx to 0x%lx", m.v_start,
	      m.v_end);
	set_xen_guest_handle(list.extent_start, extents);
	check_eq("machphys_mfn_list", HC2(memory_op, XENMEM_machphys_mfn_list, &list), 0);
	check(list.nr_extents >= 1, "... is some", "%u", list.nr_extents);
	check_eq("an unknown operation", HC2(memory_op, 60, &m), (uint64_t)-XEN_ENOSYS);
}

static void test_decrease_populate(void)
{
	uint64_t *page = page_alloc(), pfn = virt_to_pfn(page), va = (uint64_t)page;
	xen_pfn_t frame = virt_to_mfn(page);
	struct xen_memory_reservation r = reservation(&frame, 1);
	long before = pages(XENMEM_current_reservation);
	uint64_t v;

	page[0] = 0x5ec3e7;
	check_eq("a page is unmapped", hc_update_va_mapping(va, 0, UVMF_INVLPG), 0);
	check_eq("decrease_reservation", HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
	check_eq("... there is one page less", pages(XENMEM_current_reservation), before - 1);
	check(*m2p_entry(frame) != pfn, "... M2P has forgotten it", "0x%lx", *m2p_entry(frame));
	check(hc_update_va_mapping(va, frame * PAGE_SIZE | PTE_LEAF, 0) < 0,
	      "... it cannot be mapped", "mapped");
	check(HC2(memory_op, XENMEM_decrease_reservation, &r) <= 0, "... or given up twice",
	      "done");
	frame = pfn;
	check_eq("populate_physmap", HC2(memory_op, XENMEM_populate_physmap, &r), 1);
	check_eq("... the pages are what they were", pages(XENMEM_current_reservation), before);
	check_eq("... M2P says where", *m2p_entry(frame), pfn);
	p2m[pfn] = frame;
	check_eq("... it can be mapped",
		 hc_update_va_mapping(va, frame * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_INVLPG), 0);
	check_eq("... is readable", probe_read(va, &v), 0);
	check(v != 0x5ec3e7 || (start_info->flags & SIF_INITDOMAIN), "... and is clean", "0x%lx",
	      v);
}

static void test_mapped(void)
{
	uint64_t *page = page_alloc(), *spare = page_alloc(), pfn = virt_to_pfn(page),
		 mfn = virt_to_mfn(page);
	xen_pfn_t frame;
	struct xen_memory_reservation r = reservation(&frame, 1);

	/* Room for one page, since a frame counts as long as it is mapped somewhere. */
	frame = virt_to_mfn(spare);
	hc_update_va_mapping((uint64_t)spare, 0, UVMF_INVLPG);
	check_eq("a spare page is given up", HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
	frame = mfn;
	page[1] = 0x1234;
	check_eq("a mapped page is given up", HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
	check_eq("... stays readable where it is mapped", page[1], 0x1234);
	frame = pfn;
	check_eq("... another is had", HC2(memory_op, XENMEM_populate_physmap, &r), 1);
	check(frame != mfn, "... another indeed", "the same frame 0x%lx", frame);
	p2m[pfn] = frame;
	check_eq("... and takes its place",
		 hc_update_va_mapping((uint64_t)page, frame * PAGE_SIZE | PTE_LEAF | PTE_RW,
				      UVMF_INVLPG),
		 0);
	check(page[1] != 0x1234 || (start_info->flags & SIF_INITDOMAIN),
	      "... with nothing old in it", "0x%lx", page[1]);
}

static void test_increase(void)
{
	xen_pfn_t frames[2] = { 0, 0 };
	struct xen_memory_reservation r = reservation(frames, 1);
	long before = pages(XENMEM_current_reservation);
	uint64_t va = va_reserve(1);
	long rc;

	if (before >= pages(XENMEM_maximum_reservation)) {
		check(HC2(memory_op, XENMEM_increase_reservation, &r) <= 0,
		      "increase_reservation above the maximum", "done");
		frames[0] = virt_to_mfn(page_alloc());
		hc_update_va_mapping((uint64_t)mfn_to_virt(frames[0]), 0, UVMF_INVLPG);
		HC2(memory_op, XENMEM_decrease_reservation, &r);
	}
	rc = HC2(memory_op, XENMEM_increase_reservation, &r);
	if (!check_eq("increase_reservation", rc, 1))
		return;
	check(frames[0], "... tells the frame", "0");
	map_page(va, frames[0] * PAGE_SIZE | PTE_LEAF | PTE_RW);
	check_eq("... which can be used", probe_write(va, 1), 0);
	pte_set(pte_of(va, 1), 0);
	mmuext(MMUEXT_INVLPG_LOCAL, va, 0);
	HC2(memory_op, XENMEM_decrease_reservation, &r);
}

static void test_exchange(void)
{
	xen_pfn_t in[4], out[4];
	struct xen_memory_exchange x = { .in = reservation(in, 4), .out = reservation(out, 4) };
	uint64_t *page[4];
	unsigned wrong = 0;
	long rc;

	for (unsigned i = 0; i < 4; i++) {
		page[i] = page_alloc();
		in[i] = virt_to_mfn(page[i]);
		out[i] = virt_to_pfn(page[i]);
		hc_update_va_mapping((uint64_t)page[i], 0, UVMF_INVLPG);
	}
	rc = HC2(memory_op, XENMEM_exchange, &x);
	if (!check_eq("exchange of four frames", rc, 0))
		return;
	check_eq("... all", x.nr_exchanged, 4);
	for (unsigned i = 0; i < 4; i++) {
		wrong += *m2p_entry(out[i]) != virt_to_pfn(page[i]);
		p2m[virt_to_pfn(page[i])] = out[i];
		wrong += hc_update_va_mapping((uint64_t)page[i],
					      out[i] * PAGE_SIZE | PTE_LEAF | PTE_RW,
					      UVMF_INVLPG) != 0;
	}
	check(!wrong, "... the new ones are mapped and known to M2P", "%u wrong", wrong);
}

static void test_refused(void)
{
	xen_pfn_t frame = kernel_l4_mfn;
	struct xen_memory_reservation r = reservation(&frame, 1);

	frame = UINT64_C(1) << 35;
	check(HC2(memory_op, XENMEM_decrease_reservation, &r) <= 0,
	      "a frame that does not exist cannot be given up", "done");
	r.extent_order = 40;
	check(HC2(memory_op, XENMEM_populate_physmap, &r) <= 0,
	      "an extent of 2^40 pages is refused", "done");
	r.extent_order = 0;
	r.domid = 0x1234;
	check((int)HC2(memory_op, XENMEM_populate_physmap, &r) <= 0,
	      "a stranger's memory is refused", "done");
	check(HC2(memory_op, XENMEM_populate_physmap, va_reserve(1)) <= 0, "a request from nowhere",
	      "done");
}

void guest_main(void)
{
	test_questions();
	test_decrease_populate();
	test_mapped();
	test_increase();
	test_exchange();
	test_refused();
}
