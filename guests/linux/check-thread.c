/* SPDX-License-Identifier: MIT */
/*
 * Self-check, threads: creation, mutexes and condition variables (futexes that wait and wake),
 * thread-local storage (the FS base across context switches), timed waits.
 */
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { THREADS = 8, ADDITIONS = 20000, PINGS = 500 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread uint64_t mine;

static void *add(void *arg)
{
	mine = (uintptr_t)arg;
	for (int i = 0; i < ADDITIONS; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
		if (i % 500 == 0)
			sched_yield();
		if (mine != (uintptr_t)arg)
			return NULL;
	}
	return arg;
}

static void mutex(void)
{
	pthread_t thread[THREADS];

	counter = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		require(!pthread_create(&thread[i], NULL, add, (void *)(i + 1)),
			"pthread_create: %m");
	for (uintptr_t i = 0; i < THREADS; i++) {
		void *result;

		require(!pthread_join(thread[i], &result), "pthread_join: %m");
		require(result == (void *)(i + 1), "a thread saw another's thread-local word");
	}
	require(counter == (long)THREADS * ADDITIONS, "%d threads counted to %ld", THREADS, counter);
}

static void *ping(void *arg)
{
	int me = (int)(uintptr_t)arg;

	for (int i = 0; i < check_times(PINGS); i++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&turn_changed, &lock);
		turn = !me;
		pthread_cond_signal(&turn_changed);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static void futex(void)
{
	struct timespec deadline, now;
	pthread_t thread[2];
	int error;

	for (uintptr_t i = 0; i < 2; i++)
		require(!pthread_create(&thread[i], NULL, ping, (void *)i), "pthread_create: %m");
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);

	/* A wait that nobody ends must end by itself, and not before its time. */
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_nsec += 50000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_nsec -= 1000000000;
		deadline.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	do {
		error = pthread_cond_timedwait(&turn_changed, &lock, &deadline);
	} while (!error);
	pthread_mutex_unlock(&lock);
	clock_gettime(CLOCK_REALTIME, &now);
	require(error == ETIMEDOUT, "a timed wait gave error %d", error);
	require(now.tv_sec > deadline.tv_sec ||
			(now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec),
		"a timed wait ended too early");
}

static void *nothing(void *arg)
{
	return (void *)((uintptr_t)arg * 3);
}

static void many(void)
{
	for (uintptr_t i = 0; i < (uintptr_t)check_times(100); i++) {
		pthread_t thread;
		void *result;

		require(!pthread_create(&thread, NULL, nothing, (void *)i), "pthread_create: %m");
		pthread_join(thread, &result);
		require(result == (void *)(i * 3), "a thread returned a wrong value");
	}
}

const struct check_topic thread_topics[] = {
	{"thread-mutex", mutex},
	{"thread-futex", futex},
	{"thread-create", many},
	{NULL, NULL},
};
