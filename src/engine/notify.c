/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a service manager wants to hear and hands over: sd_notify(3),
 * sd_listen_fds(3), sd_watchdog_enabled(3), without its library.
 */

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/num.h"
#include "engine.h"

#define LISTEN_FD_FIRST 3

void notify_send(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	CLEANUP(close) int fd = -1;
	size_t len;

	if (!path || (*path != '/' && *path != '@') ||
	    strlen(path) >= sizeof(addr.sun_path))
		return;
	len = strlen(path);
	memcpy(addr.sun_path, path, len);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
			     (const struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

/* Whether a variable that names a process names us, or is not set and need not be. */
static bool is_for_us(const char *name, bool needed)
{
	const char *text = getenv(name);
	uint64_t pid;

	if (!text)
		return !needed;
	return num_parse_u64(text, 1, INT32_MAX, &pid) == 0 && (pid_t)pid == getpid();
}

uint64_t notify_watchdog(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t us;

	if (!text || !is_for_us("WATCHDOG_PID", false) ||
	    num_parse_u64(text, 1, UINT64_MAX / 1000, &us) < 0)
		return 0;
	return us * 1000;
}

int notify_listen_fd(void)
{
	const char *text = getenv("LISTEN_FDS");
	int type = 0, listens = 0;
	socklen_t len = sizeof(int);
	uint64_t n;

	if (!text || !is_for_us("LISTEN_PID", true) || num_parse_u64(text, 1, 1, &n) < 0)
		return -1;
	if (getsockopt(LISTEN_FD_FIRST, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_STREAM ||
	    getsockopt(LISTEN_FD_FIRST, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
	    !listens)
		return -1;
	(void)fd_set_cloexec(LISTEN_FD_FIRST, true);
	(void)fd_set_nonblock(LISTEN_FD_FIRST, true);
	return LISTEN_FD_FIRST;
}
