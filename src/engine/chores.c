/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is done when there is time: boxes made and unlinked, groups removed, ended
 * processes forgotten, history trimmed, the journal checkpointed, the watchdog fed; and
 * the end of an engine that nobody needs.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "engine.h"
#include "facts.h"
#include "say.h"
#include "spares.h"

#define SOON_NS (5 * NS_PER_MS)
#define UNLINKS_PER_CHORE 8
#define GROUPS_PER_CHORE 8
#define EXPIRE_PER_CHORE 32
#define TRIM_EVERY_NS (600 * NS_PER_SEC)
#define TRIM_BATCH 200
#define HISTORY_ROWS 100000
#define HISTORY_NS (UINT64_C(30) * 86400 * NS_PER_SEC)
#define KEYS_NS (UINT64_C(2) * 86400 * NS_PER_SEC)
#define CHECKPOINT_PAUSE_NS (1 * NS_PER_SEC)

/* --- the checkpoint, by a process of its own --- */

static void on_checkpointed(struct watch *w, short what)
{
	struct engine *e = container_of(w, struct engine, checkpoint_watch);

	(void)what;
	(void)waitid(P_PIDFD, (id_t)e->checkpoint_pidfd, &(siginfo_t){ 0 },
		     WEXITED | WNOHANG);
	watch_fini(&e->checkpoint_watch);
	(void)close(e->checkpoint_pidfd);
	e->checkpoint_pidfd = -1;
	e->checkpoint_after_ns = clock_mono() + CHECKPOINT_PAUSE_NS;
}

static void checkpoint(struct engine *e)
{
	char path[PATH_MAX + 16], name[] = "proctord", what[] = "checkpoint";
	char *argv[] = { name, what, path, NULL }, *env[] = { NULL };
	pid_t pid;
	int r;

	if (e->checkpoint_pidfd >= 0 || clock_mono() < e->checkpoint_after_ns ||
	    journal_wal_pages(e->world.journal) < JOURNAL_CHECKPOINT_PAGES)
		return;
	(void)snprintf(path, sizeof(path), "%s/journal.db", e->opt.state);
	r = posix_spawn(&pid, e->self_path, NULL, NULL, argv, env);
	if (r != 0) {
		say(LOG_LEVEL_WARNING, "no checkpoint of the journal: %s",
		    strerrordesc_np(r));
		e->checkpoint_after_ns = clock_mono() + 60 * CHECKPOINT_PAUSE_NS;
		return;
	}
	e->checkpoint_pidfd = pidfd_open(pid, 0);
	if (e->checkpoint_pidfd >= 0)
		(void)watch_init(&e->checkpoint_watch, &e->loop, e->checkpoint_pidfd,
				 WATCH_READ, on_checkpointed);
}

/* --- forgetting --- */

static bool expire(struct engine *e)
{
	struct registry *r = &e->world.processes;
	uint64_t now = clock_mono();
	struct process *p;
	int n = 0;

	while (n < EXPIRE_PER_CHORE && (p = registry_expired(r, now))) {
		stock_unlink(&e->stock, &p->id, ID_PROCESS);
		process_release(p);
		n++;
	}
	return n == EXPIRE_PER_CHORE;
}

/* When the oldest ended process may go; UINT64_MAX if there is none. */
static uint64_t next_expiry(const struct engine *e, uint64_t now)
{
	const struct registry *r = &e->world.processes;
	uint64_t at;

	if (list_empty(&r->ended))
		return UINT64_MAX;
	at = container_of(r->ended.next, struct process, ended)->ended_mono_ns +
	     PROCESS_RETAIN_NS;
	/* One that is still waited for is looked at again. */
	return at > now ? at - now : NS_PER_SEC;
}

static bool trim(struct engine *e)
{
	uint64_t now = clock_mono(), wall = clock_wall();
	const struct journal_keep keep = {
		.rows = HISTORY_ROWS,
		.since_wall_ns = wall > HISTORY_NS ? wall - HISTORY_NS : 0,
		.calls_since_wall_ns = wall > KEYS_NS ? wall - KEYS_NS : 0,
		.batch = TRIM_BATCH,
	};
	bool more = false;
	struct err err;

	if (now - e->last_trim_ns < TRIM_EVERY_NS)
		return false;
	if (journal_trim(e->world.journal, &keep, &more, &err) < 0)
		say(LOG_LEVEL_WARNING, "the history is not trimmed: %s", err.msg);
	if (!more)
		e->last_trim_ns = now;
	return more;
}

/* --- idleness --- */

static bool is_idle(const struct engine *e)
{
	return e->n_peers == 0 && e->world.processes.n_live == 0 &&
	       e->world.sandboxes.n == 0;
}

static void on_idle(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, idle);

	if (!is_idle(e))
		return;
	say(LOG_LEVEL_INFO, "nothing to do: ending");
	e->loop.stop = true;
}

/* --- timers --- */

/* Not again and again: what is woken often must come about all the same. */
static void soon(struct engine *e)
{
	if (e->chores_soon)
		return;
	e->chores_soon = true;
	timer_set(&e->chores, SOON_NS);
}

static void on_chores(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, chores);
	uint64_t next, again;
	bool more;

	e->chores_soon = false;
	spares_fill(e, SPARES_PER_PLAN);
	more = stock_chore(&e->stock, UNLINKS_PER_CHORE);
	more = expire(e) || more;
	more = trim(e) || more;
	checkpoint(e);
	next = MIN(spares_trim(e), TRIM_EVERY_NS);
	again = groups_chore(e, GROUPS_PER_CHORE);
	more = again == 0 || more;
	next = MIN(next, again);
	if (more)
		soon(e);
	else
		timer_set(t, MIN(next_expiry(e, clock_mono()), next));
}

/* Outcomes that the journal did not take when they came. */
static void on_outcomes(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, outcomes);

	LIST_EACH (&e->world.processes.all, it) {
		struct process *p = container_of(it, struct process, all);

		if (p->unsaved && p->news == 0)
			facts_save(e, p);
	}
}

static void on_watchdog(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, watchdog);

	notify_send("WATCHDOG=1");
	timer_set(t, e->watchdog_ns / 2);
}

void chores_wake(struct engine *e)
{
	if (!e->chores.loop)
		return;
	soon(e);
	if (e->opt.idle_exit_ns == 0)
		return;
	if (is_idle(e))
		timer_set(&e->idle, e->opt.idle_exit_ns);
	else
		timer_stop(&e->idle);
}

int chores_init(struct engine *e, struct err *err)
{
	int r = stock_init(&e->stock, e->world.boxes_fd, err);

	if (r < 0)
		return r;
	e->checkpoint_pidfd = -1;
	e->last_trim_ns = clock_mono();
	timer_init(&e->chores, &e->loop, on_chores);
	timer_init(&e->outcomes, &e->loop, on_outcomes);
	timer_init(&e->idle, &e->loop, on_idle);
	timer_init(&e->watchdog, &e->loop, on_watchdog);
	e->watchdog_ns = notify_watchdog();
	if (e->watchdog_ns > 0)
		on_watchdog(&e->watchdog);
	chores_wake(e);
	return 0;
}

void chores_fini(struct engine *e)
{
	timer_stop(&e->chores);
	timer_stop(&e->outcomes);
	timer_stop(&e->idle);
	timer_stop(&e->watchdog);
	watch_fini(&e->checkpoint_watch);
	if (e->checkpoint_pidfd >= 0)
		(void)close(e->checkpoint_pidfd);
	e->checkpoint_pidfd = -1;
	stock_fini(&e->stock);
}
