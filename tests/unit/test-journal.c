/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "../../src/base/buf.h"
#include "../../src/base/fd.h"
#include "../../src/base/macro.h"
#include "../../src/core/journal.h"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test-journal-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/journal.db", dir);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char name[128];

		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		(void)unlink(name);
	}
	return rmdir(dir);
}

static struct journal *open_journal(void)
{
	struct journal *j = NULL;
	struct err err = { 0 };

	if (journal_open(&j, path, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	return j;
}

static struct id number(unsigned int n)
{
	struct id id = { { 1 } };

	memcpy(id.b + 4, &n, sizeof(n));
	return id;
}

static struct journal_process process(unsigned int n)
{
	return (struct journal_process){
		.id = number(n),
		.uid = 1000,
		.boot_id = number(99),
		.streams = 2,
		.ring_bytes = 4096,
		.created_wall_ns = 1000 + n,
		.created_boot_ns = 2000 + n,
		.spec = "{\"argv\":[\"true\"]}",
	};
}

static void add(struct journal *j, unsigned int n)
{
	struct journal_process p = process(n);

	assert_int_equal(journal_intent(j, &p, NULL), 0);
}

static void end(struct journal *j, unsigned int n, enum journal_state state,
		uint64_t wall)
{
	struct journal_process p = {
		.id = number(n),
		.state = state,
		.ended_wall_ns = wall,
		.exit_code = 3,
		.outcome = "{}",
		.total = { 10, UINT64_MAX },
	};

	assert_int_equal(journal_outcome(j, &p, NULL), 0);
}

struct seen {
	unsigned int n[64];
	size_t count;
	struct journal_process last;
	char spec[64], outcome[64];
};

static int see(void *user, const struct journal_process *p, struct err *err)
{
	struct seen *s = user;

	(void)err;
	assert_true(s->count < ARRAY_SIZE(s->n));
	memcpy(&s->n[s->count++], p->id.b + 4, sizeof(s->n[0]));
	s->last = *p;
	(void)snprintf(s->spec, sizeof(s->spec), "%s", p->spec);
	(void)snprintf(s->outcome, sizeof(s->outcome), "%s",
		       p->outcome ? p->outcome : "");
	return 0;
}

static void test_what_is_committed_survives_and_what_is_not_does_not(void **state)
{
	struct journal *j = open_journal();
	struct seen s = { .count = 0 };

	(void)state;
	assert_false(journal_dirty(j));
	assert_int_equal(journal_commit(j, NULL), 0);
	add(j, 1);
	add(j, 2);
	assert_true(journal_dirty(j));
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_false(journal_dirty(j));
	add(j, 3);
	journal_close(j);

	j = open_journal();
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.n[0], 1);
	assert_int_equal(s.n[1], 2);
	journal_close(j);
}

/* SIGKILL between commit and everything else, as often as a child can do it. */
static void test_a_killed_writer_loses_nothing_committed(void **state)
{
	int fds[2];
	int status, n = 0;
	unsigned int last = 0, got;
	struct journal *j;
	struct seen s = { .count = 0 };
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct journal *w = NULL;

		if (journal_open(&w, path, NULL, NULL) < 0)
			_exit(1);
		for (unsigned int i = 1; i < 50; i++) {
			struct journal_process p = process(i);

			if (journal_intent(w, &p, NULL) < 0 ||
			    journal_commit(w, NULL) < 0 ||
			    write(fds[1], &i, sizeof(i)) != sizeof(i))
				_exit(1);
		}
		_exit(0);
	}
	(void)close(fds[1]);
	while (n < 20 && read(fds[0], &got, sizeof(got)) == sizeof(got)) {
		last = got;
		n++;
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (read(fds[0], &got, sizeof(got)) == sizeof(got))
		last = got;
	(void)close(fds[0]);
	assert_true(last >= 20);

	j = open_journal();
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_true(s.count >= last);
	for (size_t i = 0; i < s.count; i++)
		assert_int_equal(s.n[i], i + 1);
	journal_close(j);
}

static void test_an_outcome_is_kept_whole(void **state)
{
	struct journal *j = open_journal();
	struct journal_process p = process(7);
	struct seen s = { .count = 0 };
	struct id id = number(7);

	(void)state;
	p.sandbox = number(5);
	assert_int_equal(journal_intent(j, &p, NULL), 0);
	p.state = JOURNAL_EXITED;
	p.ended_wall_ns = 5000;
	p.ended_boot_ns = 6000;
	p.outcome = "{\"x\":1}";
	p.reason = 2;
	p.exit_code = -1;
	p.exit_signal = 9;
	p.total[0] = (uint64_t)1 << 40;
	assert_int_equal(journal_outcome(j, &p, NULL), 0);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(journal_find(j, &id, see, &s, NULL), 0);
	assert_int_equal(s.last.uid, 1000);
	assert_true(id_eq(&s.last.sandbox, &p.sandbox));
	assert_true(id_eq(&s.last.boot_id, &p.boot_id));
	assert_int_equal(s.last.streams, 2);
	assert_int_equal(s.last.ring_bytes, 4096);
	assert_int_equal(s.last.created_wall_ns, 1007);
	assert_int_equal(s.last.created_boot_ns, 2007);
	assert_int_equal(s.last.state, JOURNAL_EXITED);
	assert_int_equal(s.last.ended_wall_ns, 5000);
	assert_int_equal(s.last.ended_boot_ns, 6000);
	assert_int_equal(s.last.reason, 2);
	assert_int_equal(s.last.exit_code, -1);
	assert_int_equal(s.last.exit_signal, 9);
	assert_int_equal(s.last.total[0], (uint64_t)1 << 40);
	assert_string_equal(s.spec, p.spec);
	assert_string_equal(s.outcome, "{\"x\":1}");
	journal_close(j);
}

static void test_a_process_is_alive_until_its_tree_is_gone(void **state)
{
	struct journal *j = open_journal();
	struct seen alive = { .count = 0 }, ended = { .count = 0 };
	struct id id = number(3);

	(void)state;
	for (unsigned int i = 1; i <= 4; i++)
		add(j, i);
	end(j, 2, JOURNAL_EXITED, 100);
	end(j, 3, JOURNAL_GONE, 200);
	end(j, 4, JOURNAL_GONE, 50);
	/* Gone stays gone, whatever is learnt later. */
	end(j, 3, JOURNAL_EXITED, 201);
	assert_int_equal(journal_each_alive(j, see, &alive, NULL), 0);
	assert_int_equal(alive.count, 2);
	assert_int_equal(alive.n[0], 1);
	assert_int_equal(alive.n[1], 2);
	assert_int_equal(journal_each_ended(j, 100, see, &ended, NULL), 0);
	assert_int_equal(ended.count, 1);
	assert_int_equal(ended.n[0], 3);
	assert_int_equal(ended.last.ended_wall_ns, 201);
	assert_true(ended.last.total[1] == INT64_MAX);

	assert_int_equal(journal_release(j, &id, NULL), 0);
	ended.count = 0;
	assert_int_equal(journal_each_ended(j, 0, see, &ended, NULL), 0);
	assert_int_equal(ended.count, 1);
	assert_int_equal(ended.n[0], 4);
	journal_close(j);
}

static void test_unknown_and_doubled_ids_are_errors(void **state)
{
	struct journal *j = open_journal();
	struct journal_process p = process(1);
	struct id id = number(2);
	struct seen s = { .count = 0 };

	(void)state;
	add(j, 1);
	assert_int_equal(journal_intent(j, &p, NULL), -ERR_CONFLICT);
	p.id = id;
	p.state = JOURNAL_GONE;
	assert_int_equal(journal_outcome(j, &p, NULL), -ERR_NOT_FOUND);
	assert_int_equal(journal_release(j, &id, NULL), -ERR_NOT_FOUND);
	assert_int_equal(journal_find(j, &id, see, &s, NULL), -ERR_NOT_FOUND);
	p.state = JOURNAL_INTENT;
	assert_int_equal(journal_outcome(j, &p, NULL), -ERR_INTERNAL);
	/* None of this spoils the turn. */
	assert_int_equal(journal_commit(j, NULL), 0);
	id = number(1);
	assert_int_equal(journal_find(j, &id, see, &s, NULL), 0);
	journal_close(j);
}

static int end_it(void *user, const struct journal_process *p, struct err *err)
{
	struct journal_process gone = { .id = p->id,
					.state = JOURNAL_GONE,
					.ended_wall_ns = 9 };
	struct journal *j = user;
	int r = journal_outcome(j, &gone, err);

	return r < 0 ? r : journal_commit(j, err);
}

/* Recovery does just this. */
static void test_a_walk_may_end_what_it_walks_over(void **state)
{
	struct journal *j = open_journal();
	struct seen s = { .count = 0 };

	(void)state;
	for (unsigned int i = 0; i < 30; i++)
		add(j, i);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(journal_each_alive(j, end_it, j, NULL), 0);
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_int_equal(s.count, 0);
	assert_int_equal(journal_each_ended(j, 0, see, &s, NULL), 0);
	assert_int_equal(s.count, 30);
	journal_close(j);
}

static int stop(void *user, const struct journal_process *p, struct err *err)
{
	(void)p;
	(*(int *)user)++;
	return err_set(err, ERR_CANCELLED, NULL, 0, "enough");
}

static void test_a_walk_ends_where_the_callback_says_so(void **state)
{
	struct journal *j = open_journal();
	int calls = 0;

	(void)state;
	add(j, 1);
	add(j, 2);
	assert_int_equal(journal_each_alive(j, stop, &calls, NULL), -ERR_CANCELLED);
	assert_int_equal(calls, 1);
	journal_close(j);
}

static void test_one_key_names_one_request_of_one_user(void **state)
{
	struct journal *j = open_journal();
	struct journal_call c = { .uid = 1, .key = "k", .hash = { 1 }, .wall_ns = 5 };
	struct journal_call other;
	struct id id = { 0 };
	bool found = true;
	struct err err = { 0 };
	char long_key[JOURNAL_KEY_MAX + 2];

	(void)state;
	c.process = number(4);
	assert_int_equal(journal_call_find(j, &c, &found, &id, NULL), 0);
	assert_false(found);
	assert_int_equal(journal_call_add(j, &c, NULL), 0);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(journal_call_find(j, &c, &found, &id, NULL), 0);
	assert_true(found);
	assert_true(id_eq(&id, &c.process));
	assert_int_equal(journal_call_add(j, &c, NULL), -ERR_CONFLICT);

	other = c;
	other.hash[31] = 1;
	assert_int_equal(journal_call_find(j, &other, &found, &id, &err), -ERR_CONFLICT);
	assert_string_equal(err.stage, "idempotency_key");
	other = c;
	other.uid = 2;
	assert_int_equal(journal_call_find(j, &other, &found, &id, NULL), 0);
	assert_false(found);

	memset(long_key, 'x', sizeof(long_key));
	long_key[sizeof(long_key) - 1] = '\0';
	other.key = long_key;
	assert_int_equal(journal_call_add(j, &other, NULL), -ERR_INVALID_INPUT);
	other.key = "";
	assert_int_equal(journal_call_add(j, &other, NULL), -ERR_INVALID_INPUT);
	journal_close(j);
}

static int count_sandbox(void *user, const struct journal_sandbox *s, struct err *err)
{
	(void)err;
	assert_string_equal(s->spec, "{}");
	assert_int_equal(s->uid, 7);
	(*(int *)user)++;
	return 0;
}

static void test_sandboxes_live_until_their_outcome(void **state)
{
	struct journal *j = open_journal();
	struct journal_sandbox s = {
		.id = number(1), .uid = 7, .boot_id = number(2), .spec = "{}"
	};
	int n = 0;

	(void)state;
	assert_int_equal(journal_sandbox_intent(j, &s, NULL), 0);
	assert_int_equal(journal_sandbox_intent(j, &s, NULL), -ERR_CONFLICT);
	assert_int_equal(journal_each_sandbox(j, count_sandbox, &n, NULL), 0);
	assert_int_equal(n, 1);
	s.state = JOURNAL_GONE;
	assert_int_equal(journal_sandbox_outcome(j, &s, NULL), 0);
	assert_int_equal(journal_each_sandbox(j, count_sandbox, &n, NULL), 0);
	assert_int_equal(n, 1);
	s.id = number(3);
	assert_int_equal(journal_sandbox_outcome(j, &s, NULL), -ERR_NOT_FOUND);
	journal_close(j);
}

/* Straight into the file, as somebody else. */
static void sql(const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int number_of(const char *query)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int n;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return n;
}

static void test_events_and_principals_are_written(void **state)
{
	struct journal *j = open_journal();
	struct journal_event e = { .wall_ns = 1, .kind = "call", .actor = 1000 };
	struct principal who = { .refs = 1, .uid = 5, .name = dir };

	(void)state;
	assert_int_equal(journal_event(j, &e, NULL), 0);
	e.kind = NULL;
	assert_int_equal(journal_event(j, &e, NULL), -ERR_INTERNAL);
	assert_int_equal(journal_principal(j, &who, 1, NULL), 0);
	assert_int_equal(journal_principal(j, &who, 2, NULL), 0);
	who.uid = 6;
	assert_int_equal(journal_principal(j, &who, 3, NULL), 0);
	who.uid = 5;
	assert_int_equal(journal_principal(j, &who, 4, NULL), 0);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(number_of("SELECT count(*) FROM principals"), 2);
	assert_int_equal(number_of("SELECT sum(first_seen) FROM principals"), 4);
	journal_close(j);
}

/* Against the plain rule: alive stays, of the others the newest and the young. */
static void test_trimming_keeps_the_living_and_the_newest(void **state)
{
	struct journal *j = open_journal();
	struct journal_keep keep = { .rows = 10, .since_wall_ns = 0, .batch = 4 };
	struct seen s = { .count = 0 };
	bool more = true;
	int turns = 0;

	(void)state;
	for (unsigned int i = 1; i <= 40; i++) {
		struct journal_event e = { .wall_ns = i, .kind = "call" };
		char key[16];
		struct journal_call c = { .key = key, .wall_ns = i };

		(void)snprintf(key, sizeof(key), "%u", i);
		add(j, i);
		if (i > 2)
			end(j, i, JOURNAL_GONE, i);
		assert_int_equal(journal_event(j, &e, NULL), 0);
		assert_int_equal(journal_call_add(j, &c, NULL), 0);
	}
	while (more) {
		assert_int_equal(journal_trim(j, &keep, &more, NULL), 0);
		assert_int_equal(journal_commit(j, NULL), 0);
		assert_true(++turns < 20);
	}
	assert_true(turns >= 30 / 4);
	assert_int_equal(journal_each_ended(j, 0, see, &s, NULL), 0);
	assert_int_equal(s.count, 10);
	assert_int_equal(s.n[0], 31);
	assert_int_equal(s.n[9], 40);

	keep = (struct journal_keep){ .rows = 1000, .since_wall_ns = 39, .batch = 100 };
	assert_int_equal(journal_trim(j, &keep, &more, NULL), 0);
	assert_false(more);
	s.count = 0;
	assert_int_equal(journal_each_ended(j, 0, see, &s, NULL), 0);
	assert_int_equal(s.count, 2);
	s.count = 0;
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_int_equal(s.count, 2);
	journal_close(j);
}

/* How many events are left, which must be the last ones. */
static int trim_events(struct journal *j, uint64_t rows, uint64_t since)
{
	const struct journal_keep keep = { .rows = rows,
					   .since_wall_ns = since,
					   .batch = 7 };
	bool more = true;
	int left;

	for (int turns = 0; more; turns++) {
		assert_int_equal(journal_trim(j, &keep, &more, NULL), 0);
		assert_int_equal(journal_commit(j, NULL), 0);
		assert_true(turns < 20);
	}
	left = number_of("SELECT count(*) FROM events");
	assert_int_equal(number_of("SELECT max(seq) - min(seq) + 1 FROM events"), left);
	assert_int_equal(number_of("SELECT max(seq) FROM events"), 60);
	return left;
}

/* The clock is set back after the 20th, and again after the 40th. */
static void test_events_are_trimmed_in_the_order_they_were_written(void **state)
{
	struct journal *j = open_journal();

	(void)state;
	for (unsigned int i = 1; i <= 60; i++) {
		struct journal_event e = { .kind = "call",
					   .wall_ns = (i - 1) % 20 + 100 };

		assert_int_equal(journal_event(j, &e, NULL), 0);
	}
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(trim_events(j, 1000, 100), 60);
	assert_int_equal(trim_events(j, 1000, 105), 55);
	/* The 20th is young enough, and holds the older ones behind it. */
	assert_int_equal(trim_events(j, 1000, 119), 41);
	assert_int_equal(trim_events(j, 30, 100), 30);
	assert_int_equal(trim_events(j, 30, 110), 30);
	assert_int_equal(trim_events(j, 1000, 200), 1);
	assert_int_equal(trim_events(j, 0, 0), 1);
	journal_close(j);
}

static void test_a_journal_of_the_first_schema_is_brought_up(void **state)
{
	struct journal *j = open_journal();
	struct journal_event e = { .wall_ns = 1, .kind = "call" };
	struct seen s = { .count = 0 };

	(void)state;
	add(j, 1);
	assert_int_equal(journal_event(j, &e, NULL), 0);
	assert_int_equal(journal_commit(j, NULL), 0);
	journal_close(j);
	sql("CREATE INDEX events_age ON events (wall); PRAGMA user_version=1");

	for (int i = 0; i < 2; i++) {
		j = open_journal();
		assert_int_equal(number_of("PRAGMA user_version"), JOURNAL_SCHEMA);
		assert_int_equal(number_of("SELECT count(*) FROM sqlite_schema"
					   " WHERE name = 'events_age'"),
				 0);
		assert_int_equal(journal_event(j, &e, NULL), 0);
		add(j, 2 + (unsigned int)i);
		assert_int_equal(journal_commit(j, NULL), 0);
		journal_close(j);
	}
	j = open_journal();
	assert_int_equal(number_of("SELECT count(*) FROM events"), 3);
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_int_equal(s.count, 3);
	journal_close(j);
}

static void test_old_idempotency_keys_are_forgotten(void **state)
{
	struct journal *j = open_journal();
	struct journal_call c = { .key = "old", .wall_ns = 10 };
	struct journal_call d = { .key = "new", .wall_ns = 20 };
	struct journal_keep keep = { .rows = 100,
				     .calls_since_wall_ns = 15,
				     .batch = 10 };
	struct id id;
	bool found = true, more = true;

	(void)state;
	assert_int_equal(journal_call_add(j, &c, NULL), 0);
	assert_int_equal(journal_call_add(j, &d, NULL), 0);
	assert_int_equal(journal_trim(j, &keep, &more, NULL), 0);
	assert_int_equal(journal_call_find(j, &c, &found, &id, NULL), 0);
	assert_false(found);
	assert_int_equal(journal_call_find(j, &d, &found, &id, NULL), 0);
	assert_true(found);
	journal_close(j);
}

static void test_another_process_empties_the_wal(void **state)
{
	struct journal *j = open_journal();
	int before, status;
	pid_t pid;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		add(j, i);
		assert_int_equal(journal_commit(j, NULL), 0);
	}
	before = journal_wal_pages(j);
	assert_true(before > 200);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(journal_checkpoint(path, NULL) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	add(j, 1000);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_true(journal_wal_pages(j) < 20);
	journal_close(j);
}

static void test_a_full_disk_fails_the_whole_turn_and_no_more(void **state)
{
	struct journal *j = open_journal();
	struct rlimit old, small;
	struct principal who = { .refs = 1, .uid = 5, .name = dir };
	struct journal_process p = process(2);
	CLEANUP(free) char *big = calloc(1, 1 << 20);
	struct seen s = { .count = 0 };
	struct err err = { 0 };
	int r;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', (1 << 20) - 1);
	add(j, 1);
	assert_int_equal(journal_commit(j, NULL), 0);

	/* No file may grow beyond this: EFBIG in place of ENOSPC. */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 256 << 10, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	add(j, 3);
	assert_int_equal(journal_principal(j, &who, 1, NULL), 0);
	p.spec = big;
	r = journal_intent(j, &p, &err);
	if (r == 0)
		r = journal_commit(j, &err);
	else
		assert_int_equal(journal_commit(j, &err), r);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, path));

	/* And with room again it goes on. */
	assert_false(journal_dirty(j));
	add(j, 4);
	assert_int_equal(journal_principal(j, &who, 2, NULL), 0);
	assert_int_equal(journal_commit(j, NULL), 0);
	assert_int_equal(number_of("SELECT first_seen FROM principals"), 2);
	assert_int_equal(journal_each_alive(j, see, &s, NULL), 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.n[0], 1);
	assert_int_equal(s.n[1], 4);
	journal_close(j);
}

/* All into the one file, so that what is changed there is not hidden by the WAL. */
static void fold_wal(void)
{
	char name[128];

	assert_int_equal(journal_checkpoint(path, NULL), 0);
	(void)snprintf(name, sizeof(name), "%s-wal", path);
	assert_int_equal(unlink(name), 0);
	(void)snprintf(name, sizeof(name), "%s-shm", path);
	assert_int_equal(unlink(name), 0);
}

static void scribble(off_t at, size_t len)
{
	CLEANUP(free) char *noise = malloc(len);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_non_null(noise);
	memset(noise, 0x5a, len);
	assert_int_equal(fd_pwrite_all(fd, noise, len, at), 0);
	(void)close(fd);
}

static void test_a_damaged_journal_is_refused_and_left_as_it_is(void **state)
{
	struct journal *j = NULL;
	struct err err = { 0 };
	struct stat a, b;

	(void)state;
	scribble(0, 8192);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(journal_open(&j, path, NULL, &err), -ERR_UNAVAILABLE);
	assert_null(j);
	assert_non_null(strstr(err.msg, "damaged"));
	assert_non_null(strstr(err.msg, path));
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_size, b.st_size);
}

static void test_damage_behind_the_first_page_is_an_error_too(void **state)
{
	struct journal *j = open_journal();
	struct err err = { 0 };
	struct seen s = { .count = 0 };
	struct stat st;
	int r;

	(void)state;
	add(j, 1);
	assert_int_equal(journal_commit(j, NULL), 0);
	journal_close(j);
	fold_wal();
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 8192);
	j = NULL;
	scribble(4096, (size_t)st.st_size - 4096);
	r = journal_open(&j, path, NULL, &err);
	if (r == 0)
		r = journal_each_alive(j, see, &s, &err);
	assert_int_equal(r, -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "damaged"));
	journal_close(j);
}

static void test_a_journal_of_the_future_is_refused(void **state)
{
	struct journal *j = open_journal();
	unsigned char version[4] = { 0, 0, 0, JOURNAL_SCHEMA + 1 };
	struct err err = { 0 };
	int fd;

	(void)state;
	journal_close(j);
	j = NULL;
	fold_wal();
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	/* https://www.sqlite.org/fileformat2.html: user_version lies at 60. */
	assert_int_equal(fd_pwrite_all(fd, version, sizeof(version), 60), 0);
	(void)close(fd);
	assert_int_equal(journal_open(&j, path, NULL, &err), -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "version 3"));
}

static void test_a_link_is_no_journal(void **state)
{
	struct journal *j = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(journal_open(&j, path, NULL, &err), -ERR_UNAVAILABLE);
	assert_int_equal(journal_open(&j, "/nonexistent/x.db", NULL, &err),
			 -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "/nonexistent/x.db"));
}

static void test_the_file_is_private(void **state)
{
	struct journal *j = NULL;
	struct journal_options full = { .full = true };
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	assert_int_equal(journal_open(&j, path, &full, NULL), 0);
	(void)umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	journal_close(j);
	journal_close(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_committed_survives_and_what_is_not_does_not),
		T(test_a_killed_writer_loses_nothing_committed),
		T(test_an_outcome_is_kept_whole),
		T(test_a_process_is_alive_until_its_tree_is_gone),
		T(test_unknown_and_doubled_ids_are_errors),
		T(test_a_walk_may_end_what_it_walks_over),
		T(test_a_walk_ends_where_the_callback_says_so),
		T(test_one_key_names_one_request_of_one_user),
		T(test_sandboxes_live_until_their_outcome),
		T(test_events_and_principals_are_written),
		T(test_trimming_keeps_the_living_and_the_newest),
		T(test_events_are_trimmed_in_the_order_they_were_written),
		T(test_a_journal_of_the_first_schema_is_brought_up),
		T(test_old_idempotency_keys_are_forgotten),
		T(test_another_process_empties_the_wal),
		T(test_a_full_disk_fails_the_whole_turn_and_no_more),
		T(test_a_damaged_journal_is_refused_and_left_as_it_is),
		T(test_damage_behind_the_first_page_is_an_error_too),
		T(test_a_journal_of_the_future_is_refused),
		T(test_a_link_is_no_journal),
		T(test_the_file_is_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
