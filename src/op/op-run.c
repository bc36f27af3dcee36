/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Calls that wait for a command: process.run, start, wait, attach.
 *
 * One struct waiting serves them all: it has a waiter per process, at most one of
 * which may be streamed. What happens to the processes drives it; the call's timer
 * is its deadline and its heartbeat. Ending it kills nothing, unless the command
 * was started with on_disconnect: kill and the connection is lost.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../wire/json.h"
#include "bus.h"
#include "handlers.h"
#include "output.h"
#include "record.h"
#include "request.h"
#include "start.h"
#include "stream.h"
#include "target.h"

#define HEARTBEAT_NS (5 * NS_PER_SEC)
#define START_WAIT_NS (20 * NS_PER_SEC) /* process.start answers by then in any case */
#define QUIET_NS (200 * NS_PER_MS)

enum waiting_kind { WAIT_START, WAIT_RUN, WAIT_WAIT, WAIT_ATTACH };

struct waiting;

struct waiting_one {
	struct waiter waiter; /* first */
	struct waiting *w;
	struct process *process;
};

struct waiting {
	struct call *call;
	enum waiting_kind kind;
	enum req_wait_for what;
	bool streams;
	struct stream stream;
	size_t max_output;
	uint64_t deadline, beat, quiet; /* CLOCK_MONOTONIC, UINT64_MAX = none */
	bool exited;			/* news of it came; the stream may go on */
	size_t n;
	struct waiting_one one[];
};

static void waiting_free(struct waiting *w)
{
	if (w->streams)
		stream_fini(&w->stream);
	for (size_t i = 0; i < w->n; i++)
		waiter_remove(&w->one[i].waiter);
	w->call->state = NULL;
	free(w);
}

static void fail(struct waiting *w, const struct err *err)
{
	struct call *c = w->call;

	waiting_free(w);
	call_fail(c, err);
}

/* --- answers --- */

static void reply(struct waiting *w, struct process *p, bool done)
{
	CLEANUP(buf_fini) struct buf raw = { 0 };
	struct call *c = w->call;
	json_t *o = record_json(c->world, p, c->session->who);
	bool output = w->kind == WAIT_WAIT || (w->kind == WAIT_RUN && !w->streams);

	if (o && w->kind == WAIT_WAIT)
		(void)json_object_set_new(o, "done", json_boolean(done));
	if (o && output && output_ends(p, w->max_output, o, &raw) < 0) {
		json_decref(o);
		o = NULL;
	}
	waiting_free(w);
	call_reply(c, o, raw.data, raw.len);
}

/*
 * A command that cannot be executed is a result, like one that ran and failed. A
 * sandbox that cannot be built is an error: the caller did not get what he asked.
 */
static bool is_error(const struct process *p)
{
	return p->start_err && strcmp(p->start_err->stage, "exec") != 0 &&
	       strcmp(p->start_err->stage, "interpreter") != 0 &&
	       strcmp(p->start_err->stage, "cwd") != 0;
}

static void reply_failed(struct waiting *w, struct process *p)
{
	if (is_error(p) && p->record.reason == BOX_REASON_START_FAILED &&
	    (w->kind == WAIT_START || w->kind == WAIT_RUN))
		fail(w, p->start_err);
	else
		reply(w, p, true);
}

/* --- time --- */

static void arm(struct waiting *w)
{
	call_timer(w->call, MIN(w->deadline, MIN(w->beat, w->quiet)));
}

static void heartbeat(struct waiting *w)
{
	struct process *p = w->one[0].process;
	json_t *e = bus_event(BUS_HEARTBEAT, p);
	uint64_t since;

	(void)process_read(p);
	since = p->record.started_boot_ns ? p->record.started_boot_ns :
					    p->created_boot_ns;
	if (e) {
		(void)json_object_set_new(
			e, "duration_ms",
			json_integer((json_int_t)((clock_boot() - since) / NS_PER_MS)));
		for (int i = 0; i < BOX_STREAMS; i++)
			(void)json_object_set_new(e, i ? "stderr_bytes" : "stdout_bytes",
						  json_integer((json_int_t)p->total[i]));
		bus_heartbeat(w->call->world, p, e);
	}
	/* To one that does not read it is no news anyway. */
	if (call_has_room(w->call))
		call_event(w->call, e, NULL, 0);
	else
		json_decref(e);
}

static void finish_stream(struct waiting *w)
{
	stream_end(&w->stream);
	stream_pump(&w->stream);
	if (stream_done(&w->stream))
		reply(w, w->one[0].process, true);
}

static void on_tick(struct call *c)
{
	struct waiting *w = c->state;
	uint64_t now = clock_mono();

	if (now >= w->deadline) {
		reply(w, w->one[0].process, false);
		return;
	}
	if (now >= w->quiet) {
		w->quiet = UINT64_MAX;
		finish_stream(w);
		return;
	}
	if (now >= w->beat) {
		heartbeat(w);
		w->beat = now + HEARTBEAT_NS;
	}
	arm(w);
}

/* --- news --- */

/*
 * With overflow block there is more behind a full ring: the end of the stream is
 * that of the pipe, or, if something else holds it open, when it falls silent.
 */
static void exited_stream(struct waiting *w, struct process *p, unsigned int news)
{
	w->exited = true;
	if (!w->stream.consumer || p->closed || p->ended_mono_ns != 0 ||
	    news & (NEWS_CLOSED | NEWS_EMPTY | NEWS_LOST)) {
		finish_stream(w);
		return;
	}
	stream_pump(&w->stream);
	w->quiet = clock_mono() + QUIET_NS;
	arm(w);
}

static bool is_done(const struct waiting *w, const struct process *p)
{
	if (p->ended_mono_ns != 0)
		return true;
	switch (w->what) {
	case REQ_WAIT_EXITED:
		return p->exited;
	case REQ_WAIT_CLOSED:
		return p->exited && p->closed;
	case REQ_WAIT_EMPTY:
		return p->empty;
	}
	return false;
}

static void on_news(struct waiter *waiter, struct process *p, unsigned int news)
{
	struct waiting_one *one = container_of(waiter, struct waiting_one, waiter);
	struct waiting *w = one->w;
	struct err err;

	if (news & NEWS_RELEASED) {
		(void)err_set(&err, ERR_NOT_FOUND, "id", 0,
			      "the process was released while this call waited for it");
		w->streams = false;
		fail(w, &err);
	} else if (news & NEWS_FAILED) {
		reply_failed(w, p);
	} else if (w->kind == WAIT_START) {
		if (news & (NEWS_STARTED | NEWS_EXITED | NEWS_EMPTY | NEWS_LOST))
			reply(w, p, true);
	} else if (!w->streams) {
		if (is_done(w, p))
			reply(w, p, true);
	} else if (w->exited || is_done(w, p)) {
		exited_stream(w, p, news);
	} else {
		stream_pump(&w->stream);
	}
}

static void on_room(struct call *c)
{
	struct waiting *w = c->state;

	if (!w->streams)
		return;
	stream_pump(&w->stream);
	if (stream_done(&w->stream))
		reply(w, w->one[0].process, true);
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	waiting_free(c->state);
}

/* --- the operations --- */

static struct waiting *waiting_new(struct call *c, enum waiting_kind kind, size_t n,
				   struct err *err)
{
	struct waiting *w = calloc(1, sizeof(*w) + n * sizeof(w->one[0]));

	if (!w) {
		(void)err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "cannot wait");
		return NULL;
	}
	w->call = c;
	w->kind = kind;
	w->deadline = w->quiet = UINT64_MAX;
	w->beat = kind == WAIT_START ? UINT64_MAX : clock_mono() + HEARTBEAT_NS;
	c->state = w;
	c->stop = on_stop;
	c->tick = on_tick;
	c->room = on_room;
	return w;
}

static void wait_for(struct waiting *w, struct process *p)
{
	struct waiting_one *one = &w->one[w->n++];

	one->w = w;
	one->process = p;
	process_wait(p, &one->waiter, on_news);
}

static uint64_t after_ms(uint64_t ms)
{
	return clock_mono() + ms * NS_PER_MS;
}

static bool is_consumer(const struct process *p, const char *name)
{
	return p->block && name && p->consumer && strcmp(p->consumer, name) == 0;
}

int op_process_start(struct call *c, struct err *err)
{
	struct start_params *q = c->params;
	struct process *p;
	struct waiting *w;
	bool repeated;
	int r;

	r = start_command(c, q, &p, &repeated, err);
	if (r < 0)
		return r;
	w = waiting_new(c, WAIT_START, 1, err);
	if (!w)
		return -err->code;
	wait_for(w, p);
	w->deadline = clock_mono() + START_WAIT_NS;
	/* Only an earlier call's can be that far: its record is the answer. */
	if (p->state != PROCESS_STARTING)
		reply(w, p, true);
	else
		arm(w);
	return 0;
}

int op_process_run(struct call *c, struct err *err)
{
	struct run_params *q = c->params;
	struct process *p;
	struct waiting *w;
	bool repeated;
	int r;

	r = start_command(c, &q->start, &p, &repeated, err);
	if (r < 0)
		return r;
	w = waiting_new(c, WAIT_RUN, 1, err);
	if (!w)
		return -err->code;
	w->what = REQ_WAIT_EXITED;
	w->max_output = (size_t)q->max_output_bytes;
	if (q->has_wait_ms)
		w->deadline = after_ms(q->wait_ms);
	wait_for(w, p);
	w->streams = q->stream;
	if (w->streams)
		stream_init(&w->stream, c, p, &w->one[0].waiter, true);
	if (repeated && is_done(w, p)) {
		if (w->streams && p->record.reason != BOX_REASON_START_FAILED)
			exited_stream(w, p, NEWS_EXITED);
		else
			reply(w, p, true);
		return 0;
	}
	arm(w);
	if (w->streams)
		stream_pump(&w->stream);
	return 0;
}

static int check_offsets(struct process *p, const struct attach_params *q,
			 struct err *err)
{
	const uint64_t offset[BOX_STREAMS] = { q->stdout_offset, q->stderr_offset };

	(void)process_read(p);
	for (int i = 0; i < BOX_STREAMS; i++)
		if (offset[i] > p->total[i])
			return err_set(
				err, ERR_INVALID_INPUT,
				i ? "stderr_offset" : "stdout_offset", 0,
				"%s_offset is %llu, but only %llu bytes were written",
				output_names[i], (unsigned long long)offset[i],
				(unsigned long long)p->total[i]);
	return 0;
}

int op_process_attach(struct call *c, struct err *err)
{
	struct attach_params *q = c->params;
	struct process *p;
	struct waiting *w;
	int r;

	r = target_find_id(c, q->id, q->input ? ACCESS_TOUCH : ACCESS_SEE, &p, err);
	if (r < 0)
		return r;
	if (q->consumer && !is_consumer(p, q->consumer))
		return err_set(err, ERR_CONFLICT, "consumer", 0,
			       "the command has no consumer of this name");
	r = check_offsets(p, q, err);
	if (r < 0)
		return r;
	w = waiting_new(c, WAIT_ATTACH, 1, err);
	if (!w)
		return -err->code;
	wait_for(w, p);
	w->streams = true;
	stream_init(&w->stream, c, p, &w->one[0].waiter, is_consumer(p, q->consumer));
	w->stream.offset[0] = q->stdout_offset;
	w->stream.offset[1] = q->stderr_offset;
	if (p->exited || p->ended_mono_ns != 0) {
		exited_stream(w, p, p->ended_mono_ns != 0 ? NEWS_EMPTY : NEWS_EXITED);
		return 0;
	}
	arm(w);
	stream_pump(&w->stream);
	return 0;
}

static int wait_for_all(struct call *c, struct waiting *w, const struct wait_params *q,
			struct err *err)
{
	struct process *p;
	int r = 0;

	if (q->ids.n == 0) {
		r = target_find(c, &q->target, ACCESS_SEE, &p, err);
		if (r == 0)
			wait_for(w, p);
	}
	for (size_t i = 0; r == 0 && i < q->ids.n; i++) {
		r = target_find_id(c, q->ids.v[i], ACCESS_SEE, &p, err);
		if (r == 0)
			wait_for(w, p);
	}
	return r;
}

int op_process_wait(struct call *c, struct err *err)
{
	struct wait_params *q = c->params;
	struct waiting *w = waiting_new(c, WAIT_WAIT, MAX(q->ids.n, (size_t)1), err);
	int r;

	if (!w)
		return -err->code;
	w->what = (enum req_wait_for)q->wait_for;
	w->max_output = (size_t)q->max_output_bytes;
	r = wait_for_all(c, w, q, err);
	if (r < 0) {
		waiting_free(w);
		return r;
	}
	for (size_t i = 0; i < w->n; i++)
		if (is_done(w, w->one[i].process)) {
			reply(w, w->one[i].process, true);
			return 0;
		}
	if (q->wait_ms == 0) {
		reply(w, w->one[0].process, false);
		return 0;
	}
	w->deadline = after_ms(q->wait_ms);
	arm(w);
	return 0;
}
