/* SPDX-License-Identifier: Apache-2.0 */

/*
 * process.list, stats, release: looking at processes.
 *
 * What they use now is asked of all keepers at once; one that does not answer in
 * time has no such numbers in its record.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/num.h"
#include "../wire/json.h"
#include "handlers.h"
#include "record.h"
#include "request.h"
#include "target.h"

#define STAT_WAIT_NS (200 * NS_PER_MS)
#define SAMPLE_NS (100 * NS_PER_MS)
#define CURSOR_MAX 64
#define RELEASE_WAIT_NS (2 * NS_PER_SEC)

struct survey;

struct survey_item {
	struct keeper_ask ask; /* first */
	struct survey *survey;
	struct process *process; /* valid as long as its keeper answers */
	json_t *record;
};

struct survey {
	struct call *call;
	size_t n, pending;
	bool single; /* the record itself is the result */
	char cursor[CURSOR_MAX];
	struct survey_item item[];
};

static void survey_free(struct survey *s)
{
	for (size_t i = 0; i < s->n; i++) {
		keeper_ask_drop(&s->item[i].ask);
		json_decref(s->item[i].record);
	}
	s->call->state = NULL;
	free(s);
}

static json_t *take_records(struct survey *s)
{
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < s->n; i++)
		(void)json_array_append_new(list, TAKE_PTR(s->item[i].record));
	(void)json_object_set_new(o, "processes", list);
	(void)json_object_set_new(o, "next_cursor", json_text_or_null(s->cursor));
	return o;
}

static void answer(struct survey *s)
{
	struct call *c = s->call;
	json_t *o = s->single ? TAKE_PTR(s->item[0].record) : take_records(s);

	survey_free(s);
	call_reply(c, o, NULL, 0);
}

static void set_number(json_t *o, const char *key, uint64_t v)
{
	(void)json_object_set_new(o, key,
				  json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX)));
}

/* Since the last look if that was not just now, else since the start. */
static double cpu_percent(struct process *p, uint64_t cpu_us)
{
	uint64_t now = clock_boot(), since = p->cpu_at_ns, before = p->cpu_us;

	if (since == 0 || now - since < SAMPLE_NS || cpu_us < before) {
		since = p->record.started_boot_ns;
		before = 0;
	}
	if (p->cpu_at_ns == 0 || now - p->cpu_at_ns >= SAMPLE_NS) {
		p->cpu_us = cpu_us;
		p->cpu_at_ns = now;
	}
	return now > since ? (double)(cpu_us - before) * 1e5 / (double)(now - since) :
			     0.0;
}

static void set_stat(struct survey_item *it, const struct keeper_stat *st)
{
	bool whole = st->cpu_us > 0 || st->rss_bytes > 0;
	json_t *o = it->record;

	(void)json_object_set_new(o, "live", json_integer(st->live));
	/* A keeper of the version before counts processes only. */
	if (!whole)
		return;
	(void)json_object_set_new(o, "cpu_percent",
				  json_thousandths(cpu_percent(it->process, st->cpu_us)));
	set_number(o, "memory_bytes", st->rss_bytes);
	set_number(o, "cpu_ms", st->cpu_us / 1000);
	if (it->survey->single) {
		set_number(o, "io_read_bytes", st->read_bytes);
		set_number(o, "io_written_bytes", st->write_bytes);
	}
}

static void on_stat(struct keeper_ask *a, int error, const struct keeper_msg *m,
		    const struct keeper_stat *st)
{
	struct survey_item *it = container_of(a, struct survey_item, ask);

	(void)m;
	if (error == 0 && st)
		set_stat(it, st);
	if (--it->survey->pending == 0)
		answer(it->survey);
}

static void on_tick(struct call *c)
{
	answer(c->state);
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	survey_free(c->state);
}

static struct survey *survey_new(struct call *c, size_t max, struct err *err)
{
	struct survey *s = calloc(1, sizeof(*s) + max * sizeof(s->item[0]));

	if (!s) {
		(void)err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
		return NULL;
	}
	s->call = c;
	c->state = s;
	c->stop = on_stop;
	c->tick = on_tick;
	return s;
}

static void survey_add(struct survey *s, struct process *p)
{
	struct call *c = s->call;
	struct survey_item *it = &s->item[s->n++];

	it->survey = s;
	it->process = p;
	it->record = record_json(c->world, p, c->session->who);
	if (it->record && s->single) {
		(void)json_object_set_new(it->record, "io_read_bytes", json_null());
		(void)json_object_set_new(it->record, "io_written_bytes", json_null());
	}
}

/* One round of questions, or the answer at once. */
static void survey_ask(struct survey *s)
{
	const struct keeper_msg m = { .type = KEEPER_STAT };
	struct err ignored;

	for (size_t i = 0; i < s->n; i++) {
		struct survey_item *it = &s->item[i];

		if (!it->record || it->process->ended_mono_ns != 0 ||
		    it->process->state == PROCESS_STARTING)
			continue;
		if (keeper_ask(it->process, &m, NULL, &it->ask, &ignored) < 0)
			continue;
		it->ask.fn = on_stat;
		s->pending++;
	}
	if (s->pending == 0)
		answer(s);
	else
		call_timer(s->call, clock_mono() + STAT_WAIT_NS);
}

/* --- list --- */

static bool is_text(const char *wanted, const char *have)
{
	return !wanted || strcmp(wanted, have ? have : "") == 0;
}

static bool matches(const struct call *c, const struct list_params *q,
		    const struct process *p)
{
	const struct principal *who = c->session->who;
	bool live = p->ended_mono_ns == 0;
	char id[ID_TEXT];

	if (!principal_may(who, ACCESS_SEE, p->owner))
		return false;
	if ((q->state == REQ_STATE_RUNNING && !live) ||
	    (q->state == REQ_STATE_EXITED && live))
		return false;
	if (q->agent && strcmp(q->agent, p->owner->name) != 0 &&
	    !(strcmp(q->agent, "self") == 0 && p->owner->uid == who->uid))
		return false;
	if (q->sandbox &&
	    (id_is_zero(&p->sandbox_id) ||
	     strcmp(q->sandbox, id_format(&p->sandbox_id, ID_SANDBOX, id)) != 0))
		return false;
	return is_text(q->label, p->label);
}

static void make_cursor(const struct process *p, char buf[static CURSOR_MAX])
{
	char id[ID_TEXT];

	(void)snprintf(buf, CURSOR_MAX, "%llu.%s", (unsigned long long)p->created_wall_ns,
		       id_format(&p->id, ID_PROCESS, id));
}

struct place {
	uint64_t ns;
	struct id id;
};

static int parse_cursor(const char *text, struct place *ret, struct err *err)
{
	const char *dot = strchr(text, '.');
	char digits[24];

	if (dot && (size_t)(dot - text) < sizeof(digits)) {
		memcpy(digits, text, (size_t)(dot - text));
		digits[dot - text] = '\0';
		if (num_parse_u64(digits, 0, UINT64_MAX, &ret->ns) == 0 &&
		    id_parse(dot + 1, ID_PROCESS, &ret->id) == 0)
			return 0;
	}
	return err_set(err, ERR_INVALID_INPUT, "cursor", 0,
		       "cursor is not the next_cursor of an earlier answer");
}

static bool is_older(const struct process *p, const struct place *at)
{
	if (p->created_wall_ns != at->ns)
		return p->created_wall_ns < at->ns;
	return memcmp(p->id.b, at->id.b, ID_BYTES) < 0;
}

int op_process_list(struct call *c, struct err *err)
{
	struct list_params *q = c->params;
	struct registry *r = &c->world->processes;
	struct place from = { .ns = UINT64_MAX };
	const struct process *last = NULL;
	struct survey *s;

	if (q->cursor && parse_cursor(q->cursor, &from, err) < 0)
		return -err->code;
	s = survey_new(c, (size_t)q->limit, err);
	if (!s)
		return -err->code;
	/* Newest first. */
	for (struct list *it = r->all.prev; it != &r->all; it = it->prev) {
		struct process *p = container_of(it, struct process, all);

		if (!is_older(p, &from) || !matches(c, q, p))
			continue;
		if (last && s->n == q->limit) {
			make_cursor(last, s->cursor);
			break;
		}
		survey_add(s, p);
		last = p;
	}
	survey_ask(s);
	return 0;
}

int op_process_stats(struct call *c, struct err *err)
{
	struct stats_params *q = c->params;
	struct survey *s;
	struct process *p;
	int r;

	r = target_find(c, &q->target, ACCESS_SEE, &p, err);
	if (r < 0)
		return r;
	s = survey_new(c, 1, err);
	if (!s)
		return -err->code;
	s->single = true;
	survey_add(s, p);
	survey_ask(s);
	return 0;
}

/* --- release --- */

struct releasing {
	struct waiter waiter; /* first */
	struct call *call;
};

static int release(struct call *c, struct process *p, struct err *err)
{
	struct id id = p->id;
	char text[ID_TEXT];
	int r = journal_release(c->world->journal, &id, err);

	if (r < 0)
		return r;
	process_release(p);
	world_box_unlink(c->world, &id, ID_PROCESS);
	call_reply(c, json_pack("{s:s}", "id", id_format(&id, ID_PROCESS, text)), NULL,
		   0);
	return 0;
}

static int lives(const struct process *p, struct err *err)
{
	return err_set(err, ERR_CONFLICT, "id", 0,
		       p->exited ? "the command has exited, but processes that it left "
				   "behind live on: end them with process.kill" :
				   "the command is running: end it with process.kill");
}

static void releasing_free(struct releasing *x)
{
	waiter_remove(&x->waiter);
	x->call->state = NULL;
	free(x);
}

static void on_ended(struct waiter *w, struct process *p, unsigned int news)
{
	struct releasing *x = container_of(w, struct releasing, waiter);
	struct call *c = x->call;
	struct err err;
	int r = 0;

	if (p->ended_mono_ns == 0)
		return;
	releasing_free(x);
	if (news & NEWS_RELEASED)
		r = err_set(&err, ERR_NOT_FOUND, "id", 0, "there is no such process");
	else
		r = release(c, p, &err);
	if (r < 0)
		call_fail(c, &err);
}

static void on_release_tick(struct call *c)
{
	struct releasing *x = c->state;
	struct err err;

	(void)lives(x->waiter.process, &err);
	releasing_free(x);
	call_fail(c, &err);
}

static void on_release_stop(struct call *c, enum call_end why)
{
	(void)why;
	releasing_free(c->state);
}

/* Its result was given, and that nothing of it is left comes a moment later. */
static int release_soon(struct call *c, struct process *p, struct err *err)
{
	struct releasing *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	x->call = c;
	c->state = x;
	c->stop = on_release_stop;
	c->tick = on_release_tick;
	process_wait(p, &x->waiter, on_ended);
	call_timer(c, clock_mono() + RELEASE_WAIT_NS);
	return 0;
}

int op_process_release(struct call *c, struct err *err)
{
	struct id_params *q = c->params;
	struct process *p;
	int r;

	r = target_find_id(c, q->id, ACCESS_TOUCH, &p, err);
	if (r < 0)
		return r;
	if (p->ended_mono_ns != 0 && !p->unsaved && p->news == 0)
		return release(c, p, err);
	if (p->ended_mono_ns != 0 || (p->exited && p->record.live == 0))
		return release_soon(c, p, err);
	return lives(p, err);
}
