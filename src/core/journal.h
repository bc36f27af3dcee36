/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * journal - what was decided and what came of it, before it is acted on
 *
 * One SQLite file in WAL mode, one writer: who shares it is the engine's lock to
 * prevent. The first write of a turn of the loop opens a transaction, and
 * journal_commit() ends it; nothing counts before that. If a write fails, none
 * of its turn is kept, and journal_commit() says so as well.
 *
 * A full disk, a locked or damaged file come back as ERR_UNAVAILABLE with what
 * to do. A damaged journal is never replaced by an empty one; one of an older
 * schema is brought up to this one when it is opened.
 *
 * The WAL is never checkpointed by the writer, whose loop must not wait for a
 * disk: once journal_wal_pages() is large, another process is to run
 * journal_checkpoint(). Values of the environment, stdin and output never enter
 * the journal; what the texts below hold is up to the caller.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/id.h"
#include "principal.h"

#define JOURNAL_SCHEMA 2
#define JOURNAL_CHECKPOINT_PAGES 1000 /* of 4 KiB: when to checkpoint */
#define JOURNAL_KEY_MAX 200	      /* bytes of an idempotency key */
#define JOURNAL_TEXT_MAX ((size_t)8 << 20)
#define JOURNAL_HASH 32

struct journal;

struct journal_options {
	bool full; /* synchronous=FULL: a power cut loses nothing either */
};

int journal_open(struct journal **ret, const char *path,
		 const struct journal_options *opt, struct err *err);
/* Rolls back what is not committed. Accepts NULL. */
void journal_close(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_close);

/* Nothing written: success at once. */
int journal_commit(struct journal *j, struct err *err);
bool journal_dirty(const struct journal *j);

/* Pages in the WAL after the last commit. */
int journal_wal_pages(const struct journal *j);
/* For another process than the writer's; takes as long as the disk does. */
int journal_checkpoint(const char *path, struct err *err);

/* Processes */

enum journal_state {
	JOURNAL_INTENT = 1, /* decided, starting or running */
	JOURNAL_EXITED,	    /* its outcome is known, its tree may still live */
	JOURNAL_GONE,	    /* its outcome is known and nothing of it lives */
};

struct journal_process {
	struct id id;
	uid_t uid;	   /* of the principal */
	struct id sandbox; /* zero = a fresh one */
	struct id boot_id;
	uint32_t streams; /* of its box */
	uint64_t ring_bytes;
	uint64_t created_wall_ns, created_boot_ns;
	const char *spec; /* opaque; never NULL for an intent */

	/* not of an intent */
	enum journal_state state;
	uint64_t ended_wall_ns, ended_boot_ns; /* 0 = not known */
	const char *outcome;		       /* opaque, or NULL */
	uint32_t reason;		       /* enum box_reason */
	int32_t exit_code;		       /* -1 = none */
	int32_t exit_signal;		       /* 0 = none */
	uint64_t total[2];		       /* bytes of each stream */
	bool released;
};

/* ERR_CONFLICT if the id is known already. */
int journal_intent(struct journal *j, const struct journal_process *p, struct err *err);

/*
 * Stores all of "not of an intent" but `released`; state must be EXITED or GONE.
 * May be repeated; a GONE process never becomes EXITED again (the numbers of a
 * later call are stored, the state stays). ERR_NOT_FOUND.
 */
int journal_outcome(struct journal *j, const struct journal_process *p, struct err *err);

/* Forgotten by its owner: kept as history only. ERR_NOT_FOUND. */
int journal_release(struct journal *j, const struct id *id, struct err *err);

/*
 * Texts are borrowed until the callback returns. A negative return ends the walk.
 * The callback may use the journal, also change what is walked over: which rows
 * there are is found out before the first call.
 */
typedef int (*journal_process_fn)(void *user, const struct journal_process *p,
				  struct err *err);

/* ERR_NOT_FOUND; else what the callback returned. */
int journal_find(struct journal *j, const struct id *id, journal_process_fn fn,
		 void *user, struct err *err);
/* Those in INTENT or EXITED, oldest first. */
int journal_each_alive(struct journal *j, journal_process_fn fn, void *user,
		       struct err *err);
/* Those GONE and not released that ended at since_wall_ns or later, oldest first. */
int journal_each_ended(struct journal *j, uint64_t since_wall_ns, journal_process_fn fn,
		       void *user, struct err *err);

/* Sandboxes with a name. Their box has no stream; state and outcome as above. */

struct journal_sandbox {
	struct id id;
	uid_t uid;
	struct id boot_id;
	uint64_t created_wall_ns, created_boot_ns;
	const char *spec;	  /* opaque */
	enum journal_state state; /* INTENT or GONE */
	uint64_t ended_wall_ns;
	const char *outcome; /* opaque, or NULL */
};

typedef int (*journal_sandbox_fn)(void *user, const struct journal_sandbox *s,
				  struct err *err);

int journal_sandbox_intent(struct journal *j, const struct journal_sandbox *s,
			   struct err *err);
int journal_sandbox_outcome(struct journal *j, const struct journal_sandbox *s,
			    struct err *err);
int journal_each_sandbox(struct journal *j, journal_sandbox_fn fn, void *user,
			 struct err *err);

/* Idempotency: one key of one principal names one request and its one process. */

struct journal_call {
	uid_t uid;
	const char *key;	    /* 1 to JOURNAL_KEY_MAX bytes */
	uint8_t hash[JOURNAL_HASH]; /* of the request, by a digest of the caller's choice
				     */
	struct id process;
	uint64_t wall_ns;
};

/*
 * *ret_found tells whether (uid, key) was used; then *ret_process is its process.
 * ERR_CONFLICT, stage "idempotency_key", if that was another request.
 */
int journal_call_find(struct journal *j, const struct journal_call *c, bool *ret_found,
		      struct id *ret_process, struct err *err);
/* ERR_CONFLICT if the key is used. */
int journal_call_add(struct journal *j, const struct journal_call *c, struct err *err);

/* The audit trail: calls that change something, and those that were refused. */

struct journal_event {
	uint64_t wall_ns;
	const char *kind; /* "call", "refusal", "outcome", "recovery" ... */
	uid_t actor;
	const char *operation; /* or NULL */
	const char *subject;   /* id as text, or NULL */
	const char *decision;  /* "allowed", "denied", "failed" ... or NULL */
	const char *detail;    /* or NULL */
};

int journal_event(struct journal *j, const struct journal_event *e, struct err *err);

/* Name of a uid at the time it was first seen; written once each. */
int journal_principal(struct journal *j, const struct principal *p, uint64_t wall_ns,
		      struct err *err);

struct journal_keep {
	uint64_t rows;		      /* of each history table; 0 counts as 1 */
	uint64_t since_wall_ns;	      /* older history goes */
	uint64_t calls_since_wall_ns; /* older idempotency keys go */
	unsigned int batch;	      /* rows of each table deleted by one call */
};

/*
 * Deletes at most keep->batch rows of each table that are neither alive nor to
 * be kept. *ret_more: there is more to delete, call again in another turn.
 */
int journal_trim(struct journal *j, const struct journal_keep *keep, bool *ret_more,
		 struct err *err);
