/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * say - lines of the engine's log, which also go to those who watch events
 */

#include "../base/log.h"
#include "../base/macro.h"

struct world;

/* From now on watchers hear what is said; NULL: no longer. */
void say_to(struct world *w);
void say(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
