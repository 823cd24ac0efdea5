/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls without SYSCALL.
 *
 * On some hosts that virtualise by software SYSCALL in ring 3 is an entry into the host's kernel and back, before the
 * door's OUT is another: a hypercall pays for two. An OUT instead of the SYSCALL pays for one. Both are two bytes
 * long, so there the SYSCALL of a guest kernel's hypercall is replaced by that OUT when it is first made:
 *
 *	0f 05  syscall   -->   e6 ff  out %al,$0xff
 *
 * The registers are then made what SYSCALL makes of them, so the kernel cannot tell, unless it reads its own code.
 * That an OUT is a hypercall is known by its machine address, which is remembered here; elsewhere
 * ring 3 gets the #GP it deserves. Should user code run the same bytes, it is a system call, as before.
 *
 * Whether it pays is measured at the start (probe.c); if it does, there is no attendant (door.c), who listens at the
 * SYSCALL's door. Left alone are domains with several virtual CPUs, as one may fetch what another writes, and code
 * in frames that the domain does not own or could not write to.
 */
#include "machine.h"

#define SYSCALL_CODE 0x050f
#define OUT_CODE     (0xe6 | GATE_PORT_LSTAR << 8)
#define CODE_LEN     2
#define CACHE_LINE   64

static uint64_t machine_address(struct vcpu *v, uint64_t va)
{
	uint64_t entry = mm_walk(v, va, NULL);

	return entry ? (entry & PTE_ADDR) | (va & (PAGE_SIZE - 1)) : 0;
}

static bool known(const struct kvcpu *k, uint64_t at)
{
	for (unsigned i = 0; i < k->nr_shortcuts; i++)
		if (k->shortcuts[i] == at)
			return true;
	return false;
}

void shortcut_make(struct kvcpu *k, struct vcpu *v)
{
	uint64_t at, site = v->gate.regs.rip - CODE_LEN;
	uint8_t *page;

	if (!machine.traits.syscall_dear || v->domain->max_vcpus != 1 || k->nr_shortcuts == MAX_SHORTCUTS)
		return;
	/* In one piece, whatever the processor has fetched already. */
	if (site % CACHE_LINE > CACHE_LINE - CODE_LEN)
		return;
	at = machine_address(v, site);
	page = at ? mm_map_shared(v->domain, MFN(at >> PAGE_SHIFT)) : NULL;
	if (!page)
		return;

	uint8_t *code = page + at % PAGE_SIZE;

	if ((code[0] | code[1] << 8) == SYSCALL_CODE) {
		const uint16_t out = OUT_CODE;

		__builtin_memcpy(code, &out, CODE_LEN);
		if (!known(k, at))
			k->shortcuts[k->nr_shortcuts++] = at;
	}
	mm_unmap_shared(page);
}

bool shortcut_taken(const struct kvcpu *k, struct vcpu *v)
{
	uint64_t at = k->nr_shortcuts ? machine_address(v, k->regs->rip - CODE_LEN) : 0;

	return at && k->sregs->cs.l && known(k, at);
}
