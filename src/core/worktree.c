/* SPDX-License-Identifier: Apache-2.0 */

#include "worktree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "layout.h"

#define GITDIR "gitdir: "
#define BELOW "/worktrees/"

void worktree_fini(struct worktree *w)
{
	free(w->common);
	free(w->own);
	memset(w, 0, sizeof(*w));
}

static int open_plain(const char *path, uint64_t flags, uid_t owner, mode_t type)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	CLEANUP(close)
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != type ||
	    st.st_uid != owner)
		return -1;
	return TAKE_FD(fd);
}

/* dir/name is a file of one line: that line. */
static bool read_line(const char *dir, const char *name, uid_t owner,
		      char line[PATH_MAX + 16])
{
	CLEANUP(close) int fd = -1;
	char path[PATH_MAX];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	/* O_NONBLOCK: nobody need write to it if it is a pipe. */
	fd = open_plain(path, O_RDONLY | O_NONBLOCK, owner, S_IFREG);
	n = fd < 0 ? -1 : read(fd, line, PATH_MAX + 15);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* Where COMMON ends in COMMON/worktrees/NAME; 0: it is no such path. */
static size_t common_len(const char *own)
{
	const char *name = strrchr(own, '/');
	size_t n = name ? (size_t)(name - own) + 1 : 0;

	if (!layout_may_show(own) || n <= strlen(BELOW) ||
	    strncmp(own + n - strlen(BELOW), BELOW, strlen(BELOW)) != 0)
		return 0;
	return n - strlen(BELOW);
}

int worktree_find(const char *workspace, uid_t owner, struct worktree *ret)
{
	char line[PATH_MAX + 16], back[PATH_MAX + 16], expected[PATH_MAX + 16];
	const char *own = line + strlen(GITDIR);
	CLEANUP(worktree_fini) struct worktree w = { NULL, NULL };
	CLEANUP(close) int dir = -1;
	size_t n;

	if (!read_line(workspace, ".git", owner, line) ||
	    strncmp(line, GITDIR, strlen(GITDIR)) != 0)
		return 0;
	n = common_len(own);
	if (n == 0 || !read_line(own, "gitdir", owner, back))
		return 0;
	(void)snprintf(expected, sizeof(expected), "%s/.git", workspace);
	if (strcmp(back, expected) != 0)
		return 0;
	w.own = strdup(own);
	w.common = strndup(own, n);
	if (!w.own || !w.common)
		return -ENOMEM;
	dir = open_plain(w.common, O_PATH, owner, S_IFDIR);
	if (dir < 0)
		return 0;
	*ret = w;
	memset(&w, 0, sizeof(w));
	return 0;
}
