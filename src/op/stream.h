/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stream - output of a process as events of a call, as it comes
 *
 * Chunks go from the box into the connection's buffer, no more than that has
 * room for; the ring is never copied as a whole. A reader that falls behind is
 * told what it lost. For overflow block the consumer's progress is acknowledged
 * once its bytes have left for the socket.
 *
 * The owner's waiter is told of output and of the end, and calls stream_pump().
 */

#include <stdbool.h>
#include <stdint.h>

#include "../core/process.h"
#include "call.h"

struct stream {
	struct call *call;
	struct process *process;
	struct waiter *waiter;
	uint64_t offset[BOX_STREAMS];
	bool eof[BOX_STREAMS]; /* told */
	bool ending;	       /* nothing beyond limit[] is sent */
	uint64_t limit[BOX_STREAMS];
	bool consumer; /* acknowledges */
	bool failed;   /* the box cannot be read (any more) */
	uint64_t acked[BOX_STREAMS], ack_mark, ack_next[BOX_STREAMS];
	bool ack_pending;
};

void stream_init(struct stream *s, struct call *c, struct process *p, struct waiter *w,
		 bool consumer);
/* Whoever streamed goes: the keeper is told that the consumer is gone. */
void stream_fini(struct stream *s);

/* Sends what is there and there is room for, and arms the waiter for more. */
void stream_pump(struct stream *s);

/* The command has ended: no byte that comes later is sent. */
void stream_end(struct stream *s);
/* After stream_end(): whether all has been queued. */
bool stream_done(const struct stream *s);
