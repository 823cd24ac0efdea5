/* SPDX-License-Identifier: MIT */
/*
 * emul_m2p.c - reads of the machine-to-physical table at its traditional place, on hosts that hide it
 *
 * Kernels older than XENMEM_machphys_mapping, and small ones (Mini-OS), read the table where it has
 * always been, in L4 slot 256. Where ring 3 cannot see that slot the read faults, and is done here. What is
 * not an integer load, and what lies behind the table's end, stays the page fault that it is.
 */
#include "internal.h"
#include <xenopus/mm.h>

bool emulate_m2p_load(struct vcpu *v, const struct trap *t)
{
	uint64_t va, value;
	struct insn_regs regs;
	unsigned int size;
	struct insn insn;

	if (plat_info()->slot256_visible || !gate_kernel_mode(&v->gate) ||
	    (t->error & (PFEC_WRITE | PFEC_FETCH)))
		return false;
	if (arch_insn_fetch(v, &insn, &regs, NULL, NULL) != INSN_OK ||
	    !insn_plan_load(&insn, &regs, &va, &size) || !m2p_peek(va - RESERVED_VIRT_START, size, &value))
		return false;
	insn_execute_load(&insn, &regs, value);
	count_emulated(v, EMUL_M2P);
	arch_insn_retire(v, &regs);
	return true;
}
