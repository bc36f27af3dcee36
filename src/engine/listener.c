/* SPDX-License-Identifier: Apache-2.0 */

/* The socket that clients connect to. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fd.h"
#include "engine.h"
#include "peer.h"
#include "say.h"

#define BACKLOG 1024
#define ACCEPT_MAX 64 /* per wakeup */
#define PAUSE_NS (100 * NS_PER_MS)

/* A path that is too long for sun_path goes through its open directory. */
static int address(const struct engine *e, struct sockaddr_un *ret, struct err *err)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(e->socket_path) < sizeof(ret->sun_path)) {
		memcpy(ret->sun_path, e->socket_path, strlen(e->socket_path));
		return 0;
	}
	n = snprintf(ret->sun_path, sizeof(ret->sun_path),
		     "/proc/self/fd/%d/" ENGINE_SOCKET, e->runtime_fd);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path) ||
	    access("/proc/self/fd", X_OK) < 0)
		return err_set(
			err, ERR_UNAVAILABLE, "socket", ENAMETOOLONG,
			"%s is longer than a socket's path may be (%zu bytes), and /proc "
			"is not there to go around it: use a shorter runtime directory",
			e->socket_path, sizeof(ret->sun_path) - 1);
	return 0;
}

/* We have the lock of the state directory, but the runtime directory may be another's. */
static int remove_stale(const struct engine *e, const struct sockaddr_un *addr,
			struct err *err)
{
	CLEANUP(close)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "socket");
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
	    errno == EAGAIN)
		return err_set(
			err, ERR_CONFLICT, "socket", 0,
			"another engine, with another state directory, listens at %s",
			e->socket_path);
	if (unlinkat(e->runtime_fd, ENGINE_SOCKET, 0) < 0 && errno != ENOENT)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "remove the old %s",
			       e->socket_path);
	return 0;
}

static int bind_socket(struct engine *e, struct err *err)
{
	CLEANUP(close) int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = address(e, &addr, err);
	if (r == 0)
		r = remove_stale(e, &addr, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "bind %s",
			       e->socket_path);
	if (fchmodat(e->runtime_fd, ENGINE_SOCKET, 0600, 0) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "listen at %s",
			       e->socket_path);
	e->listen_fd = TAKE_FD(fd);
	return 0;
}

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Where clients find it, if that is a path: the manager may have put it elsewhere. */
static void take_name(struct engine *e)
{
	struct sockaddr_un at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(e->listen_fd, (struct sockaddr *)&at, &len) == 0 &&
	    at.sun_path[0] == '/')
		(void)snprintf(e->socket_path, sizeof(e->socket_path), "%.*s",
			       (int)sizeof(at.sun_path), at.sun_path);
}

/* 1 = it is ours now, 0 = none was given. */
static int take_given(struct engine *e, struct err *err)
{
	int fd = notify_listen_fd(), r;

	if (fd == -ENOENT)
		return 0;
	if (fd == -E2BIG)
		return err_set(err, ERR_INVALID_INPUT, "socket", 0,
			       "LISTEN_FDS names more than one socket; allowed: one");
	if (fd < 0)
		return err_set(err, ERR_INVALID_INPUT, "socket", 0,
			       "LISTEN_FDS is \"%.40s\"; allowed: 0 or 1",
			       getenv("LISTEN_FDS"));
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM ||
	    option(fd, SO_ACCEPTCONN) != 1)
		return err_set(err, ERR_INVALID_INPUT, "socket", 0,
			       "descriptor %d, given by LISTEN_FDS, is no Unix stream "
			       "socket that listens",
			       fd);
	r = fd_set_cloexec(fd, true);
	if (r == 0)
		r = fd_set_nonblock(fd, true);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", -r, "descriptor %d", fd);
	e->listen_fd = fd;
	take_name(e);
	return 1;
}

static void on_again(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, listen_again);

	watch_set(&e->listen_watch, WATCH_READ);
}

static void on_connection(struct watch *w, short what)
{
	struct engine *e = container_of(w, struct engine, listen_watch);

	(void)what;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			peer_accept(e, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			say(LOG_LEVEL_WARNING, "no more connections for now: %s",
			    strerrordesc_np(errno));
			watch_set(w, 0);
			timer_set(&e->listen_again, PAUSE_NS);
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

int listener_open(struct engine *e, struct err *err)
{
	int r = take_given(e, err);

	e->listen_given = r > 0;
	if (r == 0)
		r = bind_socket(e, err);
	if (r < 0)
		return r;
	timer_init(&e->listen_again, &e->loop, on_again);
	r = watch_init(&e->listen_watch, &e->loop, e->listen_fd, WATCH_READ,
		       on_connection);
	return r < 0 ? err_set(err, ERR_UNAVAILABLE, "socket", -r, "watch the socket") :
		       0;
}

void listener_close(struct engine *e)
{
	if (e->listen_fd < 0)
		return;
	timer_stop(&e->listen_again);
	watch_fini(&e->listen_watch);
	/* Unlinked first: who comes now finds nothing, not a socket that ends. */
	if (!e->listen_given)
		(void)unlinkat(e->runtime_fd, ENGINE_SOCKET, 0);
	(void)close(e->listen_fd);
	e->listen_fd = -1;
}
