/* SPDX-License-Identifier: MIT */
/* Macros that the bare-metal gate's files share. */
#ifndef XENOPUS_GATE_MACROS_H
#define XENOPUS_GATE_MACROS_H

	/* An instruction that start-up replaces by a no-op when the processor or the command line lacks @feature. */
	.macro	when feature:req, instruction:vararg
86:	\instruction
87:
	.pushsection .alternatives, "a"
	.quad	86b
	.long	87b - 86b, \feature
	.popsection
	.endm

	/* The hypervisor's own page tables, where the guest's do not show it. */
	.macro	load_hypervisor_cr3 tmp
	when	GATE_ALT_SPLIT, movq gate_hyp_cr3(%rip), \tmp
	when	GATE_ALT_SPLIT, movq \tmp, %cr3
	.endm

#endif
