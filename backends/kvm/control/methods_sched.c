/* SPDX-License-Identifier: MIT */
/* The methods about who runs where and how much: affinity, weights, warps, caps. */
#include <string.h>

#include <xenopus/words.h>
#include "../machine.h"
#include "methods.h"

struct pinning {
	int vcpu; /* or SCHED_ALL_VCPUS */
	uint64_t cpus;
	int rc;
};

static void pin_in_core(struct domain *d, void *data)
{
	struct pinning *p = data;

	p->rc = sched_pin(d, p->vcpu, p->cpus);
}

void method_pin(struct request *rq, JsonObject *params)
{
	struct pinning p = { .vcpu = SCHED_ALL_VCPUS };
	gint64 vcpu = SCHED_ALL_VCPUS;
	const char *cpus;
	struct guest *g;
	const struct param table[] = { { "domain", PARAM_DOMAIN, true, &g, 0, 0 },
				       { "vcpu", PARAM_INT, false, &vcpu, 0, MAX_VCPUS - 1 },
				       { "cpus", PARAM_STRING, true, &cpus, 0, 256 },
				       { NULL, PARAM_STRING, false, NULL, 0, 0 } };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	p.vcpu = (int)vcpu;
	if (!words_cpus(cpus, &p.cpus)) {
		rpc_error(rq, RPC_PARAMS,
			  "cpus of \"%s\": give numbers and ranges, as in 0-2,5, or all", cpus);
		return;
	}
	guest_with(g, pin_in_core, &p);
	if (p.rc == -XEN_ENOENT)
		rpc_error(rq, RPC_FAILED, "domain %s has no virtual CPU %d", g->name, p.vcpu);
	else if (p.rc)
		rpc_error(rq, RPC_FAILED,
			  "this machine has none of the physical CPUs %s: it has 0 to %u", cpus,
			  plat_info()->pcpus - 1);
	else
		rpc_done(rq);
}

struct scheduling {
	int vcpu;
	struct sched_params p;
	unsigned cap;
	bool set, set_cap;
	int rc;
	char error[160];
};

static void get_in_core(struct domain *d, void *data)
{
	struct scheduling *s = data;

	s->rc = sched_get_params(d, s->vcpu, &s->p);
	s->cap = sched_get_cap(d);
}

static void set_in_core(struct domain *d, void *data)
{
	struct scheduling *s = data;

	if (s->set)
		s->rc = sched_set_params(d, s->vcpu, &s->p, s->error, sizeof(s->error));
	if (!s->rc && s->set_cap)
		s->rc = sched_set_cap(d, s->cap, s->error, sizeof(s->error));
}

static void add_int(JsonBuilder *b, const char *name, uint64_t value)
{
	json_builder_set_member_name(b, name);
	json_builder_add_int_value(b, (gint64)value);
}

/* Has this machine the scheduler that is meant, or is none meant? False after an answer. */
static bool right_scheduler(struct request *rq, const char *scheduler)
{
	char why[160];

	if (!scheduler || words_scheduler(scheduler, why, sizeof(why)))
		return true;
	rpc_error(rq, RPC_FAILED, "%s", why);
	return false;
}

void method_scheduling(struct request *rq, JsonObject *params)
{
	g_autoptr(JsonBuilder) b = NULL;
	const char *scheduler = NULL;
	struct guest *only = NULL;
	const struct param table[] = { { "domain", PARAM_DOMAIN, false, &only, 0, 0 },
				       { "scheduler", PARAM_STRING, false, &scheduler, 0, 16 },
				       { NULL, PARAM_STRING, false, NULL, 0, 0 } };

	if (!params_take(rq, params, table) || !right_scheduler(rq, scheduler))
		return;
	b = json_builder_new();
	json_builder_begin_array(b);
	for (guint i = 0; i < guests->len; i++) {
		struct guest *g = g_ptr_array_index(guests, i);
		struct scheduling s = { .vcpu = SCHED_ALL_VCPUS, .rc = -XEN_ENOENT };

		if (only && only != g)
			continue;
		guest_with(g, get_in_core, &s);
		if (s.rc)
			continue;
		json_builder_begin_object(b);
		add_int(b, "id", g->id);
		json_builder_set_member_name(b, "name");
		json_builder_add_string_value(b, g->name);
		add_int(b, "weight", s.p.weight);
		json_builder_set_member_name(b, "warp");
		json_builder_add_boolean_value(b, s.p.warp);
		add_int(b, "warp_us", s.p.warp_ns / 1000);
		add_int(b, "warp_limit_us", s.p.warp_limit_ns / 1000);
		add_int(b, "unwarp_us", s.p.unwarp_ns / 1000);
		add_int(b, "cap", s.cap);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
	rpc_result(rq, json_builder_get_root(b));
}

#define MAX_US G_GINT64_CONSTANT(1000000000)

void method_set_scheduling(struct request *rq, JsonObject *params)
{
	gint64 vcpu = SCHED_ALL_VCPUS, weight = -1, warp_us = -1, limit_us = -1, unwarp_us = -1,
	       cap = -1;
	struct scheduling s = { .rc = 0 };
	const char *scheduler = NULL;
	struct guest *g;
	const struct param table[] = {
		{ "domain", PARAM_DOMAIN, true, &g, 0, 0 },
		{ "vcpu", PARAM_INT, false, &vcpu, 0, MAX_VCPUS - 1 },
		{ "scheduler", PARAM_STRING, false, &scheduler, 0, 16 },
		{ "weight", PARAM_INT, false, &weight, 1, SCHED_WEIGHT_MAX },
		{ "warp", PARAM_BOOL, false, &s.p.warp, 0, 0 },
		{ "warp_us", PARAM_INT, false, &warp_us, 0, MAX_US },
		{ "warp_limit_us", PARAM_INT, false, &limit_us, 0, MAX_US },
		{ "unwarp_us", PARAM_INT, false, &unwarp_us, 0, MAX_US },
		{ "cap", PARAM_INT, false, &cap, 0, SCHED_CAP_MAX },
		{ NULL, PARAM_STRING, false, NULL, 0, 0 },
	};
	bool warp;

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	/* Only one has warps: whoever sets them means that. */
	if (warp_us >= 0 || limit_us >= 0 || unwarp_us >= 0 ||
	    json_object_has_member(params, "warp"))
		scheduler = "bvt";
	if (!right_scheduler(rq, scheduler))
		return;
	warp = s.p.warp;
	s.vcpu = (int)vcpu;
	guest_with(g, get_in_core, &s);
	if (s.rc) {
		rpc_error(rq, RPC_FAILED, "domain %s has no virtual CPU %d", g->name, s.vcpu);
		return;
	}
	s.set_cap = cap >= 0;
	s.set = weight > 0 || warp_us >= 0 || limit_us >= 0 || unwarp_us >= 0 ||
		json_object_has_member(params, "warp");
	if (json_object_has_member(params, "warp"))
		s.p.warp = warp;
	s.p.weight = weight > 0 ? (uint32_t)weight : s.p.weight;
	s.p.warp_ns = warp_us >= 0 ? (uint64_t)warp_us * 1000 : s.p.warp_ns;
	s.p.warp_limit_ns = limit_us >= 0 ? (uint64_t)limit_us * 1000 : s.p.warp_limit_ns;
	s.p.unwarp_ns = unwarp_us >= 0 ? (uint64_t)unwarp_us * 1000 : s.p.unwarp_ns;
	s.cap = s.set_cap ? (unsigned)cap : 0;
	guest_with(g, set_in_core, &s);
	if (s.rc)
		rpc_error(rq, RPC_FAILED, "%s", s.error);
	else
		rpc_done(rq);
}
