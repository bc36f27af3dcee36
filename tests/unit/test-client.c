/* SPDX-License-Identifier: Apache-2.0 */

/* libproctor against an engine of our own making, and the pure parts of the CLI */

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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <proctor/proctor.h>

#include "../../src/base/cleanup.h"
#include "../../src/base/fd.h"
#include "../../src/cli/cli.h"
#include "../../src/cli/opt.h"
#include "../../src/cli/out.h"
#include "../../src/cli/request.h"
#include "../../src/cli/sink.h"
#include "../../src/cli/term.h"
#include "../../src/cli/workspace.h"
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

/* --- options --- */

#define PARSE(groups_, order_, ...)                                                      \
	parse(groups_, order_, (char *[]){ __VA_ARGS__, NULL }, &args, &err)

static int parse(unsigned int groups, enum opt_order order, char **argv,
		 struct opt_args *ret, struct err *err)
{
	struct opt_spec spec = { .groups = groups,
				 .order = order,
				 .signals = groups & OPT_G_KILL };
	int argc = 0;

	while (argv[argc])
		argc++;
	return opt_parse(&spec, argc, argv, ret, err);
}

static char w_env[] = "-eA=1", w_env_long[] = "--env", w_env_value[] = "B=2",
	    w_flags[] = "-it", w_timeout[] = "--timeout=90s", w_end[] = "--",
	    w_ls[] = "ls", w_dash_e[] = "-e", w_json[] = "--json", w_id[] = "p_1",
	    w_nine[] = "-9", w_near[] = "--timout", w_letter[] = "-Z",
	    w_timeout_bare[] = "--timeout", w_zero[] = "--timeout=0",
	    w_capture[] = "--capture=both", w_flag_value[] = "--tty=yes",
	    w_follow[] = "-f", w_tail[] = "-n5", w_dash[] = "-";

static void test_options_end_where_the_command_begins(void **state)
{
	struct opt_args args;
	struct err err;

	(void)state;
	assert_int_equal(PARSE(OPT_G_COMMAND | OPT_G_FRONT, OPT_STOP_AT_OPERAND, w_env,
			       w_env_long, w_env_value, w_flags, w_timeout, w_ls,
			       w_dash_e, w_end, w_json),
			 0);
	assert_true(args.v[OPT_INTERACTIVE].given && args.v[OPT_TTY].given);
	assert_int_equal(args.v[OPT_TIMEOUT].number, 90000);
	assert_int_equal(args.n_items, 2);
	assert_string_equal(args.items[0].text, "A=1");
	assert_string_equal(args.items[1].text, "B=2");
	assert_int_equal(args.n_operands, 4);
	assert_string_equal(args.operands[0], "ls");
	assert_string_equal(args.operands[1], "-e");
	assert_string_equal(args.operands[2], "--");

	assert_int_equal(PARSE(OPT_G_COMMAND, OPT_STOP_AT_OPERAND, w_end, w_dash_e, w_ls),
			 0);
	assert_int_equal(args.n_operands, 2);
	assert_string_equal(args.operands[0], "-e");
}

static void test_options_may_follow_where_no_command_does(void **state)
{
	struct opt_args args;
	struct err err;

	(void)state;
	assert_int_equal(PARSE(OPT_G_LOGS, OPT_MIXED, w_id, w_follow, w_tail), 0);
	assert_true(args.v[OPT_FOLLOW].given);
	assert_int_equal(args.v[OPT_TAIL].number, 5);
	assert_int_equal(args.n_operands, 1);
	assert_string_equal(args.operands[0], "p_1");
	assert_int_equal(PARSE(OPT_G_KILL, OPT_MIXED, w_nine, w_id, w_dash), 0);
	assert_string_equal(args.v[OPT_SIGNAL].text, "9");
	assert_int_equal(args.n_operands, 2);
}

static void test_wrong_options_are_refused_with_what_is_allowed(void **state)
{
	struct opt_args args;
	struct err err;
	unsigned int g = OPT_G_COMMAND | OPT_G_FRONT;
	const struct {
		char *word;
		const char *says;
	} cases[] = {
		{ w_near, "did you mean --timeout?" },
		{ w_letter, "-Z" },
		{ w_timeout_bare, "needs a value" },
		{ w_zero, "1 to 86400000 ms" },
		{ w_capture, "separate, combined" },
		{ w_flag_value, "takes no value" },
		{ w_json, "--json" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(PARSE(g, OPT_STOP_AT_OPERAND, cases[i].word),
				 -ERR_INVALID_INPUT);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].says);
	}
}

static void test_no_verb_has_an_option_twice(void **state)
{
	(void)state;
	for (const struct verb *v = verb_table; v->name; v++) {
		assert_non_null(v->run);
		assert_true(*v->doc != '\0');
		for (const struct opt *a = opt_table; a->name; a++) {
			if (!(a->groups & (v->groups | OPT_G_ALL)))
				continue;
			assert_true(*a->doc != '\0');
			assert_true((a->kind == OPT_IS_FLAG) == (a->arg == NULL));
			for (const struct opt *b = a + 1; b->name; b++) {
				if (!(b->groups & (v->groups | OPT_G_ALL)))
					continue;
				if (strcmp(a->name, b->name) == 0 ||
				    (a->letter && a->letter == b->letter))
					fail_msg("%s: --%s and --%s", v->name, a->name,
						 b->name);
			}
		}
	}
}

/* --- the completion that is shipped --- */

static char *capture(int argc, char **argv)
{
	CLEANUP(close) int mem = memfd_create("capture", MFD_CLOEXEC);
	CLEANUP(close) int keep = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	CLEANUP(buf_fini) struct buf b = { 0 };
	char chunk[4096];
	ssize_t n;

	(void)fflush(stdout);
	assert_true(mem >= 0 && keep >= 0);
	assert_int_equal(dup2(mem, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(cli_main(argc, argv), 0);
	(void)fflush(stdout);
	assert_int_equal(dup2(keep, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(lseek(mem, 0, SEEK_SET), 0);
	while ((n = read(mem, chunk, sizeof(chunk))) > 0)
		buf_add(&b, chunk, (size_t)n);
	return buf_take(&b);
}

static void assert_shipped(const char *flag, const char *name)
{
	char program[] = "proctor", help[] = "help", option[16], path[4096];
	char *argv[] = { program, help, option, NULL };
	CLEANUP(free) char *made = NULL;
	CLEANUP(free) char *shipped = NULL;
	const char *slash = strrchr(__FILE__, '/');
	FILE *f;
	size_t n;

	(void)snprintf(option, sizeof(option), "%s", flag);
	(void)snprintf(path, sizeof(path), "%.*s/../../completions/%s",
		       slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".", name);
	f = fopen(path, "re");
	if (!f) {
		print_message("the sources are not where they were built from: %s\n",
			      path);
		skip();
	}
	made = capture(3, argv);
	assert_non_null(made);
	n = strlen(made) + 2;
	shipped = calloc(1, n);
	assert_non_null(shipped);
	n = fread(shipped, 1, n - 1, f);
	(void)fclose(f);
	if (n != strlen(made) || memcmp(made, shipped, n) != 0)
		fail_msg("%s is not what `proctor help %s` prints: make it anew", name,
			 flag);
}

static void test_the_shipped_completions_are_made_from_the_tables(void **state)
{
	(void)state;
	assert_shipped("--bash", "proctor.bash");
	assert_shipped("--zsh", "_proctor");
	assert_shipped("--fish", "proctor.fish");
}

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
		cmocka_unit_test(test_options_end_where_the_command_begins),
		cmocka_unit_test(test_options_may_follow_where_no_command_does),
		cmocka_unit_test(test_wrong_options_are_refused_with_what_is_allowed),
		cmocka_unit_test(test_no_verb_has_an_option_twice),
		cmocka_unit_test(test_the_shipped_completions_are_made_from_the_tables),
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
