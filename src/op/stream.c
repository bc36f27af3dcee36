/* SPDX-License-Identifier: Apache-2.0 */

#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../box/reader.h"
#include "output.h"

static void tell_consumer(const struct stream *s, bool there)
{
	const struct keeper_msg m = { .type = KEEPER_CONSUMER, .a = there };

	if (s->consumer && s->process)
		(void)keeper_tell(s->process, &m);
}

void stream_init(struct stream *s, struct call *c, struct process *p, struct waiter *w,
		 bool consumer)
{
	s->call = c;
	s->process = p;
	s->waiter = w;
	s->consumer = consumer && p->block;
	tell_consumer(s, true);
}

void stream_fini(struct stream *s)
{
	tell_consumer(s, false);
	s->process = NULL;
}

static json_t *event(const struct stream *s, const char *kind, int i)
{
	char id[ID_TEXT];

	return json_pack("{s:s, s:s, s:s, s:I}", "event", kind, "id",
			 id_format(&s->process->id, ID_PROCESS, id), "stream",
			 output_names[i], "offset", (json_int_t)s->offset[i]);
}

static void send_chunk(struct stream *s, int i, const struct box_chunk *c,
		       const void *bytes)
{
	json_t *e;

	s->offset[i] = c->offset;
	e = event(s, "output", i);
	if (e)
		(void)json_object_set_new(e, "lost_bytes",
					  json_integer((json_int_t)c->lost));
	call_event(s->call, e, bytes, c->len);
	s->offset[i] = c->next;
}

/* One chunk of one stream; false if there is nothing to send now. */
static bool pump_one(struct stream *s, int i, void *space)
{
	struct process *p = s->process;
	size_t want = OUTPUT_CHUNK;
	struct box_chunk c;
	int fd;

	if (i >= (int)p->streams || s->eof[i])
		return false;
	if (s->ending && s->offset[i] >= s->limit[i])
		return false;
	if (s->ending)
		want = MIN(want, (size_t)(s->limit[i] - s->offset[i]));
	fd = process_box(p);
	if (fd < 0) {
		/* Before its keeper took it there is nothing; at the end there never was.
		 */
		s->failed = s->ending;
		return false;
	}
	if (box_read(fd, i, s->offset[i], space, want, &c, NULL) < 0) {
		s->failed = true;
		return false;
	}
	if (c.len > 0)
		send_chunk(s, i, &c, space);
	if (c.at_end && !s->eof[i]) {
		s->eof[i] = true;
		call_event(s->call, event(s, "eof", i), NULL, 0);
	}
	return c.len > 0;
}

static void acknowledge(struct stream *s)
{
	if (!s->consumer)
		return;
	if (s->ack_pending && call_sent(s->call, s->ack_mark)) {
		s->ack_pending = false;
		for (int i = 0; i < BOX_STREAMS; i++) {
			const struct keeper_msg m = { .type = KEEPER_ACK,
						      .a = (uint64_t)i,
						      .b = s->ack_next[i] };

			if (s->ack_next[i] > s->acked[i])
				(void)keeper_tell(s->process, &m);
			s->acked[i] = s->ack_next[i];
		}
	}
	if (!s->ack_pending && memcmp(s->offset, s->acked, sizeof(s->acked)) != 0) {
		s->ack_pending = true;
		s->ack_mark = call_mark(s->call);
		memcpy(s->ack_next, s->offset, sizeof(s->ack_next));
	}
}

void stream_pump(struct stream *s)
{
	CLEANUP(free) void *space = malloc(OUTPUT_CHUNK);
	bool more = space != NULL;

	while (more) {
		more = false;
		for (int i = 0; i < BOX_STREAMS && call_has_room(s->call); i++)
			more = pump_one(s, i, space) || more;
		more = more && call_has_room(s->call);
	}
	acknowledge(s);
	/* A box that was cut short has less than its numbers say. */
	if (s->ending && call_has_room(s->call) && !stream_done(s))
		s->failed = true;
	/* Without room the connection calls back; then all is looked at again. */
	for (int i = 0; i < BOX_STREAMS; i++)
		s->waiter->past[i] =
			s->ending || s->failed || i >= (int)s->process->streams ||
					s->eof[i] || !call_has_room(s->call) ?
				WAITER_NO_OUTPUT :
				s->offset[i];
	keeper_watch(s->process);
}

void stream_end(struct stream *s)
{
	struct process *p = s->process;
	int fd = process_box(p);

	if (s->ending)
		return;
	s->ending = true;
	for (int i = 0; i < BOX_STREAMS; i++) {
		struct box_extent x = { 0 };

		if (i < (int)p->streams && fd >= 0)
			(void)box_read_extent(fd, i, &x, NULL);
		s->limit[i] = x.total;
	}
}

bool stream_done(const struct stream *s)
{
	if (!s->ending)
		return false;
	for (int i = 0; i < (int)s->process->streams; i++)
		if (!s->failed && !s->eof[i] && s->offset[i] < s->limit[i])
			return false;
	return true;
}
