/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * workspace - the directory that a person's commands may write to
 *
 * The git work tree that the current directory is in, else that directory. Whoever
 * named it by hand may have "/" and a home directory too; found by itself, neither
 * is taken. No git is run: a work tree is where a .git is.
 */

#include <limits.h>
#include <stdbool.h>

#include "../base/err.h"

struct workspace {
	char path[PATH_MAX]; /* absolute, symbolic links resolved */
	char cwd[PATH_MAX];  /* where the caller is, likewise */
	bool by_hand;
};

/*
 * named: what --workspace says, or NULL. home: $HOME, or NULL. ERR_INVALID_INPUT
 * with the cure in the message if it would be too wide.
 */
int workspace_find(const char *named, const char *home, struct workspace *ret,
		   struct err *err);

/* Whether path is dir or below it; both resolved. */
bool workspace_inside(const char *dir, const char *path);
