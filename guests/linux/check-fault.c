/* SPDX-License-Identifier: MIT */
/*
 * Self-check, faults: a program that touches what it may not gets the right signal with the right
 * address and error code, and gets away with nothing: neither the kernel's memory nor the
 * hypervisor's may be readable.
 */
#include "check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, ERR_PRESENT = 1, ERR_WRITE = 2, ERR_USER = 4, ERR_FETCH = 16 };
enum { TRAP_DIVIDE = 0, TRAP_BREAKPOINT = 3, TRAP_INVALID_OPCODE = 6, TRAP_GP = 13, TRAP_PF = 14 };

/* What the handler saw last. */
static sigjmp_buf escape;
static volatile int seen_signal, seen_code;
static volatile uintptr_t seen_address, seen_rip, seen_trap, seen_error;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	seen_signal = sig;
	seen_code = info->si_code;
	seen_address = (uintptr_t)info->si_addr;
	seen_rip = uc->uc_mcontext.gregs[REG_RIP];
	seen_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
	seen_error = uc->uc_mcontext.gregs[REG_ERR];
	siglongjmp(escape, 1);
}

static void catch_faults(void)
{
	check_handler(SIGSEGV, on_fault, 0);
	check_handler(SIGBUS, on_fault, 0);
	check_handler(SIGILL, on_fault, 0);
	check_handler(SIGFPE, on_fault, 0);
	check_handler(SIGTRAP, on_fault, 0);
}

enum access { READ, WRITE, FETCH };

/* Tries one access; true if it faulted. */
static int faults(enum access how, volatile void *address)
{
	seen_signal = 0;
	if (sigsetjmp(escape, 1))
		return 1;
	switch (how) {
	case READ:
		(void)*(volatile char *)address;
		break;
	case WRITE:
		*(volatile char *)address = 1;
		break;
	case FETCH:
		((void (*)(void))(uintptr_t)address)();
		break;
	}
	return 0;
}

/* The access must end in a page fault with exactly this address, si_code and error code. */
static void must_fault(enum access how, volatile void *address, int code, unsigned int error)
{
	uintptr_t want = (uintptr_t)address;

	require(faults(how, address), "access %d at %p did not fault", how, address);
	require(seen_signal == SIGSEGV && seen_trap == TRAP_PF, "access %d at %p: signal %d trap %d",
		how, address, seen_signal, (int)seen_trap);
	require(seen_address == want, "fault at %p was reported at 0x%lx", address, seen_address);
	require(seen_code == code, "fault at %p has si_code %d, not %d", address, seen_code, code);
	require(seen_error == error, "fault at %p has error code 0x%lx, not 0x%x", address,
		seen_error, error);
}

static void segv_address(void)
{
	char *area = check_map(4 * PAGE, PROT_READ | PROT_WRITE);

	catch_faults();
	memset(area, 1, 4 * PAGE);
	munmap(area + PAGE, PAGE);
	for (int i = 0; i < PAGE; i += 509) {
		must_fault(READ, area + PAGE + i, SEGV_MAPERR, ERR_USER);
		must_fault(WRITE, area + PAGE + i, SEGV_MAPERR, ERR_USER | ERR_WRITE);
	}
	must_fault(READ, NULL, SEGV_MAPERR, ERR_USER);
	must_fault(FETCH, area + PAGE, SEGV_MAPERR, ERR_USER | ERR_FETCH);
	require(area[0] == 1 && area[2 * PAGE] == 1, "the neighbours of a hole have changed");
}

static void protect(void)
{
	volatile char *area = check_map(64 * PAGE, PROT_READ | PROT_WRITE);

	catch_faults();
	memset((char *)area, 5, 64 * PAGE);
	for (int round = 0; round < 8; round++) {
		volatile char *page = area + (round * 5 + 1) * PAGE;

		require(!mprotect((char *)page, PAGE, PROT_READ), "mprotect: %m");
		must_fault(WRITE, page + round, SEGV_ACCERR, ERR_USER | ERR_WRITE | ERR_PRESENT);
		require(page[7] == 5, "a read-only page has changed");
		require(!mprotect((char *)page, PAGE, PROT_NONE), "mprotect: %m");
		/* The kernel keeps PROT_NONE pages as not present: no ERR_PRESENT here. */
		must_fault(READ, page + 8, SEGV_ACCERR, ERR_USER);
		require(!mprotect((char *)page, PAGE, PROT_READ | PROT_WRITE), "mprotect: %m");
		require(!faults(WRITE, page + round) && page[round] == 1,
			"a page made writable again is not writable");
		must_fault(FETCH, page, SEGV_ACCERR, ERR_USER | ERR_FETCH | ERR_PRESENT);
	}
	/* The whole area at once, back and forth. */
	for (int round = 0; round < 16; round++) {
		require(!mprotect((char *)area, 64 * PAGE, PROT_READ), "mprotect: %m");
		require(faults(WRITE, area + round * PAGE), "a write to read-only memory went through");
		require(!mprotect((char *)area, 64 * PAGE, PROT_READ | PROT_WRITE), "mprotect: %m");
		require(!faults(WRITE, area + round * PAGE), "a write to writable memory faulted");
	}
}

static void fresh_code(void)
{
	/* mov eax, imm32; ret */
	unsigned char code[] = {0xb8, 0, 0, 0, 0, 0xc3};
	unsigned char *page = check_map(PAGE, PROT_READ | PROT_WRITE);

	for (uint32_t i = 1; i < 50; i++) {
		uint32_t value = i * 0x01010101u, got;

		memcpy(code + 1, &value, 4);
		require(!mprotect(page, PAGE, PROT_READ | PROT_WRITE), "mprotect: %m");
		memcpy(page, code, sizeof(code));
		require(!mprotect(page, PAGE, PROT_READ | PROT_EXEC), "mprotect: %m");
		got = ((uint32_t(*)(void))(uintptr_t)page)();
		require(got == value, "fresh code returned 0x%x, not 0x%x", got, value);
	}
}

/*
 * Addresses no program may touch, whatever lies there. The kernel reports those of its own half
 * with the error code made to look like that of a mapped page, so that it gives nothing away:
 * only signal and address are compared.
 */
static void forbidden(void)
{
	enum { MAY_READ = 2 };
	static const uintptr_t addresses[] = {
		/*
		 * The machine-to-physical table, in either place it may be: programs may read it unless the
		 * kernel asks for m2p_strict, which Linux does not; so only writes are tried.
		 */
		0xffff800000000000, 0xffff808000000000,
		/* The rest of the hypervisor's slots, to the first page behind them. */
		0xffff810000002000, 0xffff810040000000, 0xffff814000000000, 0xffff820000000000,
		0xffff82d080000000, 0xffff830000000000, 0xffff87fffffff000, 0xffff880000000000,
		0xffff888000000000, /* the guest kernel's linear mapping */
		0xffff888001000000, 0xffffc90000000000, 0xffffea0000000000,
		0xffffffff81000000, /* its text */
		0xffffffff82000000, 0xffffffffff5fb000, 0xfffffffffffff000,
	};

	catch_faults();
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		for (enum access how = i < MAY_READ ? WRITE : READ; how <= FETCH; how++) {
			volatile void *address = (volatile void *)addresses[i];

			require(faults(how, address), "access %d at %p did not fault", how, address);
			require(seen_signal == SIGSEGV, "access %d at %p: signal %d", how, address,
				seen_signal);
			require(seen_trap != TRAP_PF || seen_address == addresses[i],
				"fault at %p was reported at 0x%lx", address, seen_address);
		}
	}
	/* Not canonical: a general protection fault without an address. */
	for (enum access how = READ; how <= WRITE; how++) {
		require(faults(how, (volatile void *)0x8000000000000000), "no fault off the map");
		require(seen_signal == SIGSEGV && seen_trap == TRAP_GP,
			"not canonical address: signal %d trap %d", seen_signal, (int)seen_trap);
	}
}

/* System calls on bad pointers fail; they must not kill anybody. */
static void bad_pointers(void)
{
	char *page = check_map(2 * PAGE, PROT_READ | PROT_WRITE);
	int fd[2];

	memset(page, 'x', 2 * PAGE);
	require(pipe(fd) == 0, "pipe: %m");
	munmap(page + PAGE, PAGE);
	for (int i = 0; i < 100; i++) {
		ssize_t n = write(fd[1], page + PAGE - 10, 20);

		/* All or nothing or the part that is there: the kernel's choice. */
		require(n == -1 || n == 10, "write past a mapping wrote %zd bytes", n);
		require(n == -1 || read(fd[0], page + PAGE - 10, 10) == 10, "read back: %m");
		require(write(fd[1], (void *)0xffff888000000000, 8) == -1, "write of kernel memory");
		require(open((char *)0x1234, O_RDONLY) == -1, "open of a name nowhere");
	}
	mprotect(page, PAGE, PROT_READ);
	require(write(fd[1], "abc", 3) == 3, "write: %m");
	require(read(fd[0], page, 3) == -1, "read into read-only memory");
}

static char *stack_end;

static void on_overflow(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)sig;
	(void)context;
	_exit(at < (uintptr_t)stack_end && at >= (uintptr_t)stack_end - 16 * PAGE ? 42 : 43);
}

static void overflow_stack(char *bottom)
{
	/* Push until there is nothing left to push to. */
	__asm__ volatile("mov %0, %%rsp\n1: push %%rax\njmp 1b" : : "r"(bottom + 2 * PAGE) : "memory");
}

static void alternate_stack(void)
{
	stack_t stack = {.ss_sp = check_map(16 * PAGE, PROT_READ | PROT_WRITE), .ss_size = 16 * PAGE};

	for (int i = 0; i < 10; i++) {
		pid_t pid = check_fork();

		if (pid == 0) {
			char *area = check_map(18 * PAGE, PROT_NONE);

			stack_end = area + 16 * PAGE;
			mprotect(stack_end, 2 * PAGE, PROT_READ | PROT_WRITE);
			require(!sigaltstack(&stack, NULL), "sigaltstack: %m");
			check_handler(SIGSEGV, on_overflow, SA_ONSTACK);
			overflow_stack(stack_end);
		}
		check_wait(pid, 42);
	}
}

/* What the division below divides by. */
__asm__(".data\nzero: .long 0\n.text");

/* One faulting instruction must raise @sig with trap number @trap. */
#define must_trap(sig, trap, what, text)                                                           \
	do {                                                                                       \
		uintptr_t at_;                                                                     \
		static volatile uintptr_t at_seen_;                                                \
		if (!sigsetjmp(escape, 1)) {                                                       \
			__asm__ volatile("lea 1f(%%rip), %0\nmov %0, %1\n1: " text                 \
					 : "=&a"(at_), "=m"(at_seen_)                              \
					 :                                                         \
					 : "rdx", "rcx", "memory", "cc");                          \
			check_fail("%s did not trap", what);                                       \
		}                                                                                  \
		require(seen_signal == (sig), "%s: signal %d", what, seen_signal);                 \
		require((int)seen_trap == (trap), "%s: trap %d", what, (int)seen_trap);            \
		require(seen_rip == at_seen_ + (seen_trap == TRAP_BREAKPOINT),                     \
			"%s at 0x%lx was reported at 0x%lx", what, at_seen_, seen_rip);            \
	} while (0)

static void exceptions(void)
{
	catch_faults();
	for (int i = 0; i < 20; i++) {
		must_trap(SIGFPE, TRAP_DIVIDE, "division by zero", "divl zero(%%rip)");
		must_trap(SIGILL, TRAP_INVALID_OPCODE, "ud2", "ud2");
		must_trap(SIGTRAP, TRAP_BREAKPOINT, "int3", "int3");
		must_trap(SIGSEGV, TRAP_GP, "hlt", "hlt");
		must_trap(SIGSEGV, TRAP_GP, "cli", "cli");
		must_trap(SIGSEGV, TRAP_GP, "in from a port", "in $0x70, %%al");
		must_trap(SIGSEGV, TRAP_GP, "int 0x42", "int $0x42");
		must_trap(SIGSEGV, TRAP_GP, "rdmsr", "rdmsr");
		must_trap(SIGSEGV, TRAP_GP, "write of cr3", "mov %%rax, %%cr3");
	}
}

static void bus_error(void)
{
	volatile char *area;
	int fd = memfd_create("check", 0);

	catch_faults();
	require(fd >= 0 && ftruncate(fd, PAGE) == 0, "memfd: %m");
	area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(area != MAP_FAILED, "mmap: %m");
	require(!faults(WRITE, area + PAGE - 1), "a write inside a file faulted");
	require(faults(WRITE, area + PAGE + 5) && seen_signal == SIGBUS,
		"a write behind a file's end: signal %d", seen_signal);
	require(seen_address == (uintptr_t)area + PAGE + 5, "SIGBUS with a wrong address");
}

const struct check_topic fault_topics[] = {
	{"segv-address", segv_address}, {"mprotect", protect},
	{"code-patching", fresh_code},	{"forbidden-memory", forbidden},
	{"bad-pointers", bad_pointers}, {"stack-overflow", alternate_stack},
	{"exceptions", exceptions},	{"bus-error", bus_error},
	{NULL, NULL},
};
