/* SPDX-License-Identifier: MIT */
/*
 * What people set: weights, warps and caps. See struct sched_params for what they mean.
 */
#include <xenopus/control.h>
#include "policy.h"

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(error, size, fmt, ap);
	va_end(ap);
	return -XEN_EINVAL;
}

static int too_long(const char *what, uint64_t ns, char *error, size_t size)
{
	return refuse(error, size, "%s of %lu us is too long: at most %lu", what, (unsigned long)(ns / 1000),
		      (unsigned long)(SCHED_WARP_MAX_NS / 1000));
}

static int check(const struct sched_params *p, char *error, size_t size)
{
	if (!p->weight || p->weight > SCHED_WEIGHT_MAX)
		return refuse(error, size, "weight %u is out of range: 1 to %u, %u is usual", p->weight,
			      SCHED_WEIGHT_MAX, SCHED_WEIGHT_DEFAULT);
	if (p->warp_ns > SCHED_WARP_MAX_NS)
		return too_long("warp", p->warp_ns, error, size);
	if (p->warp_limit_ns > SCHED_WARP_MAX_NS)
		return too_long("warp limit", p->warp_limit_ns, error, size);
	if (p->unwarp_ns > SCHED_WARP_MAX_NS)
		return too_long("unwarp time", p->unwarp_ns, error, size);
	return 0;
}

/* The virtual CPU that @vcpu means when one is to be looked at. */
static struct vcpu *find(const struct domain *d, int vcpu)
{
	unsigned id = vcpu == SCHED_ALL_VCPUS ? 0 : (unsigned)vcpu;

	return id < d->max_vcpus && id < MAX_VCPUS ? d->vcpu[id] : NULL;
}

int sched_get_params(const struct domain *d, int vcpu, struct sched_params *p)
{
	const struct vcpu *v = find(d, vcpu);
	struct run_queue *q;

	if (!v)
		return -XEN_ENOENT;
	q = queue_lock_vcpu(v);
	*p = v->sched.params;
	queue_unlock(q);
	return 0;
}

static void retune(struct vcpu *v, const struct sched_params *p)
{
	struct run_queue *q = queue_lock_vcpu(v);
	/* What it has run so far counts as before. */
	uint64_t now = queue_account(q);

	v->sched.params = *p;
	sched_policy->retune(q, v, now);
	if (v->sched.queued)
		queue_decide(q);
	queue_unlock(q);
}

int sched_set_params(struct domain *d, int vcpu, const struct sched_params *p, char *error, size_t error_size)
{
	int rc = check(p, error, error_size);

	if (rc)
		return rc;
	if (!find(d, vcpu)) {
		refuse(error, error_size, "domain %u has no virtual CPU %d", d->id, vcpu);
		return -XEN_ENOENT;
	}
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && (vcpu == SCHED_ALL_VCPUS || (unsigned)vcpu == i))
			retune(d->vcpu[i], p);
	return 0;
}

int sched_pin(struct domain *d, int vcpu, uint64_t pcpus)
{
	int rc = -XEN_ENOENT;

	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i] && (vcpu == SCHED_ALL_VCPUS || (unsigned)vcpu == i))
			rc = sched_set_affinity(d->vcpu[i], pcpus);
	return rc;
}

unsigned sched_get_cap(const struct domain *d)
{
	return READ_ONCE(d->sched.cap);
}

int sched_set_cap(struct domain *d, unsigned percent, char *error, size_t error_size)
{
	if (percent > SCHED_CAP_MAX)
		return refuse(error, error_size, "cap %u is out of range: percent of a CPU, up to %u, 0 for none",
			      percent, SCHED_CAP_MAX);
	cap_set(d, percent);
	return 0;
}
