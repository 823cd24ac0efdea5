/* SPDX-License-Identifier: MIT */
/*
 * A minimal PV kernel, for kernels that test one topic of the ABI each (guests/conformance,
 * guests/hostile). Such a kernel defines guest_topic and guest_main(); everything here is set up
 * before guest_main() runs, and finish() is called after it.
 *
 * Verdicts are lines on the console, read by tests/conformance and by people:
 *
 *	ok TOPIC: case
 *	FAIL TOPIC: case: why
 *	skip TOPIC: case: why
 *	TOPIC: N passed, N failed
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/callback.h>
#include <xen/io/console.h>
#include "hypercall.h"

#define VIRT_BASE  UINT64_C(0xffffffff80000000)
#define PAGE_SIZE  UINT64_C(4096)
#define PTE_P      UINT64_C(0x001)
#define PTE_RW     UINT64_C(0x002)
#define PTE_US     UINT64_C(0x004)
#define PTE_A      UINT64_C(0x020)
#define PTE_D      UINT64_C(0x040)
#define PTE_PS     UINT64_C(0x080)
#define PTE_G      UINT64_C(0x100)
#define PTE_NX     (UINT64_C(1) << 63)
#define PTE_ADDR   UINT64_C(0x000ffffffffff000)
#define PTE_LEAF   (PTE_P | PTE_US | PTE_A | PTE_D)
#define PTE_TABLE  (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

#define RFLAGS_IF  UINT64_C(0x200)
#define RFLAGS_TF  UINT64_C(0x100)
#define RFLAGS_DF  UINT64_C(0x400)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define barrier() __asm__ volatile("" ::: "memory")

/* ---- the kernel's own ---- */
extern const char guest_topic[];
void guest_main(void);

/* ---- start of day ---- */
extern struct start_info *start_info;
extern struct shared_info shared_info_page;
extern uint64_t boot_rsp, boot_rflags;
extern uint16_t boot_selectors[2]; /* cs, ss */
extern char _text[], _end[], boot_stack_end[], trap_stack_end[];
#define shared (&shared_info_page)
#define vcpu_info(n) (vcpu_info0 + (n))
extern struct vcpu_info *vcpu_info0; /* virtual CPU 0's: in shared_info until it is moved */

/* ---- console and verdicts ---- */
void printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
void console_write(const char *s, size_t n);
/** check() - one verdict; @fmt says why not. Returns @ok. */
bool check(bool ok, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** check_eq() - @got must be @want; printed in hexadecimal, errors (small negative) as such. */
bool check_eq(const char *name, uint64_t got, uint64_t want);
void skip(const char *name, const char *why);
void finish(void) __attribute__((noreturn));
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** told() - is @word one of the kernel arguments? told_number() - the number behind @key ("seconds=") there. */
bool told(const char *word);
uint64_t told_number(const char *key, uint64_t otherwise);

/**
 * emulated_cpu() - the kernel arguments say "emulated-cpu": the machine's own CPU is an emulator's
 * (QEMU's TCG), which is not right in some exceptions. Cases about those are skipped.
 */
bool emulated_cpu(void);

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

/* ---- traps ---- */
#define VEC_EVENT    0x100
#define VEC_SYSCALL  0x101
#define VEC_SYSCALL32 0x102
#define VEC_SYSENTER 0x103
#define VEC_FAILSAFE 0x104

/* What start.S pushes; from rip up it is the bounce frame itself. */
struct frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* struct trap_record - the last trap, and how many there were since trap_clear(). */
struct trap_record {
	struct frame frame;
	uint64_t cr2;
	uint8_t mask_inside; /* upcall mask when the handler started */
	uint64_t rflags_inside;
	unsigned count;
};

extern struct trap_record trap;
extern uint64_t trap_resume;   /* where to go on after the next trap; 0: the trap is unexpected */
extern uint64_t trap_resume_sp; /* with which stack pointer */
extern uint64_t trap_from;     /* address of the instruction under test */
extern uint64_t failsafe_segments[4];
extern uint64_t iret_flags;    /* VGCF_* for the next returns */
extern bool (*trap_hook)(struct frame *f); /* sees every trap first; true: handled */
extern char trap_stubs[], event_callback[], syscall_callback[], syscall32_callback[];
extern char sysenter_callback[], failsafe_callback[], nmi_callback[];

void trap_init(void);
void trap_clear(void);
/** trap_gate() - register the handler of @vector: @dpl, and whether it masks events. */
long trap_gate(unsigned vector, unsigned dpl, bool masks);
void frame_return(struct frame *f) __attribute__((noreturn));

/*
 * TRY() - run one piece of assembly that may trap. Afterwards trap.count says how often, trap.frame
 * what; the code goes on behind it with the stack pointer it had before. %rax is the asm's own;
 * other operands as in asm().
 */
#define TRY(code, ...) \
	do { \
		trap_clear(); \
		__asm__ volatile( \
			"lea 8f(%%rip), %%rax\n\tmov %%rax, trap_from(%%rip)\n\t" \
			"lea 9f(%%rip), %%rax\n\tmov %%rax, trap_resume(%%rip)\n\t" \
			"mov %%rsp, trap_resume_sp(%%rip)\n\t" \
			"8: " code "\n9:\n\tmovq $0, trap_resume(%%rip)" __VA_ARGS__); \
	} while (0)
#define TRY_CLOBBERS "rax", "memory", "cc"

/** check_trap() - one trap, of @vector with @error, at trap_from. */
bool check_trap(const char *name, unsigned vector, uint64_t error);

/** probe_read() / probe_write() - touch @va: 0, or the trap's vector. Value by @v. */
unsigned probe_read(uint64_t va, uint64_t *v);
unsigned probe_write(uint64_t va, uint64_t v);

/* ---- guest user mode ---- */
extern struct frame user_exit; /* why user code came back: a trap or system call */
/** user_init() - user page tables: a code page and a stack at USER_CODE and USER_STACK. */
void user_init(void);
/** user_run() - run @len bytes of @code at USER_CODE, rdi = @arg, until a trap (user_exit). */
void user_run(const void *code, size_t len, uint64_t arg);
/** user_run_frame() - as given; the code page is left alone. */
void user_run_frame(const struct frame *f);
extern uint64_t user_l4_mfn;
#define USER_CODE  UINT64_C(0x400000)
#define USER_STACK UINT64_C(0x500000) /* its end; one page below */
#define USER_DATA  UINT64_C(0x600000) /* one page, shared with the kernel's user_data */
extern uint64_t *user_data;
void user_enter(const struct frame *f);
void user_leave(void) __attribute__((noreturn));

/* USER_CODE_BLOCK() - a piece of user code as a byte array: name[], name_end[]. */
#define USER_CODE_BLOCK(name, code) \
	extern const char name[], name##_end[]; \
	__asm__(".pushsection .rodata\n" #name ":\n" code "\n" #name "_end:\n.popsection")
#define USER_RUN(name, arg) user_run(name, (size_t)(name##_end - name), arg)

/* ---- memory ---- */
/** page_alloc() - a zeroed page of the initial mapping; never NULL. */
void *page_alloc(void);
/** va_reserve() - unused virtual pages of the kernel, with page tables but nothing mapped. */
uint64_t va_reserve(unsigned pages);
uint64_t virt_to_mfn(const void *p);
uint64_t virt_to_pfn(const void *p);
void *mfn_to_virt(uint64_t mfn);
uint64_t *m2p_entry(uint64_t mfn);
#define p2m ((uint64_t *)start_info->mfn_list)
/** pte_of() - the (read-only) entry of @va at @level in the kernel's tables; NULL: no table. */
uint64_t *pte_of(uint64_t va, unsigned level);
uint64_t pte_machine(uint64_t *pte); /* machine address of an entry, for mmu_update */
long pte_set(uint64_t *pte, uint64_t value);
/** map_page() - map @va, making page tables as needed. */
void map_page(uint64_t va, uint64_t pte);
long protect(void *page, uint64_t flags); /* remap a page of the initial mapping */
extern uint64_t kernel_l4_mfn;
extern uint64_t *kernel_l4;
long mmuext(unsigned cmd, uint64_t arg1, uint64_t arg2);

/* ---- more virtual CPUs ---- */
/** vcpu_possible() - how many virtual CPUs there are, those not brought up included. */
unsigned vcpu_possible(void);
/**
 * vcpu_prepare() - virtual CPU @cpu shall begin with @fn(@cpu), on a stack of one page, on the tables of virtual CPU 0,
 * without handlers for anything. VCPUOP_up starts it. 0 or -errno.
 */
long vcpu_prepare(unsigned cpu, void (*fn)(unsigned cpu));
/** vcpu_prepare_fpu() - the same, with the 512 bytes of FXSAVE its FPU shall begin with. */
long vcpu_prepare_fpu(unsigned cpu, void (*fn)(unsigned cpu), const void *fxsave);

/* ---- events ---- */
extern volatile uint64_t event_upcalls;
extern void (*event_hook)(uint32_t port); /* for every pending unmasked port, already cleared */
extern bool event_manual;                  /* upcalls are counted, ports left alone */
void event_init(void);
void event_unmask(uint32_t port);
void event_mask(uint32_t port);
static inline void upcalls_off(void)
{
	READ_ONCE(vcpu_info(0)->evtchn_upcall_mask) = 1;
	barrier();
}
void upcalls_on(void);

/* ---- time ---- */
static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}
uint64_t system_time(void);
/** delay() - spin for @ns of system time. */
void delay(uint64_t ns);

#endif
