/* SPDX-License-Identifier: MIT */
/* Hypercalls by inline SYSCALL: number in rax, arguments in rdi, rsi, rdx, r10, r8. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>

static inline long hypercall(unsigned nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
			     uint64_t a5)
{
	long ret;
	register uint64_t r10 __asm__("r10") = a4;
	register uint64_t r8 __asm__("r8") = a5;

	__asm__ volatile("syscall"
			 : "=a"(ret), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
			 : "0"((uint64_t)nr)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

#define PTR(p) ((uint64_t)(uintptr_t)(p))
#define HC0(n) hypercall(__HYPERVISOR_##n, 0, 0, 0, 0, 0)
#define HC1(n, a) hypercall(__HYPERVISOR_##n, (uint64_t)(a), 0, 0, 0, 0)
#define HC2(n, a, b) hypercall(__HYPERVISOR_##n, (uint64_t)(a), (uint64_t)(b), 0, 0, 0)
#define HC3(n, a, b, c) \
	hypercall(__HYPERVISOR_##n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0)
#define HC4(n, a, b, c, d) \
	hypercall(__HYPERVISOR_##n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0)

static inline long hc_update_va_mapping(uint64_t va, uint64_t pte, uint64_t flags)
{
	return HC3(update_va_mapping, va, pte, flags);
}

static inline long hc_mmu_update(const mmu_update_t *req, unsigned n, unsigned *done)
{
	return HC4(mmu_update, PTR(req), n, PTR(done), DOMID_SELF);
}

static inline long hc_event_channel_op(int cmd, void *arg)
{
	return HC2(event_channel_op, cmd, PTR(arg));
}

static inline long hc_sched_op(int cmd, void *arg)
{
	return HC2(sched_op, cmd, PTR(arg));
}

static inline long hc_vcpu_op(int cmd, unsigned id, void *arg)
{
	return HC3(vcpu_op, cmd, id, PTR(arg));
}

#endif
