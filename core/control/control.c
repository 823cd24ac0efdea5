/* SPDX-License-Identifier: MIT */
/*
 * control.c - what a person may ask of a domain that is there: wishes, settings, questions
 *
 * A wish is a node in the domain's store; whether and when its kernel fulfils it is the kernel's
 * affair. A setting is checked wholly, then made. Neither knows any policy.
 */
#include <xenopus/control.h>
#include <xenopus/cpu.h>
#include <xenopus/domain.h>
#include <xenopus/io.h>
#include <xen/vcpu.h>

#define KIB_PER_PAGE (PAGE_SIZE / 1024)

static int write_node(struct domain *d, const char *node, const char *value)
{
	char path[96];

	xsnprintf(path, sizeof(path), "/local/domain/%u/%s", d->id, node);
	return store_write(path, value);
}

static int write_kib(struct domain *d, const char *node, uint64_t pages)
{
	char value[24];

	xsnprintf(value, sizeof(value), "%llu", (unsigned long long)(pages * KIB_PER_PAGE));
	return write_node(d, node, value);
}

int domain_shutdown_request(struct domain *d, const char *what)
{
	return write_node(d, "control/shutdown", what);
}

int domain_sysrq(struct domain *d, char key)
{
	const char value[] = { key, '\0' };

	return write_node(d, "control/sysrq", value);
}

int domain_set_target(struct domain *d, uint64_t pages)
{
	uint64_t now, max;

	if (!pages)
		return -XEN_EINVAL;
	mm_reservation(d, &now, &max);
	if (pages > max)
		return -XEN_E2BIG;
	return write_kib(d, "memory/target", pages);
}

int domain_set_online(struct domain *d, unsigned n)
{
	char node[32];
	int rc = 0;

	if (!n || n > d->max_vcpus)
		return -XEN_EINVAL;
	for (unsigned i = 0; i < d->max_vcpus && !rc; i++) {
		xsnprintf(node, sizeof(node), "cpu/%u/availability", i);
		rc = write_node(d, node, i < n ? "online" : "offline");
	}
	return rc;
}

int domain_rename(struct domain *d, const char *name)
{
	char path[64] = "", node[72];
	int rc;

	if (!*name || xstrlen(name) >= sizeof(d->name))
		return -XEN_EINVAL;
	xsnprintf(node, sizeof(node), "/local/domain/%u/vm", d->id);
	rc = store_read(node, path, sizeof(path));
	if (!rc)
		rc = write_node(d, "name", name);
	if (rc)
		return rc;
	xsnprintf(node, sizeof(node), "%s/name", path);
	store_write(node, name);
	xstrlcpy(d->name, name, sizeof(d->name));
	return 0;
}

int domain_set_max(struct domain *d, uint64_t pages)
{
	int rc;

	if (!pages)
		return -XEN_EINVAL;
	rc = write_kib(d, "memory/static-max", pages);
	if (!rc)
		mm_set_max(d, pages);
	return rc;
}

int domain_nmi(struct domain *d, unsigned id)
{
	struct vcpu *v = id < d->max_vcpus ? d->vcpu[id] : NULL;

	if (!v || !v->initialised)
		return -XEN_ENOENT;
	v->arch.nmi_pending = true;
	vcpu_attention(v);
	return 0;
}

static enum vcpu_doing doing(const struct vcpu *v)
{
	uint32_t flags = __atomic_load_n(&v->sched.pause_flags, __ATOMIC_ACQUIRE);

	if (flags & VPF_DEAD)
		return VCPU_DEAD;
	if (flags & VPF_DOWN)
		return VCPU_OFFLINE;
	if (flags & VPF_PAUSED)
		return VCPU_PAUSED;
	if (flags & VPF_BLOCKED)
		return VCPU_BLOCKED;
	return __atomic_load_n(&v->sched.running, __ATOMIC_SEQ_CST) ? VCPU_RUNS : VCPU_READY;
}

bool vcpu_get_status(const struct domain *d, unsigned id, struct vcpu_status *out)
{
	const struct vcpu *v = id < d->max_vcpus ? d->vcpu[id] : NULL;
	struct vcpu_runstate_info runstate;
	struct domain_stats st;

	if (!v)
		return false;
	time_get_runstate(v, &runstate);
	stats_read_vcpu(v, &st);
	*out = (struct vcpu_status){
		.doing = doing(v),
		.pcpu = sched_pcpu(v),
		.cpu_ns = runstate.time[RUNSTATE_running],
		.waited_ns = runstate.time[RUNSTATE_runnable],
		.affinity = READ_ONCE(v->sched.affinity) & cpu_all(),
		.hypercalls = stats_hypercalls(&st),
		.exits = stats_exits(&st),
	};
	return true;
}

static uint64_t target_of(const struct domain *d, uint64_t pages)
{
	char path[64], text[24];
	uint64_t kib = 0;

	xsnprintf(path, sizeof(path), "/local/domain/%u/memory/target", d->id);
	if (store_read(path, text, sizeof(text)))
		return pages;
	for (const char *c = text; *c >= '0' && *c <= '9'; c++)
		kib = kib * 10 + (uint64_t)(*c - '0');
	return kib / KIB_PER_PAGE;
}

void domain_get_status(struct domain *d, struct domain_status *out)
{
	struct vcpu_status v;

	*out = (struct domain_status){ .blocked = true };
	mm_reservation(d, &out->pages, &out->max_pages);
	out->target = target_of(d, out->pages);
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		if (!vcpu_get_status(d, i, &v))
			continue;
		out->cpu_ns += v.cpu_ns;
		out->hypercalls += v.hypercalls;
		out->exits += v.exits;
		out->online += v.doing != VCPU_OFFLINE;
		out->running |= v.doing == VCPU_RUNS;
		out->paused |= v.doing == VCPU_PAUSED;
		if (v.doing != VCPU_BLOCKED && v.doing != VCPU_OFFLINE)
			out->blocked = false;
	}
}
