/* SPDX-License-Identifier: Apache-2.0 */

/* process.write, signal, resize: something is given to a command. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/signame.h"
#include "../wire/json.h"
#include "feed.h"
#include "handlers.h"
#include "request.h"
#include "target.h"

#define ANSWER_NS (5 * NS_PER_SEC)

/* --- write --- */

/* One feed; it outlives those who asked for it, since the command may yet read it. */
struct writing {
	struct world *world;
	struct feed *feed;
	struct id id;
	char *write_id; /* NULL = none */
	struct list askers;
};

/* A call that waits for it: the first one, or a repetition. */
struct asker {
	struct list node;
	struct call *call;
	struct writing *w;
	bool repeated;
};

static void writing_free(struct writing *w)
{
	free(w->write_id);
	free(w);
}

static void asker_free(struct asker *a)
{
	list_remove(&a->node);
	a->call->state = NULL;
	a->call->stop = NULL;
	a->call->tick = NULL;
	free(a);
}

static json_t *write_result(const struct id *id, uint64_t taken, bool repeated,
			    bool closed, bool timed_out)
{
	char text[ID_TEXT];

	return json_pack("{s:s, s:I, s:b, s:b, s:b}", "id",
			 id_format(id, ID_PROCESS, text), "bytes", (json_int_t)taken,
			 "repeated", repeated, "closed", closed, "timed_out", timed_out);
}

static void note_write(const struct writing *w, uint64_t taken)
{
	struct process *p = process_find(&w->world->processes, &w->id);
	struct process_write *seen;

	if (p && w->write_id && process_write_seen(p, w->write_id, &seen) && seen) {
		seen->taken = taken;
		seen->done = true;
	}
}

static void answer_write(struct asker *a, const struct feed_result *r)
{
	const struct writing *w = a->w;
	struct call *c = a->call;
	bool repeated = a->repeated;
	struct err err;

	asker_free(a);
	if (r->error == 0 || r->taken > 0) {
		call_reply(c, write_result(&w->id, r->taken, repeated, r->closed, false),
			   NULL, 0);
		return;
	}
	(void)err_set(&err, ERR_CONFLICT, "id", r->error == EPROTO ? 0 : r->error,
		      "the command took none of it");
	call_fail(c, &err);
}

static void on_written(void *data, const struct feed_result *r)
{
	struct writing *w = data;

	note_write(w, r->taken);
	while (!list_empty(&w->askers))
		answer_write(container_of(w->askers.next, struct asker, node), r);
	writing_free(w);
}

static void on_write_tick(struct call *c)
{
	struct asker *a = c->state;
	json_t *o = write_result(&a->w->id, a->w->feed->taken, a->repeated, false, true);

	asker_free(a);
	call_reply(c, o, NULL, 0);
}

static void on_write_stop(struct call *c, enum call_end why)
{
	(void)why;
	asker_free(c->state);
}

static int ask_for(struct writing *w, struct call *c, bool repeated, struct err *err)
{
	const struct write_params *q = c->params;
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	a->call = c;
	a->w = w;
	a->repeated = repeated;
	list_append(&w->askers, &a->node);
	c->state = a;
	c->stop = on_write_stop;
	c->tick = on_write_tick;
	call_timer(c, clock_mono() + q->wait_ms * NS_PER_MS);
	return 0;
}

static struct writing *find_writing(const struct process *p, const char *write_id)
{
	LIST_EACH (&p->feeds, it) {
		const struct feed *f = container_of(it, struct feed, node);
		struct writing *w = f->done == on_written ? f->data : NULL;

		if (w && w->write_id && strcmp(w->write_id, write_id) == 0)
			return w;
	}
	return NULL;
}

/* The answer of the first one, once there is one. */
static int repeat(struct call *c, const struct process *p,
		  const struct process_write *seen, struct err *err)
{
	struct writing *w = seen->done ? NULL : find_writing(p, seen->id);

	if (w)
		return ask_for(w, c, true, err);
	if (!seen->done)
		return err_set(err, ERR_CONFLICT, "write_id", 0,
			       "this write is still under way");
	call_reply(c, write_result(&p->id, seen->taken, true, !p->stdin_open, false),
		   NULL, 0);
	return 0;
}

/* Bytes of data, or those behind the JSON. */
static int take_bytes(struct call *c, struct write_params *q, unsigned char **ret,
		      size_t *ret_len, struct err *err)
{
	if (q->data.v && c->raw_len > 0)
		return err_set(err, ERR_INVALID_INPUT, "data", 0,
			       "data is given twice: in the parameters and behind them");
	if (c->raw_len > REQ_WRITE_MAX)
		return err_set(err, ERR_INVALID_INPUT, "data", 0,
			       "%zu bytes came; allowed: at most %zu", c->raw_len,
			       REQ_WRITE_MAX);
	if (q->data.v) {
		*ret = TAKE_PTR(q->data.v);
		*ret_len = q->data.len;
		q->data.len = 0;
		return 0;
	}
	*ret = malloc(c->raw_len > 0 ? c->raw_len : 1);
	if (!*ret)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	if (c->raw_len > 0)
		memcpy(*ret, c->raw, c->raw_len);
	*ret_len = c->raw_len;
	return 0;
}

static struct writing *writing_new(struct call *c, const struct process *p,
				   const char *write_id)
{
	struct writing *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->world = c->world;
	w->id = p->id;
	w->write_id = write_id ? strdup(write_id) : NULL;
	list_init(&w->askers);
	if (write_id && !w->write_id) {
		free(w);
		return NULL;
	}
	return w;
}

/* Takes bytes. The call may be answered at once. */
static int begin_write(struct call *c, struct process *p, unsigned char *bytes,
		       size_t len, struct err *err)
{
	const struct write_params *q = c->params;
	struct writing *w = writing_new(c, p, q->write_id);
	int r;

	if (!w) {
		free(bytes);
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	}
	r = ask_for(w, c, false, err);
	if (r < 0) {
		free(bytes);
		writing_free(w);
		return r;
	}
	r = feed_start(p, bytes, len, q->close, on_written, w, &w->feed, err);
	if (r < 0) {
		asker_free(c->state);
		writing_free(w);
	}
	return r;
}

int op_process_write(struct call *c, struct err *err)
{
	struct write_params *q = c->params;
	struct process_write *seen = NULL;
	unsigned char *bytes = NULL;
	struct process *p;
	size_t len = 0;
	int r;

	r = target_find_id(c, q->id, ACCESS_TOUCH, &p, err);
	if (r < 0)
		return r;
	if (q->write_id && process_write_seen(p, q->write_id, &seen))
		return repeat(c, p, seen, err);
	r = take_bytes(c, q, &bytes, &len, err);
	if (r == 0)
		r = begin_write(c, p, bytes, len, err);
	if (r < 0 && seen)
		memset(seen, 0, sizeof(*seen)); /* it was not even begun */
	return r;
}

/* --- signal, resize: one question --- */

struct asking {
	struct keeper_ask ask;
	struct call *call;
	struct id id;
	int signal;		/* 0 = resize */
	struct keeper_ask stat; /* after a signal: what lives */
};

static void asking_free(struct asking *a)
{
	keeper_ask_drop(&a->ask);
	keeper_ask_drop(&a->stat);
	a->call->state = NULL;
	free(a);
}

static void on_asking_stop(struct call *c, enum call_end why)
{
	(void)why;
	asking_free(c->state);
}

static void on_asking_tick(struct call *c)
{
	struct err err;

	(void)err_set(&err, ERR_TIMEOUT, NULL, 0, "the command's keeper does not answer");
	asking_free(c->state);
	call_fail(c, &err);
}

static void answer_signal(struct asking *a, json_t *live)
{
	struct call *c = a->call;
	char id[ID_TEXT], name[SIGNAME_MAX];
	json_t *o = json_pack("{s:s, s:s, s:o}", "id", id_format(&a->id, ID_PROCESS, id),
			      "sent", signame(a->signal, name), "live", live);

	asking_free(a);
	call_reply(c, o, NULL, 0);
}

static void on_live(struct keeper_ask *ask, int error, const struct keeper_msg *m,
		    const struct keeper_stat *st)
{
	struct asking *a = container_of(ask, struct asking, stat);

	(void)m;
	answer_signal(a, error == 0 && st ? json_integer(st->live) : json_null());
}

static void on_answer(struct keeper_ask *ask, int error, const struct keeper_msg *m,
		      const struct keeper_stat *st)
{
	const struct keeper_msg stat = { .type = KEEPER_STAT };
	struct asking *a = container_of(ask, struct asking, ask);
	struct call *c = a->call;
	struct process *p = process_find(&c->world->processes, &a->id);
	struct err err;

	(void)m;
	(void)st;
	if (error != 0) {
		if (error == ESRCH)
			(void)err_set(&err, ERR_CONFLICT, "id", 0,
				      "the command has ended");
		else if (error == ENOTTY)
			(void)err_set(&err, ERR_CONFLICT, "id", 0,
				      "the command has no terminal");
		else
			(void)err_set(&err, ERR_CONFLICT, NULL, error,
				      "the keeper refused");
		asking_free(a);
		call_fail(c, &err);
	} else if (a->signal == 0) {
		asking_free(a);
		call_reply(c, json_object(), NULL, 0);
	} else if (p && keeper_ask(p, &stat, NULL, &a->stat, &err) == 0) {
		a->stat.fn = on_live;
	} else {
		answer_signal(a, json_null());
	}
}

static int ask(struct call *c, struct process *p, const struct keeper_msg *m, int sig,
	       struct err *err)
{
	struct asking *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	a->call = c;
	a->id = p->id;
	a->signal = sig;
	c->state = a;
	r = keeper_ask(p, m, NULL, &a->ask, err);
	if (r < 0) {
		asking_free(a);
		return r;
	}
	a->ask.fn = on_answer;
	c->stop = on_asking_stop;
	c->tick = on_asking_tick;
	call_timer(c, clock_mono() + ANSWER_NS);
	return 0;
}

int op_process_signal(struct call *c, struct err *err)
{
	struct signal_params *q = c->params;
	struct keeper_msg m = { .type = KEEPER_SIGNAL,
				.a = (uint64_t)q->signal,
				.b = q->scope == REQ_SCOPE_TREE };
	struct process *p;
	int r;

	r = target_find(c, &q->target, ACCESS_TOUCH, &p, err);
	if (r < 0)
		return r;
	return ask(c, p, &m, q->signal, err);
}

int op_process_resize(struct call *c, struct err *err)
{
	struct resize_params *q = c->params;
	struct keeper_msg m = { .type = KEEPER_RESIZE, .a = q->cols, .b = q->rows };
	struct process *p;
	int r;

	r = target_find_id(c, q->id, ACCESS_TOUCH, &p, err);
	if (r < 0)
		return r;
	if (!p->pty)
		return err_set(err, ERR_CONFLICT, "id", 0, "the command has no terminal");
	return ask(c, p, &m, 0, err);
}
