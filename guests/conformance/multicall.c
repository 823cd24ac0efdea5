/* SPDX-License-Identifier: MIT */
/* Many hypercalls in one: order, results, errors, and batches long enough to be interrupted. */
#include "guest.h"

const char guest_topic[] = "multicall";

#define LONG_BATCH 4000

static multicall_entry_t batch[LONG_BATCH];

static multicall_entry_t entry(unsigned op, uint64_t a0, uint64_t a1, uint64_t a2)
{
	multicall_entry_t e = { .op = op, .result = 0x5555, .args = { a0, a1, a2 } };

	return e;
}

static void test_results(void)
{
	uint64_t *a = page_alloc(), *b = page_alloc(), va = va_reserve(1);
	long version = HC2(xen_version, XENVER_version, 0);

	a[0] = 0xa;
	b[0] = 0xb;
	batch[0] = entry(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
	batch[1] =
		entry(__HYPERVISOR_update_va_mapping, va, virt_to_mfn(a) * PAGE_SIZE | PTE_LEAF, 0);
	batch[2] = entry(60, 0, 0, 0);
	batch[3] = entry(__HYPERVISOR_update_va_mapping, va, UINT64_C(1) << 45 | PTE_LEAF, 0);
	batch[4] = entry(__HYPERVISOR_update_va_mapping, va, virt_to_mfn(b) * PAGE_SIZE | PTE_LEAF,
			 UVMF_INVLPG);
	check_eq("a batch is done", HC2(multicall, batch, 5), 0);
	check_eq("... results: a value", batch[0].result, (uint64_t)version);
	check_eq("... success", batch[1].result, 0);
	check_eq("... an unknown call", batch[2].result, (uint64_t)-XEN_ENOSYS);
	check((int64_t)batch[3].result < 0, "... a refused one", "0x%lx", batch[3].result);
	check_eq("... and what follows it is done", batch[4].result, 0);
	check_eq("... in order", *(volatile uint64_t *)va, 0xb);
	check_eq("... arguments are left alone", batch[1].args[0], va);
}

/* Back to this kernel, with the registers of the frame and behind its SYSCALL; nothing that follows is done. */
static void test_iret(void)
{
	uint64_t rax = __HYPERVISOR_multicall, rcx = 0, r11 = 0, flags = READ_ONCE(vcpu_info(0)->evtchn_upcall_mask) ? 2 : 0x202;

	batch[0] = entry(__HYPERVISOR_iret, 0, 0, 0);
	batch[1] = entry(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
	__asm__ volatile("mov %%rsp, %%rbx; push %[ss]; push %%rbx; push %[flags]; push %[cs];"
			 "lea 1f(%%rip), %%rdx; push %%rdx; push $0; push $0x111; push $0x222; push $0x333;"
			 "syscall; mov $0, %%eax; 1: mov %%rcx, %[rcx]; mov %%r11, %[r11]"
			 : "+a"(rax), [rcx] "=r"(rcx), [r11] "=r"(r11)
			 : [flags] "r"(flags), [ss] "i"(FLAT_KERNEL_SS), [cs] "i"(FLAT_KERNEL_CS & ~3), "D"(batch), "S"(2ul)
			 : "rbx", "rcx", "rdx", "r11", "memory", "cc");
	check_eq("an iret in a batch goes where its frame says", rax, 0x333);
	check_eq("... with its rcx", rcx, 0x111);
	check_eq("... and r11", r11, 0x222);
	check_eq("... and what follows in the batch is not done", batch[1].result, 0x5555);
}

static void test_refused(void)
{
	multicall_entry_t inner = entry(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
	uint64_t page = (uint64_t)page_alloc();
	uint64_t two = va_reserve(2);
	multicall_entry_t *last;

	batch[0] = entry(__HYPERVISOR_multicall, PTR(&inner), 1, 0);
	check_eq("a multicall in a multicall", HC2(multicall, batch, 1), 0);
	check_eq("... is refused", batch[0].result, (uint64_t)-XEN_EINVAL);
	check_eq("... and not done", inner.result, 0x5555);
	check_eq("an empty batch", HC2(multicall, batch, 0), 0);
	check_eq("a batch from nowhere", HC2(multicall, two, 1), (uint64_t)-XEN_EFAULT);

	/* The last entry of a mapped page, and one behind it. */
	map_page(two, virt_to_mfn((void *)page) * PAGE_SIZE | PTE_LEAF | PTE_RW);
	last = (multicall_entry_t *)(two + PAGE_SIZE) - 1;
	*last = inner;
	check_eq("a batch that runs into nowhere", HC2(multicall, last, 2), (uint64_t)-XEN_EFAULT);
	check(last->result != 0x5555, "... is done up to there", "0x%lx", last->result);
	pte_set(pte_of(two, 1), virt_to_mfn((void *)page) * PAGE_SIZE | PTE_LEAF);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	check_eq("a batch whose results cannot be stored", HC2(multicall, last, 1),
		 (uint64_t)-XEN_EFAULT);
}

static void test_long(void)
{
	long version = HC2(xen_version, XENVER_version, 0);
	unsigned wrong = 0;

	for (unsigned i = 0; i < LONG_BATCH; i++)
		batch[i] = entry(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
	check_eq("a batch of 4000", HC2(multicall, batch, LONG_BATCH), 0);
	for (unsigned i = 0; i < LONG_BATCH; i++)
		wrong += batch[i].result != (uint64_t)version;
	check(!wrong, "... all done", "%u wrong", wrong);
}

/* Long requests inside a batch: each may be interrupted and continued in the middle. */
static void test_long_parts(void)
{
	static mmu_update_t u[512];
	static unsigned done[8];
	uint64_t *l1 = page_alloc(), *data = page_alloc();
	unsigned wrong = 0;

	protect(l1, PTE_LEAF);
	check_eq("a table is pinned", mmuext(MMUEXT_PIN_L1_TABLE, virt_to_mfn(l1), 0), 0);
	for (unsigned i = 0; i < 512; i++)
		u[i] = (mmu_update_t){virt_to_mfn(l1) * PAGE_SIZE + i * 8,
				      virt_to_mfn(data) * PAGE_SIZE | PTE_LEAF};
	for (unsigned i = 0; i < 8; i++) {
		batch[i] = entry(__HYPERVISOR_mmu_update, PTR(u), 512, PTR(&done[i]));
		batch[i].args[3] = DOMID_SELF;
	}
	check_eq("8 mmu_updates of 512 in one batch", HC2(multicall, batch, 8), 0);
	for (unsigned i = 0; i < 8; i++)
		wrong += batch[i].result || done[i] != 512;
	check(!wrong, "... all done", "%u wrong, first result 0x%lx, count %u", wrong,
	      batch[0].result, done[0]);
	for (unsigned i = 0; i < 512; i++)
		wrong += (l1[i] & PTE_ADDR) != virt_to_mfn(data) * PAGE_SIZE;
	check(!wrong, "... every entry is stored", "%u wrong", wrong);
	mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(l1), 0);
}

static unsigned ticks;

static void tick(uint32_t port)
{
	(void)port;
	ticks++;
}

/* With a timer running, a batch is interrupted now and then; nothing may be lost or done twice. */
static void test_interrupted(void)
{
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };
	struct vcpu_set_periodic_timer period = { .period_ns = 1000000 };
	long version = HC2(xen_version, XENVER_version, 0);
	unsigned wrong = 0, rounds = 0;
	uint64_t end = system_time() + 200000000;

	event_hook = tick;
	hc_event_channel_op(EVTCHNOP_bind_virq, &virq);
	event_unmask(virq.port);
	upcalls_on();
	hc_vcpu_op(VCPUOP_set_periodic_timer, 0, &period);
	while (system_time() < end && !wrong) {
		for (unsigned i = 0; i < 500; i++)
			batch[i] = entry(__HYPERVISOR_xen_version, XENVER_version, 0, 0);
		wrong += HC2(multicall, batch, 500) != 0;
		for (unsigned i = 0; i < 500; i++)
			wrong += batch[i].result != (uint64_t)version;
		rounds++;
	}
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	check(!wrong && rounds && ticks > 10, "batches under a 1 ms timer",
	      "%u wrong, %u rounds, %u ticks", wrong, rounds, ticks);
}

void guest_main(void)
{
	test_results();
	test_iret();
	test_refused();
	test_long();
	test_long_parts();
	test_interrupted();
}
