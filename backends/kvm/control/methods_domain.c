/* SPDX-License-Identifier: MIT */
/* The methods about one domain: decode, ask the core, answer. docs/control.md lists them. */
#include <string.h>

#include "../machine.h"
#include "methods.h"

#define ONE_DOMAIN(g)                                    \
	{                                                \
		"domain", PARAM_DOMAIN, true, &(g), 0, 0 \
	}
#define END                                           \
	{                                             \
		NULL, PARAM_STRING, false, NULL, 0, 0 \
	}

/* Is it there? False after an answer. */
static bool exists(struct request *rq, const struct guest *g)
{
	if (g->state == GUEST_LIVE || g->state == GUEST_STOPPED)
		return true;
	rpc_error(rq, RPC_STATE, "domain %s is %s: try again when it is there", g->name,
		  g->state == GUEST_CREATING ? "being created" : "waiting for its restart");
	return false;
}

bool methods_alive(struct request *rq, const struct guest *g)
{
	if (!exists(rq, g))
		return false;
	if (g->state == GUEST_LIVE)
		return true;
	rpc_error(rq, RPC_STATE, "domain %s has stopped (%s): it can only be destroyed", g->name,
		  stop_reason_name(g->reason));
	return false;
}

/* An operation of core/control/control.c and how it went. */
struct op {
	int (*fn)(struct domain *d, const struct op *op);
	const char *text;
	uint64_t number;
	int rc;
};

static void op_in_core(struct domain *d, void *data)
{
	struct op *op = data;

	op->rc = op->fn(d, op);
}

/* Answers unless it is refused; then the caller does. */
static int operate(struct guest *g, struct op *op)
{
	guest_with(g, op_in_core, op);
	return op->rc;
}

static void finish(struct request *rq, struct guest *g, struct op *op)
{
	int rc = operate(g, op);

	if (rc == -XEN_ENOMEM)
		rpc_error(rq, RPC_FAILED, "the machine has no memory left for that");
	else if (rc)
		rpc_error(rq, RPC_FAILED, "the core refuses that for domain %s: error %d", g->name,
			  -rc);
	else
		rpc_done(rq);
}

static void set_paused(struct request *rq, JsonObject *params, bool paused)
{
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g), END };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	guest_pause(g, paused);
	rpc_done(rq);
}

void method_pause(struct request *rq, JsonObject *params)
{
	set_paused(rq, params, true);
}

void method_unpause(struct request *rq, JsonObject *params)
{
	set_paused(rq, params, false);
}

void method_destroy(struct request *rq, JsonObject *params)
{
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g), END };

	if (!params_take(rq, params, table))
		return;
	guest_destroy(g);
	rpc_done(rq);
}

static int op_shutdown(struct domain *d, const struct op *op)
{
	return domain_shutdown_request(d, op->text);
}

void method_shutdown(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_shutdown, .text = "poweroff" };
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "how", PARAM_STRING, false, &op.text, 0, 16 },
				       END };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	if (strcmp(op.text, "poweroff") && strcmp(op.text, "reboot"))
		rpc_error(rq, RPC_PARAMS, "how must be poweroff or reboot");
	else
		finish(rq, g, &op);
}

void method_rename(struct request *rq, JsonObject *params)
{
	g_autoptr(GError) error = NULL;
	const char *name;
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "name", PARAM_STRING, true, &name, 0, 0 },
				       END };

	if (!params_take(rq, params, table) || !exists(rq, g))
		return;
	if (guest_rename(g, name, &error))
		rpc_done(rq);
	else
		rpc_error(rq, error->code == GUEST_ERROR_EXISTS ? RPC_EXISTS : RPC_FAILED, "%s",
			  error->message);
}

static int op_target(struct domain *d, const struct op *op)
{
	return domain_set_target(d, op->number);
}

static int op_max(struct domain *d, const struct op *op)
{
	return domain_set_max(d, op->number);
}

static bool take_memory(struct request *rq, JsonObject *params, struct guest **g, struct op *op)
{
	gint64 kib;
	const struct param table[] = { ONE_DOMAIN(*g),
				       { "kib", PARAM_INT, true, &kib, 4,
					 METHODS_MAX_MIB * G_GINT64_CONSTANT(1024) },
				       END };

	if (!params_take(rq, params, table) || !methods_alive(rq, *g))
		return false;
	op->number = (uint64_t)kib >> (PAGE_SHIFT - 10);
	return true;
}

void method_set_memory(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_target };
	struct guest *g;

	if (!take_memory(rq, params, &g, &op))
		return;
	if (operate(g, &op) == -XEN_E2BIG)
		rpc_error(rq, RPC_FAILED, "domain %s may not have so much: mem-max sets how much",
			  g->name);
	else if (op.rc)
		rpc_error(rq, RPC_FAILED, "no new target for domain %s: error %d", g->name, -op.rc);
	else
		rpc_done(rq);
}

void method_set_max_memory(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_max };
	struct guest *g;

	if (take_memory(rq, params, &g, &op))
		finish(rq, g, &op);
}

static int op_online(struct domain *d, const struct op *op)
{
	return domain_set_online(d, (unsigned)op->number);
}

void method_set_vcpus(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_online };
	gint64 n;
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "vcpus", PARAM_INT, true, &n, 1, MAX_VCPUS },
				       END };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	op.number = (uint64_t)n;
	if (operate(g, &op) == -XEN_EINVAL)
		rpc_error(rq, RPC_FAILED,
			  "domain %s has %u virtual CPUs (maxvcpus of its configuration): give at "
			  "most "
			  "that",
			  g->name, g->cfg->maxvcpus);
	else
		rpc_done(rq);
}

static int op_sysrq(struct domain *d, const struct op *op)
{
	return domain_sysrq(d, op->text[0]);
}

void method_sysrq(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_sysrq };
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "key", PARAM_STRING, true, &op.text, 0, 1 },
				       END };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	if (!g_ascii_isgraph(op.text[0]))
		rpc_error(rq, RPC_PARAMS, "key must be a printable character");
	else
		finish(rq, g, &op);
}

static int op_nmi(struct domain *d, const struct op *op)
{
	return domain_nmi(d, (unsigned)op->number);
}

void method_trigger(struct request *rq, JsonObject *params)
{
	struct op op = { .fn = op_nmi };
	const char *what;
	gint64 vcpu = 0;
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "trigger", PARAM_STRING, true, &what, 0, 16 },
				       { "vcpu", PARAM_INT, false, &vcpu, 0, MAX_VCPUS - 1 },
				       END };

	if (!params_take(rq, params, table) || !methods_alive(rq, g))
		return;
	op.number = (uint64_t)vcpu;
	if (strcmp(what, "nmi"))
		rpc_error(rq, RPC_PARAMS,
			  "trigger must be nmi: a PV domain has none of the others' hardware");
	else if (operate(g, &op))
		rpc_error(rq, RPC_FAILED, "domain %s has no virtual CPU %u that was started",
			  g->name, (unsigned)vcpu);
	else
		rpc_done(rq);
}

static void view(int fd, unsigned id)
{
	struct guest *g = guest_find_id(id);

	if (g)
		guest_console_view(g->console, fd);
	else
		close(fd);
}

void method_console(struct request *rq, JsonObject *params)
{
	struct client *client = rq->client;
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g), END };

	if (!params_take(rq, params, table))
		return;
	if (!rq->id) {
		rpc_error(rq, RPC_INVALID, "a console has to be asked for");
		return;
	}
	client_ref(client);
	rpc_done(rq);
	client_take_socket(client, view, g->id);
	client_unref(client);
}

static void dumped(struct guest *g, const GError *error, void *data)
{
	if (error)
		rpc_error(data, RPC_FAILED, "%s", error->message);
	else
		rpc_done(data);
}

void method_dump_core(struct request *rq, JsonObject *params)
{
	const char *path;
	struct guest *g;
	const struct param table[] = { ONE_DOMAIN(g),
				       { "file", PARAM_STRING, true, &path, 0, 0 },
				       END };

	if (!params_take(rq, params, table) || !exists(rq, g))
		return;
	if (!g_path_is_absolute(path))
		rpc_error(rq, RPC_PARAMS, "file must be an absolute path");
	else if (g->dump)
		rpc_error(rq, RPC_STATE, "a core file of domain %s is being written already",
			  g->name);
	else
		coredump_start(g, path, dumped, rq);
}
