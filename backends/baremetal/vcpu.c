/* SPDX-License-Identifier: MIT */
/*
 * What a virtual CPU has beyond the gate's registers. While it is loaded the truth is in the CPU (ring 3 changes
 * selectors and bases by itself); on a switch it moves to struct metal_vcpu.
 */
#include "metal.h"

static bool is_loaded(const struct vcpu *v)
{
	return this_cpu()->loaded == v;
}

int plat_vcpu_init(struct vcpu *v)
{
	struct metal_vcpu *m = heap_alloc(sizeof(*m));

	if (!m || !fpu_make(m)) {
		if (m)
			heap_free(m);
		return -XEN_ENOMEM;
	}
	if (!window_make(v, m)) {
		fpu_free(m);
		heap_free(m);
		return -XEN_ENOMEM;
	}
	m->dr[6] = 0xffff0ff0;
	m->dr[7] = 0x400;
	v->plat = m;
	m->gate = &v->gate;
	if (split_tables) {
		uintptr_t end = (uintptr_t)(&v->gate + 1) - 1;

		m->gate = (struct gate_vcpu *)(uintptr_t)window_show(m, WINDOW_GATE, &v->gate);
		if (((uintptr_t)&v->gate ^ end) & PAGE_MASK)
			window_show(m, WINDOW_GATE + 1, (const void *)(end & PAGE_MASK));
	}
	/* The gate exchanges GS bases with its instructions only. */
	gate_slow(&v->gate, GATE_SLOW_CPU, !(cr4_read() & CR4_FSGSBASE));
	plat_descriptors_changed(v);
	return 0;
}

void plat_vcpu_free(struct vcpu *v)
{
	struct metal_vcpu *m = v->plat;

	if (!m)
		return;
	window_free(m);
	fpu_free(m);
	heap_free(m);
	v->plat = NULL;
}

/* ---- descriptor tables ---- */

static uint64_t descriptor_pte(mfn_t mfn)
{
	return mfn.n << PAGE_SHIFT | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;
}

static void load_ldt(struct percpu *p, const struct vcpu *v)
{
	const struct metal_vcpu *m = v->plat;
	uint64_t base = WINDOW_VIRT + (uint64_t)m->window * WINDOW_SIZE + WINDOW_LDT;
	uint64_t *d = &p->reserved_gdt[(HYP_LDT & 0xfff) / 8];
	uint64_t limit = v->arch.ldt_entries * 8 - 1;

	if (!v->arch.ldt_entries) {
		__asm__ volatile("lldt %w0" : : "r"(0));
		return;
	}
	d[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | UINT64_C(0x82) << 40 | (limit >> 16 & 0xf) << 48 |
	       (base >> 24 & 0xff) << 56;
	d[1] = base >> 32;
	__asm__ volatile("lldt %w0" : : "r"(HYP_LDT) : "memory");
}

void plat_descriptors_changed(struct vcpu *v)
{
	struct metal_vcpu *m = v->plat;

	if (!m)
		return;
	/* Behind the guest's pages are empty ones, so that loading a selector from there is #GP and not #PF. */
	for (unsigned i = 0; i < 16; i++) {
		if (i == FIRST_RESERVED_GDT_PAGE)
			continue; /* the CPU's, see load_gdt() */
		window_set(m, i, i < FIRST_RESERVED_GDT_PAGE && i * 512 < v->arch.gdt_entries ?
			   descriptor_pte(v->arch.gdt_frames[i]) : empty_gdt_pte());
	}
	for (unsigned i = 0; i < 16; i++)
		window_set(m, WINDOW_LDT / PAGE_SIZE + i,
			   i * 512 < v->arch.ldt_entries && v->arch.ldt_frames[i].n ?
			   descriptor_pte(v->arch.ldt_frames[i]) : 0);
	if (is_loaded(v))
		load_ldt(this_cpu(), v);
}

static void load_gdt(struct percpu *p, struct metal_vcpu *m)
{
	struct table_pointer t = { 0xffff, WINDOW_VIRT + (uint64_t)m->window * WINDOW_SIZE };

	window_set(m, FIRST_RESERVED_GDT_PAGE,
		   p->reserved_gdt_phys | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX);
	__asm__ volatile("lgdt %0" : : "m"(t) : "memory");
}

static void unload_gdt(struct percpu *p)
{
	struct table_pointer t = { 0xffff, (uintptr_t)p->reserved_gdt -
					   FIRST_RESERVED_GDT_PAGE * PAGE_SIZE };

	__asm__ volatile("lgdt %0\n\tlldt %w1" : : "m"(t), "r"(0) : "memory");
}

/* ---- selectors and bases ---- */

#define READ_SELECTOR(reg) \
	({ \
		uint32_t s_; \
		__asm__ volatile("movl %%" #reg ", %0" : "=r"(s_)); \
		(uint16_t)s_; \
	})

uint16_t plat_seg_get(struct vcpu *v, enum plat_seg seg)
{
	const struct metal_vcpu *m = v->plat;
	bool loaded = is_loaded(v);

	switch (seg) {
	case PLAT_ES:
		return loaded ? READ_SELECTOR(es) : m->es;
	case PLAT_CS:
		return v->gate.regs.cs;
	case PLAT_SS:
		return v->gate.regs.ss;
	case PLAT_DS:
		return loaded ? READ_SELECTOR(ds) : m->ds;
	case PLAT_FS:
		return loaded ? READ_SELECTOR(fs) : m->fs;
	default:
		return loaded ? READ_SELECTOR(gs) : m->gs;
	}
}

static int load_selector(struct vcpu *v, enum plat_seg seg, uint16_t selector)
{
	/* Take the LDT page now: the processor's miss could not be told from a bad selector. */
	if ((selector & 4) && selector >> 3 < v->arch.ldt_entries)
		mm_map_ldt_page(v, (selector >> 3) / 512);
	switch (seg) {
	case PLAT_ES:
		return gate_load_es(selector);
	case PLAT_DS:
		return gate_load_ds(selector);
	case PLAT_FS:
		return gate_load_fs(selector);
	case PLAT_GS:
		return gate_load_gs(selector);
	default:
		return 1;
	}
}

/* Of a virtual CPU that is not loaded the selector is kept, and proves itself when that is. */
int plat_seg_load(struct vcpu *v, enum plat_seg seg, uint16_t selector)
{
	struct metal_vcpu *m = v->plat;

	if (is_loaded(v))
		return load_selector(v, seg, selector) ? -XEN_EFAULT : 0;
	if (seg == PLAT_ES)
		m->es = selector;
	else if (seg == PLAT_DS)
		m->ds = selector;
	else if (seg == PLAT_FS)
		m->fs = selector;
	else if (seg == PLAT_GS)
		m->gs = selector;
	return 0;
}

/* The guest's GS base waits in KERNEL_GS_BASE while ring 0 runs. */
uint64_t plat_base_get(struct vcpu *v, enum plat_seg seg)
{
	const struct metal_vcpu *m = v->plat;

	if (is_loaded(v))
		return msr_read(seg == PLAT_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE);
	return seg == PLAT_FS ? m->fs_base : m->gs_base;
}

void plat_base_set(struct vcpu *v, enum plat_seg seg, uint64_t base)
{
	struct metal_vcpu *m = v->plat;

	if (is_loaded(v))
		msr_write(seg == PLAT_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE, base);
	else if (seg == PLAT_FS)
		m->fs_base = base;
	else
		m->gs_base = base;
}

static void save_segments(struct metal_vcpu *m)
{
	m->ds = READ_SELECTOR(ds);
	m->es = READ_SELECTOR(es);
	m->fs = READ_SELECTOR(fs);
	m->gs = READ_SELECTOR(gs);
	m->fs_base = msr_read(MSR_FS_BASE);
	m->gs_base = msr_read(MSR_KERNEL_GS_BASE);
}

static void restore_segments(struct vcpu *v, const struct metal_vcpu *m)
{
	load_selector(v, PLAT_DS, m->ds);
	load_selector(v, PLAT_ES, m->es);
	load_selector(v, PLAT_FS, m->fs);
	load_selector(v, PLAT_GS, m->gs);
	msr_write(MSR_FS_BASE, m->fs_base);
	msr_write(MSR_KERNEL_GS_BASE, m->gs_base);
}

/* ---- debug registers ---- */

static void write_debugreg(unsigned n, uint64_t value)
{
	switch (n) {
	case 0:
		dr0_write(value);
		break;
	case 1:
		dr1_write(value);
		break;
	case 2:
		dr2_write(value);
		break;
	case 3:
		dr3_write(value);
		break;
	case 6:
		dr6_write(value);
		break;
	default:
		dr7_write(value);
		break;
	}
}

/* The core lets no breakpoint lie in the home's slots, so they may stay armed in ring 0. */
void plat_debugreg_set(struct vcpu *v, unsigned n, uint64_t value)
{
	struct metal_vcpu *m = v->plat;

	m->dr[n] = value;
	if (is_loaded(v))
		write_debugreg(n, value);
}

uint64_t plat_debugreg_get(struct vcpu *v, unsigned n)
{
	const struct metal_vcpu *m = v->plat;

	return n == 6 && is_loaded(v) ? dr6_read() : m->dr[n];
}

static void restore_debugregs(const struct metal_vcpu *m)
{
	for (unsigned i = 0; i < 8; i++)
		if (i != 4 && i != 5)
			write_debugreg(i, m->dr[i]);
}

/* ---- FPU ---- */

static void set_ts(bool ts)
{
	uint64_t cr0 = cr0_read(), want = ts ? cr0 | CR0_TS : cr0 & ~CR0_TS;

	if (cr0 != want)
		cr0_write(want);
}

void plat_ts_set(struct vcpu *v, bool set)
{
	struct metal_vcpu *m = v->plat;

	m->ts = set;
	if (is_loaded(v))
		set_ts(set);
}

void plat_fpu_set(struct vcpu *v, const void *fxsave)
{
	ASSERT(!is_loaded(v));
	fpu_load(v->plat, fxsave);
}

void plat_xcr0_set(struct vcpu *v, uint64_t xcr0)
{
	struct metal_vcpu *m = v->plat;

	m->xcr0 = xcr0;
	if (is_loaded(v))
		fpu_xcr0(xcr0);
}

/* ---- the switch ---- */

/*
 * @to's window may have changed while it was on another CPU, and is looked at before the flush on the way to ring 3. And from
 * now on another CPU may run the virtual CPU we switch from, and take apart the tables this one has stood on until now.
 */
static void leave_tables(struct percpu *p)
{
	if (use_pcid)
		invpcid(INVPCID_ALL_LOCAL, 0, 0);
	cr3_write(idle_cr3());
	p->cr3 = idle_cr3();
}

void plat_cpu_switch(struct vcpu *from, struct vcpu *to)
{
	struct percpu *p = this_cpu();

	if (from) {
		struct metal_vcpu *m = from->plat;

		save_segments(m);
		m->dr[6] = dr6_read();
		set_ts(false);
		fpu_save(m);
	}
	p->loaded = to;
	if (to) {
		struct metal_vcpu *m = to->plat;

		leave_tables(p);
		if (use_ibpb && p->last_domain != to->domain->id)
			msr_write(MSR_PRED_CMD, 1);
		p->last_domain = to->domain->id;

		load_gdt(p, m);
		load_ldt(p, to);
		set_ts(false);
		fpu_restore(m);
		fpu_xcr0(m->xcr0);
		set_ts(m->ts);
		restore_debugregs(m);
		restore_segments(to, m);
	} else {
		dr7_write(0x400);
		gate_load_ds(0);
		gate_load_es(0);
		gate_load_fs(0);
		gate_load_gs(0);
		unload_gdt(p);
		leave_tables(p);
	}
	/* A virtual CPU that moves leaves no translation behind. */
	p->flush = true;
}

void plat_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	cpuid(leaf, subleaf, out);
}
