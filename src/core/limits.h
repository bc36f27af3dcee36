/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * limits - what one command may use up
 *
 * A profile, a ceiling and a request each have such a set; `given` says which of
 * them it speaks about. What nobody gives has no limit of ours. The numbers are
 * those of the request: 0 means "none" for output, lifetime and idle time only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

enum limit_id {
	LIMIT_CPU_SECONDS,
	LIMIT_OPEN_FILES,
	LIMIT_PROCESSES, /* and threads, of the whole sandbox */
	LIMIT_FILE_BYTES,
	LIMIT_CORE_BYTES,
	LIMIT_OUTPUT_BYTES,
	LIMIT_LIFETIME_MS,
	LIMIT_IDLE_MS,
	LIMIT_MEMORY_BYTES,
	LIMIT_MAX_,
};

struct limits {
	uint32_t given; /* bit per enum limit_id */
	uint64_t v[LIMIT_MAX_];
};

/* "cpu_seconds", ...; never NULL. */
const char *limit_name(enum limit_id id);

static inline bool limits_has(const struct limits *l, enum limit_id id)
{
	return (l->given >> id & 1) != 0;
}

void limits_set(struct limits *l, enum limit_id id, uint64_t v);

/*
 * What is in force: of each limit the request's, else the profile's, and never
 * more than the ceiling's. A request beyond the ceiling is ERR_DENIED with the
 * stage "limits.NAME"; a profile beyond it is cut to it. ceiling and request may
 * be NULL.
 */
int limits_resolve(const struct limits *profile, const struct limits *ceiling,
		   const struct limits *request, struct limits *ret, struct err *err);
