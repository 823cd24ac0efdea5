/* SPDX-License-Identifier: MIT */
/* domain.create: a configuration becomes a domain. */
#include <string.h>

#include "../machine.h"
#include "methods.h"
#include <xen/sched.h>
#include <xenopus/words.h>

static void created(struct guest *g, const GError *error, void *data)
{
	struct request *rq = data;
	JsonObject *o;

	if (!g) {
		int code = error->domain == GUEST_ERROR && error->code == GUEST_ERROR_EXISTS ?
				   RPC_EXISTS :
				   RPC_FAILED;

		rpc_error(rq, code, "%s", error->message);
		return;
	}
	o = json_object_new();
	json_object_set_int_member(o, "id", g->id);
	json_object_set_string_member(o, "name", g->name);
	rpc_result(rq, json_node_init_object(json_node_alloc(), o));
	json_object_unref(o);
}

/* Returns NULL or what is wrong. */
static char *check_cpus(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ";", -1);
	uint64_t cpus;

	for (char **part = parts; *part; part++) {
		if (!words_cpus(*part, &cpus))
			return g_strdup("cpus must be numbers and ranges, as in 0-2,5, or all; one "
					"for each virtual CPU "
					"behind semicolons");
		if (!(cpus & cpu_all()))
			return g_strdup_printf(
				"cpus of \"%.64s\": this machine has none of them, it has 0 to %u",
				*part, plat_info()->pcpus - 1);
	}
	return NULL;
}

/* What one param cannot say: returns NULL or what is wrong; free it with g_free(). */
static char *check(struct guest_config *c, const char *const on[STOP_REASONS], const char *uuid)
{
	char *wrong;

	if (!g_path_is_absolute(c->kernel) || (c->ramdisk && !g_path_is_absolute(c->ramdisk)))
		return g_strdup("kernel and ramdisk must be absolute paths");
	if (c->maxmem && c->maxmem < c->memory)
		return g_strdup("maxmem is less than memory");
	if (c->maxvcpus && c->maxvcpus < c->vcpus)
		return g_strdup("maxvcpus is less than vcpus");
	wrong = c->cpus ? check_cpus(c->cpus) : NULL;
	if (wrong)
		return wrong;
	if (uuid && !guest_uuid_parse(uuid, c->uuid))
		return g_strdup("uuid must look like 01234567-89ab-cdef-0123-456789abcdef");
	for (unsigned i = 0; i < STOP_REASONS; i++) {
		int action = on[i] ? stop_action_named(on[i]) : (int)c->on[i];

		if (action < 0)
			return g_strdup_printf(
				"%s of \"%.32s\": give destroy, restart, rename-restart, preserve, "
				"coredump-destroy or coredump-restart",
				stop_keys[i], on[i]);
		c->on[i] = (enum stop_action)action;
	}
	return NULL;
}

void method_create(struct request *rq, JsonObject *params)
{
	g_autoptr(guest_config) c = guest_config_new();
	const char *name, *kernel, *ramdisk = NULL, *cmdline = NULL, *uuid = NULL, *cpus = NULL,
				   *on[STOP_REASONS] = { NULL };
	g_autofree char *wrong = NULL;
	gint64 memory = c->memory, maxmem = 0, vcpus = c->vcpus, maxvcpus = 0, weight = 0, cap = 0;
	bool paused = false;
	const struct param table[] = {
		{ "name", PARAM_STRING, true, &name, 0, 0 },
		{ "uuid", PARAM_STRING, false, &uuid, 0, 36 },
		{ "kernel", PARAM_STRING, true, &kernel, 0, 0 },
		{ "ramdisk", PARAM_STRING, false, &ramdisk, 0, 0 },
		{ "cmdline", PARAM_STRING, false, &cmdline, 0, 0 },
		{ "memory", PARAM_INT, false, &memory, 1, METHODS_MAX_MIB },
		{ "maxmem", PARAM_INT, false, &maxmem, 1, METHODS_MAX_MIB },
		{ "vcpus", PARAM_INT, false, &vcpus, 1, MAX_VCPUS },
		{ "maxvcpus", PARAM_INT, false, &maxvcpus, 1, MAX_VCPUS },
		{ "cpus", PARAM_STRING, false, &cpus, 0, 0 },
		{ "cpu_weight", PARAM_INT, false, &weight, 1, SCHED_WEIGHT_MAX },
		{ "cap", PARAM_INT, false, &cap, 0, SCHED_CAP_MAX },
		{ "on_poweroff", PARAM_STRING, false, &on[SHUTDOWN_poweroff], 0, 32 },
		{ "on_reboot", PARAM_STRING, false, &on[SHUTDOWN_reboot], 0, 32 },
		{ "on_crash", PARAM_STRING, false, &on[SHUTDOWN_crash], 0, 32 },
		{ "on_watchdog", PARAM_STRING, false, &on[SHUTDOWN_watchdog], 0, 32 },
		{ "paused", PARAM_BOOL, false, &paused, 0, 0 },
		{ NULL, PARAM_STRING, false, NULL, 0, 0 },
	};

	if (!params_take(rq, params, table))
		return;
	c->name = g_strdup(name);
	c->kernel = g_strdup(kernel);
	c->ramdisk = g_strdup(ramdisk);
	c->cmdline = g_strdup(cmdline);
	c->cpus = g_strdup(cpus);
	c->weight = (unsigned)weight;
	c->cap = (unsigned)cap;
	c->memory = (unsigned)memory;
	c->maxmem = (unsigned)maxmem;
	c->vcpus = (unsigned)vcpus;
	c->maxvcpus = (unsigned)maxvcpus;
	wrong = check(c, on, uuid);
	if (wrong)
		rpc_error(rq, RPC_PARAMS, "%s", wrong);
	else
		guest_create(g_steal_pointer(&c), paused, created, rq);
}
