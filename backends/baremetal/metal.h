/* SPDX-License-Identifier: MIT */
/*
 * The bare-metal home's own business: what its files tell each other. The picture of its address space is in
 * metal_layout.h, the order of start-up in start.c.
 */
#ifndef XENOPUS_METAL_H
#define XENOPUS_METAL_H

#include <xenopus/cpu.h>
#include <xenopus/platform.h>
#include <xenopus/domain.h>
#include "../gate/gate_offsets.h"
#include "metal_layout.h"
#include "cpu.h"

/**
 * struct percpu - a physical CPU; the base of GS in ring 0. The fields before @self are the gate's.
 * @cr3: what the CPU's CR3 holds; with split tables: when it is next in ring 3
 * @enter_key: with split tables: what @enter_cr3 was made of; else never a domain's
 * @flush: CR3 must be loaded anew before a guest runs
 * @loaded: whose FPU, selectors, bases, debug registers and descriptor window this CPU holds
 * @timer_tsc: what the timer is set to, 0: off
 * @apic_id: by which other CPUs reach it
 */
struct percpu {
	uint64_t host_rsp;
	struct gate_vcpu *gate;
	uint64_t scratch;
	uint64_t error;
	uint64_t trap_stack; /* its top, where traps from ring 3 push their frames */
	uint64_t cr3;
	uint64_t enter_cr3; /* with split tables: what to load on the way to ring 3 */
	struct percpu *self;
	unsigned id;
	bool flush;
	uint64_t enter_key;
	struct trap trap; /* what made the guest come here last */
	struct vcpu *loaded;
	unsigned last_domain; /* who has trained the branch predictors */
	uint64_t timer_tsc;
	uint32_t apic_id;
	uint64_t *reserved_gdt; /* page 14 of every GDT used on this CPU */
	uint64_t reserved_gdt_phys;
};

extern struct percpu cpu0;

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__("movq %%gs:%c1, %0" : "=r"(p) : "i"(offsetof(struct percpu, self)));
	return p;
}

/* Nothing that runs on a CPU moves to another, so the compiler may remember it. */
static inline unsigned this_cpu_id(void)
{
	unsigned id;

	__asm__("movl %%gs:%c1, %0" : "=r"(id) : "i"(offsetof(struct percpu, id)));
	return id;
}

/** struct hyp_frame - registers where ring 0 itself was interrupted (gate_trap_ring0). */
struct hyp_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/** struct metal_vcpu - v->plat. What is in the CPU while @v is loaded is here while it is not. */
struct metal_vcpu {
	unsigned window;
	uint64_t *all, *shown;       /* L1 tables of the window: the hypervisor's, the domain's own or NULL */
	struct window_tables *tables; /* NULL: not split */
	const struct vcpu_info *info_shown;
	struct gate_vcpu *gate;      /* v->gate where gate code sees it */
	uint16_t ds, es, fs, gs;
	uint64_t fs_base, gs_base;
	uint64_t dr[8];
	uint64_t xcr0;
	bool ts;
	void *fpu; /* fpu_size() bytes, 64-byte aligned */
};

/* Addresses the linker made. */
extern char image_start[], image_text_start[], image_rodata_start[],
	image_data_start[], image_end[], fixups_start[], fixups_end[], alternatives_start[], alternatives_end[];
extern char gate_text_end[], exposed_start[], exposed_end[], trap_stacks_start[], trap_stacks_end[];
extern char cpu0_stack_guard[], cpu0_stack_top[], cpu0_trap_stack_guard[], cpu0_trap_stack_top[],
	cpu0_nmi_stack_guard[], cpu0_nmi_stack_top[], cpu0_df_stack_guard[], cpu0_df_stack_top[],
	cpu0_mc_stack_guard[], cpu0_mc_stack_top[], cpu0_db_stack_guard[], cpu0_db_stack_top[];

/* gate_metal.S */
extern uint64_t gate_halt; /* NMIs halt the CPU they come to */
extern uint64_t gate_hyp_cr3; /* the hypervisor's own tables */
void gate_enter(struct gate_vcpu *g); /* returns when one of the next two, in run.c, says GATE_STOP */
unsigned metal_hypercall(void);       /* a hypercall, and */
unsigned metal_event(unsigned event); /* anything else that came from ring 3; GATE_STOP, GATE_IRET or GATE_SYSRET */
extern const char gate_syscall[], gate_syscall32[], gate_sysenter[], gate_stubs[];
int gate_load_ds(unsigned selector), gate_load_es(unsigned selector), gate_load_fs(unsigned selector),
	gate_load_gs(unsigned selector);

static inline void *phys_ptr(uint64_t phys)
{
	return (void *)(uintptr_t)(DIRECT_VIRT + phys);
}

/* bootinfo.c: what the loader told */
#define MAX_RANGES  128
#define MAX_MODULES 32

struct range {
	uint64_t start, end; /* bytes */
	bool ram;            /* else firmware tables and the like: mapped, not used */
};

/** struct screen_info - the screen as the loader left it; @width and @height in characters for text. */
struct screen_info {
	enum { SCREEN_NONE, SCREEN_TEXT, SCREEN_PIXELS } kind;
	uint64_t phys;
	uint32_t pitch, width, height;
	uint8_t bytes_per_pixel, red, green, blue; /* the colours' lowest bits */
};

struct boot_info {
	struct range range[MAX_RANGES];
	unsigned nr_ranges;
	struct module {
		uint64_t start, size;
	} module[MAX_MODULES];
	unsigned nr_modules;
	uint64_t rsdp; /* physical, 0: not told */
	struct screen_info screen;
	char cmdline[1024];
	const char *door;
};

extern struct boot_info boot_info;
void boot_info_init(unsigned door, uint64_t info);

/* memory.c */
void memory_init(void);         /* which frames are whose; needs boot_info */
uint64_t memory_early_alloc(void); /* a zeroed frame for the home, before the core has memory */
uint64_t memory_frames(void);

/* paging.c */
void paging_init(void);
void paging_damage(void); /* for the test of the next */
unsigned paging_check(void); /* paging_check.c: how many entries are not what they should be */
void *device_map(uint64_t phys); /* one page, uncached */
uint64_t paging_add(uint64_t va); /* a new zeroed page of data there, before core_init(); where it is in memory */
uint64_t idle_cr3(void);
/**
 * paging_expose() - with split tables: what lies here is used before or after CR3 is the hypervisor's (a CPU's stacks
 * for traps, its TSS, GDT page and struct percpu), so guests' tables show it too. Nothing secret may be in these
 * pages. Before the first domain is made.
 */
void paging_expose(const void *start, size_t size);
/* A variable that paging_init() exposes. */
#define EXPOSED __attribute__((section(".exposed")))

/* window.c */
#define WINDOW_INFO 32
#define WINDOW_GATE 33
struct window_tables;
void window_init(uint64_t *l2);
bool window_make(const struct vcpu *v, struct metal_vcpu *m);
void window_free(struct metal_vcpu *m);
uint64_t window_address(const struct metal_vcpu *m, unsigned page);
void window_set(struct metal_vcpu *m, unsigned page, uint64_t pte);
uint64_t window_show(struct metal_vcpu *m, unsigned page, const void *p); /* the core's @p; where it is seen */
uint64_t window_root(const struct domain *d);

/* descriptors.c */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap;
} __attribute__((packed));

/** struct cpu_stacks - tops of a CPU's stacks for what comes from ring 3 and for what must not fail. */
struct cpu_stacks {
	uint64_t trap, nmi, df, mc, db;
};

void descriptors_init(void);
/** descriptors_load() - make and load the tables of CPU @p, the calling one, out of its own memory. */
void descriptors_load(struct percpu *p, struct tss *tss, uint64_t *gdt, uint64_t gdt_phys, const struct cpu_stacks *s);
uint64_t empty_gdt_pte(void);

/* alternatives.c: instructions that not every processor gets; before the text is write-protected */
extern unsigned gate_features; /* bits GATE_ALT_* */
void alternatives_apply(void);

/* protection.c: what the processor offers against guests and ourselves, and the words that switch it */
extern bool split_tables; /* guests run on tables that do not map the hypervisor */
extern bool use_pcid; /* guest kernel, guest user and hypervisor keep their translations apart */
extern bool use_ibpb; /* no branch prediction survives from one domain to the next */
bool protection_word(const char *at, size_t len); /* false: not one of these words */
const char *protection_name(unsigned n);          /* of word @n, NULL: no more */
void protection_init(void);                       /* decide and tell, once; sets gate_features */
void protect_cpu(void);                           /* do it on this CPU */

/* trap.c */
void metal_trap(struct hyp_frame *f);
bool interrupt(unsigned vector); /* false: not one of ours */

/* smp.c: the other CPUs */
extern unsigned max_cpus; /* "maxcpus=", "nosmp": use no more */
void smp_find(void);      /* from ACPI's tables, while they are shown */
void smp_start(void);     /* into their waiting room; metal_info.pcpus is right from then on */
void smp_go(void);        /* into the core's loop */
struct stack {
	uint64_t guard, top; /* the page that is not mapped, and where the stack began */
};
bool smp_stands_on(mfn_t l4); /* is any processor on this table? */
bool smp_stack_of(uint64_t rsp, struct stack *s); /* false: it is on none of theirs */
void smp_halt(void);      /* at the end of the machine: the others stop where they are */

/* fpu.c */
void fpu_init(void);
bool fpu_make(struct metal_vcpu *m);
void fpu_free(struct metal_vcpu *m);
void fpu_load(struct metal_vcpu *m, const void *fxsave);
void fpu_save(struct metal_vcpu *m);
void fpu_restore(struct metal_vcpu *m);
void fpu_xcr0(uint64_t xcr0); /* what ring 3 sees in XCR0 */

/* apic.c, clock.c */
void apic_init(void);
void apic_init_cpu(void); /* this CPU's, when the first one's is set up */
uint32_t apic_id(void);
void apic_send(uint32_t id, uint32_t command); /* an interrupt, or a start of another CPU */
void apic_eoi(void);
void pic_silence(void);
void ioapic_find(void); /* before paging_init(), as acpi.h says */
void ioapic_init(void);
void apic_timer_start(uint64_t tsc);
bool apic_has_deadline(void);
void clock_find(void); /* what to measure by; before paging_init(), as acpi.h says */
void clock_init(void);
uint32_t clock_apic_khz(void);
uint32_t apic_timer_count(bool restart);

/* serial.c */
void serial_init(void);
void serial_write(const char *buf, size_t len);
void serial_drain(void); /* until everything written has left */
void serial_interrupts(void);
void serial_interrupt(void);
size_t serial_peek(char *buf, size_t size); /* typed and not yet taken */
void serial_take(size_t n);

/* screen.c: the log where there is a screen */
#define MAX_SCREEN (64u << 20) /* bytes */
void screen_init(unsigned door);
void screen_map(void); /* after paging_init() */
void screen_line(const char *head, const char *line, size_t len);

/* channel.c */
void channel_open(void); /* "debugcon" */
bool channel_is_open(void);
bool channel_line(const char *head, const char *line, size_t len); /* false: there is no channel */
/** last_words() - the one line that tells why the machine, or a domain, ends. */
void last_words(const char *line);

/* report.c: "stats" */
extern bool stats_wanted;
extern struct milestones {
	uint64_t first_instruction, first_output; /* time-stamp counter, 0: never yet */
} milestones;
void report_domain(const struct domain *d);
void report_machine(void); /* it must have come to rest */

/* power.c */
void power_init(void); /* before paging_init(), as acpi.h says */
void power_map(void);  /* after it */
__attribute__((noreturn)) void machine_restart(void);
enum panic_end { PANIC_HALT, PANIC_RESTART, PANIC_POWER_OFF };
extern enum panic_end on_panic; /* "on-panic=" */
enum ending { END_GOOD, END_CRASH, END_REFUSED, END_PANIC };
__attribute__((noreturn)) void machine_end(enum ending how);
/** refuse() - the machine cannot do what it was started for: one line, then it ends. */
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *fmt, ...);

/* symbols.c: names for addresses of the image, filled in after the link by add_symbols.py */
const char *symbol_at(uint64_t address, uint64_t *offset); /* NULL: none known */

/* panic.c */
bool panicking(void); /* from the first line of a panic on */
__attribute__((noreturn)) void panic_frame(const struct hyp_frame *f, const char *why);

/* home.c */
extern struct plat_info metal_info;
void home_domain_added(struct domain *d);
/** home_destroy() - at once and for good, whatever @d is doing. */
void home_destroy(struct domain *d);
/** home_end_if_alone() - end a machine that has no domain, expects none, and has nobody at the monitor's prompt. */
void home_end_if_alone(void);
unsigned home_running(void);
void home_incomplete(void); /* something that was asked for could not be: the machine ends as refused */

/* cmdline.c */
extern bool check_tables; /* "check-tables": before the first guest starts */
extern bool debug_exit; /* "debug-exit": tell QEMU's isa-debug-exit how it ended */
/* "test-panic=": overrun the stack (of another CPU), touch what is not mapped, make text writable, to see it told. */
uint64_t overrun_stack(uint64_t depth);
extern enum test_panic { TEST_NO_PANIC, TEST_STACK, TEST_FAULT, TEST_TABLES, TEST_OTHER } test_panic;
void cmdline_parse(const char *line);

#endif
