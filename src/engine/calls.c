/* SPDX-License-Identifier: Apache-2.0 */

/* Calls in flight: from a frame to a handler, and back to a frame. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fault.h"
#include "../op/bus.h"
#include "../wire/json.h"
#include "engine.h"
#include "peer.h"
#include "say.h"

static struct flight *flight_of(const struct call *c)
{
	return container_of((struct call *)(uintptr_t)c, struct flight, call);
}

static struct flight *find(struct peer *p, uint32_t number)
{
	LIST_EACH (&p->calls, it) {
		struct flight *f = container_of(it, struct flight, node);

		if (f->call.number == number)
			return f;
	}
	return NULL;
}

/* Answered, or nobody waits for the answer any more. */
static void finish(struct flight *f)
{
	struct peer *p = f->peer;

	if (f->done)
		return;
	f->done = true;
	timer_stop(&f->timer);
	list_remove(&f->node);
	list_append(&p->dead_calls, &f->node);
	p->n_calls--;
	p->e->n_calls--;
	p->e->loop.again = true;
}

static void answer_error(struct peer *p, uint32_t number, const struct err *err)
{
	CLEANUP(json_decref) json_t *o = error_json(err);

	peer_send(p, FRAME_REPLY, number, o, NULL, 0);
}

void call_reply(struct call *c, json_t *result, const void *raw, size_t len)
{
	CLEANUP(json_decref)
	json_t *o = result ? json_pack("{s:o}", "result", result) : NULL;
	struct flight *f = flight_of(c);
	struct err err;

	if (f->done)
		return;
	if (o) {
		fault_point("reply");
		peer_send(f->peer, FRAME_REPLY, c->number, o, raw, len);
	} else {
		(void)err_set(&err, ERR_UNAVAILABLE, NULL, ENOMEM,
			      "no memory for the answer");
		answer_error(f->peer, c->number, &err);
	}
	finish(f);
}

void call_fail(struct call *c, const struct err *err)
{
	struct flight *f = flight_of(c);

	if (f->done)
		return;
	answer_error(f->peer, c->number, err);
	finish(f);
}

void call_event(struct call *c, json_t *event, const void *raw, size_t len)
{
	CLEANUP(json_decref) json_t *o = event;
	struct flight *f = flight_of(c);

	if (!f->done && o)
		peer_send(f->peer, FRAME_EVENT, c->number, o, raw, len);
}

bool call_has_room(const struct call *c)
{
	struct flight *f = flight_of(c);
	const struct peer *p = f->peer;

	if (p->queued - p->sent < PEER_HIGH)
		return true;
	f->wants_room = true;
	return false;
}

uint64_t call_mark(const struct call *c)
{
	struct flight *f = flight_of(c);

	f->mark = f->peer->queued;
	return f->mark;
}

bool call_sent(const struct call *c, uint64_t mark)
{
	return flight_of(c)->peer->sent >= mark;
}

bool calls_room(struct peer *p)
{
	bool room = p->queued - p->sent < PEER_HIGH / 2, called = false;

	LIST_EACH_SAFE (&p->calls, it) {
		struct flight *f = container_of(it, struct flight, node);
		bool left = f->mark != 0 && p->sent >= f->mark;

		if ((!f->wants_room || !room) && !left)
			continue;
		if (room)
			f->wants_room = false;
		if (left)
			f->mark = 0;
		called = true;
		if (f->call.room)
			f->call.room(&f->call);
		if (p->dead)
			break;
	}
	return called;
}

static void on_timer(struct timer *t)
{
	struct flight *f = container_of(t, struct flight, timer);

	if (!f->done && f->call.tick)
		f->call.tick(&f->call);
}

void call_timer(struct call *c, uint64_t at_mono_ns)
{
	struct flight *f = flight_of(c);
	uint64_t now = clock_mono();

	if (f->done)
		return;
	if (at_mono_ns == UINT64_MAX)
		timer_stop(&f->timer);
	else
		timer_set(&f->timer, at_mono_ns > now ? at_mono_ns - now : 0);
}

/* --- the journal of what was asked --- */

static void journal(struct flight *f, const char *name, const struct err *err)
{
	struct world *w = f->call.world;
	bool refused = err && (err->code == ERR_DENIED || err->code == ERR_QUOTA ||
			       err->code == ERR_UNAUTHENTICATED);
	const struct journal_event row = {
		.wall_ns = clock_wall(),
		.kind = refused ? "refusal" : "call",
		.actor = f->call.session->who->uid,
		.operation = name,
		.subject = *f->call.subject ? f->call.subject : NULL,
		.decision = refused ? "denied" :
			    err	    ? "failed" :
				      "allowed",
		.detail = err ? err->msg : NULL,
	};
	struct err e;

	if (refused)
		bus_denial(w, f->call.session->who, name, err);
	if (!refused && (err || !f->call.op || !f->call.op->changes))
		return;
	if (journal_event(w->journal, &row, &e) < 0)
		say(LOG_LEVEL_ERROR, "a call is not journalled: %s", e.msg);
}

/* --- a frame becomes a call --- */

static int decode(struct flight *f, const json_t *json, struct err *err)
{
	struct call *c = &f->call;
	const json_t *params = json_object_get(json, "params");
	int r;

	if (json_object_size(json) > (params ? 2U : 1U))
		return err_set(err, ERR_INVALID_INPUT, "call", 0,
			       "a call has op and params, and nothing else");
	c->json = params;
	c->params = calloc(1, c->op->params_size ? c->op->params_size : 1);
	if (!c->params)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "no memory for the call");
	r = op_decode(c->op, params, c->params, err);
	if (r < 0) {
		free(c->params);
		c->params = NULL;
	}
	return r;
}

static int dispatch(struct flight *f, const json_t *json, struct err *err)
{
	struct call *c = &f->call;
	int r;

	if (!ceiling_may(&c->session->ceiling, op_id(c->op)))
		return err_set(err, ERR_DENIED, "hello.operations", 0,
			       "the connection's hello does not allow %s", c->op->name);
	r = decode(f, json, err);
	if (r < 0)
		return r;
	return op_handlers[op_id(c->op)](c, err);
}

static struct flight *flight_new(struct peer *p, struct frame *f, const struct op *op)
{
	struct flight *fl = calloc(1, sizeof(*fl));
	struct call *c;

	if (!fl)
		return NULL;
	c = &fl->call;
	fl->peer = p;
	c->op = op;
	c->world = &p->e->world;
	c->session = &p->session;
	c->number = f->call;
	c->raw = f->raw;
	c->raw_len = f->raw_len;
	for (size_t i = 0; i < f->n_fds; i++)
		c->fds[i] = TAKE_FD(f->fds[i]);
	c->n_fds = f->n_fds;
	f->n_fds = 0;
	timer_init(&fl->timer, &p->e->loop, on_timer);
	list_append(&p->calls, &fl->node);
	p->n_calls++;
	p->e->n_calls++;
	return fl;
}

static void begin(struct peer *p, struct frame *f, const struct op *op,
		  const json_t *json)
{
	struct flight *fl = flight_new(p, f, op);
	struct err err = { 0 };
	int r;

	if (!fl) {
		(void)err_set(&err, ERR_UNAVAILABLE, NULL, ENOMEM,
			      "no memory for the call");
		answer_error(p, f->call, &err);
		return;
	}
	r = dispatch(fl, json, &err);
	journal(fl, op->name, r < 0 ? &err : NULL);
	fl->call.json = NULL;
	fl->call.raw = NULL;
	fl->call.raw_len = 0;
	for (size_t i = 0; i < fl->call.n_fds; i++)
		if (fl->call.fds[i] >= 0)
			(void)close(fl->call.fds[i]);
	fl->call.n_fds = 0;
	if (r < 0)
		call_fail(&fl->call, &err);
}

int calls_begin(struct peer *p, struct frame *f, struct err *ret)
{
	CLEANUP(json_decref) json_t *json = NULL;
	const struct op *op = NULL;
	const char *name;
	struct err err;
	int r;

	if (find(p, f->call))
		return err_set(ret, ERR_INVALID_INPUT, "call", 0,
			       "call number %u is in use already", f->call);
	r = field_parse(f->json, f->json_len, &json, &err);
	if (r == 0) {
		name = json_string_value(json_object_get(json, "op"));
		op = name ? op_find(name) : NULL;
		if (!op)
			r = err_set(&err, ERR_INVALID_INPUT, "op", 0,
				    name ? "there is no operation of this name" :
					   "op, the name of an operation, is missing");
	}
	if (r == 0 && p->n_calls >= ENGINE_CALLS_MAX)
		r = err_set(&err, ERR_QUOTA, NULL, 0,
			    "%u calls of this connection are in flight already",
			    ENGINE_CALLS_MAX);
	if (r != 0)
		answer_error(p, f->call, &err);
	else
		begin(p, f, op, json);
	return 0;
}

/* --- their end --- */

static void stop(struct flight *f, enum call_end why)
{
	static const int codes[] = { ERR_CANCELLED, ERR_UNAVAILABLE, ERR_UNAVAILABLE };
	static const char *const texts[] = {
		"the call was cancelled; nothing was ended by that",
		"the connection is lost", "the engine is ending; commands run on"
	};
	struct err err;

	if (f->done)
		return;
	if (f->call.stop)
		f->call.stop(&f->call, why);
	if (why != CALL_LOST) {
		(void)err_set(&err, codes[why], NULL, 0, "%s", texts[why]);
		answer_error(f->peer, f->call.number, &err);
	}
	finish(f);
}

void calls_cancel(struct peer *p, uint32_t number)
{
	struct flight *f = find(p, number);

	/* The reply may be under way already. */
	if (f)
		stop(f, CALL_CANCELLED);
}

void calls_stop(struct peer *p, enum call_end why)
{
	while (!list_empty(&p->calls))
		stop(container_of(p->calls.next, struct flight, node), why);
}

void calls_reap(struct peer *p)
{
	LIST_EACH_SAFE (&p->dead_calls, it) {
		struct flight *f = container_of(it, struct flight, node);

		list_remove(it);
		if (f->call.params) {
			op_params_fini(f->call.op, f->call.params);
			free(f->call.params);
		}
		free(f);
	}
}
