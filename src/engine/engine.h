/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * engine - proctord's one object, and the order of a turn
 *
 * Everything of the engine hangs below struct engine. A turn of the loop ends
 * with turn_end() (turn.c), always in this order:
 *
 *	1. news of processes are written to the journal
 *	2. the journal is committed, intents of this turn included
 *	3. launches go to the launcher
 *	4. whoever waits is told the news; replies are queued
 *	5. connections send what is queued
 *	6. what died in this turn is freed
 *
 * So nothing is started that the journal does not know, no outcome is told that
 * it does not know, and no object goes away under a callback.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/clock.h"
#include "../base/err.h"
#include "../base/list.h"
#include "../op/call.h"
#include "groups.h"
#include "launcher.h"
#include "loop.h"
#include "spares.h"
#include "stock.h"

#define ENGINE_NAME "proctord/" PROCTOR_VERSION
#define ENGINE_SOCKET "proctor.sock"
#define ENGINE_PEERS_MAX 256u
#define ENGINE_RETRY_NS (1 * NS_PER_SEC)
#define ENGINE_CALLS_MAX 64u /* in flight on one connection */

struct options {
	char state[PATH_MAX];
	char runtime[PATH_MAX];
	int ready_fd;	       /* -1 = none */
	uint64_t idle_exit_ns; /* 0 = never */
	bool foreground;
	bool journal_full;
};

struct engine {
	struct world world;
	struct loop loop;
	struct options opt;
	int state_fd, keepers_fd, runtime_fd, lock_fd;
	int old_stderr; /* until it is ready: whoever started it; -1 */
	bool ready;
	char socket_path[PATH_MAX + 32];
	char keeper_path[PATH_MAX]; /* proctor-keeper */
	char self_path[PATH_MAX];   /* proctord, for the checkpoint helper */
	char config[PATH_MAX];	    /* the user's profiles; "" = none */

	struct launcher launcher;
	struct list orders; /* to be launched at the end of this turn */
	struct list links;  /* struct keeper */
	struct list dead_links;

	int listen_fd;
	bool listen_given; /* by socket activation: not ours to unlink */
	struct watch listen_watch;
	struct timer listen_again; /* after there were no descriptors left */
	struct list peers, dead_peers;
	unsigned int n_peers, n_calls;

	struct stock stock;
	struct spares spares;
	struct groups groups;
	struct timer chores;
	bool chores_soon;      /* the timer is set for now */
	struct timer outcomes; /* writes those again that the journal did not take */
	struct timer idle;
	struct timer watchdog;
	uint64_t watchdog_ns;
	uint64_t last_trim_ns;
	int checkpoint_pidfd;
	struct watch checkpoint_watch;
	uint64_t checkpoint_after_ns;

	struct examiner *examiner; /* running */
	json_t *facts;		   /* what the last one found, or NULL */

	int signal_fd;
	struct watch signal_watch;
	bool recovering;
	unsigned int adopting; /* links that recovery waits for */
};

static inline struct engine *engine_of(struct world *w)
{
	return container_of(w, struct engine, world);
}

/* turn.c */
void turn_end(void *engine);

/* listener.c */
int listener_open(struct engine *e, struct err *err);
void listener_close(struct engine *e);

/* chores.c: what is done when there is time */
int chores_init(struct engine *e, struct err *err);
void chores_fini(struct engine *e);
/* Something changed: more to do, or not idle any more. */
void chores_wake(struct engine *e);

/* recover.c: adopts, judges, and returns once every keeper has been heard or given up. */
int recover(struct engine *e, struct err *err);

/* notify.c */
void notify_send(const char *state);
/* Interval for WATCHDOG=1 in ns, 0 = none asked for. */
uint64_t notify_watchdog(void);
/* The one descriptor given by the service manager, -ENOENT, -E2BIG: more; -EINVAL. */
int notify_listen_fd(void);
