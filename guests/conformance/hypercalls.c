/* SPDX-License-Identifier: MIT */
/*
 * What does not fit elsewhere: xen_version, vm_assist, console_io, sched_op, physdev_op, numbers
 * that are none.
 */
#include "guest.h"

const char guest_topic[] = "hypercalls";

static char text[1024];

static void test_version(void)
{
	struct xen_feature_info f = { .submap_idx = 0 };
	long version = HC2(xen_version, XENVER_version, 0);
	xen_platform_parameters_t params;
	xen_domain_handle_t handle;

	check(version >> 16 == 4 && (version & 0xffff) >= 17, "XENVER_version", "0x%lx", version);
	check(HC2(xen_version, XENVER_extraversion, text) == 0 && strlen(text) < 16,
	      "XENVER_extraversion", "'%s'", text);
	check(HC2(xen_version, XENVER_capabilities, text) == 0, "XENVER_capabilities", "refused");
	check(!memcmp(text, "xen-3.0-x86_64", 14), "... name this ABI", "'%s'", text);
	check(HC2(xen_version, XENVER_changeset, text) >= 0, "XENVER_changeset", "refused");
	check(HC2(xen_version, XENVER_compile_info, text) >= 0, "XENVER_compile_info", "refused");
	check_eq("XENVER_platform_parameters",
		 HC2(xen_version, XENVER_platform_parameters, &params), 0);
	check(params.virt_start >= UINT64_C(0xffff800000000000) &&
		      params.virt_start < UINT64_C(0xffff880000000000),
	      "... the hole's start", "0x%lx", params.virt_start);
	check_eq("XENVER_get_features", HC2(xen_version, XENVER_get_features, &f), 0);
	check(f.submap >> XENFEAT_mmu_pt_update_preserve_ad & 1, "... mmu_pt_update_preserve_ad",
	      "map 0x%x", f.submap);
	check(!(f.submap >> XENFEAT_auto_translated_physmap & 1), "... not auto-translated",
	      "map 0x%x", f.submap);
	f.submap_idx = 99;
	check_eq("a feature map that is none", HC2(xen_version, XENVER_get_features, &f),
		 (uint64_t)-XEN_EINVAL);
	check_eq("XENVER_pagesize", HC2(xen_version, XENVER_pagesize, 0), 4096);
	check_eq("XENVER_guest_handle", HC2(xen_version, XENVER_guest_handle, handle), 0);
	check(HC2(xen_version, XENVER_commandline, text) <= 0, "XENVER_commandline is answered",
	      "odd");
	check_eq("an unknown question", HC2(xen_version, 99, text), (uint64_t)-XEN_ENOSYS);
	check_eq("an answer to nowhere", HC2(xen_version, XENVER_extraversion, va_reserve(1)),
		 (uint64_t)-XEN_EFAULT);
}

static void test_numbers(void)
{
	static const unsigned unused[] = { 45, 47, 59, 63, 64, 100, 1000, 0x7fffffff };
	unsigned wrong = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(unused); i++)
		wrong += hypercall(unused[i], 1, 2, 3, 4, 5) != -XEN_ENOSYS;
	check(!wrong, "numbers without a meaning are ENOSYS", "%u are not", wrong);
}

static void test_vm_assist(void)
{
	check_eq("vm_assist: runstate update flag",
		 HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag), 0);
	check_eq("... off", HC2(vm_assist, VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag),
		 0);
	check(HC2(vm_assist, VMASST_CMD_enable, 63) < 0, "an unknown assist is refused", "taken");
	check(HC2(vm_assist, 99, 0) < 0, "an unknown command is refused", "taken");
}

static void test_console(void)
{
	check_eq("console_io: nothing to write", HC3(console_io, CONSOLEIO_write, 0, "x"), 0);
	check_eq("... from nowhere", HC3(console_io, CONSOLEIO_write, 10, va_reserve(1)),
		 (uint64_t)-XEN_EFAULT);
	check(HC3(console_io, CONSOLEIO_read, 16, text) >= 0, "... reading does not wait",
	      "refused");
	check_eq("... an unknown command", HC3(console_io, 99, 0, 0), (uint64_t)-XEN_ENOSYS);
}

static void test_sched(void)
{
	struct sched_remote_shutdown remote = { .domain_id = 0x1234, .reason = 0 };

	check_eq("yield", hc_sched_op(SCHEDOP_yield, NULL), 0);
	check(hc_sched_op(SCHEDOP_remote_shutdown, &remote) < 0,
	      "shutting down a stranger is refused", "done");
	check_eq("an unknown operation", hc_sched_op(99, NULL), (uint64_t)-XEN_ENOSYS);
}

static void test_privileged(void)
{
	struct physdev_set_iopl iopl = { .iopl = 1 };

	check_eq("physdev set_iopl 1", HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
	iopl.iopl = 4;
	check_eq("... 4 is none", HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl),
		 (uint64_t)-XEN_EINVAL);
	iopl.iopl = 1;
	HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl);
	check_eq("physdev: an unknown operation", HC2(physdev_op, 999, &iopl),
		 (uint64_t)-XEN_ENOSYS);
	if (start_info->flags & SIF_INITDOMAIN) {
		skip("domctl, sysctl and platform_op are refused", "the initial domain may");
		return;
	}
	memset(text, 0, sizeof(text));
	check(hypercall(__HYPERVISOR_domctl, PTR(text), 0, 0, 0, 0) < 0, "domctl is refused",
	      "done");
	check(hypercall(__HYPERVISOR_sysctl, PTR(text), 0, 0, 0, 0) < 0, "sysctl is refused",
	      "done");
	check(hypercall(__HYPERVISOR_platform_op, PTR(text), 0, 0, 0, 0) < 0,
	      "platform_op is refused", "done");
}

static void test_grant_setup(void)
{
	struct gnttab_query_size q = { .dom = DOMID_SELF };
	struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1 };
	static uint64_t frames[4];
	uint64_t va;

	check_eq("grant_table_op query_size", HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
	check(q.status == GNTST_okay && q.max_nr_frames >= 1, "... some", "status %d, %u", q.status,
	      q.max_nr_frames);
	set_xen_guest_handle(s.frame_list, frames);
	check_eq("grant_table_op setup_table", HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
	check(s.status == GNTST_okay && frames[0], "... gives a frame", "status %d, frame 0x%lx",
	      s.status, frames[0]);
	va = va_reserve(1);
	map_page(va, frames[0] * PAGE_SIZE | PTE_LEAF | PTE_RW);
	check_eq("... that can be written", probe_write(va + 8 * 20, 0), 0);
}

static bool nmi_seen;

static bool on_nmi(struct frame *f)
{
	if (f->vector != 2)
		return false;
	nmi_seen = true;
	return true;
}

static void test_nmi(void)
{
	struct xennmi_callback cb = { .handler_address = (uint64_t)nmi_callback };

	trap_hook = on_nmi;
	check_eq("an NMI callback is registered", HC2(nmi_op, XENNMI_register_callback, &cb), 0);
	check_eq("send_nmi to oneself", hc_vcpu_op(VCPUOP_send_nmi, 0, NULL), 0);
	HC2(xen_version, XENVER_version, 0);
	check_eq("... arrives", nmi_seen, 1);
	nmi_seen = false;
	hc_vcpu_op(VCPUOP_send_nmi, 0, NULL);
	HC2(xen_version, XENVER_version, 0);
	check_eq("... again after iret", nmi_seen, 1);
	check_eq("the callback is removed", HC2(nmi_op, XENNMI_unregister_callback, 0), 0);
	trap_hook = NULL;
}

static void test_callbacks(void)
{
	struct callback_register cb = { .type = CALLBACKTYPE_event };
	struct callback_unregister un = { .type = CALLBACKTYPE_event };

	cb.address = UINT64_C(0x0123456789abcdef);
	check_eq("callback_op refuses a non-canonical address",
		 HC2(callback_op, CALLBACKOP_register, &cb), (uint64_t)-XEN_EINVAL);
	cb.address = (uint64_t)event_callback;
	cb.type = 99;
	check(HC2(callback_op, CALLBACKOP_register, &cb) < 0, "... an unknown type", "taken");
	check_eq("the event callback cannot be removed",
		 HC2(callback_op, CALLBACKOP_unregister, &un), (uint64_t)-XEN_EINVAL);
	check_eq("set_callbacks",
		 HC3(set_callbacks, event_callback, failsafe_callback, syscall_callback), 0);
}

void guest_main(void)
{
	test_version();
	test_numbers();
	test_vm_assist();
	test_console();
	test_sched();
	test_privileged();
	test_grant_setup();
	test_nmi();
	test_callbacks();
}
