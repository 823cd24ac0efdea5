/* SPDX-License-Identifier: MIT */
/*
 * The other processors: found in the MADT, started by INIT and SIPI one after another, kept in a waiting room until
 * the domains are built, then sent into the core's loop. What each needs of its own lies at CPU_VIRT, 32 pages each:
 *
 *	page 1-8    stack of C code	13     stack for NMI		24  struct percpu and TSS
 *	     10-11  stack for traps	15-16  for double faults	25  page 14 of its GDTs
 *					18-19  for machine checks
 *					21-22  for #DB
 *
 * The pages between the stacks are not mapped. All but the stack of C code is exposed: used before or after CR3 is the
 * hypervisor's.
 */
#include <xenopus/core.h>
#include "acpi.h"
#include "metal.h"

#define MADT_ENTRIES 44
enum { MADT_APIC = 0, MADT_X2APIC = 9 };
#define MADT_ENABLED 1

#define IPI_FIXED      0x4000u
#define IPI_NMI        0x4400u
#define IPI_INIT       0x4500u
#define IPI_START      0x4600u
#define IPI_TO_OTHERS  0xc0000u

#define CPU_PAGES 32
enum { PAGE_MAIN = 1, PAGE_TRAP = 10, PAGE_NMI = 13, PAGE_DF = 15, PAGE_MC = 18, PAGE_DB = 21, PAGE_CPU = 24, PAGE_GDT = 25 };
#define TSS_OFFSET 2048

unsigned max_cpus = MAX_PCPUS;
uint64_t ap_tables, ap_stack; /* boot.S: of the one that is being started */

extern const char boot_ap_start[], boot_ap_end[];
void metal_ap_start(void);

static uint32_t found[MAX_PCPUS];
static unsigned nr_found;
static struct percpu *cpus[MAX_PCPUS] = { &cpu0 };
static unsigned starting;  /* number of the one that is being started */
static unsigned arrived;   /* how many have reported, the first included */
static bool go;

static void add(uint64_t id, uint64_t flags)
{
	if ((flags & MADT_ENABLED) && nr_found < MAX_PCPUS)
		found[nr_found++] = (uint32_t)id;
}

void smp_find(void)
{
	const struct acpi_table *madt = acpi_find("APIC");

	for (uint32_t at = MADT_ENTRIES; madt && at + 2 <= madt->length;) {
		uint64_t type = acpi_get(madt, at, 1), size = acpi_get(madt, at + 1, 1);

		if (size < 2)
			return;
		if (type == MADT_APIC)
			add(acpi_get(madt, at + 3, 1), acpi_get(madt, at + 4, 4));
		else if (type == MADT_X2APIC)
			add(acpi_get(madt, at + 4, 4), acpi_get(madt, at + 8, 4));
		at += (uint32_t)size;
	}
}

static void wait_us(uint64_t us)
{
	uint64_t end = tsc_read() + us * metal_info.tsc_khz / 1000;

	while (tsc_read() < end)
		cpu_relax();
}

static unsigned how_many(void)
{
	return __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
}

/* ---- on the processor that starts ---- */

static uint64_t page_va(unsigned cpu, unsigned page)
{
	return CPU_VIRT + ((uint64_t)cpu * CPU_PAGES + page) * PAGE_SIZE;
}

static void wait_for_go(void)
{
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		plat_cpu_idle();
}

void metal_ap_start(void)
{
	unsigned n = starting;
	struct percpu *p = cpus[n];
	struct tss *tss = (struct tss *)(uintptr_t)(page_va(n, PAGE_CPU) + TSS_OFFSET);
	const struct cpu_stacks s = {
		.trap = page_va(n, PAGE_TRAP + 2), .nmi = page_va(n, PAGE_NMI + 1), .df = page_va(n, PAGE_DF + 2),
		.mc = page_va(n, PAGE_MC + 2), .db = page_va(n, PAGE_DB + 2),
	};

	msr_write(MSR_GS_BASE, (uintptr_t)p);
	if (!split_tables)
		cr4_write(cr4_read() | CR4_PGE);
	descriptors_load(p, tss, (uint64_t *)(uintptr_t)page_va(n, PAGE_GDT), p->reserved_gdt_phys, &s);
	protect_cpu();
	fpu_init();
	apic_init_cpu();
	__atomic_add_fetch(&arrived, 1, __ATOMIC_RELEASE);
	wait_for_go();
	if (test_panic == TEST_OTHER && n == 1)
		xlog(LOG_ERROR, "still here: %llu", (unsigned long long)overrun_stack(1));
	core_cpu_loop();
	plat_panic("the core's loop has ended");
}

/* ---- on the first one ---- */

static struct percpu *make_cpu(unsigned n, uint32_t id)
{
	static const unsigned char pages[] = {
		PAGE_TRAP, PAGE_TRAP + 1, PAGE_NMI, PAGE_DF, PAGE_DF + 1, PAGE_MC, PAGE_MC + 1, PAGE_DB, PAGE_DB + 1, PAGE_CPU,
		PAGE_GDT,
	};
	struct percpu *p = (struct percpu *)(uintptr_t)page_va(n, PAGE_CPU);
	uint64_t at = 0;

	_Static_assert(sizeof(struct percpu) <= TSS_OFFSET, "the TSS is behind it");
	for (unsigned i = 0; i < 8; i++)
		paging_add(page_va(n, PAGE_MAIN + i));
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		at = paging_add(page_va(n, pages[i]));
		paging_expose((const void *)(uintptr_t)page_va(n, pages[i]), PAGE_SIZE);
	}
	p->self = p;
	p->id = n;
	p->apic_id = id;
	p->cr3 = idle_cr3();
	p->reserved_gdt_phys = at; /* the last of them */
	return p;
}

/* A page of RAM below 1 MiB, where SIPI can point to; what it holds comes back. 0: there is none. */
static uint64_t find_low_page(void)
{
	for (unsigned i = 0; i < boot_info.nr_ranges; i++) {
		const struct range *r = &boot_info.range[i];
		uint64_t at = max_t(uint64_t, (r->start + PAGE_SIZE - 1) & PAGE_MASK, 0x8000);

		if (r->ram && at + PAGE_SIZE <= min_t(uint64_t, r->end, 0xa0000))
			return at;
	}
	return 0;
}

static bool start_one(unsigned n, uint32_t id, uint64_t page)
{
	cpus[n] = make_cpu(n, id);
	starting = n;
	ap_tables = idle_cr3();
	ap_stack = page_va(n, PAGE_MAIN + 8);
	apic_send(id, IPI_INIT);
	wait_us(10000);
	for (unsigned tries = 0; tries < 2 && how_many() == n; tries++) {
		apic_send(id, IPI_START | (uint32_t)(page >> PAGE_SHIFT));
		for (unsigned i = 0; i < 1000 && how_many() == n; i++)
			wait_us(200);
	}
	return how_many() > n;
}

void smp_start(void)
{
	static char saved[256];
	size_t size = (size_t)(boot_ap_end - boot_ap_start);
	uint64_t page = find_low_page();
	unsigned n = 1;

	arrived = 1;
	if (page && nr_found > 1 && max_cpus > 1) {
		ASSERT(size <= sizeof(saved));
		memcpy(saved, phys_ptr(page), size);
		memcpy(phys_ptr(page), phys_ptr((uintptr_t)boot_ap_start), size);
		for (unsigned i = 0; i < nr_found && n < max_cpus; i++) {
			if (found[i] == cpu0.apic_id)
				continue;
			if (!start_one(n, found[i], page)) {
				xlog(LOG_ERROR, "the processor with APIC id %u does not start; going on with %u", found[i], n);
				break; /* it may still come, and must not find another's things */
			}
			n++;
		}
		memcpy(phys_ptr(page), saved, size);
	} else if (nr_found > 1 && max_cpus > 1) {
		xlog(LOG_WARN, "no memory below 1 MiB to start other processors from");
	}
	metal_info.pcpus = n;
	xlog(LOG_INFO, "%u of %u processors", n, max_t(unsigned, nr_found, 1));
}

void smp_go(void)
{
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	for (unsigned i = 1; i < metal_info.pcpus; i++)
		plat_cpu_kick(i);
}

void smp_halt(void)
{
	if (how_many() < 2)
		return;
	/* Not INIT: that would send the first processor back to its firmware. */
	__atomic_store_n(&gate_halt, 1, __ATOMIC_SEQ_CST);
	apic_send(0, IPI_NMI | IPI_TO_OTHERS);
}

void plat_cpu_kick(unsigned pcpu)
{
	apic_send(cpus[pcpu]->apic_id, IPI_FIXED | VECTOR_KICK);
}

void plat_tlb_flush(uint64_t pcpus, enum plat_flush what, uint64_t va)
{
	struct percpu *p = this_cpu();

	for (uint64_t left = pcpus & ~cpu_bit(p->id); left; left &= left - 1)
		__atomic_store_n(&cpus[__builtin_ctzll(left)]->flush, true, __ATOMIC_SEQ_CST);
	if (!(pcpus >> p->id & 1))
		return;
	/* With split tables the guest's are not in CR3 now; they are loaded, and so flushed, on the way to it. */
	if (what == PLAT_FLUSH_VA && use_pcid) {
		invpcid(INVPCID_ADDRESS, PCID_KERNEL, va);
		invpcid(INVPCID_ADDRESS, PCID_USER, va);
	} else if (what == PLAT_FLUSH_VA && !split_tables) {
		invlpg(va);
	} else if (use_pcid || !split_tables) {
		p->flush = true;
	}
}

/* Whoever looks holds the lock of the table's owner, and a CPU that stands on it holds a reference: none may. */
bool smp_stands_on(mfn_t l4)
{
	for (unsigned i = 0; i < metal_info.pcpus; i++)
		if (READ_ONCE(cpus[i]->cr3) >> PAGE_SHIFT == l4.n)
			return true;
	return false;
}

bool smp_stack_of(uint64_t rsp, struct stack *s)
{
	/* First page and number of pages; the page before is not mapped. */
	static const unsigned char stacks[][2] = { { PAGE_MAIN, 8 }, { PAGE_TRAP, 2 }, { PAGE_NMI, 1 }, { PAGE_DF, 2 },
						   { PAGE_MC, 2 }, { PAGE_DB, 2 } };
	uint64_t cpu = (rsp - CPU_VIRT) / (CPU_PAGES * PAGE_SIZE);

	for (unsigned i = 0; cpu < MAX_PCPUS && i < ARRAY_SIZE(stacks); i++) {
		*s = (struct stack){ page_va((unsigned)cpu, stacks[i][0] - 1u),
				     page_va((unsigned)cpu, stacks[i][0] + stacks[i][1]) };
		if (rsp >= s->guard && rsp < s->top)
			return true;
	}
	return false;
}
