/* SPDX-License-Identifier: MIT */
/*
 * The threads that are the machine's physical CPUs, and the way into core context for a thread that wants an answer.
 */
#include <signal.h>

#include <xenopus/core.h>
#include "machine.h"

static GThread *threads[MAX_PCPUS];

static void *cpu_thread(void *data)
{
	struct pcpu *p = data;
	sigset_t kick;

	clock_init_thread(p);
	sigemptyset(&kick);
	sigaddset(&kick, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	door_start(p);
	core_cpu_loop();
	door_stop(p);
	return NULL;
}

void cpus_start(void)
{
	sigset_t all, old;

	/* They take no signal but their kick, so that the main loop gets all others. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (unsigned i = 0; i < machine.nr_pcpus; i++) {
		g_autofree char *name = g_strdup_printf("pcpu%u", i);

		threads[i] = g_thread_new(name, cpu_thread, &machine.pcpu[i]);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void cpus_join(void)
{
	for (unsigned i = 0; i < machine.nr_pcpus; i++)
		g_thread_join(threads[i]);
}

struct question {
	void (*fn)(void *data);
	void *data;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done;
};

static void answer(void *data)
{
	struct question *q = data;

	q->fn(q->data);
	/* The last touch: with the lock gone @q is too. */
	pthread_mutex_lock(&q->lock);
	q->done = true;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

void home_call(void (*fn)(void *data), void *data)
{
	struct question q = { .fn = fn, .data = data, .lock = PTHREAD_MUTEX_INITIALIZER,
			      .answered = PTHREAD_COND_INITIALIZER };

	home_post(answer, &q);
	pthread_mutex_lock(&q.lock);
	while (!q.done)
		pthread_cond_wait(&q.answered, &q.lock);
	pthread_mutex_unlock(&q.lock);
	pthread_mutex_destroy(&q.lock);
	pthread_cond_destroy(&q.answered);
}
