/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * call - one call in flight, as a handler sees it
 *
 * A handler gets a call with decoded parameters. It answers by call_reply() or
 * by returning an error, at once or later: then it keeps what it needs in `state`
 * and sets the three functions that the engine calls back. After call_reply(),
 * call_fail() or stop() the call is not to be touched any more.
 *
 * What this header declares and no file of this folder defines is the engine's.
 * Replies and events leave at the end of the turn, after the commit of the
 * journal; nothing here waits.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"
#include "../core/ceiling.h"
#include "../core/journal.h"
#include "../core/principal.h"
#include "../core/process.h"
#include "../core/sandbox.h"
#include "../plan/proto.h"
#include "../sys/cgroup.h"
#include "../wire/frame.h"
#include "digests.h"
#include "op.h"

struct compiled;

/* What is one in the whole engine. */
struct world {
	struct registry processes;
	struct sandboxes sandboxes;
	struct list watchers; /* calls of events.watch (bus.h) */
	struct journal *journal;
	struct id boot_id;
	int boxes_fd;
	const char *state_dir, *runtime_dir, *socket; /* real paths */
	uid_t uid;
	uint64_t started_wall_ns, started_boot_ns;
	unsigned int adopted, lost; /* at recovery */
	struct digests digests;
	struct cgroups cgroups; /* of the engine */
};

/* What is one for a connection, fixed by its hello. */
struct session {
	struct principal *who;
	struct ceiling ceiling;
	char *path; /* the caller's PATH, or NULL */
	char *client;
	uint64_t number;	 /* of the connection, never 0 */
	bool own;		 /* has a sandbox of its own ... */
	struct sandbox *sandbox; /* ... once the first command needed it */
};

enum call_end {
	CALL_CANCELLED, /* the caller waits no longer; kills nothing */
	CALL_LOST,	/* his connection is gone */
	CALL_SHUTDOWN,	/* the engine ends */
};

struct call {
	const struct op *op;
	struct world *world;
	struct session *session;
	uint32_t number;
	const json_t *json; /* params as they came; only while the handler runs */
	void *params;	    /* the struct of op->params_size bytes */

	/* Of the frame. raw only while the handler runs; taken fds are set to -1. */
	const unsigned char *raw;
	size_t raw_len;
	int fds[FRAME_FDS];
	size_t n_fds;

	/* The handler's. */
	void *state;
	void (*stop)(struct call *c, enum call_end why); /* frees state */
	void (*room)(struct call *c); /* the connection has sent what was queued */
	void (*tick)(struct call *c); /* the timer of call_timer() */
	char subject[ID_TEXT];	      /* whom it changes, for the journal */
};

/* The handler of each operation; 0 = answered or pending. */
typedef int (*op_handler)(struct call *c, struct err *err);
extern const op_handler op_handlers[OP_MAX_];

/*
 * Ends the call. Takes result (NULL: out of memory, the caller is told so) and
 * copies the bytes.
 */
void call_reply(struct call *c, json_t *result, const void *raw, size_t len);
void call_fail(struct call *c, const struct err *err);
/* Takes event. */
void call_event(struct call *c, json_t *event, const void *raw, size_t len);

/*
 * A stream asks before each event; what is there already leaves first. room() is
 * called after it said no, and after what call_mark() named has been sent.
 */
bool call_has_room(const struct call *c);
uint64_t call_mark(const struct call *c); /* all that was queued up to now */
bool call_sent(const struct call *c, uint64_t mark);

/* One per call; replaces an earlier one. UINT64_MAX: none. CLOCK_MONOTONIC. */
void call_timer(struct call *c, uint64_t at_mono_ns);

/*
 * A box made ahead of need, or now: *ret_fd is locked. The id is new. One that is
 * not used after all goes back by world_box_drop().
 */
int world_box(struct world *w, uint32_t streams, uint64_t ring_bytes, char kind,
	      struct id *ret_id, int *ret_fd, struct err *err);
void world_box_drop(struct world *w, const struct id *id, char kind, int fd);
/* The file goes when there is time. */
void world_box_unlink(struct world *w, const struct id *id, char kind);

/*
 * A keeper that stands ready, prepared by this very plan and in this sandbox (NULL:
 * a fresh one), with a box of the default size: *ret_id is its id. NULL if there is
 * none. It stays where it is until world_launch() gives it to a command, or
 * world_spare_drop() ends it.
 */
struct keeper *world_spare(struct world *w, const struct plan_builder *plan,
			   struct sandbox *join, struct id *ret_id);
void world_spare_drop(struct world *w, struct keeper *k);

/*
 * The group that the plan asks for: c->cgroup_path, and descriptors by slot from
 * SLOT_CGROUP on, -1 = none. Nothing for a command without such limits. sandbox may be
 * NULL. It goes with its process, or, if there will be none, by world_group_drop().
 */
int world_group(struct world *w, const struct id *process, const struct id *sandbox,
		struct compiled *c, int ret_fds[static SLOT_CGROUPS], struct err *err);
void world_group_drop(struct world *w, const struct id *process,
		      const struct id *sandbox);

/* Starts after the commit of this turn. All descriptors are taken, also on failure. */
struct launch_order {
	struct process *process; /* or, for a holder: */
	struct sandbox *holder;
	struct keeper *spare;			     /* then no prepare_fd, no box_fd */
	struct sandbox *sandbox;		     /* to join, or NULL */
	int prepare_fd, commit_fd, box_fd, stdin_fd; /* -1 = none */
	const int *cgroup_fds;			     /* SLOT_CGROUPS, or NULL */
};
void world_launch(struct world *w, const struct launch_order *o);

/*
 * A question to the keeper of p. The answer comes to fn, with error = an errno if
 * the keeper says so or ends first (ESRCH). ask is embedded in the asker, who may
 * drop it. ERR_CONFLICT if p has no keeper to ask.
 */
struct keeper_ask {
	struct list node;
	uint32_t seq;
	void (*fn)(struct keeper_ask *a, int error, const struct keeper_msg *m,
		   const struct keeper_stat *stat);
};
int keeper_ask(struct process *p, const struct keeper_msg *m, const void *data,
	       struct keeper_ask *ask, struct err *err);
void keeper_ask_drop(struct keeper_ask *ask); /* accepts a zeroed one */
/* Without an answer. 0 or -errno. */
int keeper_tell(struct process *p, const struct keeper_msg *m);
/* After a waiter's `past` changed. */
void keeper_watch(struct process *p);
/* Ends the tree by the ladder; its end comes as news. */
int keeper_kill(struct process *p, int sig, uint64_t grace_ns, enum box_reason reason,
		struct err *err);
/* Whether there is a keeper that can be told something. */
bool keeper_there(const struct process *p);
/* Its process number, 0 if that is not known. It may be gone: for people only. */
int32_t keeper_pid(const struct process *p);

/*
 * Ends a sandbox: takes no more commands, ends those that it has, then its holder.
 * Its waiters are told when it is gone.
 */
void sandbox_end(struct world *w, struct sandbox *s, uint64_t grace_ns);
/* Looks at it again: something in it changed. */
void sandbox_step(struct world *w, struct sandbox *s);

/*
 * What the machine can do, found out by another process: done() gets an array of
 * {name, title, found, needed, value, why, cure} (core/boot.h), NULL if that
 * failed. Unless fresh, what was found before will do.
 */
int world_probe(struct call *c, bool fresh,
		void (*done)(struct call *c, const json_t *facts), struct err *err);

struct engine_facts {
	int launcher_pid; /* 0 = none */
	const char *keeper_path;
	unsigned int connections, calls;
	uint64_t stall_max_ns, turns;
	uint64_t memory_bytes;
	int wal_pages;
	unsigned int prepared; /* keepers ahead of need */
};
void world_facts(const struct world *w, struct engine_facts *ret);
