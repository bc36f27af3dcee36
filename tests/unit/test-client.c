/* SPDX-License-Identifier: Apache-2.0 */

/* libproctor, against an engine of our own making. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <proctor/proctor.h>

#include "../../src/base/buf.h"
#include "../../src/base/cleanup.h"
#include "../../src/base/fd.h"
#include "../../src/client/connect.h"
#include "../../src/client/reply.h"
#include "../../src/client/text.h"
#include "../../src/wire/frame.h"
#include "../../src/wire/json.h"

/* --- text --- */

static void test_utf8_is_told_from_other_bytes(void **state)
{
	(void)state;
	assert_true(text_is_utf8("", 0));
	assert_true(text_is_utf8("a\0b", 3));
	assert_true(text_is_utf8("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 12));
	assert_false(text_is_utf8("\xff", 1));
	assert_false(text_is_utf8("\xc3", 1));
	assert_false(text_is_utf8("\xc0\xaf", 2));	   /* overlong */
	assert_false(text_is_utf8("\xe0\x80\xaf", 3));	   /* overlong */
	assert_false(text_is_utf8("\xed\xa0\x80", 3));	   /* surrogate */
	assert_false(text_is_utf8("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
}

/* The whole of a text, cut anywhere, less what the cut finds, is text. */
static void test_a_cut_never_splits_a_character(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t at = 0; at <= len; at++) {
		size_t end = text_cut_end(text, at);
		size_t front = text_cut_front(text + at, len - at);

		assert_true(end <= at && end <= 3 && front <= 3);
		assert_true(text_is_utf8(text, at - end));
		assert_true(text_is_utf8(text + at + front, len - at - front));
		assert_true((end > 0) == (front > 0));
	}
	/* What is no beginning of a character is not taken for one. */
	assert_int_equal(text_cut_end("a\xff", 2), 0);
	assert_int_equal(text_cut_end("a\xe0\x80", 3), 0);
}

static void test_base64_is_that_of_the_rfc(void **state)
{
	static const char *const pairs[][2] = { { "", "" },
						{ "f", "Zg==" },
						{ "fo", "Zm8=" },
						{ "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" },
						{ "fooba", "Zm9vYmE=" },
						{ "foobar", "Zm9vYmFy" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		CLEANUP(buf_fini) struct buf b = { 0 };

		buf_adds(&b, "");
		text_base64(&b, pairs[i][0], strlen(pairs[i][0]));
		assert_true(buf_ok(&b));
		assert_string_equal(b.data, pairs[i][1]);
	}
}

/* --- replies --- */

static struct frame reply_frame(const char *json, const void *raw, size_t len)
{
	return (struct frame){ .type = FRAME_REPLY,
			       .call = 1,
			       .json = json,
			       .json_len = strlen(json),
			       .raw = raw,
			       .raw_len = len };
}

static void assert_reply(const char *json, const char *raw, size_t len,
			 const char *wanted)
{
	struct frame f = reply_frame(json, raw, len);
	CLEANUP(json_decref) json_t *have = NULL;
	CLEANUP(json_decref) json_t *want = json_loads(wanted, 0, NULL);
	struct proctor_reply *r = NULL;
	struct err err = { 0 };

	assert_int_equal(reply_new(&f, &r, &err), 0);
	have = json_loads(proctor_reply_json(r), 0, NULL);
	assert_non_null(want);
	if (!json_equal(have, want))
		fail_msg("%s is not %s", proctor_reply_json(r), wanted);
	proctor_reply_free(r);
}

static void test_output_of_a_reply_becomes_text(void **state)
{
	(void)state;
	assert_reply(
		"{\"result\":{\"id\":\"p\",\"raw\":{\"stdout\":{\"at\":0,\"len\":3},"
		"\"stderr\":{\"at\":3,\"len\":1}}}}",
		"ab\n\xff", 4,
		"{\"id\":\"p\",\"stdout\":\"ab\\n\",\"stdout_encoding\":\"utf-8\","
		"\"stdout_omitted\":0,\"stderr\":\"/w==\",\"stderr_encoding\":\"base64\","
		"\"stderr_omitted\":0}");
	/* The cut goes through a character of three bytes; its halves are left out. */
	assert_reply("{\"result\":{\"raw\":{\"stdout\":{\"at\":0,\"len\":6,\"head\":3,"
		     "\"omitted\":10}}}}",
		     "a\xe2\x82\xac\x62\x63", 6,
		     "{\"stdout\":\"abc\",\"stdout_encoding\":\"utf-8\","
		     "\"stdout_omitted\":13,\"stdout_omitted_at\":1}");
	assert_reply("{\"result\":{\"next_offset\":2,\"raw\":{\"stderr\":{\"at\":0,"
		     "\"len\":2}}}}",
		     "ok", 2,
		     "{\"next_offset\":2,\"data\":\"ok\",\"encoding\":\"utf-8\"}");
}

static void test_a_lying_reply_is_refused(void **state)
{
	static const char *const bad[] = {
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":0,\"len\":5}}}}",
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":5,\"len\":0}}}}",
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":-1,\"len\":1}}}}",
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":0,\"len\":-1}}}}",
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":0,\"len\":2,\"head\":3}}}}",
		"{\"result\":{\"raw\":{\"stdout\":{\"at\":0,\"len\":\"2\"}}}}",
		"{\"result\":{\"raw\":{\"stdout\":7}}}",
		"{\"result\":3}",
		"{}",
		"[",
		"{\"result\":{}} x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct frame f = reply_frame(bad[i], "abcd", 4);
		struct proctor_reply *r = NULL;
		struct err err = { 0 };

		if (reply_new(&f, &r, &err) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_null(r);
		assert_int_equal(err.code, ERR_INTERNAL);
	}
}

static void test_an_error_of_the_engine_keeps_code_field_and_text(void **state)
{
	struct frame f =
		reply_frame("{\"error\":{\"code\":\"quota\",\"field\":\"limits\","
			    "\"message\":\"too many\",\"errno\":0}}",
			    NULL, 0);
	const struct proctor_error *e;
	struct proctor_reply *r = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(reply_new(&f, &r, &err), 0);
	assert_int_equal(proctor_reply_code(r), PROCTOR_QUOTA);
	e = proctor_reply_error(r);
	assert_non_null(e);
	assert_string_equal(e->field, "limits");
	assert_string_equal(e->message, "too many");
	proctor_reply_free(r);
}

static void test_public_codes_are_those_inside(void **state)
{
	(void)state;
	assert_int_equal(PROCTOR_INVALID_INPUT, ERR_INVALID_INPUT);
	assert_int_equal(PROCTOR_UNAVAILABLE, ERR_UNAVAILABLE);
	assert_int_equal(PROCTOR_INTERNAL, ERR_INTERNAL);
	assert_int_equal(PROCTOR_INTERNAL + 1, ERR_MAX_);
	assert_string_equal(proctor_code_name(PROCTOR_NOT_FOUND), "not_found");
	assert_int_equal(proctor_code_exit_status(PROCTOR_NOT_FOUND), 66);
}

/* --- a connection, with an engine that says what the test wants --- */

struct engine {
	char dir[64];
	char path[256];
	int listener;
	pthread_t thread;
	void (*serve)(int fd, struct engine *e);
	char got[4][512]; /* JSON of the frames that came */
	char given[64];	  /* what could be read from a descriptor that came */
	size_t n;
};

/* The next frame from the client; false at the end. */
static bool next_frame(int fd, struct frame_reader *r, struct frame *f, struct engine *e)
{
	struct err err;

	while (frame_reader_next(r, f, &err) == 0) {
		int fds[FRAME_FDS];
		size_t n_fds = 0;
		void *space = frame_reader_space(r, 4096);
		ssize_t n = fd_recv(fd, space, 4096, fds, FRAME_FDS, &n_fds, 0);

		if (n <= 0)
			return false;
		frame_reader_filled(r, (size_t)n);
		(void)frame_reader_add_fds(r, fds, n_fds);
	}
	if (e->n < ARRAY_SIZE(e->got))
		(void)snprintf(e->got[e->n++], sizeof(e->got[0]), "%.*s",
			       (int)f->json_len, f->json);
	if (f->n_fds > 0) {
		ssize_t n = read(f->fds[0], e->given, sizeof(e->given) - 1);

		e->given[n > 0 ? n : 0] = '\0';
	}
	frame_close_fds(f);
	return true;
}

static void say(int fd, uint8_t type, uint32_t call, const char *json, const char *raw)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	struct err err;

	(void)frame_put(&b, type, call, json, strlen(json), raw, strlen(raw), &err);
	/* In pieces, so that frames come split. */
	for (size_t i = 0; i < b.len; i += 7)
		(void)fd_write_all(fd, b.data + i, MIN((size_t)7, b.len - i));
}

#define HELLO "{\"version\":1,\"engine\":\"test/1\",\"pid\":1,\"ceiling\":{}}"

static void *engine_main(void *arg)
{
	struct engine *e = arg;
	int fd = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0) {
		e->serve(fd, e);
		(void)close(fd);
	}
	return NULL;
}

static void engine_start(struct engine *e, const char *below,
			 void (*serve)(int, struct engine *))
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	CLEANUP(close) int dir = -1;
	char parent[256];

	memset(e, 0, sizeof(*e));
	(void)snprintf(e->dir, sizeof(e->dir), "/tmp/test-client-XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	(void)snprintf(parent, sizeof(parent), "%s%s", e->dir, below);
	if (*below)
		assert_int_equal(mkdir(parent, 0700), 0);
	(void)snprintf(e->path, sizeof(e->path), "%.200s/s", parent);
	dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/s", dir);
	e->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(e->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(e->listener, 4), 0);
	e->serve = serve;
	assert_int_equal(pthread_create(&e->thread, NULL, engine_main, e), 0);
}

static void engine_stop(struct engine *e)
{
	char *slash;

	assert_int_equal(pthread_join(e->thread, NULL), 0);
	(void)close(e->listener);
	(void)unlink(e->path);
	slash = strrchr(e->path, '/');
	*slash = '\0';
	if (strcmp(e->path, e->dir) != 0)
		(void)rmdir(e->path);
	assert_int_equal(rmdir(e->dir), 0);
}

static int connect_to(const struct engine *e, struct proctor **p,
		      struct proctor_error *error)
{
	struct proctor_options o = { .size = sizeof(o), .socket = e->path };

	return proctor_connect(&o, p, error);
}

static void serve_run(int fd, struct engine *e)
{
	struct frame_reader r = { 0 };
	struct frame f;

	if (next_frame(fd, &r, &f, e)) {
		say(fd, FRAME_HELLO, 0, HELLO, "");
		if (next_frame(fd, &r, &f, e)) {
			uint32_t call = f.call;

			say(fd, FRAME_EVENT, call,
			    "{\"event\":\"output\",\"id\":\"p_1\",\"stream\":\"stderr\","
			    "\"offset\":5,\"lost_bytes\":2}",
			    "bytes");
			say(fd, FRAME_REPLY, call,
			    "{\"result\":{\"id\":\"p_1\",\"raw\":{\"stdout\":{\"at\":0,"
			    "\"len\":5}}}}",
			    "hello");
		}
	}
	frame_reader_fini(&r);
}

struct seen {
	size_t events, replies;
	char bytes[16];
	uint64_t offset, lost;
	enum proctor_stream stream;
	int code; /* of the reply; -1: none came */
};

static void see_event(void *data, const struct proctor_event *ev)
{
	struct seen *s = data;

	s->events++;
	assert_string_equal(ev->kind, "output");
	(void)snprintf(s->bytes, sizeof(s->bytes), "%.*s", (int)ev->len,
		       (const char *)ev->data);
	s->offset = ev->offset;
	s->lost = ev->lost;
	s->stream = ev->stream;
}

static void see_reply(void *data, struct proctor_reply *reply)
{
	struct seen *s = data;

	s->replies++;
	s->code = reply ? proctor_reply_code(reply) : -1;
	proctor_reply_free(reply);
}

static void assert_seen(const struct seen *s)
{
	assert_int_equal(s->events, 1);
	assert_string_equal(s->bytes, "bytes");
	assert_int_equal(s->offset, 5);
	assert_int_equal(s->lost, 2);
	assert_int_equal(s->stream, PROCTOR_STDERR);
}

static void test_a_call_gets_its_events_and_its_reply(void **state)
{
	struct proctor_request q = { .size = sizeof(q),
				     .op = "process.run",
				     .params = "{\"command\":\"x\"}",
				     .on_event = see_event };
	struct proctor_reply *reply = NULL;
	struct proctor_error error = { 0 };
	struct proctor_output out;
	struct proctor *p = NULL;
	struct seen s = { 0 };
	struct engine e;
	int pipes[2];

	(void)state;
	engine_start(&e, "", serve_run);
	assert_int_equal(connect_to(&e, &p, &error), 0);
	assert_non_null(strstr(proctor_hello(p), "test/1"));
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(write(pipes[1], "through", 7), 7);
	q.data = &s;
	q.fds = pipes;
	q.n_fds = 1;
	assert_int_equal(proctor_call(p, &q, &reply, &error), 0);
	assert_int_equal(proctor_reply_code(reply), PROCTOR_OK);
	assert_true(proctor_reply_output(reply, PROCTOR_STDOUT, &out));
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.data, "hello", 5);
	assert_false(proctor_reply_output(reply, PROCTOR_STDERR, &out));
	assert_seen(&s);
	proctor_reply_free(reply);
	proctor_close(p);
	engine_stop(&e);
	assert_string_equal(e.got[0],
			    "{\"version\":1,\"client\":\"libproctor/" PROCTOR_VERSION
			    "\"}");
	assert_string_equal(e.got[1],
			    "{\"op\":\"process.run\",\"params\":{\"command\":\"x\"}}");
	assert_string_equal(e.given, "through");
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void test_the_loop_form_tells_when_a_connection_is_lost(void **state)
{
	struct proctor_request q = { .size = sizeof(q),
				     .op = "process.run",
				     .on_event = see_event,
				     .on_reply = see_reply };
	struct proctor_error error = { 0 };
	struct proctor *p = NULL;
	struct seen first = { 0 }, second = { 0 };
	struct engine e;
	int r = 0;

	(void)state;
	engine_start(&e, "", serve_run);
	assert_int_equal(connect_to(&e, &p, &error), 0);
	q.data = &first;
	assert_int_equal(proctor_call_start(p, &q, NULL, &error), 0);
	q.data = &second;
	assert_int_equal(proctor_call_start(p, &q, NULL, &error), 0);
	/* Nothing is sent before the loop runs. */
	assert_true(proctor_events(p) & POLLOUT);
	while (r == 0) {
		struct pollfd pfd = { .fd = proctor_fd(p), .events = proctor_events(p) };

		assert_int_equal(poll(&pfd, 1, 5000), 1);
		r = proctor_process(p, &error);
	}
	assert_seen(&first);
	assert_int_equal(first.replies, 1);
	assert_int_equal(first.code, PROCTOR_OK);
	assert_int_equal(second.replies, 1);
	assert_int_equal(second.code, -1);
	assert_int_equal(r, -PROCTOR_UNAVAILABLE);
	assert_int_equal(error.code, PROCTOR_UNAVAILABLE);
	/* And it stays lost. */
	assert_int_equal(proctor_call_start(p, &q, NULL, &error), -PROCTOR_UNAVAILABLE);
	proctor_close(p);
	engine_stop(&e);
}

static void serve_refusal(int fd, struct engine *e)
{
	struct frame_reader r = { 0 };
	struct frame f;

	if (next_frame(fd, &r, &f, e))
		say(fd, FRAME_HELLO, 0,
		    "{\"error\":{\"code\":\"denied\",\"field\":\"workspace\",\"message\":"
		    "\"no\"}}",
		    "");
	frame_reader_fini(&r);
}

static void serve_garbage(int fd, struct engine *e)
{
	(void)e;
	(void)fd_write_all(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void serve_silence(int fd, struct engine *e)
{
	struct frame_reader r = { 0 };
	struct frame f;

	(void)next_frame(fd, &r, &f, e);
	frame_reader_fini(&r);
}

static void assert_refused(void (*serve)(int, struct engine *), int code)
{
	struct proctor_error error = { 0 };
	struct proctor *p = NULL;
	struct engine e;

	engine_start(&e, "", serve);
	assert_int_equal(connect_to(&e, &p, &error), -code);
	assert_int_equal(error.code, code);
	assert_true(*error.message != '\0');
	assert_null(p);
	engine_stop(&e);
}

static void test_a_hello_that_is_refused_says_why(void **state)
{
	(void)state;
	assert_refused(serve_refusal, PROCTOR_DENIED);
	assert_refused(serve_garbage, PROCTOR_INVALID_INPUT);
	assert_refused(serve_silence, PROCTOR_UNAVAILABLE);
}

static void test_a_socket_path_may_be_longer_than_the_kernel_takes(void **state)
{
	struct proctor_error error = { 0 };
	struct proctor *p = NULL;
	struct engine e;
	char below[160] = "/";

	(void)state;
	memset(below + 1, 'd', 120);
	engine_start(&e, below, serve_refusal);
	assert_true(strlen(e.path) > sizeof(((struct sockaddr_un *)NULL)->sun_path));
	assert_int_equal(connect_to(&e, &p, &error), -PROCTOR_DENIED);
	engine_stop(&e);
}

static void test_nobody_listening_is_told_from_other_failures(void **state)
{
	struct err err = { 0 };
	int fd = -1;

	(void)state;
	assert_int_equal(connect_engine("/tmp/no-such-dir-here/s", false, &fd, &err),
			 -ERR_UNAVAILABLE);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_is_told_from_other_bytes),
		cmocka_unit_test(test_a_cut_never_splits_a_character),
		cmocka_unit_test(test_base64_is_that_of_the_rfc),
		cmocka_unit_test(test_output_of_a_reply_becomes_text),
		cmocka_unit_test(test_a_lying_reply_is_refused),
		cmocka_unit_test(test_an_error_of_the_engine_keeps_code_field_and_text),
		cmocka_unit_test(test_public_codes_are_those_inside),
		cmocka_unit_test(test_a_call_gets_its_events_and_its_reply),
		cmocka_unit_test(test_the_loop_form_tells_when_a_connection_is_lost),
		cmocka_unit_test(test_a_hello_that_is_refused_says_why),
		cmocka_unit_test(test_a_socket_path_may_be_longer_than_the_kernel_takes),
		cmocka_unit_test(test_nobody_listening_is_told_from_other_failures),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
