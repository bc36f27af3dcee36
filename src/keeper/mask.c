/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The step that takes back part of what can be written to: a mount over it, read-only or
 * empty. A mount point can be neither renamed, nor removed, nor linked from within the
 * sandbox, and no directory above it that is a mount point as well.
 *
 * Only what exists can be mounted upon, and a mount point made for the purpose would stay
 * in the workspace. So what is absent when a command starts is left alone, and so is a
 * link, which cannot be mounted upon. Whoever renames or removes the original outside of
 * the sandbox takes the mount away with it (detach_mounts() in fs/namespace.c).
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../sys/mounts.h"
#include "keeper.h"

static int open_name(int dirfd, const char *name, mode_t *ret_type)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	CLEANUP(close) int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_type = st.st_mode & S_IFMT;
	return TAKE_FD(fd);
}

static bool is_mount_point(int fd)
{
	struct statx x;

	return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &x) == 0 &&
	       x.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static bool is_read_only(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_flags & ST_RDONLY;
}

/* A mount of fd over itself. */
static int mount_over_itself(int fd, uint64_t attrs)
{
	CLEANUP(close) int mount = mounts_clone(fd, "", true);
	int r;

	if (mount < 0)
		return mount;
	r = attrs ? mounts_set(mount, attrs, true) : 0;
	return r < 0 ? r : mounts_attach(mount, fd, "");
}

static int make_read_only(int fd)
{
	return is_read_only(fd) ? 0 : mount_over_itself(fd, MOUNT_ATTR_RDONLY);
}

static int hide(const struct keeper *k, int fd, mode_t type)
{
	static const char *const options[] = { "size=4096", "nr_inodes=1", "mode=0555",
					       NULL };
	CLEANUP(close) int mount = -1;

	if (S_ISDIR(type))
		mount = mounts_new("tmpfs", options,
				   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					   MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	else
		mount = mounts_clone(k->root_fd, "dev/null", false);
	return mount < 0 ? mount : mounts_attach(mount, fd, "");
}

/* *at is a directory; it becomes what `name` in it is. 1: there is no further way. */
static int descend(const struct keeper *k, int *at, const char *name, bool last,
		   bool hidden)
{
	mode_t type = 0;
	CLEANUP(close) int fd = open_name(*at, name, &type);
	int r = 0;

	if (fd == -ENOENT || fd == -ENOTDIR || (fd >= 0 && S_ISLNK(type)))
		return 1;
	if (fd < 0)
		return fd;
	if (last && hidden)
		return hide(k, fd, type);
	if (last || !S_ISDIR(type)) {
		r = make_read_only(fd);
		return r < 0 ? r : 1;
	}
	if (!is_mount_point(fd)) {
		r = mount_over_itself(fd, 0);
		if (r < 0)
			return r;
		(void)close(fd);
		fd = open_name(*at, name, &type);
		if (fd < 0)
			return fd;
	}
	(void)close(*at);
	*at = TAKE_FD(fd);
	return 0;
}

int mask_path(struct keeper *k, const struct plan_step *s)
{
	const struct step_mask *f = s->payload;
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
	};
	const char *base = plan_text(s, 0), *below = plan_text(s, 1);
	CLEANUP(close) int at = -1;
	char name[NAME_MAX + 1];
	int r = 0;

	if (!below || k->root_fd < 0)
		return -EINVAL;
	at = (int)syscall(SYS_openat2, k->root_fd, base, &how, sizeof(how));
	if (at < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	while (r == 0 && *below) {
		size_t n = strcspn(below, "/");

		if (n == 0 || n > NAME_MAX)
			return -EINVAL;
		memcpy(name, below, n);
		name[n] = '\0';
		below += n + (below[n] == '/');
		r = descend(k, &at, name, *below == '\0', f->hide != 0);
	}
	return r < 0 ? r : 0;
}
