/* SPDX-License-Identifier: Apache-2.0 */

/* sandbox.create, list, get, destroy: what several commands share. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../core/compile.h"
#include "../wire/json.h"
#include "handlers.h"
#include "record.h"
#include "request.h"
#include "start.h"
#include "target.h"

#define CREATE_WAIT_NS (20 * NS_PER_SEC)
#define MARGIN_NS (2 * NS_PER_SEC)

/* --- making one --- */

/* A holder runs nothing: its commit plan says only who it is. */
static int holder_commit(const struct world *w, const struct id *id, int *ret_fd,
			 struct err *err)
{
	struct plan_builder b = { .part = PLAN_COMMIT };
	const struct step_record record = {
		.id = *id,
		.boot_id = w->boot_id,
		.capture = BOX_CAPTURE_DISCARD,
	};
	const struct step_timers timers = { 0 };
	int r;

	plan_add(&b, STEP_RECORD, &record, sizeof(record));
	plan_add(&b, STEP_TIMERS, &timers, sizeof(timers));
	r = plan_seal(&b, ret_fd, err);
	plan_builder_fini(&b);
	return r;
}

struct holder {
	struct compiled compiled;
	struct id id;
	char *spec;
	int box_fd, prepare_fd, commit_fd;
};

static void holder_fini_p(struct holder *h)
{
	compiled_fini(&h->compiled);
	free(h->spec);
	close_p(&h->box_fd);
	close_p(&h->prepare_fd);
	close_p(&h->commit_fd);
}

static int prepare_holder(struct call *c, const struct start_sandbox *a, struct holder *h,
			  struct err *err)
{
	const struct compile_args args = {
		.who = c->session->who,
		.profile = a->profile,
		.workspace = a->workspace,
		.mode = COMPILE_HOLDER,
		.engine_uid = c->world->uid,
		.private_dirs = { c->world->state_dir, c->world->runtime_dir },
		.path = a->profile->path_from_caller ? c->session->path : NULL,
		.id = &h->id,
		.boot_id = &c->world->boot_id,
	};
	int r;

	r = compile(&args, &h->compiled, err);
	if (r == 0)
		r = world_box(c->world, 0, 0, ID_SANDBOX, &h->id, &h->box_fd, err);
	if (r == 0)
		r = plan_seal(&h->compiled.prepare, &h->prepare_fd, err);
	if (r == 0)
		r = holder_commit(c->world, &h->id, &h->commit_fd, err);
	if (r < 0)
		return r;
	h->spec = record_sandbox_spec(a->profile, a->workspace, &h->compiled.isolation,
				      a->idle_ns, a->lifetime_ns, a->label, a->own);
	return h->spec ? 0 : err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
}

static int write_intent(struct call *c, const struct sandbox *s, struct err *err)
{
	const struct journal_sandbox row = {
		.id = s->id,
		.uid = s->owner->uid,
		.boot_id = c->world->boot_id,
		.created_wall_ns = s->created_wall_ns,
		.created_boot_ns = s->created_boot_ns,
		.spec = s->spec,
		.state = JOURNAL_INTENT,
	};
	int r = journal_principal(c->world->journal, s->owner, s->created_wall_ns, err);

	return r < 0 ? r : journal_sandbox_intent(c->world->journal, &row, err);
}

int start_sandbox(struct call *c, const struct start_sandbox *a, struct sandbox **ret,
		  struct err *err)
{
	__attribute__((cleanup(holder_fini_p))) struct holder h = { .box_fd = -1,
								    .prepare_fd = -1,
								    .commit_fd = -1 };
	struct sandbox_args args;
	struct sandbox *s = NULL;
	int r;

	r = prepare_holder(c, a, &h, err);
	args = (struct sandbox_args){
		.id = h.id,
		.owner = c->session->who,
		.profile = a->profile,
		.workspace = a->workspace,
		.label = a->label,
		.spec = h.spec,
		.created_wall_ns = clock_wall(),
		.created_boot_ns = clock_boot(),
		.created_mono_ns = clock_mono(),
		.idle_ns = a->idle_ns,
		.lifetime_ns = a->lifetime_ns,
	};
	if (r == 0)
		r = sandbox_new(&c->world->sandboxes, &args, &s, err);
	if (r == 0) {
		r = write_intent(c, s, err);
		if (r < 0)
			sandbox_drop(&c->world->sandboxes, s);
	}
	if (r < 0) {
		if (h.box_fd >= 0)
			world_box_drop(c->world, &h.id, ID_SANDBOX, TAKE_FD(h.box_fd));
		return r;
	}
	world_launch(c->world, &(struct launch_order){
				       .holder = s,
				       .prepare_fd = TAKE_FD(h.prepare_fd),
				       .commit_fd = TAKE_FD(h.commit_fd),
				       .box_fd = TAKE_FD(h.box_fd),
				       .stdin_fd = -1,
			       });
	*ret = s;
	return 0;
}

/* --- waiting for one --- */

struct watching {
	struct sandbox_waiter waiter; /* first */
	struct call *call;
};

static void watching_free(struct watching *w)
{
	sandbox_waiter_remove(&w->waiter);
	w->call->state = NULL;
	free(w);
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	watching_free(c->state);
}

static struct watching *watch(struct call *c, struct sandbox *s,
			      void (*fn)(struct sandbox_waiter *w, struct sandbox *s),
			      void (*tick)(struct call *c), uint64_t ns, struct err *err)
{
	struct watching *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
		return NULL;
	}
	w->call = c;
	c->state = w;
	c->stop = on_stop;
	c->tick = tick;
	sandbox_wait(s, &w->waiter, fn);
	call_timer(c, clock_mono() + ns);
	return w;
}

static void answer_create(struct watching *w, struct sandbox *s)
{
	struct call *c = w->call;
	struct err why = s->why;

	watching_free(w);
	if (s->state == SANDBOX_STARTING || s->state == SANDBOX_RUNNING) {
		call_reply(c, record_sandbox(s, c->session->who), NULL, 0);
		return;
	}
	if (why.code == ERR_OK)
		(void)err_set(&why, ERR_UNAVAILABLE, "sandbox", 0,
			      "the sandbox has ended");
	call_fail(c, &why);
}

static void on_created(struct sandbox_waiter *w, struct sandbox *s)
{
	if (s->state != SANDBOX_STARTING)
		answer_create(container_of(w, struct watching, waiter), s);
}

static void on_create_tick(struct call *c)
{
	struct watching *w = c->state;

	answer_create(w, w->waiter.sandbox);
}

int op_sandbox_create(struct call *c, struct err *err)
{
	struct sandbox_create_params *q = c->params;
	CLEANUP(workspace_fini) struct workspace ws = WORKSPACE_INIT;
	struct start_sandbox a = {
		.workspace = &ws,
		.label = q->label,
		.idle_ns = q->idle_ms * NS_PER_MS,
		.lifetime_ns = q->lifetime_ms * NS_PER_MS,
	};
	struct sandbox *s;
	int r;

	r = ceiling_profile(&c->session->ceiling, q->profile, &a.profile, err);
	if (r == 0)
		r = ceiling_workspace(&c->session->ceiling, c->session->who, q->workspace,
				      &ws, err);
	if (r == 0)
		r = start_sandbox(c, &a, &s, err);
	if (r != 0)
		return r;
	target_note(c, &s->id, ID_SANDBOX);
	return watch(c, s, on_created, on_create_tick, CREATE_WAIT_NS, err) ? 0 :
									      -err->code;
}

/* --- looking --- */

int op_sandbox_get(struct call *c, struct err *err)
{
	struct id_params *q = c->params;
	struct sandbox *s;
	int r = target_find_sandbox(c, q->id, ACCESS_SEE, &s, err);

	if (r == 0)
		call_reply(c, record_sandbox(s, c->session->who), NULL, 0);
	return r;
}

static bool matches(const struct call *c, const struct sandbox_list_params *q,
		    const struct sandbox *s)
{
	return principal_may(c->session->who, ACCESS_SEE, s->owner) &&
	       (!q->label || strcmp(q->label, s->label ? s->label : "") == 0);
}

/* Newest first; the cursor is the id of the last one given. */
static int find_start(const struct call *c, const struct sandbox_list_params *q,
		      struct list **ret, struct err *err)
{
	struct sandbox *s;
	struct id id;

	*ret = c->world->sandboxes.all.prev;
	if (!q->cursor)
		return 0;
	s = id_parse(q->cursor, ID_SANDBOX, &id) == 0 ?
		    sandbox_find(&c->world->sandboxes, &id) :
		    NULL;
	if (!s || !principal_may(c->session->who, ACCESS_SEE, s->owner))
		return err_set(
			err, ERR_INVALID_INPUT, "cursor", 0,
			"cursor is not the next_cursor of an earlier answer, or its "
			"sandbox is gone");
	*ret = s->all.prev;
	return 0;
}

int op_sandbox_list(struct call *c, struct err *err)
{
	struct sandbox_list_params *q = c->params;
	struct list *all = &c->world->sandboxes.all, *it;
	json_t *list = json_array(), *next = NULL;
	struct sandbox *last = NULL;
	uint64_t n = 0;
	char id[ID_TEXT];
	int r = find_start(c, q, &it, err);

	if (r < 0) {
		json_decref(list);
		return r;
	}
	for (; it != all; it = it->prev) {
		struct sandbox *s = container_of(it, struct sandbox, all);

		if (!matches(c, q, s))
			continue;
		if (n == q->limit) {
			next = json_string(id_format(&last->id, ID_SANDBOX, id));
			break;
		}
		(void)json_array_append_new(list, record_sandbox(s, c->session->who));
		last = s;
		n++;
	}
	call_reply(c,
		   json_pack("{s:o, s:o}", "sandboxes", list, "next_cursor",
			     next ? next : json_null()),
		   NULL, 0);
	return 0;
}

/* --- destroying --- */

static void answer_destroy(struct watching *w, struct sandbox *s)
{
	struct call *c = w->call;
	char id[ID_TEXT];
	json_t *o = json_pack("{s:s, s:b, s:i}", "id", id_format(&s->id, ID_SANDBOX, id),
			      "gone", s->state == SANDBOX_GONE, "ended",
			      (int)s->ended_by_end);

	watching_free(w);
	call_reply(c, o, NULL, 0);
}

static void on_destroyed(struct sandbox_waiter *w, struct sandbox *s)
{
	if (s->state == SANDBOX_GONE)
		answer_destroy(container_of(w, struct watching, waiter), s);
}

static void on_destroy_tick(struct call *c)
{
	struct watching *w = c->state;

	answer_destroy(w, w->waiter.sandbox);
}

int op_sandbox_destroy(struct call *c, struct err *err)
{
	struct sandbox_destroy_params *q = c->params;
	uint64_t grace = q->grace_ms * NS_PER_MS;
	struct sandbox *s;
	int r = target_find_sandbox(c, q->id, ACCESS_TOUCH, &s, err);

	if (r < 0)
		return r;
	if (!watch(c, s, on_destroyed, on_destroy_tick, grace + MARGIN_NS, err))
		return -err->code;
	sandbox_end(c->world, s, grace);
	return 0;
}
