/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * groups - the control groups of commands, made and removed by the engine
 *
 * A command has a group only if one of its limits needs one: making two and removing
 * them costs about 0.3 ms, and commands without such a limit do not pay for it. The
 * base below the engine's own group is named after the state directory, so that an
 * engine finds what the one before it has left, and nobody else's. It is made when the
 * first group is.
 *
 * An engine may be started elsewhere than the one before it: from another session, or
 * by hand instead of as a service. So the place of the base is noted in the state
 * directory, and as long as a base is there it is used, wherever that is: all groups of
 * one state directory are in one place, and none is forgotten.
 *
 * Removing waits until the chores: a group goes when its command's tree is empty. One
 * that somebody is still in, whose keeper was lost, is tried again every GROUPS_AGAIN_NS,
 * and at the latest swept by the next engine.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/clock.h"
#include "../base/id.h"
#include "../base/list.h"
#include "../sys/cgroup.h"

#define GROUPS_NAME 32
#define GROUPS_AGAIN_NS (1 * NS_PER_SEC)

struct engine;

struct groups {
	char base[GROUPS_NAME];	      /* "proctor-" and 16 hex digits */
	int cmds[CGROUP_CONTROLLERS]; /* -1 = not open */
	struct list gone;	      /* to be removed */
	struct list busy;	      /* the same, when there was somebody in it */
	uint64_t busy_ns;	      /* when they were last tried */
	bool noted;		      /* where the base is */
};

/* Looks where this process is. After the state directory was opened. */
void groups_init(struct engine *e);
/* Removes what can be removed, and the base if nothing is left in it. */
void groups_fini(struct engine *e);
/* After recovery: what no known command is in goes. */
void groups_sweep(struct engine *e);

/* The tree of this command is empty, or nobody can know. sandbox: zero = none. */
void groups_gone(struct engine *e, const struct id *process, const struct id *sandbox);
/* Removes so many. In how many ns there is more to do; UINT64_MAX: never. */
uint64_t groups_chore(struct engine *e, unsigned int n);
