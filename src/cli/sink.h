/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sink - where a command's output goes: a descriptor that must not block us
 *
 * What the descriptor does not take at once is kept, and the caller reads no more
 * from the engine until it is gone: memory stays flat however slow the reader is.
 *
 * Standard output is shared with other programs, so O_NONBLOCK is never set on it.
 * A pipe, a FIFO or a terminal is opened anew through /proc/self/fd, a socket is
 * written to with MSG_DONTWAIT; where that cannot be, PIPE_BUF bytes at a time are
 * written when poll(2) says there is room, which then do not block (pipe(7)).
 */

#include <stdbool.h>
#include <stddef.h>

#include "../base/buf.h"

enum sink_kind { SINK_FILE, SINK_NONBLOCK, SINK_SOCKET, SINK_SMALL };

struct sink {
	int fd;
	bool own; /* fd was opened here */
	enum sink_kind kind;
	struct buf rest;
	int error; /* errno of the first failure; nothing is written any more */
};

void sink_init(struct sink *s, int fd);
void sink_fini(struct sink *s);

/* Writes what goes, keeps the rest. Errors are found in s->error. */
void sink_put(struct sink *s, const void *data, size_t len);

static inline bool sink_full(const struct sink *s)
{
	return s->rest.len > 0 && s->error == 0;
}

/* When the descriptor is writable: writes what was kept. */
void sink_flush(struct sink *s);

/* Waits until all is written. */
void sink_drain(struct sink *s);
