/* SPDX-License-Identifier: MIT */
/*
 * IDT, TSS and the reserved pages of the GDT. The guest owns GDT entries below page 14, so the hypervisor's own
 * descriptors lie in page 14, which each CPU puts into the window of the virtual CPU it runs.
 */
#include "metal.h"

enum { IST_NMI = 1, IST_DF, IST_MC, IST_DB };

EXPOSED static uint64_t idt[512] __attribute__((aligned(4096)));
EXPOSED static struct tss tss0 __attribute__((aligned(128)));
EXPOSED static uint64_t gdt0[512] __attribute__((aligned(4096)));
EXPOSED static uint64_t gdt_nothing[512] __attribute__((aligned(4096)));

static uint64_t *slot(uint64_t *gdt, unsigned selector)
{
	return &gdt[(selector & 0xfff) / 8];
}

static void fill_reserved_gdt(uint64_t *gdt, struct tss *tss)
{
	uint64_t a = (uintptr_t)tss;

	*slot(gdt, 0xe008) = UINT64_C(0x00af9b000000ffff); /* ring 0 code, 64 bit */
	*slot(gdt, 0xe010) = UINT64_C(0x00cf93000000ffff); /* ring 0 data */
	*slot(gdt, 0xe018) = UINT64_C(0x00cfbb000000ffff); /* ring 1 code, 32 bit */
	*slot(gdt, 0xe020) = UINT64_C(0x00cffb000000ffff); /* ring 3 code, 32 bit */
	*slot(gdt, 0xe028) = UINT64_C(0x00cff3000000ffff); /* ring 3 data */
	*slot(gdt, 0xe030) = UINT64_C(0x00affb000000ffff); /* ring 3 code, 64 bit */
	slot(gdt, HYP_TSS)[0] = (sizeof(*tss) - 1) | (a & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
				(a >> 24 & 0xff) << 56;
	slot(gdt, HYP_TSS)[1] = a >> 32;
}

static void fill_idt(void)
{
	for (unsigned v = 0; v < 256; v++) {
		uint64_t a = (uintptr_t)gate_stubs + v * 16;
		/* int3, into and the two old system-call vectors may be raised by ring 3 itself. */
		uint64_t dpl = v == 3 || v == 4 || v == 0x80 || v == 0x82 ? 3 : 0;
		uint64_t ist = v == X86_NMI ? IST_NMI : v == X86_DF ? IST_DF : v == X86_MC ? IST_MC :
			       v == X86_DB ? IST_DB : 0;

		idt[2 * v] = (a & 0xffff) | (uint64_t)HYP_CS << 16 | (0x8e00 | dpl << 13 | ist) << 32 |
			     (a >> 16 & 0xffff) << 48;
		idt[2 * v + 1] = a >> 32;
	}
}

/* Before there is a guest the CPU stands on its reserved page alone, at the place it has in any GDT. */
static void load_gdt(uint64_t *gdt)
{
	struct table_pointer p = { 0xffff, (uintptr_t)gdt - 14 * PAGE_SIZE };

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%ds\n\t"
			 "movl %3, %%es"
			 : : "m"(p), "i"(HYP_CS), "r"(HYP_DS), "r"(0) : "rax", "memory");
}

void descriptors_load(struct percpu *p, struct tss *tss, uint64_t *gdt, uint64_t gdt_phys, const struct cpu_stacks *s)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (uintptr_t)idt };

	tss->rsp[0] = s->trap;
	tss->ist[IST_NMI - 1] = s->nmi;
	tss->ist[IST_DF - 1] = s->df;
	tss->ist[IST_MC - 1] = s->mc;
	tss->ist[IST_DB - 1] = s->db;
	tss->iomap = sizeof(*tss); /* no port for ring 3 */
	fill_reserved_gdt(gdt, tss);
	p->trap_stack = s->trap;
	p->reserved_gdt = gdt;
	p->reserved_gdt_phys = gdt_phys;
	load_gdt(gdt);
	__asm__ volatile("ltr %w0" : : "r"(HYP_TSS));
	__asm__ volatile("lldt %w0" : : "r"(0));
	__asm__ volatile("lidt %0" : : "m"(pointer));

	msr_write(MSR_STAR, (uint64_t)FLAT_RING3_CS32 << 48 | (uint64_t)HYP_CS << 32);
	msr_write(MSR_LSTAR, (uintptr_t)gate_syscall);
	msr_write(MSR_CSTAR, (uintptr_t)gate_syscall32);
	msr_write(MSR_SFMASK, 0x47700); /* AC NT IOPL DF IF TF */
	msr_write(MSR_SYSENTER_CS, HYP_CS);
	msr_write(MSR_SYSENTER_ESP, s->trap);
	msr_write(MSR_SYSENTER_EIP, (uintptr_t)gate_sysenter);
}

void descriptors_init(void)
{
	const struct cpu_stacks s = {
		.trap = (uintptr_t)cpu0_trap_stack_top, .nmi = (uintptr_t)cpu0_nmi_stack_top,
		.df = (uintptr_t)cpu0_df_stack_top, .mc = (uintptr_t)cpu0_mc_stack_top,
		.db = (uintptr_t)cpu0_db_stack_top,
	};

	fill_idt();
	descriptors_load(this_cpu(), &tss0, gdt0, (uintptr_t)gdt0 - IMAGE_VIRT, &s);
}

uint64_t empty_gdt_pte(void)
{
	return ((uintptr_t)gdt_nothing - IMAGE_VIRT) | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;
}
