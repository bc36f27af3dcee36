/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * watcher - one call of events.watch, as the bus sees it
 */

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

struct watcher {
	struct list node; /* in struct world.watchers */
	struct call *call;
	uint32_t kinds; /* bit per enum bus_kind */
	uint64_t missed;
};

bool watcher_wants(const struct watcher *x, enum bus_kind kind, const struct process *p,
		   const struct principal *owner);
int watcher_level(const struct watcher *x);
/* Takes event; without room it is counted as missed. */
void watcher_send(struct watcher *x, json_t *event);
