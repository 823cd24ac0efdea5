/* SPDX-License-Identifier: MIT */
/*
 * A home without any CPU, for unit tests: every function of platform.h over ordinary memory. Guests
 * "run" by a function of the test; whatever the core asks of the platform is recorded and can be
 * looked at. It also watches the core: page-table stores outside page tables, unbalanced enter and
 * leave, and frames beyond the machine stop the test at once.
 *
 * Use: testplat_start() in a test's setup, core functions, testplat_stop() in its teardown.
 * Environment: TESTPLAT_VERBOSE=1 prints the hypervisor log.
 */
#ifndef XENOPUS_TESTPLAT_H
#define XENOPUS_TESTPLAT_H

#include <setjmp.h>

#include "xenopus/domain.h"
#include "xenopus/platform.h"

/** enum tp_call - what was called; index of testplat.calls[] and kind of a record. */
enum tp_call {
	TP_DIRTY,     /* mfn */
	TP_PT_WRITE,  /* table, index, new entry, old entry */
	TP_PT_ENTER,  /* mfn, level */
	TP_PT_LEAVE,  /* mfn, level */
	TP_TLB_FLUSH, /* pcpus, what, va */
	TP_RUN,		 /* domain id, vcpu id */
	TP_SWITCH,	 /* from, to (pointers) */
	TP_DESCRIPTORS,	 /* domain id, vcpu id */
	TP_SEG_LOAD,	 /* seg, selector, result */
	TP_BASE_SET,	 /* seg, base */
	TP_DEBUGREG_SET, /* number, value */
	TP_XCR0_SET,	 /* value */
	TP_TS_SET,	 /* value */
	TP_TIMER_SET,	 /* tsc */
	TP_IDLE,
	TP_KICK, /* pcpu */
	TP_POLL,
	TP_CONSOLE,  /* domain id, bytes */
	TP_SHUTDOWN, /* domain id, reason */
	TP_CALLS
};

struct tp_record {
	enum tp_call call;
	uint64_t arg[4];
};

#define TP_RECORDS 4096u
#define TP_TEXT	   65536u

/** struct tp_vcpu - the home's state of a virtual CPU (v->plat), see tp_vcpu(). */
struct tp_vcpu {
	uint16_t selector[6];
	uint64_t base[6];
	uint64_t debugreg[8];
	uint64_t xcr0;
	bool ts;
	uint8_t fpu[512]; /* as plat_fpu_set() had it */
	unsigned descriptor_changes;
};

/**
 * struct testplat - the machine; tests read and set the fields freely.
 * @info: what plat_info() returns; change it before mm_init()
 * @memory: @info.frames * 4096 bytes, zero at start
 * @pt_level: per frame, the level it was entered with, 0: none
 * @unusable: per frame, what plat_frame_usable() denies
 * @root_slot: answers of plat_root_slot(), index 0 is slot 256
 * @calls: how often each function was called since testplat_start() or testplat_clear()
 * @record, @records: the last TP_RECORDS calls; record n is record[n % TP_RECORDS]
 * @tsc, @tsc_step: the clock, and what every reading adds to it (1 tick is 1 ns at the default
 * frequency)
 * @wallclock_ns: plat_wallclock_ns() at TSC 0
 * @cpu: what plat_cpu_id() returns
 * @threaded: each thread is a physical CPU (testplat_thread_is()), the clock is the host's, and nothing is recorded
 * @run: stands for the guest in plat_cpu_run(); NULL: TRAP_KICK at once
 * @idle: called by plat_cpu_idle(); NULL: the clock jumps to the timer's deadline
 * @poll: called by plat_poll(), may be NULL
 * @between: called by plat_cpu_id() until it says true, that somebody else came in between; may be NULL
 * @cpuid: called by plat_cpuid(); NULL: the native instruction
 * @panic_jmp: where plat_panic() goes (longjmp 1), NULL: it aborts
 * @vcpu_init_error: returned by the next plat_vcpu_init(), then 0 again
 * @log, @console: everything that was logged / written to consoles, as strings
 */
struct testplat {
	struct plat_info info;
	uint8_t *memory;
	uint8_t *pt_level;
	bool *unusable;
	uint64_t root_slot[16];
	uint64_t calls[TP_CALLS];
	struct tp_record record[TP_RECORDS];
	uint64_t records;
	uint64_t tsc, tsc_step, wallclock_ns;
	uint64_t timer;
	unsigned cpu;
	bool threaded;
	void (*run)(struct vcpu *v, struct trap *t);
	void (*idle)(void);
	void (*poll)(void);
	bool (*between)(void);
	void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
	jmp_buf *panic_jmp;
	char panic_line[256];
	int vcpu_init_error;
	unsigned shutdown_reason;
	char log[TP_TEXT], console[TP_TEXT];
	size_t log_len, console_len;
};

extern struct testplat tp;

/** testplat_start() - a new machine of @frames zeroed frames, one CPU, everything else at its
 * default. */
void testplat_start(uint64_t frames);
/** testplat_stop() - give the memory back. */
void testplat_stop(void);
/** testplat_clear() - forget calls, records, log and console output. */
void testplat_clear(void);
/** testplat_last() - the newest record of @call, NULL when there is none among the last TP_RECORDS.
 */
const struct tp_record *testplat_last(enum tp_call call);
/** testplat_thread_is() - the calling thread is physical CPU @cpu; with tp.threaded. */
void testplat_thread_is(unsigned cpu);
/** tp_vcpu() - the home's state of @v. */
struct tp_vcpu *tp_vcpu(struct vcpu *v);

#endif
