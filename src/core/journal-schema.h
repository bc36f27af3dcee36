/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * journal-schema - the tables and statements of the journal
 *
 * Private to journal.c. A change of the tables is a new JOURNAL_SCHEMA and a
 * step from the one before. Times are nanoseconds; what is beyond SQLite's signed
 * 64 bits is cut to its largest number. In events, prev_hash and hash are kept for
 * a chain that proves the order; they are NULL now.
 */

#include "journal.h"

static const char journal_schema[] =
	"CREATE TABLE principals ("
	" uid INTEGER PRIMARY KEY, name TEXT NOT NULL, first_seen INTEGER NOT NULL);"
	"CREATE TABLE sandboxes ("
	" id BLOB PRIMARY KEY, uid INTEGER NOT NULL, boot_id BLOB NOT NULL,"
	" created_wall INTEGER NOT NULL, created_boot INTEGER NOT NULL,"
	" state INTEGER NOT NULL, ended_wall INTEGER NOT NULL DEFAULT 0,"
	" spec TEXT NOT NULL, outcome TEXT);"
	"CREATE INDEX sandboxes_alive ON sandboxes (created_wall) WHERE state < 3;"
	"CREATE INDEX sandboxes_ended ON sandboxes (ended_wall) WHERE state = 3;"
	"CREATE TABLE processes ("
	" id BLOB PRIMARY KEY, uid INTEGER NOT NULL, sandbox BLOB, boot_id BLOB NOT NULL,"
	" streams INTEGER NOT NULL, ring_bytes INTEGER NOT NULL,"
	" created_wall INTEGER NOT NULL, created_boot INTEGER NOT NULL,"
	" state INTEGER NOT NULL, released INTEGER NOT NULL DEFAULT 0,"
	" ended_wall INTEGER NOT NULL DEFAULT 0, ended_boot INTEGER NOT NULL DEFAULT 0,"
	" reason INTEGER NOT NULL DEFAULT 0, exit_code INTEGER NOT NULL DEFAULT -1,"
	" exit_signal INTEGER NOT NULL DEFAULT 0,"
	" total0 INTEGER NOT NULL DEFAULT 0, total1 INTEGER NOT NULL DEFAULT 0,"
	" spec TEXT NOT NULL, outcome TEXT);"
	"CREATE INDEX processes_alive ON processes (created_wall) WHERE state < 3;"
	"CREATE INDEX processes_ended ON processes (ended_wall) WHERE state = 3;"
	"CREATE TABLE calls ("
	" uid INTEGER NOT NULL, key TEXT NOT NULL, hash BLOB NOT NULL,"
	" process BLOB NOT NULL, wall INTEGER NOT NULL,"
	" PRIMARY KEY (uid, key)) WITHOUT ROWID;"
	"CREATE INDEX calls_age ON calls (wall);"
	"CREATE TABLE events ("
	" seq INTEGER PRIMARY KEY, wall INTEGER NOT NULL, kind TEXT NOT NULL,"
	" actor INTEGER NOT NULL, operation TEXT, subject TEXT, decision TEXT, detail "
	"TEXT,"
	" prev_hash BLOB, hash BLOB);";

/* From the schema of that number to the next one. */
static const char *const journal_steps[JOURNAL_SCHEMA] = {
	[1] = "DROP INDEX events_age;",
};

#define PROCESS_COLUMNS                                                                  \
	"id, uid, sandbox, boot_id, streams, ring_bytes, created_wall, created_boot, "   \
	"state,"                                                                         \
	" released, ended_wall, ended_boot, reason, exit_code, exit_signal, total0, "    \
	"total1,"                                                                        \
	" spec, outcome"
#define SANDBOX_COLUMNS                                                                  \
	"id, uid, boot_id, created_wall, created_boot, state, ended_wall, spec, outcome"

enum journal_query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_PROCESS_INTENT,
	Q_PROCESS_OUTCOME,
	Q_PROCESS_RELEASE,
	Q_PROCESS_FIND,
	Q_PROCESS_ALIVE,
	Q_PROCESS_ENDED,
	Q_SANDBOX_INTENT,
	Q_SANDBOX_OUTCOME,
	Q_SANDBOX_FIND,
	Q_SANDBOX_ALIVE,
	Q_CALL_FIND,
	Q_CALL_ADD,
	Q_EVENT,
	Q_PRINCIPAL,
	Q_TRIM_PROCESSES,
	Q_TRIM_SANDBOXES,
	Q_TRIM_CALLS,
	Q_TRIM_EVENTS,
	Q_MAX_,
};

/*
 * Trimming: ?1 rows to keep, ?2 age to keep, ?3 rows at most in this turn. The
 * newest ?1 are told by walking the index from its new end, not by counting all.
 */
static const char *const journal_queries[Q_MAX_] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_PROCESS_INTENT] =
		"INSERT INTO processes (id, uid, sandbox, boot_id, streams, ring_bytes,"
		" created_wall, created_boot, state, spec)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9)",
	[Q_PROCESS_OUTCOME] = "UPDATE processes SET state = max(state, ?2), ended_wall = "
			      "?3, ended_boot = ?4,"
			      " outcome = ?5, reason = ?6, exit_code = ?7, exit_signal = "
			      "?8, total0 = ?9,"
			      " total1 = ?10 WHERE id = ?1",
	[Q_PROCESS_RELEASE] = "UPDATE processes SET released = 1 WHERE id = ?1",
	[Q_PROCESS_FIND] = "SELECT " PROCESS_COLUMNS " FROM processes WHERE id = ?1",
	[Q_PROCESS_ALIVE] =
		"SELECT id FROM processes WHERE state < 3 ORDER BY created_wall",
	[Q_PROCESS_ENDED] = "SELECT id FROM processes WHERE state = 3"
			    " AND ended_wall >= ?1 AND released = 0 ORDER BY ended_wall",
	[Q_SANDBOX_INTENT] = "INSERT INTO sandboxes (id, uid, boot_id, created_wall, "
			     "created_boot, state, spec)"
			     " VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)",
	[Q_SANDBOX_OUTCOME] = "UPDATE sandboxes SET state = max(state, ?2), ended_wall = "
			      "?3, outcome = ?4"
			      " WHERE id = ?1",
	[Q_SANDBOX_FIND] = "SELECT " SANDBOX_COLUMNS " FROM sandboxes WHERE id = ?1",
	[Q_SANDBOX_ALIVE] =
		"SELECT id FROM sandboxes WHERE state < 3 ORDER BY created_wall",
	[Q_CALL_FIND] = "SELECT hash, process FROM calls WHERE uid = ?1 AND key = ?2",
	[Q_CALL_ADD] = "INSERT INTO calls (uid, key, hash, process, wall)"
		       " VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_EVENT] = "INSERT INTO events (wall, kind, actor, operation, subject, "
		    "decision, detail)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[Q_PRINCIPAL] = "INSERT OR IGNORE INTO principals (uid, name, first_seen)"
			" VALUES (?1, ?2, ?3)",
	[Q_TRIM_PROCESSES] =
		"DELETE FROM processes WHERE rowid IN (SELECT rowid FROM processes"
		" WHERE state = 3 AND ended_wall < max(?2, coalesce((SELECT ended_wall"
		" FROM processes WHERE state = 3 ORDER BY ended_wall DESC LIMIT 1 OFFSET "
		"?1 - 1), 0))"
		" ORDER BY ended_wall LIMIT ?3)",
	[Q_TRIM_SANDBOXES] =
		"DELETE FROM sandboxes WHERE rowid IN (SELECT rowid FROM sandboxes"
		" WHERE state = 3 AND ended_wall < max(?2, coalesce((SELECT ended_wall"
		" FROM sandboxes WHERE state = 3 ORDER BY ended_wall DESC LIMIT 1 OFFSET "
		"?1 - 1), 0))"
		" ORDER BY ended_wall LIMIT ?3)",
	[Q_TRIM_CALLS] =
		"DELETE FROM calls WHERE (uid, key) IN (SELECT uid, key FROM calls"
		" WHERE wall < max(?2, coalesce((SELECT wall FROM calls"
		" ORDER BY wall DESC LIMIT 1 OFFSET ?1 - 1), 0)) ORDER BY wall LIMIT ?3)",
	/*
	 * In the order of their numbers, which is that of the trail: what is kept
	 * keeps all that follows it. Only the oldest ?3 are looked at, and the newest
	 * stays, whatever its age: no number is ever used again.
	 */
	[Q_TRIM_EVENTS] =
		"WITH oldest AS (SELECT seq, wall FROM events"
		" WHERE seq < (SELECT max(seq) FROM events) ORDER BY seq LIMIT ?3)"
		" DELETE FROM events WHERE seq IN (SELECT seq FROM oldest)"
		" AND seq < coalesce((SELECT min(seq) FROM oldest WHERE wall >= ?2"
		" AND seq > (SELECT max(seq) FROM events) - ?1), 9223372036854775807)",
};
