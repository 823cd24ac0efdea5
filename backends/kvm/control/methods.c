/* SPDX-License-Identifier: MIT */
/* The table of the protocol's methods, and its events. */
#include <string.h>

#include <xenopus/lib.h>
#include "methods.h"
#include "server.h"

const struct rpc_method rpc_methods[] = {
	{ "domain.create", method_create },
	{ "domain.list", method_list },
	{ "domain.vcpus", method_vcpus },
	{ "domain.console", method_console },
	{ "domain.pause", method_pause },
	{ "domain.unpause", method_unpause },
	{ "domain.shutdown", method_shutdown },
	{ "domain.destroy", method_destroy },
	{ "domain.rename", method_rename },
	{ "domain.set-memory", method_set_memory },
	{ "domain.set-max-memory", method_set_max_memory },
	{ "domain.set-vcpus", method_set_vcpus },
	{ "domain.sysrq", method_sysrq },
	{ "domain.trigger", method_trigger },
	{ "domain.dump-core", method_dump_core },
	{ "domain.pin", method_pin },
	{ "domain.scheduling", method_scheduling },
	{ "domain.set-scheduling", method_set_scheduling },
	{ "machine.info", method_info },
	{ "machine.log", method_log },
	{ "machine.debug-keys", method_debug_keys },
	{ "events.subscribe", method_subscribe },
	{ NULL, NULL },
};

void method_subscribe(struct request *rq, JsonObject *params)
{
	static const struct param none[] = { { NULL, PARAM_STRING, false, NULL, 0, 0 } };

	if (!params_take(rq, params, none))
		return;
	client_subscribe(rq->client);
	rpc_done(rq);
}

void methods_event(const char *what, const struct guest *g, const char *detail)
{
	g_autoptr(JsonBuilder) b = json_builder_new();
	g_autoptr(JsonNode) root = NULL;
	g_autofree char *text = NULL;

	xlog(LOG_INFO, "domain %s (%u): %s%s%s", g->name, g->id, what, detail ? ", " : "",
	     detail ? detail : "");
	json_builder_begin_object(b);
	json_builder_set_member_name(b, "jsonrpc");
	json_builder_add_string_value(b, "2.0");
	json_builder_set_member_name(b, "method");
	json_builder_add_string_value(b, "event");
	json_builder_set_member_name(b, "params");
	json_builder_begin_object(b);
	json_builder_set_member_name(b, "event");
	json_builder_add_string_value(b, what);
	json_builder_set_member_name(b, "id");
	json_builder_add_int_value(b, g->id);
	json_builder_set_member_name(b, "name");
	json_builder_add_string_value(b, g->name);
	if (detail) {
		json_builder_set_member_name(b, "detail");
		json_builder_add_string_value(b, detail);
	}
	json_builder_end_object(b);
	json_builder_end_object(b);
	root = json_builder_get_root(b);
	text = rpc_text(root);
	server_tell(text, strlen(text));
}
