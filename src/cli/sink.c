/* SPDX-License-Identifier: Apache-2.0 */

#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/macro.h"
#include "cli.h"

static bool reopen(struct sink *s, int fd)
{
	char path[32];
	int copy;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (copy < 0)
		return false;
	s->fd = copy;
	s->own = true;
	return true;
}

void sink_init(struct sink *s, int fd)
{
	struct stat st;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->kind = SINK_FILE;
	if (fstat(fd, &st) < 0) {
		s->error = errno;
		return;
	}
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return;
	if (S_ISSOCK(st.st_mode))
		s->kind = SINK_SOCKET;
	else if ((S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) && reopen(s, fd))
		s->kind = SINK_NONBLOCK;
	else
		s->kind = SINK_SMALL;
}

void sink_fini(struct sink *s)
{
	if (s->own)
		(void)close(s->fd);
	buf_fini(&s->rest);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

static bool writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) > 0;
}

static ssize_t write_some(struct sink *s, const void *data, size_t len)
{
	switch (s->kind) {
	case SINK_SOCKET:
		return send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_SMALL:
		if (!writable(s->fd)) {
			errno = EAGAIN;
			return -1;
		}
		return write(s->fd, data, MIN(len, (size_t)PIPE_BUF));
	case SINK_FILE:
	case SINK_NONBLOCK:
		break;
	}
	return write(s->fd, data, len);
}

/* Bytes written; less than len if it would block, or s->error is set. */
static size_t write_most(struct sink *s, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_some(s, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				s->error = errno;
			break;
		}
		done += (size_t)n;
	}
	return done;
}

void sink_put(struct sink *s, const void *data, size_t len)
{
	size_t done = 0;

	if (s->error)
		return;
	if (s->rest.len == 0)
		done = write_most(s, data, len);
	if (s->error || done == len)
		return;
	buf_add(&s->rest, (const char *)data + done, len - done);
	if (!buf_ok(&s->rest))
		(void)cli_need_memory(NULL);
}

void sink_flush(struct sink *s)
{
	size_t done;

	if (s->error || s->rest.len == 0)
		return;
	done = write_most(s, s->rest.data, s->rest.len);
	buf_eat(&s->rest, done);
}

void sink_drain(struct sink *s)
{
	while (sink_full(s)) {
		struct pollfd p = { .fd = s->fd, .events = POLLOUT };

		if (poll(&p, 1, -1) > 0)
			sink_flush(s);
	}
}
