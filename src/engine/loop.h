/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * loop - watchers and timers of the engine's one thread
 *
 * A turn is one look at the kernel, the callbacks of all that was ready, and the
 * end of the turn: there the journal is committed and what waited for the commit
 * is done. Watchers and timers are embedded in their objects; container_of()
 * gets back. Calling watch_fini() or timer_stop() in a callback is allowed, the
 * embedding object must live until the end of the turn.
 *
 * The longest time that a turn kept the loop from looking again is remembered.
 */

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

struct loop {
	struct event_base *base;
	uint64_t began;	    /* this turn's first callback; 0 = none yet */
	uint64_t stall_max; /* ns */
	uint64_t turns;
	bool again; /* the next turn must not wait */
	bool stop;
};

#define WATCH_READ EV_READ
#define WATCH_WRITE EV_WRITE

struct watch {
	struct event ev;
	struct loop *loop; /* NULL = not in use */
	short what;
	void (*fn)(struct watch *w, short what);
};

struct timer {
	struct event ev;
	struct loop *loop;
	void (*fn)(struct timer *t);
};

int loop_init(struct loop *l, struct err *err);
void loop_fini(struct loop *l);

/* Runs until loop->stop; end() is called once at the end of every turn. */
void loop_run(struct loop *l, void (*end)(void *data), void *data);
/* As above, with another condition to stop: for start-up, before there are calls. */
void loop_run_until(struct loop *l, bool (*done)(void *data), void (*end)(void *data),
		    void *data);

/* Level-triggered and lasting. what = 0 looks at nothing. -ENOMEM. */
int watch_init(struct watch *w, struct loop *l, int fd, short what,
	       void (*fn)(struct watch *w, short what));
void watch_set(struct watch *w, short what);
/* Before the descriptor is closed. Accepts a zeroed watch. */
void watch_fini(struct watch *w);

void timer_init(struct timer *t, struct loop *l, void (*fn)(struct timer *t));
void timer_set(struct timer *t, uint64_t ns); /* from now on; replaces an earlier one */
void timer_stop(struct timer *t);	      /* accepts a zeroed timer */
