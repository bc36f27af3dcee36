/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * target - the process or sandbox that a call means
 *
 * A foreign, an unknown and a malformed id give the same ERR_NOT_FOUND. A pid is
 * looked for among the caller's own running processes only. The id found is
 * noted as the call's subject.
 */

#include "call.h"
#include "request.h"

int target_find(struct call *c, const struct target_params *t, enum access what,
		struct process **ret, struct err *err);
int target_find_id(struct call *c, const char *id, enum access what, struct process **ret,
		   struct err *err);
int target_find_sandbox(struct call *c, const char *id, enum access what,
			struct sandbox **ret, struct err *err);
/* Notes whom the call is about. */
void target_note(struct call *c, const struct id *id, char kind);
