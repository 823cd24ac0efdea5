/* SPDX-License-Identifier: MIT */
/* Virtual CPUs beside the first. */
#include "guest.h"

unsigned vcpu_possible(void)
{
	unsigned n = 0;

	while (HC3(vcpu_op, VCPUOP_is_up, n, 0) >= 0)
		n++;
	return n;
}

long vcpu_prepare(unsigned cpu, void (*fn)(unsigned cpu))
{
	return vcpu_prepare_fpu(cpu, fn, NULL);
}

long vcpu_prepare_fpu(unsigned cpu, void (*fn)(unsigned cpu), const void *fxsave)
{
	static struct vcpu_guest_context context;
	char *stack = page_alloc();

	memset(&context, 0, sizeof(context));
	context.flags = VGCF_in_kernel;
	if (fxsave) {
		context.flags |= VGCF_i387_valid;
		memcpy(&context.fpu_ctxt, fxsave, sizeof(context.fpu_ctxt));
	}
	context.user_regs.rip = (uint64_t)fn;
	context.user_regs.rsp = (uint64_t)stack + PAGE_SIZE - 8;
	context.user_regs.rdi = cpu;
	context.user_regs.rflags = RFLAGS_IF;
	context.user_regs.cs = FLAT_KERNEL_CS;
	context.user_regs.ss = FLAT_KERNEL_SS;
	context.kernel_ss = FLAT_KERNEL_SS;
	context.kernel_sp = (uint64_t)stack + PAGE_SIZE;
	context.ctrlreg[3] = kernel_l4_mfn * PAGE_SIZE;
	return HC3(vcpu_op, VCPUOP_initialise, cpu, &context);
}
