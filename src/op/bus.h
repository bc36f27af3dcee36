/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * bus - what happens, to those who watch
 *
 * An event goes to the connection of each call of events.watch that may see its
 * process and asked for it. One whose connection has no room loses events and is
 * told how many, as "missed", once there is room again.
 */

#include <stdint.h>

#include "../base/list.h"
#include "../base/log.h"
#include "call.h"

enum bus_kind {
	BUS_START,
	BUS_EXIT,
	BUS_CLOSED,
	BUS_EMPTY,
	BUS_HEARTBEAT,
	BUS_DENIAL,
	BUS_LOG,
	BUS_MAX_,
};

extern const char *const bus_kinds[BUS_MAX_];

/* The news of a process, once they are journalled. */
void bus_news(struct world *w, struct process *p, unsigned int news);
void bus_heartbeat(struct world *w, struct process *p, const json_t *event);
/* A call that was refused. */
void bus_denial(struct world *w, const struct principal *who, const char *operation,
		const struct err *why);
/* A line of the engine's log. */
void bus_log(struct world *w, enum log_level level, const char *line);

/* {"event": kind, "id": ..., "time": ...}; p may be NULL. New reference. */
json_t *bus_event(enum bus_kind kind, const struct process *p);
