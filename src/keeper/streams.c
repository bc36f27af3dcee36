/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Output: from the command's pipes straight into the rings.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../base/clock.h"
#include "keeper.h"
#include "pipes.h"

#define READ_LEAST ((size_t)256)
#define READ_PTY ((size_t)4096)
#define PUMP_MAX ((size_t)4 << 20) /* per wakeup, so that timers are not starved */
#define GROW_AFTER 4		   /* full reads in a row */

uint64_t streams_total(const struct keeper *k, int i)
{
	return k->box.stream[i].counters ? box_writer_total(&k->box, i) : 0;
}

static void stream_ended(struct keeper *k, int i)
{
	streams_close(k, i);
	if (!streams_open(k)) {
		control_tell(k, KEEPER_CLOSED);
		k->box.record.flags |= BOX_HAS_CLOSED;
		if (k->life == LIFE_LINGERING || k->life == LIFE_DRAINING)
			life_event(k, EV_SETTLED);
	}
}

void streams_close(struct keeper *k, int i)
{
	struct keeper_stream *s = &k->out[i];

	if (s->fd < 0)
		return;
	if (s->large)
		pipes_shrink(s->fd);
	(void)close(s->fd);
	s->fd = -1;
	s->stalled = false;
	box_writer_end(&k->box, i);
}

bool streams_open(const struct keeper *k)
{
	return k->out[0].fd >= 0 || k->out[1].fd >= 0;
}

static void adapt_pipe(struct keeper_stream *s, size_t got)
{
	size_t whole = (s->large ? PIPE_PAGES_LARGE : PIPE_PAGES_SMALL) * (size_t)4096;

	if (s->pty)
		return;
	s->full_reads = got >= whole ? s->full_reads + 1 : 0;
	if (!s->large && s->full_reads >= GROW_AFTER)
		s->large = pipes_grow(s->fd);
}

static void check_limit(struct keeper *k)
{
	uint64_t limit = k->timers.output_limit;

	if (limit && k->ladder == LADDER_NONE &&
	    streams_total(k, 0) + streams_total(k, 1) > limit)
		ladder_begin(k, 9, 0, BOX_REASON_OUTPUT_LIMIT);
}

/*
 * What is asked for is reserved in the ring, and readers count it as overwritten
 * until the read is done: so no more than what is there to be read.
 */
static size_t readable(const struct keeper_stream *s)
{
	int n = 0;

	if (s->pty || ioctl(s->fd, FIONREAD, &n) < 0 || n < 0)
		return READ_PTY;
	return (size_t)n < READ_LEAST ? READ_LEAST : (size_t)n;
}

/* One read. Bytes, 0 when nothing can be read now, -1 at the end. */
static ssize_t pump_once(struct keeper *k, int i)
{
	static unsigned char nowhere[65536];
	struct keeper_stream *s = &k->out[i];
	size_t len = 0;
	ssize_t n;
	void *to;

	to = box_writer_span(&k->box, i, readable(s), &len);
	if (!to) {
		to = nowhere;
		len = sizeof(nowhere);
	} else if (len == 0) {
		s->stalled = true;
		if (!k->consumer && !k->deadline[TIMER_BLOCK])
			timer_arm(k, TIMER_BLOCK, k->timers.block);
		return 0;
	}
	do
		n = read(s->fd, to, len);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		box_writer_commit(&k->box, i, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	/* A terminal whose last user is gone answers EIO. */
	if (n <= 0)
		return -1;
	box_writer_commit(&k->box, i, (size_t)n);
	adapt_pipe(s, (size_t)n);
	return n;
}

bool streams_pump(struct keeper *k, int i)
{
	struct keeper_stream *s = &k->out[i];
	size_t sum = 0;

	while (s->fd >= 0 && sum < PUMP_MAX) {
		ssize_t n = pump_once(k, i);

		if (n < 0)
			stream_ended(k, i);
		if (n <= 0)
			break;
		sum += (size_t)n;
	}
	if (sum > 0) {
		keeper_touch(k);
		check_limit(k);
	}
	return s->fd >= 0 && sum >= PUMP_MAX;
}

void streams_last(struct keeper *k)
{
	/* At most what a pipe holds was written before now. */
	for (int i = 0; i < BOX_STREAMS; i++)
		if (k->out[i].fd >= 0)
			(void)streams_pump(k, i);
}
