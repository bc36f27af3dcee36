/* SPDX-License-Identifier: Apache-2.0 */

#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "cgroup.h"
#include "landlock.h"

/* An id that no account has: what is mapped in a probe matters to nobody. */
#define PROBE_UID 60900

static void missing(struct probe *p, int error, const char *what)
{
	p->found = false;
	p->sys_errno = error;
	if (error)
		(void)snprintf(p->why, sizeof(p->why), "%s: %s", what,
			       strerrordesc_np(error) ? strerrordesc_np(error) :
							"unknown error");
	else
		(void)snprintf(p->why, sizeof(p->why), "%s", what);
}

static void present(struct probe *p)
{
	*p = (struct probe){ .found = true };
}

static void end_child(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Runs fn in a child of its own and takes its answer. */
static void in_child(void (*fn)(struct probe *), struct probe *ret)
{
	CLEANUP(close) int in = -1;
	CLEANUP(close) int out = -1;
	struct probe p = { 0 };
	struct pollfd pfd = { .events = POLLIN };
	int fds[2], n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		missing(ret, errno, "pipe");
		return;
	}
	in = fds[0];
	out = fds[1];
	pid = fork();
	if (pid < 0) {
		missing(ret, errno, "fork");
		return;
	}
	if (pid == 0) {
		/* Not to outlive the program that asks. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(&p);
		_exit(fd_write_all(out, &p, sizeof(p)) < 0);
	}
	(void)close(TAKE_FD(out));
	pfd.fd = in;
	do {
		n = poll(&pfd, 1, PROBE_TIMEOUT_MS);
	} while (n < 0 && errno == EINTR);
	/* A pipe takes a small write as a whole (PIPE_BUF). */
	if (n == 1 && read(in, &p, sizeof(p)) == (ssize_t)sizeof(p))
		*ret = p;
	else
		missing(ret, 0,
			n == 0 ? "the probe did not come to an end" : "the probe died");
	end_child(pid);
}

static int put(const char *path, const char *text)
{
	CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? r : 0;
}

/* As the keeper does it: one id, that of the caller, inside as outside. */
static bool enter_namespaces(struct probe *p)
{
	unsigned int uid = geteuid(), gid = getegid();
	char map[64];
	int r;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
		    CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP) < 0) {
		missing(p, errno, "unshare");
		return false;
	}
	r = put("/proc/self/setgroups", "deny");
	if (r == 0) {
		(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		r = put("/proc/self/uid_map", map);
	}
	if (r == 0) {
		(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		r = put("/proc/self/gid_map", map);
	}
	if (r < 0) {
		missing(p, -r, "write the id maps of a user namespace");
		return false;
	}
	/* Mounts made here stay here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		missing(p, errno, "make all mounts private");
		return false;
	}
	return true;
}

static void try_namespaces(struct probe *p)
{
	if (enter_namespaces(p))
		present(p);
}

void probe_user_namespace(struct probe *ret)
{
	in_child(try_namespaces, ret);
}

/* The first process of the new PID namespace, with 1 for "mounted", else errno. */
static void try_proc(struct probe *p)
{
	int status;
	pid_t pid;

	if (!enter_namespaces(p))
		return;
	pid = fork();
	if (pid < 0) {
		missing(p, errno, "fork into a PID namespace");
		return;
	}
	if (pid == 0)
		_exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			    NULL) < 0 ?
			      MIN(errno, 255) :
			      0);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			missing(p, errno, "waitpid");
			return;
		}
	if (!WIFEXITED(status))
		missing(p, 0, "the first process of a PID namespace died");
	else if (WEXITSTATUS(status) != 0)
		missing(p, WEXITSTATUS(status), "mount a fresh /proc");
	else
		present(p);
}

void probe_proc_mount(struct probe *ret)
{
	in_child(try_proc, ret);
}

/* A detached tmpfs of one's own; what is missing goes to *p. */
static int new_tmpfs(struct probe *p)
{
	CLEANUP(close) int fs = -1;
	int fd;

	fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0) {
		missing(p, errno, "fsopen tmpfs");
		return -1;
	}
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		missing(p, errno, "fsconfig tmpfs");
		return -1;
	}
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		missing(p, errno, "fsmount tmpfs");
	return fd;
}

static void try_mount_api(struct probe *p)
{
	CLEANUP(close) int tree = -1;
	CLEANUP(close) int tmpfs = -1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };

	if (!enter_namespaces(p))
		return;
	tmpfs = new_tmpfs(p);
	if (tmpfs < 0)
		return;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/usr",
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		missing(p, errno, "open_tree /usr");
	else if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			 sizeof(attr)) < 0)
		missing(p, errno, "mount_setattr read-only");
	else if (mkdirat(tmpfs, "usr", 0755) < 0)
		missing(p, errno, "mkdir in a tmpfs");
	else if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/tmp",
			 MOVE_MOUNT_F_EMPTY_PATH) < 0)
		missing(p, errno, "move_mount of a tmpfs");
	else if (syscall(SYS_move_mount, tree, "", tmpfs, "usr",
			 MOVE_MOUNT_F_EMPTY_PATH) < 0)
		missing(p, errno, "move_mount");
	else
		present(p);
}

void probe_mount_api(struct probe *ret)
{
	in_child(try_mount_api, ret);
}

/* A child that holds a user namespace until *ret_hold is closed. */
static pid_t hold_namespace(int *ret_ready, int *ret_hold)
{
	int ready[2], hold[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(hold, O_CLOEXEC) < 0) {
		(void)close(ready[0]);
		(void)close(ready[1]);
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(hold[1]);
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &c, 1) != 0);
	}
	(void)close(ready[1]);
	(void)close(hold[0]);
	*ret_ready = ready[0];
	*ret_hold = hold[1];
	return pid;
}

static void try_idmap_with(struct probe *p, pid_t pid)
{
	CLEANUP(close) int ns = -1;
	CLEANUP(close) int tmpfs = -1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	char path[64], map[64];
	int r;

	(void)snprintf(map, sizeof(map), "0 %d 1", PROBE_UID);
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	r = put(path, map);
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	if (r == 0)
		r = put(path, map);
	if (r < 0) {
		missing(p, -r, "map another id");
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0) {
		missing(p, errno, "open a user namespace");
		return;
	}
	tmpfs = new_tmpfs(p);
	if (tmpfs < 0)
		return;
	attr.userns_fd = (unsigned int)ns;
	if (syscall(SYS_mount_setattr, tmpfs, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		missing(p, errno, "mount_setattr with an id map");
	else
		present(p);
}

static void try_idmap(struct probe *p)
{
	CLEANUP(close) int ready = -1;
	CLEANUP(close) int hold = -1;
	pid_t pid;
	char c;

	if (geteuid() != 0) {
		missing(p, 0,
			"only root may make id-mapped mounts of the host's file systems");
		return;
	}
	if (unshare(CLONE_NEWNS) < 0) {
		missing(p, errno, "unshare the mount namespace");
		return;
	}
	pid = hold_namespace(&ready, &hold);
	if (pid < 0) {
		missing(p, errno, "fork");
		return;
	}
	if (read(ready, &c, 1) == 1)
		try_idmap_with(p, pid);
	else
		missing(p, 0, "no user namespace can be made");
	end_child(pid);
}

void probe_idmapped_mount(struct probe *ret)
{
	in_child(try_idmap, ret);
}

static void try_seccomp(struct probe *p)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { .len = ARRAY_SIZE(allow), .filter = allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		missing(p, errno, "no_new_privs");
	else if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		missing(p, errno, "seccomp");
	else
		present(p);
}

void probe_seccomp(struct probe *ret)
{
	in_child(try_seccomp, ret);
}

/* Nothing is granted, so nothing may open any more. */
static void try_landlock(struct probe *p)
{
	CLEANUP(close) int ruleset = -1;
	int abi = landlock_abi(), r;

	if (abi < 0) {
		missing(p, abi == -EPROTO ? 0 : -abi,
			abi == -EPROTO ? "the kernel has ABI 1 only" :
					 "landlock_create_ruleset");
		return;
	}
	ruleset = landlock_new(abi);
	if (ruleset < 0) {
		missing(p, -ruleset, "make a ruleset");
		return;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		missing(p, errno, "no_new_privs");
		return;
	}
	r = landlock_restrict(ruleset, abi);
	if (r < 0) {
		missing(p, -r, "landlock_restrict_self");
		return;
	}
	if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0) {
		missing(p, 0, "a ruleset was taken, and refused nothing");
		return;
	}
	present(p);
	(void)snprintf(p->value, sizeof(p->value), "ABI %d", abi);
}

void probe_landlock(struct probe *ret)
{
	in_child(try_landlock, ret);
}

static void try_pidfd(struct probe *p)
{
	CLEANUP(close) int fd = -1;
	siginfo_t info;
	pid_t pid = fork();

	if (pid < 0) {
		missing(p, errno, "fork");
		return;
	}
	if (pid == 0)
		_exit(0);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		missing(p, errno, "pidfd_open");
	else if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT) < 0)
		missing(p, errno, "waitid on a pidfd");
	else
		present(p);
	end_child(pid);
}

void probe_pidfd(struct probe *ret)
{
	in_child(try_pidfd, ret);
}

void probe_openat2(struct probe *ret)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

	if (fd < 0) {
		missing(ret, errno, "openat2");
		return;
	}
	(void)close((int)fd);
	present(ret);
}

/* Asked for nonsense, they say so, unless they are not there. */
void probe_start_calls(struct probe *ret)
{
	if (syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS)
		missing(ret, ENOSYS, "clone3");
	else if (syscall(SYS_close_range, 1, 0, 0) < 0 && errno == ENOSYS)
		missing(ret, ENOSYS, "close_range");
	else
		present(ret);
}

void probe_cgroup(struct probe *ret)
{
	struct cgroups g;
	const char *why = NULL, *sep = ": ";
	size_t n;

	cgroup_find(&g);
	present(ret);
	(void)snprintf(ret->value, sizeof(ret->value), "%s",
		       cgroup_layout_name(g.layout));
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (!g.at[c].usable) {
			why = why ? why : g.at[c].why;
			continue;
		}
		n = strlen(ret->value);
		(void)snprintf(ret->value + n, sizeof(ret->value) - n, "%s%s", sep,
			       cgroup_controller_name(c));
		sep = ", ";
	}
	/* Some is not all: whoever asks for a limit that is missing is told so then. */
	if (why)
		missing(ret, 0, why);
}
