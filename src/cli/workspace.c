/* SPDX-License-Identifier: Apache-2.0 */

#include "workspace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool workspace_inside(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return *path == '/';
	return strncmp(dir, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Neither "/" nor the home directory; home is resolved, "" if there is none. */
static bool too_wide(const char *path, const char *home)
{
	return strcmp(path, "/") == 0 || strcmp(path, home) == 0;
}

static bool has_git(const char *dir)
{
	char path[PATH_MAX + sizeof("/.git")];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/.git", dir);
	/* A file in linked work trees and submodules, gitrepository-layout(5). */
	return stat(path, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
}

/* The work tree that cwd is in, if it is one that may be taken unasked. */
static bool find_top(const char *cwd, const char *home, char ret[static PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s", cwd);
	while (!too_wide(ret, home)) {
		char *slash = strrchr(ret, '/');

		if (has_git(ret))
			return true;
		if (!slash || slash == ret)
			return false;
		*slash = '\0';
	}
	return false;
}

int workspace_find(const char *named, const char *home, struct workspace *ret,
		   struct err *err)
{
	char real_home[PATH_MAX] = "";
	struct workspace w = { .by_hand = named != NULL };
	struct stat st;

	if (!realpath(".", w.cwd))
		return err_set(err, ERR_INVALID_INPUT, "workspace", errno,
			       "the current directory");
	if (!home || *home != '/' || !realpath(home, real_home))
		real_home[0] = '\0';
	if (named) {
		if (!realpath(named, w.path))
			return err_set(err, ERR_INVALID_INPUT, "workspace", errno,
				       "workspace %.200s", named);
		if (stat(w.path, &st) < 0 || !S_ISDIR(st.st_mode))
			return err_set(err, ERR_INVALID_INPUT, "workspace", ENOTDIR,
				       "workspace %.200s", named);
	} else if (!find_top(w.cwd, real_home, w.path)) {
		if (too_wide(w.cwd, real_home))
			return err_set(
				err, ERR_INVALID_INPUT, "workspace", 0,
				"commands would be able to write to all of %s: go to a "
				"directory below it, or name it with --workspace %s",
				strcmp(w.cwd, "/") == 0 ? "/" : "your home directory",
				strcmp(w.cwd, "/") == 0 ? "/" : "~");
		(void)snprintf(w.path, sizeof(w.path), "%s", w.cwd);
	}
	*ret = w;
	return 0;
}
