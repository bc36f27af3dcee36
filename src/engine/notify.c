/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a service manager wants to hear and hands over: sd_notify(3),
 * sd_listen_fds(3), sd_watchdog_enabled(3), without its library.
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/log.h"
#include "../base/num.h"
#include "engine.h"

#define LISTEN_FD_FIRST 3
#define SEND_WAIT_SEC 5

/*
 * Before and after the loop nobody waits for us, and the manager must hear it; its
 * queue may be full for a moment. In the loop the next beat comes in time.
 */
static int wait_for_room(int fd)
{
	const struct timeval patience = { .tv_sec = SEND_WAIT_SEC };

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

void notify_send(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	bool beat = strcmp(state, "WATCHDOG=1") == 0;
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
	if (fd < 0 || (!beat && wait_for_room(fd) < 0) ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL | (beat ? MSG_DONTWAIT : 0),
		   (const struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warning("the service manager is not told %s: %s", state,
			    strerrordesc_np(errno));
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
	uint64_t n;

	if (!text || !is_for_us("LISTEN_PID", true))
		return -ENOENT;
	if (num_parse_u64(text, 0, INT32_MAX, &n) < 0)
		return -EINVAL;
	return n == 0 ? -ENOENT : n == 1 ? LISTEN_FD_FIRST : -E2BIG;
}
