/* SPDX-License-Identifier: MIT */
/*
 * The hypercall memory_op: reservations (the balloon) and what a guest may know about machine
 * memory. Operations on lists of extents stop when preempted; the extents done so far ride in the
 * upper bits of the command.
 */
#include "xenopus/hypercall.h"
#include <xen/memory.h>

#include "frame.h"

#define MEMOP_EXTENT_SHIFT 6
#define MEMOP_CMD_MASK	   ((1u << MEMOP_EXTENT_SHIFT) - 1)
#define DOMU_MAX_ORDER	   9u
#define XENMEM_CLAIM_PAGES 24 /* the public header keeps it for tools */

struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));

uint64_t memory_frame_limit(unsigned mem_flags)
{
	unsigned bits = XENMEMF_get_address_bits(mem_flags);

	if (bits == 0 || bits >= 64)
		return ~UINT64_C(0);
	return bits <= PAGE_SHIFT ? 0 : UINT64_C(1) << (bits - PAGE_SHIFT);
}

/* 2^order frames more for @d; 0 when its reservation or the machine is exhausted. */
static uint64_t grow(struct domain *d, unsigned order, unsigned mem_flags)
{
	uint64_t pages = UINT64_C(1) << order, n;

	if (d->mm.tot_pages + pages > d->mm.max_pages)
		return 0;
	n = buddy_alloc(order, memory_frame_limit(mem_flags));
	if (n)
		frame_assign(d, n, order);
	return n;
}

static void shrink(uint64_t n, unsigned order)
{
	for (uint64_t i = n; i < n + (UINT64_C(1) << order); i++)
		frame_surrender(frame_at(i));
}

static bool increase_one(struct vcpu *v, const struct xen_memory_reservation *r, uint64_t list_va)
{
	uint64_t n = grow(v->domain, r->extent_order, r->mem_flags);

	if (!n)
		return false;
	if (!list_va || !guest_copy_to(v, list_va, &n, sizeof(n)))
		return true;
	shrink(n, r->extent_order);
	return false;
}

static bool populate_one(struct vcpu *v, const struct xen_memory_reservation *r, uint64_t list_va)
{
	uint64_t gpfn, n;

	if (guest_copy_from(v, &gpfn, list_va, sizeof(gpfn)))
		return false;
	n = grow(v->domain, r->extent_order, r->mem_flags);
	if (!n)
		return false;
	for (uint64_t i = 0; i < UINT64_C(1) << r->extent_order; i++)
		m2p_set(MFN(n + i), gpfn + i);
	if (!guest_copy_to(v, list_va, &n, sizeof(n)))
		return true;
	shrink(n, r->extent_order);
	return false;
}

static bool decrease_one(struct vcpu *v, const struct xen_memory_reservation *r, uint64_t list_va)
{
	struct domain *d = v->domain;
	uint64_t n, pages = UINT64_C(1) << r->extent_order;

	if (guest_copy_from(v, &n, list_va, sizeof(n)) || n >= nr_frames || pages > nr_frames - n)
		return false;
	for (uint64_t i = n; i < n + pages; i++) {
		struct frame *f = frame_at(i);

		if (frame_owner(f) != d || f->kind != FK_DOMAIN || !(f->flags & FF_ALLOC)) {
			dlog(d, LOG_DEBUG, "decrease_reservation: frame %#llx",
			     (unsigned long long)i);
			return false;
		}
	}
	shrink(n, r->extent_order);
	return true;
}

static long reservation_op(struct vcpu *v, unsigned cmd, uint64_t start, struct hypercall_args *a)
{
	struct xen_memory_reservation r;
	uint64_t list;
	int rc;

	if (guest_copy_from(v, &r, a->arg[1], sizeof(r)))
		return (long)start;
	/* Larger lists would not fit the command; partial success is what the ABI offers. */
	if (r.nr_extents > (~UINT64_C(0) >> MEMOP_EXTENT_SHIFT) || start >= r.nr_extents)
		return (long)start;
	list = (uint64_t)(uintptr_t)r.extent_start.p;
	if (!list && cmd != XENMEM_increase_reservation)
		return (long)start;
	rc = mm_foreign_ok(v->domain, r.domid);
	if (rc)
		return start ? (long)start : rc;
	if (r.extent_order > DOMU_MAX_ORDER || (r.mem_flags & XENMEMF_populate_on_demand))
		return (long)start;
	for (uint64_t i = start; i < r.nr_extents; i++) {
		uint64_t va = list ? list + i * sizeof(xen_pfn_t) : 0;
		bool ok;

		if (i != start && hypercall_preempt()) {
			a->arg[0] = cmd | i << MEMOP_EXTENT_SHIFT;
			return -XEN_ERESTART;
		}
		if (cmd == XENMEM_increase_reservation)
			ok = increase_one(v, &r, va);
		else if (cmd == XENMEM_populate_physmap)
			ok = populate_one(v, &r, va);
		else
			ok = decrease_one(v, &r, va);
		if (!ok)
			return (long)i;
	}
	return (long)r.nr_extents;
}

static long query_op(struct vcpu *v, unsigned cmd, uint64_t arg)
{
	struct domain *d = v->domain;
	uint64_t max_pfn;
	domid_t domid;
	int rc;

	if (guest_copy_from(v, &domid, arg, sizeof(domid)))
		return -XEN_EFAULT;
	rc = mm_foreign_ok(d, domid);
	if (rc)
		return rc;
	if (cmd == XENMEM_current_reservation)
		return (long)d->mm.tot_pages;
	if (cmd == XENMEM_maximum_reservation)
		return (long)d->mm.max_pages;
	/* XENMEM_maximum_gpfn: what the guest itself wrote */
	max_pfn = READ_ONCE(d->mm.shared_info->arch.max_pfn);
	return max_pfn ? (long)max_pfn - 1 : 0;
}

/* One piece of RAM as large as the reservation may become. */
static long memory_map(struct vcpu *v, uint64_t arg)
{
	struct e820_entry e = {0, v->domain->mm.max_pages << PAGE_SHIFT, 1};
	struct xen_memory_map map;

	if (guest_copy_from(v, &map, arg, sizeof(map)))
		return -XEN_EFAULT;
	if (map.buffer.p && map.nr_entries < 1)
		return -XEN_EINVAL;
	if (map.buffer.p && guest_copy_to(v, (uint64_t)(uintptr_t)map.buffer.p, &e, sizeof(e)))
		return -XEN_EFAULT;
	map.nr_entries = 1;
	return guest_copy_to(v, arg, &map, sizeof(map)) ? -XEN_EFAULT : 0;
}

static long machphys_mapping(struct vcpu *v, uint64_t arg)
{
	struct xen_machphys_mapping map = {
		.v_start = M2P_VIRT,
		.v_end = M2P_VIRT + m2p_bytes(),
		.max_mfn = nr_frames - 1,
	};

	return guest_copy_to(v, arg, &map, sizeof(map)) ? -XEN_EFAULT : 0;
}

/* The M2P is contiguous, so each 2 MiB piece is told by its first frame. */
static long machphys_mfn_list(struct vcpu *v, uint64_t arg)
{
	uint64_t pieces = (m2p_bytes() + (512 << PAGE_SHIFT) - 1) / (512 << PAGE_SHIFT);
	struct xen_machphys_mfn_list list;

	if (guest_copy_from(v, &list, arg, sizeof(list)))
		return -XEN_EFAULT;
	list.nr_extents = 0;
	for (uint64_t i = 0; i < pieces && i < list.max_extents; i++) {
		uint64_t mfn = virt_to_mfn(m2p_page(i * 512)).n;

		if (guest_copy_to(v, (uint64_t)(uintptr_t)list.extent_start.p + i * sizeof(mfn),
				  &mfn, sizeof(mfn)))
			return -XEN_EFAULT;
		list.nr_extents++;
	}
	return guest_copy_to(v, arg, &list, sizeof(list)) ? -XEN_EFAULT : 0;
}

static long memory_op(struct vcpu *v, struct hypercall_args *a)
{
	unsigned cmd = a->arg[0] & MEMOP_CMD_MASK;
	uint64_t start = a->arg[0] >> MEMOP_EXTENT_SHIFT;
	int rc = type_drain(v->domain, true);

	if (rc)
		return rc;
	switch (cmd) {
	case XENMEM_increase_reservation:
	case XENMEM_decrease_reservation:
	case XENMEM_populate_physmap:
		return reservation_op(v, cmd, start, a);
	default:
		break;
	}
	if (start)
		return -XEN_ENOSYS; /* a command number out of range, not one to be continued */
	switch (cmd) {
	case XENMEM_exchange:
		return memory_exchange(v, a->arg[1]);
	case XENMEM_maximum_ram_page:
		return (long)nr_frames;
	case XENMEM_current_reservation:
	case XENMEM_maximum_reservation:
	case XENMEM_maximum_gpfn:
		return query_op(v, cmd, a->arg[1]);
	case XENMEM_memory_map:
		return memory_map(v, a->arg[1]);
	case XENMEM_machphys_mapping:
		return machphys_mapping(v, a->arg[1]);
	case XENMEM_machphys_mfn_list:
		return machphys_mfn_list(v, a->arg[1]);
	case XENMEM_add_to_physmap: /* for translated guests only, which we have none of */
	case XENMEM_add_to_physmap_batch:
	case XENMEM_remove_from_physmap:
		return -XEN_EACCES;
	case XENMEM_machine_memory_map: /* for the privileged */
	case XENMEM_set_memory_map:
	case XENMEM_CLAIM_PAGES:
	case XENMEM_acquire_resource:
		return -XEN_EPERM;
	case XENMEM_get_vnumainfo:
		return -XEN_EOPNOTSUPP;
	default:
		return -XEN_ENOSYS;
	}
}

long do_memory_op(struct vcpu *v, struct hypercall_args *a)
{
	long ret;

	mm_lock(v->domain);
	ret = memory_op(v, a);
	mm_unlock(v->domain);
	return ret;
}
