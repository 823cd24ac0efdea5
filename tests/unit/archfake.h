/* SPDX-License-Identifier: MIT */
/*
 * archfake.h - core/arch/x86 alone: everything around it is made of strings and sealing wax
 *
 * Guest memory is two windows, one in kernel and one in user addresses, of which a range can be made
 * unreachable. Page-table bases, descriptor tables, hypercalls and crashes are recorded.
 */
#ifndef XENOPUS_TESTS_ARCHFAKE_H
#define XENOPUS_TESTS_ARCHFAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <xenopus/domain.h>
#include <xenopus/hypercall.h>
#include <xenopus/layout.h>
#include "testplat.h"

#define KERNEL_VA   UINT64_C(0xffff888000000000)
#define USER_VA	    UINT64_C(0x0000000000400000)
#define WINDOW	    UINT64_C(0x8000)
#define KERNEL_CODE (KERNEL_VA + 0x100)
#define KERNEL_SP   (KERNEL_VA + 0x4000)
#define USER_CODE   (USER_VA + 0x100)
#define USER_SP	    (USER_VA + 0x4000)

/* The machine frame that is the guest's to write. */
#define FAKE_OWN_FRAME 7

/**
 * struct fake - the machine around one virtual CPU
 * @hole, @hole_end: guest addresses that fault
 * @crashed, @crash: domain_crash() was called, with this line
 * @hypercalls: how often hypercall_dispatch() was reached
 * @ptwr, @ptwr_answer: calls of mm_ptwr_emulate() and what it returns
 * @preempt_after: hypercall_preempt() says yes at this call, 0: never
 * @base_rc: what mm_set_kernel_base() returns
 */
struct fake {
	uint8_t kernel[WINDOW], user[WINDOW];
	uint64_t hole, hole_end;
	bool crashed;
	char crash[256];
	unsigned hypercalls, ptwr, preempt_after, preempt_calls;
	bool ptwr_answer;
	int base_rc, gdt_rc;
	unsigned gdts, drops;
	int frame_refs;
	struct domain d;
	struct vcpu v;
	struct vcpu_info info;
};

extern struct fake fake;

/** fake_setup() / fake_teardown() - cmocka fixtures: a virtual CPU in kernel mode, no handlers. */
int fake_setup(void **state);
int fake_teardown(void **state);

/** fake_mem() - where guest address @va is. */
void *fake_mem(uint64_t va);
/** fake_code() - put code (hex digits) where the virtual CPU is, in kernel or user mode. */
void fake_code(bool kernel, const char *hex);
/** fake_user() - switch to user mode without going through the core. */
void fake_user(void);
/** fake_handler() - register a handler for @vector. */
void fake_handler(unsigned vector, uint64_t rip, unsigned dpl, bool masks);
/** fake_trap() - let the guest trap with an exception. */
void fake_trap(unsigned vector, uint32_t error, uint64_t cr2);

#endif
