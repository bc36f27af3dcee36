/* SPDX-License-Identifier: Apache-2.0 */

/* The end of a turn, in the order that engine.h promises. */

#include "../base/fault.h"
#include "../op/bus.h"
#include "engine.h"
#include "facts.h"
#include "link.h"
#include "peer.h"
#include "sandboxes.h"
#include "say.h"
#include "spares.h"

static void save_news(struct engine *e)
{
	struct process *p;

	while ((p = registry_next_news(&e->world.processes)))
		if (p->unsaved)
			facts_save(e, p);
	sandboxes_save(e);
}

/* None of the turn's writes was kept: what has happened is written again later. */
static void unsave(struct engine *e)
{
	LIST_EACH (&e->world.processes.ready, it) {
		struct process *p = container_of(it, struct process, ready);

		p->unsaved = p->exited || p->ended_mono_ns != 0;
	}
	timer_set(&e->outcomes, ENGINE_RETRY_NS);
}

static void fail_orders(struct engine *e, const struct err *why)
{
	while (!list_empty(&e->orders)) {
		struct keeper *k = container_of(e->orders.next, struct keeper, launch);
		struct process *p = k->process;

		list_remove(&k->launch);
		link_fail(k, why);
		/* The journal knows nothing of it, and need not. */
		if (p)
			p->unsaved = false;
	}
}

static void commit(struct engine *e)
{
	struct err err;

	if (journal_commit(e->world.journal, &err) < 0) {
		say(LOG_LEVEL_ERROR, "the journal cannot be written: %s", err.msg);
		unsave(e);
		fail_orders(e, &err);
		return;
	}
	if (!list_empty(&e->orders))
		fault_point("intent");
}

/* True if something was launched. */
static bool launch(struct engine *e)
{
	bool any = !list_empty(&e->orders);

	while (!list_empty(&e->orders)) {
		struct keeper *k = container_of(e->orders.next, struct keeper, launch);

		list_remove(&k->launch);
		if (k->held)
			link_commit(k);
		else
			list_append(&e->launcher.queue, &k->launch);
	}
	launcher_flush(e);
	return any;
}

static void tell(struct engine *e)
{
	unsigned int news;
	struct process *p;

	while ((p = registry_take_ready(&e->world.processes, &news))) {
		bus_news(&e->world, p, news);
		process_tell(p, news);
		if (p->released)
			continue;
		keeper_watch(p);
		/* One descriptor for each of thousands would be too many. */
		if (list_empty(&p->waiters) || p->ended_mono_ns != 0)
			process_box_close(p);
	}
	sandboxes_tell(e);
}

void turn_end(void *engine)
{
	struct engine *e = engine;
	bool launched;

	save_news(e);
	commit(e);
	launched = launch(e);
	tell(e);
	if (peers_flush(e))
		e->loop.again = true;
	peers_reap(e);
	links_reap(e);
	registry_reap(&e->world.processes);
	sandboxes_reap(&e->world.sandboxes);
	/* What the next one will need is made while this one begins. */
	if (launched) {
		spares_fill(e, 1);
		(void)stock_chore(&e->stock, 0);
	}
	/* What the last steps brought about is for the next turn. */
	if (journal_dirty(e->world.journal) || !list_empty(&e->orders) ||
	    !list_empty(&e->world.processes.told) || !list_empty(&e->dead_peers))
		e->loop.again = true;
}
