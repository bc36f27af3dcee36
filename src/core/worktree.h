/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * worktree - the repository of a workspace that is a git worktree
 *
 * There .git is a file that names a directory of the repository's, COMMON/worktrees/NAME.
 * The file is the workspace's, so a command could have written anything into it: the
 * other one has to name the workspace in turn, in its file gitdir, as git has it, and to
 * belong to the same user. No link is followed.
 */

#include <stdbool.h>
#include <sys/types.h>

struct worktree {
	char *common; /* NULL = it is none, or not one that can be believed */
	char *own;    /* COMMON/worktrees/NAME */
};

void worktree_fini(struct worktree *w);

static inline void worktree_fini_p(struct worktree *w)
{
	worktree_fini(w);
}

/* workspace is a real path; owner is whose the repository has to be. -ENOMEM or 0. */
int worktree_find(const char *workspace, uid_t owner, struct worktree *ret);
