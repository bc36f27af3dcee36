/* SPDX-License-Identifier: Apache-2.0 */

/* process.read: a piece of recorded output, at once or when there is some. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../box/reader.h"
#include "../wire/json.h"
#include "handlers.h"
#include "output.h"
#include "record.h"
#include "request.h"
#include "target.h"

#define SCAN_CHUNK ((size_t)65536)
#define SCAN_MAX ((size_t)4 << 20) /* bytes per turn and stream */
#define SCAN_LATE_NS (2 * NS_PER_SEC)

struct reading {
	struct call *call;
	struct process *process;
	struct waiter waiter;
	uint64_t deadline;
	bool wanted[BOX_STREAMS];
	uint64_t offset[BOX_STREAMS];
	uint64_t scanned[BOX_STREAMS]; /* `until` is not before this offset */
	uint64_t seen[BOX_STREAMS];    /* totals that is_ready() has judged */
	bool found;
};

static void reading_free(struct reading *r)
{
	waiter_remove(&r->waiter);
	r->call->state = NULL;
	free(r);
}

/* --- looking for a text --- */

/* One chunk from scanned[i] on. False if there is nothing more to look at now. */
static bool scan_chunk(struct reading *r, int i, const char *text, size_t len,
		       char *space)
{
	struct box_chunk c;
	int fd = process_box(r->process);

	if (fd < 0 || box_read(fd, i, r->scanned[i], space, SCAN_CHUNK, &c, NULL) < 0)
		return false;
	if (memmem(space, c.len, text, len)) {
		r->found = true;
		return false;
	}
	/* It may begin at the end of this chunk. */
	r->scanned[i] = c.next - MIN((uint64_t)(len - 1), (uint64_t)c.len);
	return c.len == SCAN_CHUNK;
}

/* True if a stream was not looked through to its end. */
static bool scan(struct reading *r, const char *text)
{
	CLEANUP(free) char *space = malloc(SCAN_CHUNK);
	size_t len = strlen(text);
	bool more = false;

	for (int i = 0; space && i < BOX_STREAMS && !r->found; i++) {
		size_t sum = 0;

		if (!r->wanted[i])
			continue;
		while (sum < SCAN_MAX && scan_chunk(r, i, text, len, space))
			sum += SCAN_CHUNK;
		more = more || sum >= SCAN_MAX;
	}
	return more && !r->found;
}

/* --- the answer --- */

static int set(json_t *o, const char *prefix, const char *name, json_t *value)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s%s", prefix, name);
	return json_object_set_new(o, key, value) < 0 ? -ENOMEM : 0;
}

static int add_stream(struct reading *r, int i, const char *prefix, json_t *o,
		      struct buf *raw, struct err *err)
{
	const struct read_params *q = r->call->params;
	struct box_chunk c = { .offset = r->offset[i], .next = r->offset[i] };
	struct process *p = r->process;
	size_t at = raw->len;
	int fd = i < (int)p->streams ? process_box(p) : -1;
	char *to = buf_reserve(raw, (size_t)q->max_bytes);

	if (!to)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot read that much");
	if (fd >= 0) {
		if (box_read(fd, i, r->offset[i], to, (size_t)q->max_bytes, &c, err) < 0)
			return -err->code;
		raw->len += c.len;
	} else {
		/* Nothing was ever written, or its box is gone. */
		c.at_end = p->closed || i >= (int)p->streams;
	}
	if (output_describe(o, output_names[i], at, c.len, c.len, 0) < 0 ||
	    set(o, prefix, "offset", json_integer((json_int_t)c.offset)) < 0 ||
	    set(o, prefix, "next_offset", json_integer((json_int_t)c.next)) < 0 ||
	    set(o, prefix, "lost_bytes", json_integer((json_int_t)c.lost)) < 0 ||
	    set(o, prefix, "eof", json_boolean(c.at_end)) < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot read that much");
	return 0;
}

static json_t *note_of(const struct reading *r)
{
	const struct read_params *q = r->call->params;

	if (q->stream == REQ_STDERR && (r->process->combined || r->process->pty))
		return json_string(
			"stderr of this command is in stdout, in the order in which "
			"it was written: read stdout");
	if (r->process->discard)
		return json_string("the output of this command is discarded");
	return json_null();
}

static json_t *result(struct reading *r, struct buf *raw, struct err *err)
{
	const struct read_params *q = r->call->params;
	CLEANUP(json_decref) json_t *o = json_object();
	struct process *p = r->process;
	char id[ID_TEXT];
	int e = 0;

	if (!o || set(o, "", "id", json_string(id_format(&p->id, ID_PROCESS, id))) < 0)
		e = err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	if (e == 0 && q->stream != REQ_STDERR)
		e = add_stream(r, 0, "", o, raw, err);
	if (e == 0 && q->stream != REQ_STDOUT)
		e = add_stream(r, 1, q->stream == REQ_BOTH ? "stderr_" : "", o, raw, err);
	if (e == 0 &&
	    (set(o, "", "exited", json_boolean(p->exited)) < 0 ||
	     set(o, "", "closed", json_boolean(p->closed)) < 0 ||
	     set(o, "", "note", note_of(r)) < 0 ||
	     set(o, "", "found", q->until ? json_boolean(r->found) : json_null()) < 0))
		e = err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	if (p->ended_mono_ns != 0)
		process_box_close(p);
	return e < 0 ? NULL : TAKE_PTR(o);
}

static void answer(struct reading *r)
{
	CLEANUP(buf_fini) struct buf raw = { 0 };
	struct call *c = r->call;
	struct err err;
	json_t *o = result(r, &raw, &err);

	reading_free(r);
	if (o)
		call_reply(c, o, raw.data, raw.len);
	else
		call_fail(c, &err);
}

/* --- waiting --- */

/*
 * Whether an answer now would have what was waited for, or nothing can come. What
 * is written after the totals were read is not judged, but waited for: see seen.
 */
static bool is_ready(struct reading *r, bool *ret_more)
{
	const struct read_params *q = r->call->params;
	struct process *p = r->process;
	bool over = p->closed || p->ended_mono_ns != 0;
	bool all_ended = true, any = false;
	int fd = process_box(p);

	*ret_more = false;
	for (int i = 0; i < BOX_STREAMS; i++) {
		struct box_extent x = { 0 };

		r->seen[i] = WAITER_NO_OUTPUT;
		if (!r->wanted[i])
			continue;
		if (fd >= 0 && box_read_extent(fd, i, &x, NULL) < 0)
			return true;
		any = any || x.total > r->offset[i];
		all_ended = all_ended && (x.at_end || over);
		if (!x.at_end)
			r->seen[i] = x.total;
	}
	if (!q->until)
		return any || all_ended;
	*ret_more = scan(r, q->until);
	return r->found || (all_ended && !*ret_more);
}

static void go_on(struct reading *r)
{
	uint64_t now = clock_mono();
	bool more;

	/* What is there already is looked through, in bounded time. */
	if (is_ready(r, &more) || now >= r->deadline + (more ? SCAN_LATE_NS : 0)) {
		answer(r);
		return;
	}
	memcpy(r->waiter.past, r->seen, sizeof(r->seen));
	keeper_watch(r->process);
	call_timer(r->call, more ? clock_mono() : r->deadline);
}

static void on_news(struct waiter *w, struct process *p, unsigned int news)
{
	struct reading *r = container_of(w, struct reading, waiter);
	struct err err;

	(void)p;
	if (news & NEWS_RELEASED) {
		struct call *c = r->call;

		(void)err_set(&err, ERR_NOT_FOUND, "id", 0, "the process was released");
		reading_free(r);
		call_fail(c, &err);
		return;
	}
	go_on(r);
}

static void on_tick(struct call *c)
{
	go_on(c->state);
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	reading_free(c->state);
}

/* --- where to begin --- */

static uint64_t tail_of(struct process *p, int i, const struct read_params *q)
{
	uint64_t want = q->has_tail_bytes ? q->tail_bytes : REQ_TAIL_DEFAULT;
	int fd = process_box(p);
	struct box_extent x;

	if (q->has_tail_lines)
		return output_tail_lines(p, i, q->tail_lines, (size_t)q->max_bytes);
	if (fd < 0 || box_read_extent(fd, i, &x, NULL) < 0)
		return 0;
	want = MIN(want, q->max_bytes);
	return x.total - MIN(x.total - x.start, want);
}

static int begin(struct reading *r, const struct read_params *q, struct err *err)
{
	const uint64_t given[BOX_STREAMS] = { q->offset, q->stream == REQ_BOTH ?
								 q->stderr_offset :
								 q->offset };
	bool has = q->has_offset || q->has_stderr_offset;

	(void)process_read(r->process);
	for (int i = 0; i < BOX_STREAMS; i++) {
		r->wanted[i] =
			i < (int)r->process->streams &&
			(q->stream == REQ_BOTH || (q->stream == REQ_STDERR) == (i == 1));
		if (!r->wanted[i])
			continue;
		r->offset[i] = has ? given[i] : tail_of(r->process, i, q);
		r->scanned[i] = r->offset[i];
		if (has && r->offset[i] > r->process->total[i])
			return err_set(err, ERR_INVALID_INPUT,
				       i && q->stream == REQ_BOTH ? "stderr_offset" :
								    "offset",
				       0,
				       "the offset is %llu, but only %llu bytes were "
				       "written to %s",
				       (unsigned long long)r->offset[i],
				       (unsigned long long)r->process->total[i],
				       output_names[i]);
	}
	return 0;
}

static int acknowledge(struct reading *r, const struct read_params *q, struct err *err)
{
	struct process *p = r->process;

	if (!q->ack)
		return 0;
	if (!p->block || !p->consumer || strcmp(p->consumer, q->consumer) != 0)
		return err_set(err, ERR_CONFLICT, "consumer", 0,
			       "the command has no consumer of this name");
	if (!principal_may(r->call->session->who, ACCESS_TOUCH, p->owner))
		return err_set(err, ERR_NOT_FOUND, "id", 0, "there is no such process");
	for (int i = 0; i < BOX_STREAMS; i++) {
		const struct keeper_msg m = { .type = KEEPER_ACK,
					      .a = (uint64_t)i,
					      .b = r->offset[i] };

		if (r->wanted[i] && (q->has_offset || q->has_stderr_offset))
			(void)keeper_tell(p, &m);
	}
	return 0;
}

int op_process_read(struct call *c, struct err *err)
{
	const struct keeper_msg touch = { .type = KEEPER_TOUCH };
	struct read_params *q = c->params;
	struct reading *r;
	struct process *p;
	bool more;
	int e;

	e = target_find(c, &q->target, ACCESS_SEE, &p, err);
	if (e < 0)
		return e;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	r->call = c;
	r->process = p;
	c->state = r;
	e = begin(r, q, err);
	if (e == 0)
		e = acknowledge(r, q, err);
	if (e < 0) {
		reading_free(r);
		return e;
	}
	(void)keeper_tell(p, &touch);
	r->deadline = clock_mono() + q->wait_ms * NS_PER_MS;
	if (q->wait_ms == 0 && !q->until) {
		answer(r);
		return 0;
	}
	if (is_ready(r, &more)) {
		answer(r);
		return 0;
	}
	c->stop = on_stop;
	c->tick = on_tick;
	process_wait(p, &r->waiter, on_news);
	go_on(r);
	return 0;
}
