/* SPDX-License-Identifier: MIT */
/* The methods of the protocol, each in the file of its subject; methods.c has the table. */
#ifndef XENOPUS_METHODS_H
#define XENOPUS_METHODS_H

#include <unistd.h>

#include "guest.h"
#include "rpc.h"

/* The most memory a domain can be given, in MiB. */
#define METHODS_MAX_MIB 262144

#define METHOD(name) void method_##name(struct request *rq, JsonObject *params)

/* methods_create.c */
METHOD(create);
/* methods_domain.c */
METHOD(pause);
METHOD(unpause);
METHOD(destroy);
METHOD(shutdown);
METHOD(rename);
METHOD(set_memory);
METHOD(set_max_memory);
METHOD(set_vcpus);
METHOD(sysrq);
METHOD(trigger);
METHOD(console);
METHOD(dump_core);
/* methods_list.c */
METHOD(list);
METHOD(vcpus);
METHOD(info);
METHOD(log);
METHOD(debug_keys);
METHOD(subscribe);

/* methods_sched.c */
METHOD(pin);
METHOD(scheduling);
METHOD(set_scheduling);

/** methods_alive() - is @g LIVE? False after an answer. */
bool methods_alive(struct request *rq, const struct guest *g);

/** methods_event() - the guest_hooks.event that tells subscribers. */
void methods_event(const char *what, const struct guest *g, const char *detail);

#endif
