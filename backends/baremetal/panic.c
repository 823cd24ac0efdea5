/* SPDX-License-Identifier: MIT */
/*
 * The end of the machine by a bug of ours: cause, registers, and everything on the stack that looks like a return
 * address (frames are not linked in optimised code, so some of them are old).
 */
#include "metal.h"

static bool in_panic;

static bool is_text(uint64_t a)
{
	return a >= (uintptr_t)image_text_start && a < (uintptr_t)image_rodata_start;
}

/* The stack @rsp lies on, or on the guard page of which it has run. */
static bool stack_of(uint64_t rsp, struct stack *s)
{
	static const struct {
		const char *guard, *top;
	} first[] = {
		{ cpu0_stack_guard, cpu0_stack_top }, { cpu0_trap_stack_guard, cpu0_trap_stack_top },
		{ cpu0_nmi_stack_guard, cpu0_nmi_stack_top }, { cpu0_df_stack_guard, cpu0_df_stack_top },
		{ cpu0_mc_stack_guard, cpu0_mc_stack_top }, { cpu0_db_stack_guard, cpu0_db_stack_top },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
		*s = (struct stack){ (uintptr_t)first[i].guard, (uintptr_t)first[i].top };
		if (rsp >= s->guard && rsp < s->top)
			return true;
	}
	return smp_stack_of(rsp, s);
}

static void print_address(uint64_t a)
{
	uint64_t offset;
	const char *name = symbol_at(a, &offset);

	if (name)
		xlog(LOG_ERROR, "  %#llx %s+%#llx", (unsigned long long)a, name, (unsigned long long)offset);
	else
		xlog(LOG_ERROR, "  %#llx", (unsigned long long)a);
}

static void backtrace(uint64_t rip, uint64_t rsp)
{
	struct stack s = { 0, 0 };
	unsigned n = 0;

	/* Exactly at the guard page's end is overrun as well: the next push would have been on it. */
	if (stack_of(rsp, &s) && rsp <= s.guard + PAGE_SIZE) {
		xlog(LOG_ERROR, "a stack has overrun");
		rsp = s.guard + PAGE_SIZE;
	}
	xlog(LOG_ERROR, "backtrace:");
	print_address(rip);
	for (rsp = (rsp + 7) & ~UINT64_C(7); rsp < s.top && n < 24; rsp += 8) {
		uint64_t a = *(const uint64_t *)(uintptr_t)rsp;

		if (is_text(a)) {
			print_address(a);
			n++;
		}
	}
}

bool panicking(void)
{
	return in_panic;
}

static void begin(void)
{
	__asm__ volatile("cli");
	if (in_panic)
		machine_end(END_PANIC);
	in_panic = true;
	smp_halt();
}

void panic_frame(const struct hyp_frame *f, const char *why)
{
	begin();
	xlog(LOG_ERROR, "panic: %s: vector %llu error %#llx cr2 %#llx cr3 %#llx", why,
	     (unsigned long long)f->vector, (unsigned long long)f->error, (unsigned long long)cr2_read(),
	     (unsigned long long)cr3_read());
	xlog(LOG_ERROR, "rip %#llx cs %#llx rflags %#llx rsp %#llx ss %#llx", (unsigned long long)f->rip,
	     (unsigned long long)f->cs, (unsigned long long)f->rflags, (unsigned long long)f->rsp,
	     (unsigned long long)f->ss);
	xlog(LOG_ERROR, "rax %#llx rbx %#llx rcx %#llx rdx %#llx", (unsigned long long)f->rax,
	     (unsigned long long)f->rbx, (unsigned long long)f->rcx, (unsigned long long)f->rdx);
	xlog(LOG_ERROR, "rsi %#llx rdi %#llx rbp %#llx r8 %#llx", (unsigned long long)f->rsi,
	     (unsigned long long)f->rdi, (unsigned long long)f->rbp, (unsigned long long)f->r8);
	xlog(LOG_ERROR, "r9 %#llx r10 %#llx r11 %#llx r12 %#llx", (unsigned long long)f->r9,
	     (unsigned long long)f->r10, (unsigned long long)f->r11, (unsigned long long)f->r12);
	xlog(LOG_ERROR, "r13 %#llx r14 %#llx r15 %#llx", (unsigned long long)f->r13,
	     (unsigned long long)f->r14, (unsigned long long)f->r15);
	backtrace(f->rip, f->rsp);
	machine_end(END_PANIC);
}

void plat_panic(const char *line)
{
	uint64_t rsp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(rsp));
	begin();
	xlog(LOG_ERROR, "panic: %s", line);
	backtrace((uintptr_t)__builtin_return_address(0), rsp);
	machine_end(END_PANIC);
}
