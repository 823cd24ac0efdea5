/* SPDX-License-Identifier: MIT */
/*
 * Time and kicks. The core's clock is the guest's TSC. A physical CPU is brought out of KVM_RUN by a signal to its
 * thread: from its POSIX timer, or from another thread. The handler raises immediate_exit, so a signal that
 * comes just before KVM_RUN is not lost.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "machine.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define KICK_SIGNAL SIGUSR1

static __thread struct pcpu *self;

struct pcpu *this_pcpu(void)
{
	return self ? self : &machine.pcpu[0];
}

void set_this_pcpu(struct pcpu *p)
{
	self = p;
}

unsigned plat_cpu_id(void)
{
	return this_pcpu()->id;
}

uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void on_kick(int sig)
{
	struct pcpu *p = self;

	if (!p)
		return;
	atomic_store_explicit(&p->kicked, true, memory_order_relaxed);
	if (p->loaded)
		p->loaded->run->immediate_exit = 1;
}

/* Time-stamp ticks per millisecond, measured against CLOCK_MONOTONIC when KVM does not say. */
static uint32_t measure_tsc_khz(void)
{
	uint64_t t0 = clock_ns(), c0 = __rdtsc(), t1;

	while ((t1 = clock_ns()) - t0 < 20000000)
		;
	return (uint32_t)((__rdtsc() - c0) * 1000000 / (t1 - t0));
}

bool clock_init(GError **error)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);

	struct kvcpu *k = kvcpu_get(error);

	if (!k)
		return false;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[1];
	} m = { .head.nmsrs = 1, .e = { { .index = 0x10 } } };
	uint64_t before = __rdtsc();

	if (ioctl(k->fd, KVM_GET_MSRS, &m) == 1) {
		uint64_t after = __rdtsc(), guest = m.e[0].data;

		/* Equal within the call: no offset. */
		if (guest < before || guest > after)
			machine.tsc_offset = (int64_t)(guest - (before + (after - before) / 2));
	}
	int khz = ioctl(k->fd, KVM_GET_TSC_KHZ, 0);

	machine.info.tsc_khz = khz > 0 ? (uint32_t)khz : measure_tsc_khz();
	kvcpu_put(k);
	return true;
}

bool clock_init_thread(struct pcpu *p)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };

	p->tid = (pid_t)syscall(SYS_gettid);
	p->thread = pthread_self();
	ev.sigev_notify_thread_id = p->tid;
	set_this_pcpu(p);
	p->timer_made = !timer_create(CLOCK_MONOTONIC, &ev, &p->timer) &&
			!timer_create(CLOCK_MONOTONIC, &ev, &p->rekick);
	return p->timer_made;
}

void clock_kick_later(struct kvcpu *k)
{
	/*
	 * Long enough for the longest stub on a host that interprets it; longer each time in a row, for an emulated
	 * host that does not even get into the guest by then.
	 */
	const struct itimerspec soon = { .it_value.tv_nsec = 100000L << MIN(k->reruns, 7u) };

	k->run->immediate_exit = 0;
	if (this_pcpu()->timer_made)
		timer_settime(this_pcpu()->rekick, 0, &soon, NULL);
}

uint64_t plat_tsc(void)
{
	return __rdtsc() + (uint64_t)machine.tsc_offset;
}

uint64_t plat_wallclock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void plat_timer_set(uint64_t tsc)
{
	struct pcpu *p = this_pcpu();
	struct itimerspec it = { 0 };

	/* Also when it is the same as before: the timer may have fired a little before that TSC value. */
	if (!p->timer_made)
		return;
	if (tsc) {
		uint64_t now = plat_tsc();
		uint64_t ns = tsc > now ? (uint64_t)((unsigned __int128)(tsc - now) * 1000000 /
						     machine.info.tsc_khz) : 0;

		ns += 1; /* zero would disarm */
		it.it_value.tv_sec = (time_t)(ns / 1000000000);
		it.it_value.tv_nsec = (long)(ns % 1000000000);
	}
#ifdef __SANITIZE_THREAD__
	/*
	 * ThreadSanitizer keeps a signal's handler until the next call it knows of. One that comes just before KVM_RUN then
	 * does not stop it, so there is always another to come.
	 */
	it.it_interval.tv_nsec = 10000000;
	if (!tsc)
		it.it_value = it.it_interval;
#endif
	timer_settime(p->timer, 0, &it, NULL);
}

void plat_cpu_idle(void)
{
	struct pcpu *p = this_pcpu();
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	if (!atomic_exchange(&p->kicked, false))
		ppoll(NULL, 0, NULL, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* The round that follows looks at everything: whoever is still loaded need not leave KVM_RUN for it again. */
	if (p->loaded)
		p->loaded->run->immediate_exit = 0;
	atomic_store(&p->kicked, false);
}

void plat_cpu_relax(unsigned spins)
{
	/* The one waited for may not have a processor of the host's right now. */
	if (spins % 256 == 255)
		sched_yield();
	else
		__builtin_ia32_pause();
}

void plat_cpu_kick(unsigned pcpu)
{
	struct pcpu *p = &machine.pcpu[pcpu];

	if (p->tid && p != self)
		syscall(SYS_tgkill, getpid(), p->tid, KICK_SIGNAL);
}
