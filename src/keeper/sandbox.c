/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The prepare steps: a sandbox is built from the inside, by its first process.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../sys/caps.h"
#include "../sys/mounts.h"
#include "../sys/netns.h"
#include "../sys/userns.h"
#include "keeper.h"

/*
 * The scratch has to be attached while parts of it are cloned: where /proc will be,
 * which every root has and nothing is bound to.
 */
#define SCRATCH_AT "/proc"

static int idmap(struct keeper *k, const struct plan_step *s)
{
	const struct step_idmap *m = s->payload;
	int r;

	/* The change of user made us undumpable, and /proc/self root's. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	r = userns_map_self(k->given->fd[SLOT_PROC], m->uid, m->gid);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return r;
}

static int hostname(struct keeper *k, const struct plan_step *s)
{
	const char *name = plan_text(s, 0);

	(void)k;
	if (!name)
		return -EINVAL;
	return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

static int loopback(struct keeper *k, const struct plan_step *s)
{
	(void)s;
	return k->given->net_ready ? 0 : netns_loopback_up();
}

static int attach(struct keeper *k, const struct plan_step *s)
{
	(void)s;
	/* Never upon the host's. */
	if (!k->given->root_ready)
		return -EINVAL;
	k->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return k->root_fd < 0 ? -errno : 0;
}

static int scratch(struct keeper *k, const struct plan_step *s)
{
	const struct step_scratch *f = s->payload;
	char size[32], inodes[32];
	const char *const options[] = { size, inodes, "mode=0755", NULL };
	int fd;

	(void)snprintf(size, sizeof(size), "size=%llu", (unsigned long long)f->size);
	(void)snprintf(inodes, sizeof(inodes), "nr_inodes=%llu",
		       (unsigned long long)f->inodes);
	fd = mounts_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (fd < 0)
		return fd;
	k->scratch_fd = fd;
	return mounts_attach(fd, AT_FDCWD, SCRATCH_AT);
}

static int dir(struct keeper *k, const struct plan_step *s)
{
	const struct step_dir *f = s->payload;
	const char *path = plan_text(s, 0);

	if (!path || path[0] == '/')
		return -EINVAL;
	/* Parents come first in a plan, and nobody else has put a link there yet. */
	if (mkdirat(k->scratch_fd, path, (mode_t)f->mode) == 0 || errno == EEXIST)
		return 0;
	return mounts_mkdirs(k->scratch_fd, path, (mode_t)f->mode);
}

/* At an absolute path below the root; no link in it leads out. */
static int attach_in(int root_fd, const char *path, int fd)
{
	CLEANUP(close) int at = -1;

	/* One level below it there is no link to follow: move_mount(2) takes none. */
	if (path[0] == '/' && path[1] && !strchr(path + 1, '/') &&
	    strcmp(path + 1, "..") != 0)
		return mounts_attach(fd, root_fd, path + 1);
	at = mounts_open_in(root_fd, path, O_PATH | O_DIRECTORY);
	return at < 0 ? at : mounts_attach(fd, at, "");
}

static int bind_dir(struct keeper *k, const struct plan_step *s)
{
	const struct step_bind *f = s->payload;
	const char *source = plan_text(s, 0), *target = plan_text(s, 1);
	CLEANUP(close) int fd = -1;
	int r;

	if (!target || source[0] == '/')
		return -EINVAL;
	/* No links in the scratch: see dir(). */
	fd = mounts_clone(k->scratch_fd, source, false);
	if (fd < 0)
		return fd;
	r = f->noexec ? mounts_set(fd, MOUNT_ATTR_NOEXEC, false) : 0;
	return r < 0 ? r : attach_in(k->root_fd, target, fd);
}

static int mount_workspace(struct keeper *k, const struct plan_step *s)
{
	const char *target = plan_text(s, 0);

	if (!target || k->given->fd[SLOT_WORKSPACE] < 0)
		return -EINVAL;
	return attach_in(k->root_fd, target, k->given->fd[SLOT_WORKSPACE]);
}

/*
 * The mount point of a thing shown. It is made in the scratch and nowhere else: what the
 * workspace or another thing shown has there, it has already.
 */
static int make_mount_point(struct keeper *k, const char *path, mode_t type)
{
	CLEANUP(close) int parent = -1, file = -1;
	char above[PATH_MAX];
	char *name;
	int r;

	if (S_ISDIR(type))
		return mounts_mkdirs(k->scratch_fd, path, 0755);
	if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
		return -ENAMETOOLONG;
	name = strrchr(above, '/');
	*name++ = '\0';
	if (!*above)
		return -ENOENT;
	r = mounts_mkdirs(k->scratch_fd, above, 0755);
	if (r < 0)
		return r;
	parent = mounts_open_in(k->scratch_fd, above, O_PATH | O_DIRECTORY);
	if (parent < 0)
		return parent;
	file = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
	return file < 0 ? -errno : 0;
}

/* No link is followed: a command before us may have put one into a shared directory. */
static int open_mount_point(const struct keeper *k, const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, k->root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int shown(struct keeper *k, const struct plan_step *s)
{
	uint32_t n = ((const struct step_u32 *)s->payload)->v;
	const char *target = plan_text(s, 0);
	CLEANUP(close) int at = -1;
	struct stat st;
	int r, fd;

	if (!target || target[0] != '/' || n >= (uint32_t)k->given->n_shown ||
	    k->scratch_fd < 0)
		return -EINVAL;
	fd = k->given->shown[n];
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	at = open_mount_point(k, target);
	if (at == -ENOENT) {
		r = make_mount_point(k, target, st.st_mode);
		if (r < 0)
			return r;
		at = open_mount_point(k, target);
	}
	return at < 0 ? at : mounts_attach(fd, at, "");
}

static int devpts(struct keeper *k, const struct plan_step *s)
{
	static const char *const options[] = { "ptmxmode=0666", "mode=0620", NULL };
	CLEANUP(close) int fd = -1;

	(void)s;
	fd = mounts_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? fd : attach_in(k->root_fd, "/dev/pts", fd);
}

static int read_only_part(int proc_fd, const char *path)
{
	CLEANUP(close) int fd = mounts_clone(proc_fd, path, false);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = mounts_set(fd, MOUNT_ATTR_RDONLY, false);
	return r < 0 ? r : mounts_attach(fd, proc_fd, path);
}

/*
 * The kernel wants to see a /proc that nothing hides (mount_too_revealing) before
 * it gives a new one, so the old one, of the host or of the sandbox's holder, goes
 * only afterwards.
 */
static int proc(struct keeper *k, const struct plan_step *s)
{
	static const char *const parts[] = { "sys", "sysrq-trigger", "irq", "bus" };
	CLEANUP(close) int fd = -1;
	int r;

	(void)s;
	fd = mounts_new("proc", NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return fd;
	if (k->root_fd < 0) {
		k->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (k->root_fd < 0 || umount2("/proc", MNT_DETACH) < 0)
			return -errno;
	} else if (k->scratch_fd >= 0 && umount2(SCRATCH_AT, MNT_DETACH) < 0) {
		return -errno;
	}
	r = attach_in(k->root_fd, "/proc", fd);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = read_only_part(fd, parts[i]);
	return r;
}

/* The launcher cloned us into a namespace that has the root as its own already. */
static int pivot(struct keeper *k, const struct plan_step *s)
{
	(void)s;
	return !k->given->root_ready ? -EINVAL : chdir("/") < 0 ? -errno : 0;
}

static int (*const steps[STEP_MAX_])(struct keeper *k, const struct plan_step *s) = {
	[STEP_IDMAP] = idmap,
	[STEP_HOSTNAME] = hostname,
	[STEP_LOOPBACK] = loopback,
	[STEP_ATTACH] = attach,
	[STEP_SCRATCH] = scratch,
	[STEP_DIR] = dir,
	[STEP_BIND] = bind_dir,
	[STEP_MOUNT] = mount_workspace,
	[STEP_SHOWN] = shown,
	[STEP_DEVPTS] = devpts,
	[STEP_PROC] = proc,
	[STEP_MASK] = mask_path,
	[STEP_PIVOT] = pivot,
	[STEP_LANDLOCK_RULES] = landlock_begin,
	[STEP_LANDLOCK_RULE] = landlock_rule,
};

/*
 * Only CAP_KILL is left: a second reason why no command may trace its keeper. The
 * holder of a sandbox has no command, and no PID namespace that one could see it
 * from; it stays dumpable, since setns(2) by pidfd asks for PTRACE_MODE_READ.
 */
static int lock_up(const struct keeper *k, struct err *err)
{
	unsigned long dumpable = k->given->msg.mode == LAUNCH_HOLDER;
	int r = prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) < 0 ? -errno : 0;

	if (r == 0)
		r = caps_keep_only(UINT64_C(1) << CAP_KILL);
	/* Dropping capabilities is one more change of credentials. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) < 0)
		r = -errno;
	return r < 0 ? err_set(err, ERR_UNSUPPORTED, "lock_up", -r,
			       "drop the keeper's rights") :
		       0;
}

static void close_slot(struct keeper *k, enum plan_slot slot)
{
	if (k->given->fd[slot] >= 0)
		(void)close(k->given->fd[slot]);
	k->given->fd[slot] = -1;
}

static void close_shown(struct keeper *k)
{
	for (int i = 0; i < k->given->n_shown; i++)
		if (k->given->shown[i] >= 0)
			(void)close(k->given->shown[i]);
	k->given->n_shown = 0;
}

int sandbox_prepare(struct keeper *k, struct err *err)
{
	struct plan_step s;
	int r = 0;

	for (size_t at = 0; plan_next(&k->given->prepare, &at, &s) > 0;) {
		if (s.info->owner != PLAN_KEEPER)
			continue;
		r = steps[s.type] ? steps[s.type](k, &s) : -ENOSYS;
		if (r < 0) {
			const char *what =
				s.info->least < s.size ? plan_text(&s, 0) : NULL;

			return err_set(err, ERR_UNSUPPORTED, s.info->name, -r,
				       "set up the sandbox: %s%s%s", s.info->name,
				       what ? " " : "", what ? what : "");
		}
	}
	if (k->root_fd >= 0)
		(void)close(k->root_fd);
	if (k->scratch_fd >= 0)
		(void)close(k->scratch_fd);
	k->root_fd = k->scratch_fd = -1;
	close_slot(k, SLOT_PROC);
	close_slot(k, SLOT_WORKSPACE);
	close_shown(k);
	close_slot(k, SLOT_PREPARE);
	close_slot(k, SLOT_HOLDER);
	plan_unmap(&k->given->prepare);
	return k->given->ns_flags ? lock_up(k, err) : 0;
}
