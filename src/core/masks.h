/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * masks - what a profile takes back of what it shows, as steps
 *
 * The keeper makes a mask of what exists (src/keeper/mask.c). Its step has two parts: a
 * directory that a command can write to, and the path below it, each directory of which
 * is held in its place. In the private home or a read-only directory nothing is gained by
 * that, and the first part is the directory right above.
 */

#include <stdbool.h>

#include "../base/err.h"
#include "../plan/plan.h"
#include "profile.h"
#include "shown.h"
#include "worktree.h"

struct masks_args {
	const struct profile *profile;
	const char *home;      /* as the sandbox has it */
	const char *workspace; /* or NULL */
	const struct shown_list *shown;
	const struct worktree *worktree;
};

/* Of the worktrees of the repository, before the workspace's own is mounted there. */
void masks_add_worktrees(const struct masks_args *a, struct plan_builder *b);
/* All. */
int masks_add(const struct masks_args *a, struct plan_builder *b, struct err *err);
bool masks_any(const struct profile *p);
