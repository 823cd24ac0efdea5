/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a domain that stops, in xl's words: the same in a served machine and on bare metal. Only words and
 * numbers; who acts on them is the home's business.
 */
#ifndef XENOPUS_STOPPED_H
#define XENOPUS_STOPPED_H

#include "types.h"

/** enum stop_action - what on_poweroff and its like may say, in the order of stop_actions. */
enum stop_action {
	ACTION_DESTROY,
	ACTION_RESTART,
	ACTION_RENAME_RESTART,
	ACTION_PRESERVE,
	ACTION_COREDUMP_DESTROY,
	ACTION_COREDUMP_RESTART,
};

/** stop_actions - their words, NULL behind the last. */
extern const char *const stop_actions[];

/** stop_action_named() - the action @word means; -1: none. */
int stop_action_named(const char *word);

/** STOP_REASONS - SHUTDOWN_* below this have an action of their own. */
#define STOP_REASONS 5
/** stop_keys - by SHUTDOWN_*: "on_poweroff" and so on, what the action is called in a configuration. */
extern const char *const stop_keys[STOP_REASONS];

/** stop_reason_name() - "poweroff", "crash" ..., of SHUTDOWN_*. */
const char *stop_reason_name(unsigned reason);

/**
 * restart_delay() - how long a domain waits before it is started again.
 * @quick: starts in a row that did not last; brought up to date
 * @up_ns: how long the last start was up
 *
 * Return: seconds. None for the first after a start that lasted 10 s, then 1, 2, 4 ... 64.
 */
unsigned restart_delay(unsigned *quick, uint64_t up_ns);

#endif
