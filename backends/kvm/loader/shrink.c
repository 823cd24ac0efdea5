/* SPDX-License-Identifier: MIT */
/* See shrink.h. The handler runs in whichever thread looked at the page and may not wait, so the table needs no lock. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "shrink.h"

#define PAGE 4096u

/* Domains that are being made at once, with a kernel and an initrd each. Beyond that nobody watches. */
static struct watched {
	uintptr_t start; /* 0: free, 1: being filled */
	size_t len;
	int shrunk;
} table[512];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction before;

static struct watched *find(uintptr_t at)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uintptr_t start = __atomic_load_n(&table[i].start, __ATOMIC_ACQUIRE);

		if (start > 1 && at - start < table[i].len)
			return &table[i];
	}
	return NULL;
}

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);
	struct watched *w = find(at);

	(void)context;
	if (w && mmap((char *)info->si_addr - ((uintptr_t)info->si_addr - at), PAGE, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
		__atomic_store_n(&w->shrunk, 1, __ATOMIC_RELEASE);
		return;
	}
	/* It comes again, as it would have come without us (to who gives the terminal its mode back); one that was sent is sent again. */
	sigaction(sig, &before, NULL);
	if (info->si_code <= 0)
		raise(sig);
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, &before);
}

void shrink_watch(const void *map, size_t len)
{
	pthread_once(&once, install);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uintptr_t none = 0;

		if (!__atomic_compare_exchange_n(&table[i].start, &none, 1, false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED))
			continue;
		table[i].len = len;
		table[i].shrunk = 0;
		__atomic_store_n(&table[i].start, (uintptr_t)map, __ATOMIC_RELEASE);
		return;
	}
}

bool shrink_happened(const void *map)
{
	struct watched *w = map ? find((uintptr_t)map) : NULL;

	return w && __atomic_load_n(&w->shrunk, __ATOMIC_ACQUIRE);
}

void shrink_unwatch(const void *map)
{
	struct watched *w = map ? find((uintptr_t)map) : NULL;

	if (w)
		__atomic_store_n(&w->start, 0, __ATOMIC_RELEASE);
}
