/* SPDX-License-Identifier: MIT */
/*
 * Hypercall dispatch: numbers, registers, refusals, continuation, statistics; multicalls; and the
 * small hypercalls of core/hypercall and core/grant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "smallworld.h"
#include "../../core/mm/frame.h"
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/version.h>

#define RIP UINT64_C(0xffffffff81000002)

static struct domain *d;
static struct vcpu *v;

static int start(void **state)
{
	smallworld_start();
	d = sw_domain(1);
	v = d->vcpu[0];
	sw_run(v);
	v->gate.vcpu_info->evtchn_upcall_mask = 1;
	testplat_clear();
	return 0;
}

static int stop(void **state)
{
	smallworld_stop();
	return 0;
}

/* SYSCALL with these registers; the result as the guest sees it. */
static long hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct cpu_user_regs *r = &v->gate.regs;

	r->rax = nr;
	r->rdi = a0;
	r->rsi = a1;
	r->rdx = a2;
	r->rip = RIP;
	hypercall_dispatch(v);
	return (long)r->rax;
}

static void dispatch(void **state)
{
	assert_int_equal(hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0), 4 << 16 | 17);
	assert_int_equal(v->gate.regs.rip, RIP);
	assert_int_equal(d->vcpu[0]->stats.hypercall[__HYPERVISOR_xen_version].count, 1);
	assert_string_equal(hypercall_name(__HYPERVISOR_mmu_update), "mmu_update");
	assert_null(hypercall_name(63));
	assert_null(hypercall_name(100000));
}

static void refusals(void **state)
{
	static const struct {
		unsigned nr;
		long result;
	} refused[] = {
		{ __HYPERVISOR_platform_op, -XEN_EPERM },
		{ __HYPERVISOR_domctl, -XEN_EPERM },
		{ __HYPERVISOR_sysctl, -XEN_EPERM },
		{ __HYPERVISOR_kexec_op, -XEN_EPERM },
		{ __HYPERVISOR_xsm_op, -XEN_ENOSYS },
		{ __HYPERVISOR_tmem_op, -XEN_ENOSYS },
		{ __HYPERVISOR_hvm_op, -XEN_EINVAL },
		{ __HYPERVISOR_xenpmu_op, -XEN_EOPNOTSUPP },
		{ 11, -XEN_ENOSYS },
		{ 47, -XEN_ENOSYS },
		{ 63, -XEN_ENOSYS },
		{ 64, -XEN_ENOSYS },
		{ ~0u, -XEN_ENOSYS },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(hypercall(refused[i].nr, 0, 0, 0), refused[i].result);
	assert_int_equal(hypercall(UINT64_C(1) << 32 | __HYPERVISOR_xen_version, 0, 0, 0),
			 -XEN_ENOSYS);
	assert_int_equal(d->state, DOM_RUNNING);
}

static void unknown_is_logged_with_restraint(void **state)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(hypercall(1000 + i, 0, 0, 0), -XEN_ENOSYS);
	for (size_t i = 0; i < tp.log_len; i++)
		lines += tp.log[i] == '\n';
	assert_in_range(lines, 1, 100);
	assert_non_null(strstr(tp.log, "unknown hypercall 1000"));
}

/* ---- multicalls ---- */

static struct multicall_entry *entries(void)
{
	return sw_page(d, 2);
}

#define ENTRIES_VA (SW_VA + 2 * PAGE_SIZE)

static void multicall(void **state)
{
	struct multicall_entry *e = entries();

	memset(e, 0, 4 * sizeof(*e));
	e[0].op = __HYPERVISOR_xen_version;
	e[0].args[0] = XENVER_version;
	e[1].op = 1000;
	e[2].op = __HYPERVISOR_xen_version;
	e[2].args[0] = XENVER_pagesize;
	assert_int_equal(hypercall(__HYPERVISOR_multicall, ENTRIES_VA, 3, 0), 0);
	assert_int_equal(e[0].result, 4 << 16 | 17);
	assert_int_equal((long)e[1].result, -XEN_ENOSYS);
	assert_int_equal(e[2].result, 4096);
	assert_int_equal(e[3].result, 0);
	assert_int_equal(d->vcpu[0]->stats.hypercall[__HYPERVISOR_xen_version].count, 2);
	assert_int_equal(d->vcpu[0]->stats.hypercall[__HYPERVISOR_multicall].count, 1);
	assert_int_equal(hypercall(__HYPERVISOR_multicall, 0, 0, 0), 0);
}

static void multicall_refuses(void **state)
{
	struct multicall_entry *e = entries();

	memset(e, 0, 3 * sizeof(*e));
	e[0].op = __HYPERVISOR_multicall;
	e[0].args[0] = ENTRIES_VA;
	e[0].args[1] = 1;
	e[1].op = __HYPERVISOR_set_debugreg;
	e[1].args[0] = 9;
	e[2].op = __HYPERVISOR_xen_version;
	assert_int_equal(hypercall(__HYPERVISOR_multicall, ENTRIES_VA, 3, 0), 0);
	assert_int_equal((long)e[0].result, -XEN_EINVAL);
	assert_int_equal((long)e[1].result, -XEN_ENODEV);
	assert_int_equal(e[2].result, 4 << 16 | 17);
	assert_int_equal(v->gate.regs.rip, RIP);

	/* A list that is not there, or stops being there. */
	assert_int_equal(hypercall(__HYPERVISOR_multicall, 0x1000, 1, 0), -XEN_EFAULT);
	assert_int_equal(hypercall(__HYPERVISOR_multicall, UINT64_C(0xffff800000000000), 1, 0),
			 -XEN_EFAULT);
	assert_int_equal(
		hypercall(__HYPERVISOR_multicall, SW_VA + SW_PAGES * PAGE_SIZE - sizeof(*e), 2, 0),
		-XEN_EFAULT);
	assert_int_equal(hypercall(__HYPERVISOR_multicall, ENTRIES_VA, UINT64_MAX, 0) < 0, 1);
}

/* A long list is interrupted, resumes where it was, and does everything once. */
static void multicall_is_preempted(void **state)
{
	struct multicall_entry *e = entries();
	unsigned traps = 0;
	long rc;

	memset(e, 0, 64 * sizeof(*e));
	for (unsigned i = 0; i < 64; i++)
		e[i].op = __HYPERVISOR_xen_version;
	tp.tsc_step = tp.info.tsc_khz / 10; /* every look at the clock takes 100 us */

	rc = hypercall(__HYPERVISOR_multicall, ENTRIES_VA, 64, 0);
	while (v->gate.regs.rip != RIP) {
		assert_int_equal(v->gate.regs.rip, RIP - 2);
		assert_int_equal(v->gate.regs.rax, __HYPERVISOR_multicall);
		assert_int_equal((v->gate.regs.rdi - ENTRIES_VA) / sizeof(*e) + v->gate.regs.rsi,
				 64);
		assert_true(++traps < 64);
		rc = hypercall(__HYPERVISOR_multicall, v->gate.regs.rdi, v->gate.regs.rsi, 0);
	}
	assert_int_equal(rc, 0);
	assert_true(traps > 3);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(e[i].result, 4 << 16 | 17);
	assert_int_equal(d->vcpu[0]->stats.hypercall[__HYPERVISOR_xen_version].count, 64);
}

/*
 * An event that the guest would take stops the list too, but each attempt gets at least one step
 * on.
 */
static void multicall_yields_to_events(void **state)
{
	struct multicall_entry *e = entries();

	memset(e, 0, 8 * sizeof(*e));
	for (unsigned i = 0; i < 8; i++)
		e[i].op = __HYPERVISOR_xen_version;
	tp.tsc_step = 0;
	v->gate.vcpu_info->evtchn_upcall_mask = 0;
	v->gate.vcpu_info->evtchn_upcall_pending = 1;
	for (unsigned left = 8; left; left = (unsigned)v->gate.regs.rsi) {
		unsigned before = left;

		hypercall(__HYPERVISOR_multicall, ENTRIES_VA + (8 - left) * sizeof(*e), left, 0);
		if (v->gate.regs.rip == RIP)
			break;
		assert_true(v->gate.regs.rsi < before);
	}
	assert_int_equal(v->gate.regs.rax, 0);
	assert_int_equal(d->vcpu[0]->stats.hypercall[__HYPERVISOR_xen_version].count, 8);
}

/* An entry that itself wants to be continued is entered again with its new arguments. */
static void multicall_continues_an_entry(void **state)
{
	struct multicall_entry *e = entries();
	unsigned traps = 0;

	for (unsigned i = 0; i < 3 * PAGE_SIZE; i++)
		((char *)sw_page(d, 3 + i / PAGE_SIZE))[i % PAGE_SIZE] = (char)('a' + i % 26);
	memset(e, 0, 2 * sizeof(*e));
	e[0].op = __HYPERVISOR_console_io;
	e[0].args[0] = CONSOLEIO_write;
	e[0].args[1] = 3 * PAGE_SIZE;
	e[0].args[2] = SW_VA + 3 * PAGE_SIZE;
	e[1].op = __HYPERVISOR_xen_version;
	tp.tsc_step = tp.info.tsc_khz / 10;

	hypercall(__HYPERVISOR_multicall, ENTRIES_VA, 2, 0);
	while (v->gate.regs.rip != RIP) {
		assert_true(++traps < 100);
		hypercall(__HYPERVISOR_multicall, v->gate.regs.rdi, v->gate.regs.rsi, 0);
	}
	assert_true(traps > 2);
	assert_int_equal(e[0].result, 0);
	assert_int_equal(e[1].result, 4 << 16 | 17);
	assert_int_equal(tp.console_len, 3 * PAGE_SIZE);
	for (unsigned i = 0; i < 3 * PAGE_SIZE; i++)
		assert_int_equal(tp.console[i], 'a' + i % 26);
}

static void multicall_ends_with_its_domain(void **state)
{
	struct multicall_entry *e = entries();
	struct sched_shutdown *s = sw_ptr(d, SW_ARGS);

	memset(e, 0, 2 * sizeof(*e));
	s->reason = SHUTDOWN_poweroff;
	e[0].op = __HYPERVISOR_sched_op;
	e[0].args[0] = SCHEDOP_shutdown;
	e[0].args[1] = SW_ARGS;
	e[1].op = __HYPERVISOR_xen_version;
	hypercall(__HYPERVISOR_multicall, ENTRIES_VA, 2, 0);
	assert_int_equal(d->state, DOM_SHUTDOWN);
	assert_int_equal(e[1].result, 0);
}

/* ---- small hypercalls ---- */

static long version(unsigned op, void *arg, size_t size)
{
	return sw_op(v, do_xen_version, op, arg, size);
}

static void xen_version(void **state)
{
	struct xen_feature_info fi = { .submap_idx = 0 };
	struct xen_platform_parameters pp;
	struct xen_compile_info ci;
	xen_extraversion_t extra;
	xen_capabilities_info_t caps;
	xen_changeset_info_t changeset;
	char commandline[16];
	uint8_t uuid[16];
	uint32_t must = 1u << XENFEAT_mmu_pt_update_preserve_ad | 1u << XENFEAT_highmem_assist |
			1u << XENFEAT_gnttab_map_avail_bits | 1u << XENFEAT_direct_mapped;
	uint32_t never = 1u << XENFEAT_writable_page_tables |
			 1u << XENFEAT_auto_translated_physmap |
			 1u << XENFEAT_supervisor_mode_kernel | 1u << XENFEAT_dom0 |
			 1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_not_direct_mapped;

	assert_int_equal(version(XENVER_extraversion, extra, sizeof(extra)), 0);
	assert_true(strlen(extra) < sizeof(extra));
	assert_int_equal(version(XENVER_compile_info, &ci, sizeof(ci)), 0);
	assert_int_equal(version(XENVER_capabilities, caps, sizeof(caps)), 0);
	assert_string_equal(caps, "xen-3.0-x86_64 ");
	assert_int_equal(version(XENVER_changeset, changeset, sizeof(changeset)), 0);
	assert_int_equal(version(XENVER_platform_parameters, &pp, sizeof(pp)), 0);
	assert_int_equal(pp.virt_start, UINT64_C(0xffff800000000000));
	assert_int_equal(version(XENVER_get_features, &fi, sizeof(fi)), 0);
	assert_int_equal(fi.submap & must, must);
	assert_int_equal(fi.submap & never, 0);
	fi.submap_idx = 1;
	assert_int_equal(version(XENVER_get_features, &fi, sizeof(fi)), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_xen_version, XENVER_pagesize, 0, 0), 4096);
	assert_int_equal(sw_call(v, do_xen_version, XENVER_pagesize, SW_ARGS, 0), -XEN_EINVAL);
	assert_int_equal(version(XENVER_guest_handle, uuid, sizeof(uuid)), 0);
	assert_memory_equal(uuid, d->uuid, sizeof(uuid));
	assert_int_equal(version(XENVER_commandline, commandline, sizeof(commandline)), 0);
	assert_string_equal(commandline, "<denied>");
	assert_int_equal(sw_call(v, do_xen_version, XENVER_build_id, SW_ARGS, 0), -XEN_EPERM);
	assert_int_equal(sw_call(v, do_xen_version, 99, SW_ARGS, 0), -XEN_ENOSYS);
	for (unsigned op = XENVER_extraversion; op <= XENVER_commandline; op++)
		if (op != XENVER_pagesize)
			assert_int_equal(sw_call(v, do_xen_version, op, 0x1000, 0), -XEN_EFAULT);
}

static void console_io(void **state)
{
	strcpy(sw_ptr(d, SW_ARGS), "early words");
	assert_int_equal(sw_call(v, do_console_io, CONSOLEIO_write, 11, SW_ARGS), 0);
	assert_string_equal(tp.console, "early words");
	assert_int_equal(sw_call(v, do_console_io, CONSOLEIO_write, 11, 0x1000), -XEN_EFAULT);
	assert_int_equal(sw_call(v, do_console_io, CONSOLEIO_read, 11, SW_ARGS), 0);
	assert_int_equal(sw_call(v, do_console_io, CONSOLEIO_read, 0xffffffff, SW_ARGS),
			 -XEN_E2BIG);
	assert_int_equal(sw_call(v, do_console_io, 2, 0, 0), -XEN_ENOSYS);
}

static void vm_assist(void **state)
{
	static const unsigned valid[] = {
		VMASST_TYPE_4gb_segments,	  VMASST_TYPE_writable_pagetables,
		VMASST_TYPE_pae_extended_cr3,	  VMASST_TYPE_architectural_iopl,
		VMASST_TYPE_runstate_update_flag, VMASST_TYPE_m2p_strict,
	};
	uint64_t all = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(valid); i++) {
		all |= UINT64_C(1) << valid[i];
		assert_int_equal(sw_call(v, do_vm_assist, VMASST_CMD_enable, valid[i], 0), 0);
		assert_int_equal(d->mm.vm_assist, all);
	}
	assert_int_equal(sw_call(v, do_vm_assist, VMASST_CMD_disable, VMASST_TYPE_m2p_strict, 0),
			 0);
	assert_int_equal(d->mm.vm_assist, all & ~(UINT64_C(1) << VMASST_TYPE_m2p_strict));
	assert_int_equal(sw_call(v, do_vm_assist, VMASST_CMD_enable, 20, 0), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_vm_assist, VMASST_CMD_enable, 64, 0), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_vm_assist, 7, VMASST_TYPE_m2p_strict, 0), -XEN_ENOSYS);
}

static void physdev_op(void **state)
{
	struct physdev_set_iopl iopl = { .iopl = 1 };
	struct physdev_set_iobitmap map = { .nr_ports = 65536 };
	struct physdev_op old = { .cmd = PHYSDEVOP_set_iopl, .u.set_iopl.iopl = 3 };
	char scratch[64] = "";

	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_set_iopl, &iopl, sizeof(iopl)), 0);
	assert_int_equal(v->arch.iopl, 1);
	iopl.iopl = 4;
	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_set_iopl, &iopl, sizeof(iopl)),
			 -XEN_EINVAL);
	assert_int_equal(v->arch.iopl, 1);
	map.bitmap.p = (void *)(uintptr_t)SW_VA;
	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_set_iobitmap, &map, sizeof(map)), 0);
	map.nr_ports++;
	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_set_iobitmap, &map, sizeof(map)),
			 -XEN_EINVAL);
	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_map_pirq, scratch, 64), -XEN_EPERM);
	assert_int_equal(sw_op(v, do_physdev_op, PHYSDEVOP_eoi, scratch, 64), -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_physdev_op, PHYSDEVOP_eoi, 0x1000, 0), -XEN_EFAULT);
	assert_int_equal(sw_op(v, do_physdev_op, 99, scratch, 64), -XEN_ENOSYS);

	memcpy(sw_ptr(d, SW_ARGS), &old, sizeof(old));
	assert_int_equal(hypercall(__HYPERVISOR_physdev_op_compat, SW_ARGS, 0, 0), 0);
	assert_int_equal(v->arch.iopl, 3);
}

static void event_channel_op_compat(void **state)
{
	struct evtchn_op op = { .cmd = EVTCHNOP_alloc_unbound,
				.u.alloc_unbound = { .dom = DOMID_SELF,
						     .remote_dom = DOMID_SELF } };
	struct evtchn_op *guest = sw_ptr(d, SW_ARGS);

	memcpy(guest, &op, sizeof(op));
	assert_int_equal(hypercall(__HYPERVISOR_event_channel_op_compat, SW_ARGS, 0, 0), 0);
	assert_true(guest->u.alloc_unbound.port > 0);
	guest->cmd = 99;
	assert_int_equal(hypercall(__HYPERVISOR_event_channel_op_compat, SW_ARGS, 0, 0),
			 -XEN_EINVAL);
}

/* ---- grant tables ---- */

static long grant(unsigned op, void *arg, size_t size)
{
	long rc;

	memcpy(sw_ptr(d, SW_ARGS), arg, size);
	rc = sw_call(v, do_grant_table_op, op, SW_ARGS, 1);
	memcpy(arg, sw_ptr(d, SW_ARGS), size);
	return rc;
}

static void grant_tables(void **state)
{
	uint64_t *frames = sw_page(d, 5);
	struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 4 };
	struct gnttab_query_size size = { .dom = DOMID_SELF };
	struct gnttab_set_version set = { .version = 2 };
	struct frame *shared;
	struct gnttab_get_version get = { .dom = DOMID_SELF };
	struct gnttab_get_status_frames status = { .dom = DOMID_SELF, .nr_frames = 1 };
	struct grant_entry_v1 *v1;

	assert_int_equal(grant(GNTTABOP_query_size, &size, sizeof(size)), 0);
	assert_int_equal(size.status, GNTST_okay);
	assert_int_equal(size.max_nr_frames, 64);

	setup.frame_list.p = (void *)(uintptr_t)(SW_VA + 5 * PAGE_SIZE);
	assert_int_equal(grant(GNTTABOP_setup_table, &setup, sizeof(setup)), 0);
	assert_int_equal(setup.status, GNTST_okay);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(frames[i], frames[j]);
	v1 = plat_frame_ptr(MFN(frames[0]));
	assert_int_equal(grant(GNTTABOP_get_version, &get, sizeof(get)), 0);
	assert_int_equal(get.version, 1);

	/* Reserved entries survive a change of layout and back; others do not. */
	v1[1] = (struct grant_entry_v1){ GTF_permit_access, 3, 77 };
	v1[20] = v1[1];
	assert_int_equal(grant(GNTTABOP_set_version, &set, sizeof(set)), 0);
	assert_int_equal(set.version, 2);
	assert_int_equal(((union grant_entry_v2 *)v1)[1].full_page.frame, 77);
	assert_int_equal(((union grant_entry_v2 *)v1)[1].hdr.domid, 3);
	assert_int_equal(((union grant_entry_v2 *)v1)[10].hdr.flags, 0);
	status.frame_list.p = (void *)(uintptr_t)(SW_VA + 6 * PAGE_SIZE);
	assert_int_equal(grant(GNTTABOP_get_status_frames, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GNTST_okay);
	assert_true(*(uint64_t *)sw_page(d, 6) != 0);
	status.nr_frames = 2; /* 4 pages of entries need one */
	assert_int_equal(grant(GNTTABOP_get_status_frames, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GNTST_general_error);
	/* Version 1 has no status: not while it is mapped (XSA-255). */
	set.version = 1;
	shared = frame_of(MFN(*(uint64_t *)sw_page(d, 6)));
	assert_true(get_ref(shared));
	assert_int_equal(grant(GNTTABOP_set_version, &set, sizeof(set)), -XEN_EBUSY);
	assert_int_equal(set.version, 2);
	put_ref(shared);
	set.version = 1;
	assert_int_equal(grant(GNTTABOP_set_version, &set, sizeof(set)), 0);
	assert_int_equal(v1[1].frame, 77);
	set.version = 3;
	assert_int_equal(grant(GNTTABOP_set_version, &set, sizeof(set)), -XEN_EINVAL);
	assert_int_equal(set.version, 1);

	setup.nr_frames = 65;
	assert_int_equal(grant(GNTTABOP_setup_table, &setup, sizeof(setup)), 0);
	assert_int_equal(setup.status, GNTST_general_error);
	setup.nr_frames = 1;
	setup.dom = 99;
	assert_int_equal(grant(GNTTABOP_setup_table, &setup, sizeof(setup)), 0);
	assert_int_equal(setup.status, GNTST_bad_domain);
	assert_int_equal(sw_call(v, do_grant_table_op, GNTTABOP_setup_table, SW_ARGS, 2),
			 -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_grant_table_op, 99, SW_ARGS, 1), -XEN_ENOSYS);
	assert_int_equal(sw_call(v, do_grant_table_op, GNTTABOP_copy, SW_ARGS, 0x80000000),
			 -XEN_EINVAL);
	assert_int_equal(sw_call(v, do_grant_table_op, GNTTABOP_map_grant_ref, 0x1000, 1),
			 -XEN_EFAULT);
	assert_int_equal(sw_call(v, do_grant_table_op, GNTTABOP_map_grant_ref, 0x1000, 0), 0);
}

/* ---- statistics ---- */

static char printed[8192];

static void collect(void *opaque, const char *text)
{
	strcat(printed, text);
	strcat(printed, "\n");
}

static void statistics(void **state)
{
	printed[0] = '\0';
	tp.tsc_step = tp.info.tsc_khz / 100; /* 10 us per look at the clock */
	for (unsigned i = 0; i < 3; i++)
		hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
	d->vcpu[0]->stats.exceptions[14] = 5;
	stats_print(d, collect, NULL);
	assert_non_null(strstr(printed, "xen_version"));
	assert_non_null(strstr(printed, "page fault"));
	assert_null(strstr(printed, "mmu_update  "));
	assert_string_equal(stats_hypercall_name(__HYPERVISOR_sched_op), "sched_op");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dispatch, start, stop),
		cmocka_unit_test_setup_teardown(refusals, start, stop),
		cmocka_unit_test_setup_teardown(unknown_is_logged_with_restraint, start, stop),
		cmocka_unit_test_setup_teardown(multicall, start, stop),
		cmocka_unit_test_setup_teardown(multicall_refuses, start, stop),
		cmocka_unit_test_setup_teardown(multicall_is_preempted, start, stop),
		cmocka_unit_test_setup_teardown(multicall_yields_to_events, start, stop),
		cmocka_unit_test_setup_teardown(multicall_continues_an_entry, start, stop),
		cmocka_unit_test_setup_teardown(multicall_ends_with_its_domain, start, stop),
		cmocka_unit_test_setup_teardown(xen_version, start, stop),
		cmocka_unit_test_setup_teardown(console_io, start, stop),
		cmocka_unit_test_setup_teardown(vm_assist, start, stop),
		cmocka_unit_test_setup_teardown(physdev_op, start, stop),
		cmocka_unit_test_setup_teardown(event_channel_op_compat, start, stop),
		cmocka_unit_test_setup_teardown(grant_tables, start, stop),
		cmocka_unit_test_setup_teardown(statistics, start, stop),
	};

	return cmocka_run_group_tests_name("hypercall", tests, NULL, NULL);
}
