/* SPDX-License-Identifier: MIT */
/*
 * Self-check, signals: they interrupt what they should, in order, and whatever they interrupt goes on
 * with every register as it was.
 */
#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	ticks++;
}

static void start_ticks(int which, int sig, int flags, long microseconds)
{
	struct itimerval every = {{0, microseconds}, {0, microseconds}};

	ticks = 0;
	check_handler(sig, on_tick, flags);
	require(setitimer(which, &every, NULL) == 0, "setitimer: %m");
}

static void stop_ticks(int which)
{
	struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(which, &never, NULL);
}

static void interrupted(void)
{
	struct timespec second = {10, 0}, left = {0, 0};
	int fd[2];
	pid_t pid;
	char byte;

	require(pipe(fd) == 0, "pipe: %m");
	start_ticks(ITIMER_REAL, SIGALRM, 0, 20000);
	require(read(fd[0], &byte, 1) == -1 && errno == EINTR, "read was not interrupted: %m");
	require(nanosleep(&second, &left) == -1 && errno == EINTR, "sleep was not interrupted: %m");
	require(left.tv_sec == 9, "an interrupted sleep of 10 s has %ld s left", (long)left.tv_sec);
	stop_ticks(ITIMER_REAL);

	/* With SA_RESTART the read goes on until the child writes. */
	start_ticks(ITIMER_REAL, SIGALRM, SA_RESTART, 5000);
	pid = check_fork();
	if (pid == 0) {
		struct timespec some = {0, 100000000};

		nanosleep(&some, NULL);
		_exit(write(fd[1], "z", 1) != 1);
	}
	require(read(fd[0], &byte, 1) == 1 && byte == 'z', "a restarted read failed: %m");
	require(ticks > 2, "only %d ticks in 100 ms", (int)ticks);
	stop_ticks(ITIMER_REAL);
	check_wait(pid, 0);
}

/*
 * Counts in one register while the others hold fixed values; any signal return that loses a register
 * or a flag shows. Returns 0 if all was kept.
 */
static long registers_kept(long rounds)
{
	long wrong;

	__asm__ volatile("push %%rbp\n"
			 "mov %1, %%rcx\n"
			 "mov $0x1111111111111111, %%rax\n mov $0x2222222222222222, %%rbx\n"
			 "mov $0x3333333333333333, %%rdx\n mov $0x4444444444444444, %%rsi\n"
			 "mov $0x5555555555555555, %%rdi\n mov $0x6666666666666666, %%rbp\n"
			 "mov $0x7777777777777777, %%r8\n mov $0x8888888888888888, %%r9\n"
			 "mov %%rax, %%r10\n mov %%rbx, %%r11\n mov %%rdx, %%r12\n"
			 "mov %%rsi, %%r13\n mov %%rdi, %%r14\n mov %%rbp, %%r15\n"
			 "1: dec %%rcx\n jz 2f\n"
			 "stc\n jnc 3f\n"
			 "cmp %%rax, %%r10\n jne 3f\n cmp %%rbx, %%r11\n jne 3f\n"
			 "cmp %%rdx, %%r12\n jne 3f\n cmp %%rsi, %%r13\n jne 3f\n"
			 "cmp %%rdi, %%r14\n jne 3f\n cmp %%rbp, %%r15\n jne 3f\n"
			 "add %%r8, %%r9\n cmp $-1, %%r9\n jne 3f\n sub %%r8, %%r9\n jmp 1b\n"
			 "3: mov $1, %%eax\n jmp 4f\n"
			 "2: xor %%eax, %%eax\n"
			 "4: pop %%rbp\n"
			 : "=a"(wrong)
			 : "r"(rounds)
			 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "memory", "cc");
	return wrong;
}

static void registers(void)
{
	start_ticks(ITIMER_REAL, SIGALRM, SA_RESTART, 1000);
	for (int i = 0; i < 100000 && ticks < check_times(200); i++)
		require(!registers_kept(1000000), "a register or flag changed across a signal");
	stop_ticks(ITIMER_REAL);
	require(ticks >= check_times(200), "only %d ticks", (int)ticks);
}

static volatile int order[64], ordered;

static void on_queued(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	order[ordered++ % 64] = info->si_value.sival_int;
}

static void queued(void)
{
	sigset_t set, old, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	require(!sigprocmask(SIG_BLOCK, &set, &old), "sigprocmask: %m");
	check_handler(SIGRTMIN, on_queued, 0);
	check_handler(SIGRTMIN + 1, on_queued, 0);
	for (int i = 0; i < 16; i++) {
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i});
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	}
	require(ordered == 0, "a blocked signal was delivered");
	sigpending(&pending);
	require(sigismember(&pending, SIGRTMIN), "a blocked signal is not pending");
	/*
	 * Delivered from the highest number to the lowest on a stack of frames, so that the lowest
	 * runs first: with equal numbers in the order they were sent.
	 */
	sigprocmask(SIG_SETMASK, &old, NULL);
	require(ordered == 32, "%d of 32 queued signals were delivered", ordered);
	for (int i = 1, last[2] = {-1, 99}; i <= 32; i++) {
		int value = order[i - 1], kind = value >= 100;

		require(value == last[kind] + 1, "queued signals out of order");
		last[kind] = value;
	}
}

static void descriptor(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, 0);
	require(fd >= 0, "signalfd: %m");
	pid = check_fork();
	if (pid == 0)
		_exit(kill(getppid(), SIGUSR1) != 0);
	require(read(fd, &info, sizeof(info)) == sizeof(info), "read of a signalfd: %m");
	require(info.ssi_signo == SIGUSR1 && info.ssi_pid == (uint32_t)pid,
		"signalfd names a wrong signal or sender");
	check_wait(pid, 0);
}

static volatile sig_atomic_t nested;

static void on_nested(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	nested++;
	/* SIGUSR1 raises SIGUSR2, whose handler runs on top of this one and is done first. */
	if (sig == SIGUSR1) {
		raise(SIGUSR2);
		require(nested == 2, "a nested handler did not run at once");
	}
}

static void handlers_nest(void)
{
	check_handler(SIGUSR1, on_nested, 0);
	check_handler(SIGUSR2, on_nested, 0);
	for (int i = 0; i < check_times(500); i++) {
		nested = 0;
		raise(SIGUSR1);
		require(nested == 2, "%d handlers ran, not 2", (int)nested);
	}
}

static void processor_timers(void)
{
	volatile uint64_t work = 1;

	start_ticks(ITIMER_VIRTUAL, SIGVTALRM, SA_RESTART, 10000);
	for (time_t end = time(NULL) + 60; ticks < 10 && time(NULL) < end;)
		for (int i = 0; i < 1000000; i++)
			work = work * 3 + 1;
	stop_ticks(ITIMER_VIRTUAL);
	require(ticks >= 10, "only %d ticks of the virtual timer", (int)ticks);
	start_ticks(ITIMER_PROF, SIGPROF, SA_RESTART, 10000);
	for (time_t end = time(NULL) + 60; ticks < 10 && time(NULL) < end;)
		for (int i = 0; i < 1000000; i++)
			work = work * 3 + 1;
	stop_ticks(ITIMER_PROF);
	require(ticks >= 10, "only %d ticks of the profiling timer", (int)ticks);
}

const struct check_topic signal_topics[] = {
	{"signal-interrupts", interrupted}, {"signal-registers", registers},
	{"signal-queue", queued},	    {"signalfd", descriptor},
	{"signal-nesting", handlers_nest},  {"itimers", processor_timers},
	{NULL, NULL},
};
