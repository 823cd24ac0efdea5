/* SPDX-License-Identifier: MIT */
/*
 * KVM vCPUs: made with the register state every guest starts from, kept in a pool, and what the core asks of
 * a virtual CPU outside its general registers (debug registers, XCR0, CR0.TS).
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"

#define CR0_GUEST  0x80050033 /* PG AM WP NE ET MP PE */
#define CR0_TS 0x8
#define CR4_PAE 0x20
#define CR4_DE  0x08
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_FSGSBASE 0x10000
#define CR4_OSXSAVE 0x40000
#define EFER_GUEST 0xd01 /* NXE LMA LME SCE */

/* Words of struct kvm_xsave. */
#define XSAVE_MXCSR   6
#define XSAVE_PRESENT 128 /* bit per component; the others are as at reset */

static struct kvcpu *all[4096 / 8];
static struct kvm_xsave fresh_vector; /* FPU and vector state of a KVM vCPU that never ran */

static uint64_t native_xcr0(void)
{
	uint32_t a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

static bool set_cpuid(struct kvcpu *k, GError **error)
{
	const unsigned max = 256;
	struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + max * sizeof(struct kvm_cpuid_entry2));

	c->nent = max;
	bool ok = !ioctl(machine.kvm, KVM_GET_SUPPORTED_CPUID, c) && !ioctl(k->fd, KVM_SET_CPUID2, c);

	g_free(c);
	if (!ok)
		g_set_error(error, MACHINE_ERROR, 0, "KVM refuses its own CPUID leaves: %s",
			    g_strerror(errno));
	return ok;
}

static void set_xcr0(struct kvcpu *k, uint64_t xcr0)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = xcr0 } } };

	/*
	 * A KVM that knows no XSAVE refuses this, and lets ring 3 see the host's own XCR0, which is
	 * the value asked for at start.
	 */
	ioctl(k->fd, KVM_SET_XCRS, &x);
}

static bool set_msrs(struct kvcpu *k, GError **error)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[4];
	} m = {
		.head.nmsrs = 3,
		.e = {
			{ .index = 0xc0000081, /* STAR: SYSCALL enters the gate's CS */
			  .data = (uint64_t)FLAT_RING3_CS32 << 48 | (uint64_t)GATE_CS << 32 },
			{ .index = 0xc0000082, .data = gate_area_va(k) + GATE_VCPU_DOOR + GATE_LSTAR_OFF },
			{ .index = 0xc0000084, .data = 0x4100 }, /* SFMASK: NT TF */
			{ .index = 0xc0000083, .data = gate_area_va(k) + GATE_VCPU_DOOR + GATE_CSTAR_OFF },
		},
	};

	if (ioctl(k->fd, KVM_SET_MSRS, &m) != 3) {
		g_set_error(error, MACHINE_ERROR, 0, "KVM refuses the SYSCALL registers: %s",
			    g_strerror(errno));
		return false;
	}
	/*
	 * SYSCALL of 32-bit code, where the processor has it. SYSENTER gets no door: with its CS at null it faults on
	 * every processor, and the core knows the instruction.
	 */
	m.e[0] = m.e[3];
	m.head.nmsrs = 1;
	ioctl(k->fd, KVM_SET_MSRS, &m);
	return true;
}

static bool set_control(struct kvcpu *k, GError **error)
{
	/* FSGSBASE is what CPUID shows guests; a KVM that refuses it runs them without. */
	static const uint64_t cr4_choices[] = {
		CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE,
		CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE,
		CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE,
		CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT,
	};
	struct kvm_sregs s = *k->sregs;

	s.cr0 = CR0_GUEST;
	s.cr3 = machine.gate_l3; /* replaced before the first entry */
	s.efer = EFER_GUEST;
	s.cs = gate_code;
	s.ss = gate_data;
	s.ds = s.es = s.fs = s.gs = s.ldt = (struct kvm_segment){ .unusable = 1 };
	for (unsigned i = 0; i < ARRAY_SIZE(cr4_choices); i++) {
		s.cr4 = cr4_choices[i];
		if (!ioctl(k->fd, KVM_SET_SREGS, &s)) {
			*k->sregs = s;
			return true;
		}
	}
	g_set_error(error, MACHINE_ERROR, 0, "KVM refuses long mode: %s", g_strerror(errno));
	return false;
}

static bool kvcpu_setup(struct kvcpu *k, GError **error)
{
	if (!machine.run_size)
		machine.run_size = ioctl(machine.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->run = mmap(NULL, (size_t)machine.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
	if (k->run == MAP_FAILED) {
		k->run = NULL;
		g_set_error(error, MACHINE_ERROR, 0, "cannot map a KVM vCPU: %s", g_strerror(errno));
		return false;
	}
	k->regs = &k->run->s.regs.regs;
	k->sregs = &k->run->s.regs.sregs;
	k->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	if (!set_cpuid(k, error))
		return false;
	if (ioctl(k->fd, KVM_GET_SREGS, k->sregs)) {
		g_set_error(error, MACHINE_ERROR, 0, "KVM_GET_SREGS: %s", g_strerror(errno));
		return false;
	}
	if (!gate_map_kvcpu(k)) {
		g_set_error(error, MACHINE_ERROR, 0, "no room in the gate for another virtual CPU");
		return false;
	}
	if (ioctl(k->fd, KVM_GET_XSAVE, &fresh_vector)) {
		g_set_error(error, MACHINE_ERROR, 0, "KVM does not tell the vector registers: %s", g_strerror(errno));
		return false;
	}
	if (!set_control(k, error) || !set_msrs(k, error))
		return false;
	k->xcr0 = native_xcr0();
	if (k->xcr0)
		set_xcr0(k, k->xcr0);
	k->dirty = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return true;
}

/* Give a used KVM vCPU the state of a new one. */
static void kvcpu_reset(struct kvcpu *k)
{
	struct kvm_debugregs d = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };

	memset(k->regs, 0, sizeof(*k->regs));
	k->sregs->ds = k->sregs->es = k->sregs->fs = k->sregs->gs = k->sregs->ldt =
		(struct kvm_segment){ .unusable = 1 };
	k->debug = d;
	ioctl(k->fd, KVM_SET_DEBUGREGS, &d);
	/* All of it: what the last domain had in its vector registers is none of the next one's business. */
	ioctl(k->fd, KVM_SET_XSAVE, &fresh_vector);
	k->user_cs.present = k->user_ss.present = 0;
	k->dirty = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

struct kvcpu *kvcpu_get(GError **error)
{
	struct kvcpu *k = machine.free_kvcpus;

	if (k) {
		machine.free_kvcpus = k->next_free;
		return k;
	}
	if (machine.nr_kvcpus == ARRAY_SIZE(all)) {
		g_set_error(error, MACHINE_ERROR, 0, "this machine has no more than %zu virtual CPUs",
			    ARRAY_SIZE(all));
		return NULL;
	}
	k = g_new0(struct kvcpu, 1);
	k->area = (int)machine.nr_kvcpus;
	k->fd = ioctl(machine.vm, KVM_CREATE_VCPU, (unsigned long)machine.nr_kvcpus);
	if (k->fd < 0) {
		g_set_error(error, MACHINE_ERROR, 0, "KVM cannot create a vCPU: %s", g_strerror(errno));
		g_free(k);
		return NULL;
	}
	all[machine.nr_kvcpus++] = k;
	if (!kvcpu_setup(k, error))
		return NULL;
	kvcpu_reset(k);
	return k;
}

void kvcpu_put(struct kvcpu *k)
{
	for (unsigned i = 0; i < 32; i++)
		if (i < FIRST_RESERVED_GDT_PAGE || i >= 16)
			gate_area_set(k, i, 0);
	kvcpu_reset(k);
	k->next_free = machine.free_kvcpus;
	machine.free_kvcpus = k;
}

void kvcpu_free_all(void)
{
	for (unsigned i = 0; i < machine.nr_kvcpus; i++) {
		if (all[i]->run)
			munmap(all[i]->run, (size_t)machine.run_size);
		close(all[i]->fd);
		g_free(all[i]);
		all[i] = NULL;
	}
	machine.nr_kvcpus = 0;
	machine.free_kvcpus = NULL;
}

int plat_vcpu_init(struct vcpu *v)
{
	g_autoptr(GError) error = NULL;
	struct kvcpu *k = kvcpu_get(&error);

	if (!k) {
		g_printerr("xenopus: %s\n", error->message);
		return -XEN_ENOMEM;
	}
	if (machine.traits.syscall_stays_in_ring3 && v->domain->max_vcpus == 1 && !k->notes && !gate_map_notes(k)) {
		kvcpu_put(k);
		return -XEN_ENOMEM;
	}
	if (k->notes)
		memset(k->notes, 0, PAGE_SIZE); /* the last domain's */
	v->plat = k;
	machine.vcpus_in_use++;
	return 0;
}

void plat_vcpu_free(struct vcpu *v)
{
	if (v->plat) {
		machine.vcpus_in_use--;
		kvcpu_put(v->plat);
	}
	v->plat = NULL;
}

void plat_cpu_switch(struct vcpu *from, struct vcpu *to)
{
	struct pcpu *p = this_pcpu();
	struct kvcpu *k = to ? to->plat : NULL;

	p->loaded = k;
	if (k) {
		k->vcpu = to;
		/* Its tagged TLB entries may be older than flushes that spared it while it was off. */
		k->flush_seen = atomic_load(&p->flush_gen) - 1;
		/*
		 * A kick since the last exit went to the one that was loaded then; on_kick() finds @k from here on. What @k
		 * was told when it was loaded last is over.
		 */
		k->run->immediate_exit = 0;
		atomic_signal_fence(memory_order_seq_cst);
		if (atomic_load(&p->kicked))
			k->run->immediate_exit = 1;
	}
}

void plat_debugreg_set(struct vcpu *v, unsigned n, uint64_t value)
{
	struct kvcpu *k = v->plat;

	if (n < 4)
		k->debug.db[n] = value;
	else if (n == 6)
		k->debug.dr6 = value;
	else
		k->debug.dr7 = value;
	ioctl(k->fd, KVM_SET_DEBUGREGS, &k->debug);
}

uint64_t plat_debugreg_get(struct vcpu *v, unsigned n)
{
	struct kvcpu *k = v->plat;

	ioctl(k->fd, KVM_GET_DEBUGREGS, &k->debug);
	return n < 4 ? k->debug.db[n] : n == 6 ? k->debug.dr6 : k->debug.dr7;
}

void plat_xcr0_set(struct vcpu *v, uint64_t xcr0)
{
	struct kvcpu *k = v->plat;

	k->xcr0 = xcr0;
	set_xcr0(k, xcr0);
}

void plat_fpu_set(struct vcpu *v, const void *fxsave)
{
	struct kvcpu *k = v->plat;
	struct kvm_xsave x = fresh_vector;

	memcpy(x.region, fxsave, 416);
	x.region[XSAVE_MXCSR] &= 0xffff; /* what every x86-64 processor has */
	x.region[XSAVE_PRESENT] |= 3;
	ioctl(k->fd, KVM_SET_XSAVE, &x);
}

void plat_ts_set(struct vcpu *v, bool set)
{
	struct kvcpu *k = v->plat;

	if (!machine.traits.raises_nm)
		return;
	k->sregs->cr0 = set ? k->sregs->cr0 | CR0_TS : k->sregs->cr0 & ~(uint64_t)CR0_TS;
	k->dirty |= KVM_SYNC_X86_SREGS;
}

void plat_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}
