/* SPDX-License-Identifier: MIT */
/*
 * Where a virtual CPU's time goes (running, runnable, blocked, offline): the guest's steal-time
 * accounting. And the two records a guest may ask to have kept at a virtual address of its own: the
 * runstate, and a copy of the time record for its user space.
 *
 * Those addresses belong to the guest's kernel. They are written through the page tables the
 * virtual CPU is on, so a write that falls due while it is in user mode waits (vcpu_time.stale)
 * until it is about to run in kernel mode. What cannot be written then is dropped: the address was
 * the guest's choice.
 */
#include <xenopus/domain.h>
#include <xen/vcpu.h>
#include "clock.h"

/*
 * The record as of the last change of state, which is what the area holds: its reader adds the
 * rest.
 */
static void last_change(const struct vcpu *v, struct vcpu_runstate_info *info)
{
	struct vcpu_time *vt = (struct vcpu_time *)(uintptr_t)&v->time; /* only for its lock */

	memset(info, 0, sizeof(*info));
	spin_lock(&vt->runstate_lock, LOCK_RUNSTATE);
	info->state = vt->runstate;
	info->state_entry_time = vt->runstate_entry;
	memcpy(info->time, vt->runstate_ns, sizeof(info->time));
	spin_unlock(&vt->runstate_lock, LOCK_RUNSTATE);
}

void time_get_runstate(const struct vcpu *v, struct vcpu_runstate_info *info)
{
	uint64_t now;

	last_change(v, info);
	now = time_now();
	if (now > info->state_entry_time)
		info->time[info->state] += now - info->state_entry_time;
}

/* Write v's runstate to its area at @va through the page tables @via is on. */
static size_t write_runstate(struct vcpu *via, const struct vcpu *v, uint64_t va)
{
	uint64_t entry_va = va + offsetof(struct vcpu_runstate_info, state_entry_time);
	bool flagged = READ_ONCE(v->domain->mm.vm_assist) & (UINT64_C(1) << VMASST_TYPE_runstate_update_flag);
	struct vcpu_runstate_info info;
	size_t left;

	last_change(v, &info);
	if (flagged) {
		info.state_entry_time |= XEN_RUNSTATE_UPDATE;
		left = guest_copy_to(via, entry_va, &info.state_entry_time,
				     sizeof(info.state_entry_time));
		if (left)
			return left;
		store_fence();
	}
	left = guest_copy_to(via, va, &info, sizeof(info));
	if (flagged) {
		store_fence();
		info.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
		left |= guest_copy_to(via, entry_va, &info.state_entry_time,
				      sizeof(info.state_entry_time));
	}
	return left;
}

/* Write the secondary time record at @va through the page tables @via is on. */
static size_t write_time_area(struct vcpu *via, uint64_t va)
{
	struct vcpu_time_info ti;
	uint32_t version;
	size_t left;

	if (guest_copy_from(via, &version, va, sizeof(version)))
		return sizeof(ti);
	time_record(&ti);
	ti.version = (version + 1) | 1;
	left = guest_copy_to(via, va, &ti.version, sizeof(ti.version));
	if (left)
		return left;
	store_fence();
	left = guest_copy_to(via, va, &ti, sizeof(ti));
	store_fence();
	ti.version++;
	return left | guest_copy_to(via, va, &ti.version, sizeof(ti.version));
}

void time_write_areas(struct vcpu *v)
{
	uint32_t stale = __atomic_exchange_n(&v->time.stale, 0, __ATOMIC_RELAXED);
	/* Others may move or give up an area at any moment: then it is written once more where it was. */
	uint64_t runstate = READ_ONCE(v->time.runstate_guest_va), area = READ_ONCE(v->time.time_guest_va);

	if (stale & TIME_STALE_RUNSTATE && runstate)
		write_runstate(v, v, runstate);
	if (stale & TIME_STALE_AREA && area)
		write_time_area(v, area);
	gate_slow(&v->gate, GATE_SLOW_TIME, false);
}

/* Time up to now goes to the state that ends. True when the guest's area shall tell. */
static bool change_state(struct vcpu_time *vt, int state)
{
	uint64_t now = time_now();
	bool changed, visible;

	spin_lock(&vt->runstate_lock, LOCK_RUNSTATE);
	changed = vt->runstate != state;
	/* As it gets or loses a physical CPU; what it does off the CPU it learns when it is back. */
	visible = changed && (vt->runstate == RUNSTATE_running || state == RUNSTATE_running) &&
		  READ_ONCE(vt->runstate_guest_va);
	if (changed) {
		if (now > vt->runstate_entry)
			vt->runstate_ns[vt->runstate] += now - vt->runstate_entry;
		vt->runstate = state;
		vt->runstate_entry = now;
	}
	spin_unlock(&vt->runstate_lock, LOCK_RUNSTATE);
	return visible;
}

void time_set_runstate(struct vcpu *v, int state)
{
	ASSERT(state >= RUNSTATE_running && state <= RUNSTATE_offline);
	if (!change_state(&v->time, state))
		return;
	__atomic_fetch_or(&v->time.stale, TIME_STALE_RUNSTATE, __ATOMIC_RELAXED);
	gate_slow(&v->gate, GATE_SLOW_TIME, true);
	if (gate_kernel_mode(&v->gate))
		time_write_areas(v);
}

int time_register_runstate(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	WRITE_ONCE(v->time.runstate_guest_va, va);
	__atomic_fetch_and(&v->time.stale, ~TIME_STALE_RUNSTATE, __ATOMIC_RELAXED);
	if (va)
		write_runstate(caller, v, va);
	return 0;
}

int time_register_area(struct vcpu *caller, struct vcpu *v, uint64_t va)
{
	WRITE_ONCE(v->time.time_guest_va, va);
	__atomic_fetch_and(&v->time.stale, ~TIME_STALE_AREA, __ATOMIC_RELAXED);
	if (va)
		write_time_area(caller, va);
	return 0;
}
