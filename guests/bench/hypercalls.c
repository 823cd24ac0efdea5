/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor's services cost, asked for by a kernel that does nothing else. Counted with the time-stamp counter,
 * which under QEMU's "-icount shift=0" counts instructions; the few of the loop here are in every figure.
 * Per line "kbench NAME TICKS" of one operation: the median of some samples. A line "ok" says that the operation
 * did what it should.
 */
#include "guest.h"

const char guest_topic[] = "hypercalls";

enum {
	SAMPLES = 15,
	WARM_UP = 2,
	ROUNDS = 32,
	BATCH = 32,
	ENTRIES = 512,
};

extern char bench_breakpoint[], bench_fault[], bench_event[], bench_syscall[];

static long wrong; /* every operation adds what is not 0 though it should be */

static uint64_t *pte;       /* BATCH entries of an L1, to be changed */
static uint64_t pte_va;
static uint64_t data_entry; /* what to write into them */
static uint64_t table_mfn;  /* a full page table that nobody uses */
static uint64_t l4_mfn[2];
static uint32_t port;

/* ---- each of these does its operation once ---- */

static void version(void)
{
	wrong += HC2(xen_version, XENVER_version, 0) <= 0;
}

static void multicall(void)
{
	static multicall_entry_t calls[8];

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		calls[i] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
	wrong += HC2(multicall, calls, ARRAY_SIZE(calls));
}

/* Entries appear and disappear in turn. */
static void update(unsigned n, bool present)
{
	static mmu_update_t requests[BATCH];
	uint64_t machine = pte_machine(pte);

	for (unsigned i = 0; i < n; i++)
		requests[i] = (mmu_update_t){.ptr = machine + i * 8, .val = present ? data_entry : 0};
	wrong += hc_mmu_update(requests, n, NULL);
}

static void update_1(void)
{
	static bool present;

	update(1, present = !present);
}

static void update_32(void)
{
	static bool present;

	update(BATCH, present = !present);
}

static void update_va(void)
{
	static bool present;

	present = !present;
	wrong += hc_update_va_mapping(pte_va, present ? data_entry : 0, UVMF_INVLPG);
}

static void write_entry(void)
{
	static bool present;

	present = !present;
	*(volatile uint64_t *)pte = present ? data_entry : 0;
}

static void pin_unpin(void)
{
	wrong += mmuext(MMUEXT_PIN_L1_TABLE, table_mfn, 0);
	wrong += mmuext(MMUEXT_UNPIN_TABLE, table_mfn, 0);
}

static void new_baseptr(void)
{
	static unsigned which;

	which ^= 1;
	wrong += mmuext(MMUEXT_NEW_BASEPTR, l4_mfn[which], 0);
}

static void flush_local(void)
{
	wrong += mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
}

static void stack_switch(void)
{
	wrong += HC2(stack_switch, FLAT_KERNEL_SS, trap_stack_end);
}

static void segment_base(void)
{
	wrong += HC2(set_segment_base, SEGBASE_FS, 0);
}

static void taskswitch(void)
{
	wrong += HC1(fpu_taskswitch, 0);
}

static void breakpoint(void)
{
	__asm__ volatile("int3" : : : "memory");
}

static void page_fault(void)
{
	uint64_t nowhere = 0x1000;

	__asm__ volatile(".byte 0x8a, 0x07" : : "D"(nowhere) : "rax", "memory"); /* mov (%rdi), %al */
}

static void send_self(void)
{
	struct evtchn_send op = {.port = port};
	uint64_t before = event_upcalls;

	shared->evtchn_pending[port / 64] = 0;
	vcpu_info(0)->evtchn_pending_sel = 0;
	wrong += hc_event_channel_op(EVTCHNOP_send, &op);
	barrier();
	wrong += event_upcalls != before + 1;
}

static void send_masked(void)
{
	upcalls_off();
	shared->evtchn_pending[port / 64] = 0;
	vcpu_info(0)->evtchn_pending_sel = 0;
	vcpu_info(0)->evtchn_upcall_pending = 0;
	wrong += hc_event_channel_op(EVTCHNOP_send, &(struct evtchn_send){.port = port});
	wrong += !(shared->evtchn_pending[port / 64] >> port % 64 & 1);
	vcpu_info(0)->evtchn_upcall_pending = 0;
	barrier();
	vcpu_info(0)->evtchn_upcall_mask = 0;
}

static void set_timer(void)
{
	wrong += HC1(set_timer_op, UINT64_C(1) << 60);
}

USER_CODE_BLOCK(user_calls, "1: mov $39, %eax\n syscall\n dec %rdi\n jnz 1b\n ud2");

/* Not once but ROUNDS times: the way to user mode and out of it should not count. */
static void user_syscalls(void)
{
	USER_RUN(user_calls, ROUNDS);
	wrong += user_exit.vector != 6;
}

/* ---- measuring ---- */

static void measure(const char *name, void (*operation)(void), unsigned rounds, unsigned of_one)
{
	uint64_t samples[SAMPLES];

	wrong = 0;
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		uint64_t start = rdtsc(), took;
		int j;

		for (unsigned r = 0; r < rounds; r++)
			operation();
		took = rdtsc() - start;
		/* In order from the start. */
		for (j = i; j > 0 && samples[j - 1] > took; j--)
			samples[j] = samples[j - 1];
		if (j >= 0)
			samples[j] = took;
	}
	check(!wrong, name, "%ld results were not what they should be", wrong);
	printf("kbench %s %lu\n", name, samples[SAMPLES / 2] / rounds / of_one);
}

static void prepare_tables(void)
{
	uint64_t *table = page_alloc(), *l4 = page_alloc();
	void *data = page_alloc();

	data_entry = virt_to_mfn(data) * PAGE_SIZE | PTE_LEAF | PTE_RW;
	pte_va = va_reserve(BATCH);
	pte = pte_of(pte_va, 1);
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = data_entry;
	table_mfn = virt_to_mfn(table);
	l4_mfn[0] = kernel_l4_mfn;
	l4_mfn[1] = virt_to_mfn(l4);
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (i < 256 || i > 271)
			l4[i] = kernel_l4[i] & ~(PTE_A | PTE_D);
	}
	if (protect(table, PTE_LEAF) || protect(l4, PTE_LEAF) || mmuext(MMUEXT_PIN_L4_TABLE, l4_mfn[1], 0))
		panic("the page tables are refused");
}

static void handler(unsigned vector, char *entry)
{
	struct trap_info t[2] = {
		{.vector = (uint8_t)vector, .flags = 3, .cs = FLAT_KERNEL_CS, .address = (uint64_t)entry},
		{0},
	};

	if (HC1(set_trap_table, t))
		panic("set_trap_table refused vector %u", vector);
}

static void callback(unsigned type, unsigned flags, char *entry)
{
	struct callback_register cb = {.type = (uint16_t)type, .flags = (uint16_t)flags};

	cb.address = (uint64_t)entry;
	if (HC2(callback_op, CALLBACKOP_register, &cb))
		panic("callback_op refused type %u", type);
}

void guest_main(void)
{
	struct evtchn_bind_ipi ipi = {.vcpu = 0};

	if (HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables))
		panic("vm_assist is refused");
	user_init();
	prepare_tables();
	measure("xen_version", version, ROUNDS, 1);
	measure("multicall-of-8", multicall, ROUNDS, 1);
	measure("mmu_update-1", update_1, ROUNDS, 1);
	measure("mmu_update-32", update_32, ROUNDS, 1);
	measure("update_va_mapping", update_va, ROUNDS, 1);
	measure("page-table-write", write_entry, ROUNDS, 1);
	measure("pin-unpin-full-L1", pin_unpin, 2, 1);
	measure("new_baseptr", new_baseptr, ROUNDS, 1);
	measure("tlb_flush_local", flush_local, ROUNDS, 1);
	measure("stack_switch", stack_switch, ROUNDS, 1);
	measure("set_segment_base", segment_base, ROUNDS, 1);
	measure("fpu_taskswitch", taskswitch, ROUNDS, 1);
	measure("set_timer_op", set_timer, ROUNDS, 1);
	if (hc_event_channel_op(EVTCHNOP_bind_ipi, &ipi))
		panic("bind_ipi is refused");
	port = ipi.port;
	callback(CALLBACKTYPE_event, 0, bench_event);
	event_unmask(port);
	vcpu_info(0)->evtchn_upcall_mask = 0;
	measure("event-to-self", send_self, ROUNDS, 1);
	measure("event-masked", send_masked, ROUNDS, 1);
	handler(3, bench_breakpoint);
	handler(14, bench_fault);
	/* As Linux has it. */
	callback(CALLBACKTYPE_syscall, CALLBACKF_mask_events, bench_syscall);
	measure("int3-and-iret", breakpoint, ROUNDS, 1);
	measure("page-fault-and-iret", page_fault, ROUNDS, 1);
	measure("user-syscall-and-iret", user_syscalls, 1, ROUNDS);
}
