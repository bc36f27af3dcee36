/* SPDX-License-Identifier: Apache-2.0 */

/*
 * process.kill and call.cancel: ending trees, and saying so only when they are
 * verified to be empty. The keepers climb the ladder; here one waits for the news.
 */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/signame.h"
#include "../sys/proctree.h"
#include "../wire/json.h"
#include "handlers.h"
#include "output.h"
#include "record.h"
#include "request.h"
#include "target.h"

#define MARGIN_NS (2 * NS_PER_SEC) /* after the grace period, for the kernel to do it */
#define LAST_OUTPUT ((size_t)16 << 10)
#define SURVIVORS_MAX 256
#define CANCEL_MAX 256 /* processes of one call_id */

struct ending;

struct ending_one {
	struct waiter waiter; /* first */
	struct ending *e;
	struct process *process; /* NULL once it was released */
};

struct ending {
	struct call *call;
	size_t n, pending;
	struct keeper_ask ask; /* of a signal that is sent once */
	int signal;	       /* the first one sent; 0 = none */
	struct ending_one one[];
};

static void ending_free(struct ending *e)
{
	for (size_t i = 0; i < e->n; i++)
		waiter_remove(&e->one[i].waiter);
	keeper_ask_drop(&e->ask);
	e->call->state = NULL;
	free(e);
}

static void add_survivor(pid_t pid, void *arg)
{
	json_t *a = arg;

	if (json_array_size(a) < SURVIVORS_MAX)
		(void)json_array_append_new(a, json_integer(pid));
}

static json_t *survivors(const struct process *p)
{
	int32_t keeper = keeper_pid(p);
	json_t *a = json_array();

	if (a && p->ended_mono_ns == 0 && keeper > 1)
		(void)proctree_each(keeper, add_survivor, a);
	return a;
}

static json_t *kill_result(struct call *c, struct process *p, int sig, bool dry,
			   struct buf *raw)
{
	json_t *o = record_json(c->world, p, c->session->who);
	char name[SIGNAME_MAX];

	if (!o)
		return NULL;
	(void)json_object_set_new(o, "gone", json_boolean(p->empty));
	(void)json_object_set_new(o, "sent",
				  sig ? json_string(signame(sig, name)) : json_null());
	(void)json_object_set_new(o, "dry_run", json_boolean(dry));
	(void)json_object_set_new(o, "survivors", dry ? json_array() : survivors(p));
	if (output_ends(p, LAST_OUTPUT, o, raw) == 0)
		return o;
	json_decref(o);
	return NULL;
}

static void answer_kill(struct ending *e)
{
	CLEANUP(buf_fini) struct buf raw = { 0 };
	struct call *c = e->call;
	json_t *o;

	assert(e->one[0].process); /* on_news() answers for one that was released */
	o = kill_result(c, e->one[0].process, e->signal, false, &raw);
	ending_free(e);
	call_reply(c, o, raw.data, raw.len);
}

static void answer_cancel(struct ending *e)
{
	struct call *c = e->call;
	const struct cancel_params *q = c->params;
	json_t *list = json_array(), *o;

	for (size_t i = 0; i < e->n; i++)
		if (e->one[i].process)
			(void)json_array_append_new(list, record_json(c->world,
								      e->one[i].process,
								      c->session->who));
	o = json_pack("{s:s, s:o}", "call_id", q->call_id, "processes", list);
	ending_free(e);
	call_reply(c, o, NULL, 0);
}

static void answer(struct ending *e)
{
	if (op_id(e->call->op) == OP_CALL_CANCEL)
		answer_cancel(e);
	else
		answer_kill(e);
}

static void on_news(struct waiter *w, struct process *p, unsigned int news)
{
	struct ending_one *one = container_of(w, struct ending_one, waiter);
	struct ending *e = one->e;
	struct call *c = e->call;
	struct err err;

	if (news & NEWS_RELEASED)
		one->process = NULL;
	else if (p->ended_mono_ns == 0)
		return;
	waiter_remove(w);
	if (!one->process && op_id(c->op) == OP_PROCESS_KILL) {
		ending_free(e);
		(void)err_set(&err, ERR_NOT_FOUND, "id", 0, "the process was released");
		call_fail(c, &err);
	} else if (--e->pending == 0) {
		answer(e);
	}
}

static void on_tick(struct call *c)
{
	answer(c->state);
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	ending_free(c->state);
}

static struct ending *ending_new(struct call *c, size_t n, struct err *err)
{
	struct ending *e = calloc(1, sizeof(*e) + n * sizeof(e->one[0]));

	if (!e) {
		(void)err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
		return NULL;
	}
	e->call = c;
	c->state = e;
	c->stop = on_stop;
	c->tick = on_tick;
	return e;
}

static void ending_add(struct ending *e, struct process *p, bool wait)
{
	struct ending_one *one = &e->one[e->n++];

	one->e = e;
	one->process = p;
	if (wait) {
		process_wait(p, &one->waiter, on_news);
		e->pending++;
	}
}

static void note_killer(struct process *p, const struct session *s, const char *reason)
{
	char text[512];

	/* The first one's reason stands, as in the record. */
	if (p->killed_by || p->exited)
		return;
	(void)snprintf(text, sizeof(text), "%s%s%s%s%s", s->who->name,
		       s->client ? " by " : "", s->client ? s->client : "",
		       reason ? ": " : "", reason ? reason : "");
	p->killed_by = strdup(text);
}

/* --- process.kill --- */

static bool is_ladder(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGKILL || sig == SIGQUIT;
}

static void on_sent(struct keeper_ask *a, int error, const struct keeper_msg *m,
		    const struct keeper_stat *st)
{
	struct ending *e = container_of(a, struct ending, ask);
	struct call *c = e->call;
	struct err err;

	(void)m;
	(void)st;
	if (error == 0) {
		answer(e);
		return;
	}
	(void)err_set(&err, ERR_CONFLICT, "signal", error, "the signal was not sent");
	ending_free(e);
	call_fail(c, &err);
}

/* What is not known to have been sent is not said to have been. */
static void on_late(struct call *c)
{
	struct err err;

	(void)err_set(&err, ERR_TIMEOUT, "signal", 0,
		      "the command's keeper does not answer: whether the signal is sent "
		      "is not known");
	ending_free(c->state);
	call_fail(c, &err);
}

/*
 * Nobody waits for the process here, and its pointer is good all the same: the
 * question fails with the link, and that ends before a process can be released.
 */
static int send_once(struct call *c, struct process *p, int sig, struct err *err)
{
	const struct keeper_msg m = { .type = KEEPER_SIGNAL, .a = (uint64_t)sig, .b = 1 };
	struct ending *e = ending_new(c, 1, err);
	int r;

	if (!e)
		return -err->code;
	ending_add(e, p, false);
	e->signal = sig;
	c->tick = on_late;
	r = keeper_ask(p, &m, NULL, &e->ask, err);
	if (r < 0) {
		ending_free(e);
		return r;
	}
	e->ask.fn = on_sent;
	call_timer(c, clock_mono() + MARGIN_NS);
	return 0;
}

int op_process_kill(struct call *c, struct err *err)
{
	CLEANUP(buf_fini) struct buf raw = { 0 };
	struct kill_params *q = c->params;
	uint64_t grace = q->grace_ms * NS_PER_MS;
	struct process *p;
	struct ending *e;
	json_t *o;
	int r;

	r = target_find(c, &q->target, ACCESS_TOUCH, &p, err);
	if (r < 0)
		return r;
	if (q->dry_run || p->ended_mono_ns != 0) {
		o = kill_result(c, p, 0, q->dry_run, &raw);
		call_reply(c, o, raw.data, raw.len);
		return 0;
	}
	if (!is_ladder(q->signal))
		return send_once(c, p, q->signal, err);

	r = keeper_kill(p, q->signal, grace, BOX_REASON_KILLED, err);
	if (r < 0)
		return r;
	note_killer(p, c->session, q->reason);
	e = ending_new(c, 1, err);
	if (!e)
		return -err->code;
	e->signal = q->signal;
	ending_add(e, p, true);
	call_timer(c, clock_mono() + (q->signal == SIGKILL ? 0 : grace) + MARGIN_NS);
	return 0;
}

/* --- call.cancel --- */

static bool is_of_call(const struct call *c, const struct process *p)
{
	const struct cancel_params *q = c->params;

	return p->call_id && strcmp(p->call_id, q->call_id) == 0 &&
	       principal_may(c->session->who, ACCESS_TOUCH, p->owner);
}

static size_t count_of_call(const struct call *c)
{
	size_t n = 0;

	LIST_EACH (&c->world->processes.all, it)
		n += is_of_call(c, container_of(it, struct process, all));
	return n;
}

int op_call_cancel(struct call *c, struct err *err)
{
	size_t n = count_of_call(c);
	struct ending *e;
	uint64_t grace = 0;

	if (n == 0)
		return err_set(err, ERR_NOT_FOUND, "call_id", 0,
			       "nothing is known that was started with this call_id");
	if (n > CANCEL_MAX)
		return err_set(
			err, ERR_INVALID_INPUT, "call_id", 0,
			"%zu processes have this call_id; at most %d can be cancelled "
			"together: end them with process.kill",
			n, CANCEL_MAX);
	e = ending_new(c, n, err);
	if (!e)
		return -err->code;
	LIST_EACH (&c->world->processes.all, it) {
		struct process *p = container_of(it, struct process, all);
		struct err ignored;
		bool kill;

		if (!is_of_call(c, p))
			continue;
		kill = p->ended_mono_ns == 0 &&
		       keeper_kill(p, SIGTERM, p->grace_ns, BOX_REASON_CANCELLED,
				   &ignored) == 0;
		if (kill) {
			note_killer(p, c->session, NULL);
			grace = MAX(grace, p->grace_ns);
		}
		ending_add(e, p, kill);
	}
	if (e->pending == 0)
		answer(e);
	else
		call_timer(c, clock_mono() + grace + MARGIN_NS);
	return 0;
}
