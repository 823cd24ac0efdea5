/* SPDX-License-Identifier: MIT */
/*
 * Self-check, vector registers: everything that the processor offers to programs (x87, SSE, AVX, AVX-512 by
 * the native cpuid and xgetbv, which is what every C library goes by) must survive signals and context
 * switches. A hypervisor whose cpuid shows the kernel less than programs see loses the upper
 * halves here, and only here: an ordinary boot does not notice.
 */
#include "check.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { PROCESSES = 4, SPINS = 2000000, XMM_BYTES = 256, YMM_BYTES = 512, ZMM_BYTES = 2048 };

/*
 * spin_KIND(in, out, n): load all registers of the kind from @in, spin @n times in which anything may
 * interrupt, store them to @out. Written in assembler so that no compiler touches a register between.
 */
#define REP8(m, a)  m(0, a) m(1, a) m(2, a) m(3, a) m(4, a) m(5, a) m(6, a) m(7, a)
#define REP16(m, a) REP8(m, a) m(8, a) m(9, a) m(10, a) m(11, a) m(12, a) m(13, a) m(14, a) m(15, a)
#define REP32(m, a)                                                                                \
	REP16(m, a)                                                                                \
	m(16, a) m(17, a) m(18, a) m(19, a) m(20, a) m(21, a) m(22, a) m(23, a) m(24, a) m(25, a)  \
	m(26, a) m(27, a) m(28, a) m(29, a) m(30, a) m(31, a)
#define LOAD_XMM(n, a)	"movups " #n "*16(%rdi), %xmm" #n "\n"
#define STORE_XMM(n, a) "movups %xmm" #n ", " #n "*16(%rsi)\n"
#define LOAD_YMM(n, a)	"vmovups " #n "*32(%rdi), %ymm" #n "\n"
#define STORE_YMM(n, a) "vmovups %ymm" #n ", " #n "*32(%rsi)\n"
#define LOAD_ZMM(n, a)	"vmovups " #n "*64(%rdi), %zmm" #n "\n"
#define STORE_ZMM(n, a) "vmovups %zmm" #n ", " #n "*64(%rsi)\n"
#define LOAD_K(n, a)	"kmovw " #n "*64(%rdi), %k" #n "\n"
#define STORE_K(n, a)	"kmovw %k" #n ", " #n "*64(%rsi)\n"
#define LOAD_MM(n, a)	"movq " #n "*8(%rdi), %mm" #n "\n"
#define STORE_MM(n, a)	"movq %mm" #n ", " #n "*8(%rsi)\n"
#define SPIN		"1: nop\n dec %rdx\n jnz 1b\n"
#define SPIN_FUNCTION(kind, load, store, end)                                                      \
	__asm__(".text\n.type spin_" #kind ", @function\nspin_" #kind ":\n" load SPIN store end    \
		"ret\n");                                                                          \
	void spin_##kind(const void *in, void *out, long n)

SPIN_FUNCTION(x87, REP8(LOAD_MM, 0), REP8(STORE_MM, 0), "emms\n");
SPIN_FUNCTION(sse, REP16(LOAD_XMM, 0), REP16(STORE_XMM, 0), "");
SPIN_FUNCTION(avx, REP16(LOAD_YMM, 0), REP16(STORE_YMM, 0), "vzeroupper\n");
SPIN_FUNCTION(avx512, REP32(LOAD_ZMM, 0), REP32(STORE_ZMM, 0), "vzeroupper\n");
SPIN_FUNCTION(mask, REP8(LOAD_K, 0), REP8(STORE_K, 0), "");

static uint64_t enabled_state(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 3; /* x87 and SSE are always there */
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a | (uint64_t)d << 32;
}

static int have_avx(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX) && (enabled_state() & 6) == 6;
}

static int have_avx512(void)
{
	unsigned int a, b, c, d;

	return have_avx() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) &&
	       (enabled_state() & 0xe6) == 0xe6;
}

struct kind {
	const char *name;
	void (*spin)(const void *in, void *out, long n);
	size_t size;
	size_t stride, used; /* only the first @used bytes of every @stride count */
	int present;
};

static void round_trip(const struct kind *kind, uint64_t seed, long spins)
{
	static __thread unsigned char in[ZMM_BYTES], out[ZMM_BYTES];

	for (size_t i = 0; i < kind->size / 8; i++) {
		uint64_t word = check_pattern(seed, i);

		memcpy(in + i * 8, &word, 8);
	}
	memset(out, 0, sizeof(out));
	kind->spin(in, out, spins);
	for (size_t i = 0; i < kind->size; i++) {
		if (i % kind->stride < kind->used)
			require(in[i] == out[i], "%s: byte %zu of the registers is 0x%02x, not 0x%02x",
				kind->name, i, out[i], in[i]);
	}
}

static struct kind kinds[] = {
	{"x87/mmx", spin_x87, 64, 8, 8, 1},
	{"sse", spin_sse, XMM_BYTES, 16, 16, 1},
	{"avx", spin_avx, YMM_BYTES, 32, 32, 0},
	{"avx512", spin_avx512, ZMM_BYTES, 64, 64, 0},
	{"avx512 masks", spin_mask, 512, 64, 2, 0},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void find_kinds(void)
{
	kinds[2].present = have_avx();
	kinds[3].present = kinds[4].present = have_avx512();
}

static volatile sig_atomic_t handled;

/* Fills every vector register with something else. */
static void on_tick(int sig, siginfo_t *info, void *context)
{
	unsigned char noise[ZMM_BYTES], sink[ZMM_BYTES];

	(void)sig;
	(void)info;
	(void)context;
	memset(noise, 0xa5 + handled, sizeof(noise));
	for (int i = 0; i < KINDS; i++) {
		if (kinds[i].present)
			kinds[i].spin(noise, sink, 1);
	}
	handled++;
}

static void with_signals(void)
{
	struct itimerval every = {{0, 2000}, {0, 2000}};
	time_t end = time(NULL) + 120;

	find_kinds();
	check_handler(SIGALRM, on_tick, SA_RESTART);
	setitimer(ITIMER_REAL, &every, NULL);
	for (uint64_t round = 0; handled < check_times(200) && time(NULL) < end; round++) {
		for (int i = 0; i < KINDS; i++) {
			if (kinds[i].present)
				round_trip(&kinds[i], round, SPINS / 100);
		}
	}
	require(handled >= check_times(200), "only %d signals", (int)handled);
}

static void with_switches(void)
{
	pid_t child[PROCESSES];

	find_kinds();
	for (int i = 0; i < PROCESSES; i++) {
		child[i] = check_fork();
		if (child[i])
			continue;
		time_t end = time(NULL) + check_times(6) / 2;

		for (uint64_t round = 0; round < 4 || time(NULL) < end; round++) {
			for (int j = 0; j < KINDS; j++) {
				if (kinds[j].present)
					round_trip(&kinds[j], round * PROCESSES + i, SPINS);
			}
		}
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++)
		check_wait(child[i], 0);
}

/* Rounding mode and masks are state too, and differ between processes that alternate. */
static void control_words(void)
{
	pid_t child[4];

	for (uint32_t i = 0; i < 4; i++) {
		child[i] = check_fork();
		if (child[i])
			continue;
		uint32_t mxcsr = 0x1f80 | i << 13, seen = 0;
		uint16_t fcw = 0x037f | (uint16_t)(i << 10), fcw_seen = 0;
		time_t end = time(NULL) + 2;

		__asm__ volatile("ldmxcsr %0\nfldcw %1" : : "m"(mxcsr), "m"(fcw));
		do {
			for (volatile int j = 0; j < 100000; j++)
				;
			__asm__ volatile("stmxcsr %0\nfnstcw %1" : "=m"(seen), "=m"(fcw_seen));
			require(seen == mxcsr, "MXCSR is 0x%x, not 0x%x", seen, mxcsr);
			require(fcw_seen == fcw, "x87 control word is 0x%x, not 0x%x", fcw_seen, fcw);
		} while (time(NULL) < end);
		_exit(0);
	}
	for (int i = 0; i < 4; i++)
		check_wait(child[i], 0);
}

static void on_edit(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	for (int i = 0; i < 4; i++)
		uc->uc_mcontext.fpregs->_xmm[5].element[i] ^= 0xffffffff;
}

/* A handler may edit the interrupted registers: the frame on the stack is what is restored. */
static void edited_frame(void)
{
	uint64_t before[2] = {0x0123456789abcdef, 0xfedcba9876543210}, after[2];
	long pid = getpid();

	check_handler(SIGUSR1, on_edit, 0);
	for (int i = 0; i < 200; i++) {
		long result;

		__asm__ volatile("movups %2, %%xmm5\n"
				 "mov $62, %%eax\n" /* kill(getpid(), SIGUSR1) */
				 "syscall\n"
				 "movups %%xmm5, %1\n"
				 : "=&a"(result), "=m"(after)
				 : "m"(before), "D"(pid), "S"((long)SIGUSR1)
				 : "rcx", "r11", "xmm5", "memory");
		require(result == 0, "kill: %ld", result);
		require(after[0] == ~before[0] && after[1] == ~before[1],
			"a register edited by a signal handler came back as it was");
	}
}

/* What cpuid says must be usable: a vector kind that is announced but faults kills programs. */
__attribute__((target("avx2,fma"))) static double avx_sum(void)
{
	__m256d a = _mm256_set_pd(1, 2, 3, 4), b = _mm256_set1_pd(0.5), c = _mm256_fmadd_pd(a, b, a);
	double out[4];

	_mm256_storeu_pd(out, c);
	return out[0] + out[1] + out[2] + out[3];
}

static void announced(void)
{
	unsigned char in[ZMM_BYTES] = {1}, out[ZMM_BYTES];

	find_kinds();
	for (int i = 0; i < KINDS; i++) {
		if (kinds[i].present)
			kinds[i].spin(in, out, 1);
	}
	if (have_avx() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		require(avx_sum() == 15.0, "a fused multiply-add is wrong");
}

const struct check_topic vector_topics[] = {
	{"vector-announced", announced},       {"vector-signals", with_signals},
	{"vector-switches", with_switches},    {"vector-control-words", control_words},
	{"vector-signal-frame", edited_frame}, {NULL, NULL},
};
