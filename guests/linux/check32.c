/* SPDX-License-Identifier: MIT */
/*
 * Self-check, the 32-bit side: a program without any library (so that no 32-bit libc is needed to build
 * it), one topic per run.
 *
 *	check32 TOPIC
 *
 * Prints "ok" and exits with 0, or prints what is wrong and exits with 1. Built with
 * gcc -m32 -ffreestanding -nostdlib -static.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	NR_exit = 1, NR_fork = 2, NR_read = 3, NR_write = 4, NR_execve = 11, NR_getpid = 20,
	NR_kill = 37, NR_pipe = 42, NR_brk = 45, NR_getppid = 64, NR_munmap = 91,
	NR_sched_yield = 158, NR_waitpid = 7, NR_mprotect = 125, NR_mremap = 163,
	NR_rt_sigaction = 174, NR_mmap2 = 192, NR_getuid32 = 199, NR_set_thread_area = 243,
	NR_clock_gettime = 265, NR_setitimer = 104,
};

enum { SIGILL = 4, SIGTRAP = 5, SIGFPE = 8, SIGSEGV = 11, SIGUSR1 = 10, SIGALRM = 14 };
enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_NODEFER = 0x40000000 };
enum { PAGE = 4096, AT_SYSINFO = 32, AT_NULL = 0, ENOSYS = 38, EBADF = 9 };

static uintptr_t vdso_entry; /* AT_SYSINFO: where the kernel wants its system calls */

static long int80(long n, long a, long b, long c, long d, long e)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

#define sys0(n)		 int80(n, 0, 0, 0, 0, 0)
#define sys1(n, a)	 int80(n, (long)(a), 0, 0, 0, 0)
#define sys2(n, a, b)	 int80(n, (long)(a), (long)(b), 0, 0, 0)
#define sys3(n, a, b, c) int80(n, (long)(a), (long)(b), (long)(c), 0, 0)

static void say(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	sys3(NR_write, 1, text, n);
}

static void leave(int status) __attribute__((noreturn));
static void leave(int status)
{
	for (;;)
		sys1(NR_exit, status);
}

static void require(int ok, const char *why)
{
	if (ok)
		return;
	say(why);
	say("\n");
	leave(1);
}

static void wait_for(long pid, int status)
{
	int got;

	require(sys3(NR_waitpid, pid, &got, 0) == pid, "waitpid failed");
	require(got == status << 8, "a child did not exit as it should");
}

static char *map(size_t size, int prot)
{
	/* mmap2 takes six arguments; the sixth, in ebp, is an offset that anonymous memory ignores. */
	long at = int80(NR_mmap2, 0, (long)size, prot, 0x22, -1);

	require(at > 0 || at < -4095, "mmap2 failed");
	return (char *)at;
}

static void topic_int80(void)
{
	long pid = sys0(NR_getpid);

	require(pid > 0, "getpid by int 0x80 failed");
	for (int i = 0; i < 1000; i++)
		require(sys0(NR_getpid) == pid, "getpid gives different answers");
	require(sys0(9999) == -ENOSYS, "an unknown system call does not give ENOSYS");
	require(sys3(NR_write, 999, "x", 1) == -EBADF, "a bad descriptor does not give EBADF");
}

static long by_vdso(long n, long a, long b)
{
	long result;

	__asm__ volatile("call *%4"
			 : "=a"(result)
			 : "a"(n), "b"(a), "c"(b), "m"(vdso_entry)
			 : "edx", "memory", "cc");
	return result;
}

static void topic_vdso(void)
{
	long pid = sys0(NR_getpid);

	/* No entry is an answer, too: then int 0x80 is the only way, and has its own topic. */
	if (!vdso_entry)
		return;
	for (int i = 0; i < 1000; i++)
		require(by_vdso(NR_getpid, 0, 0) == pid, "getpid by the vDSO's entry is wrong");
	require(by_vdso(9999, 0, 0) == -ENOSYS, "an unknown call by the vDSO's entry");
	require(by_vdso(NR_getuid32, 1, 2) == sys0(NR_getuid32), "getuid by the vDSO's entry");
	/* Arguments must arrive, and faults on them must come back as errors. */
	require(by_vdso(NR_clock_gettime, 1, 16) == -14, "no EFAULT by the vDSO's entry");
	long child = by_vdso(NR_fork, 0, 0);

	if (child == 0)
		leave(17);
	wait_for(child, 17);
}

extern char **saved_argv, *protected_page;
char **saved_argv;

static void topic_fork(void)
{
	volatile int *mine = (int *)map(64 * PAGE, 3);
	int fd[2], word;

	require(sys1(NR_pipe, fd) == 0, "pipe failed");
	for (int i = 0; i < 50; i++) {
		long pid;

		mine[i * PAGE / 4] = i;
		pid = sys0(NR_fork);
		require(pid >= 0, "fork failed");
		if (pid == 0) {
			require(mine[i * PAGE / 4] == i, "a child's memory is wrong");
			mine[i * PAGE / 4] = -1;
			word = i * 3;
			sys3(NR_write, fd[1], &word, 4);
			leave(i);
		}
		require(sys3(NR_read, fd[0], &word, 4) == 4 && word == i * 3, "pipe is wrong");
		wait_for(pid, i);
		require(mine[i * PAGE / 4] == i, "a child wrote its parent's memory");
	}
	for (int i = 0; i < 20; i++) {
		long pid = sys0(NR_fork);

		if (pid == 0) {
			char *argv[] = {saved_argv[0], (char *)"nothing", NULL}, *envp[] = {NULL};

			sys3(NR_execve, "/proc/self/exe", argv, envp);
			leave(99);
		}
		wait_for(pid, 3);
	}
}

struct action {
	void (*handler)(int, void *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint32_t mask[2];
};

/* Offsets into the 32-bit siginfo and ucontext, which freestanding headers do not have. */
enum { SI_ADDR = 3, UC_GREGS = 5, REG_EIP = 14, REG_TRAPNO = 12 };

static volatile int signals, last_signal, last_trap;
static volatile uintptr_t last_address, last_eip, resume_at;

static void handler(int sig, void *info, void *context)
{
	uint32_t *gregs = (uint32_t *)context + UC_GREGS;

	signals++;
	last_signal = sig;
	last_address = ((uint32_t *)info)[SI_ADDR];
	last_eip = gregs[REG_EIP];
	last_trap = (int)gregs[REG_TRAPNO];
	if (resume_at)
		gregs[REG_EIP] = resume_at;
}

void restorer(void);
__asm__(".text\nrestorer: mov $173, %eax\n int $0x80\n");

static void on(int sig, int with_restorer)
{
	struct action action = {handler, SA_SIGINFO, NULL, {0, 0}};

	if (with_restorer) {
		action.flags |= SA_RESTORER;
		action.restorer = restorer;
	}
	require(int80(NR_rt_sigaction, sig, (long)&action, 0, 8, 0) == 0, "sigaction failed");
}

static void topic_signal(void)
{
	long pid = sys0(NR_getpid);
	long timer[4] = {0, 2000, 0, 2000};

	/* Return from the handler through our own code, then through the vDSO's. */
	for (int way = 0; way < 2; way++) {
		on(SIGUSR1, way == 0);
		for (int i = 1; i <= 100; i++) {
			signals = 0;
			require(sys2(NR_kill, pid, SIGUSR1) == 0, "kill failed");
			require(signals == 1 && last_signal == SIGUSR1, "a signal went lost");
		}
	}
	/* Registers across signals at any time. */
	on(SIGALRM, 1);
	signals = 0;
	require(sys3(NR_setitimer, 0, timer, 0) == 0, "setitimer failed");
	for (long i = 0; i < 100000000 && signals < 50; i++) {
		uint32_t a = 0x12345678, b = 0x9abcdef0;

		__asm__ volatile("mov %0, %%ecx\n mov %1, %%edx\n"
				 "mov $20000, %%eax\n"
				 "1: cmp %0, %%ecx\n jne 2f\n cmp %1, %%edx\n jne 2f\n"
				 "dec %%eax\n jnz 1b\n"
				 "2:"
				 : "+S"(a), "+D"(b)
				 :
				 : "eax", "ecx", "edx", "cc");
		require(a == 0x12345678 && b == 0x9abcdef0, "a register changed");
	}
	require(signals >= 50, "too few timer signals");
}

#define expect_trap(text, sig, trap, why)                                                          \
	do {                                                                                       \
		uintptr_t at_;                                                                     \
		signals = 0;                                                                       \
		__asm__ volatile("movl $1f, %0\n movl $2f, %1\n 1: " text "\n 2:\n"                \
				 : "=m"(at_), "=m"(resume_at)                                      \
				 :                                                                 \
				 : "eax", "ecx", "edx", "memory", "cc");                           \
		require(signals == 1 && last_signal == (sig), why ": wrong signal or none");       \
		require(last_trap == (trap), why ": wrong trap number");                           \
		/* int3 and into are traps: reported behind the instruction, the rest at it. */    \
		require(last_eip == ((trap) == 3 || (trap) == 4 ? resume_at : at_),                \
			why ": wrong eip");                                                        \
	} while (0)

static void topic_traps(void)
{
	on(SIGILL, 1);
	on(SIGTRAP, 1);
	on(SIGFPE, 1);
	on(SIGSEGV, 1);
	for (int i = 0; i < 10; i++) {
		expect_trap("ud2", SIGILL, 6, "ud2");
		expect_trap("xor %%edx, %%edx\n xor %%ecx, %%ecx\n movl $3f, %0\n 3: div %%ecx", SIGFPE, 0,
			    "division by zero");
		expect_trap("movb $0x7f, %%al\n addb %%al, %%al\n movl $3f, %0\n 3: into", SIGSEGV, 4,
			    "into");
		expect_trap("int3", SIGTRAP, 3, "int3");
		expect_trap("hlt", SIGSEGV, 13, "hlt");
		expect_trap("movl $0x10, %%eax\n movl $3f, %0\n 3: movl (%%eax), %%eax", SIGSEGV, 14,
			    "null pointer");
		require(last_address == 0x10, "null pointer: wrong address");
		expect_trap("movl $0xffffe000, %%eax\n movl $3f, %0\n 3: movl %%eax, (%%eax)", SIGSEGV, 14,
			    "top of the address space");
		require(last_address == 0xffffe000, "top of the address space: wrong address");
	}
	resume_at = 0;
}

char *protected_page;

static void topic_memory(void)
{
	char *area = map(256 * PAGE, 3);
	long heap = sys1(NR_brk, 0), moved;

	for (int i = 0; i < 256; i++)
		*(int *)(area + i * PAGE) = i * 7;
	on(SIGSEGV, 1);
	require(sys3(NR_mprotect, area + 16 * PAGE, PAGE, 1) == 0, "mprotect failed");
	protected_page = area + 16 * PAGE;
	expect_trap("movl protected_page, %%eax\n movl $3f, %0\n 3: movl %%eax, (%%eax)", SIGSEGV, 14,
		    "write to a read-only page");
	require(last_address == (uintptr_t)protected_page, "wrong address of a protection fault");
	resume_at = 0;
	/* One mapping again, or it could not be moved in one piece. */
	require(sys3(NR_mprotect, area + 16 * PAGE, PAGE, 3) == 0, "mprotect back failed");
	require(sys1(NR_brk, heap + 64 * PAGE) == heap + 64 * PAGE, "brk failed");
	for (int i = 0; i < 64; i++)
		*(volatile int *)(heap + i * PAGE) = i;
	moved = int80(NR_mremap, (long)area, 256 * PAGE, 512 * PAGE, 1, 0);
	require(moved > 0 || moved < -4095, "mremap failed");
	for (int i = 0; i < 256; i++)
		require(*(int *)(moved + i * PAGE) == i * 7, "memory changed when it was moved");
	for (int i = 0; i < 64; i++)
		require(*(volatile int *)(heap + i * PAGE) == i, "the heap has changed");
	require(sys2(NR_munmap, moved, 512 * PAGE) == 0, "munmap failed");
}

struct thread_area {
	uint32_t entry, base, limit, flags;
};

static void topic_tls(void)
{
	uint32_t *area = (uint32_t *)map(PAGE, 3);
	struct thread_area where = {0xffffffff, 0, 0xfffff, 0x51 /* 32-bit, pages, usable */};

	for (uint32_t i = 0; i < 16; i++)
		area[i * 4] = i * 0x11111111;
	where.base = (uint32_t)(uintptr_t)area;
	require(sys1(NR_set_thread_area, &where) == 0, "set_thread_area failed");
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t got;
		long pid;

		where.base = (uint32_t)(uintptr_t)(area + i % 16 * 4);
		require(sys1(NR_set_thread_area, &where) == 0, "set_thread_area failed");
		__asm__ volatile("mov %0, %%gs" : : "r"((uint16_t)(where.entry << 3 | 3)));
		sys0(NR_sched_yield);
		__asm__ volatile("mov %%gs:0, %0" : "=r"(got));
		require(got == i % 16 * 0x11111111, "thread-local word is wrong");
		if (i % 20)
			continue;
		pid = sys0(NR_fork);
		if (pid == 0) {
			__asm__ volatile("mov %%gs:0, %0" : "=r"(got));
			leave(got == i % 16 * 0x11111111 ? 5 : 6);
		}
		wait_for(pid, 5);
		__asm__ volatile("mov %%gs:0, %0" : "=r"(got));
		require(got == i % 16 * 0x11111111, "thread-local word is wrong after fork");
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} topics[] = {
	{"int80", topic_int80},	  {"vdso", topic_vdso}, {"fork", topic_fork},
	{"signal", topic_signal}, {"memory", topic_memory}, {"tls", topic_tls},
	{"traps", topic_traps},
};

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* @stack: argc, argv, NULL, environment, NULL, auxiliary vector. */
__attribute__((used)) static void start(long *stack)
{
	long *aux = stack + 1 + stack[0] + 1;

	saved_argv = (char **)(stack + 1);
	while (*aux)
		aux++;
	for (aux++; aux[0] != AT_NULL; aux += 2) {
		if (aux[0] == AT_SYSINFO)
			vdso_entry = (uintptr_t)aux[1];
	}
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
		if (stack[0] > 1 && same(topics[i].name, saved_argv[1])) {
			topics[i].run();
			say("ok\n");
			leave(0);
		}
	}
	leave(3);
}

__asm__(".text\n.globl _start\n_start: mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n"
	"push %eax\n call start\n hlt\n");
