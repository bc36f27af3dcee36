/* SPDX-License-Identifier: Apache-2.0 */

#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/dirs.h"
#include "spawn.h"

#define SOCKET_NAME "proctor.sock"
#define LOCK_NAME "start.lock"

/*
 * The address of path. One that is too long for sun_path (108 bytes, unix(7)) goes
 * through its directory, which *dir then keeps open.
 */
static int address(const char *path, struct sockaddr_un *ret, int *dir, struct err *err)
{
	char part[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) < sizeof(ret->sun_path)) {
		(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
		return 0;
	}
	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(part))
		return err_set(err, ERR_INVALID_INPUT, "socket", ENAMETOOLONG,
			       "socket %.200s", path);
	(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
	*dir = open(part, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "open directory %s",
			       part);
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *dir,
		     slash + 1);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return err_set(err, ERR_INVALID_INPUT, "socket", ENAMETOOLONG,
			       "socket %.200s", path);
	return 0;
}

static int set_wait(int fd, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int check_peer(int fd, const char *path, struct err *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "credentials of %s",
			       path);
	if (peer.uid != geteuid() && peer.uid != 0)
		return err_set(err, ERR_UNAUTHENTICATED, "socket", 0,
			       "%s is served by uid %u, which is neither you nor root",
			       path, (unsigned int)peer.uid);
	return 0;
}

static int connect_path(const char *path, int *ret, struct err *err)
{
	CLEANUP(close) int fd = -1;
	CLEANUP(close) int dir = -1;
	struct sockaddr_un sa;
	int r = address(path, &sa, &dir, err);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "socket");
	/* connect(2) waits while the engine's backlog is full. */
	if (set_wait(fd, CONNECT_WAIT_MS) < 0)
		return err_set(err, ERR_INTERNAL, "socket", errno,
			       "setsockopt SO_SNDTIMEO");
	do
		r = connect(fd, (const struct sockaddr *)&sa, sizeof(sa));
	while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EAGAIN || errno == ETIMEDOUT))
		return err_set(err, ERR_UNAVAILABLE, "socket", 0,
			       "the engine at %s did not accept a connection for %d s",
			       path, CONNECT_WAIT_MS / 1000);
	if (r < 0)
		return err_set(err, errno == EACCES ? ERR_DENIED : ERR_UNAVAILABLE,
			       "socket", errno, "connect to %s", path);
	if (set_wait(fd, 0) < 0)
		return err_set(err, ERR_INTERNAL, "socket", errno,
			       "setsockopt SO_SNDTIMEO");
	r = check_peer(fd, path, err);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Whether the failure means that no engine runs. */
static bool nobody_there(const struct err *err)
{
	return err->code == ERR_UNAVAILABLE &&
	       (err->sys_errno == ENOENT || err->sys_errno == ECONNREFUSED);
}

static int take_lock(const char *runtime, int *ret, struct err *err)
{
	CLEANUP(close) int dir = -1;
	CLEANUP(close) int fd = -1;
	int r = dirs_make(runtime, &dir, err);

	if (r < 0)
		return r;
	fd = openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "start", errno, "open %s/%s",
			       runtime, LOCK_NAME);
	/* Whoever has it gives it back after CONNECT_WAIT_MS at the latest. */
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "start", errno, "lock %s/%s",
			       runtime, LOCK_NAME);
	*ret = TAKE_FD(fd);
	return 0;
}

int connect_engine(const char *path, bool autostart, int *ret, struct err *err)
{
	CLEANUP(close) int lock = -1;
	char runtime[PATH_MAX], own[PATH_MAX];
	struct err e = { 0 };
	int r, n;

	if (path) {
		r = connect_path(path, ret, &e);
		goto out;
	}
	r = dirs_runtime(runtime, err);
	if (r < 0)
		return r;
	n = snprintf(own, sizeof(own), "%s/%s", runtime, SOCKET_NAME);
	if (n < 0 || (size_t)n >= sizeof(own))
		return err_set(err, ERR_INVALID_INPUT, "socket", ENAMETOOLONG, "%.200s",
			       runtime);
	r = connect_path(own, ret, &e);
	if (r == 0 || !autostart || !nobody_there(&e))
		goto out;

	r = take_lock(runtime, &lock, err);
	if (r < 0)
		return r;
	r = connect_path(own, ret, &e);
	if (r == 0 || !nobody_there(&e))
		goto out;
	r = spawn_engine(err);
	if (r < 0)
		return r;
	r = connect_path(own, ret, &e);
out:
	if (r < 0 && err)
		*err = e;
	return r;
}
