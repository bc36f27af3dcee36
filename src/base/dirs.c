/* SPDX-License-Identifier: Apache-2.0 */

#include "dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define PASSWD_MAX 16384

static int put(char buf[static PATH_MAX], const char *dir, const char *below,
	       struct err *err)
{
	int n = snprintf(buf, PATH_MAX, "%s%s", dir, below);

	if (n < 0 || n >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, "directory", 0,
			       "a directory's path is longer than %d bytes: %.80s...",
			       PATH_MAX, dir);
	return 0;
}

/* 1 and the path if our own variable is set. */
static int from_own(char buf[static PATH_MAX], const char *name, struct err *err)
{
	const char *dir = getenv(name);
	int r;

	if (!dir || !*dir)
		return 0;
	if (*dir != '/')
		return err_set(err, ERR_INVALID_INPUT, "directory", 0,
			       "%s must be an absolute path, not \"%.200s\"", name, dir);
	r = put(buf, dir, "", err);
	return r < 0 ? r : 1;
}

static const char *xdg(const char *name)
{
	const char *dir = getenv(name);

	return dir && *dir == '/' ? dir : NULL;
}

/* 1 and <home>/<below>/proctor, by XDG's variable, HOME, or the user database. */
static int in_home(char buf[static PATH_MAX], const char *variable, const char *below,
		   struct err *err)
{
	CLEANUP(free) char *space = NULL;
	struct passwd pw, *found = NULL;
	const char *dir = xdg(variable);
	char tail[64];
	int r;

	(void)snprintf(tail, sizeof(tail), "%s/proctor", dir ? "" : below);
	if (!dir)
		dir = xdg("HOME");
	if (!dir) {
		space = malloc(PASSWD_MAX);
		if (space)
			(void)getpwuid_r(geteuid(), &pw, space, PASSWD_MAX, &found);
		if (!found || !found->pw_dir || *found->pw_dir != '/')
			return 0;
		dir = found->pw_dir;
	}
	r = put(buf, dir, tail, err);
	return r < 0 ? r : 1;
}

int dirs_state(char buf[static PATH_MAX], struct err *err)
{
	int r = from_own(buf, "PROCTOR_STATE_DIR", err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (geteuid() == 0)
		return put(buf, "/var/lib/proctor", "", err);
	r = in_home(buf, "XDG_STATE_HOME", "/.local/state", err);
	if (r != 0)
		return r < 0 ? r : 0;
	return err_set(err, ERR_UNAVAILABLE, "directory", 0,
		       "no home directory for uid %u: set HOME, XDG_STATE_HOME or "
		       "PROCTOR_STATE_DIR",
		       (unsigned int)geteuid());
}

int dirs_config(char buf[static PATH_MAX], struct err *err)
{
	int r = from_own(buf, "PROCTOR_CONFIG_DIR", err);

	if (r == 0) {
		buf[0] = '\0';
		if (geteuid() != 0)
			r = in_home(buf, "XDG_CONFIG_HOME", "/.config", err);
	}
	return r < 0 ? r : 0;
}

int dirs_runtime(char buf[static PATH_MAX], struct err *err)
{
	char state[PATH_MAX];
	const char *dir;
	int r;

	r = from_own(buf, "PROCTOR_RUNTIME_DIR", err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (geteuid() == 0)
		return put(buf, "/run/proctor", "", err);
	dir = xdg("XDG_RUNTIME_DIR");
	if (dir)
		return put(buf, dir, "/proctor", err);
	r = dirs_state(state, err);
	return r < 0 ? r : put(buf, state, "/run", err);
}

static int make_parents(const char *path, struct err *err)
{
	char part[PATH_MAX];
	int r = put(part, path, "", err);

	if (r < 0)
		return r;
	for (char *p = part + 1;; p++) {
		bool last = *p == '\0';

		if (!last && *p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return err_set(err, ERR_UNAVAILABLE, "directory", errno,
				       "mkdir %s", part);
		if (last)
			return 0;
		*p = '/';
	}
}

int dirs_make(const char *path, int *ret_fd, struct err *err)
{
	CLEANUP(close) int fd = -1;
	struct stat st;
	int r;

	r = make_parents(path, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "directory", errno,
			       "open directory %s", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_UNAVAILABLE, "directory", errno, "fstat %s",
			       path);
	if (st.st_uid != geteuid())
		return err_set(
			err, ERR_UNAVAILABLE, "directory", 0,
			"%s belongs to uid %u, not to uid %u: remove it, or name another "
			"directory",
			path, (unsigned int)st.st_uid, (unsigned int)geteuid());
	if (st.st_mode & 077)
		return err_set(err, ERR_UNAVAILABLE, "directory", 0,
			       "%s is open to others (mode %04o): chmod 700 it", path,
			       (unsigned int)st.st_mode & 07777);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int dirs_program(char buf[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, PATH_MAX);
	char *slash;

	if (n < 0)
		return -errno;
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	if (!slash)
		return -ENOENT;
	*(slash == buf ? slash + 1 : slash) = '\0';
	return 0;
}
