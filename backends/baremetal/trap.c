/* SPDX-License-Identifier: MIT */
/* What reaches ring 0 while ring 0 runs: faults that were reckoned with, interrupts while idle, and bugs. */
#include "metal.h"

struct fixup {
	uint64_t at, go_on;
};

static bool fix_up(struct hyp_frame *f)
{
	const struct fixup *x = (const void *)fixups_start, *end = (const void *)fixups_end;

	for (; x < end; x++) {
		if (x->at == f->rip) {
			f->rip = x->go_on;
			return true;
		}
	}
	return false;
}

/* Called by gate_trap_ring0; the base of GS may still be the guest's, so no this_cpu() before that is known. */
void metal_trap(struct hyp_frame *f)
{
	switch (f->vector) {
	case X86_DB:
		/*
		 * A guest that single-steps into SYSENTER, or breaks on the word before SYSCALL, traps at our
		 * door. Its flags are saved; ring 0 goes on without stepping.
		 */
		f->rflags &= ~X86_FL_TF;
		return;
	case X86_TS: case X86_NP: case X86_SS: case X86_GP: case X86_PF:
		if (fix_up(f))
			return;
		break;
	default:
		if (f->vector >= 32 && interrupt((unsigned)f->vector))
			return;
		break;
	}
	panic_frame(f, f->vector < 32 ? "exception in the hypervisor" : "unexpected interrupt");
}
