/* SPDX-License-Identifier: MIT */
/*
 * archfake.c - see archfake.h
 */
#include "archfake.h"
#include <stdio.h>
#include <stdlib.h>

struct fake fake;
enum log_level log_threshold = LOG_DEBUG;

void *fake_mem(uint64_t va)
{
	if (va - KERNEL_VA < WINDOW)
		return fake.kernel + (va - KERNEL_VA);
	if (va - USER_VA < WINDOW)
		return fake.user + (va - USER_VA);
	return NULL;
}

static size_t copy(uint64_t va, void *buf, size_t n, bool to_guest, uint64_t *fault_va)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char *p = fake_mem(va + i);

		/* A user address space does not map the kernel. */
		if (!p || (va + i >= fake.hole && va + i < fake.hole_end) ||
		    (va + i >= KERNEL_VA && !gate_kernel_mode(&fake.v.gate)))
			break;
		if (to_guest)
			*p = ((char *)buf)[i];
		else
			((char *)buf)[i] = *p;
	}
	if (i < n && fault_va)
		*fault_va = va + i;
	return n - i;
}

size_t guest_copy_from_long(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	return copy(va, dst, n, false, NULL);
}

size_t guest_copy_to_long(struct vcpu *v, uint64_t va, const void *src, size_t n)
{
	return copy(va, (void *)(uintptr_t)src, n, true, NULL);
}

size_t guest_copy_from_any(struct vcpu *v, void *dst, uint64_t va, size_t n)
{
	return copy(va, dst, n, false, NULL);
}

/* The long way is always right. */
const void *guest_reach(struct vcpu *v, uint64_t va, size_t n)
{
	return NULL;
}

void *guest_reach_write(struct vcpu *v, uint64_t va, size_t n)
{
	return NULL;
}

void guest_written(const void *at)
{
}

size_t guest_copy_to_fault(struct vcpu *v, uint64_t va, const void *src, size_t n, uint64_t *fault_va,
			   uint32_t *pf_error)
{
	*pf_error = PFEC_WRITE | PFEC_USER;
	return copy(va, (void *)(uintptr_t)src, n, true, fault_va);
}

size_t guest_fetch(struct vcpu *v, void *dst, uint64_t va, size_t n, uint64_t *fault_va,
		   uint32_t *pf_error)
{
	*pf_error = PFEC_FETCH | PFEC_USER;
	return copy(va, dst, n, false, fault_va);
}

void domain_crash(struct vcpu *v, const char *fmt, ...)
{
	va_list ap;

	fake.crashed = true;
	va_start(ap, fmt);
	vsnprintf(fake.crash, sizeof(fake.crash), fmt, ap);
	va_end(ap);
}

void dlog(struct domain *d, enum log_level level, const char *fmt, ...)
{
}

int xvsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	return vsnprintf(buf, size, fmt, ap);
}

void xlog(enum log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	plat_log(level, line, (size_t)n);
}

void assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, expr);
	abort();
}

bool hypercall_dispatch(struct vcpu *v)
{
	fake.hypercalls++;
	return true;
}

bool hypercall_preempt(void)
{
	return ++fake.preempt_calls == fake.preempt_after;
}

void preemptible_begin(struct vcpu *v)
{
}

void preemptible_end(void)
{
}

/* A table of one page that holds its own offsets. */
bool m2p_peek(uint64_t offset, unsigned size, uint64_t *value)
{
	*value = offset;
	return offset < PAGE_SIZE && size <= PAGE_SIZE - offset;
}

bool mm_ptwr_emulate(struct vcpu *v, uint64_t va, uint32_t error)
{
	fake.ptwr++;
	return fake.ptwr_answer;
}

int mm_set_kernel_base(struct vcpu *v, mfn_t mfn)
{
	if (!fake.base_rc)
		v->gate.cr3_kernel = mfn.n << PAGE_SHIFT;
	return fake.base_rc;
}

int mm_set_user_base(struct vcpu *v, mfn_t mfn)
{
	v->gate.cr3_user = mfn.n << PAGE_SHIFT;
	return 0;
}

int mm_get_frame_type(mfn_t mfn, struct domain *d, enum frame_type type)
{
	if (type != FT_WRITABLE || mfn.n != FAKE_OWN_FRAME)
		return -XEN_EPERM;
	fake.frame_refs++;
	return 0;
}

void mm_put_frame_type(mfn_t mfn)
{
	fake.frame_refs--;
}

void mm_drop_bases(struct vcpu *v)
{
	fake.drops++;
	v->gate.cr3_kernel = v->gate.cr3_user = 0;
}

int mm_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
	v->arch.ldt_base = entries ? base : 0;
	v->arch.ldt_entries = entries;
	return 0;
}

int mm_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned entries)
{
	unsigned i;

	if (fake.gdt_rc)
		return fake.gdt_rc;
	fake.gdts++;
	for (i = 0; i < (entries + 511) / 512; i++)
		v->arch.gdt_frames[i] = MFN(frames[i]);
	v->arch.gdt_entries = entries;
	return 0;
}

int fake_setup(void **state)
{
	struct gate_vcpu *g = &fake.v.gate;

	memset(&fake, 0, sizeof(fake));
	testplat_start(16);
	fake.v.domain = &fake.d;
	fake.v.gate.vcpu_info = &fake.info;
	arch_vcpu_init(&fake.v);
	if (plat_vcpu_init(&fake.v))
		return -1;
	g->cr3_kernel = 0x2000;
	g->cr3_user = 0x3000;
	g->kernel_sp = KERNEL_SP;
	g->kernel_ss = FLAT_KERNEL_SS;
	g->regs.rip = KERNEL_CODE;
	g->regs.rsp = KERNEL_SP - 0x1008;
	g->regs.rcx = 0xc0c0;
	g->regs.r11 = 0x1111;
	return 0;
}

int fake_teardown(void **state)
{
	plat_vcpu_free(&fake.v);
	testplat_stop();
	return 0;
}

void fake_user(void)
{
	struct cpu_user_regs *r = &fake.v.gate.regs;

	fake.v.gate.flags &= ~GATE_KERNEL_MODE;
	r->rip = USER_CODE;
	r->rsp = USER_SP;
	r->cs = FLAT_USER_CS64;
	r->ss = FLAT_USER_SS64;
}

void fake_code(bool kernel, const char *hex)
{
	uint64_t va = kernel ? KERNEL_CODE : USER_CODE;
	uint8_t *p = fake_mem(va);

	if (!kernel)
		fake_user();
	fake.v.gate.regs.rip = va;
	for (; *hex; hex += 2) {
		char two[3] = { hex[0], hex[1], 0 };

		*p++ = (uint8_t)strtoul(two, NULL, 16);
	}
}

void fake_handler(unsigned vector, uint64_t rip, unsigned dpl, bool masks)
{
	struct trap_info *ti = &fake.v.arch.traps[vector];

	*ti = (struct trap_info){ .vector = (uint8_t)vector, .cs = FLAT_KERNEL_CS, .address = rip };
	TI_SET_DPL(ti, dpl);
	TI_SET_IF(ti, masks);
}

void fake_trap(unsigned vector, uint32_t error, uint64_t cr2)
{
	struct trap t = { TRAP_EXCEPTION, vector, error, cr2 };

	arch_handle_trap(&fake.v, &t);
}
