/* SPDX-License-Identifier: MIT */
/*
 * The domain builder against xen/xen.h's "Start-of-day memory layout": the plan for many
 * configurations against a model, a whole start of day as its guest would see it, and every refusal
 * with nothing left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../core/control/builder.h"
#include "../../core/mm/frame.h"
#include "testplat.h"
#include "xenopus/core.h"
#include "xenopus/event.h"

#define VIRT_BASE  UINT64_C(0xffffffff80000000)
#define FRAMES     16384u /* 64 MiB */
#define TEXT_BYTES 10000u
#define INITRD     20000u

static uint8_t text[TEXT_BYTES], initrd[INITRD];
static char error[256];
static struct kernel_segment segments[3];
static struct kernel_image kernel;
static struct domain_config config;

/*
 * A kernel of three segments at 1 MiB: code, data that overlaps it with its zeroes, and zeroes
 * alone.
 */
static void plain_config(void)
{
	for (unsigned i = 0; i < TEXT_BYTES; i++)
		text[i] = (uint8_t)(i * 7 + 1);
	for (unsigned i = 0; i < INITRD; i++)
		initrd[i] = (uint8_t)(i * 13 + 5);
	segments[0] = (struct kernel_segment){ VIRT_BASE + 0x100000, text, TEXT_BYTES, TEXT_BYTES };
	segments[1] = (struct kernel_segment){ VIRT_BASE + 0x101000, text + 5, 100, 200 };
	segments[2] = (struct kernel_segment){ VIRT_BASE + 0x110123, NULL, 0, 5000 };
	kernel = (struct kernel_image){
		.segments = segments,
		.nr_segments = 3,
		.entry = VIRT_BASE + 0x100010,
		.virt_base = VIRT_BASE,
		.vstart = VIRT_BASE + 0x100000,
		.vend = VIRT_BASE + 0x110123 + 5000,
	};
	config = (struct domain_config){
		.name = "test",
		.memory_pages = 4096,
		.vcpus = 2,
		.cmdline = "root=none quiet",
		.kernel = &kernel,
		.error = error,
		.error_size = sizeof(error),
	};
	error[0] = 0;
}

static uint64_t free_before;

static int setup(void **state)
{
	testplat_start(FRAMES);
	assert_int_equal(core_init(), 0);
	plain_config();
	free_before = buddy_free_frames();
	return 0;
}

static int teardown(void **state)
{
	while (!list_empty(&domain_list))
		domain_destroy(list_entry(domain_list.next, struct domain, link));
	testplat_stop();
	return 0;
}

/* The heap may keep one page of each of its 14 cell sizes. */
static void assert_nothing_left(void)
{
	assert_true(list_empty(&domain_list));
	assert_in_range(free_before - buddy_free_frames(), 0, 14);
	assert_int_equal(mm_audit(), 0);
}

/* ---- the plan ---- */

/*
 * The tables that map pages @first .. @first + @n - 1 (numbers of 4 KiB), counted by walking every
 * page.
 */
static uint64_t model_tables(uint64_t first, uint64_t n, uint64_t seen_first, uint64_t seen_n)
{
	uint64_t count = 0;

	for (unsigned shift = 9; shift <= 27; shift += 9) {
		uint64_t last = ~UINT64_C(0);

		for (uint64_t page = first; page < first + n; page++) {
			uint64_t t = page >> shift;

			if (t == last)
				continue;
			last = t;
			if (!seen_n || t < seen_first >> shift ||
			    t > (seen_first + seen_n - 1) >> shift)
				count++;
		}
	}
	return count;
}

static void follows(uint64_t *next, struct pfn_range r)
{
	assert_int_equal(r.first, *next);
	*next += r.nr;
}

static void check_plan(const struct start_layout *l)
{
	uint64_t next = (kernel.vend - kernel.virt_base + PAGE_SIZE - 1) / PAGE_SIZE;
	uint64_t base = kernel.virt_base >> 12 & 0xfffffffff, end;

	if (l->initrd.nr && !l->initrd_unmapped)
		follows(&next, l->initrd);
	if (!l->p2m_elsewhere)
		follows(&next, l->p2m);
	assert_int_equal(l->start_info, next);
	assert_int_equal(l->store, next + 1);
	assert_int_equal(l->console, next + 2);
	next += 3;
	follows(&next, l->tables);
	assert_int_equal(l->stack, next);
	end = layout_va(l, l->mapped);
	assert_int_equal(end % (4 << 20), 0);
	assert_true(end - layout_va(l, l->stack + 1) >= 512 << 10);
	/* One 4 MiB more than needed at most, since tables count themselves. */
	assert_true(end - layout_va(l, l->stack + 1) < (512 << 10) + (8 << 20));
	assert_int_equal(l->tables.nr, 1 + model_tables(base, l->mapped, 0, 0));
	next = l->mapped;
	if (l->initrd_unmapped)
		follows(&next, l->initrd);
	if (l->p2m_elsewhere) {
		follows(&next, l->p2m);
		follows(&next, l->p2m_tables);
		assert_int_equal(l->p2m_tables.nr, model_tables(l->p2m_va >> 12 & 0xfffffffff,
								l->p2m.nr, base, l->mapped));
	}
	assert_int_equal(l->used, next);
	assert_true(l->used <= l->nr_pages);
	assert_int_equal(l->p2m.nr, (l->nr_pages * 8 + PAGE_SIZE - 1) / PAGE_SIZE);
}

static void test_plan_random(void **state)
{
	static const uint64_t bases[] = {
		VIRT_BASE,
		0,
		0x400000,
		0x7fe00000,
		UINT64_C(0xffffffff40000000),
		UINT64_C(0xffff880000000000),
		UINT64_C(0x7fffc0000000),
		UINT64_C(0xffffffff7fff0000),
		0x1000,
	};
	static const uint64_t p2ms[] = {0,	  UINT64_C(0x8000000000),	0x100000,
					0x3ff000, UINT64_C(0xffffc90000000000), 0x1234};
	unsigned planned = 0;

	tp.info.frames = UINT64_C(1) << 24;
	srand(1);
	for (unsigned i = 0; i < 3000; i++) {
		struct start_layout l;

		plain_config();
		kernel.virt_base = bases[rand() % ARRAY_SIZE(bases)];
		kernel.vstart = kernel.virt_base + (unsigned)rand() % 0x2000000;
		kernel.vend = kernel.vstart + 1 + (unsigned)rand() % 0x3000000;
		kernel.entry = kernel.vstart;
		segments[0].va = kernel.vstart;
		segments[0].memsz = segments[0].filesz = 1;
		kernel.nr_segments = 1;
		kernel.init_p2m = p2ms[rand() % ARRAY_SIZE(p2ms)];
		kernel.mod_start_pfn = rand() & 1;
		config.initrd = initrd;
		config.initrd_size = rand() & 1 ? (unsigned)rand() % 0x8000000 : 0;
		config.memory_pages = 1 + (unsigned)rand() % 200000;
		if (start_layout_plan(&config, &l)) {
			assert_true(error[0] && !strchr(error, '\n'));
			continue;
		}
		check_plan(&l);
		planned++;
	}
	tp.info.frames = FRAMES;
	assert_in_range(planned, 800, 2900);
}

/* ---- a start of day, seen as its guest sees it ---- */

/* guest() - what the guest reads at @va through its page tables; *@pte its leaf entry. */
static void *guest(struct domain *d, uint64_t va, uint64_t *pte)
{
	uint64_t e = mm_walk(d->vcpu[0], va, NULL);

	if (pte)
		*pte = e;
	return e & PTE_P ? (uint8_t *)plat_frame_ptr(pte_mfn(e)) + (va & (PAGE_SIZE - 1)) : NULL;
}

static void guest_equal(struct domain *d, uint64_t va, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(*(uint8_t *)guest(d, va + i, NULL), want ? want[i] : 0);
}

static struct start_info *guest_start_info(struct domain *d)
{
	return guest(d, d->vcpu[0]->gate.regs.rsi, NULL);
}

static void check_memory(struct domain *d, const struct start_info *si)
{
	uint64_t end = (d->vcpu[0]->gate.regs.rsp + (512 << 10) + (4 << 20) - 1) &
		       ~(uint64_t)((4 << 20) - 1),
		 pte;
	const uint64_t *p2m = guest(d, si->mfn_list, &pte);

	assert_non_null(p2m);
	assert_true(pte & PTE_RW);
	for (uint64_t pfn = 0; pfn < si->nr_pages; pfn++) {
		mfn_t mfn = MFN(*(uint64_t *)guest(d, si->mfn_list + pfn * 8, NULL));

		assert_ptr_equal(mm_frame_owner(mfn), d);
		assert_int_equal(m2p_get(mfn), pfn);
	}
	assert_int_equal(d->mm.tot_pages, si->nr_pages);
	for (uint64_t va = VIRT_BASE; va < end; va += PAGE_SIZE) {
		bool table = va >= si->pt_base && va < si->pt_base + si->nr_pt_frames * PAGE_SIZE;

		assert_non_null(guest(d, va, &pte));
		assert_int_equal(pte_mfn(pte).n,
				 *(uint64_t *)guest(
					 d, si->mfn_list + (va - VIRT_BASE) / PAGE_SIZE * 8, NULL));
		assert_int_equal(!(pte & PTE_RW), table);
	}
	assert_null(guest(d, end, NULL));
}

static void check_start(struct domain *d)
{
	struct vcpu *v = d->vcpu[0];
	struct start_info *si = guest_start_info(d);
	uint64_t pte;

	assert_string_equal(si->magic, "xen-3.0-x86_64");
	assert_int_equal(si->nr_pages, config.memory_pages);
	assert_int_equal(si->flags & (SIF_PRIVILEGED | SIF_INITDOMAIN), 0);
	assert_int_equal(si->shared_info, d->mm.shared_info_mfn.n << 12);
	assert_string_equal((char *)si->cmd_line, config.cmdline ? config.cmdline : "");
	assert_int_equal(v->gate.regs.rip, kernel.entry);
	assert_int_equal(v->gate.regs.rsp, si->pt_base + (si->nr_pt_frames + 1) * PAGE_SIZE);
	assert_int_equal(v->gate.regs.cs, FLAT_KERNEL_CS);
	assert_int_equal(v->gate.regs.ss, FLAT_KERNEL_SS);
	assert_true(v->gate.regs.rflags & 0x200);
	assert_true(gate_kernel_mode(&v->gate));
	assert_int_equal(d->mm.shared_info->vcpu_info[0].evtchn_upcall_mask, 1);
	assert_non_null(guest(d, si->pt_base, &pte));
	assert_int_equal(v->gate.cr3_kernel, pte_mfn(pte).n << 12);
	assert_true(si->store_evtchn > 0 && si->console.domU.evtchn > 0);
	assert_int_not_equal(si->store_evtchn, si->console.domU.evtchn);
	assert_ptr_equal(mm_frame_owner(MFN(si->store_mfn)), d);
	assert_ptr_equal(mm_frame_owner(MFN(si->console.domU.mfn)), d);
	/* Elements of the region in the promised order, one page each. */
	assert_int_equal(m2p_get(MFN(si->store_mfn)),
			 (v->gate.regs.rsi - VIRT_BASE) / PAGE_SIZE + 1);
	assert_int_equal(m2p_get(MFN(si->console.domU.mfn)),
			 (v->gate.regs.rsi - VIRT_BASE) / PAGE_SIZE + 2);
	assert_int_equal(si->pt_base, v->gate.regs.rsi + 3 * PAGE_SIZE);
	check_memory(d, si);
	assert_int_equal(mm_audit(), 0);
}

static void check_kernel(struct domain *d)
{
	guest_equal(d, VIRT_BASE, NULL, 64);
	guest_equal(d, VIRT_BASE + 0x100000, text, 0x1000);
	guest_equal(d, VIRT_BASE + 0x101000, text + 5, 100); /* the later segment wins ... */
	guest_equal(d, VIRT_BASE + 0x101000 + 100, NULL, 100); /* ... with its zeroes */
	guest_equal(d, VIRT_BASE + 0x101000 + 200, text + 0x1000 + 200, TEXT_BYTES - 0x1000 - 200);
	guest_equal(d, VIRT_BASE + 0x110123, NULL, 5000);
}

static void test_plain(void **state)
{
	struct domain *d;

	assert_int_equal(domain_check(&config), 0);
	d = domain_create(&config);
	assert_non_null(d);
	assert_int_equal(d->max_vcpus, 2);
	assert_non_null(d->vcpu[1]);
	assert_false(d->vcpu[1]->initialised);
	assert_true(d->vcpu[0]->initialised);
	assert_int_equal(d->vcpu[0]->sched.pause_flags, VPF_PAUSED);
	assert_int_equal(d->vcpu[1]->sched.pause_flags, VPF_PAUSED | VPF_DOWN);
	check_start(d);
	check_kernel(d);
	assert_int_equal(guest_start_info(d)->mod_start, 0);
	assert_int_equal(guest_start_info(d)->mod_len, 0);
	assert_int_equal(guest_start_info(d)->nr_p2m_frames, 0);
	domain_destroy(d);
	assert_nothing_left();
}

static void test_initrd_mapped(void **state)
{
	struct domain *d;
	struct start_info *si;

	config.initrd = initrd;
	config.initrd_size = INITRD;
	d = domain_create(&config);
	assert_non_null(d);
	check_start(d);
	si = guest_start_info(d);
	assert_int_equal(si->flags, 0);
	assert_int_equal(si->mod_start, (kernel.vend + PAGE_SIZE - 1) & PAGE_MASK);
	assert_int_equal(si->mod_len, INITRD);
	guest_equal(d, si->mod_start, initrd, INITRD);
	domain_destroy(d);
	assert_nothing_left();
}

/* As Debian's kernel has it: the initrd by frame number, the P2M list far below. */
static void test_elsewhere(void **state)
{
	struct domain *d;
	struct start_info *si;

	config.initrd = initrd;
	config.initrd_size = INITRD;
	kernel.mod_start_pfn = true;
	kernel.init_p2m = UINT64_C(0x8000000000);
	d = domain_create(&config);
	assert_non_null(d);
	check_start(d);
	si = guest_start_info(d);
	assert_int_equal(si->flags, SIF_MOD_START_PFN);
	assert_int_equal(si->mod_len, INITRD);
	for (unsigned i = 0; i < INITRD; i++) {
		/* The list's own pages need not be neighbours in the machine. */
		const uint64_t *mfn = guest(d, si->mfn_list + (si->mod_start + i / PAGE_SIZE) * 8, NULL);
		const uint8_t *page = plat_frame_ptr(MFN(*mfn));

		assert_int_equal(page[i % PAGE_SIZE], initrd[i]);
	}
	assert_int_equal(si->mfn_list, UINT64_C(0x8000000000));
	/* The list, then an L1, an L2 and an L3 of its own. */
	assert_int_equal(si->nr_p2m_frames, config.memory_pages / 512 + 3);
	assert_int_equal(m2p_get(pte_mfn(mm_walk(d->vcpu[0], si->mfn_list, NULL))),
			 si->first_p2m_pfn);
	assert_null(guest(d, si->mfn_list + config.memory_pages * 8, NULL));
	domain_destroy(d);
	assert_nothing_left();
}

static void test_hypercall_page(void **state)
{
	struct domain *d;
	const uint8_t *page;

	kernel.hypercall_page = VIRT_BASE + 0x105000;
	kernel.vend = VIRT_BASE + 0x120000;
	d = domain_create(&config);
	assert_non_null(d);
	page = guest(d, kernel.hypercall_page, NULL);
	for (unsigned nr = 0; nr < 128; nr++) {
		const uint8_t *slot = page + nr * 32;
		static const uint8_t end[] = {0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3},
				     iret_end[] = {0x0f, 0x05};
		static const uint8_t start[] = {0x51, 0x41, 0x53, 0xb8},
				     iret_start[] = {0x51, 0x41, 0x53, 0x50, 0xb8};
		bool iret = nr == __HYPERVISOR_iret;
		unsigned at = iret ? sizeof(iret_start) : sizeof(start);
		uint32_t imm;

		assert_memory_equal(slot, iret ? iret_start : start, at);
		memcpy(&imm, slot + at, sizeof(imm));
		assert_int_equal(imm, nr);
		assert_memory_equal(slot + at + 4, iret ? iret_end : end,
				    iret ? sizeof(iret_end) : sizeof(end));
	}
	domain_destroy(d);
	assert_nothing_left();
}

static void test_domains(void **state)
{
	struct domain *a = domain_create(&config), *b = domain_create(&config), *c;

	assert_int_equal(a->id, 1);
	assert_int_equal(b->id, 2);
	domain_destroy(a);
	c = domain_create(&config);
	assert_int_equal(c->id, 1);
	check_start(b);
	check_start(c);
	domain_destroy(b);
	domain_destroy(c);
	assert_nothing_left();
}

/* ---- refusals ---- */

static void refused(const char *part)
{
	char foreseen[sizeof(error)];
	int rc;

	error[0] = 0;
	rc = domain_check(&config);
	memcpy(foreseen, error, sizeof(error));
	error[0] = 0;
	assert_null(domain_create(&config));
	if (!strstr(error, part))
		fail_msg("'%s' does not say '%s'", error, part);
	/* All but the lack of memory is known beforehand, in the same words. */
	if (rc)
		assert_string_equal(foreseen, error);
	else
		assert_non_null(strstr(error, "memory"));
	assert_null(strchr(error, '\n'));
	assert_nothing_left();
	plain_config();
}

static void refuse_all(void)
{
	config.memory_pages = 512;
	refused("too small for kernel and initrd: give at least 5 MiB");
	config.memory_pages = 0;
	refused("memory of 0 MiB is too small");
	config.memory_pages = FRAMES;
	refused("more than this machine's 64 MiB");
	config.memory_pages = UINT64_MAX / 2;
	refused("more than this machine's");
	config.memory_pages = FRAMES - 16;
	refused("not enough free memory");
	config.initrd = initrd;
	config.initrd_size = UINT64_MAX;
	refused("too small for an initrd");
	config.initrd = initrd;
	config.initrd_size = (4096 - 100) * PAGE_SIZE;
	refused("too small for kernel and initrd");
	config.initrd_size = 10;
	refused("initrd has a size but no data");
	config.vcpus = 0;
	refused("1 to 64");
	config.vcpus = 65;
	refused("1 to 64");
	config.max_pages = 100;
	refused("its own maximum");
	config.kernel = NULL;
	refused("no usable extent");
	kernel.nr_segments = 0;
	refused("no usable extent");
	kernel.vend = kernel.vstart;
	refused("no usable extent");
	kernel.vend = UINT64_C(0x1000);
	refused("no usable extent");
	kernel.virt_base = UINT64_C(0xffff800000000000);
	refused("no usable extent");
	kernel.virt_base = VIRT_BASE + 1;
	refused("not a page boundary");
	kernel.entry = kernel.vend;
	refused("entry point");
	kernel.entry = 0;
	refused("entry point");
	kernel.hypercall_page = VIRT_BASE + 0x100800;
	refused("HYPERCALL_PAGE");
	kernel.hypercall_page = kernel.vend & PAGE_MASK;
	refused("HYPERCALL_PAGE");
	segments[1].va = VIRT_BASE;
	refused("segment 1");
	segments[1].memsz = UINT64_MAX;
	refused("segment 1");
	segments[2].filesz = 1;
	refused("segment 2");
	segments[0].filesz = segments[0].memsz + 1;
	refused("segment 0");
}

static void test_refusals(void **state)
{
	uint64_t settled;

	refuse_all();
	settled = buddy_free_frames();
	refuse_all();
	refuse_all();
	assert_int_equal(buddy_free_frames(), settled);
}

static void test_long_cmdline(void **state)
{
	char line[2000];

	memset(line, 'x', sizeof(line));
	line[MAX_GUEST_CMDLINE] = 0;
	config.cmdline = line;
	refused("1024 characters long");
	line[MAX_GUEST_CMDLINE - 1] = 0;
	config.cmdline = line;
	domain_destroy(domain_create(&config));
	assert_nothing_left();
	config.cmdline = NULL;
	domain_destroy(domain_create(&config));
	assert_nothing_left();
}

static void test_p2m_over_kernel(void **state)
{
	struct domain *d;

	kernel.init_p2m = VIRT_BASE - PAGE_SIZE;
	refused("INIT_P2M");
	kernel.init_p2m = VIRT_BASE - 8 * PAGE_SIZE; /* 4096 pages: 8 pages of list, just below */
	d = domain_create(&config);
	assert_non_null(d);
	check_start(d);
	assert_int_equal(guest_start_info(d)->mfn_list, VIRT_BASE - 8 * PAGE_SIZE);
	domain_destroy(d);
	kernel.init_p2m = VIRT_BASE + 0x10000000; /* ignored, as the Xen tools do */
	d = domain_create(&config);
	assert_true(guest_start_info(d)->mfn_list < d->vcpu[0]->gate.regs.rsi);
	domain_destroy(d);
	assert_nothing_left();
}

/* The platform refuses a virtual CPU: the domain is taken apart again. */
static void test_vcpu_fails(void **state)
{
	tp.vcpu_init_error = -XEN_ENOMEM;
	refused("no room for 2 more virtual CPUs");
	domain_destroy(domain_create(&config));
	assert_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plan_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_initrd_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hypercall_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_cmdline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_p2m_over_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vcpu_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
