/* SPDX-License-Identifier: Apache-2.0 */

#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "spawn.h"

static int write_file(int dir_fd, const char *path, const char *text)
{
	CLEANUP(close) int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

int userns_map_self(int proc_fd, uid_t uid, gid_t gid)
{
	char line[64];
	int r;

	r = write_file(proc_fd, "self/setgroups", "deny");
	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "%u %u 1", uid, uid);
	r = write_file(proc_fd, "self/uid_map", line);
	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "%u %u 1", gid, gid);
	return write_file(proc_fd, "self/gid_map", line);
}

static int map_other(pid_t pid, const char *file, unsigned int inner, unsigned int outer)
{
	char path[64], line[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	(void)snprintf(line, sizeof(line), "%u %u 1", inner, outer);
	return write_file(AT_FDCWD, path, line);
}

int userns_for_idmap(uid_t inner_uid, uid_t outer_uid, gid_t inner_gid, gid_t outer_gid)
{
	char path[64];
	pid_t pid;
	int fd = -1, r;

	pid = sys_clone3(CLONE_NEWUSER, SIGCHLD, NULL);
	if (pid < 0)
		return (int)pid;
	if (pid == 0)
		for (;;)
			(void)pause();

	r = map_other(pid, "uid_map", inner_uid, outer_uid);
	if (r == 0)
		r = map_other(pid, "gid_map", inner_gid, outer_gid);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : fd;
	}
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
