/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * shown - what of the host a sandbox has beside system directories and workspace
 *
 * A profile's filesystem.read and filesystem.write name directories and files: an
 * absolute path, or ~/x for x in the principal's home. Each has the same place in the
 * sandbox; what is in the home lies in the private HOME there. Of a profile with
 * "path: caller" the directories of the caller's PATH come on top, read-only.
 *
 * Only names are looked at here, and the home, whose own path may have links in it:
 * who made the user's account wrote it. Launcher and keeper do the rest, as the
 * principal: no other link is followed, since a command that can write to a directory
 * could put one there; what does not exist is left out.
 *
 * In order of targets, so that a directory comes before what lies in it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../base/err.h"
#include "principal.h"
#include "profile.h"
#include "worktree.h"

/* Of PATH. */
#define SHOWN_PATH_MAX 32

struct shown {
	char *source; /* on the host, a path without links */
	char *target; /* in the sandbox */
	bool write;
	bool trusted; /* of PATH: only a directory that no third user can write to */
};

struct shown_list {
	struct shown *v;
	size_t n, cap;
};

struct shown_args {
	const struct profile *profile;
	const struct principal *who;
	const char *home;      /* as the sandbox has it: layout_home() */
	const char *workspace; /* or NULL */
	/* Emptied if its repository is not to be shown. */
	struct worktree *worktree;
	const char *path; /* the caller's, or NULL */
	/* Real paths or NULL: nothing that shows one of them is shown. */
	const char *const *private_dirs;
	size_t n_private_dirs;
};

/* ERR_DENIED for a profile that would show proctor's own directories. */
int shown_collect(const struct shown_args *a, struct shown_list *ret, struct err *err);
/* Whether it is there now, and trusted if it has to be; as the engine sees it. */
bool shown_is_there(const struct shown *s, uid_t uid);
void shown_fini(struct shown_list *l);

static inline void shown_fini_p(struct shown_list *l)
{
	shown_fini(l);
}

/* path lies in dir, or is it; both plain. */
bool path_within(const char *path, const char *dir);
/* One of the two lies in the other. */
bool path_overlap(const char *a, const char *b);
