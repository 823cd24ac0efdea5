/* SPDX-License-Identifier: MIT */
/*
 * The machine's memory and its KVM VM. Frames 0 .. frames-1 are one memfd; the last few belong to the gate:
 *
 *	0            first_gate_frame        frames
 *	| core and guests  | gate tables, stubs, descriptor tables, stacks |
 *
 * The kernel gives memory on first touch, so a large machine costs nothing until its domains use it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "machine.h"

/* Eight or nine for each of up to 512 virtual CPUs (gate_map.c), and the gate's own; untouched ones cost nothing. */
#define GATE_FRAMES 4672

struct machine machine = { .kvm = -1, .vm = -1, .memfd = -1 };

G_DEFINE_QUARK(xenopus-machine-error, machine_error)

static bool fail(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static bool fail(GError **error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (error)
		*error = g_error_new_valist(MACHINE_ERROR, 0, fmt, ap);
	va_end(ap);
	return false;
}

static bool open_kvm(const char *path, GError **error)
{
	machine.kvm = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (machine.kvm < 0) {
		int e = errno;

		if (e == ENOENT || e == ENODEV || e == ENXIO)
			return fail(error, "%s does not exist: this host offers no KVM (load kvm_intel, kvm_amd "
				    "or enable virtualisation in its firmware or hypervisor)", path);
		if (e == EACCES || e == EPERM)
			return fail(error, "%s: %s: add yourself to the group that owns it (usually kvm), "
				    "or run as root", path, g_strerror(e));
		return fail(error, "%s: %s: give the host's KVM device (usually /dev/kvm)", path,
			    g_strerror(e));
	}
	int api = ioctl(machine.kvm, KVM_GET_API_VERSION, 0);

	if (api < 0)
		return fail(error, "%s is not a KVM device: give the host's (usually /dev/kvm)", path);
	if (api != KVM_API_VERSION)
		return fail(error, "%s speaks KVM API version %d, and version %d is needed: use Linux 4.17 "
			    "or newer", path, api, KVM_API_VERSION);

	int sync = ioctl(machine.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	int need = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;

	if (sync < 0 || (sync & need) != need)
		return fail(error, "%s: KVM_CAP_SYNC_REGS is missing: Linux 4.17 or newer is needed", path);
	if (ioctl(machine.kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return fail(error, "%s: KVM_CAP_IMMEDIATE_EXIT is missing: Linux 4.13 or newer is needed", path);
	return true;
}

static bool map_memory(GError **error)
{
	size_t size = machine.frames << PAGE_SHIFT;

	machine.memfd = memfd_create("xenopus-machine", MFD_CLOEXEC);
	if (machine.memfd < 0 || ftruncate(machine.memfd, (off_t)size))
		return fail(error, "cannot make %zu MiB of machine memory: %s: give less with --memory",
			    size >> 20, g_strerror(errno));
	machine.mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, machine.memfd, 0);
	if (machine.mem == MAP_FAILED) {
		machine.mem = NULL;
		return fail(error, "cannot map %zu MiB of machine memory: %s: give less with --memory, or "
			    "raise the limit (ulimit -v)", size >> 20, g_strerror(errno));
	}
	machine.frame_flags = mmap(NULL, machine.frames, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (machine.frame_flags == MAP_FAILED) {
		machine.frame_flags = NULL;
		return fail(error, "cannot map frame flags: %s: give less with --memory", g_strerror(errno));
	}
	struct kvm_userspace_memory_region region = {
		.slot = 0,
		.guest_phys_addr = 0,
		.memory_size = size,
		.userspace_addr = (uintptr_t)machine.mem,
	};

	if (ioctl(machine.vm, KVM_SET_USER_MEMORY_REGION, &region))
		return fail(error, "KVM refuses %zu MiB of memory: %s: give less with --memory", size >> 20,
			    g_strerror(errno));
	return true;
}

/* RAM and swap. Memory is given on first touch, but what does not exist can only end in the OOM killer. */
static uint64_t host_frames(void)
{
	struct sysinfo si;

	if (sysinfo(&si))
		return MACHINE_MAX_FRAMES;
	return ((uint64_t)si.totalram + si.totalswap) * si.mem_unit >> PAGE_SHIFT;
}

bool machine_open(const char *path, GError **error)
{
	if (!open_kvm(path, error))
		return false;
	do {
		machine.vm = ioctl(machine.kvm, KVM_CREATE_VM, 0);
	} while (machine.vm < 0 && errno == EINTR);
	if (machine.vm < 0)
		return fail(error, "KVM cannot create a virtual machine: %s%s", g_strerror(errno),
			    errno == EBUSY ? ": stop the other hypervisor that uses the processor's "
					     "virtualisation" : "");
	return true;
}

unsigned machine_host_cpus(void)
{
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours))
		return 1;
	return (unsigned)CLAMP(CPU_COUNT(&ours), 1, MAX_PCPUS);
}

bool machine_fits(uint64_t frames, GError **error)
{
	return frames <= host_frames() ||
	       fail(error, "a machine of %llu MiB is more than this host's memory (%llu MiB): give less "
		    "with --memory", (unsigned long long)frames >> 8,
		    (unsigned long long)host_frames() >> 8);
}

bool machine_init(uint64_t frames, unsigned pcpus, GError **error)
{
	uint64_t l2_frames = (frames >> 18) + 2;

	machine.frames = (frames + GATE_FRAMES + l2_frames + 511) & ~UINT64_C(511);
	machine.first_gate_frame = machine.frames - GATE_FRAMES - l2_frames;
	machine.next_gate_frame = machine.first_gate_frame;
	machine.nr_pcpus = pcpus;
	for (unsigned i = 0; i < pcpus; i++) {
		machine.pcpu[i].id = i;
		pthread_mutex_init(&machine.pcpu[i].store_lock, NULL);
	}

	if (!machine_fits(machine.frames, error))
		return false;
	if (machine.frames > MACHINE_MAX_FRAMES)
		return fail(error, "a machine of %llu MiB is too large: it may have %llu MiB; give less with "
			    "--memory", (unsigned long long)machine.frames >> 8,
			    (unsigned long long)MACHINE_MAX_FRAMES >> 8);
	/* Real-mode emulation area of older Intel hosts; only where it does not collide with memory. */
	if (machine.frames << PAGE_SHIFT < 0xfffbc000)
		ioctl(machine.vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	if (!map_memory(error) || !gate_map_init(error))
		return false;
	if (!clock_init(error) || !probe_traits(error))
		return false;
	machine.info.frames = machine.frames;
	machine.info.pcpus = machine.nr_pcpus;
	machine.info.slot256_visible = machine.traits.slot256_visible;
	machine.info.raises_nm = machine.traits.raises_nm;
	machine.info.guest_reads_native_cpuid = true;
	machine.info.name = "hosted on KVM";
	return true;
}

void machine_free(void)
{
	kvcpu_free_all();
	for (unsigned i = 0; i < machine.nr_pcpus; i++) {
		g_free(machine.pcpu[i].attendant);
		g_free(machine.pcpu[i].stores);
	}
	if (machine.frame_flags)
		munmap(machine.frame_flags, machine.frames);
	if (machine.mem)
		munmap(machine.mem, machine.frames << PAGE_SHIFT);
	if (machine.memfd >= 0)
		close(machine.memfd);
	if (machine.vm >= 0)
		close(machine.vm);
	if (machine.kvm >= 0)
		close(machine.kvm);
	machine = (struct machine){ .kvm = -1, .vm = -1, .memfd = -1 };
}

const struct plat_info *plat_info(void)
{
	return &machine.info;
}

bool plat_frame_usable(mfn_t mfn)
{
	return mfn.n > 0 && mfn.n < machine.first_gate_frame;
}

void *plat_frame_ptr(mfn_t mfn)
{
	return machine.mem + (mfn.n << PAGE_SHIFT);
}

/* Through the file: no page fault for each page, and none of them cleared only to be written over. */
void plat_frames_fill(mfn_t first, const void *data, size_t len)
{
	uint64_t at = first.n << PAGE_SHIFT, end = at + len;
	const uint8_t *from = data;

	while (at < end) {
		ssize_t n = pwrite(machine.memfd, from, end - at, (off_t)at);

		if (n <= 0)
			break;
		from += n;
		at += (uint64_t)n;
	}
	memcpy(machine.mem + at, from, end - at);
	for (uint64_t i = first.n; i << PAGE_SHIFT < end; i++)
		plat_frame_dirty(MFN(i));
}

/* The first byte from @at on, below @end, that the file has memory for; @end: none. */
static uint64_t next_touched(uint64_t at, uint64_t end)
{
	off_t found = lseek(machine.memfd, (off_t)at, SEEK_DATA);

	if (found >= 0)
		return MIN((uint64_t)found, end);
	return errno == ENXIO ? end : at;
}

/*
 * SEEK_DATA knows what was touched, also where that has been swapped out meanwhile, but costs a system call for each page;
 * mincore() says of many at once which are there, but not which never were.
 */
void plat_frames_zero(mfn_t first, uint64_t nr)
{
	uint64_t at = first.n << PAGE_SHIFT, end = at + (nr << PAGE_SHIFT);
	unsigned char there[512];

	while ((at = next_touched(at, end)) < end) {
		uint64_t n = MIN((end - at) >> PAGE_SHIFT, sizeof(there)), i = 1;

		if (n > 1 && mincore(machine.mem + at, n << PAGE_SHIFT, there))
			n = 1;
		while (i < n && there[i] & 1)
			i++;
		memset(machine.mem + at, 0, i << PAGE_SHIFT);
		at += i << PAGE_SHIFT;
	}
	for (uint64_t i = first.n; i < first.n + nr; i++)
		plat_frame_dirty(MFN(i));
}

void plat_frame_dirty(mfn_t mfn)
{
	uint8_t f = __atomic_load_n(&machine.frame_flags[mfn.n], __ATOMIC_RELAXED);

	if ((f & (FRAME_WAS_PT | FRAME_DIRTY)) == FRAME_WAS_PT)
		__atomic_or_fetch(&machine.frame_flags[mfn.n], FRAME_DIRTY, __ATOMIC_RELAXED);
}
