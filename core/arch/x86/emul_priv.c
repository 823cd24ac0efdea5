/* SPDX-License-Identifier: MIT */
/*
 * emul_priv.c - privileged instructions that the ABI lets guest kernels execute
 *
 * They trap with #GP (ring 3) and are done here, for the guest kernel; guest user gets the exception,
 * except where the hardware would not have trapped at all (cpuid, rdtsc). Each returns false to give
 * the exception to the guest. Everything not listed in emulate_privileged() is the guest's own fault:
 * hlt, lgdt and their like have hypercalls.
 *
 * Reading ports gives all ones, as an empty bus does, and writing them nothing. A guest kernel may do
 * so whatever its I/O privilege level: there is no device it could reach, and kernels probe before they
 * have set the level.
 */
#include "internal.h"
#include <xenopus/hypercall.h>

#define PORT_PIT_FIRST	 0x42 /* channel 2, and the mode register */
#define PORT_PIT_LAST	 0x43
#define PORT_SYSTEM_B	 0x61
#define SYSTEM_B_OUTPUT2 0x20

#define CR4_VISIBLE UINT64_C(0x660)
#define CR4_GUEST   (X86_CR4_TSD | X86_CR4_DE | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE)

static const char *const emul_names[EMUL_KINDS] = {
	[EMUL_CPUID] = "cpuid", [EMUL_RDMSR] = "rdmsr", [EMUL_WRMSR] = "wrmsr",
	[EMUL_CLI_STI] = "cli/sti", [EMUL_IO] = "in/out", [EMUL_CR] = "mov cr",
	[EMUL_DR] = "mov dr", [EMUL_TSC] = "rdtsc", [EMUL_XSETBV] = "xgetbv/xsetbv",
	[EMUL_WBINVD] = "wbinvd", [EMUL_SOFT_INT] = "int n", [EMUL_UMIP] = "sgdt/sidt/sldt/str/smsw",
	[EMUL_M2P] = "m2p read",
};

const char *arch_emul_name(unsigned kind)
{
	return kind < EMUL_KINDS ? emul_names[kind] : NULL;
}

/* The register file after the instruction, taken over. */
static bool retire(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	regs->rip = insn_next_rip(insn, regs->rip);
	arch_insn_retire(v, regs);
	return true;
}

static void set_edx_eax(struct insn_regs *regs, uint64_t value)
{
	regs->gpr[GPR_RAX] = (uint32_t)value;
	regs->gpr[GPR_RDX] = value >> 32;
}

static uint64_t get_edx_eax(const struct insn_regs *regs)
{
	return (uint32_t)regs->gpr[GPR_RAX] | regs->gpr[GPR_RDX] << 32;
}

/* ---- ports ---- */

/*
 * One byte of a read. A timer that reads 0xff forever is polled for seconds by calibration loops; zero
 * with its output high makes them give up at once.
 */
static uint8_t port_byte(uint16_t port)
{
	if (port >= PORT_PIT_FIRST && port <= PORT_PIT_LAST)
		return 0;
	if (port == PORT_SYSTEM_B)
		return SYSTEM_B_OUTPUT2;
	return 0xff;
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	uint32_t value = 0;
	unsigned i;

	for (i = 0; i < size; i++)
		value |= (uint32_t)port_byte(port + i) << (8 * i);
	return value;
}

static unsigned io_size(const struct insn *insn)
{
	return min_t(unsigned, insn->op_size, 4);
}

static uint64_t address_mask(const struct insn *insn)
{
	return insn->addr_size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << (8 * insn->addr_size)) - 1;
}

/* As retire(), of an instruction that has used @port; a single step and a break on it are one trap. */
static bool retire_port(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, uint16_t port)
{
	bool breaks = arch_break_on_port(v, port, io_size(insn)), stepped = v->gate.regs.rflags & X86_FL_TF;

	arch_insn_retire(v, regs);
	if (breaks && !stepped)
		arch_inject_exception(v, X86_DB, 0, 0);
	return true;
}

/* One element of ins or outs; a repeated one stays on the instruction until its count is out. */
static bool string_io(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	bool in = insn->opcode < 0x6e;
	bool rep = insn->prefix & (INSN_PFX_REP | INSN_PFX_REPNE);
	unsigned size = io_size(insn), reg = in ? GPR_RDI : GPR_RSI;
	uint64_t mask = address_mask(insn), va, fault_va;
	uint64_t step = regs->rflags & X86_FL_DF ? -(uint64_t)size : size;
	uint32_t value, error;
	size_t left;

	if (rep && !(regs->gpr[GPR_RCX] & mask))
		return retire(v, insn, regs);
	va = insn_linear(insn, regs, in ? SEG_ES : insn->seg, regs->gpr[reg] & mask);
	if (in) {
		value = port_read((uint16_t)regs->gpr[GPR_RDX], size);
		if (guest_copy_to_fault(v, va, &value, size, &fault_va, &error)) {
			arch_inject_pf(v, fault_va, error);
			return true;
		}
	} else {
		left = guest_copy_from(v, &value, va, size);
		if (left) {
			arch_inject_pf(v, va + size - left, 0);
			return true;
		}
	}
	insn_write_gpr(insn, regs, reg, insn->addr_size, regs->gpr[reg] + step);
	if (rep)
		insn_write_gpr(insn, regs, GPR_RCX, insn->addr_size, regs->gpr[GPR_RCX] - 1);
	if (!rep || !(regs->gpr[GPR_RCX] & mask))
		regs->rip = insn_next_rip(insn, regs->rip);
	return retire_port(v, insn, regs, (uint16_t)regs->gpr[GPR_RDX]);
}

static uint16_t port_of(const struct insn *insn, const struct insn_regs *regs)
{
	/* 6c to 6f and ec to ef: dx; e4 to e7: the immediate */
	return insn->opcode & 8 ? regs->gpr[GPR_RDX] : (uint8_t)insn->imm;
}

static bool port_io(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	uint16_t port = port_of(insn, regs);
	bool in = !(insn->opcode & 2);
	unsigned size = io_size(insn);

	if (in)
		insn_write_gpr(insn, regs, GPR_RAX, size, port_read(port, size));
	regs->rip = insn_next_rip(insn, regs->rip);
	return retire_port(v, insn, regs, port);
}

/* A guest kernel stands for ring 1, unless it asked for the architecture's own rule. */
static bool iopl_allows(const struct vcpu *v)
{
	unsigned cpl = !gate_kernel_mode(&v->gate) ? 3 : assist(v, VMASST_TYPE_architectural_iopl) ? 0 : 1;

	return cpl <= v->arch.iopl;
}

/*
 * The bitmap of PHYSDEVOP_set_iobitmap, which lies in the kernel's address space; as the processor does it with
 * a TSS, two bytes are read.
 */
static bool bitmap_allows(struct vcpu *v, uint16_t port, unsigned size)
{
	bool user = !gate_kernel_mode(&v->gate);
	uint16_t mask = 0;
	size_t left;

	if (port + size > v->arch.io_bitmap_ports)
		return false;
	if (user)
		v->gate.flags |= GATE_KERNEL_MODE;
	left = guest_copy_from(v, &mask, v->arch.io_bitmap + port / 8, sizeof(mask));
	if (user)
		v->gate.flags &= ~GATE_KERNEL_MODE;
	return !left && !(mask & (((1u << size) - 1) << port % 8));
}

static bool port_allowed(struct vcpu *v, const struct insn *insn, uint16_t port)
{
	return iopl_allows(v) || bitmap_allows(v, port, io_size(insn));
}

/* ---- control and debug registers ---- */

static bool read_cr(struct vcpu *v, unsigned nr, uint64_t *value)
{
	switch (nr) {
	case 0:
		*value = GUEST_CR0 | (v->arch.ts ? X86_CR0_TS : 0);
		return true;
	case 2:
		*value = v->gate.cr2;
		return true;
	case 3:
		*value = v->gate.cr3_kernel;
		return true;
	case 4:
		*value = v->arch.cr4;
		return true;
	default:
		return false;
	}
}

static void set_ts(struct vcpu *v, bool ts)
{
	v->arch.ts = ts;
	plat_ts_set(v, ts);
}

/* Result of writing a control register; a long page-table validation is tried again later. */
enum cr_write { CR_DONE, CR_AGAIN, CR_REFUSED };

static enum cr_write write_cr3(struct vcpu *v, uint64_t value)
{
	int rc;

	preemptible_begin(v);
	rc = mm_set_kernel_base(v, pte_mfn(value));
	preemptible_end();
	if (rc == -XEN_ERESTART)
		return CR_AGAIN;
	return rc ? CR_REFUSED : CR_DONE;
}

static enum cr_write write_cr(struct vcpu *v, unsigned nr, uint64_t value)
{
	switch (nr) {
	case 0:
		if ((value ^ GUEST_CR0) & ~X86_CR0_TS) {
			dlog(v->domain, LOG_DEBUG, "cr0: %lx refused, only TS may change",
			     (unsigned long)value);
			return CR_REFUSED;
		}
		set_ts(v, value & X86_CR0_TS);
		return CR_DONE;
	case 2:
		v->gate.cr2 = value;
		WRITE_ONCE(v->gate.vcpu_info->arch.cr2, value);
		return CR_DONE;
	case 3:
		return write_cr3(v, value);
	case 4:
		v->arch.cr4 = CR4_VISIBLE | (value & CR4_GUEST);
		return CR_DONE;
	default:
		return CR_REFUSED;
	}
}

static bool mov_cr(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	unsigned size = insn->mode == INSN_MODE_64 ? 8 : 4;
	uint64_t value;

	if (insn->opcode == 0x20) {
		if (!read_cr(v, insn->reg, &value))
			return false;
		insn_write_gpr(insn, regs, insn->rm, size, value);
		return retire(v, insn, regs);
	}
	switch (write_cr(v, insn->reg, insn_read_gpr(insn, regs, insn->rm, size))) {
	case CR_DONE:
		return retire(v, insn, regs);
	case CR_AGAIN:
		return true;
	default:
		return false;
	}
}

static bool mov_dr(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	unsigned size = insn->mode == INSN_MODE_64 ? 8 : 4;
	uint64_t value;
	int rc = 0;

	if (insn->opcode == 0x21) {
		if (!arch_get_debugreg(v, insn->reg, &value))
			rc = -XEN_ENODEV;
		else
			insn_write_gpr(insn, regs, insn->rm, size, value);
	} else {
		rc = arch_set_debugreg(v, insn->reg, insn_read_gpr(insn, regs, insn->rm, size));
	}
	if (rc == -XEN_ENODEV) {
		arch_inject_exception(v, X86_UD, 0, 0);
		return true;
	}
	return rc ? false : retire(v, insn, regs);
}

/* ---- the rest of the 0f map ---- */

static bool do_cpuid(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	uint64_t *r = regs->gpr;
	uint32_t out[4];

	count_emulated(v, EMUL_CPUID);
	arch_cpuid(v, (uint32_t)r[GPR_RAX], (uint32_t)r[GPR_RCX],
		   insn->forced && gate_kernel_mode(&v->gate), out);
	r[GPR_RAX] = out[0];
	r[GPR_RBX] = out[1];
	r[GPR_RCX] = out[2];
	r[GPR_RDX] = out[3];
	return retire(v, insn, regs);
}

static bool do_rdtsc(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, bool aux)
{
	if (!gate_kernel_mode(&v->gate) && (v->arch.cr4 & X86_CR4_TSD))
		return false;
	count_emulated(v, EMUL_TSC);
	set_edx_eax(regs, plat_tsc());
	if (aux)
		regs->gpr[GPR_RCX] = v->arch.tsc_aux;
	return retire(v, insn, regs);
}

static bool do_msr(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	uint32_t msr = (uint32_t)regs->gpr[GPR_RCX];
	uint64_t value;

	if (insn->opcode == 0x30) {
		count_emulated(v, EMUL_WRMSR);
		if (!arch_wrmsr(v, msr, get_edx_eax(regs)))
			return false;
		/* A written base must not be lost to the copy taken before. */
		return retire(v, insn, regs);
	}
	count_emulated(v, EMUL_RDMSR);
	if (!arch_rdmsr(v, msr, &value))
		return false;
	set_edx_eax(regs, value);
	return retire(v, insn, regs);
}

static bool do_xcr(struct vcpu *v, const struct insn *insn, struct insn_regs *regs, bool set)
{
	uint32_t nr = (uint32_t)regs->gpr[GPR_RCX];

	if (!(v->arch.cr4 & X86_CR4_OSXSAVE)) {
		arch_inject_exception(v, X86_UD, 0, 0);
		return true;
	}
	count_emulated(v, EMUL_XSETBV);
	if (nr)
		return false;
	if (!set)
		set_edx_eax(regs, v->arch.xcr0);
	else if (!gate_kernel_mode(&v->gate) || !arch_set_xcr0(v, get_edx_eax(regs)))
		return false;
	return retire(v, insn, regs);
}

static bool emulate_group7(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	switch (insn->modrm) {
	case 0xd0:
		return do_xcr(v, insn, regs, false);
	case 0xd1:
		return do_xcr(v, insn, regs, true);
	case 0xf9:
		return do_rdtsc(v, insn, regs, true);
	default:
		return emulate_umip(v, insn, regs);
	}
}

static bool emulate_0f(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	bool kernel = gate_kernel_mode(&v->gate);

	switch (insn->opcode) {
	case 0xa2:
		return do_cpuid(v, insn, regs);
	case 0x31:
		return do_rdtsc(v, insn, regs, false);
	case 0x00:
		return emulate_umip(v, insn, regs);
	case 0x01:
		return emulate_group7(v, insn, regs);
	default:
		break;
	}
	if (!kernel)
		return false;
	switch (insn->opcode) {
	case 0x06: /* clts */
		count_emulated(v, EMUL_CR);
		set_ts(v, false);
		return retire(v, insn, regs);
	case 0x09: /* wbinvd: kernels do it at start; a guest has no device that could see the caches */
		count_emulated(v, EMUL_WBINVD);
		return retire(v, insn, regs);
	case 0x20: case 0x22:
		count_emulated(v, EMUL_CR);
		return mov_cr(v, insn, regs);
	case 0x21: case 0x23:
		count_emulated(v, EMUL_DR);
		return mov_dr(v, insn, regs);
	case 0x30: case 0x32:
		return do_msr(v, insn, regs);
	default:
		return false;
	}
}

bool emulate_privileged(struct vcpu *v, const struct insn *insn, struct insn_regs *regs)
{
	/* The prefix is for cpuid; in front of anything else it is just ud2. */
	if (insn->forced && !insn_is(insn, INSN_MAP_0F, 0xa2))
		return false;
	if (insn->map == INSN_MAP_0F)
		return emulate_0f(v, insn, regs);
	if (insn->map != INSN_MAP_ONE)
		return false;

	switch (insn->opcode) {
	case 0xfa: case 0xfb:
		if (!iopl_allows(v))
			return false;
		/* Not the event mask: a popf that undoes a cli cannot be seen. */
		count_emulated(v, EMUL_CLI_STI);
		return retire(v, insn, regs);
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:
		if (!port_allowed(v, insn, port_of(insn, regs)))
			return false;
		count_emulated(v, EMUL_IO);
		return string_io(v, insn, regs);
	case 0xe4: case 0xe5: case 0xe6: case 0xe7:
	case 0xec: case 0xed: case 0xee: case 0xef:
		if (!port_allowed(v, insn, port_of(insn, regs)))
			return false;
		count_emulated(v, EMUL_IO);
		return port_io(v, insn, regs);
	default:
		return false;
	}
}
