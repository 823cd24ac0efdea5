/* SPDX-License-Identifier: MIT */
/*
 * Obeying what is typed, line by line, until "end". Somebody outside measures scheduling with it (tools/bench domains):
 *
 *	say WORDS	say them again
 *	work N		N pieces of work (guests/lib/job.h)
 *	hog		pieces of work until something is typed
 *	wake US N	N times: sleep for US microseconds, and see how late it wakes
 *	storm		hypercalls and events to itself, without a break, until something is typed
 *
 * Each is answered by a line "agent: WHAT ...", times in ns. guests/linux/agent.c knows the first three, too.
 */
#include "guest.h"
#include "job.h"
#include "worker.h"

#define SLEEPS_MAX 4096u

static volatile uint64_t result = 88172645463325252u;

static void work(uint64_t units)
{
	uint64_t start = system_time();

	for (uint64_t i = 0; i < units; i++)
		result = job_unit(result);
	printf("agent: work %lu %lu\n", units, system_time() - start);
}

static void hog(void)
{
	uint64_t start = system_time(), units = 0;

	for (; !line_waiting(); units++)
		result = job_unit(result);
	printf("agent: hog %lu %lu\n", units, system_time() - start);
}

/* The timer's port, unmasked; there are no ticks beside the timers asked for. */
static void timer_ready(void)
{
	static struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };

	if (!virq.port && hc_event_channel_op(EVTCHNOP_bind_virq, &virq))
		panic("VIRQ_TIMER cannot be bound");
	hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
	upcalls_on();
	event_unmask(virq.port);
}

/* How much later than asked for. Whatever else wakes it before is slept over. */
static uint64_t sleep_until(uint64_t when)
{
	uint64_t now;

	HC1(set_timer_op, when);
	while ((now = system_time()) < when)
		hc_sched_op(SCHEDOP_block, NULL);
	return now - when;
}

/* Insertion: there are few, and nobody waits for it. */
static void sort(uint64_t *x, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		uint64_t this = x[i];
		unsigned j = i;

		for (; j && x[j - 1] > this; j--)
			x[j] = x[j - 1];
		x[j] = this;
	}
}

static void wake(uint64_t us, uint64_t count)
{
	static uint64_t late[SLEEPS_MAX];
	unsigned n = (unsigned)(count < SLEEPS_MAX ? count : SLEEPS_MAX);

	if (!n)
		return;
	timer_ready();
	for (unsigned i = 0; i < n; i++)
		late[i] = sleep_until(system_time() + us * 1000);
	upcalls_off();
	sort(late, n);
	printf("agent: wake %u %lu %lu %lu\n", n, late[n / 2], late[n * 99 / 100], late[n - 1]);
}

/* Page-table updates, events to itself, timers that fire at once. It never gives its time away. */
static void storm(void)
{
	uint64_t start = system_time(), calls = 0, va = va_reserve(1), mfn = virt_to_mfn(page_alloc());
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct evtchn_send send;

	if (hc_event_channel_op(EVTCHNOP_bind_ipi, &ipi))
		panic("an IPI port cannot be bound");
	send.port = ipi.port;
	timer_ready();
	event_unmask(ipi.port);
	for (; !line_waiting(); calls += 4) {
		hc_update_va_mapping(va, calls & 4 ? 0 : mfn * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_INVLPG);
		hc_event_channel_op(EVTCHNOP_send, &send);
		HC1(set_timer_op, system_time() + 10000);
		HC2(xen_version, XENVER_version, 0);
	}
	HC1(set_timer_op, 0);
	upcalls_off();
	printf("agent: storm %lu %lu\n", calls, system_time() - start);
}

/* The number at *@p, which then is behind it. */
static uint64_t number(const char **p)
{
	uint64_t n = 0;

	while (**p == ' ')
		(*p)++;
	while (**p >= '0' && **p <= '9')
		n = n * 10 + (uint64_t)(*(*p)++ - '0');
	return n;
}

static bool begins(const char **line, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < n; i++)
		if ((*line)[i] != word[i])
			return false;
	if ((*line)[n] && (*line)[n] != ' ')
		return false;
	*line += n;
	return true;
}

static void obey_line(const char *line)
{
	if (begins(&line, "say")) {
		printf("agent: say%s\n", line);
	} else if (begins(&line, "work")) {
		work(number(&line));
	} else if (begins(&line, "hog")) {
		hog();
	} else if (begins(&line, "wake")) {
		uint64_t us = number(&line);

		wake(us, number(&line));
	} else if (begins(&line, "storm")) {
		storm();
	} else if (*line) {
		printf("agent: what is '%s'?\n", line);
	}
}

void obey(void)
{
	char line[LINE + 1];

	upcalls_off();
	printf("agent: ready\n");
	while (read_line(line))
		obey_line(line);
}
