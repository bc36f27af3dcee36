/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * record - processes and sandboxes as JSON
 *
 * A record has two halves. What was asked for does not change: it is made once,
 * at start, and kept as text (struct process.spec, and in the journal). What
 * became of it is read from the process and its box whenever somebody asks. The
 * first record of a command is built on the values that the text was made from
 * (struct process.asked), as most commands have but one.
 */

#include <jansson.h>

#include "../core/compile.h"
#include "../core/process.h"
#include "../core/sandbox.h"
#include "call.h"
#include "request.h"

/* Bytes of command or argv in a record; what is cut ends in "..." and is marked. */
#define RECORD_COMMAND_MAX 4096

/* The first half; new reference. NULL without memory. */
json_t *record_spec(const struct start_params *q, const struct compiled *c,
		    const struct profile *profile, const char *trace_id);

/* Makes it the half of a new process. It is consumed, also by a failure. */
int record_begin(struct process *p, json_t *spec, struct err *err);

/* Takes from p->spec what the engine itself needs again: after a restart. */
int record_recall(struct process *p, struct err *err);

/* What became of it, for the journal, and back. */
char *record_outcome(const struct process *p);
int record_recall_outcome(struct process *p, const char *outcome, struct err *err);

/* The whole record, new reference. NULL without memory. */
json_t *record_json(struct world *w, struct process *p, const struct principal *viewer);

json_t *record_isolation(const struct isolation *i);

char *record_sandbox_spec(const struct profile *profile,
			  const struct workspace *workspace,
			  const struct isolation *isolation, uint64_t idle_ns,
			  uint64_t lifetime_ns, const char *label, bool own);
json_t *record_sandbox(const struct sandbox *s, const struct principal *viewer);

/* What is no UTF-8 in it is replaced. The second: JSON null for "" and NULL. */
json_t *json_text(const char *text);
json_t *json_text_or_null(const char *text);
json_t *json_time_or_null(uint64_t wall_ns);
