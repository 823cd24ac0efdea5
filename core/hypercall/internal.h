/* SPDX-License-Identifier: MIT */
/* What the files of core/hypercall share with one another and with the statistics. */
#ifndef XENOPUS_HYPERCALL_INTERNAL_H
#define XENOPUS_HYPERCALL_INTERNAL_H

#include <xenopus/hypercall.h>

/* The two calls from before 0x00030202 that pass their sub-operation in a structure. */
hypercall_fn do_event_channel_op_compat, do_physdev_op_compat;

#endif
