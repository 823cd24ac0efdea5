/* SPDX-License-Identifier: MIT */
/*
 * The home without any CPU; see testplat.h. Violations of platform.h's contract by the core abort
 * the test with one line, so that a debugger or a core file shows who did it.
 */
#include <cpuid.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testplat.h"

struct testplat tp;

__attribute__((noreturn, format(printf, 1, 2))) static void violation(const char *fmt, ...)
{
	va_list ap;

	fputs("testplat: contract violation: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void record(enum tp_call call, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct tp_record *r;

	if (tp.threaded)
		return;
	r = &tp.record[tp.records++ % TP_RECORDS];
	tp.calls[call]++;
	*r = (struct tp_record){call, {a, b, c, d}};
}

void testplat_start(uint64_t frames)
{
	memset(&tp, 0, sizeof(tp));
	tp.info = (struct plat_info){
		.frames = frames,
		.pcpus = 1,
		.tsc_khz = 1000000,
		.slot256_visible = true,
		.raises_nm = true,
		.guest_reads_native_cpuid = false,
		.name = "unit test",
	};
	tp.memory = aligned_alloc(PAGE_SIZE, frames * PAGE_SIZE);
	tp.pt_level = calloc(frames, 1);
	tp.unusable = calloc(frames, sizeof(bool));
	if (!tp.memory || !tp.pt_level || !tp.unusable)
		violation("no memory for a machine of %llu frames", (unsigned long long)frames);
	memset(tp.memory, 0, frames * PAGE_SIZE);
	/* Frame 0 belongs to nobody; frame 1 stands for the home's own page tables under slot 258.
	 */
	tp.unusable[0] = true;
	tp.unusable[1] = true;
	tp.root_slot[258 - 256] = PAGE_SIZE | PTE_P | PTE_RW | PTE_A;
	tp.tsc = 1000000;
	tp.tsc_step = 10;
	tp.wallclock_ns = UINT64_C(1700000000) * 1000000000;
}

void testplat_stop(void)
{
	free(tp.memory);
	free(tp.pt_level);
	free(tp.unusable);
	tp.memory = NULL;
	tp.pt_level = NULL;
	tp.unusable = NULL;
}

void testplat_clear(void)
{
	memset(tp.calls, 0, sizeof(tp.calls));
	tp.records = 0;
	tp.log_len = tp.console_len = 0;
	tp.log[0] = tp.console[0] = 0;
}

const struct tp_record *testplat_last(enum tp_call call)
{
	for (uint64_t i = 0; i < TP_RECORDS && i < tp.records; i++) {
		const struct tp_record *r = &tp.record[(tp.records - 1 - i) % TP_RECORDS];

		if (r->call == call)
			return r;
	}
	return NULL;
}

struct tp_vcpu *tp_vcpu(struct vcpu *v)
{
	return v->plat;
}

/* ---- the machine ---- */

const struct plat_info *plat_info(void)
{
	return &tp.info;
}

bool plat_frame_usable(mfn_t mfn)
{
	return mfn.n < tp.info.frames && !tp.unusable[mfn.n];
}

void *plat_frame_ptr(mfn_t mfn)
{
	if (mfn.n >= tp.info.frames)
		violation("plat_frame_ptr(%#llx) is beyond the machine", (unsigned long long)mfn.n);
	return tp.memory + mfn.n * PAGE_SIZE;
}

void plat_frames_fill(mfn_t first, const void *data, size_t len)
{
	memcpy(plat_frame_ptr(first), data, len);
	for (uint64_t i = 0; i << PAGE_SHIFT < len; i++)
		plat_frame_dirty(MFN(first.n + i));
}

void plat_frames_zero(mfn_t first, uint64_t nr)
{
	memset(plat_frame_ptr(first), 0, nr * PAGE_SIZE);
	for (uint64_t i = 0; i < nr; i++)
		plat_frame_dirty(MFN(first.n + i));
}

void plat_frame_dirty(mfn_t mfn)
{
	if (mfn.n >= tp.info.frames)
		violation("plat_frame_dirty(%#llx)", (unsigned long long)mfn.n);
	record(TP_DIRTY, mfn.n, 0, 0, 0);
}

/* ---- page tables ---- */

static uint64_t *pt_slot(mfn_t table, unsigned index, unsigned level)
{
	if (table.n >= tp.info.frames || index > 511)
		violation("page-table store to %#llx[%u]", (unsigned long long)table.n, index);
	if (tp.pt_level[table.n] != level)
		violation("page-table store of level %u to frame %#llx, which is of level %u",
			  level, (unsigned long long)table.n, tp.pt_level[table.n]);
	return (uint64_t *)(void *)(tp.memory + table.n * PAGE_SIZE) + index;
}

uint64_t plat_pt_write(mfn_t table, unsigned index, uint64_t entry, unsigned level)
{
	uint64_t old = __atomic_exchange_n(pt_slot(table, index, level), entry, __ATOMIC_SEQ_CST);

	record(TP_PT_WRITE, table.n, index, entry, old);
	return old;
}

bool plat_pt_cmpxchg(mfn_t table, unsigned index, uint64_t *expected, uint64_t entry,
		     unsigned level)
{
	uint64_t old = *expected;

	if (!__atomic_compare_exchange_n(pt_slot(table, index, level), expected, entry, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	record(TP_PT_WRITE, table.n, index, entry, old);
	return true;
}

void plat_pt_enter(mfn_t mfn, unsigned level)
{
	if (mfn.n >= tp.info.frames || level < 1 || level > 4)
		violation("plat_pt_enter(%#llx, %u)", (unsigned long long)mfn.n, level);
	if (tp.pt_level[mfn.n])
		violation("plat_pt_enter(%#llx, %u), which is a page table of level %u",
			  (unsigned long long)mfn.n, level, tp.pt_level[mfn.n]);
	tp.pt_level[mfn.n] = (uint8_t)level;
	record(TP_PT_ENTER, mfn.n, level, 0, 0);
}

void plat_pt_leave(mfn_t mfn, unsigned level)
{
	if (mfn.n >= tp.info.frames || tp.pt_level[mfn.n] != level || !level)
		violation("plat_pt_leave(%#llx, %u), which is of level %u",
			  (unsigned long long)mfn.n, level,
			  mfn.n < tp.info.frames ? tp.pt_level[mfn.n] : 0);
	tp.pt_level[mfn.n] = 0;
	record(TP_PT_LEAVE, mfn.n, level, 0, 0);
}

uint64_t plat_root_slot(const struct domain *d, unsigned slot)
{
	if (slot < 256 || slot > 271)
		violation("plat_root_slot(%u)", slot);
	return tp.root_slot[slot - 256];
}

void plat_tlb_flush(uint64_t pcpus, enum plat_flush what, uint64_t va)
{
	record(TP_TLB_FLUSH, pcpus, what, va, 0);
}

void plat_base_changed(struct vcpu *v)
{
	(void)v;
}

/* ---- running guests ---- */

static _Thread_local unsigned thread_cpu;

void testplat_thread_is(unsigned cpu)
{
	thread_cpu = cpu;
}

unsigned plat_cpu_id(void)
{
	bool (*between)(void) = tp.between;

	if (!tp.threaded && between) {
		tp.between = NULL; /* he asks for it, too */
		if (!between())
			tp.between = between;
	}
	return tp.threaded ? thread_cpu : tp.cpu;
}

void plat_cpu_run(struct vcpu *v, struct trap *t)
{
	record(TP_RUN, v->domain->id, v->id, 0, 0);
	*t = (struct trap){.cause = TRAP_KICK};
	if (tp.run)
		tp.run(v, t);
}

void plat_cpu_switch(struct vcpu *from, struct vcpu *to)
{
	record(TP_SWITCH, (uintptr_t)from, (uintptr_t)to, 0, 0);
}

int plat_vcpu_init(struct vcpu *v)
{
	int error = tp.vcpu_init_error;

	tp.vcpu_init_error = 0;
	if (error)
		return error;
	v->plat = calloc(1, sizeof(struct tp_vcpu));
	if (!v->plat)
		return -XEN_ENOMEM;
	tp_vcpu(v)->xcr0 = 1;
	tp_vcpu(v)->debugreg[6] = 0xffff0ff0;
	tp_vcpu(v)->debugreg[7] = 0x400;
	return 0;
}

void plat_vcpu_free(struct vcpu *v)
{
	free(v->plat);
	v->plat = NULL;
}

uint16_t plat_seg_get(struct vcpu *v, enum plat_seg seg)
{
	return tp_vcpu(v)->selector[seg];
}

/* As the hardware: null is fine, otherwise a present code or data descriptor within the GDT. */
static bool selector_loads(struct vcpu *v, uint16_t selector)
{
	unsigned index = selector >> 3;
	uint64_t desc;

	if (selector < 4)
		return true;
	if ((selector & 4) || index >= v->arch.gdt_entries)
		return index >= 7168; /* the home's own flat segments */
	memcpy(&desc, (uint8_t *)plat_frame_ptr(v->arch.gdt_frames[index / 512]) + index % 512 * 8,
	       8);
	return (desc >> 47 & 1) && (desc >> 44 & 1);
}

int plat_seg_load(struct vcpu *v, enum plat_seg seg, uint16_t selector)
{
	int rc = selector_loads(v, selector) ? 0 : -XEN_EFAULT;

	tp_vcpu(v)->selector[seg] = rc ? 0 : selector;
	record(TP_SEG_LOAD, seg, selector, (uint64_t)(int64_t)rc, 0);
	return rc;
}

uint64_t plat_base_get(struct vcpu *v, enum plat_seg seg)
{
	return tp_vcpu(v)->base[seg];
}

void plat_base_set(struct vcpu *v, enum plat_seg seg, uint64_t base)
{
	tp_vcpu(v)->base[seg] = base;
	record(TP_BASE_SET, seg, base, 0, 0);
}

void plat_descriptors_changed(struct vcpu *v)
{
	tp_vcpu(v)->descriptor_changes++;
	record(TP_DESCRIPTORS, v->domain->id, v->id, 0, 0);
}

void plat_debugreg_set(struct vcpu *v, unsigned n, uint64_t value)
{
	if (n > 7 || n == 4 || n == 5)
		violation("plat_debugreg_set(%u)", n);
	tp_vcpu(v)->debugreg[n] = value;
	record(TP_DEBUGREG_SET, n, value, 0, 0);
}

uint64_t plat_debugreg_get(struct vcpu *v, unsigned n)
{
	if (n > 7 || n == 4 || n == 5)
		violation("plat_debugreg_get(%u)", n);
	return tp_vcpu(v)->debugreg[n];
}

void plat_xcr0_set(struct vcpu *v, uint64_t xcr0)
{
	tp_vcpu(v)->xcr0 = xcr0;
	record(TP_XCR0_SET, xcr0, 0, 0, 0);
}

void plat_ts_set(struct vcpu *v, bool set)
{
	tp_vcpu(v)->ts = set;
	record(TP_TS_SET, set, 0, 0, 0);
}

void plat_fpu_set(struct vcpu *v, const void *fxsave)
{
	memcpy(tp_vcpu(v)->fpu, fxsave, sizeof(tp_vcpu(v)->fpu));
}

void plat_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	if (tp.cpuid)
		tp.cpuid(leaf, subleaf, out);
	else
		__cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

/* ---- time ---- */

uint64_t plat_tsc(void)
{
	struct timespec t;

	if (tp.threaded) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
	}
	return tp.tsc += tp.tsc_step;
}

uint64_t plat_wallclock_ns(void)
{
	return tp.wallclock_ns + tp.tsc * 1000000 / tp.info.tsc_khz;
}

void plat_timer_set(uint64_t tsc)
{
	if (!tp.threaded)
		tp.timer = tsc;
	record(TP_TIMER_SET, tsc, 0, 0, 0);
}

void plat_cpu_idle(void)
{
	record(TP_IDLE, 0, 0, 0, 0);
	if (tp.idle)
		tp.idle();
	else if (tp.timer > tp.tsc)
		tp.tsc = tp.timer;
}

void plat_cpu_kick(unsigned pcpu)
{
	if (pcpu >= tp.info.pcpus)
		violation("plat_cpu_kick(%u) of %u", pcpu, tp.info.pcpus);
	record(TP_KICK, pcpu, 0, 0, 0);
}

void plat_cpu_relax(unsigned spins)
{
	if (spins > 100)
		sched_yield();
}

void plat_poll(void)
{
	record(TP_POLL, 0, 0, 0, 0);
	if (tp.poll)
		tp.poll();
}

/* ---- people ---- */

static void append(char *text, size_t *len, const char *s, size_t n)
{
	size_t room = TP_TEXT - 1 - *len;

	n = n < room ? n : room;
	memcpy(text + *len, s, n);
	*len += n;
	text[*len] = 0;
}

void plat_log(int level, const char *line, size_t len)
{
	(void)level;
	append(tp.log, &tp.log_len, line, len);
	append(tp.log, &tp.log_len, "\n", 1);
	if (getenv("TESTPLAT_VERBOSE"))
		fprintf(stderr, "log: %.*s\n", (int)len, line);
}

void plat_console_write(struct domain *d, const char *buf, size_t len)
{
	append(tp.console, &tp.console_len, buf, len);
	record(TP_CONSOLE, d->id, len, 0, 0);
}

void plat_panic(const char *line)
{
	snprintf(tp.panic_line, sizeof(tp.panic_line), "%s", line);
	if (tp.panic_jmp)
		longjmp(*tp.panic_jmp, 1);
	fprintf(stderr, "testplat: the core panics: %s\n", line);
	abort();
}

void plat_domain_shutdown(struct domain *d, unsigned reason)
{
	tp.shutdown_reason = reason;
	record(TP_SHUTDOWN, d->id, reason, 0, 0);
}
