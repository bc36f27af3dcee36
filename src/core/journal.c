/* SPDX-License-Identifier: Apache-2.0 */

#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/macro.h"
#include "journal-schema.h"

/* "proc": what `file` and a person tell the database by. */
#define APPLICATION_ID 0x70726f63

#define PAGE_SIZE 4096

/* Nobody else writes; only a checkpoint at a bad moment can make us wait. */
#define BUSY_MS 2000

/* The WAL file is cut to this when it is used from its beginning again. */
#define WAL_KEEP "16777216"

/* Passes of a checkpoint over what was written while it ran. */
#define PASSES 3

struct journal {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *st[Q_MAX_];
	bool open;	   /* a transaction is */
	struct err failed; /* why this turn cannot be committed */
	int wal_pages;
	/* Whose name is known to be there: commands come from few. */
	bool has_principal;
	uid_t principal;
};

/* The statement is free again, and holds no pointer into the caller's memory. */
static void done(sqlite3_stmt *st)
{
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
}
DEFINE_CLEANUP(sqlite3_stmt *, done);

static int explain(sqlite3 *db, const char *path, int rc, const char *what,
		   struct err *err)
{
	int sys = db ? sqlite3_system_errno(db) : 0;
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOSPC,
			       "%s: the disk of the journal %s is full; make room on it, "
			       "commands "
			       "that run are not touched",
			       what, path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, ERR_UNAVAILABLE, "journal", 0,
			       "%s: another program holds the journal %s locked; end "
			       "that program",
			       what, path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(
			err, ERR_UNAVAILABLE, "journal", 0,
			"%s: the journal %s is damaged (%s); restore it from a backup, "
			"or "
			"move it and its -wal and -shm files aside to begin an empty one",
			what, path, text);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return err_set(err, ERR_UNAVAILABLE, "journal", sys,
			       "%s: the journal %s cannot be written (%s); check the "
			       "owner and mode "
			       "of the file and of its directory",
			       what, path, text);
	default:
		return err_set(err, ERR_UNAVAILABLE, "journal", sys, "%s: journal %s: %s",
			       what, path, text);
	}
}

/*
 * A write that failed takes its whole turn with it: half of what belongs together
 * would be worse than nothing. Later writes of the turn fail with the same error.
 */
static int give_up(struct journal *j, int rc, const char *what, struct err *err)
{
	int r = explain(j->db, j->path, rc, what, &j->failed);

	if (!sqlite3_get_autocommit(j->db))
		(void)sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
	j->open = false;
	j->has_principal = false;
	if (err)
		*err = j->failed;
	return r;
}

static int query(struct journal *j, enum journal_query q, sqlite3_stmt **ret,
		 struct err *err)
{
	int rc;

	if (!j->st[q]) {
		rc = sqlite3_prepare_v3(j->db, journal_queries[q], -1,
					SQLITE_PREPARE_PERSISTENT, &j->st[q], NULL);
		if (rc != SQLITE_OK)
			return explain(j->db, j->path, rc, "prepare", err);
	}
	*ret = j->st[q];
	return 0;
}

/* A statement that writes, within the transaction of the turn. */
static int query_write(struct journal *j, enum journal_query q, sqlite3_stmt **ret,
		       struct err *err)
{
	sqlite3_stmt *begin = NULL;
	int r, rc;

	if (j->failed.code) {
		if (err)
			*err = j->failed;
		return -j->failed.code;
	}
	if (!j->open) {
		r = query(j, Q_BEGIN, &begin, err);
		if (r < 0)
			return r;
		rc = sqlite3_step(begin);
		done(begin);
		if (rc != SQLITE_DONE)
			return give_up(j, rc, "begin", err);
		j->open = true;
	}
	r = query(j, q, ret, err);
	return r < 0 ? give_up(j, sqlite3_errcode(j->db), "prepare", err) : 0;
}

/* Runs it. *ret_rows is the number of rows changed. A taken key is ERR_CONFLICT. */
static int write_step(struct journal *j, sqlite3_stmt *st, const char *what,
		      int *ret_rows, struct err *err)
{
	int rc = sqlite3_step(st);

	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return err_set(err, ERR_CONFLICT, "journal", 0, "%s: it is there already",
			       what);
	if (rc != SQLITE_DONE)
		return give_up(j, rc, what, err);
	if (ret_rows)
		*ret_rows = sqlite3_changes(j->db);
	return 0;
}

static void bind_u64(sqlite3_stmt *st, int n, uint64_t v)
{
	(void)sqlite3_bind_int64(st, n, (sqlite3_int64)MIN(v, (uint64_t)INT64_MAX));
}

static void bind_id(sqlite3_stmt *st, int n, const struct id *id)
{
	(void)sqlite3_bind_blob(st, n, id->b, ID_BYTES, SQLITE_STATIC);
}

/* NULL stays NULL. The text must live until the statement is done. */
static void bind_text(sqlite3_stmt *st, int n, const char *text)
{
	(void)sqlite3_bind_text(st, n, text, -1, SQLITE_STATIC);
}

static int check_text(const char *text, bool must, const char *what, struct err *err)
{
	if (!text && must)
		return err_set(err, ERR_INTERNAL, "journal", 0, "%s is missing", what);
	if (text && strlen(text) > JOURNAL_TEXT_MAX)
		return err_set(err, ERR_INVALID_INPUT, "journal", 0,
			       "%s has %zu bytes; allowed "
			       "are %zu",
			       what, strlen(text), JOURNAL_TEXT_MAX);
	return 0;
}

static bool column_id(sqlite3_stmt *st, int n, struct id *ret)
{
	const void *b = sqlite3_column_blob(st, n);

	memset(ret, 0, sizeof(*ret));
	if (!b)
		return sqlite3_column_type(st, n) == SQLITE_NULL;
	if (sqlite3_column_bytes(st, n) != ID_BYTES)
		return false;
	memcpy(ret->b, b, ID_BYTES);
	return true;
}

static uint64_t column_u64(sqlite3_stmt *st, int n)
{
	return (uint64_t)sqlite3_column_int64(st, n);
}

static uint32_t column_u32(sqlite3_stmt *st, int n)
{
	return (uint32_t)sqlite3_column_int64(st, n);
}

/* False without memory; *ret is NULL for NULL. */
static bool column_text(sqlite3_stmt *st, int n, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(st, n);

	if (!text)
		return sqlite3_column_type(st, n) == SQLITE_NULL;
	*ret = strdup(text);
	return *ret != NULL;
}

/* Opening */

static int exec(struct journal *j, const char *sql, const char *what, struct err *err)
{
	int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : explain(j->db, j->path, rc, what, err);
}

/* The first column of the first row. */
static int ask(struct journal *j, const char *sql, sqlite3_int64 *ret, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sqlite3_prepare_v2(j->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : explain(j->db, j->path, rc, sql, err);
}

static int on_wal(void *user, sqlite3 *db, const char *name, int pages)
{
	struct journal *j = user;

	(void)db;
	(void)name;
	j->wal_pages = pages;
	return SQLITE_OK;
}

static int set_wal(struct journal *j, struct err *err)
{
	sqlite3_stmt *st = NULL;
	bool wal = false;
	int rc;

	rc = sqlite3_prepare_v2(j->db, "PRAGMA journal_mode=WAL", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_ROW)
		return explain(j->db, j->path, rc, "open", err);
	if (!wal)
		return err_set(
			err, ERR_UNAVAILABLE, "journal", 0,
			"the file system of %s has no shared memory maps, which WAL mode "
			"needs; put the state directory on a local disk",
			j->path);
	return 0;
}

/* One transaction: a journal is empty or complete. */
static int create(struct journal *j, struct err *err)
{
	CLEANUP(buf_fini) struct buf sql = { 0 };

	buf_addf(&sql,
		 "BEGIN IMMEDIATE;%s PRAGMA application_id=%d; PRAGMA user_version=%d; "
		 "COMMIT;",
		 journal_schema, APPLICATION_ID, JOURNAL_SCHEMA);
	if (!buf_ok(&sql))
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOMEM, "create");
	return exec(j, sql.data, "create", err);
}

/* In one transaction too: it is of one version or of the other. */
static int upgrade(struct journal *j, int version, struct err *err)
{
	CLEANUP(buf_fini) struct buf sql = { 0 };

	buf_adds(&sql, "BEGIN IMMEDIATE;");
	for (int v = version; v < JOURNAL_SCHEMA; v++)
		buf_adds(&sql, journal_steps[v]);
	buf_addf(&sql, "PRAGMA user_version=%d; COMMIT;", JOURNAL_SCHEMA);
	if (!buf_ok(&sql))
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOMEM, "upgrade");
	return exec(j, sql.data, "upgrade", err);
}

static int check_schema(struct journal *j, struct err *err)
{
	sqlite3_int64 version = 0, app = 0, tables = 0;
	int r;

	r = ask(j, "PRAGMA user_version", &version, err);
	if (r == 0)
		r = ask(j, "PRAGMA application_id", &app, err);
	if (r == 0)
		r = ask(j, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (r < 0)
		return r;
	if (version == 0 && app == 0 && tables == 0)
		return create(j, err);
	if (app != APPLICATION_ID)
		return err_set(err, ERR_UNAVAILABLE, "journal", 0,
			       "%s is a database of another program; move it aside",
			       j->path);
	if (version >= 1 && version < JOURNAL_SCHEMA)
		return upgrade(j, (int)version, err);
	if (version != JOURNAL_SCHEMA)
		return err_set(err, ERR_UNAVAILABLE, "journal", 0,
			       "the journal %s has version %lld, and this program knows "
			       "version %d; "
			       "use the program that wrote it, or move the journal aside",
			       j->path, (long long)version, JOURNAL_SCHEMA);
	return 0;
}

/* Private from its first moment, and no link to somebody else's file. */
static int touch(const char *path, struct err *err)
{
	CLEANUP(close) int fd = -1;
	struct stat st;

	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return err_set(
			err, ERR_UNAVAILABLE, "journal", errno,
			"open the journal %s; check the owner and mode of its directory",
			path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_UNAVAILABLE, "journal", 0,
			       "the journal %s is no regular file", path);
	return 0;
}

/* What a crash left in the WAL counts before the first commit, too. */
static int wal_pages_found(const char *path)
{
	CLEANUP(buf_fini) struct buf wal = { 0 };
	struct stat st;

	buf_addf(&wal, "%s-wal", path);
	if (!buf_ok(&wal) || stat(wal.data, &st) < 0)
		return 0;
	return (int)MIN(st.st_size / PAGE_SIZE, (off_t)INT32_MAX);
}

static int set_up(struct journal *j, const struct journal_options *opt, struct err *err)
{
	int r;

	(void)sqlite3_extended_result_codes(j->db, 1);
	(void)sqlite3_busy_timeout(j->db, BUSY_MS);
	(void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = set_wal(j, err);
	if (r == 0)
		r = exec(j,
			 opt && opt->full ? "PRAGMA synchronous=FULL" :
					    "PRAGMA synchronous=NORMAL",
			 "open", err);
	if (r == 0)
		r = exec(j,
			 "PRAGMA journal_size_limit=" WAL_KEEP
			 "; PRAGMA temp_store=MEMORY",
			 "open", err);
	if (r == 0)
		r = check_schema(j, err);
	if (r < 0)
		return r;
	/* A hook of one's own also ends SQLite's checkpoints at commit. */
	(void)sqlite3_wal_hook(j->db, on_wal, j);
	j->wal_pages = wal_pages_found(j->path);
	return 0;
}

int journal_open(struct journal **ret, const char *path,
		 const struct journal_options *opt, struct err *err)
{
	CLEANUP(journal_close) struct journal *j = NULL;
	int r, rc;

	r = touch(path, err);
	if (r < 0)
		return r;
	j = calloc(1, sizeof(*j));
	if (!j)
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOMEM, "open");
	j->path = strdup(path);
	if (!j->path)
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOMEM, "open");
	rc = sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	if (rc != SQLITE_OK)
		return explain(j->db, path, rc, "open", err);
	r = set_up(j, opt, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(j);
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->open)
		(void)sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
	for (size_t i = 0; i < Q_MAX_; i++)
		(void)sqlite3_finalize(j->st[i]);
	(void)sqlite3_close(j->db);
	free(j->path);
	free(j);
}

/* Turns */

bool journal_dirty(const struct journal *j)
{
	return j->open || j->failed.code != 0;
}

int journal_commit(struct journal *j, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int r, rc;

	if (!j->failed.code && j->open) {
		r = query(j, Q_COMMIT, &st, &j->failed);
		if (r == 0) {
			rc = sqlite3_step(st);
			done(st);
			if (rc != SQLITE_DONE)
				(void)give_up(j, rc, "commit", NULL);
			j->open = false;
		}
	}
	if (j->failed.code) {
		r = -j->failed.code;
		if (err)
			*err = j->failed;
		memset(&j->failed, 0, sizeof(j->failed));
		return r;
	}
	return 0;
}

int journal_wal_pages(const struct journal *j)
{
	return j->wal_pages;
}

int journal_checkpoint(const char *path, struct err *err)
{
	sqlite3 *db = NULL;
	int log = 0, moved = -1, rc, r = 0;

	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	if (rc == SQLITE_OK) {
		(void)sqlite3_busy_timeout(db, BUSY_MS);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		/* Until the first read a connection does not know that there is a WAL. */
		rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
	}
	/* PASSIVE never makes the writer wait; each pass has less left to do. */
	for (int i = 0; rc == SQLITE_OK && i < PASSES && moved < log; i++)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log,
					       &moved);
	/* A writer that never rests: now it has to, for the little that is left. */
	if (rc == SQLITE_OK && moved < log && log > 4 * JOURNAL_CHECKPOINT_PAGES)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, &log,
					       &moved);
	if (rc != SQLITE_OK)
		r = explain(db, path, rc, "checkpoint", err);
	(void)sqlite3_close(db);
	return r;
}

/* Processes */

int journal_intent(struct journal *j, const struct journal_process *p, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r;

	r = check_text(p->spec, true, "the request", err);
	if (r == 0)
		r = query_write(j, Q_PROCESS_INTENT, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, &p->id);
	bind_u64(st, 2, p->uid);
	if (!id_is_zero(&p->sandbox))
		bind_id(st, 3, &p->sandbox);
	bind_id(st, 4, &p->boot_id);
	bind_u64(st, 5, p->streams);
	bind_u64(st, 6, p->ring_bytes);
	bind_u64(st, 7, p->created_wall_ns);
	bind_u64(st, 8, p->created_boot_ns);
	bind_text(st, 9, p->spec);
	return write_step(j, st, "intent of a process", NULL, err);
}

static int not_found(struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "id", 0, "the journal does not know it");
}

int journal_outcome(struct journal *j, const struct journal_process *p, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r, rows = 0;

	if (p->state != JOURNAL_EXITED && p->state != JOURNAL_GONE)
		return err_set(err, ERR_INTERNAL, "journal", 0, "state %d is no outcome",
			       (int)p->state);
	r = check_text(p->outcome, false, "the outcome", err);
	if (r == 0)
		r = query_write(j, Q_PROCESS_OUTCOME, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, &p->id);
	bind_u64(st, 2, p->state);
	bind_u64(st, 3, p->ended_wall_ns);
	bind_u64(st, 4, p->ended_boot_ns);
	bind_text(st, 5, p->outcome);
	bind_u64(st, 6, p->reason);
	(void)sqlite3_bind_int(st, 7, p->exit_code);
	(void)sqlite3_bind_int(st, 8, p->exit_signal);
	bind_u64(st, 9, p->total[0]);
	bind_u64(st, 10, p->total[1]);
	r = write_step(j, st, "outcome of a process", &rows, err);
	return r == 0 && rows == 0 ? not_found(err) : r;
}

int journal_release(struct journal *j, const struct id *id, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r, rows = 0;

	r = query_write(j, Q_PROCESS_RELEASE, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, id);
	r = write_step(j, st, "release of a process", &rows, err);
	return r == 0 && rows == 0 ? not_found(err) : r;
}

/* In the order of PROCESS_COLUMNS. False if the row is not as we write them. */
static bool read_process(sqlite3_stmt *st, struct journal_process *ret, char **ret_spec,
			 char **ret_outcome)
{
	*ret = (struct journal_process){
		.uid = column_u32(st, 1),
		.streams = column_u32(st, 4),
		.ring_bytes = column_u64(st, 5),
		.created_wall_ns = column_u64(st, 6),
		.created_boot_ns = column_u64(st, 7),
		.state = (enum journal_state)sqlite3_column_int(st, 8),
		.released = sqlite3_column_int(st, 9) != 0,
		.ended_wall_ns = column_u64(st, 10),
		.ended_boot_ns = column_u64(st, 11),
		.reason = column_u32(st, 12),
		.exit_code = sqlite3_column_int(st, 13),
		.exit_signal = sqlite3_column_int(st, 14),
		.total = { column_u64(st, 15), column_u64(st, 16) },
	};
	return column_id(st, 0, &ret->id) && column_id(st, 2, &ret->sandbox) &&
	       column_id(st, 3, &ret->boot_id) && ret->state >= JOURNAL_INTENT &&
	       ret->state <= JOURNAL_GONE && column_text(st, 17, ret_spec) && *ret_spec &&
	       column_text(st, 18, ret_outcome);
}

static int bad_row(const struct journal *j, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE, "journal", 0,
		       "the journal %s has a row that cannot be read; it is damaged, or "
		       "memory is "
		       "short",
		       j->path);
}

/* The statement is done before the callback runs, which may need it itself. */
int journal_find(struct journal *j, const struct id *id, journal_process_fn fn,
		 void *user, struct err *err)
{
	CLEANUP(free) char *spec = NULL;
	CLEANUP(free) char *outcome = NULL;
	struct journal_process p = { .state = JOURNAL_INTENT };
	sqlite3_stmt *st = NULL;
	bool good = true;
	int r, rc;

	r = query(j, Q_PROCESS_FIND, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		good = read_process(st, &p, &spec, &outcome);
	else if (rc != SQLITE_DONE)
		r = explain(j->db, j->path, rc, "find a process", err);
	done(st);
	if (r < 0)
		return r;
	if (rc == SQLITE_DONE)
		return not_found(err);
	if (!good)
		return bad_row(j, err);
	p.spec = spec;
	p.outcome = outcome;
	return fn(user, &p, err);
}

/* All ids that a query gives, one behind the other. */
static int collect(struct journal *j, enum journal_query q, uint64_t arg, struct buf *ret,
		   struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	struct id id;
	int r, rc;

	r = query(j, q, &st, err);
	if (r < 0)
		return r;
	if (sqlite3_bind_parameter_count(st) > 0)
		bind_u64(st, 1, arg);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (!column_id(st, 0, &id))
			return bad_row(j, err);
		buf_add(ret, id.b, ID_BYTES);
	}
	if (rc != SQLITE_DONE)
		return explain(j->db, j->path, rc, "walk", err);
	if (!buf_ok(ret))
		return err_set(err, ERR_UNAVAILABLE, "journal", ENOMEM, "walk");
	return 0;
}

static int each_process(struct journal *j, enum journal_query q, uint64_t arg,
			journal_process_fn fn, void *user, struct err *err)
{
	CLEANUP(buf_fini) struct buf ids = { 0 };
	int r = collect(j, q, arg, &ids, err);

	for (size_t at = 0; r >= 0 && at < ids.len; at += ID_BYTES) {
		struct id id;

		memcpy(id.b, ids.data + at, ID_BYTES);
		r = journal_find(j, &id, fn, user, err);
	}
	return r < 0 ? r : 0;
}

int journal_each_alive(struct journal *j, journal_process_fn fn, void *user,
		       struct err *err)
{
	return each_process(j, Q_PROCESS_ALIVE, 0, fn, user, err);
}

int journal_each_ended(struct journal *j, uint64_t since_wall_ns, journal_process_fn fn,
		       void *user, struct err *err)
{
	return each_process(j, Q_PROCESS_ENDED, since_wall_ns, fn, user, err);
}

/* Sandboxes */

int journal_sandbox_intent(struct journal *j, const struct journal_sandbox *s,
			   struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r;

	r = check_text(s->spec, true, "the request", err);
	if (r == 0)
		r = query_write(j, Q_SANDBOX_INTENT, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, &s->id);
	bind_u64(st, 2, s->uid);
	bind_id(st, 3, &s->boot_id);
	bind_u64(st, 4, s->created_wall_ns);
	bind_u64(st, 5, s->created_boot_ns);
	bind_text(st, 6, s->spec);
	return write_step(j, st, "intent of a sandbox", NULL, err);
}

int journal_sandbox_outcome(struct journal *j, const struct journal_sandbox *s,
			    struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r, rows = 0;

	if (s->state != JOURNAL_GONE)
		return err_set(err, ERR_INTERNAL, "journal", 0, "state %d is no outcome",
			       (int)s->state);
	r = check_text(s->outcome, false, "the outcome", err);
	if (r == 0)
		r = query_write(j, Q_SANDBOX_OUTCOME, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, &s->id);
	bind_u64(st, 2, s->state);
	bind_u64(st, 3, s->ended_wall_ns);
	bind_text(st, 4, s->outcome);
	r = write_step(j, st, "outcome of a sandbox", &rows, err);
	return r == 0 && rows == 0 ? not_found(err) : r;
}

/* In the order of SANDBOX_COLUMNS. */
static bool read_sandbox(sqlite3_stmt *st, struct journal_sandbox *ret, char **ret_spec,
			 char **ret_outcome)
{
	*ret = (struct journal_sandbox){
		.uid = column_u32(st, 1),
		.created_wall_ns = column_u64(st, 3),
		.created_boot_ns = column_u64(st, 4),
		.state = (enum journal_state)sqlite3_column_int(st, 5),
		.ended_wall_ns = column_u64(st, 6),
	};
	return column_id(st, 0, &ret->id) && column_id(st, 2, &ret->boot_id) &&
	       column_text(st, 7, ret_spec) && *ret_spec &&
	       column_text(st, 8, ret_outcome);
}

static int one_sandbox(struct journal *j, const struct id *id, journal_sandbox_fn fn,
		       void *user, struct err *err)
{
	CLEANUP(free) char *spec = NULL;
	CLEANUP(free) char *outcome = NULL;
	struct journal_sandbox s = { .state = JOURNAL_INTENT };
	sqlite3_stmt *st = NULL;
	bool good = true;
	int r, rc;

	r = query(j, Q_SANDBOX_FIND, &st, err);
	if (r < 0)
		return r;
	bind_id(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		good = read_sandbox(st, &s, &spec, &outcome);
	else if (rc != SQLITE_DONE)
		r = explain(j->db, j->path, rc, "find a sandbox", err);
	done(st);
	if (r < 0 || rc == SQLITE_DONE)
		return r;
	if (!good)
		return bad_row(j, err);
	s.spec = spec;
	s.outcome = outcome;
	return fn(user, &s, err);
}

int journal_each_sandbox(struct journal *j, journal_sandbox_fn fn, void *user,
			 struct err *err)
{
	CLEANUP(buf_fini) struct buf ids = { 0 };
	int r = collect(j, Q_SANDBOX_ALIVE, 0, &ids, err);

	for (size_t at = 0; r >= 0 && at < ids.len; at += ID_BYTES) {
		struct id id;

		memcpy(id.b, ids.data + at, ID_BYTES);
		r = one_sandbox(j, &id, fn, user, err);
	}
	return r < 0 ? r : 0;
}

/* Calls */

static int check_key(const struct journal_call *c, struct err *err)
{
	size_t n = c->key ? strlen(c->key) : 0;

	if (n == 0 || n > JOURNAL_KEY_MAX)
		return err_set(err, ERR_INVALID_INPUT, "idempotency_key", 0,
			       "idempotency_key has %zu bytes; allowed are 1 to %d", n,
			       JOURNAL_KEY_MAX);
	return 0;
}

int journal_call_find(struct journal *j, const struct journal_call *c, bool *ret_found,
		      struct id *ret_process, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	struct id process;
	int r, rc;

	r = check_key(c, err);
	if (r == 0)
		r = query(j, Q_CALL_FIND, &st, err);
	if (r < 0)
		return r;
	bind_u64(st, 1, c->uid);
	bind_text(st, 2, c->key);
	rc = sqlite3_step(st);
	if (rc == SQLITE_DONE) {
		*ret_found = false;
		return 0;
	}
	if (rc != SQLITE_ROW)
		return explain(j->db, j->path, rc, "find a call", err);
	if (sqlite3_column_bytes(st, 0) != JOURNAL_HASH || !column_id(st, 1, &process))
		return bad_row(j, err);
	if (memcmp(sqlite3_column_blob(st, 0), c->hash, JOURNAL_HASH) != 0)
		return err_set(
			err, ERR_CONFLICT, "idempotency_key", 0,
			"idempotency_key was used for another request; use a new key");
	*ret_found = true;
	*ret_process = process;
	return 0;
}

int journal_call_add(struct journal *j, const struct journal_call *c, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r;

	r = check_key(c, err);
	if (r == 0)
		r = query_write(j, Q_CALL_ADD, &st, err);
	if (r < 0)
		return r;
	bind_u64(st, 1, c->uid);
	bind_text(st, 2, c->key);
	(void)sqlite3_bind_blob(st, 3, c->hash, JOURNAL_HASH, SQLITE_STATIC);
	bind_id(st, 4, &c->process);
	bind_u64(st, 5, c->wall_ns);
	return write_step(j, st, "idempotency_key", NULL, err);
}

/* Events and the rest */

int journal_event(struct journal *j, const struct journal_event *e, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r;

	r = check_text(e->kind, true, "the kind of an event", err);
	if (r == 0)
		r = check_text(e->detail, false, "the detail of an event", err);
	if (r == 0)
		r = query_write(j, Q_EVENT, &st, err);
	if (r < 0)
		return r;
	bind_u64(st, 1, e->wall_ns);
	bind_text(st, 2, e->kind);
	bind_u64(st, 3, e->actor);
	bind_text(st, 4, e->operation);
	bind_text(st, 5, e->subject);
	bind_text(st, 6, e->decision);
	bind_text(st, 7, e->detail);
	return write_step(j, st, "event", NULL, err);
}

int journal_principal(struct journal *j, const struct principal *p, uint64_t wall_ns,
		      struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r;

	if (j->has_principal && j->principal == p->uid)
		return 0;
	r = query_write(j, Q_PRINCIPAL, &st, err);
	if (r < 0)
		return r;
	bind_u64(st, 1, p->uid);
	bind_text(st, 2, p->name);
	bind_u64(st, 3, wall_ns);
	r = write_step(j, st, "principal", NULL, err);
	if (r < 0)
		return r;
	j->has_principal = true;
	j->principal = p->uid;
	return 0;
}

static int trim(struct journal *j, enum journal_query q, const struct journal_keep *keep,
		uint64_t since, bool *more, struct err *err)
{
	CLEANUP(done) sqlite3_stmt *st = NULL;
	int r, rows = 0;

	r = query_write(j, q, &st, err);
	if (r < 0)
		return r;
	bind_u64(st, 1, MAX(keep->rows, (uint64_t)1));
	bind_u64(st, 2, since);
	bind_u64(st, 3, keep->batch);
	r = write_step(j, st, "trim", &rows, err);
	if (r < 0)
		return r;
	*more = *more || (rows > 0 && (unsigned int)rows >= keep->batch);
	return 0;
}

int journal_trim(struct journal *j, const struct journal_keep *keep, bool *ret_more,
		 struct err *err)
{
	bool more = false;
	int r;

	r = trim(j, Q_TRIM_PROCESSES, keep, keep->since_wall_ns, &more, err);
	if (r == 0)
		r = trim(j, Q_TRIM_SANDBOXES, keep, keep->since_wall_ns, &more, err);
	if (r == 0)
		r = trim(j, Q_TRIM_EVENTS, keep, keep->since_wall_ns, &more, err);
	if (r == 0)
		r = trim(j, Q_TRIM_CALLS, keep, keep->calls_since_wall_ns, &more, err);
	if (r < 0)
		return r;
	*ret_more = more;
	return 0;
}
