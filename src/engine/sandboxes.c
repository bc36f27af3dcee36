/* SPDX-License-Identifier: Apache-2.0 */

#include "sandboxes.h"

#include <signal.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "engine.h"
#include "link.h"
#include "peer.h"
#include "say.h"
#include "spares.h"

struct sandbox_timer {
	struct timer t;
	struct engine *e;
	struct sandbox *s;
};

static void fail_orders(struct sandbox *s)
{
	struct err why = s->why;

	if (why.code == ERR_OK)
		(void)err_set(&why, ERR_CONFLICT, "sandbox", 0, "the sandbox has ended");
	while (!list_empty(&s->orders)) {
		struct keeper *k = container_of(s->orders.next, struct keeper, launch);

		list_remove(&k->launch);
		link_fail(k, &why);
	}
}

static bool is_over(const struct sandbox *s)
{
	return s->state == SANDBOX_GONE || (s->state == SANDBOX_LOST && s->n_live == 0);
}

static void arm(struct engine *e, struct sandbox *s)
{
	uint64_t now = clock_mono(), at = UINT64_MAX;

	if (s->lifetime_ns > 0)
		at = s->created_mono_ns + s->lifetime_ns;
	if (s->idle_ns > 0 && s->n_live == 0)
		at = MIN(at, s->used_mono_ns + s->idle_ns);
	if (s->timer)
		timer_stop(&s->timer->t);
	if (s->timer && at != UINT64_MAX)
		timer_set(&s->timer->t, at > now ? at - now : 0);
	chores_wake(e);
}

static void on_timer(struct timer *t)
{
	struct sandbox_timer *st = container_of(t, struct sandbox_timer, t);
	struct sandbox *s = st->s;
	uint64_t now = clock_mono();
	bool old = s->lifetime_ns > 0 && now >= s->created_mono_ns + s->lifetime_ns;
	bool idle =
		s->idle_ns > 0 && s->n_live == 0 && now >= s->used_mono_ns + s->idle_ns;

	if (s->state == SANDBOX_RUNNING && (old || idle))
		sandbox_end(&st->e->world, s, 0);
	else
		arm(st->e, s);
}

static void make_timer(struct engine *e, struct sandbox *s)
{
	if (s->timer || (s->idle_ns == 0 && s->lifetime_ns == 0))
		return;
	s->timer = calloc(1, sizeof(*s->timer));
	if (!s->timer) {
		say(LOG_LEVEL_ERROR, "a sandbox has no timer: no memory");
		return;
	}
	s->timer->e = e;
	s->timer->s = s;
	timer_init(&s->timer->t, &e->loop, on_timer);
}

void sandbox_step(struct world *w, struct sandbox *s)
{
	struct engine *e = engine_of(w);

	s->news = true;
	e->loop.again = true;
	switch (s->state) {
	case SANDBOX_STARTING:
		return;
	case SANDBOX_RUNNING:
		while (!list_empty(&s->orders)) {
			struct list *o = s->orders.next;

			list_remove(o);
			list_append(&e->orders, o);
		}
		if (s->orphan && s->n_live == 0) {
			sandbox_end(w, s, 0);
			return;
		}
		make_timer(e, s);
		arm(e, s);
		return;
	case SANDBOX_ENDING:
		spares_drop(e, s);
		if (s->n_live == 0 && !spares_join(e, s))
			link_end_holder(s);
		return;
	case SANDBOX_GONE:
	case SANDBOX_LOST:
		spares_drop(e, s);
		fail_orders(s);
		return;
	}
}

void sandbox_end(struct world *w, struct sandbox *s, uint64_t grace_ns)
{
	bool fresh = s->state == SANDBOX_STARTING || s->state == SANDBOX_RUNNING;

	if (s->state == SANDBOX_GONE || s->state == SANDBOX_ENDING)
		return;
	if (fresh)
		s->state = SANDBOX_ENDING;
	fail_orders(s);
	LIST_EACH_SAFE (&s->commands, it) {
		struct process *p = container_of(it, struct process, siblings);
		/* One that has ended by itself is about to say that it is empty. */
		bool lives = !p->exited || p->record.live > 0;
		struct err err;

		if (keeper_kill(p, grace_ns > 0 ? SIGTERM : SIGKILL, grace_ns,
				BOX_REASON_KILLED, &err) == 0 &&
		    lives)
			s->ended_by_end++;
	}
	sandbox_step(w, s);
}

void sandboxes_save(struct engine *e)
{
	LIST_EACH (&e->world.sandboxes.all, it) {
		struct sandbox *s = container_of(it, struct sandbox, all);
		const struct journal_sandbox row = {
			.id = s->id,
			.uid = s->owner->uid,
			.boot_id = e->world.boot_id,
			.created_wall_ns = s->created_wall_ns,
			.created_boot_ns = s->created_boot_ns,
			.spec = s->spec,
			.state = JOURNAL_GONE,
			.ended_wall_ns = clock_wall(),
			.outcome = s->state == SANDBOX_LOST ? "lost" : "gone",
		};
		struct err err;

		if (!s->unsaved)
			continue;
		if (journal_sandbox_outcome(e->world.journal, &row, &err) == 0)
			s->unsaved = false;
		else
			say(LOG_LEVEL_ERROR, "the end of a sandbox is not journalled: %s",
			    err.msg);
	}
}

static void drop(struct engine *e, struct sandbox *s)
{
	/* Connections may have it as their own. */
	LIST_EACH (&e->peers, it) {
		struct session *x = &container_of(it, struct peer, all)->session;

		if (x->sandbox == s)
			x->sandbox = NULL;
	}
	LIST_EACH (&e->dead_peers, it) {
		struct session *x = &container_of(it, struct peer, all)->session;

		if (x->sandbox == s)
			x->sandbox = NULL;
	}
	if (s->timer)
		timer_stop(&s->timer->t);
	free(s->timer);
	s->timer = NULL;
	world_box_unlink(&e->world, &s->id, ID_SANDBOX);
	sandbox_drop(&e->world.sandboxes, s);
}

void sandboxes_tell(struct engine *e)
{
	LIST_EACH_SAFE (&e->world.sandboxes.all, it) {
		struct sandbox *s = container_of(it, struct sandbox, all);

		if (!s->news)
			continue;
		s->news = false;
		sandbox_tell(s);
		if (is_over(s) && s->n_live == 0 && !spares_join(e, s) &&
		    list_empty(&s->waiters))
			drop(e, s);
	}
}

void sandboxes_stop(struct engine *e)
{
	LIST_EACH (&e->world.sandboxes.all, it) {
		struct sandbox *s = container_of(it, struct sandbox, all);

		if (s->timer)
			timer_stop(&s->timer->t);
		free(s->timer);
		s->timer = NULL;
	}
}
