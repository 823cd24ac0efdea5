/* SPDX-License-Identifier: MIT */
/* The trap table, what a trap leaves behind for a test to look at, and trips to guest user mode. */
#include "guest.h"

#define STUB_SIZE 16

struct trap_record trap;
uint64_t trap_resume, trap_resume_sp, trap_from, trap_rflags;
uint64_t failsafe_segments[4];
uint64_t iret_flags;
uint64_t user_resume_sp;
struct frame user_exit;
bool (*trap_hook)(struct frame *f);

void event_entry(void);
void trap_entry(struct frame *f);

void trap_clear(void)
{
	memset(&trap, 0, sizeof(trap));
}

static const char *mode_of(const struct frame *f)
{
	return f->cs & 3 ? "user" : "kernel";
}

static void unexpected(const struct frame *f)
{
	const uint64_t *sp = (const uint64_t *)f->rsp;

	trap_resume = 0;
	printf("unexpected trap 0x%lx error 0x%lx in %s mode at 0x%lx, cr2 0x%lx\n", f->vector,
	       f->error, mode_of(f), f->rip, vcpu_info(0)->arch.cr2);
	printf("cs 0x%lx rflags 0x%lx ss:rsp 0x%lx:0x%lx rax 0x%lx rbx 0x%lx\n", f->cs, f->rflags,
	       f->ss, f->rsp, f->rax, f->rbx);
	if (!(f->cs & 3) && f->rsp >= (uint64_t)_text && f->rsp < (uint64_t)_end)
		printf("stack 0x%lx 0x%lx 0x%lx 0x%lx\n", sp[0], sp[1], sp[2], sp[3]);
	panic("unexpected trap 0x%lx at 0x%lx", f->vector, f->rip);
}

void trap_entry(struct frame *f)
{
	if (trap_hook && trap_hook(f))
		return;
	if (f->vector == VEC_EVENT && !user_resume_sp) {
		event_entry();
		return;
	}
	trap.frame = *f;
	trap.cr2 = vcpu_info(0)->arch.cr2;
	trap.mask_inside = vcpu_info(0)->evtchn_upcall_mask;
	trap.rflags_inside = trap_rflags;
	trap.count++;
	if (user_resume_sp && (f->cs & 3)) {
		user_exit = *f;
		user_leave();
	}
	if (!trap_resume)
		unexpected(f);
	f->rip = trap_resume;
	f->rsp = trap_resume_sp;
	f->cs = FLAT_KERNEL_CS & ~3;
	f->ss = FLAT_KERNEL_SS;
	f->rflags &= ~(RFLAGS_TF | RFLAGS_DF);
	trap_resume = 0;
}

long trap_gate(unsigned vector, unsigned dpl, bool masks)
{
	struct trap_info t[2] = {
		{.vector = (uint8_t)vector,
		 .flags = (uint8_t)(dpl | (masks ? 4 : 0)),
		 .cs = FLAT_KERNEL_CS,
		 .address = (uint64_t)trap_stubs + vector * STUB_SIZE},
		{0},
	};

	return HC1(set_trap_table, t);
}

void trap_init(void)
{
	static const struct {
		uint16_t type;
		char *entry;
	} callbacks[] = {
		{CALLBACKTYPE_event, event_callback},
		{CALLBACKTYPE_failsafe, failsafe_callback},
		{CALLBACKTYPE_syscall, syscall_callback},
		{CALLBACKTYPE_syscall32, syscall32_callback},
		{CALLBACKTYPE_sysenter, sysenter_callback},
	};

	for (unsigned v = 0; v < 32; v++)
		if (trap_gate(v, v == 3 || v == 4 ? 3 : 0, false))
			panic("set_trap_table refused vector %u", v);
	for (unsigned i = 0; i < ARRAY_SIZE(callbacks); i++) {
		struct callback_register cb = { .type = callbacks[i].type };

		cb.address = (uint64_t)callbacks[i].entry;
		if (HC2(callback_op, CALLBACKOP_register, &cb) &&
		    cb.type != CALLBACKTYPE_syscall32 && cb.type != CALLBACKTYPE_sysenter)
			panic("callback_op refused type %u", cb.type);
	}
	if (HC2(stack_switch, FLAT_KERNEL_SS, trap_stack_end))
		panic("stack_switch refused");
}

bool check_trap(const char *name, unsigned vector, uint64_t error)
{
	const struct frame *f = &trap.frame;

	return check(trap.count == 1 && f->vector == vector && f->error == error &&
			     f->rip == trap_from,
		     name,
		     "%u traps, vector %lu error 0x%lx at offset %ld, want vector %u error 0x%lx "
		     "at offset 0",
		     trap.count, f->vector, f->error, (long)(f->rip - trap_from), vector, error);
}

unsigned probe_read(uint64_t va, uint64_t *v)
{
	uint64_t got = 0;

	TRY("mov (%[va]), %[got]", : [got] "+&r"(got) : [va] "r"(va) : TRY_CLOBBERS);
	if (v)
		*v = got;
	return trap.count ? (unsigned)trap.frame.vector : 0;
}

unsigned probe_write(uint64_t va, uint64_t v)
{
	TRY("mov %[v], (%[va])", : : [v] "r"(v), [va] "r"(va) : TRY_CLOBBERS);
	return trap.count ? (unsigned)trap.frame.vector : 0;
}
