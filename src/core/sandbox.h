/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sandbox - what several commands share, by name
 *
 * A holder keeps the namespaces of a named sandbox open; commands join it. A
 * sandbox that is being destroyed takes no new ones, and is gone once the trees
 * of all its commands are empty and its holder has ended.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"
#include "../base/list.h"
#include "ceiling.h"
#include "principal.h"
#include "profile.h"

#define SANDBOXES_MAX 256u

enum sandbox_state {
	SANDBOX_STARTING,
	SANDBOX_RUNNING,
	SANDBOX_ENDING,
	SANDBOX_GONE,
	SANDBOX_LOST, /* its holder died; nothing can join any more */
};

struct sandbox_waiter {
	struct list node;
	struct sandbox *sandbox;
	void (*fn)(struct sandbox_waiter *w, struct sandbox *s);
};

struct sandbox {
	struct list all; /* in order of creation */
	struct list waiters;
	struct list commands; /* struct process.siblings, live ones */
	struct list orders;   /* launches that wait until it runs; the engine's */
	struct id id;
	struct principal *owner;
	const struct profile *profile;
	struct workspace workspace;
	char *label, *spec;
	uint64_t created_wall_ns, created_boot_ns;
	uint64_t idle_ns, lifetime_ns; /* 0 = none */
	uint64_t created_mono_ns, used_mono_ns;
	unsigned int n_live;
	unsigned int ended_by_end; /* commands that its end has ended */
	enum sandbox_state state;
	bool unsaved;	/* its end is not in the journal yet */
	bool orphan;	/* of a connection that is gone: goes with its last command */
	bool news;	/* to be told at the end of the turn */
	struct err why; /* it did not start */
	int holder_pidfd;
	struct keeper *keeper;
	struct sandbox_timer *timer; /* the engine's */
};

struct sandboxes {
	struct list all;
	struct list dead;
	unsigned int n;
};

void sandboxes_init(struct sandboxes *l);
void sandboxes_fini(struct sandboxes *l);

struct sandbox_args {
	struct id id;
	struct principal *owner;
	const struct profile *profile;
	const struct workspace *workspace; /* a second holder is made */
	const char *label, *spec;	   /* copied */
	uint64_t created_wall_ns, created_boot_ns, created_mono_ns;
	uint64_t idle_ns, lifetime_ns;
};

/* ERR_QUOTA beyond SANDBOXES_MAX. */
int sandbox_new(struct sandboxes *l, const struct sandbox_args *a, struct sandbox **ret,
		struct err *err);
struct sandbox *sandbox_find(const struct sandboxes *l, const struct id *id);

/* Tells the waiters, once each; they have to remove themselves. */
void sandbox_tell(struct sandbox *s);
void sandbox_wait(struct sandbox *s, struct sandbox_waiter *w,
		  void (*fn)(struct sandbox_waiter *w, struct sandbox *s));
void sandbox_waiter_remove(struct sandbox_waiter *w);

/* Unlinked now, freed by sandboxes_reap(). Nobody may wait for it. */
void sandbox_drop(struct sandboxes *l, struct sandbox *s);
void sandboxes_reap(struct sandboxes *l);

const char *sandbox_state_name(enum sandbox_state s);
