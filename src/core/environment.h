/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * environment - the variables that a command is started with
 *
 * Put together from layers, of which a later one wins: the profile's own
 * settings, what it passes from the caller, what the request sets, and last what
 * nobody may set (PROCTOR_*). Sorted by name, each name once.
 */

#include <stddef.h>

#include "../base/buf.h"
#include "../base/err.h"

struct environment {
	struct buf text;     /* all assignments, each with its NUL */
	const char **sorted; /* after environment_finish() */
	size_t n;
};

void environment_fini(struct environment *e);

static inline void environment_fini_p(struct environment *e)
{
	environment_fini(e);
}

void environment_set(struct environment *e, const char *name, const char *value);
void environment_put(struct environment *e, const char *assignment);

/* No more layers. ERR_UNAVAILABLE without memory. */
int environment_finish(struct environment *e, struct err *err);
