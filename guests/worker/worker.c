/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what its arguments say, for tests of the machine around it, and then powers off:
 *
 *	touch	every frame of its memory is zero: write into all of them, then read them again
 *	echo	say again what is typed, line by line, until a line "end"
 *	obey	do what is typed, see obey.c
 *	spin	run in guest user mode for ever
 *	reboot	ask to be started again instead of powering off
 *	crash	end as a kernel that has panicked does
 *	watchdog	end as one that its watchdog stops
 *
 * Each thing done is a line of the console.
 */
#include "guest.h"
#include "worker.h"

const char guest_topic[] = "worker";

static uint64_t pattern(uint64_t pfn)
{
	return pfn * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static void show(uint64_t va, uint64_t pfn)
{
	long rc = hc_update_va_mapping(va, p2m[pfn] * PAGE_SIZE | PTE_LEAF | PTE_RW, UVMF_INVLPG);

	if (rc)
		panic("frame of pfn %lu cannot be mapped: %ld", pfn, rc);
}

/* What lies behind the initial mapping is nobody's yet. */
static void touch(void)
{
	uint64_t first = (virt_to_pfn(page_alloc()) + 2048) & ~UINT64_C(1023), va = va_reserve(1), wrong = 0;

	for (uint64_t pfn = first; pfn < start_info->nr_pages; pfn++) {
		show(va, pfn);
		for (unsigned i = 0; i < 512; i += 64) {
			wrong += ((volatile uint64_t *)va)[i] != 0;
			((volatile uint64_t *)va)[i] = pattern(pfn) + i;
		}
	}
	for (uint64_t pfn = first; pfn < start_info->nr_pages; pfn++) {
		show(va, pfn);
		for (unsigned i = 0; i < 512; i += 64)
			wrong += ((volatile uint64_t *)va)[i] != pattern(pfn) + i;
	}
	printf("worker: %lu of %lu pages touched, %lu words wrong\n", start_info->nr_pages - first,
	       start_info->nr_pages, wrong);
}

static char typed(struct xencons_interface *ring, evtchn_port_t port)
{
	XENCONS_RING_IDX at = ring->in_cons;
	char c;

	while (at == READ_ONCE(ring->in_prod)) {
		struct sched_poll poll = { .nr_ports = 1, .timeout = 0 };

		set_xen_guest_handle(poll.ports, &port);
		__atomic_fetch_and(&shared->evtchn_pending[port / 64], ~(UINT64_C(1) << port % 64),
				   __ATOMIC_SEQ_CST);
		if (at == READ_ONCE(ring->in_prod))
			hc_sched_op(SCHEDOP_poll, &poll);
	}
	c = ring->in[MASK_XENCONS_IDX(at, ring->in)];
	__atomic_store_n(&ring->in_cons, at + 1, __ATOMIC_RELEASE);
	return c;
}

bool line_waiting(void)
{
	struct xencons_interface *ring = mfn_to_virt(start_info->console.domU.mfn);

	return ring->in_cons != READ_ONCE(ring->in_prod);
}

bool read_line(char *line)
{
	struct xencons_interface *ring = mfn_to_virt(start_info->console.domU.mfn);
	unsigned n = 0;

	for (;;) {
		char c = typed(ring, start_info->console.domU.evtchn);

		if (c == '\n' || c == '\r')
			break;
		if (n < LINE)
			line[n++] = c;
	}
	line[n] = '\0';
	return strcmp(line, "end");
}

static void echo(void)
{
	char line[LINE + 1];

	upcalls_off();
	printf("worker: type\n");
	while (read_line(line))
		printf("worker: heard %s\n", line);
}

USER_CODE_BLOCK(u_spin, "1: pause\n jmp 1b");

/* An event brings the kernel back now and then. */
static void spin(void)
{
	printf("worker: spins\n");
	user_init();
	for (;;)
		USER_RUN(u_spin, 0);
}

static void stop(unsigned reason)
{
	struct sched_shutdown s = { .reason = reason };

	hc_sched_op(SCHEDOP_shutdown, &s);
}

void guest_main(void)
{
	printf("worker: %lu pages, arguments: %s\n", start_info->nr_pages, (const char *)start_info->cmd_line);
	check(start_info->nr_pages > 0, "there is memory", "no pages");
	if (told("touch"))
		touch();
	if (told("echo"))
		echo();
	if (told("obey"))
		obey();
	if (told("spin"))
		spin();
	if (told("crash"))
		stop(SHUTDOWN_crash);
	if (told("watchdog"))
		stop(SHUTDOWN_watchdog);
	if (told("reboot"))
		stop(SHUTDOWN_reboot);
}
