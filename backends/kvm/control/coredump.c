/* SPDX-License-Identifier: MIT */
/*
 * A domain as an ELF core file, which gdb opens with the kernel's symbols:
 *
 *	ELF header | program headers | notes: the registers of each virtual CPU | page of pfn 0 | of pfn 1 | ...
 *
 * The program headers tell which page the kernel's page tables of virtual CPU 0 map where; physical addresses in them
 * are pseudo-physical. Pages of zeros are holes in the file.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/procfs.h> /* defines PAGE_MASK as the core does, but by another text */
#undef PAGE_MASK
#undef PAGE_SIZE
#undef PAGE_SHIFT
#include <sys/stat.h>
#include <unistd.h>

#include <xenopus/cpu.h>
#include <xenopus/lib.h>
#include "../machine.h"
#include "guest.h"

#define MAX_SEGMENTS 60000u
#define NO_FRAME     UINT32_MAX

/* Xen's and the gate's part of an address space: nobody's business in the dump. */
#define FIRST_RESERVED_SLOT 256u
#define LAST_RESERVED_SLOT  271u

struct note {
	Elf64_Nhdr head;
	char name[8];
	struct elf_prstatus status;
} __attribute__((packed, aligned(4)));

struct dump {
	uint32_t *mfns; /* by pfn */
	uint64_t nr_pfns, max_pfns;
	GArray *segments; /* Elf64_Phdr, p_offset still the pfn's */
	GArray *notes;
	struct domain *d;
	bool there, was_paused, too_many;
};

static void add_frame(void *opaque, mfn_t mfn, uint64_t pfn)
{
	struct dump *dump = opaque;

	if (pfn >= dump->max_pfns)
		return;
	dump->mfns[pfn] = (uint32_t)mfn.n;
	dump->nr_pfns = MAX(dump->nr_pfns, pfn + 1);
}

static void add_page(struct dump *dump, uint64_t va, uint64_t pfn, uint32_t flags)
{
	Elf64_Phdr *last = dump->segments->len ?
			   &g_array_index(dump->segments, Elf64_Phdr, dump->segments->len - 1) : NULL;
	Elf64_Phdr new = { .p_type = PT_LOAD, .p_flags = flags, .p_offset = pfn << PAGE_SHIFT, .p_vaddr = va,
			   .p_paddr = pfn << PAGE_SHIFT, .p_filesz = PAGE_SIZE, .p_memsz = PAGE_SIZE,
			   .p_align = PAGE_SIZE };

	if (last && last->p_vaddr + last->p_filesz == va && last->p_flags == flags &&
	    last->p_offset + last->p_filesz == new.p_offset) {
		last->p_filesz += PAGE_SIZE;
		last->p_memsz += PAGE_SIZE;
	} else if (dump->segments->len < MAX_SEGMENTS) {
		g_array_append_val(dump->segments, new);
	} else {
		dump->too_many = true;
	}
}

static void walk(struct dump *dump, mfn_t table, unsigned level, uint64_t va)
{
	const uint64_t *entries = plat_frame_ptr(table);

	for (unsigned i = 0; i < 512; i++) {
		uint64_t entry = READ_ONCE(entries[i]), pfn;
		uint64_t at = va | (uint64_t)i << (PAGE_SHIFT + 9 * (level - 1));

		if (!(entry & PTE_P) || (level == 4 && i >= FIRST_RESERVED_SLOT && i <= LAST_RESERVED_SLOT))
			continue;
		if (level == 4 && i >= 256)
			at |= UINT64_C(0xffff) << 48;
		if (mm_frame_owner(pte_mfn(entry)) != dump->d)
			continue;
		if (level > 1) {
			walk(dump, pte_mfn(entry), level - 1, at);
			continue;
		}
		pfn = m2p_get(pte_mfn(entry));
		if (pfn < dump->nr_pfns)
			add_page(dump, at, pfn, PF_R | (entry & PTE_RW ? PF_W : 0) | (entry & PTE_NX ? 0 : PF_X));
	}
}

static void add_registers(struct dump *dump, struct vcpu *v)
{
	const struct cpu_user_regs *r = &v->gate.regs;
	struct note n = { .head = { .n_namesz = 5, .n_descsz = sizeof(n.status), .n_type = NT_PRSTATUS },
			  .name = "CORE" };
	/* As <sys/user.h> orders them. */
	const uint64_t regs[] = {
		r->r15, r->r14, r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10, r->r9, r->r8, r->rax, r->rcx, r->rdx,
		r->rsi, r->rdi, UINT64_MAX, r->rip, r->cs, r->rflags, r->rsp, r->ss, plat_base_get(v, PLAT_FS),
		plat_base_get(v, PLAT_GS), plat_seg_get(v, PLAT_DS), plat_seg_get(v, PLAT_ES),
		plat_seg_get(v, PLAT_FS), plat_seg_get(v, PLAT_GS),
	};

	_Static_assert(sizeof(regs) == sizeof(n.status.pr_reg), "registers");
	n.status.pr_pid = (pid_t)v->id + 1;
	memcpy(n.status.pr_reg, regs, sizeof(regs));
	g_array_append_val(dump->notes, n);
}

static void look_in_core(struct domain *d, void *data)
{
	struct dump *dump = data;
	struct domain_status status;

	dump->there = true;
	dump->d = d;
	domain_get_status(d, &status);
	dump->was_paused = status.paused;
	domain_pause(d);
	cpu_come_round(cpu_all()); /* until it really stands still */
	/* The balloon may have been larger: pfns go up to the most it may have. */
	dump->max_pfns = MAX(d->mm.max_pages, d->mm.tot_pages) + 2048;
	dump->mfns = g_malloc(dump->max_pfns * sizeof(*dump->mfns));
	memset(dump->mfns, 0xff, dump->max_pfns * sizeof(*dump->mfns));
	mm_each_frame(d, add_frame, dump);
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && d->vcpu[i]->initialised)
			add_registers(dump, d->vcpu[i]);
	if (d->vcpu[0] && d->vcpu[0]->gate.cr3_kernel)
		walk(dump, MFN(d->vcpu[0]->gate.cr3_kernel >> PAGE_SHIFT), 4, 0);
}

static void go_on_in_core(struct domain *d, void *data)
{
	const struct dump *dump = data;

	if (!dump->was_paused)
		domain_unpause(d);
}

static bool put(int fd, const void *data, size_t size, uint64_t at)
{
	const char *p = data;

	while (size) {
		ssize_t n = pwrite(fd, p, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : ENOSPC;
			return false;
		}
		p += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

static bool put_pages(int fd, const struct dump *dump, uint64_t base)
{
	static const char zero[PAGE_SIZE];

	for (uint64_t pfn = 0; pfn < dump->nr_pfns; pfn++) {
		const void *page;

		if (dump->mfns[pfn] == NO_FRAME)
			continue;
		page = plat_frame_ptr(MFN(dump->mfns[pfn]));
		if (memcmp(page, zero, PAGE_SIZE) && !put(fd, page, PAGE_SIZE, base + (pfn << PAGE_SHIFT)))
			return false;
	}
	return !ftruncate(fd, (off_t)(base + (dump->nr_pfns << PAGE_SHIFT)));
}

static bool put_all(int fd, struct dump *dump)
{
	Elf64_Ehdr head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(head),
		.e_ehsize = sizeof(head), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(dump->segments->len + 1),
	};
	uint64_t notes_at = sizeof(head) + head.e_phnum * sizeof(Elf64_Phdr);
	uint64_t notes_size = dump->notes->len * sizeof(struct note);
	uint64_t base = (notes_at + notes_size + PAGE_SIZE - 1) & PAGE_MASK;
	Elf64_Phdr notes = { .p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes_size, .p_align = 4 };

	for (guint i = 0; i < dump->segments->len; i++)
		g_array_index(dump->segments, Elf64_Phdr, i).p_offset += base;
	return put(fd, &head, sizeof(head), 0) && put(fd, &notes, sizeof(notes), sizeof(head)) &&
	       put(fd, dump->segments->data, dump->segments->len * sizeof(Elf64_Phdr), sizeof(head) + sizeof(notes)) &&
	       put(fd, dump->notes->data, notes_size, notes_at) && put_pages(fd, dump, base);
}

bool coredump_write(struct guest *g, const char *path, GError **error)
{
	struct dump dump = { .segments = g_array_new(FALSE, FALSE, sizeof(Elf64_Phdr)),
			     .notes = g_array_new(FALSE, FALSE, sizeof(struct note)) };
	int fd, e = 0;

	/* Never over something that is there: the path is a client's. */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		e = errno;
	} else {
		guest_with(g, look_in_core, &dump);
		if (!dump.there)
			e = ENOENT;
		else if (!put_all(fd, &dump))
			e = errno;
		guest_with(g, go_on_in_core, &dump);
		close(fd);
		if (e)
			unlink(path);
	}
	if (dump.too_many)
		xlog(LOG_WARN, "%s: has only the first %u mappings of the kernel", path, MAX_SEGMENTS);
	g_free(dump.mfns);
	g_array_unref(dump.segments);
	g_array_unref(dump.notes);
	if (e)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(e), "cannot write the core file %s: %s", path,
			    g_strerror(e));
	return !e;
}
