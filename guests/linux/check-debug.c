/* SPDX-License-Identifier: MIT */
/*
 * Self-check, debugging: single steps by trap flag and by ptrace, breakpoints, system-call stops, hardware
 * watchpoints: what a debugger inside the guest lives on.
 */
#include "check.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int steps;
static volatile uintptr_t step_rip[64];

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if (steps < 64)
		step_rip[steps] = uc->uc_mcontext.gregs[REG_RIP];
	steps++;
}

/* A program that sets its own trap flag: one SIGTRAP per instruction, none left out. */
static void trap_flag(void)
{
	uintptr_t first, last;

	check_handler(SIGTRAP, on_step, 0);
	for (int i = 0; i < 20; i++) {
		steps = 0;
		__asm__ volatile("lea 1f(%%rip), %0\n lea 2f(%%rip), %1\n"
				 "pushfq\n orl $0x100, (%%rsp)\n popfq\n"
				 "1: nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n"
				 "pushfq\n andl $~0x100, (%%rsp)\n popfq\n"
				 "2: nop\n"
				 : "=&r"(first), "=&r"(last)
				 :
				 : "memory", "cc");
		/* 8 nops and three more instructions; the popf that clears the flag still traps. */
		require(steps == 11, "%d steps over 11 instructions", steps);
		for (int j = 0; j < 8; j++)
			require(step_rip[j] == first + 1 + j, "step %d stopped at 0x%lx, not 0x%lx", j,
				step_rip[j], first + 1 + j);
		require(step_rip[10] == last, "the last step stopped in a wrong place");
	}
}

/* Starts a traced child that runs @body; returns when it has stopped. */
static pid_t traced(void (*body)(void))
{
	pid_t pid = check_fork();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		body();
		_exit(33);
	}
	require(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "no stop of a traced child");
	return pid;
}

static int resume(enum __ptrace_request how, pid_t pid)
{
	int status;

	require(ptrace(how, pid, NULL, NULL) == 0, "ptrace %d: %m", how);
	require(waitpid(pid, &status, 0) == pid, "waitpid: %m");
	return status;
}

void debug_target(void);
__asm__(".text\n.type debug_target, @function\n"
	"debug_target: nop\n nop\n nop\n nop\n"
	"debug_break: nop\n nop\n ret\n");
extern char debug_break[];

static uintptr_t rip_of(pid_t pid)
{
	struct user_regs_struct regs;

	require(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0, "PTRACE_GETREGS: %m");
	return regs.rip;
}

static void single_step(void)
{
	pid_t pid = traced(debug_target);
	int in_target = 0, status = 0;

	/* Through the return from raise() into the target: the same path every time. */
	for (int i = 0; i < 4000; i++) {
		uintptr_t rip;

		status = resume(PTRACE_SINGLESTEP, pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
		rip = rip_of(pid);
		if (rip >= (uintptr_t)debug_target && rip < (uintptr_t)debug_target + 7) {
			require(rip == (uintptr_t)debug_target + in_target,
				"step into the target at 0x%lx, not 0x%lx", rip,
				(uintptr_t)debug_target + in_target);
			in_target++;
		}
		if (in_target == 7)
			break;
	}
	require(in_target == 7, "%d of 7 instructions were stepped, last status 0x%x", in_target,
		status);
	status = resume(PTRACE_CONT, pid);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 33, "the child ended with 0x%x", status);
}

static void breakpoint(void)
{
	pid_t pid = traced(debug_target);
	uintptr_t at = (uintptr_t)debug_break;
	struct user_regs_struct regs;
	long text;
	int status;

	errno = 0;
	text = ptrace(PTRACE_PEEKTEXT, pid, at, NULL);
	require(!errno, "PTRACE_PEEKTEXT: %m");
	require(!ptrace(PTRACE_POKETEXT, pid, at, (text & ~0xffl) | 0xcc), "PTRACE_POKETEXT: %m");
	/* Private to the child: our own copy of the page has no breakpoint in it. */
	require(*(volatile unsigned char *)debug_break == 0x90, "a breakpoint leaked to the parent");
	status = resume(PTRACE_CONT, pid);
	require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "no SIGTRAP but status 0x%x",
		status);
	require(rip_of(pid) == at + 1, "the breakpoint stopped at 0x%lx", rip_of(pid));
	ptrace(PTRACE_POKETEXT, pid, at, text);
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	regs.rip = at;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	status = resume(PTRACE_CONT, pid);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 33, "the child ended with 0x%x", status);
}

static void make_calls(void)
{
	syscall(SYS_getpid);
	syscall(SYS_getuid);
}

static void system_call_stops(void)
{
	pid_t pid = traced(make_calls);
	struct user_regs_struct regs;
	int stops = 0, changed = 0, status;

	for (;;) {
		status = resume(PTRACE_SYSCALL, pid);
		if (!WIFSTOPPED(status))
			break;
		stops++;
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		/* Turn getuid into a call that does not exist, and its result into 77. */
		if (regs.orig_rax == SYS_getuid && (long)regs.rax == -ENOSYS)
			changed++;
	}
	require(stops >= 5, "only %d system-call stops", stops);
	require(changed == 1, "getuid was seen %d times on entry", changed);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 33, "the child ended with 0x%x", status);
}

static volatile uint64_t watched[2];

static void write_watched(void)
{
	watched[1] = 5;
	watched[0] = 6;
	watched[1] = 7;
}

static void watchpoint(void)
{
	const size_t dr0 = offsetof(struct user, u_debugreg[0]);
	const size_t dr6 = offsetof(struct user, u_debugreg[6]);
	const size_t dr7 = offsetof(struct user, u_debugreg[7]);
	pid_t pid = traced(write_watched);
	int status;
	long value;

	require(!ptrace(PTRACE_POKEUSER, pid, dr0, &watched[0]), "setting DR0: %m");
	/* Local enable of breakpoint 0; writes (01); eight bytes (10). */
	require(!ptrace(PTRACE_POKEUSER, pid, dr7, 1ul | 1ul << 16 | 2ul << 18), "setting DR7: %m");
	status = resume(PTRACE_CONT, pid);
	/*
	 * Neither of the KVMs that this can be tried on arms the debug registers of programs in a guest of
	 * a guest, so under Xen's name their silence proves nothing. What does stop must be right.
	 */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 33 && !access("/sys/hypervisor/type", F_OK))
		check_skip("the host does not arm a guest's watchpoints");
	require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP,
		"a write to a watched word did not stop the child: status 0x%x", status);
	errno = 0;
	value = ptrace(PTRACE_PEEKDATA, pid, &watched[0], NULL);
	require(!errno && value == 6, "the stop is not right behind the watched write");
	value = ptrace(PTRACE_PEEKDATA, pid, &watched[1], NULL);
	require(value == 5, "the stop is too late");
	require(ptrace(PTRACE_PEEKUSER, pid, dr6, NULL) & 1, "DR6 does not say which watchpoint");
	status = resume(PTRACE_CONT, pid);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 33, "the child ended with 0x%x", status);
}

const struct check_topic debug_topics[] = {
	{"trap-flag", trap_flag},	     {"ptrace-step", single_step}, {"breakpoint", breakpoint},
	{"ptrace-syscall", system_call_stops}, {"watchpoint", watchpoint},   {NULL, NULL},
};
