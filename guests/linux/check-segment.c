/* SPDX-License-Identifier: MIT */
/*
 * Self-check, segments: FS and GS bases in all the ways of setting them, a local descriptor table with
 * data segments and with 32-bit code, and all of it across context switches.
 */
#include "check.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, PROCESSES = 3, ROUNDS = 200 };
enum { LDT_SELECTOR_BITS = 7 /* table indicator LDT, requested privilege 3 */ };

static uint64_t read_gs(void)
{
	uint64_t value;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(value));
	return value;
}

static void gs_base(void)
{
	uint64_t *area = check_map(PAGE, PROT_READ | PROT_WRITE);
	int direct = getauxval(AT_HWCAP2) & 2; /* HWCAP2_FSGSBASE */
	pid_t child[PROCESSES];

	for (int i = 0; i < PROCESSES; i++) {
		child[i] = check_fork();
		if (child[i])
			continue;
		for (uint64_t j = 0; j < PAGE / 8; j++)
			area[j] = check_pattern(i, j);
		for (uint64_t j = 0; j < (unsigned int)check_times(ROUNDS); j++) {
			uint64_t *base = area + (j * 7 + i) % (PAGE / 8), got;

			if (direct && j % 2)
				__asm__ volatile("wrgsbase %0" : : "r"(base));
			else
				require(!syscall(SYS_arch_prctl, ARCH_SET_GS, base), "ARCH_SET_GS: %m");
			sched_yield();
			require(read_gs() == *base, "%%gs:0 reads from a wrong place");
			require(!syscall(SYS_arch_prctl, ARCH_GET_GS, &got), "ARCH_GET_GS: %m");
			require(got == (uintptr_t)base, "the GS base is 0x%llx, not %p",
				(unsigned long long)got, (void *)base);
			if (direct) {
				__asm__ volatile("rdgsbase %0" : "=r"(got));
				require(got == (uintptr_t)base, "rdgsbase gives a wrong base");
			}
		}
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++)
		check_wait(child[i], 0);
}

static void set_ldt(unsigned int entry, uint32_t base, uint32_t limit, int code)
{
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = base,
		.limit = limit,
		.seg_32bit = 1,
		.contents = code ? MODIFY_LDT_CONTENTS_CODE : MODIFY_LDT_CONTENTS_DATA,
		.limit_in_pages = code,
		.useable = 1,
	};

	require(syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc)) == 0, "modify_ldt: %m");
}

/* Memory below 4 GiB, where a descriptor's base can point. */
static void *low_memory(int prot)
{
	void *area = mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	require(area != MAP_FAILED, "low mmap: %m");
	return area;
}

static void ldt_data(void)
{
	uint64_t *area = low_memory(PROT_READ | PROT_WRITE);
	pid_t child[PROCESSES];

	/* Each process with an LDT of its own, then one without between them. */
	for (int i = 0; i < PROCESSES; i++) {
		child[i] = check_fork();
		if (child[i])
			continue;
		for (uint64_t j = 0; j < PAGE / 8; j++)
			area[j] = check_pattern(i + 50, j);
		for (unsigned int j = 0; j < (unsigned int)check_times(ROUNDS); j++) {
			unsigned int entry = (j * 5 + i) % 300;
			uint16_t selector = (uint16_t)(entry << 3 | LDT_SELECTOR_BITS);

			set_ldt(entry, (uint32_t)(uintptr_t)(area + j % 256), PAGE - 1, 0);
			__asm__ volatile("mov %0, %%gs" : : "r"(selector));
			sched_yield();
			require(read_gs() == area[j % 256], "an LDT segment reads from a wrong place");
			__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)0));
		}
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++)
		check_wait(child[i], 0);
}

/* Where a trip into 32-bit code goes and how it comes back. */
static volatile uintptr_t far_rip, far_rsp, near_rip, near_rsp;
static volatile uint64_t far_result;

static void on_enter(int sig, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	near_rip = gregs[REG_RIP];
	near_rsp = gregs[REG_RSP];
	gregs[REG_RIP] = far_rip;
	gregs[REG_RSP] = far_rsp;
	gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | (3 << 3 | LDT_SELECTOR_BITS);
}

static void on_leave(int sig, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	far_result = gregs[REG_RAX];
	if ((gregs[REG_CSGSFS] & 0xffff) != (3 << 3 | LDT_SELECTOR_BITS))
		far_result = 0xbad;
	gregs[REG_RIP] = near_rip;
	gregs[REG_RSP] = near_rsp;
	gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | 0x33;
}

static void ldt_code(void)
{
	/*
	 * 32-bit code that could not run as 64-bit code: inc eax is a REX prefix there.
	 * mov eax, 41; inc eax; push eax; xor eax, eax; pop eax; int3
	 */
	static const unsigned char code[] = {0xb8, 41,	 0,    0,    0,	   0x40,
					     0x50, 0x31, 0xc0, 0x58, 0xcc};
	unsigned char *page = low_memory(PROT_READ | PROT_WRITE | PROT_EXEC);

	memcpy(page, code, sizeof(code));
	set_ldt(3, 0, 0xfffff, 1);
	far_rip = (uintptr_t)page;
	/* A stack below 4 GiB, for the time in 32-bit mode; not touched yet, so its first use faults. */
	far_rsp = (uintptr_t)low_memory(PROT_READ | PROT_WRITE) + PAGE - 64;
	/*
	 * In by the return from one signal, out by another: a far call would do, too, but the emulator
	 * that stands in for real hardware gets far calls wrong.
	 */
	stack_t stack = {.ss_sp = check_map(16 * PAGE, PROT_READ | PROT_WRITE), .ss_size = 16 * PAGE};

	require(!sigaltstack(&stack, NULL), "sigaltstack: %m");
	check_handler(SIGUSR1, on_enter, SA_ONSTACK);
	check_handler(SIGTRAP, on_leave, SA_ONSTACK);
	for (int i = 0; i < check_times(50); i++) {
		far_result = 0;
		raise(SIGUSR1);
		require(far_result == 42, "32-bit code behind an LDT selector returned %llu",
			(unsigned long long)far_result);
	}
}

/* A child inherits the table; an exec starts without one. */
static void ldt_inherited(void)
{
	struct user_desc empty = {.entry_number = 3, .read_exec_only = 1, .seg_not_present = 1};
	uint64_t *area = low_memory(PROT_READ | PROT_WRITE), table[8];
	pid_t pid;

	area[0] = 0x5ca1ab1e;
	set_ldt(3, (uint32_t)(uintptr_t)area, PAGE - 1, 0);
	pid = check_fork();
	__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)(3 << 3 | LDT_SELECTOR_BITS)));
	require(read_gs() == 0x5ca1ab1e, "an inherited LDT entry is not there");
	__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)0));
	if (pid == 0) {
		require(syscall(SYS_modify_ldt, 0, table, sizeof(table)) >= 32, "reading the LDT: %m");
		require(table[3] != 0, "LDT entry 3 reads as empty");
		require(!syscall(SYS_modify_ldt, 0x11, &empty, sizeof(empty)), "modify_ldt: %m");
		_exit(0);
	}
	check_wait(pid, 0);
	__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)(3 << 3 | LDT_SELECTOR_BITS)));
	require(read_gs() == 0x5ca1ab1e, "a child's change reached its parent's LDT");
	__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)0));
}

const struct check_topic segment_topics[] = {
	{"gs-base", gs_base},
	{"ldt-data", ldt_data},
	{"ldt-code", ldt_code},
	{"ldt-inherited", ldt_inherited},
	{NULL, NULL},
};
