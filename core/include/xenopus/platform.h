/* SPDX-License-Identifier: MIT */
/*
 * The only door out of the core: what a backend (home) gives. The core calls these functions; each
 * backend defines them at link time. The undefined symbols of the core's archive are exactly the
 * functions of this file (a test checks that), plus memcpy, memset, memmove and memcmp.
 *
 * Whatever does not fit here belongs in a backend.
 */
#ifndef XENOPUS_PLATFORM_H
#define XENOPUS_PLATFORM_H

#include "types.h"
#include "gate.h"

/* ---- the machine ---- */

/**
 * struct plat_info - facts about the machine, constant after start.
 * @frames: machine frames are numbered 0 .. @frames - 1; frame 0 is never given to anyone
 * @pcpus: physical CPUs, at least 1
 * @tsc_khz: frequency of the time-stamp counter that guests read
 * @slot256_visible: ring 3 can read what L4 slot 256 maps (the traditional M2P place can be offered)
 * @raises_nm: a set CR0.TS makes FPU use trap with #NM
 * @guest_reads_native_cpuid: a bare CPUID in ring 3 does not trap
 * @memory_dirty: usable frames may hold anything at start, not only zeros; the core clears each before its use
 * @l1tf: entries of page tables that are not present may still be read through (L1 Terminal Fault), so those of
 *	guests must not name memory
 * @name: of the home, for the log ("hosted on KVM", ...)
 */
struct plat_info {
	uint64_t frames;
	unsigned pcpus;
	uint32_t tsc_khz;
	bool slot256_visible;
	bool raises_nm;
	bool guest_reads_native_cpuid;
	bool l1tf;
	bool memory_dirty;
	const char *name;
};

const struct plat_info *plat_info(void);

/** plat_frame_usable() - is @mfn memory that the core may use (not reserved by home or firmware)? */
bool plat_frame_usable(mfn_t mfn);

/** plat_frame_ptr() - where the core sees machine frame @mfn (4096 bytes). Never fails. */
void *plat_frame_ptr(mfn_t mfn);

/**
 * plat_frame_dirty() - the core has stored into guest-ownable frame @mfn by its plat_frame_ptr() (copy to
 * guest, scrub, shared area), not by plat_pt_write(). A shadowing host must not trust what it remembers of
 * that frame when it next becomes a page table. Cheap; call it after the store.
 */
void plat_frame_dirty(mfn_t mfn);

/**
 * plat_frames_fill() - store @len bytes from @data into the frames from @first on, and plat_frame_dirty() each of them:
 * for a lot of data, into frames that probably nobody has touched yet. Never fails.
 */
void plat_frames_fill(mfn_t first, const void *data, size_t len);

/**
 * plat_frames_zero() - clear the @nr frames from @first on, and plat_frame_dirty() each of them. A home whose frames are zero
 * and take nothing until they are touched leaves those alone that nobody touched. Never fails.
 */
void plat_frames_zero(mfn_t first, uint64_t nr);

/* ---- page tables that the hardware walks ---- */

/**
 * plat_pt_write() - replace entry @index of the page-table frame @table (of @level 1..4), atomically.
 * The core sees the new value at once; guests see it when they next run and, for a present entry
 * that was replaced, after the next plat_tlb_flush() that covers it.
 * Returns the old entry (with accessed and dirty bits as the hardware left them).
 */
uint64_t plat_pt_write(mfn_t table, unsigned index, uint64_t entry, unsigned level);

/**
 * plat_pt_cmpxchg() - as plat_pt_write(), only when the entry still equals *@expected.
 * Returns true when stored; otherwise false with the present value in *@expected.
 */
bool plat_pt_cmpxchg(mfn_t table, unsigned index, uint64_t *expected, uint64_t entry, unsigned level);

/** plat_pt_enter() - frame @mfn becomes a page table of @level; its 512 entries are final by now. */
void plat_pt_enter(mfn_t mfn, unsigned level);

/** plat_pt_leave() - frame @mfn ceases to be a page table of @level. */
void plat_pt_leave(mfn_t mfn, unsigned level);

/**
 * plat_root_slot() - the home's own entry for reserved L4 slot @slot (256..271): the gate and
 * whatever ring 0 needs under every guest. 0 where the home uses nothing. The core copies these
 * (and its own M2P slots) into every L4 frame of @d that it validates (@d may be NULL: tables of no domain).
 */
uint64_t plat_root_slot(const struct domain *d, unsigned slot);

enum plat_flush { PLAT_FLUSH_ALL, PLAT_FLUSH_VA };

/**
 * plat_tlb_flush() - flush the TLBs of the physical CPUs in bitmap @pcpus before they enter a guest the next
 * time, and see to it that every store made by plat_pt_*() before, on whichever CPU, is seen by them then. Those in a
 * guest now the core brings out of it afterwards, and waits for them.
 */
void plat_tlb_flush(uint64_t pcpus, enum plat_flush what, uint64_t va);

/**
 * plat_base_changed() - @v, which this physical CPU works for, has other page tables (gate.cr3_kernel, cr3_user)
 * from now on. When this returns the CPU itself does not stand on the old ones any more.
 */
void plat_base_changed(struct vcpu *v);

/* ---- running guests ---- */

enum trap_cause {
	TRAP_EXCEPTION, /* vector, error code, CR2 for #PF */
	TRAP_SYSCALL,   /* SYSCALL instruction: regs.rcx/r11 hold return RIP and RFLAGS as hardware does;
			 * regs.rip and rflags already hold the guest's (next RIP, RFLAGS before SYSCALL) */
	TRAP_SYSCALL32, /* SYSCALL from compatibility mode (AMD); registers as for TRAP_SYSCALL */
	TRAP_SYSENTER,  /* SYSENTER: hardware saved neither RIP nor RSP; regs.rip and rsp are 0 */
	TRAP_BAD_RETURN, /* going back to the guest failed: CS, SS or RIP in regs cannot be loaded (the
			  * failsafe callback's case); vector and error say how */
	TRAP_SOFT_INT,  /* INT n through a gate; vector = n, regs.rip is after the instruction */
	TRAP_NMI,       /* hardware NMI, for the home's own use only */
	TRAP_KICK,      /* timer, kick from another CPU, or work for plat_poll() */
	TRAP_HANDLED,   /* the home has told core_trap() or core_hypercall(), which wants to look around */
};

struct trap {
	enum trap_cause cause;
	unsigned vector;
	uint32_t error;
	uint64_t cr2;
};

/** plat_cpu_id() - number of the physical CPU this code runs on. */
unsigned plat_cpu_id(void);

/**
 * plat_cpu_run() - run virtual CPU @v in ring 3 with v->gate's registers and page tables until it
 * traps. On return v->gate.regs hold the guest's registers and *@t the cause. Always called with the
 * same @v as the last plat_cpu_switch() on this physical CPU.
 */
void plat_cpu_run(struct vcpu *v, struct trap *t);

/**
 * plat_cpu_switch() - this physical CPU stops running @from and goes on with @to (either may be NULL).
 * Moves everything that is not in v->gate.regs: FPU/AVX state, selectors, segment bases, debug registers,
 * XCR0, descriptor tables.
 */
void plat_cpu_switch(struct vcpu *from, struct vcpu *to);

/** plat_vcpu_init() / plat_vcpu_free() - the home's own state of a virtual CPU (v->plat). 0 or -errno. */
int plat_vcpu_init(struct vcpu *v);
void plat_vcpu_free(struct vcpu *v);

enum plat_seg { PLAT_ES, PLAT_CS, PLAT_SS, PLAT_DS, PLAT_FS, PLAT_GS };

/**
 * plat_seg_get() / plat_seg_load() - the data segment selectors of @v. Load reads the descriptor from
 * v's GDT or LDT as the hardware would; returns 0, or -XEN_EFAULT where the load would fault (the
 * selector is then null).
 */
uint16_t plat_seg_get(struct vcpu *v, enum plat_seg seg);
int plat_seg_load(struct vcpu *v, enum plat_seg seg, uint16_t selector);

/**
 * plat_base_get() / plat_base_set() - base address of FS or GS as ring 3 sees it now. With FSGSBASE the
 * guest changes it by itself, so the register, not memory, is the truth. Set takes canonical values.
 */
uint64_t plat_base_get(struct vcpu *v, enum plat_seg seg);
void plat_base_set(struct vcpu *v, enum plat_seg seg, uint64_t base);

/**
 * plat_descriptors_changed() - v->arch.gdt_frames/gdt_entries/ldt_base/ldt_entries or the content of a
 * descriptor page in use changed; take it over before @v runs again.
 */
void plat_descriptors_changed(struct vcpu *v);

/** plat_debugreg_set() / plat_debugreg_get() - debug register @n (0-3, 6, 7) of @v; checked by the core. */
void plat_debugreg_set(struct vcpu *v, unsigned n, uint64_t value);
uint64_t plat_debugreg_get(struct vcpu *v, unsigned n);

/** plat_xcr0_set() - give @v another XCR0 (already checked against CPUID; the core remembers it). */
void plat_xcr0_set(struct vcpu *v, uint64_t xcr0);

/** plat_ts_set() - set or clear CR0.TS for @v (fpu_taskswitch); a no-op where raises_nm is false. */
void plat_ts_set(struct vcpu *v, bool set);

/**
 * plat_fpu_set() - x87 and SSE state of @v, which has not run yet: the first 512 bytes as FXSAVE stores them, straight from
 * a guest, so whatever the processor would refuse is left out. Everything else of the vector state is as at reset.
 */
void plat_fpu_set(struct vcpu *v, const void *fxsave);

/** plat_cpuid() - the native CPUID instruction's answer; @out is eax, ebx, ecx, edx. */
void plat_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* ---- time ---- */

/** plat_tsc() - the time-stamp counter as guests read it (monotonic over all physical CPUs). */
uint64_t plat_tsc(void);

/** plat_wallclock_ns() - nanoseconds since 1970-01-01 UTC. */
uint64_t plat_wallclock_ns(void);

/** plat_timer_set() - let plat_cpu_run() on this CPU return with TRAP_KICK at @tsc at the latest; 0: off. */
void plat_timer_set(uint64_t tsc);

/** plat_cpu_idle() - nothing to run: sleep until the timer of plat_timer_set(), a kick, or home work. */
void plat_cpu_idle(void);

/** plat_cpu_kick() - make physical CPU @pcpu return from plat_cpu_run() or plat_cpu_idle() soon, also when it is only
 * about to call them. */
void plat_cpu_kick(unsigned pcpu);

/**
 * plat_cpu_relax() - one turn of waiting for another physical CPU; @spins says how many went before. May let
 * the host run somebody else.
 */
void plat_cpu_relax(unsigned spins);

/** plat_poll() - called by each CPU loop outside any guest: the home does work it was asked for from outside. */
void plat_poll(void);

/* ---- people ---- */

/*
 * These are called on any physical CPU, so a home keeps what several say at once apart by itself.
 */

/** plat_log() - a finished line of the hypervisor log, without newline. @level is enum log_level. */
void plat_log(int level, const char *line, size_t len);

/** plat_console_write() - output of @d's console (console_io or console ring), any bytes. */
void plat_console_write(struct domain *d, const char *buf, size_t len);

/** plat_panic() - a core invariant is broken; stop the machine with a backtrace. */
__attribute__((noreturn)) void plat_panic(const char *line);

/**
 * plat_domain_shutdown() - @d has stopped for @reason (SHUTDOWN_*, xen/sched.h); called once, from the
 * loop of physical CPU 0, after its virtual CPUs are descheduled.
 */
void plat_domain_shutdown(struct domain *d, unsigned reason);

#endif
