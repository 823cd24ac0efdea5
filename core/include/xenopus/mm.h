/* SPDX-License-Identifier: MIT */
/*
 * Memory: the frame table, types and reference counts, page-table validation, M2P, reservations,
 * the core's heap, and access to guest memory by virtual address.
 */
#ifndef XENOPUS_MM_H
#define XENOPUS_MM_H

#include "types.h"
#include "cpu.h"
#include "lib.h"
#include "lock.h"

/* Page-table entry bits (Intel SDM vol. 3, 4.5). */
#define PTE_P	 UINT64_C(0x001)
#define PTE_RW	 UINT64_C(0x002)
#define PTE_US	 UINT64_C(0x004)
#define PTE_PWT	 UINT64_C(0x008)
#define PTE_PCD	 UINT64_C(0x010)
#define PTE_A	 UINT64_C(0x020)
#define PTE_D	 UINT64_C(0x040)
#define PTE_PS	 UINT64_C(0x080)
#define PTE_PAT	 UINT64_C(0x080)
#define PTE_G	 UINT64_C(0x100)
#define PTE_AVL	 UINT64_C(0xe00)
#define PTE_NX	 (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

static inline mfn_t pte_mfn(uint64_t e)
{
	return MFN((e & PTE_ADDR) >> PAGE_SHIFT);
}

static inline unsigned pt_index(uint64_t va, unsigned level)
{
	return (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

/* Exclusive frame types. The numbers 1..4 are page-table levels. */
enum frame_type {
	FT_NONE = 0,
	FT_L1 = 1,
	FT_L2 = 2,
	FT_L3 = 3,
	FT_L4 = 4,
	FT_SEGDESC = 5, /* GDT or LDT page */
	FT_WRITABLE = 6,
};

struct frame; /* layout: core/mm/frame.h, for core/mm only; one per machine frame */

#define INVALID_M2P_ENTRY (~UINT64_C(0))
#define MM_DOWN_MAX	  8

/** struct flush_times - TLB flushes counted, and up to which one each physical CPU has come (atomic; core/mm/flush.c). */
struct flush_times {
	uint16_t clock;
	uint16_t flushed[MAX_PCPUS];
};

/**
 * struct domain_mm - a domain's memory. Owned by core/mm.
 * @lock: guards the rest, the domain's frames, and the descriptor tables of its virtual CPUs
 * @tot_pages, @max_pages: frames it has, and may have
 * @first_frame: head of the list of its frames (linked in the frame table), 0: none
 * @down, @nr_down: frames of page tables that are yet to be given up (a preempted operation left
 * them)
 * @dying: in domain_mm_destroy()
 * @shared_info_mfn, @shared_info: made by domain_mm_init()
 * @cpus: physical CPUs that have a virtual CPU of it loaded, and so may remember translations (atomic)
 * @flushes: on its behalf
 */
struct domain_mm {
	struct spinlock lock;
	uint64_t tot_pages, max_pages;
	uint32_t first_frame;
	uint32_t down[MM_DOWN_MAX];
	unsigned nr_down;
	bool dying;
	mfn_t shared_info_mfn;
	struct shared_info *shared_info;
	uint64_t cpus;
	struct flush_times flushes;
	uint64_t vm_assist;	  /* VMASST_TYPE_* bits (atomic) */
	uint64_t table_generation; /* of its tables above L1: counts what paths there are no more (atomic) */
	uint64_t pt_updates;	  /* statistics: page-table entries written */
	uint64_t ptwr_emulations; /* statistics: emulated direct writes */
};

/**
 * struct vcpu_mm - where the L1 tables of guest addresses are that were looked up lately (guest_access.c). Used by the physical
 * CPU that works for the virtual CPU, without a lock.
 * @path: the one for a region of 2 MiB is at the region's number modulo VCPU_PATHS
 */
#define VCPU_PATHS 16u

struct vcpu_mm {
	struct l1_path {
		uint64_t generation;  /* of the domain's tables when it was found */
		uint64_t region;      /* (address >> 21) + 1, 0: nothing here */
		uint64_t root;	      /* CR3 */
		const uint64_t *l1;
		uint64_t rights;      /* PTE_P, PTE_US and PTE_RW set at each level above; PTE_NX set at one */
		uint64_t pad[3];
	} path[VCPU_PATHS];
};

/* ---- start ---- */
/**
 * mm_init() - frame table, heap and M2P out of the platform's usable frames, which must be zero
 * unless plat_info()->memory_dirty says otherwise. Frames with consecutive numbers must be adjacent
 * in the core's view (plat_frame_ptr()). 0 or -errno.
 */
int mm_init(void);
/**
 * mm_add_frames() - the home gives frames @first .. @end - 1, which plat_frame_usable() kept from
 * mm_init(), after all. They may hold anything.
 */
void mm_add_frames(uint64_t first, uint64_t end);
/** mm_free_frames() - how many frames nobody has. */
uint64_t mm_free_frames(void);

/* ---- the core's heap (never guest visible) ---- */
void *heap_alloc(size_t size); /* zeroed, 16-byte aligned, NULL when out of memory */
void heap_free(void *p);
void *heap_alloc_pages(unsigned n); /* n contiguous zeroed frames owned by the core; NULL */
void heap_free_pages(void *p, unsigned n);
mfn_t virt_to_mfn(const void *p); /* of a pointer from heap_alloc_pages/plat_frame_ptr */

/* ---- frames of domains ---- */
int domain_mm_init(struct domain *d, uint64_t max_pages);
/** domain_mm_destroy() - give up every frame, mapping and type reference of dead @d. */
void domain_mm_destroy(struct domain *d);
/** mm_alloc_domain_frame() - a zeroed free frame for @d (counts tot_pages); INVALID_MFN + no change
 * if none. */
mfn_t mm_alloc_domain_frame(struct domain *d);
/** mm_alloc_domain_frames() - the same for as many side by side as there are, up to @max: how many, from *@first on. 0: none,
 * and no change. */
unsigned mm_alloc_domain_frames(struct domain *d, uint64_t max, mfn_t *first);
/** mm_share_xen_frame() - make a heap page mappable by @d (shared_info, ...), writable or not. */
void mm_share_xen_frame(struct domain *d, void *page, bool writable);
/** mm_xen_frame_mapped() - does anybody have @page, which was shared with @d, in its page tables, or hold it otherwise? */
bool mm_xen_frame_mapped(struct domain *d, void *page);
struct domain *mm_frame_owner(mfn_t mfn);
/** mm_reservation() - how many frames @d has, and may have. mm_set_max() - how many it may have from now on. */
void mm_reservation(struct domain *d, uint64_t *pages, uint64_t *max);
void mm_set_max(struct domain *d, uint64_t max);
/** mm_each_frame() - every frame of @d that it got as its memory, and where it keeps it by the M2P. */
void mm_each_frame(struct domain *d, void (*fn)(void *opaque, mfn_t mfn, uint64_t pfn), void *opaque);

/** mm_get_frame() - take a general reference when @d owns @mfn. mm_put_frame() drops it. */
bool mm_get_frame(mfn_t mfn, struct domain *d);
void mm_put_frame(mfn_t mfn);
/** mm_get_frame_type() - general + type reference (validating page tables). 0, or -errno. */
int mm_get_frame_type(mfn_t mfn, struct domain *d, enum frame_type type);
void mm_put_frame_type(mfn_t mfn);

/** mm_map_shared() - a page the core keeps writing for a guest (vcpu_info, runstate, ring): owned
 * by @d, held with a writable type reference. NULL when refused. mm_unmap_shared() undoes it. */
void *mm_map_shared(struct domain *d, mfn_t mfn);
void mm_unmap_shared(void *page);

/** m2p_set() / m2p_get() - the machine-to-physical table. */
void m2p_set(mfn_t mfn, uint64_t pfn);
uint64_t m2p_get(mfn_t mfn);

/** m2p_peek() - @size bytes (up to 8) at byte @offset of the table, as a guest reads them; false: beyond its pages. */
bool m2p_peek(uint64_t offset, unsigned size, uint64_t *value);

/* ---- page tables ---- */

/** mm_pin_table() - validate and pin, as MMUEXT_PIN_Ln_TABLE (the domain builder's first L4). 0 or
 * -errno. */
int mm_pin_table(struct domain *d, mfn_t mfn, unsigned level);
int mm_unpin_table(struct domain *d, mfn_t mfn);
/**
 * mm_set_kernel_base() / mm_set_user_base() - NEW_BASEPTR / NEW_USER_BASEPTR (mfn 0: none). 0, -errno, or -XEN_ERESTART
 * while a guest's call is to be continued: it takes validating all tables below.
 */
int mm_set_kernel_base(struct vcpu *v, mfn_t mfn);
int mm_set_user_base(struct vcpu *v, mfn_t mfn);
/** mm_drop_bases() - a virtual CPU goes away: release its base-pointer references. */
void mm_drop_bases(struct vcpu *v);

/** mm_ptwr_emulate() - a write fault of the guest kernel at @va on a present read-only mapping of a
 * page table: perform it (decode, validate, store). True when handled: the registers are advanced, or as they were
 * when there is more to do than at one go, and the guest will fault again. */
bool mm_ptwr_emulate(struct vcpu *v, uint64_t va, uint32_t error);

/** mm_walk() - the leaf entry that maps @va in v's current tables; 0 when not present. *@level_out
 * (may be NULL) is the level of the table where the walk ended. */
uint64_t mm_walk(struct vcpu *v, uint64_t va, unsigned *level_out);

/* ---- guest memory by virtual address, as the guest (ring 3) could reach it ---- */

/**
 * guest_reach() / guest_reach_write() - the core's address of the @n bytes at @va for reading or writing, NULL when the guest
 * could not do that or when they are in two pages. Use it at once: with no lock taken, no hypercall performed, nobody waited
 * for in between. The guest may change the bytes under our eyes. guest_written() follows a store.
 */
const void *guest_reach(struct vcpu *v, uint64_t va, size_t n);
void *guest_reach_write(struct vcpu *v, uint64_t va, size_t n);
void guest_written(const void *at);

/**
 * guest_copy_from() / guest_copy_to() - copy between the core and guest virtual memory of @v's
 * current page tables, honouring present/user/writable bits. Returns the number of bytes NOT copied
 * (0: all).
 * *@fault_va (may be NULL) is the first address that failed; error code bits as #PF in *@pf_error.
 */
size_t guest_copy_from_long(struct vcpu *v, void *dst, uint64_t va, size_t n);
size_t guest_copy_to_long(struct vcpu *v, uint64_t va, const void *src, size_t n);

/*
 * Bytes from or to where a guest may write, too. Only the guest sees in what order its virtual CPUs come there (a kernel
 * stack wanders from one to the other), so ThreadSanitizer would call it a race: it is not shown these copies.
 */
static inline __attribute__((always_inline)) void guest_bytes(void *dst, const void *src, size_t n)
{
#ifdef __SANITIZE_THREAD__
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
#else
	__builtin_memcpy(dst, src, n);
#endif
}

/** guest_clear() - the same for zeroes. */
static inline void guest_clear(void *dst, size_t n)
{
#ifdef __SANITIZE_THREAD__
	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(0) : "memory");
#else
	__builtin_memset(dst, 0, n);
#endif
}

/* Most copies are of one small structure, in one page: the compiler writes them out, with one look at the tables. */
#define GUEST_COPY_SMALL 64u

static inline size_t guest_copy_from(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	if (__builtin_constant_p(n) && n <= GUEST_COPY_SMALL) {
		const void *at = guest_reach(v, va, n);

		if (likely(at)) {
			guest_bytes(dst, at, n);
			/* What is checked and used is the copy: it must not be read from the guest again. */
			__asm__ volatile("" : : : "memory");
			return 0;
		}
	}
	return guest_copy_from_long(v, dst, va, n);
}

static inline size_t guest_copy_to(struct vcpu *v, uint64_t va, const void *src, size_t n)
{
	if (__builtin_constant_p(n) && n <= GUEST_COPY_SMALL) {
		void *at = guest_reach_write(v, va, n);

		if (likely(at)) {
			guest_bytes(at, src, n);
			__asm__ volatile("" : : : "memory");
			guest_written(at);
			return 0;
		}
	}
	return guest_copy_to_long(v, va, src, n);
}

size_t guest_copy_to_fault(struct vcpu *v, uint64_t va, const void *src, size_t n,
			   uint64_t *fault_va, uint32_t *pf_error);
size_t guest_fetch(struct vcpu *v, void *dst, uint64_t va, size_t n, uint64_t *fault_va,
		   uint32_t *pf_error);

/** guest_copy_from_any() - guest_copy_from() for people who look at a virtual CPU that another physical CPU may run. */
size_t guest_copy_from_any(struct vcpu *v, void *dst, uint64_t va, size_t n);

/* ---- physical CPUs ---- */

/**
 * mm_domain_on_cpu() / mm_domain_off_cpu() - a virtual CPU of @d is about to be loaded on this physical CPU / none
 * is any more, and the home has forgotten its translations.
 */
void mm_domain_on_cpu(struct domain *d);
void mm_domain_off_cpu(struct domain *d);

/* ---- audits ---- */

/** mm_audit() - check every invariant of the frame table, while the other physical CPUs stand still; no lock
 * is held. Returns the number of violations (logged). */
unsigned mm_audit(void);

/**
 * mm_audit_tick() - hypercalls call it before they begin: every @mm_audit_every of them (0: never) there
 * is an audit, and a violation stops the machine. For tests; each audit looks at all of the memory.
 */
extern unsigned mm_audit_every;
void mm_audit_tick(void);

/* ---- descriptors ---- */
int mm_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned entries);
/**
 * mm_map_ldt_page() - LDT page @n (0..15) of @v is needed: take the guest's page at ldt_base + @n *
 * 4096 as FT_SEGDESC into v->arch.ldt_frames[@n]. MMUEXT_SET_LDT does this for every page it finds
 * mapped; pages that were not mapped then, or whose mapping changed, are taken when the hardware
 * misses them. False: refused.
 */
bool mm_map_ldt_page(struct vcpu *v, unsigned n);
/**
 * mm_ldt_fault() - the same when the hardware has missed it, in no more time than a hypercall may take. True: taken, or
 * there is more to do, which the guest's next fault goes on with.
 */
bool mm_ldt_fault(struct vcpu *v, unsigned n);
/** mm_set_ldt() - MMUEXT_SET_LDT: the LDT at guest virtual @base, on the kernel tables of now. 0 or
 * -errno. */
int mm_set_ldt(struct vcpu *v, uint64_t base, unsigned entries);
/**
 * mm_descriptors_refresh() - another physical CPU has changed descriptor tables of @v, which this one works for:
 * tell the home. Cheap when not.
 */
void mm_descriptors_refresh(struct vcpu *v);
/** mm_drop_descriptors() - @v has neither GDT nor LDT any more. */
void mm_drop_descriptors(struct vcpu *v);
/**
 * mm_check_descriptor() - may a guest have descriptor *@desc? Fixes up the privilege level of code
 * and data segments to 3; gates and system segments are refused.
 */
bool mm_check_descriptor(uint64_t *desc);

#endif
