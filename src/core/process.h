/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * process - every command that the engine knows
 *
 * The registry owns the processes, finds them by id and by the host's pid, keeps
 * them in the order of their creation, and counts: at most PROCESS_LIVE_MAX that
 * may have something alive, at most PROCESS_ENDED_MAX ended ones, each no longer
 * than its retention. A process is live until its whole tree is known to be gone.
 *
 * What happened to a process comes in as news (the bits of enum process_news),
 * collects until the end of the turn, and goes from there, once it is journalled,
 * to everybody who waits. A waiter may remove itself or others when it is told.
 *
 * Facts about a command are what its black box says (`record`); a pid is for
 * people, and for finding a running one by it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"
#include "../base/list.h"
#include "../box/format.h"
#include "principal.h"
#include "profile.h"

#define PROCESS_LIVE_MAX 4096u
#define PROCESS_ENDED_MAX 4096u
#define PROCESS_RETAIN_NS (UINT64_C(300) * 1000000000)
#define PROCESS_BUCKETS 4096u
#define PROCESS_WRITE_IDS 64
#define PROCESS_WRITE_ID_MAX 128

enum process_state { PROCESS_STARTING, PROCESS_RUNNING, PROCESS_EXITED, PROCESS_LOST };

enum process_news {
	NEWS_STARTED = 1 << 0,
	NEWS_FAILED = 1 << 1, /* did not start; EXITED and EMPTY come with it */
	NEWS_OUTPUT = 1 << 2,
	NEWS_EXITED = 1 << 3,
	NEWS_CLOSED = 1 << 4,
	NEWS_EMPTY = 1 << 5,
	NEWS_LOST = 1 << 6,	/* EMPTY does not come with it: nobody knows */
	NEWS_RELEASED = 1 << 7, /* forgotten: the waiter is unlinked already */
	NEWS_SHUTDOWN = 1 << 8, /* the engine ends, the command runs on */
};

struct json_t;
struct process;
struct sandbox;

/* Somebody who wants to hear of a process. Embedded; zeroed = not waiting. */
struct waiter {
	struct list node;
	struct process *process;
	uint64_t round; /* of process_tell() */
	void (*fn)(struct waiter *w, struct process *p, unsigned int news);
	/* NEWS_OUTPUT is wanted once a stream has more bytes than this. */
	uint64_t past[BOX_STREAMS];
};
#define WAITER_NO_OUTPUT UINT64_MAX

/* The last input writes that had an id, so that a repeated one is not done twice. */
struct process_write {
	char id[PROCESS_WRITE_ID_MAX + 1];
	uint64_t taken;
	bool done; /* false: still being written */
};
struct process_writes {
	size_t next;
	struct process_write w[PROCESS_WRITE_IDS];
};

struct process {
	struct list all;      /* in order of creation */
	struct list ended;    /* in order of ending, while retained */
	struct list told;     /* has news ... */
	struct list ready;    /* ... that are journalled and can be told */
	struct list siblings; /* in the same sandbox */
	struct process *next_id, *next_pid;
	struct registry *registry;
	struct list waiters;
	uint64_t round;

	struct id id;
	struct principal *owner;
	struct sandbox *sandbox; /* NULL = fresh, or gone */
	struct id sandbox_id;	 /* zero = fresh */
	struct id boot_id;
	uint64_t created_wall_ns, created_boot_ns;
	uint64_t ended_mono_ns; /* 0 = something may be alive */

	char *spec; /* opaque text: what was asked for, and the isolation */
	/* The same as values, until a record takes them or nobody waits; or NULL. */
	struct json_t *asked;
	char *label, *call_id, *profile; /* of it; NULL = none */
	enum backend backend;
	bool pty;
	bool combined, discard;
	bool block;	      /* overflow: block */
	bool stdin_open;      /* takes input */
	bool disconnect_kill; /* its caller's connection is its life */
	uint64_t grace_ns, timeout_ns;
	uint32_t streams;
	uint64_t ring_bytes;

	enum process_state state;
	bool exited, closed, empty;
	unsigned int news, ready_news;
	bool unsaved; /* the outcome is not in the journal yet */
	bool released;
	int32_t pid; /* the host's; 0 = unknown or gone */
	struct box_record record;
	bool has_record;
	bool cgroup;		     /* has a group of its own */
	struct box_usage usage;	     /* of that; memory_limit 0 = not known */
	uint64_t total[BOX_STREAMS]; /* as last heard */
	uint64_t lost[BOX_STREAMS];
	bool at_end[BOX_STREAMS];
	bool disk_full;
	bool settled; /* the record is final: its numbers need not be read again */
	struct err *start_err; /* why it did not start, or was lost; NULL = neither */
	char *killed_by;       /* who, and the reason he gave */
	struct process_writes *writes;
	uint64_t cpu_us, cpu_at_ns; /* when last counted, for the use since then */
	struct list feeds;	    /* input on its way, the first one being written; the
				       operations' */
	uint64_t connection;	    /* of on_disconnect: kill; 0 = none */
	char *consumer; /* of overflow: block: who acknowledges; NULL = who started it */
	int box_fd;	/* -1 = not open */

	struct keeper *keeper; /* the engine's link, NULL if there is none */
};

struct registry {
	struct process *by_id[PROCESS_BUCKETS];
	struct process *by_pid[PROCESS_BUCKETS];
	struct list all;
	struct list ended;
	struct list told, ready;
	struct list dead; /* freed by registry_reap() */
	int boxes_fd;	  /* the directory of the boxes; borrowed */
	unsigned int n_all, n_ended, n_live;
	uint64_t started;
};

void registry_init(struct registry *r, int boxes_fd);
void registry_fini(struct registry *r);

/* What is counted is asked first: ERR_QUOTA if one more may not live. */
int registry_admit(const struct registry *r, struct err *err);

struct process_args {
	struct id id;
	struct principal *owner;
	struct id boot_id;
	uint64_t created_wall_ns, created_boot_ns;
	const char *spec, *label, *call_id, *profile; /* copied; or NULL */
};

/* A process in PROCESS_STARTING, counted as live. ERR_CONFLICT for a known id. */
int process_new(struct registry *r, const struct process_args *a, struct process **ret,
		struct err *err);

/* Unlinks it and tells its waiters; freed by registry_reap(). Only ended ones. */
void process_release(struct process *p);
/* For one whose intent was never committed: as if it had not been. */
void process_forget(struct process *p);
void registry_reap(struct registry *r);

struct process *process_find(const struct registry *r, const struct id *id);
/* Running ones only. */
struct process *process_find_pid(const struct registry *r, int32_t pid);
void process_set_pid(struct process *p, int32_t pid);

/* Notes news, to be told at the end of the turn. */
void process_note(struct process *p, unsigned int news);
/* One that has fresh news, which become ready to be told: NULL at the end. */
struct process *registry_next_news(struct registry *r);
/* Takes the ready news of one process: NULL at the end. */
struct process *registry_take_ready(struct registry *r, unsigned int *ret_news);
void process_tell(struct process *p, unsigned int news);

/* Nothing of it lives (or nobody can know): no longer counted, retained for a while. */
void process_set_ended(struct process *p, uint64_t now_mono_ns);

void process_wait(struct process *p, struct waiter *w,
		  void (*fn)(struct waiter *w, struct process *p, unsigned int news));
void waiter_remove(struct waiter *w);
/* The least offsets that somebody waits for; false = nobody waits for output. */
bool process_wants_output(const struct process *p, uint64_t past[static BOX_STREAMS]);

/*
 * The oldest ended process that nobody waits for and whose time is over at `now`,
 * or that is one too many. NULL if there is none.
 */
struct process *registry_expired(const struct registry *r, uint64_t now_mono_ns);

/* true and the earlier result if this id was used; false: it is noted as begun. */
bool process_write_seen(struct process *p, const char *write_id,
			struct process_write **ret);

/*
 * Its box, open for reading, which the process keeps (process-box.c). -1 if there
 * is none, or no keeper has taken it yet.
 */
int process_box(struct process *p);
/* Once nobody is likely to read it soon. */
void process_box_close(struct process *p);
/* Reads record and totals. False if there is none, or it is damaged or another's. */
bool process_read(struct process *p);

/* "starting", ...; never NULL. */
const char *process_state_name(enum process_state s);
/* The one word: ok, error, timeout, killed, denied, cancelled, lost, running. */
const char *process_status(const struct process *p);
