/* SPDX-License-Identifier: MIT */
/*
 * native.h - an instruction on the processor the test runs on, to compare with what the core makes of it
 */
#ifndef XENOPUS_TESTS_NATIVE_H
#define XENOPUS_TESTS_NATIVE_H

#include <xenopus/decode.h>

#define CF 0x001u
#define PF 0x004u
#define AF 0x010u
#define ZF 0x040u
#define SF 0x080u
#define DF 0x400u
#define OF 0x800u
#define ARITH (CF | PF | AF | ZF | SF | OF)

/** native_code_page() - a page to put instructions into, writable and executable */
uint8_t *native_code_page(void);

/** run_native() - call @code, which ends in ret, with @regs (all but rsp, r14, r15), and update them */
void run_native(const void *code, struct insn_regs *regs);

/** random_operand() - 64 bits, corners more often than they deserve */
uint64_t random_operand(void);

#endif
