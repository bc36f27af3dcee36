/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * start - from the parameters of a call to a process whose launch is ordered
 *
 * In this order: an earlier call with the same key, policy (profile, sandbox,
 * ceiling), quota, the plan, the box, the intent in the journal. Nothing is
 * started before the commit of this turn.
 */

#include "../core/compile.h"
#include "call.h"
#include "request.h"

/*
 * *ret_repeated: the call was made before, and *ret is what it started then, or
 * ERR_NOT_FOUND if that is forgotten by now.
 */
int start_command(struct call *c, struct start_params *q, struct process **ret,
		  bool *ret_repeated, struct err *err);

/* What would be done: the whole way up to the plan. compiled_fini() *ret. */
int start_check(struct call *c, const struct start_params *q,
		const struct profile **ret_profile, struct compiled *ret,
		struct err *err);

/* A sandbox whose holder is ordered. label may be NULL. */
struct start_sandbox {
	const struct profile *profile;
	const struct workspace *workspace;
	const char *label;
	uint64_t idle_ns, lifetime_ns;
	bool own; /* of a connection: goes with its last command when that is gone */
};
int start_sandbox(struct call *c, const struct start_sandbox *a, struct sandbox **ret,
		  struct err *err);

void start_limits(const struct limits_params *q, struct limits *ret);
