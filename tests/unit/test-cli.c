/* SPDX-License-Identifier: Apache-2.0 */

/* What the command line makes of keys, directories, foreign text and ends. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/buf.h"
#include "../../src/base/cleanup.h"
#include "../../src/cli/out.h"
#include "../../src/cli/request.h"
#include "../../src/cli/sink.h"
#include "../../src/cli/term.h"
#include "../../src/cli/workspace.h"
#include "../../src/client/text.h"
#include "../../src/wire/json.h"

/* --- keys --- */

static void assert_keys(const char *keys, const char *typed, const char *passed,
			bool leaves)
{
	/* In every way of cutting what is typed in two. */
	for (size_t cut = 0; cut <= strlen(typed); cut++) {
		unsigned char out[64];
		struct term_keys k;
		struct err err;
		size_t n = 0, m = 0;
		bool left;

		assert_int_equal(term_keys_parse(keys, &k, &err), 0);
		left = term_keys_feed(&k, (const unsigned char *)typed, cut, out, &n);
		if (!left)
			left = term_keys_feed(&k, (const unsigned char *)typed + cut,
					      strlen(typed) - cut, out + n, &m);
		assert_int_equal(left, leaves);
		assert_int_equal(n + m, strlen(passed));
		assert_memory_equal(out, passed, n + m);
	}
}

static void test_detach_keys_are_found_and_all_else_is_passed(void **state)
{
	(void)state;
	assert_keys("ctrl-p,ctrl-q", "ab\x10\x11", "ab", true);
	assert_keys("ctrl-p,ctrl-q",
		    "a\x10"
		    "b\x11",
		    "a\x10"
		    "b\x11",
		    false);
	assert_keys("ctrl-p,ctrl-q", "\x10\x10\x11", "\x10", true);
	assert_keys("ctrl-a,d",
		    "\x01x\x01"
		    "d",
		    "\x01x", true);
	/* a a b within a a a b: what was held is looked at again. */
	assert_keys("a,a,b", "aaab", "a", true);
	assert_keys("a,b,a,c", "ababac", "ab", true);
	assert_keys("", "any\x10\x11thing", "any\x10\x11thing", false);
}

static void test_keys_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = { "ctrl-",   "ctrl-1",		  "ab", ",", "a,",
					   "ctrl-aa", "a,b,c,d,e,f,g,h,i" };
	struct term_keys k;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(term_keys_parse(bad[i], &k, &err), -ERR_INVALID_INPUT);
}

/* --- workspace --- */

struct tree {
	char root[64];
	char old[PATH_MAX];
};

static int make_tree(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	(void)snprintf(t->root, sizeof(t->root), "/tmp/test-workspace-XXXXXX");
	assert_non_null(getcwd(t->old, sizeof(t->old)));
	assert_non_null(mkdtemp(t->root));
	assert_int_equal(chdir(t->root), 0);
	assert_int_equal(mkdir("home", 0700) | mkdir("home/work", 0700) |
				 mkdir("home/work/.git", 0700) |
				 mkdir("home/work/src", 0700) |
				 mkdir("home/plain", 0700) | mkdir("home/.git", 0700),
			 0);
	*state = t;
	return 0;
}

static int drop_tree(void **state)
{
	static const char *const dirs[] = { "home/.git",     "home/plain",
					    "home/work/src", "home/work/.git",
					    "home/work",     "home" };
	struct tree *t = *state;

	assert_int_equal(chdir(t->root), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(rmdir(dirs[i]), 0);
	assert_int_equal(chdir(t->old), 0);
	assert_int_equal(rmdir(t->root), 0);
	free(t);
	return 0;
}

/* In `dir`, the workspace is `want` (below the root), or refused if NULL. */
static void assert_workspace(const struct tree *t, const char *dir, const char *named,
			     const char *want)
{
	char home[128], path[128];
	struct workspace ws;
	struct err err = { 0 };
	int r;

	(void)snprintf(home, sizeof(home), "%s/home", t->root);
	(void)snprintf(path, sizeof(path), "%s%s", t->root, want ? want : "");
	assert_int_equal(chdir(t->root), 0);
	assert_int_equal(chdir(dir), 0);
	r = workspace_find(named, home, &ws, &err);
	if (!want) {
		assert_int_equal(r, -ERR_INVALID_INPUT);
		return;
	}
	if (r < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(ws.path, path);
	assert_int_equal(ws.by_hand, named != NULL);
}

static void test_the_workspace_is_the_work_tree_but_never_the_home(void **state)
{
	const struct tree *t = *state;

	assert_workspace(t, "home/work/src", NULL, "/home/work");
	assert_workspace(t, "home/work", NULL, "/home/work");
	/* A home directory under git is not taken for the work tree of all below it. */
	assert_workspace(t, "home/plain", NULL, "/home/plain");
	assert_workspace(t, "home", NULL, NULL);
	assert_workspace(t, "/", NULL, NULL);
	assert_workspace(t, "home", ".", "/home");
	assert_workspace(t, "home/plain", "..", "/home");
	assert_workspace(t, "home", "nowhere", NULL);
	assert_true(workspace_inside("/a/b", "/a/b/c"));
	assert_true(workspace_inside("/", "/a"));
	assert_false(workspace_inside("/a/b", "/a/bc"));
}

/* --- output --- */

static void test_foreign_text_cannot_drive_the_terminal(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	(void)state;
	out_clean(&b, "a\x1b[31m\r\x7f b\nc \xc3\xa9 \xc2\x9b \xff \xe2\x80\x8e x");
	assert_string_equal(b.data, "a?[31m?? b c \xc3\xa9 ?? ? ??? x");
}

static void test_numbers_for_people_are_short(void **state)
{
	char s[OUT_SHORT];

	(void)state;
	assert_string_equal(out_bytes(-1, s), "-");
	assert_string_equal(out_bytes(999, s), "999B");
	assert_string_equal(out_bytes(1536, s), "1.5K");
	assert_string_equal(out_bytes(INT64_MAX, s), "8.0E");
	assert_string_equal(out_ms(5, s), "5ms");
	assert_string_equal(out_ms(61000, s), "1m01s");
	assert_string_equal(out_ms(7200000, s), "2h00m");
}

static void test_a_sink_keeps_what_a_full_pipe_does_not_take(void **state)
{
	enum { SIZE = 300000 };
	CLEANUP(free) char *data = malloc(SIZE);
	CLEANUP(free) char *back = malloc(SIZE);
	struct sink s;
	size_t got = 0;
	int pipes[2];

	(void)state;
	assert_true(data && back);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 7 % 251);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	sink_init(&s, pipes[1]);
	sink_put(&s, data, SIZE / 2);
	sink_put(&s, data + SIZE / 2, SIZE / 2);
	assert_true(sink_full(&s));
	while (got < SIZE) {
		ssize_t n = read(pipes[0], back + got, SIZE - got);

		assert_true(n > 0);
		got += (size_t)n;
		sink_flush(&s);
	}
	assert_memory_equal(data, back, SIZE);
	assert_false(sink_full(&s));
	assert_int_equal(s.error, 0);
	/* The descriptor that is shared with others was not made non-blocking. */
	assert_false(fcntl(pipes[1], F_GETFL) & O_NONBLOCK);
	(void)close(pipes[0]);
	sink_put(&s, "x", 1);
	assert_int_equal(s.error, EPIPE);
	sink_fini(&s);
	(void)close(pipes[1]);
}

/* --- how a command's end becomes an exit status, and its input --- */

static void test_the_exit_status_tells_how_it_ended(void **state)
{
	static const struct {
		const char *record;
		int status;
	} cases[] = {
		{ "{\"reason\":\"exited\",\"exit_code\":0,\"signal\":null}", 0 },
		{ "{\"reason\":\"exited\",\"exit_code\":255}", 255 },
		{ "{\"reason\":\"signaled\",\"exit_code\":null,\"signal\":\"SIGKILL\"}",
		  137 },
		{ "{\"reason\":\"killed\",\"signal\":\"SIGTERM\"}", 143 },
		{ "{\"reason\":\"timeout\",\"signal\":\"SIGTERM\"}", 124 },
		{ "{\"reason\":\"timeout\",\"exit_code\":0}", 124 },
		{ "{\"reason\":\"lost\"}", 125 },
		{ "{\"reason\":\"start_failed\",\"start_error\":{\"stage\":\"exec\","
		  "\"errno\":2}}",
		  127 },
		{ "{\"reason\":\"start_failed\",\"start_error\":{\"stage\":\"exec\","
		  "\"errno\":13}}",
		  126 },
		{ "{\"reason\":\"start_failed\",\"start_error\":{\"stage\":\"exec\","
		  "\"errno\":7}}",
		  126 },
		{ "{\"reason\":\"start_failed\",\"start_error\":{\"stage\":\"cwd\","
		  "\"errno\":2}}",
		  125 },
		{ "{}", 125 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_decref) json_t *j = json_loads(cases[i].record, 0, NULL);

		assert_non_null(j);
		if (request_exit_status(j) != cases[i].status)
			fail_msg("%s gives %d", cases[i].record, request_exit_status(j));
	}
}

static void test_only_what_may_be_handed_in_is(void **state)
{
	CLEANUP(close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEANUP(close) int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	CLEANUP(close) int path = open("/tmp", O_PATH | O_CLOEXEC);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(request_input_of(pipes[0], false, false), REQUEST_PASS);
	assert_int_equal(request_input_of(pipes[0], true, false), REQUEST_PASS);
	assert_int_equal(request_input_of(pipes[0], true, true), REQUEST_OPEN);
	assert_int_equal(request_input_of(pipes[0], false, true), REQUEST_NULL);
	assert_int_equal(request_input_of(pipes[1], true, false), REQUEST_NULL);
	assert_int_equal(request_input_of(null, true, false), REQUEST_NULL);
	assert_int_equal(request_input_of(zero, true, false), REQUEST_OPEN);
	assert_int_equal(request_input_of(zero, false, false), REQUEST_NULL);
	assert_int_equal(request_input_of(path, true, false), REQUEST_NULL);
	assert_int_equal(request_input_of(-1, true, false), REQUEST_NULL);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detach_keys_are_found_and_all_else_is_passed),
		cmocka_unit_test(test_keys_that_are_none_are_refused),
		cmocka_unit_test_setup_teardown(
			test_the_workspace_is_the_work_tree_but_never_the_home, make_tree,
			drop_tree),
		cmocka_unit_test(test_foreign_text_cannot_drive_the_terminal),
		cmocka_unit_test(test_numbers_for_people_are_short),
		cmocka_unit_test(test_a_sink_keeps_what_a_full_pipe_does_not_take),
		cmocka_unit_test(test_the_exit_status_tells_how_it_ended),
		cmocka_unit_test(test_only_what_may_be_handed_in_is),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
