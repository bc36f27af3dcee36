/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * facts - what happened to a process, from its box and from the engine itself
 *
 * Each function brings the process into its new state and notes the news.
 */

#include "../base/err.h"
#include "../core/process.h"
#include "../core/sandbox.h"

struct engine;

void facts_started(struct process *p, int pidfd);
void facts_exited(struct process *p);
void facts_closed(struct process *p);
/* Nothing of it lives. */
void facts_empty(struct engine *e, struct process *p);
/* It was never run, and nothing of it lives. */
void facts_failed(struct engine *e, struct process *p, const struct err *why);
/* Its keeper is gone without a final record. */
void facts_lost(struct engine *e, struct process *p, const char *why);

/* To the journal. */
void facts_save(struct engine *e, struct process *p);
