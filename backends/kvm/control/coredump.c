/* SPDX-License-Identifier: MIT */
/*
 * A domain as a core file (coredump_file.c has its form). What it consists of is looked up at once,
 * in core context; a thread then writes it, so that nobody but the domain itself waits for the disk:
 *
 *	coredump_start() -> look_in_core(): paused -> write_file(), a thread
 *			 -> on_written(): goes on
 *
 * While the thread reads the domain's frames they must stay its own: it remains paused, and who
 * destroys it gets its record (guest_destroy()); the domain itself goes when the thread has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coredump.h" /* first, for the macros it clears away */
#include <xenopus/arch.h>
#include "later.h"
#include "lifecycle.h"

#define MAX_SEGMENTS 60000u
/* Linux maps a page that has nothing to tell 65,536 times (espfix, the P2M's holes): a few are
 * enough. */
#define MAX_VIEWS 8

/* Xen's and the gate's part of an address space: nobody's business in the dump. */
#define FIRST_RESERVED_SLOT 256u
#define LAST_RESERVED_SLOT  271u

struct dump {
	struct core_image image;
	struct guest *g;
	struct domain *d;
	char *path;
	int fd, error;
	uint8_t *views; /* by pfn: segments that begin with it */
	bool stays_paused, too_many;
	coredump_done_fn *done;
	void *data;
};

static unsigned running;

unsigned coredump_running(void)
{
	return running;
}

/* ---- looking ---- */

/* A guest's pfns are what it says: those below @max_pfns count. */
static void count_frame(void *opaque, mfn_t unused, uint64_t pfn)
{
	struct core_image *image = opaque;

	if (pfn < image->max_pfns)
		image->nr_pfns = MAX(image->nr_pfns, pfn + 1);
}

static void add_frame(void *opaque, mfn_t mfn, uint64_t pfn)
{
	struct core_image *image = opaque;

	if (pfn < image->nr_pfns)
		image->mfns[pfn] = (uint32_t)mfn.n;
}

static void add_page(struct dump *dump, uint64_t va, uint64_t pfn, uint32_t flags)
{
	GArray *segments = dump->image.segments;
	Elf64_Phdr *last =
		segments->len ? &g_array_index(segments, Elf64_Phdr, segments->len - 1) : NULL;
	Elf64_Phdr new = { .p_type = PT_LOAD,
			   .p_flags = flags,
			   .p_offset = pfn << PAGE_SHIFT,
			   .p_vaddr = va,
			   .p_paddr = pfn << PAGE_SHIFT,
			   .p_filesz = PAGE_SIZE,
			   .p_memsz = PAGE_SIZE,
			   .p_align = PAGE_SIZE };

	if (last && last->p_vaddr + last->p_filesz == va && last->p_flags == flags &&
	    last->p_offset + last->p_filesz == new.p_offset) {
		last->p_filesz += PAGE_SIZE;
		last->p_memsz += PAGE_SIZE;
	} else if (dump->views[pfn] == MAX_VIEWS) {
		return;
	} else if (segments->len < MAX_SEGMENTS) {
		dump->views[pfn]++;
		g_array_append_val(segments, new);
	} else {
		dump->too_many = true;
	}
}

static void walk(struct dump *dump, mfn_t table, unsigned level, uint64_t va)
{
	const uint64_t *entries = plat_frame_ptr(table);

	for (unsigned n = 0; n < 512; n++) {
		/* The kernel's half first: were there too many segments, programs would be missed
		 * least. */
		unsigned i = level == 4 ? n ^ 256 : n;
		uint64_t entry = READ_ONCE(entries[i]), pfn;
		uint64_t at = va | (uint64_t)i << (PAGE_SHIFT + 9 * (level - 1));

		if (!(entry & PTE_P) ||
		    (level == 4 && i >= FIRST_RESERVED_SLOT && i <= LAST_RESERVED_SLOT))
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
		if (pfn < dump->image.nr_pfns)
			add_page(dump, at, pfn,
				 PF_R | (entry & PTE_RW ? PF_W : 0) | (entry & PTE_NX ? 0 : PF_X));
	}
}

static void add_thread(struct core_image *image, unsigned id, const struct vcpu_guest_context *c)
{
	const struct cpu_user_regs *r = &c->user_regs;
	struct thread_note n = {
		.head = { .n_namesz = 5, .n_descsz = sizeof(n.status), .n_type = NT_PRSTATUS },
		.name = "CORE"
	};
	/* As <sys/user.h> orders them. */
	const uint64_t regs[] = {
		r->r15,
		r->r14,
		r->r13,
		r->r12,
		r->rbp,
		r->rbx,
		r->r11,
		r->r10,
		r->r9,
		r->r8,
		r->rax,
		r->rcx,
		r->rdx,
		r->rsi,
		r->rdi,
		UINT64_MAX,
		r->rip,
		r->cs,
		r->rflags,
		r->rsp,
		r->ss,
		c->fs_base,
		c->flags & VGCF_in_kernel ? c->gs_base_kernel : c->gs_base_user,
		r->ds,
		r->es,
		r->fs,
		r->gs,
	};

	_Static_assert(sizeof(regs) == sizeof(n.status.pr_reg), "registers");
	n.status.pr_pid = (pid_t)id + 1;
	memcpy(n.status.pr_reg, regs, sizeof(regs));
	g_array_append_val(image->threads, n);
}

static void add_vcpus(struct core_image *image, const struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		struct vcpu_guest_context c = { .flags = 0 };

		if (d->vcpu[i] && d->vcpu[i]->initialised) {
			arch_get_context(d->vcpu[i], &c);
			add_thread(image, i, &c);
		}
		g_array_append_val(image->contexts, c);
	}
}

static void look_in_core(struct domain *d, void *data)
{
	struct dump *dump = data;
	struct core_image *image = &dump->image;
	struct domain_status status;

	dump->d = d;
	domain_get_status(d, &status);
	dump->stays_paused = status.paused;
	domain_pause(d);
	cpu_come_round(cpu_all()); /* until it really stands still */
	/* The balloon may have been larger: pfns go up to the most it may have. */
	image->max_pfns = MAX(d->mm.max_pages, d->mm.tot_pages) + 2048;
	mm_each_frame(d, count_frame, image);
	image->mfns = g_malloc((image->nr_pfns + 1) * sizeof(*image->mfns)); /* never NULL */
	memset(image->mfns, 0xff, image->nr_pfns * sizeof(*image->mfns));
	mm_each_frame(d, add_frame, image);
	dump->views = g_malloc0(image->nr_pfns);
	add_vcpus(image, d);
	memcpy(image->shared_info, d->mm.shared_info, sizeof(image->shared_info));
	if (d->vcpu[0] && d->vcpu[0]->gate.cr3_kernel)
		walk(dump, MFN(d->vcpu[0]->gate.cr3_kernel >> PAGE_SHIFT), 4, 0);
}

/* ---- writing ---- */

static void dump_free(struct dump *dump)
{
	g_array_unref(dump->image.segments);
	g_array_unref(dump->image.threads);
	g_array_unref(dump->image.contexts);
	g_free(dump->image.mfns);
	g_free(dump->views);
	g_free(dump->path);
	g_free(dump);
}

/* The last of it; @dump->error says how it went. */
static void finish(struct dump *dump)
{
	g_autoptr(GError) error = NULL;

	if (dump->error == ECANCELED)
		error = g_error_new(GUEST_ERROR, GUEST_ERROR_FAILED,
				    "no core file %s: domain %s was destroyed, or the "
				    "machine ends",
				    dump->path, dump->g->name);
	else if (dump->error)
		error = g_error_new(G_FILE_ERROR, g_file_error_from_errno(dump->error),
				    "cannot write the core file %s: "
				    "%s",
				    dump->path, g_strerror(dump->error));
	if (dump->too_many)
		xlog(LOG_WARN, "%s: has only the first %u mappings of the kernel", dump->path,
		     MAX_SEGMENTS);
	dump->done(dump->g, error, dump->data);
	dump_free(dump);
}

static void on_written(void *data)
{
	struct dump *dump = data;
	struct guest *g = dump->g;

	running--;
	g->dump = NULL;
	if (g->dropped)
		guest_undo(g);
	else if (!dump->stays_paused)
		guest_pause(g, false);
	finish(dump);
	guest_dumped(g);
	guest_unref(g);
}

static gpointer write_file(gpointer data)
{
	struct dump *dump = data;

	dump->error = coredump_write(dump->fd, &dump->image);
	if (close(dump->fd) && !dump->error)
		dump->error = errno;
	if (dump->error)
		unlink(dump->path);
	later(on_written, dump, NULL);
	return NULL;
}

void coredump_start(struct guest *g, const char *path, coredump_done_fn *done, void *data)
{
	struct dump *dump = g_new0(struct dump, 1);

	*dump = (struct dump){ .g = g, .path = g_strdup(path), .done = done, .data = data };
	dump->image.segments = g_array_new(FALSE, FALSE, sizeof(Elf64_Phdr));
	dump->image.threads = g_array_new(FALSE, FALSE, sizeof(struct thread_note));
	dump->image.contexts = g_array_new(FALSE, FALSE, sizeof(struct vcpu_guest_context));
	/* Never over something that is there: the path is a client's. */
	dump->fd = g->dump ? -1 :
			     open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (dump->fd < 0) {
		dump->error = g->dump ? EBUSY : errno;
		finish(dump);
		return;
	}
	guest_with(g, look_in_core, dump);
	guest_ref(g);
	g->dump = dump;
	running++;
	g_thread_unref(g_thread_new("core file", write_file, dump));
}

void coredump_cancel(struct guest *g)
{
	if (g->dump)
		g_atomic_int_set(&g->dump->image.cancelled, 1);
}

bool coredump_set_paused(struct guest *g, bool paused)
{
	if (!g->dump)
		return false;
	g->dump->stays_paused = paused;
	return true;
}
