/* SPDX-License-Identifier: MIT */
/* Two-level event channels of virtual CPU 0, and system time. */
#include "guest.h"

volatile uint64_t event_upcalls;
void (*event_hook)(uint32_t port);
bool event_manual;

__extension__ typedef unsigned __int128 u128;

void event_entry(void);

void event_init(void)
{
	for (unsigned i = 0; i < 64; i++)
		shared->evtchn_mask[i] = ~UINT64_C(0);
}

void event_mask(uint32_t port)
{
	__atomic_fetch_or(&shared->evtchn_mask[port / 64], UINT64_C(1) << (port % 64),
			  __ATOMIC_SEQ_CST);
}

void event_unmask(uint32_t port)
{
	struct evtchn_unmask op = { .port = port };

	hc_event_channel_op(EVTCHNOP_unmask, &op);
}

void upcalls_on(void)
{
	READ_ONCE(vcpu_info(0)->evtchn_upcall_mask) = 0;
	barrier();
	if (READ_ONCE(vcpu_info(0)->evtchn_upcall_pending))
		HC2(xen_version, 0, 0); /* any hypercall: events are delivered on the way out */
}

static void dispatch(void)
{
	uint64_t words =
		__atomic_exchange_n(&vcpu_info(0)->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

	for (unsigned w = 0; w < 64; w++) {
		uint64_t ready;

		if (!(words >> w & 1))
			continue;
		ready = READ_ONCE(shared->evtchn_pending[w]) & ~READ_ONCE(shared->evtchn_mask[w]);
		for (unsigned b = 0; b < 64; b++) {
			if (!(ready >> b & 1))
				continue;
			__atomic_fetch_and(&shared->evtchn_pending[w], ~(UINT64_C(1) << b),
					   __ATOMIC_SEQ_CST);
			if (event_hook)
				event_hook(w * 64 + b);
		}
	}
}

void event_entry(void)
{
	event_upcalls++;
	do {
		READ_ONCE(vcpu_info(0)->evtchn_upcall_pending) = 0;
		barrier();
		if (!event_manual)
			dispatch();
	} while (READ_ONCE(vcpu_info(0)->evtchn_upcall_pending));
}

uint64_t system_time(void)
{
	volatile struct vcpu_time_info *t = &vcpu_info(0)->time;
	uint64_t delta, ns;
	uint32_t version;

	do {
		version = t->version;
		barrier();
		delta = rdtsc() - t->tsc_timestamp;
		delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
		ns = (uint64_t)(((u128)delta * t->tsc_to_system_mul) >> 32);
		ns += t->system_time;
		barrier();
	} while ((version & 1) || version != t->version);
	return ns;
}

void delay(uint64_t ns)
{
	uint64_t until = system_time() + ns;

	while (system_time() < until)
		__asm__ volatile("pause");
}
