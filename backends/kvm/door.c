/* SPDX-License-Identifier: MIT */
/*
 * The attendant at the SYSCALL door.
 *
 * On a host that virtualises by software an exit to this process costs tens of microseconds, and a kernel that
 * boots makes tens of thousands of hypercalls. So, while a guest makes many, a second host thread waits at the
 * door: the guest's SYSCALL puts the registers into its box page and spins; the attendant performs the
 * hypercall on the core and puts the answer there.
 *
 *	guest (ring 3, door page)		attendant (host thread)
 *	BOX_ASKED  ---------------------------> BOX_TAKEN, hypercall_call()
 *	go on      <--------------------------- BOX_DONE
 *	OUT, no core work but what is owed <--- BOX_DONE_LEAVE
 *	OUT, an ordinary hypercall <----------- BOX_REFUSED
 *
 * Only calls that need nothing but memory are answered here: everything that lives in the KVM vCPU
 * (registers, selectors, CR3, pending events) waits for an exit, and page-table stores that must be repeated inside
 * the VM may wait for one as long as no TLB flush is owed, as a TLB would.
 *
 * Two hypercalls need no answer at all, only to be known at the next exit: where the kernel's stack is, and user's GS
 * base. The door of a domain's only virtual CPU writes them down and goes on (open_notes()).
 *
 * The box is guest memory: it is read once, and a request counts only while the virtual CPU is in its
 * kernel, which our own state tells, not the box. The gate is mapped in every address space, so a second virtual
 * CPU could write into the first one's box; a machine with more than one has no attendant.
 *
 * A guest that does not play by the rules may run on while its request is worked on, or ignore that it should
 * leave. So before anything that needs old translations gone (a TLB flush, a page table whose shadow is stale) the
 * attendant brings the guest out of KVM_RUN and keeps it out; it re-enters through the owed stores.
 *
 * It pays only where the thread really has a processor of its own: when guests wait in vain it is banned for a while.
 *
 * One lock keeps the physical CPU's thread and its attendant out of each other's way: the thread holds it
 * whenever it is not inside KVM_RUN.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenopus/hypercall.h>
#include <xen/vcpu.h>
#include "machine.h"

#define IDLE_NS        3000000  /* nobody asked for so long: go to sleep */
#define CALL_AFTER     8        /* hypercalls by exit within ... */
#define CALL_WITHIN_NS 4000000  /* ... this time call the attendant */
#define MAX_OWED       32       /* page-table stores that may wait for an exit */

struct attendant {
	GThread *thread;
	_Atomic bool lock;
	_Atomic bool stop, awake;
	_Atomic bool blocked;      /* the CPU's thread is out of KVM_RUN and waits for the lock */
	GMutex mutex;
	GCond cond;
	struct kvcpu *_Atomic in_guest; /* written under lock: what runs in KVM_RUN now */
	uint64_t answers, given_up;
	uint64_t window_start;
	unsigned window_calls;
	uint64_t banned_until, ban_ns;
};

static __thread struct attendant *attending; /* on the attendant's thread, while it answers */

static _Atomic uint32_t *box_word(const struct kvcpu *k, unsigned offset)
{
	return (_Atomic uint32_t *)(void *)(k->box + offset);
}

static _Atomic uint32_t *sign_word(const struct kvcpu *k, unsigned offset)
{
	return (_Atomic uint32_t *)(void *)(k->sign + offset);
}

static uint64_t *box_quad(const struct kvcpu *k, unsigned offset)
{
	return (uint64_t *)(void *)(k->box + offset);
}

static void take_lock(struct attendant *a)
{
	while (atomic_exchange_explicit(&a->lock, true, memory_order_acquire))
		while (atomic_load_explicit(&a->lock, memory_order_relaxed))
			__builtin_ia32_pause();
}

static void drop_lock(struct attendant *a)
{
	atomic_store_explicit(&a->lock, false, memory_order_release);
}

/* Calls that touch nothing but core state and guest memory. */
static bool answerable(uint64_t nr, const struct hypercall_args *c)
{
	switch (nr) {
	case __HYPERVISOR_mmu_update:
		return c->arg[1] <= 64;
	case __HYPERVISOR_update_va_mapping:
	case __HYPERVISOR_xen_version:
	case __HYPERVISOR_stack_switch:
	case __HYPERVISOR_event_channel_op:
		return true;
	case __HYPERVISOR_vcpu_op:
		return c->arg[0] == VCPUOP_is_up;
	default:
		return false;
	}
}

/* With the lock held and the guest waiting in the door. */
static void answer(struct pcpu *p, struct kvcpu *k, struct vcpu *v)
{
	uint32_t state = BOX_ASKED;
	uint64_t nr = READ_ONCE(*box_quad(k, BOX_RAX));
	struct hypercall_args c = {
		.arg = { READ_ONCE(*box_quad(k, BOX_RDI)), READ_ONCE(*box_quad(k, BOX_RSI)),
			 READ_ONCE(*box_quad(k, BOX_RDX)), READ_ONCE(*box_quad(k, BOX_R10)),
			 READ_ONCE(*box_quad(k, BOX_R8)), READ_ONCE(*box_quad(k, BOX_R9)) },
	};
	uint64_t flushes = atomic_load(&p->flush_gen), cr3 = gate_cr3(&v->gate);

	if (!atomic_compare_exchange_strong(box_word(k, BOX_STATE), &state, BOX_TAKEN))
		return;
	if (!answerable(nr, &c)) {
		atomic_store(box_word(k, BOX_STATE), BOX_REFUSED);
		return;
	}
	attending = p->attendant;

	long ret = hypercall_call(v, nr, &c);

	attending = NULL;
	p->attendant->answers++;
	*box_quad(k, BOX_RESULT) = (uint64_t)ret;
	k->answered = p->nr_stores > MAX_OWED || k->dirty ||
		      atomic_load(&p->flush_gen) != flushes || gate_cr3(&v->gate) != cr3 ||
		      vcpu_upcall_pending(v) || v->domain->state != DOM_RUNNING;
	atomic_store(box_word(k, BOX_STATE), k->answered ? BOX_DONE_LEAVE : BOX_DONE);
}

void door_stop_guest(void)
{
	if (!attending)
		return;
	/* The lock is ours, so once the thread waits for it the guest stays out until we are done. */
	while (!atomic_load(&attending->blocked)) {
		syscall(SYS_tgkill, getpid(), this_pcpu()->tid, SIGUSR1);
		for (unsigned i = 0; i < 2000 && !atomic_load(&attending->blocked); i++)
			__builtin_ia32_pause();
	}
}

static bool attend(struct pcpu *p)
{
	struct attendant *a = p->attendant;
	struct kvcpu *k = atomic_load_explicit(&a->in_guest, memory_order_acquire);
	bool found = false;

	if (!k || atomic_load_explicit(box_word(k, BOX_STATE), memory_order_relaxed) != BOX_ASKED)
		return false;
	if (atomic_exchange_explicit(&a->lock, true, memory_order_acquire))
		return false;
	k = atomic_load_explicit(&a->in_guest, memory_order_relaxed);
	if (k && gate_kernel_mode(&k->vcpu->gate) &&
	    atomic_load(box_word(k, BOX_STATE)) == BOX_ASKED) {
		answer(p, k, k->vcpu);
		found = true;
	}
	drop_lock(a);
	return found;
}

static void *attendant_thread(void *data)
{
	struct pcpu *p = data;
	struct attendant *a = p->attendant;
	uint64_t last = 0;

	set_this_pcpu(p);
	while (!atomic_load(&a->stop)) {
		g_mutex_lock(&a->mutex);
		while (!atomic_load(&a->awake) && !atomic_load(&a->stop))
			g_cond_wait(&a->cond, &a->mutex);
		g_mutex_unlock(&a->mutex);
		last = clock_ns();
		while (!atomic_load_explicit(&a->stop, memory_order_relaxed)) {
			for (unsigned i = 0; i < 64; i++) {
				if (attend(p))
					last = clock_ns();
				else
					__builtin_ia32_pause();
			}
			if (clock_ns() - last > IDLE_NS)
				break;
		}
		atomic_store(&a->awake, false);
	}
	return NULL;
}

/* Whoever looks at the core with a debugger wants one thread to follow. */
static bool under_debugger(void)
{
	g_autofree char *status = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
		return false;
	line = strstr(status, "\nTracerPid:");
	return line && g_ascii_strtoull(line + strlen("\nTracerPid:\t"), NULL, 10) != 0;
}

bool door_open_for_business(void)
{
	return machine.traits.syscall_stays_in_ring3 && machine.attendant && machine.nr_pcpus == 1 &&
	       machine_host_cpus() > 1 && !under_debugger();
}

void door_start(struct pcpu *p)
{
	sigset_t all, old;

	if (!door_open_for_business())
		return;
	p->attendant = g_new0(struct attendant, 1);
	g_mutex_init(&p->attendant->mutex);
	g_cond_init(&p->attendant->cond);
	atomic_store(&p->attendant->lock, true); /* held by the CPU's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	p->attendant->thread = g_thread_new("attendant", attendant_thread, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void door_stop(struct pcpu *p)
{
	struct attendant *a = p->attendant;

	if (!a)
		return;
	g_mutex_lock(&a->mutex);
	atomic_store(&a->stop, true);
	g_cond_signal(&a->cond);
	g_mutex_unlock(&a->mutex);
	g_thread_join(a->thread);
	a->thread = NULL;
}

static _Atomic uint32_t *note_word(const struct kvcpu *k, unsigned offset)
{
	return (_Atomic uint32_t *)(void *)(k->notes + offset);
}

static uint64_t note_quad(const struct kvcpu *k, unsigned offset)
{
	return READ_ONCE(*(const uint64_t *)(const void *)(k->notes + offset));
}

/* Before an entry: notes from here on are the guest kernel's, whatever user code wrote there. */
static void open_notes(struct kvcpu *k)
{
	k->takes_notes = gate_kernel_mode(&k->vcpu->gate) && gate_has_notes(k->vcpu->domain);
	atomic_store_explicit(sign_word(k, SIGN_NOTES), k->takes_notes, memory_order_relaxed);
	if (!k->takes_notes)
		return;
	atomic_store_explicit(note_word(k, NOTES_STACK), 0, memory_order_relaxed);
	atomic_store_explicit(note_word(k, NOTES_GS), 0, memory_order_relaxed);
}

/*
 * Nothing reads what the two calls set but this side, at exits. So all that counts is what was said last, by the
 * guest's kernel, which may say it whenever it runs; how it came here does not matter.
 */
void door_take_notes(struct kvcpu *k, struct vcpu *v)
{
	struct hypercall_args c = { 0 };

	if (!k->takes_notes)
		return;
	if (atomic_load_explicit(note_word(k, NOTES_STACK), memory_order_relaxed)) {
		c.arg[0] = note_quad(k, NOTES_SS);
		c.arg[1] = note_quad(k, NOTES_SP);
		do_stack_switch(v, &c);
		v->gate.finished[GATE_DID_STACK_SWITCH]++;
		this_pcpu()->door_alone++;
	}
	if (atomic_load_explicit(note_word(k, NOTES_GS), memory_order_relaxed)) {
		c.arg[0] = SEGBASE_GS_USER;
		c.arg[1] = note_quad(k, NOTES_GS_BASE);
		do_set_segment_base(v, &c);
		v->gate.finished[GATE_DID_SEGMENT_BASE]++;
		this_pcpu()->door_alone++;
	}
}

/* Alone on this machine, in its kernel, and somebody attends? */
static bool may_open(const struct attendant *a, const struct kvcpu *k)
{
	return atomic_load_explicit(&a->awake, memory_order_relaxed) && machine.vcpus_in_use == 1 &&
	       gate_kernel_mode(&k->vcpu->gate);
}

void door_enter_guest(struct pcpu *p, struct kvcpu *k, bool fresh)
{
	struct attendant *a = p->attendant;

	/* User code's SYSCALL is its own kernel's business. */
	if (fresh && machine.traits.syscall_stays_in_ring3) {
		atomic_store_explicit(sign_word(k, SIGN_LAST_VCPU),
				      gate_kernel_mode(&k->vcpu->gate) ? k->vcpu->domain->max_vcpus - 1 : ~0u,
				      memory_order_relaxed);
		open_notes(k);
	}
	if (!a)
		return;
	if (fresh) {
		/* Whatever user code may have written there counts for nothing. */
		atomic_store_explicit(box_word(k, BOX_STATE), BOX_IDLE, memory_order_relaxed);
		atomic_store_explicit(sign_word(k, SIGN_OPEN), may_open(a, k), memory_order_relaxed);
		k->answered = false;
	}
	atomic_store_explicit(&a->in_guest, machine.vcpus_in_use == 1 ? k : NULL, memory_order_release);
	drop_lock(a);
}

void door_leave_guest(struct pcpu *p, struct kvcpu *k)
{
	struct attendant *a = p->attendant;
	uint32_t alone = atomic_load_explicit(box_word(k, BOX_NO_SUCH_VCPU), memory_order_relaxed);

	if (alone) {
		p->door_alone += alone;
		atomic_store_explicit(box_word(k, BOX_NO_SUCH_VCPU), 0, memory_order_relaxed);
	}
	if (!a)
		return;
	atomic_store(&a->blocked, true);
	take_lock(a);
	atomic_store(&a->blocked, false);
	atomic_store_explicit(&a->in_guest, NULL, memory_order_relaxed);
}

void door_note_hypercall(struct pcpu *p, struct kvcpu *k)
{
	struct attendant *a = p->attendant;
	uint64_t now;

	if (!a)
		return;
	now = clock_ns();
	if (atomic_load(box_word(k, BOX_STATE)) == BOX_GIVEN_UP) {
		/* The attendant gets no CPU of its own; waiting for it is worse than leaving. */
		a->given_up++;
		a->ban_ns = a->ban_ns ? MIN(a->ban_ns * 2, UINT64_C(100000000)) : 1000000;
		a->banned_until = now + a->ban_ns;
	}
	if (now - a->window_start > CALL_WITHIN_NS) {
		a->window_start = now;
		a->window_calls = 0;
	}
	if (++a->window_calls < CALL_AFTER || now < a->banned_until || atomic_load(&a->awake))
		return;
	if (now > a->banned_until + 4 * a->ban_ns)
		a->ban_ns = 0;
	g_mutex_lock(&a->mutex);
	atomic_store(&a->awake, true);
	g_cond_signal(&a->cond);
	g_mutex_unlock(&a->mutex);
}

uint64_t door_answers(const struct pcpu *p)
{
	return p->door_alone + (p->attendant ? p->attendant->answers : 0);
}
