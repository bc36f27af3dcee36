/* SPDX-License-Identifier: Apache-2.0 */

#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../sys/mounts.h"
#include "../sys/spawn.h"
#include "../sys/userns.h"

/* In the stage. */
#define PROC_DIR "proc"

struct opening {
	struct zygote *z;
	const char *stage_path;
	struct err *err;
	uid_t uid;
	gid_t gid;
};

static int no_userns(struct err *err, int e, const char *what)
{
	return err_set(err, ERR_UNSUPPORTED, "userns", e,
		       "%s; native isolation needs user namespaces: see proctor doctor",
		       what);
}

/* As the one process that this PID namespace ever has. */
static int attach_proc(int stage_fd)
{
	CLEANUP(close)
	int fd = mounts_new("proc", NULL,
			    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	return fd < 0 ? fd : mounts_attach(fd, stage_fd, PROC_DIR);
}

/* The /proc of a PID namespace whose only process is gone. */
static int make_empty_proc(int stage_fd)
{
	pid_t pid;
	int status;

	if (mkdirat(stage_fd, PROC_DIR, 0755) < 0)
		return -errno;
	pid = sys_clone3(CLONE_NEWPID, SIGCHLD, NULL);
	if (pid < 0)
		return (int)pid;
	if (pid == 0)
		_exit(-attach_proc(stage_fd));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* Runs as the first process of the zygote; shares memory and descriptors. */
static int build_zygote(void *arg)
{
	static const char *const options[] = { "size=4m", "mode=0755", NULL };
	struct opening *o = arg;
	struct zygote *z = o->z;
	CLEANUP(close) int stage = -1, proc = -1;
	int r;

	/* What is made here is for users who own none of it. */
	(void)umask(022);
	if (unshare(CLONE_NEWNS | (o->uid ? CLONE_NEWUSER : 0)) < 0)
		return no_userns(o->err, errno, "unshare");
	if (o->uid) {
		/* Changing credentials made the memory undumpable and /proc/self root's.
		 */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = userns_map_self(proc, o->uid, o->gid);
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (r < 0)
			return no_userns(o->err, -r, "write the id maps");
		z->user_fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		if (z->user_fd < 0)
			return no_userns(o->err, errno, "open /proc/self/ns/user");
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return no_userns(o->err, errno, "make the mounts slaves");

	stage = mounts_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (stage < 0)
		return err_set(o->err, ERR_UNSUPPORTED, "zygote", -stage,
			       "mount a tmpfs");
	r = mounts_attach(stage, AT_FDCWD, o->stage_path);
	if (r < 0)
		return err_set(o->err, ERR_UNSUPPORTED, "zygote", -r,
			       "attach the staging area");
	r = make_empty_proc(stage);
	if (r < 0)
		return err_set(o->err, ERR_UNSUPPORTED, "zygote", -r, "mount a /proc");
	z->mnt_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (z->mnt_fd < 0)
		return err_set(o->err, ERR_UNSUPPORTED, "zygote", errno,
			       "open the namespace");
	z->stage_fd = TAKE_FD(stage);
	z->ready = true;
	return 0;
}

int zygote_open(struct zygote *z, const char *stage_path, struct err *err)
{
	struct err why = { 0 };
	struct opening o = { z, stage_path, &why, geteuid(), getegid() };
	int r;

	memset(z, 0, sizeof(*z));
	z->user_fd = z->mnt_fd = z->stage_fd = -1;
	r = sys_run_vm(build_zygote, &o);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "zygote", -r, "clone");
	if (!z->ready) {
		*err = why;
		return -why.code;
	}
	return 0;
}

int zygote_enter(struct zygote *z, struct err *err)
{
	(void)umask(022);
	if (z->user_fd >= 0 && setns(z->user_fd, CLONE_NEWUSER) < 0)
		return err_set(err, ERR_UNSUPPORTED, "zygote", errno,
			       "enter its user namespace");
	if (setns(z->mnt_fd, CLONE_NEWNS) < 0)
		return err_set(err, ERR_UNSUPPORTED, "zygote", errno,
			       "enter its mount namespace");
	return 0;
}

/* One entry of a root that is being built below root_fd. */
static int add_entry(int root_fd, const char *kind, const char *source,
		     const char *target)
{
	CLEANUP(close) int fd = -1, at = -1;
	char parent[256];
	char *slash;
	int r;

	if (strcmp(kind, "dir") == 0)
		return mounts_mkdirs(root_fd, target, 0755);
	if (strcmp(kind, "bind") == 0) {
		struct stat st;

		if (stat(source, &st) < 0)
			return errno == ENOENT ? 0 : -errno;
		r = mounts_mkdirs(root_fd, target, 0755);
		if (r < 0)
			return r;
		fd = mounts_clone(AT_FDCWD, source, true);
		if (fd < 0)
			return fd;
		r = mounts_set(fd,
			       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
			       true);
		if (r < 0)
			return r;
		at = mounts_open_in(root_fd, target, O_PATH);
		return at < 0 ? at : mounts_attach(fd, at, "");
	}

	/* The others are made in a directory that is there already. */
	if (snprintf(parent, sizeof(parent), "/%s", target) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	slash = strrchr(parent, '/');
	*slash = '\0';
	at = mounts_open_in(root_fd, *parent ? parent : "/", O_PATH | O_DIRECTORY);
	if (at < 0)
		return at;
	if (strcmp(kind, "link") == 0)
		return symlinkat(source, at, slash + 1) < 0 ? -errno : 0;
	if (strcmp(kind, "dev") == 0) {
		CLEANUP(close) int node = -1;

		if (access(source, F_OK) < 0)
			return errno == ENOENT ? 0 : -errno;
		node = openat(at, slash + 1, O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW,
			      0644);
		if (node < 0)
			return -errno;
		fd = mounts_clone(AT_FDCWD, source, false);
		if (fd < 0)
			return fd;
		r = mounts_set(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
		return r < 0 ? r : mounts_attach(fd, node, "");
	}
	return -EINVAL;
}

/* A small read-only file over what the host has there. */
static int add_file(int root_fd, unsigned int n, const char *text, const char *target)
{
	CLEANUP(close) int file = -1, fd = -1, at = -1;
	char name[32];
	int r;

	(void)snprintf(name, sizeof(name), ".file%u", n);
	file = openat(root_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (file < 0)
		return -errno;
	r = fd_write_all(file, text, strlen(text));
	if (r < 0)
		return r;
	fd = mounts_clone(root_fd, name, false);
	if (fd < 0)
		return fd;
	r = mounts_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		       false);
	if (r < 0)
		return r;
	at = mounts_open_in(root_fd, target, O_PATH);
	r = at == -ENOENT ? 0 : at < 0 ? at : mounts_attach(fd, at, "");
	/* The mount keeps the file; its name is nobody's business. */
	if (r == 0 && unlinkat(root_fd, name, 0) < 0)
		r = -errno;
	return r;
}

static int add_entries(const struct plan_step *step, int root, struct err *err)
{
	const struct step_root *fixed = step->payload;
	int r;

	for (uint32_t i = 0; i < fixed->count; i++) {
		const char *kind = plan_text(step, 3 * (size_t)i);
		const char *source = plan_text(step, 3 * (size_t)i + 1);
		const char *target = plan_text(step, 3 * (size_t)i + 2);

		if (!target)
			return err_set(err, ERR_INTERNAL, "root", 0,
				       "malformed plan: cut list");
		r = strcmp(kind, "file") == 0 ? add_file(root, i, source, target) :
						add_entry(root, kind, source, target);
		if (r < 0)
			return err_set(err, ERR_UNSUPPORTED, "root", -r, "%s %s", kind,
				       target);
	}
	return 0;
}

static int add_proc(int root)
{
	CLEANUP(close) int fd = mounts_clone(AT_FDCWD, PROC_DIR, false);
	CLEANUP(close) int at = mounts_open_in(root, "/proc", O_PATH | O_DIRECTORY);

	if (at == -ENOENT)
		return 0;
	return fd < 0 ? fd : at < 0 ? at : mounts_attach(fd, at, "");
}

/* In a copy of the zygote's namespace, the current directory being the stage. */
static int build_root(const struct plan_step *step, struct err *err)
{
	static const char *const options[] = { "size=4m", "mode=0755", NULL };
	CLEANUP(close) int root = -1;
	int r;

	root = mounts_new("tmpfs", options, MOUNT_ATTR_NOSUID);
	if (root < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", -root, "mount a tmpfs");
	/* Attached first: only then can parts of it be cloned. */
	r = mounts_attach(root, AT_FDCWD, "");
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", -r, "attach");
	r = add_entries(step, root, err);
	if (r < 0)
		return r;
	r = add_proc(root);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", -r, "add a /proc");
	r = mounts_set(root, MOUNT_ATTR_RDONLY, false);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", -r, "make it read-only");
	r = mounts_pivot(root);
	return r < 0 ? err_set(err, ERR_UNSUPPORTED, "root", -r, "pivot") : 0;
}

/* Leaves us in the new namespace. */
static int make_root(struct zygote *z, const struct plan_step *step, struct err *err)
{
	CLEANUP(close) int self = -1;
	int fd, r;

	/* While the host's is still there. */
	self = open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", errno, "open /proc/self/ns");
	if (fchdir(z->stage_fd) < 0 || unshare(CLONE_NEWNS) < 0)
		return err_set(err, ERR_UNSUPPORTED, "root", errno,
			       "make a mount namespace");
	r = build_root(step, err);
	if (r < 0)
		return r;
	fd = openat(self, "mnt", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, ERR_UNSUPPORTED, "root", errno,
				"open the namespace") :
			fd;
}

static bool is_of(const struct zygote_root *e, const struct plan_step *s)
{
	return e->size == s->size && memcmp(e->payload, s->payload, s->size) == 0;
}

/* Takes fd. Sandboxes that were cloned from the root given up keep their copies. */
static void keep(struct zygote *z, struct zygote_root *e, const struct plan_step *step,
		 int fd)
{
	if (e->size)
		(void)close(e->mnt_fd);
	memcpy(e->payload, step->payload, step->size);
	e->size = step->size;
	e->mnt_fd = fd;
	e->used = ++z->clock;
}

int zygote_root(struct zygote *z, const struct plan_step *step, struct err *err)
{
	struct zygote_root *oldest = &z->roots[0];
	int fd;

	for (int i = 0; i < ZYGOTE_ROOTS; i++) {
		struct zygote_root *e = &z->roots[i];

		if (is_of(e, step)) {
			e->used = ++z->clock;
			return setns(e->mnt_fd, CLONE_NEWNS) < 0 ?
				       err_set(err, ERR_UNSUPPORTED, "root", errno,
					       "enter its mount namespace") :
				       0;
		}
		if (e->used < oldest->used)
			oldest = e;
	}
	fd = make_root(z, step, err);
	if (fd < 0)
		return fd;
	if (step->size <= ZYGOTE_PAYLOAD_MAX)
		keep(z, oldest, step, fd);
	else
		(void)close(fd);
	return 0;
}

static int idmap_for(struct zygote *z, uint32_t disk_uid, uint32_t disk_gid,
		     const struct step_owner *owner)
{
	static unsigned int next;
	struct zygote_idmap *m;
	int fd;

	for (int i = 0; i < ZYGOTE_IDMAPS; i++) {
		m = &z->idmaps[i];
		if (m->fd > 0 && m->disk_uid == disk_uid && m->disk_gid == disk_gid &&
		    m->owner.uid == owner->uid && m->owner.gid == owner->gid)
			return m->fd;
	}
	fd = userns_for_idmap(disk_uid, owner->uid, disk_gid, owner->gid);
	if (fd < 0)
		return fd;
	m = &z->idmaps[next++ % ZYGOTE_IDMAPS];
	if (m->fd > 0)
		(void)close(m->fd);
	*m = (struct zygote_idmap){ *owner, disk_uid, disk_gid, fd };
	return fd;
}

/*
 * Opened with the owner's rights, so that nobody gets through a directory that he
 * could not pass himself. Where the map shows another owner's files as his
 * (principal root), it is root who opens.
 */
static int open_as(const char *path, const struct open_how *how, bool privileged,
		   const struct step_owner *owner)
{
	bool other = !privileged && owner->uid != geteuid();
	int fd, e;

	if (other) {
		(void)setfsgid(owner->gid);
		(void)setfsuid(owner->uid);
	}
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, how, sizeof(*how));
	e = errno;
	if (other) {
		(void)setfsuid(geteuid());
		(void)setfsgid(getegid());
	}
	return fd < 0 ? -e : fd;
}

int zygote_workspace(struct zygote *z, const struct plan_step *step,
		     const struct step_owner *owner, int *ret_fd, struct err *err)
{
	const struct step_workspace *w = step->payload;
	const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC };
	const char *path = plan_text(step, 0);
	CLEANUP(close) int dir = -1, fd = -1;
	struct stat st;
	int r;

	if (!path)
		return err_set(err, ERR_INTERNAL, "workspace", 0,
			       "malformed plan: no path");
	dir = open_as(path, &how, w->idmap, owner);
	if (dir < 0)
		return err_set(err, ERR_INVALID_INPUT, "workspace", -dir, "open %s",
			       path);
	if (fstat(dir, &st) < 0 || st.st_dev != w->dev || st.st_ino != w->ino)
		return err_set(err, ERR_CONFLICT, "workspace", 0,
			       "%s is another directory than when the call was checked",
			       path);
	fd = mounts_clone(dir, "", true);
	if (fd < 0)
		return err_set(err, ERR_UNSUPPORTED, "workspace", -fd,
			       "clone the mount of %s", path);
	r = mounts_set(fd,
		       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       (w->read_only ? MOUNT_ATTR_RDONLY : 0),
		       true);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "workspace", -r,
			       "restrict the mount of %s", path);
	if (w->idmap) {
		int map = idmap_for(z, w->disk_uid, w->disk_gid, owner);

		r = map < 0 ? map : mounts_idmap(fd, map);
		if (r < 0)
			return err_set(
				err, ERR_UNSUPPORTED, "workspace", -r,
				"id-map the mount of %s (its file system must support "
				"id-mapped mounts, or run proctor as an ordinary user)",
				path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_absent(int r)
{
	/* ELOOP: a link is on the way, or is what was named. */
	return r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ELOOP;
}

static bool is_trusted(const struct stat *st, uid_t uid)
{
	return S_ISDIR(st->st_mode) && (st->st_uid == 0 || st->st_uid == uid) &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

int zygote_show(struct zygote *z, const struct plan_step *step,
		const struct step_owner *owner, int *ret_fd, struct err *err)
{
	const struct step_show *w = step->payload;
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	const char *path = plan_text(step, 0);
	CLEANUP(close) int at = -1, fd = -1;
	struct stat st;
	int r;

	if (!path)
		return err_set(err, ERR_INTERNAL, "show", 0, "malformed plan: no path");
	at = open_as(path, &how, w->privileged, owner);
	if (is_absent(at))
		return 0;
	if (at < 0 || fstat(at, &st) < 0)
		return err_set(err, ERR_UNSUPPORTED, "show", at < 0 ? -at : errno,
			       "open %s", path);
	if (w->trusted && !is_trusted(&st, w->uid))
		return 0;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(
			err, ERR_UNSUPPORTED, "show", 0,
			"%s is neither a directory nor a regular file, and nothing "
			"else can be shown",
			path);
	fd = mounts_clone(at, "", S_ISDIR(st.st_mode));
	if (fd < 0)
		return err_set(err, ERR_UNSUPPORTED, "show", -fd, "clone the mount of %s",
			       path);
	r = mounts_set(fd,
		       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       (w->read_only ? MOUNT_ATTR_RDONLY : 0),
		       true);
	if (r == 0 && w->idmap) {
		int map = idmap_for(z, st.st_uid, st.st_gid, owner);

		r = map < 0 ? map : mounts_idmap(fd, map);
	}
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "show", -r,
			       "restrict the mount of %s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
