/* SPDX-License-Identifier: MIT */
/*
 * The hosted machine: one memfd mapped here and given to one KVM VM at address 0, so a machine frame number
 * means the same to core, guest and (virtual) hardware. Private to backends/kvm.
 */
#ifndef XENOPUS_KVM_MACHINE_H
#define XENOPUS_KVM_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <glib.h>

#include <xenopus/cpu.h>
#include <xenopus/platform.h>
#include <xenopus/domain.h>
#include "../gate/gate_layout.h"

/* The gate's direct map reaches from GATE_DIRECT_OFF to the end of its L4 slot: 256 GiB. */
#define MACHINE_MAX_FRAMES (((UINT64_C(1) << 39) - GATE_DIRECT_OFF) >> PAGE_SHIFT)

/** struct kvm_traits - what the start-up probe found out about this host's KVM (docs/hosted.md). */
struct kvm_traits {
	bool syscall_stays_in_ring3; /* LSTAR is entered with CPL 3 */
	bool host_stores_unseen;     /* a replaced present entry must be stored again from inside the VM */
	bool stores_wait_for_cr3;    /* ... and what is stored there is looked at when CR3 is loaded */
	bool int_gates_work;         /* int $n reaches a DPL-3 gate */
	bool selectors_untold;       /* what ring 3 loads into DS and ES does not reach us */
	bool slot256_visible;
	bool raises_nm;
};

/** enum kvm_exit_kind - how a run ended, for --stats. */
enum kvm_exit_kind {
	EXIT_SYSCALL, EXIT_ATTENDED, EXIT_EXCEPTION, EXIT_SOFT_INT, EXIT_SIGNAL, EXIT_STORES, EXIT_RERUN, EXIT_OTHER,
	EXIT_KINDS
};

/**
 * struct kvcpu - a KVM vCPU with its gate area: what a virtual CPU of the core runs on (v->plat). It keeps
 * everything that is not in v->gate.regs (FPU and AVX state, selectors, bases, debug registers) inside KVM, so
 * switching virtual CPUs copies nothing. KVM vCPUs cannot be destroyed singly, hence they are pooled.
 * @regs, @sregs: shared with KVM (KVM_CAP_SYNC_REGS); between runs they are the truth
 * @dirty: KVM_SYNC_X86_* that must be taken over at the next run
 * @flush_seen: the flush_gen of its physical CPU that it has honoured; if behind, a TLB flush is owed
 * @user_cs, @user_ss: last pair loaded from guest descriptors, see segments.c
 */
struct kvcpu {
	int fd;
	int area;
	struct kvm_run *run;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	uint64_t dirty;
	uint64_t flush_seen;
	struct vcpu *vcpu;
	uint8_t *box;      /* shared with the door page, see door.c */
	uint8_t *sign;     /* what only this side writes for the door page */
	uint8_t *notes;    /* what the door page leaves for the next exit; NULL: it has no such page */
	uint64_t gate_l3;  /* machine address of the gate's tables with the notes page */
	bool takes_notes;  /* the guest that runs, or ran last, may have left some */
	bool answered;     /* the attendant has done the hypercall that now leaves the VM */
	unsigned reruns;   /* in a row */
	uint8_t *stack_page;
	uint64_t stack_top;
	struct kvm_segment user_cs, user_ss;
	uint64_t xcr0;
	struct kvm_debugregs debug;
	struct kvcpu *next_free;
};

/**
 * struct pcpu - a physical CPU: a thread that runs virtual CPUs.
 * @stores: entries (direct-map addresses) to be stored again from inside the VM before a guest goes on; the first
 *	@nr_sent are on their way. Other CPUs may look, with @store_lock; only this one changes it
 * @gone, @done, @taken: places in the queue of stores, counted from its start; see pagetable.c
 * @flush_gen: counts TLB flushes asked for on this CPU
 */
struct pcpu {
	unsigned id;
	struct kvcpu *loaded;
	pthread_mutex_t store_lock;
	uint64_t *stores;
	unsigned nr_stores, max_stores, nr_sent;
	uint64_t gone;             /* taken off the queue */
	uint64_t done;             /* what another CPU has run for this one, with @store_lock */
	uint64_t taken[MAX_PCPUS]; /* how far this one has copied the others' queues */
	bool collected;            /* ... and has not told them yet that it is done */
	_Atomic uint64_t flush_gen;
	pthread_t thread;
	_Atomic pid_t tid; /* 0: its thread has not started */
	timer_t timer;
	timer_t rekick;
	bool timer_made;
	_Atomic bool kicked;
	struct attendant *attendant; /* NULL: none */
	uint64_t door_alone;         /* hypercalls the door answered by itself */
	uint64_t exits[EXIT_KINDS];
	uint64_t run_ns;       /* spent in KVM_RUN, when timed */
} __attribute__((aligned(64)));

struct machine {
	int kvm, vm, memfd;
	uint8_t *mem;
	uint64_t frames;       /* all, gate included */
	uint64_t first_gate_frame;
	uint64_t next_gate_frame;
	uint8_t *frame_flags;  /* FRAME_WAS_PT, FRAME_DIRTY; one per frame */
	struct plat_info info;
	struct kvm_traits traits;
	uint64_t gate_l3;      /* machine address */
	struct kvcpu *free_kvcpus;
	unsigned nr_kvcpus, vcpus_in_use;
	int run_size;
	int64_t tsc_offset;    /* guest TSC - host TSC */
	struct pcpu pcpu[MAX_PCPUS];
	unsigned nr_pcpus;
	bool attendant;        /* asked for, see door.c */
	bool timed;            /* measure time inside KVM_RUN (--stats) */
};

#define FRAME_WAS_PT 1
#define FRAME_DIRTY  2

/* Where in a page table's frame a store makes a shadowing KVM forget it: eight bytes of two entries. */
#define DROP_SHADOW 4

extern struct machine machine;

/** machine_open() - the first step: open the KVM device at @path and make a VM; false: no use can be made of it. */
bool machine_open(const char *path, GError **error);
/** machine_fits() - does this host have so much memory? */
bool machine_fits(uint64_t frames, GError **error);
/** machine_init() - after machine_open(): give the VM @frames of memory and @pcpus physical CPUs, map the gate, probe. */
bool machine_init(uint64_t frames, unsigned pcpus, GError **error);
/** machine_host_cpus() - how many of the host's processors this process may use. */
unsigned machine_host_cpus(void);
void machine_free(void);
GQuark machine_error_quark(void);
#define MACHINE_ERROR machine_error_quark()

/** this_pcpu() - the physical CPU of the calling thread (before the threads start: 0). */
struct pcpu *this_pcpu(void);
void set_this_pcpu(struct pcpu *p);

/* gate_map.c */
bool gate_map_init(GError **error);
uint64_t gate_frame_alloc(void); /* machine address of a zeroed frame; 0: none left */
bool gate_map_kvcpu(struct kvcpu *k);
void gate_area_set(const struct kvcpu *k, unsigned page, uint64_t pte);
uint64_t gate_area_va(const struct kvcpu *k);
/** gate_map_notes() - give @k a notes page, and tables as those of all others but for it. False: no frame left. */
bool gate_map_notes(struct kvcpu *k);
/** gate_has_notes() - does @d see the notes page of its virtual CPU? */
bool gate_has_notes(const struct domain *d);
uint64_t gate_reserved_gdt_pte(unsigned page); /* what pages 14 and 15 of every GDT map */

/* probe.c */
bool probe_traits(GError **error);
void probe_print(void);

/* kvcpu.c */
struct kvcpu *kvcpu_get(GError **error);
void kvcpu_put(struct kvcpu *k);
void kvcpu_free_all(void);

/* run.c */
int kvcpu_run_raw(struct kvcpu *k); /* one KVM_RUN with dirty state applied; 0, or -errno */

/* door.c */
bool door_open_for_business(void); /* may this machine have an attendant? */
void door_start(struct pcpu *p);
void door_stop(struct pcpu *p);
/** door_enter_guest() / door_leave_guest() - around KVM_RUN: the attendant works only in between. */
void door_enter_guest(struct pcpu *p, struct kvcpu *k, bool fresh);
void door_leave_guest(struct pcpu *p, struct kvcpu *k);
/** door_take_notes() - the guest has left KVM_RUN for good: do what its door wrote down, before anything else. */
void door_take_notes(struct kvcpu *k, struct vcpu *v);
/** door_note_hypercall() - a hypercall left the VM; often enough, and the attendant is called. */
void door_note_hypercall(struct pcpu *p, struct kvcpu *k);
/** door_stop_guest() - on the attendant's thread: bring the guest out of KVM_RUN until the answer is given. */
void door_stop_guest(void);
uint64_t door_answers(const struct pcpu *p);

/* pagetable.c */
void pt_drain(struct pcpu *p, struct kvcpu *k); /* run queued stores until at most GATE_STORES are left */
void pt_forget(struct pcpu *p);  /* drop what another CPU has run */
void pt_collect(struct pcpu *p); /* what other CPUs have queued and may not have run yet is to be run here, too */
unsigned pt_send(struct pcpu *p, uint64_t *top); /* put queued stores below @top for the stub; how many */
void pt_sent(struct pcpu *p); /* the stub has done its work */

/* segments.c */
extern const struct kvm_segment gate_code, gate_data; /* ring 0, as GATE_CS and GATE_DS load them */
bool segment_load(struct vcpu *v, uint16_t selector, struct kvm_segment *out);
bool return_segments(struct kvcpu *k, struct vcpu *v, unsigned *vector, uint32_t *error);

/* clock.c */
bool clock_init(GError **error);
bool clock_init_thread(struct pcpu *p);
uint64_t clock_ns(void);
/** clock_kick_later() - a kick came at a moment when it cannot be taken: let KVM_RUN go on, kick again soon. */
void clock_kick_later(struct kvcpu *k);

/* home.c */
struct home_hooks {
	void (*console)(struct domain *d, const char *buf, size_t len);
	void (*shutdown)(struct domain *d, unsigned reason);
};
void home_set_hooks(const struct home_hooks *hooks);
/** home_post() - run @fn(@data) in core context on physical CPU 0. Callable from any thread. */
void home_post(void (*fn)(void *data), void *data);
void home_restore_terminal_on_panic(void (*restore)(void));

/* cpus.c */
/** cpus_start() / cpus_join() - the physical CPUs' threads, after home_set_hooks(); core_stop() ends them. */
void cpus_start(void);
void cpus_join(void);
/** home_call() - as home_post(), and wait until it is done. Not from core context, not without CPUs. */
void home_call(void (*fn)(void *data), void *data);

/* kvm_stats.c */
void kvm_stats_print(void (*line)(void *opaque, const char *text), void *opaque);

#endif
