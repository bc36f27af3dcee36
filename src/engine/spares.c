/* SPDX-License-Identifier: Apache-2.0 */

#include "spares.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "engine.h"
#include "link.h"

struct shelf {
	struct list node;
	struct plan_builder plan;
	struct sandbox *join; /* NULL = fresh ones */
	int plan_fd;	      /* sealed; -1 until the first is made */
	unsigned int uses;
	uint64_t used_ns;
	struct list keepers; /* struct keeper.shelved */
	unsigned int n;
};

void spares_init(struct spares *s)
{
	list_init(&s->shelves);
	list_init(&s->leaving);
}

/* --- leaving --- */

static void dismiss(struct keeper *k)
{
	k->shelf->n--;
	k->shelf = NULL;
	list_remove(&k->shelved);
	list_append(&k->e->spares.leaving, &k->shelved);
	if (!link_dismiss(k))
		spares_lost(k);
}

static void shelf_drop(struct engine *e, struct shelf *f)
{
	/* First: what leaves may bring us back here. */
	list_remove(&f->node);
	e->spares.n_shelves--;
	while (!list_empty(&f->keepers))
		dismiss(container_of(f->keepers.next, struct keeper, shelved));
	plan_builder_fini(&f->plan);
	if (f->plan_fd >= 0)
		(void)close(f->plan_fd);
	free(f);
}

void spares_lost(struct keeper *k)
{
	struct engine *e = k->e;
	struct sandbox *join = k->join;
	struct shelf *f = k->shelf;

	list_remove(&k->shelved);
	e->spares.n--;
	k->spare = false;
	k->shelf = NULL;
	stock_unlink(&e->stock, &k->id, ID_PROCESS);
	link_end(k);
	if (f) {
		f->n--;
		shelf_drop(e, f);
	}
	if (join)
		sandbox_step(&e->world, join);
	chores_wake(e);
}

static struct shelf *shelf_of(struct spares *s, const struct sandbox *only)
{
	LIST_EACH (&s->shelves, it) {
		struct shelf *f = container_of(it, struct shelf, node);

		if (!only || f->join == only)
			return f;
	}
	return NULL;
}

void spares_drop(struct engine *e, const struct sandbox *only)
{
	struct shelf *f;

	while ((f = shelf_of(&e->spares, only)))
		shelf_drop(e, f);
}

void spares_fini(struct engine *e)
{
	spares_drop(e, NULL);
	while (!list_empty(&e->spares.leaving))
		spares_lost(container_of(e->spares.leaving.next, struct keeper, shelved));
}

bool spares_join(const struct engine *e, const struct sandbox *s)
{
	const struct spares *all = &e->spares;

	LIST_EACH (&all->leaving, it)
		if (container_of(it, struct keeper, shelved)->join == s)
			return true;
	LIST_EACH (&all->shelves, it) {
		const struct shelf *f = container_of(it, struct shelf, node);

		if (f->join == s && f->n > 0)
			return true;
	}
	return false;
}

unsigned int spares_standing(const struct engine *e)
{
	unsigned int n = 0;

	LIST_EACH (&e->spares.shelves, it) {
		const struct shelf *f = container_of(it, struct shelf, node);

		LIST_EACH (&f->keepers, jt)
			n += link_stands(container_of(jt, struct keeper, shelved));
	}
	return n;
}

/* The one that was used the longest time ago is the last. */
static struct shelf *last(struct spares *s)
{
	return list_empty(&s->shelves) ?
		       NULL :
		       container_of(s->shelves.prev, struct shelf, node);
}

uint64_t spares_trim(struct engine *e)
{
	uint64_t now = clock_mono();
	struct shelf *f;

	while ((f = last(&e->spares)) && now - f->used_ns >= SPARES_KEEP_NS)
		shelf_drop(e, f);
	return f ? f->used_ns + SPARES_KEEP_NS - now : UINT64_MAX;
}

/* --- taking --- */

static struct shelf *find(struct spares *s, const struct plan_builder *plan,
			  const struct sandbox *join)
{
	LIST_EACH (&s->shelves, it) {
		struct shelf *f = container_of(it, struct shelf, node);

		if (f->join == join && f->plan.buf.len == plan->buf.len &&
		    memcmp(f->plan.buf.data, plan->buf.data, plan->buf.len) == 0)
			return f;
	}
	return NULL;
}

static struct shelf *shelf_new(struct engine *e, const struct plan_builder *plan,
			       struct sandbox *join)
{
	struct spares *s = &e->spares;
	struct shelf *f;

	if (s->n_shelves >= SPARES_SHELVES)
		shelf_drop(e, last(s));
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->plan.part = plan->part;
	buf_add(&f->plan.buf, plan->buf.data, plan->buf.len);
	if (!buf_ok(&f->plan.buf)) {
		free(f);
		return NULL;
	}
	f->join = join;
	f->plan_fd = -1;
	list_init(&f->keepers);
	list_init(&f->node);
	s->n_shelves++;
	return f;
}

struct keeper *world_spare(struct world *w, const struct plan_builder *plan,
			   struct sandbox *join, struct id *ret_id)
{
	struct engine *e = engine_of(w);
	struct spares *s = &e->spares;
	struct shelf *f = find(s, plan, join);

	if (!f)
		f = shelf_new(e, plan, join);
	if (!f)
		return NULL;
	f->uses++;
	f->used_ns = clock_mono();
	list_remove(&f->node);
	list_append(s->shelves.next, &f->node);
	LIST_EACH (&f->keepers, it) {
		struct keeper *k = container_of(it, struct keeper, shelved);

		if (!link_stands(k) || link_is_gone(k))
			continue;
		*ret_id = k->id;
		return k;
	}
	return NULL;
}

void world_spare_drop(struct world *w, struct keeper *k)
{
	(void)w;
	dismiss(k);
}

void spares_taken(struct keeper *k)
{
	list_remove(&k->shelved);
	k->shelf->n--;
	k->e->spares.n--;
	k->shelf = NULL;
	k->spare = false;
}

/* --- making --- */

static bool wanted(const struct shelf *f, unsigned int least)
{
	return f->uses > 1 && f->n < least &&
	       (!f->join || f->join->state == SANDBOX_RUNNING);
}

/* There will be room once one has left. */
static void make_room(struct engine *e)
{
	uint64_t now = clock_mono();

	for (struct list *it = e->spares.shelves.prev; it != &e->spares.shelves;
	     it = it->prev) {
		struct shelf *f = container_of(it, struct shelf, node);

		if (now - f->used_ns < SPARES_YIELD_NS)
			return;
		if (f->n > 0) {
			dismiss(container_of(f->keepers.next, struct keeper, shelved));
			return;
		}
	}
}

/* False: what it needs cannot be had now. */
static bool make(struct engine *e, struct shelf *f)
{
	struct launch_order o = { .sandbox = f->join,
				  .prepare_fd = -1,
				  .commit_fd = -1,
				  .box_fd = -1,
				  .stdin_fd = -1 };
	struct keeper *k;
	struct err ignored;
	struct id id;

	if (f->plan_fd < 0 && plan_seal(&f->plan, &f->plan_fd, &ignored) < 0)
		return false;
	o.prepare_fd = fcntl(f->plan_fd, F_DUPFD_CLOEXEC, 0);
	if (o.prepare_fd < 0)
		return false;
	if (stock_take(&e->stock, BOX_STREAMS, BOX_RING_DEFAULT, ID_PROCESS, &id,
		       &o.box_fd, &ignored) < 0) {
		(void)close(o.prepare_fd);
		return false;
	}
	k = link_spare(e, &id, &o);
	if (!k) {
		stock_unlink(&e->stock, &id, ID_PROCESS);
		return false;
	}
	k->shelf = f;
	list_append(&f->keepers, &k->shelved);
	f->n++;
	e->spares.n++;
	return true;
}

void spares_fill(struct engine *e, unsigned int least)
{
	struct launcher *l = &e->launcher;

	if (l->sock < 0 || l->n_out > 0 || !list_empty(&l->queue) || e->loop.stop)
		return;
	LIST_EACH (&e->spares.shelves, it) {
		struct shelf *f = container_of(it, struct shelf, node);

		if (!wanted(f, least))
			continue;
		if (e->spares.n >= SPARES_MAX)
			make_room(e);
		else if (make(e, f))
			launcher_flush(e);
		else
			shelf_drop(e, f);
		return;
	}
}
