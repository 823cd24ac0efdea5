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

/* Up to the end of whichever stack @rsp lies on. */
static const uint64_t *stack_end(uint64_t rsp)
{
	const char *const tops[] = { cpu0_stack_top, cpu0_trap_stack_top, cpu0_nmi_stack_top,
				     cpu0_df_stack_top, cpu0_mc_stack_top, cpu0_db_stack_top };
	const char *const guards[] = { cpu0_stack_guard, cpu0_trap_stack_guard, cpu0_nmi_stack_guard,
				       cpu0_df_stack_guard, cpu0_mc_stack_guard, cpu0_db_stack_guard };

	for (unsigned i = 0; i < ARRAY_SIZE(tops); i++)
		if (rsp >= (uintptr_t)guards[i] + PAGE_SIZE && rsp < (uintptr_t)tops[i])
			return (const uint64_t *)(const void *)tops[i];
	return NULL;
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

/* @rsp on a guard page is a stack overrun: its contents begin behind that page. */
static uint64_t off_guard(uint64_t rsp)
{
	const char *const guards[] = { cpu0_stack_guard, cpu0_trap_stack_guard, cpu0_nmi_stack_guard,
				       cpu0_df_stack_guard, cpu0_mc_stack_guard, cpu0_db_stack_guard };

	for (unsigned i = 0; i < ARRAY_SIZE(guards); i++) {
		uint64_t g = (uintptr_t)guards[i];

		if (rsp >= g && rsp <= g + PAGE_SIZE) {
			xlog(LOG_ERROR, "a stack has overrun");
			return g + PAGE_SIZE;
		}
	}
	return rsp;
}

static void backtrace(uint64_t rip, uint64_t rsp)
{
	const uint64_t *p, *end;
	unsigned n = 0;

	rsp = off_guard(rsp);
	p = (const uint64_t *)(uintptr_t)((rsp + 7) & ~UINT64_C(7));
	end = stack_end(rsp);
	xlog(LOG_ERROR, "backtrace:");
	print_address(rip);
	for (; end && p < end && n < 24; p++) {
		if (is_text(*p)) {
			print_address(*p);
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
