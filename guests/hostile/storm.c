/* SPDX-License-Identifier: MIT */
/*
 * Random hypercalls from all virtual CPUs at once, about everything that names memory or waits for something: records that
 * are placed on pages which are page tables, descriptor tables, event words or given away the next moment; event channels in
 * both ABIs, polls, timers, whole contexts, descriptors, debug registers, lists in lists, the xenstore ring with what no
 * client would write. (What makes a kernel's own page tables is chaos.c's.) Each may be done or refused; the machine must
 * stay in order and nobody hang. Arguments: rounds=, seed=; the seed is printed.
 *
 * The last virtual CPU, unless it is the only one, is never started: it is there to be given contexts that are refused, each
 * at another place.
 */
#include "hostile.h"
#include <xen/io/xs_wire.h>

const char guest_topic[] = "storm";

__extension__ typedef unsigned __int128 u128;

#define MAX_CPUS 8u
#define POOL	 24u
#define WINDOW	 16u
#define PORTS	 64u

struct cpu {
	uint64_t seed, done, refused;
	uint64_t *args; /* two pages */
	unsigned id;
	bool finished;
};

static struct cpu cpus[MAX_CPUS];
static unsigned nr_cpus; /* that run */
static unsigned victim;
static uint64_t rounds;
static uint64_t *pool[POOL], pool_mfn[POOL];
static uint64_t window;
static uint64_t grant_mfn[4];
static struct xenstore_domain_interface *store;
static struct vcpu_time_info clock_then;

static uint64_t rnd(struct cpu *c, uint64_t n)
{
	c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (c->seed >> 33) % n;
}

static uint64_t some_mfn(struct cpu *c)
{
	return READ_ONCE(pool_mfn[rnd(c, POOL)]);
}

/* Mostly one of the pool; else a special page, the kernel's own, or nonsense. */
static uint64_t any_mfn(struct cpu *c)
{
	switch (rnd(c, 24)) {
	case 1:
		return start_info->store_mfn;
	case 2:
		return grant_mfn[rnd(c, ARRAY_SIZE(grant_mfn))];
	case 3:
		return kernel_l4_mfn;
	case 4:
		return rnd(c, 1u << 17);
	case 5:
		return random_number();
	default:
		return some_mfn(c);
	}
}

/* The same, and the page that must not be written to: the upcall masks are there. */
static uint64_t any_place(struct cpu *c)
{
	return rnd(c, 24) ? any_mfn(c) : start_info->shared_info / PAGE_SIZE;
}

/* An address, mapped or not, that may also lie across two pages. */
static uint64_t some_va(struct cpu *c)
{
	uint64_t page = rnd(c, 2) ? window + rnd(c, WINDOW) * PAGE_SIZE : (uint64_t)pool[rnd(c, POOL)];

	switch (rnd(c, 8)) {
	case 0:
		return random_number();
	case 1:
		return page + PAGE_SIZE - rnd(c, 64);
	case 2:
		return page + rnd(c, PAGE_SIZE);
	default:
		return page + rnd(c, PAGE_SIZE / 8) * 8;
	}
}

/* Arguments of a call lie in a page of its own, or where they may go away meanwhile. */
static void *place(struct cpu *c)
{
	return rnd(c, 8) ? c->args : pool[rnd(c, POOL)];
}

/* A store that may fault is none: only the pages of its own. */
static void *own(struct cpu *c, size_t n)
{
	return memset(c->args, 0, n);
}

static uint32_t some_port(struct cpu *c)
{
	return rnd(c, 32) ? (uint32_t)rnd(c, PORTS) : (uint32_t)random_number();
}

static uint32_t some_cpu(struct cpu *c)
{
	return rnd(c, 16) ? (uint32_t)rnd(c, nr_cpus) : (uint32_t)random_number();
}

/* System time by the record as it was at the start: the one in shared_info is written to by everybody here. */
static uint64_t now(void)
{
	uint64_t delta = rdtsc() - clock_then.tsc_timestamp;

	delta = clock_then.tsc_shift < 0 ? delta >> -clock_then.tsc_shift : delta << clock_then.tsc_shift;
	return clock_then.system_time + (uint64_t)((u128)delta * clock_then.tsc_to_system_mul >> 32);
}

/* ---- memory ---- */

static long mapping(struct cpu *c)
{
	unsigned i = (unsigned)rnd(c, POOL);
	uint64_t flags = PTE_LEAF | (rnd(c, 3) ? PTE_RW : 0);

	if (rnd(c, 3))
		return hc_update_va_mapping((uint64_t)pool[i], READ_ONCE(pool_mfn[i]) * PAGE_SIZE | flags,
					    rnd(c, 4) ? UVMF_INVLPG : UVMF_TLB_FLUSH | UVMF_ALL);
	return hc_update_va_mapping(window + rnd(c, WINDOW) * PAGE_SIZE, rnd(c, 4) ? any_mfn(c) * PAGE_SIZE | flags : 0,
				    rnd(c, 2) ? 0 : UVMF_INVLPG | UVMF_ALL);
}

static long types(struct cpu *c)
{
	static const unsigned cmds[] = { MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L4_TABLE,
					 MMUEXT_UNPIN_TABLE, MMUEXT_UNPIN_TABLE, MMUEXT_UNPIN_TABLE, MMUEXT_CLEAR_PAGE,
					 MMUEXT_COPY_PAGE, MMUEXT_NEW_USER_BASEPTR, MMUEXT_SET_LDT, MMUEXT_INVLPG_ALL,
					 MMUEXT_TLB_FLUSH_MULTI, MMUEXT_FLUSH_CACHE };
	unsigned cmd = cmds[rnd(c, ARRAY_SIZE(cmds))];

	switch (cmd) {
	case MMUEXT_SET_LDT:
		return mmuext(cmd, rnd(c, 8) ? some_va(c) & ~(PAGE_SIZE - 1) : random_number(),
			      rnd(c, 8) ? rnd(c, 8193) : random_number());
	case MMUEXT_COPY_PAGE:
		return mmuext(cmd, some_mfn(c), any_mfn(c));
	case MMUEXT_TLB_FLUSH_MULTI:
		return mmuext(cmd, some_va(c), some_va(c));
	case MMUEXT_INVLPG_ALL:
		return mmuext(cmd, some_va(c), 0);
	case MMUEXT_CLEAR_PAGE:
		return mmuext(cmd, some_mfn(c), 0);
	default:
		/* What is not the pool's keeps this kernel alive. */
		return mmuext(cmd, cmd == MMUEXT_UNPIN_TABLE ? some_mfn(c) : any_place(c), 0);
	}
}

static long entry(struct cpu *c)
{
	mmu_update_t *u = own(c, 64);
	unsigned done, n = 1 + (unsigned)rnd(c, 3);

	for (unsigned i = 0; i < n; i++) {
		u[i].ptr = some_mfn(c) * PAGE_SIZE + rnd(c, 512) * 8 + rnd(c, 5);
		u[i].val = rnd(c, 4) ? (any_mfn(c) * PAGE_SIZE | PTE_LEAF | rnd(c, 4) << 1) : random_number();
	}
	return hc_mmu_update(u, rnd(c, 32) ? n : (unsigned)random_number(), rnd(c, 8) ? &done : (void *)some_va(c));
}

/* Away with it, perhaps while something is placed there, and another one instead. */
static long balloon(struct cpu *c)
{
	unsigned i = (unsigned)rnd(c, POOL);
	struct xen_memory_reservation *r = own(c, 1024);
	struct xen_memory_exchange *x = (void *)r;
	uint64_t *list = c->args + 64;

	list[0] = READ_ONCE(pool_mfn[i]);
	list[1] = random_number();
	switch (rnd(c, 6)) {
	case 0:
		x->in.nr_extents = x->out.nr_extents = 1;
		x->in.domid = x->out.domid = DOMID_SELF;
		x->in.extent_start.p = (void *)list;
		x->out.extent_start.p = (void *)(list + 1);
		if (HC2(memory_op, XENMEM_exchange, x))
			return -1;
		READ_ONCE(pool_mfn[i]) = list[1];
		return 0;
	case 1:
		/* Sizes that nobody has. */
		x->in.nr_extents = random_number();
		x->in.extent_order = (unsigned)rnd(c, 12);
		x->out.nr_extents = rnd(c, 2) ? x->in.nr_extents : random_number();
		x->out.extent_order = rnd(c, 2) ? x->in.extent_order : (unsigned)random_number();
		x->nr_exchanged = rnd(c, 2) ? 0 : random_number();
		x->in.domid = x->out.domid = DOMID_SELF;
		x->in.extent_start.p = (void *)list;
		x->out.extent_start.p = (void *)some_va(c);
		return HC2(memory_op, XENMEM_exchange, x);
	case 2:
		r->nr_extents = random_number();
		r->extent_order = (unsigned)rnd(c, 12);
		r->domid = (domid_t)(rnd(c, 4) ? DOMID_SELF : random_number());
		r->mem_flags = (unsigned)(rnd(c, 2) ? random_number() : 0);
		r->extent_start.p = (void *)(c->args + 1000); /* its end is near */
		memset(c->args + 768, 0xff, 2048);
		return HC2(memory_op, XENMEM_decrease_reservation | (rnd(c, 2) ? 0 : random_number() << 6), r);
	default:
		break;
	}
	r->nr_extents = 1;
	r->domid = DOMID_SELF;
	r->extent_start.p = (void *)list;
	if (HC2(memory_op, XENMEM_decrease_reservation, r) != 1)
		return -1;
	list[0] = 1;
	if (HC2(memory_op, XENMEM_populate_physmap, r) == 1)
		READ_ONCE(pool_mfn[i]) = list[0];
	return 0;
}

static long descriptors(struct cpu *c)
{
	uint64_t *list = own(c, 256);

	if (rnd(c, 2))
		return HC2(update_descriptor, any_mfn(c) * PAGE_SIZE + rnd(c, 512) * 8,
			   rnd(c, 2) ? UINT64_C(0x00cff3000000ffff) : random_number());
	for (unsigned i = 0; i < 16; i++)
		list[i] = any_place(c);
	return HC2(set_gdt, rnd(c, 8) ? (uint64_t)list : some_va(c), rnd(c, 8) ? rnd(c, 1200) : random_number());
}

static long grants(struct cpu *c)
{
	struct gnttab_setup_table *s = own(c, 512);
	uint64_t *list = c->args + 64;

	switch (rnd(c, 4)) {
	case 0:
		*(uint32_t *)s = 1 + (uint32_t)rnd(c, 2);
		return HC3(grant_table_op, GNTTABOP_set_version, s, 1);
	case 1:
		/* A long list writes to all that is behind its beginning: behind the window is nothing. */
		return rnd(c, 2) ? HC3(grant_table_op, rnd(c, 14), place(c), rnd(c, 64)) :
				   HC3(grant_table_op, rnd(c, 14), window + (WINDOW - 2) * PAGE_SIZE, random_number());
	default:
		s->dom = DOMID_SELF;
		s->nr_frames = rnd(c, 8) ? 1 + (uint32_t)rnd(c, 8) : (uint32_t)random_number();
		s->frame_list.p = (void *)list;
		if (HC3(grant_table_op, GNTTABOP_setup_table, s, 1) || s->status || s->nr_frames - 1 >= 8)
			return -1;
		grant_mfn[rnd(c, ARRAY_SIZE(grant_mfn))] = list[rnd(c, s->nr_frames)];
		return 0;
	}
}

/* ---- records and virtual CPUs ---- */

/* Far more ways to be wrong than right; where it goes wrong is what differs. */
static long context(struct cpu *c)
{
	struct vcpu_guest_context *ctx = own(c, sizeof(*ctx));

	ctx->user_regs.rip = rnd(c, 8) ? (uint64_t)guest_main : random_number();
	ctx->user_regs.cs = (uint16_t)rnd(c, 65536);
	ctx->user_regs.ss = (uint16_t)rnd(c, 65536);
	ctx->user_regs.rflags = random_number();
	ctx->flags = (unsigned)rnd(c, 8) << 2; /* never VGCF_online */
	for (unsigned i = 0; i < 256; i += 1 + (unsigned)rnd(c, 64))
		ctx->trap_ctxt[i].address = rnd(c, 16) ? (uint64_t)guest_main : random_number();
	ctx->gdt_ents = rnd(c, 4) ? rnd(c, 1100) : random_number();
	for (unsigned i = 0; i < 16; i++)
		ctx->gdt_frames[i] = any_place(c);
	ctx->ldt_base = some_va(c) & ~(PAGE_SIZE - 1);
	ctx->ldt_ents = rnd(c, 8) ? rnd(c, 8193) : random_number();
	for (unsigned i = 0; i < 8; i++)
		ctx->debugreg[i] = random_number();
	ctx->ctrlreg[3] = (rnd(c, 2) ? kernel_l4_mfn : any_mfn(c)) * PAGE_SIZE;
	/* This is no top-level table for ever, so the context is refused. */
	ctx->ctrlreg[1] = start_info->shared_info & ~(PAGE_SIZE - 1);
	memset(&ctx->fpu_ctxt, (int)rnd(c, 256), sizeof(ctx->fpu_ctxt));
	return HC3(vcpu_op, VCPUOP_initialise, victim, ctx);
}

static long records(struct cpu *c)
{
	struct vcpu_register_vcpu_info *info = own(c, 64);
	uint64_t *area = (void *)info;

	switch (rnd(c, 6)) {
	case 0:
		/* Not its own: this kernel looks for that of the first in shared_info. */
		info->mfn = any_place(c);
		info->offset = rnd(c, 4) ? (uint32_t)rnd(c, 512) * 8 : (uint32_t)random_number();
		return HC3(vcpu_op, VCPUOP_register_vcpu_info, c->id && !rnd(c, 16) ? c->id : victim, info);
	case 1:
	case 2:
		*area = rnd(c, 8) ? some_va(c) : 0;
		return HC3(vcpu_op, VCPUOP_register_runstate_memory_area, some_cpu(c), area);
	case 3:
	case 4:
		*area = rnd(c, 8) ? some_va(c) : 0;
		return HC3(vcpu_op, VCPUOP_register_vcpu_time_memory_area, some_cpu(c), area);
	default:
		return HC3(vcpu_op, VCPUOP_get_runstate_info, some_cpu(c), some_va(c));
	}
}

static long vcpus(struct cpu *c)
{
	unsigned other = some_cpu(c);

	switch (rnd(c, 6)) {
	case 0:
		return c->id ? HC3(vcpu_op, VCPUOP_down, c->id, 0) : -1;
	case 1:
		return HC2(vm_assist, rnd(c, 2), rnd(c, 4) ? rnd(c, 8) : random_number());
	case 2:
		return HC3(vcpu_op, rnd(c, 2) ? VCPUOP_stop_periodic_timer : VCPUOP_stop_singleshot_timer, other, 0);
	default:
		return HC3(vcpu_op, VCPUOP_up, other == victim ? 0 : other, 0);
	}
}

/* ---- time ---- */

static long timers(struct cpu *c)
{
	struct vcpu_set_singleshot_timer *op = own(c, 64);

	switch (rnd(c, 4)) {
	case 0:
		op->timeout_abs_ns = rnd(c, 2) ? random_number() : now() + rnd(c, 3000000);
		op->flags = (uint32_t)rnd(c, 4);
		return HC3(vcpu_op, VCPUOP_set_singleshot_timer, c->id, op);
	case 1:
		c->args[0] = rnd(c, 2) ? random_number() : 1000000 + rnd(c, 4000000);
		return HC3(vcpu_op, VCPUOP_set_periodic_timer, some_cpu(c), op);
	default:
		return HC1(set_timer_op, rnd(c, 2) ? random_number() : now() + rnd(c, 3000000));
	}
}

static long polls(struct cpu *c)
{
	struct sched_poll *poll = own(c, 1024);
	uint32_t *ports = (void *)(c->args + 16);
	unsigned n = (unsigned)rnd(c, 8) ? (unsigned)rnd(c, 4) : (unsigned)rnd(c, 200);

	for (unsigned i = 0; i < 200; i++)
		ports[i] = rnd(c, 64) ? (uint32_t)rnd(c, PORTS) : (uint32_t)random_number();
	poll->ports.p = rnd(c, 16) ? ports : (void *)some_va(c);
	poll->nr_ports = rnd(c, 16) ? n : (unsigned)random_number();
	poll->timeout = now() + (rnd(c, 4) ? rnd(c, 500000) : 0);
	return hc_sched_op(SCHEDOP_poll, poll);
}

/* ---- events ---- */

static long events(struct cpu *c)
{
	union {
		struct evtchn_bind_ipi ipi;
		struct evtchn_bind_virq virq;
		struct evtchn_bind_vcpu move;
		struct evtchn_alloc_unbound unbound;
		struct evtchn_bind_interdomain inter;
		struct evtchn_init_control init;
		struct evtchn_expand_array expand;
		struct evtchn_set_priority priority;
		struct evtchn_status status;
		struct evtchn_reset reset;
		evtchn_port_t port;
	} *op = own(c, 256);

	switch (rnd(c, 16)) {
	case 0:
		op->ipi.vcpu = some_cpu(c);
		return hc_event_channel_op(EVTCHNOP_bind_ipi, op);
	case 1:
		op->virq.virq = rnd(c, 8) ? (uint32_t)rnd(c, 24) : (uint32_t)random_number();
		op->virq.vcpu = some_cpu(c);
		return hc_event_channel_op(EVTCHNOP_bind_virq, op);
	case 2:
		op->unbound.dom = op->unbound.remote_dom = DOMID_SELF;
		return hc_event_channel_op(EVTCHNOP_alloc_unbound, op);
	case 3:
		op->inter.remote_dom = DOMID_SELF;
		op->inter.remote_port = some_port(c);
		return hc_event_channel_op(EVTCHNOP_bind_interdomain, op);
	case 4:
		op->move.port = some_port(c);
		op->move.vcpu = some_cpu(c);
		return hc_event_channel_op(EVTCHNOP_bind_vcpu, op);
	case 5:
		op->port = some_port(c);
		/* That of the store has a use here until the end. */
		if (op->port == start_info->store_evtchn && rnd(c, 64))
			return -1;
		return hc_event_channel_op(EVTCHNOP_close, op);
	case 6:
		op->init.control_gfn = any_place(c);
		op->init.offset = (uint32_t)rnd(c, 512) * 8;
		op->init.vcpu = some_cpu(c);
		return rnd(c, 4) ? -1 : hc_event_channel_op(EVTCHNOP_init_control, op);
	case 7:
		op->expand.array_gfn = any_place(c);
		return hc_event_channel_op(EVTCHNOP_expand_array, op);
	case 8:
		op->priority.port = some_port(c);
		op->priority.priority = (uint32_t)rnd(c, 18);
		return hc_event_channel_op(EVTCHNOP_set_priority, op);
	case 9:
		op->status.dom = DOMID_SELF;
		op->status.port = some_port(c);
		return hc_event_channel_op(EVTCHNOP_status, op);
	case 10:
		op->reset.dom = DOMID_SELF;
		return rnd(c, 256) ? -1 : hc_event_channel_op(EVTCHNOP_reset, op);
	case 11:
		op->port = some_port(c);
		return hc_event_channel_op(EVTCHNOP_unmask, op);
	default:
		op->port = some_port(c);
		return hc_event_channel_op(EVTCHNOP_send, op);
	}
}

/* ---- the store ---- */

static const char *some_name(struct cpu *c)
{
	static const char *const names[] = { "data", "data/a", "data/a/b", "data/b", "/", "/local", "/local/domain",
					     "control/shutdown", "memory/target", "@releaseDomain", "data/../x", "" };

	return names[rnd(c, ARRAY_SIZE(names))];
}

/* A request that is nearly always well-formed, straight into the ring, whoever else is at it. */
static void request(struct cpu *c)
{
	struct xsd_sockmsg h = { .type = (uint32_t)rnd(c, 24), .tx_id = rnd(c, 2) ? 0 : (uint32_t)rnd(c, 12) };
	const char *name = some_name(c);
	uint32_t n = (uint32_t)strlen(name) + 1, at = READ_ONCE(store->req_prod);
	char bytes[96];

	memcpy(bytes + sizeof(h), name, n);
	if (h.type == XS_TRANSACTION_END) {
		memcpy(bytes + sizeof(h), rnd(c, 2) ? "T" : "F", 2);
		n = 2;
	} else if (rnd(c, 2)) {
		uint32_t more = (uint32_t)rnd(c, 16);

		memset(bytes + sizeof(h) + n, 'a' + (int)rnd(c, 26), more + 1);
		n += more;
		if (h.type == XS_WATCH || h.type == XS_UNWATCH)
			bytes[sizeof(h) + n - 1] = 0;
	}
	h.len = rnd(c, 256) ? n : (uint32_t)random_number();
	memcpy(bytes, &h, sizeof(h));
	for (uint32_t i = 0; i < sizeof(h) + n; i++)
		store->req[(at + i) & (XENSTORE_RING_SIZE - 1)] = bytes[i];
	__atomic_store_n(&store->req_prod, at + (uint32_t)sizeof(h) + n, __ATOMIC_SEQ_CST);
}

static long stores(struct cpu *c)
{
	evtchn_port_t *port = own(c, 64);

	switch (rnd(c, 16)) {
	case 0:
		/* An index of nonsense: whoever speaks so is not listened to until he starts anew. */
		if (!rnd(c, 8))
			__atomic_store_n(&store->rsp_cons, (uint32_t)random_number(), __ATOMIC_SEQ_CST);
		if (!rnd(c, 8))
			__atomic_store_n(&store->req_prod, (uint32_t)random_number(), __ATOMIC_SEQ_CST);
		break;
	case 1:
		if (READ_ONCE(store->error))
			__atomic_store_n(&store->connection, XENSTORE_RECONNECT, __ATOMIC_SEQ_CST);
		break;
	default:
		for (uint64_t n = rnd(c, 4); n; n--)
			request(c);
		/* Nobody reads the answers, but sometimes they are gone. */
		if (rnd(c, 4))
			__atomic_store_n(&store->rsp_cons, READ_ONCE(store->rsp_prod), __ATOMIC_SEQ_CST);
	}
	*port = start_info->store_evtchn;
	return hc_event_channel_op(EVTCHNOP_send, port);
}

/* ---- the rest ---- */

static long registers(struct cpu *c)
{
	switch (rnd(c, 5)) {
	case 0:
		return HC2(set_debugreg, rnd(c, 9), random_number());
	case 1:
		return HC1(get_debugreg, rnd(c, 9));
	case 2:
		return HC2(set_segment_base, rnd(c, 2) ? SEGBASE_GS_USER_SEL : SEGBASE_GS_USER, random_number());
	case 3:
		return HC1(fpu_taskswitch, 0);
	default:
		return HC2(xen_version, rnd(c, 16), place(c));
	}
}

static long written(struct cpu *c)
{
	return HC3(console_io, rnd(c, 4) ? CONSOLEIO_read : rnd(c, 8) + 2, random_number(), some_va(c));
}

/* Lists that lie where the calls in them change what is there. */
static long several(struct cpu *c)
{
	multicall_entry_t *m = own(c, 2048);
	unsigned n = 1 + (unsigned)rnd(c, 12);

	for (unsigned i = 0; i < n; i++) {
		switch (rnd(c, 6)) {
		case 0:
			m[i].op = __HYPERVISOR_multicall;
			m[i].args[0] = (uint64_t)m;
			m[i].args[1] = n;
			break;
		case 1:
			m[i].op = __HYPERVISOR_update_va_mapping;
			m[i].args[0] = (uint64_t)pool[rnd(c, POOL)];
			m[i].args[1] = any_mfn(c) * PAGE_SIZE | PTE_LEAF | rnd(c, 2) << 1;
			m[i].args[2] = UVMF_INVLPG | UVMF_ALL;
			break;
		case 2:
			m[i].op = __HYPERVISOR_sched_op;
			m[i].args[0] = SCHEDOP_yield;
			break;
		case 3:
			m[i].op = __HYPERVISOR_xen_version;
			m[i].args[0] = XENVER_capabilities;
			m[i].args[1] = (uint64_t)m; /* over the list itself */
			break;
		case 4:
			m[i].op = __HYPERVISOR_update_descriptor;
			m[i].args[0] = some_mfn(c) * PAGE_SIZE;
			break;
		default:
			m[i].op = 64 + rnd(c, 1000);
		}
	}
	return HC2(multicall, rnd(c, 16) ? (uint64_t)m : some_va(c), n);
}

static void work(struct cpu *c)
{
	static long (*const deeds[])(struct cpu *c) = { mapping, mapping, types, types, types, entry, entry, balloon, descriptors,
							grants, context, records, records, vcpus, timers, polls, events, events,
							events, stores, stores, registers, written, several };

	for (uint64_t i = 0; i < rounds; i++) {
		if (deeds[rnd(c, ARRAY_SIZE(deeds))](c) < 0)
			c->refused++;
		else
			c->done++;
	}
	__atomic_store_n(&c->finished, true, __ATOMIC_RELEASE);
}

/* An upcall, when somebody wrote to the mask: it goes on with the mask set. */
void storm_upcall(void);
__asm__(".text\n"
	"storm_upcall:\n\t"
	"andq $~0x200, 32(%rsp)\n\t"
	"pop %rcx\n\t"
	"pop %r11\n\t"
	"push $0\n\t"
	"push %rcx\n\t"
	"push %r11\n\t"
	"push %rax\n\t"
	"mov $23, %eax\n\t" /* iret */
	"syscall\n");

static void __attribute__((noreturn)) secondary(unsigned cpu)
{
	struct callback_register upcall = { .type = CALLBACKTYPE_event, .address = (uint64_t)storm_upcall };

	HC2(callback_op, CALLBACKOP_register, &upcall);
	work(&cpus[cpu]);
	for (;;)
		HC3(vcpu_op, VCPUOP_down, cpu, 0);
}

static void prepare(uint64_t seed)
{
	window = va_reserve(WINDOW);
	clock_then = vcpu_info(0)->time;
	store = mfn_to_virt(start_info->store_mfn);
	for (unsigned i = 0; i < POOL; i++) {
		pool[i] = page_alloc();
		pool_mfn[i] = virt_to_mfn(pool[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(grant_mfn); i++)
		grant_mfn[i] = pool_mfn[i];
	for (unsigned i = 0; i < nr_cpus; i++) {
		cpus[i].id = i;
		cpus[i].seed = seed * 0x9e3779b9 + i;
		cpus[i].args = page_alloc();
		page_alloc(); /* a context is larger than a page */
	}
}

void guest_main(void)
{
	uint64_t done = 0, refused = 0, seed = told_number("seed=", 1);

	nr_cpus = vcpu_possible();
	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	victim = nr_cpus > 1 ? --nr_cpus : 1;
	rounds = told_number("rounds=", 800);
	printf("# seed=%lu rounds=%lu\n", seed, rounds);
	prepare(seed);
	for (unsigned i = 1; i < nr_cpus; i++)
		if (vcpu_prepare(i, secondary) || HC3(vcpu_op, VCPUOP_up, i, 0))
			panic("virtual CPU %u does not come up", i);
	event_manual = true;
	upcalls_on(); /* a reason to leave a long hypercall */
	work(&cpus[0]);
	for (unsigned i = 1; i < nr_cpus; i++) {
		while (!__atomic_load_n(&cpus[i].finished, __ATOMIC_ACQUIRE)) {
			HC3(vcpu_op, VCPUOP_up, i, 0);
			HC2(sched_op, SCHEDOP_yield, 0);
		}
	}
	upcalls_off();
	for (unsigned i = 0; i < nr_cpus; i++) {
		done += cpus[i].done;
		refused += cpus[i].refused;
	}
	check(done && refused, "random hypercalls of all virtual CPUs are done or refused", "%lu done, %lu refused", done, refused);
	printf("# %lu done, %lu refused, %u virtual CPUs\n", done, refused, nr_cpus);
}
