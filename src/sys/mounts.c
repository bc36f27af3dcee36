/* SPDX-License-Identifier: Apache-2.0 */

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"

int mounts_clone(int dirfd, const char *path, bool recursive)
{
	int fd = open_tree(dirfd, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
				   (recursive ? (unsigned int)AT_RECURSIVE : 0));

	return fd < 0 ? -errno : fd;
}

static int setattr(int fd, struct mount_attr *attr, bool recursive)
{
	unsigned int flags = AT_EMPTY_PATH | (recursive ? (unsigned int)AT_RECURSIVE : 0);

	return mount_setattr(fd, "", flags, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

int mounts_set(int fd, uint64_t attrs, bool recursive)
{
	struct mount_attr attr = { .attr_set = attrs };

	return setattr(fd, &attr, recursive);
}

int mounts_idmap(int fd, int userns_fd)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP,
		.userns_fd = (unsigned int)userns_fd,
	};

	return setattr(fd, &attr, true);
}

int mounts_new(const char *type, const char *const *options, uint64_t attrs)
{
	CLEANUP(close) int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	for (; options && *options; options++) {
		const char *eq = strchr(*options, '=');
		char key[32];

		if (!eq || (size_t)(eq - *options) >= sizeof(key))
			return -EINVAL;
		memcpy(key, *options, (size_t)(eq - *options));
		key[eq - *options] = '\0';
		if (fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1, 0) < 0)
			return -errno;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attrs);
	return fd < 0 ? -errno : fd;
}

int mounts_attach(int fd, int dirfd, const char *path)
{
	unsigned int flags =
		MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

	return move_mount(fd, "", dirfd, path, flags) < 0 ? -errno : 0;
}

int mounts_open_in(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int mounts_mkdirs(int root_fd, const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, n + 1);
	/* One level below the root needs no walk, and so most need none. */
	if (!strchr(path + 1, '/') &&
	    (mkdirat(root_fd, path[0] == '/' ? path + 1 : path, mode) == 0 ||
	     errno == EEXIST))
		return 0;
	for (char *p = part + 1;; p++) {
		CLEANUP(close) int parent = -1;
		char *name;
		char end = *p;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		name = strrchr(part, '/');
		if (!name) {
			parent = mounts_open_in(root_fd, ".", O_PATH | O_DIRECTORY);
			name = part;
		} else {
			*name = '\0';
			parent = mounts_open_in(root_fd, *part ? part : "/",
						O_PATH | O_DIRECTORY);
			*name++ = '/';
		}
		if (parent < 0)
			return parent;
		if (*name && mkdirat(parent, name, end ? 0755 : mode) < 0 &&
		    errno != EEXIST)
			return -errno;
		if (!end)
			return 0;
		*p = end;
	}
}

int mounts_pivot(int root_fd)
{
	if (fchdir(root_fd) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	/* The old root lies on top of the new one: pivot_root(2), NOTES. */
	if (umount2(".", MNT_DETACH) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}
