/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/cleanup.h"
#include "../../src/core/process.h"
#include "../../src/core/sandbox.h"
#include "../../src/op/op.h"
#include "../../src/op/request.h"
#include "../../src/wire/json.h"

#define ALL (FIELD_MODEL | FIELD_CLIENT | FIELD_ADMIN)

union any_params {
	struct start_params start;
	struct run_params run;
	struct list_params list;
	struct wait_params wait;
	struct read_params read;
	struct write_params write;
	struct signal_params signal;
	struct kill_params kill;
	struct attach_params attach;
	struct sandbox_create_params create;
	struct watch_params watch;
};

/* Decodes JSON text as op's parameters. */
static int decode(enum op_id id, const char *text, union any_params *p, struct err *err)
{
	CLEANUP(json_decref) json_t *j = NULL;
	int e = field_parse(text, strlen(text), &j, err);

	memset(p, 0, sizeof(*p));
	return e < 0 ? e : op_decode(op_get(id), j, p, err);
}

static void accepted(enum op_id id, const char *text, union any_params *p)
{
	struct err err = { 0 };

	if (decode(id, text, p, &err) != 0)
		fail_msg("%s %s: %s", op_get(id)->name, text, err.msg);
}

static void refused(enum op_id id, const char *text, const char *stage)
{
	static const union any_params zero;
	union any_params p;
	struct err err = { 0 };

	if (decode(id, text, &p, &err) != -ERR_INVALID_INPUT)
		fail_msg("%s %s was not refused", op_get(id)->name, text);
	if (strcmp(err.stage, stage) != 0)
		fail_msg("%s %s: stage is \"%s\", not \"%s\"", op_get(id)->name, text,
			 err.stage, stage);
	assert_true(strstr(err.msg, stage) != NULL);
	assert_memory_equal(&p, &zero, sizeof(p));
}

static void test_has_every_operation_by_its_final_name(void **state)
{
	static const struct {
		enum op_id id;
		const char *name, *tool;
	} want[] = {
		{ OP_PROCESS_RUN, "process.run", "run_command" },
		{ OP_PROCESS_START, "process.start", NULL },
		{ OP_PROCESS_LIST, "process.list", "list_processes" },
		{ OP_PROCESS_STATS, "process.stats", "process_stats" },
		{ OP_PROCESS_WAIT, "process.wait", "wait_for_process" },
		{ OP_PROCESS_READ, "process.read", "read_process_output" },
		{ OP_PROCESS_WRITE, "process.write", "write_process_input" },
		{ OP_PROCESS_SIGNAL, "process.signal", NULL },
		{ OP_PROCESS_KILL, "process.kill", "kill_process" },
		{ OP_PROCESS_RESIZE, "process.resize", NULL },
		{ OP_PROCESS_ATTACH, "process.attach", NULL },
		{ OP_PROCESS_RELEASE, "process.release", NULL },
		{ OP_SANDBOX_CREATE, "sandbox.create", NULL },
		{ OP_SANDBOX_LIST, "sandbox.list", NULL },
		{ OP_SANDBOX_GET, "sandbox.get", NULL },
		{ OP_SANDBOX_DESTROY, "sandbox.destroy", NULL },
		{ OP_CALL_CANCEL, "call.cancel", NULL },
		{ OP_POLICY_SHOW, "policy.show", NULL },
		{ OP_POLICY_CHECK, "policy.check", NULL },
		{ OP_EVENTS_WATCH, "events.watch", NULL },
		{ OP_DAEMON_STATUS, "daemon.status", NULL },
		{ OP_DAEMON_DOCTOR, "daemon.doctor", NULL },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(want), OP_MAX_);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		const struct op *op = op_get(want[i].id);

		assert_string_equal(op->name, want[i].name);
		assert_ptr_equal(op_find(want[i].name), op);
		assert_int_equal(op_id(op), want[i].id);
		if (want[i].tool)
			assert_string_equal(op->tool, want[i].tool);
		else
			assert_null(op->tool);
		assert_int_equal((op->audience & FIELD_MODEL) != 0, want[i].tool != NULL);
	}
	assert_null(op_find("process"));
	assert_null(op_find("process.run "));
	assert_null(op_find(""));
}

/* One or more sentences: a capital or a quoted word first, a full stop last. */
static void check_doc(const char *where, const char *name, const char *doc)
{
	size_t n = doc ? strlen(doc) : 0;

	if (n < 8 ||
	    !(isupper((unsigned char)doc[0]) || islower((unsigned char)doc[0]) ||
	      isdigit((unsigned char)doc[0])) ||
	    doc[n - 1] != '.' || strstr(doc, "  "))
		fail_msg("%s %s has no proper doc: %s", where, name, doc ? doc : "NULL");
}

static void check_name(const char *where, const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_");

	if (n == 0 || name[n] || name[0] == '_')
		fail_msg("%s: bad name %s", where, name);
}

static void check_type(const char *where, const struct field *f)
{
	switch (f->type) {
	case FIELD_BOOL:
	case FIELD_OBJECT:
		assert_true(f->type == FIELD_BOOL || f->fields != NULL);
		break;
	case FIELD_INT:
	case FIELD_UINT:
		if (f->max == 0 || f->max > INT64_MAX || f->min > (int64_t)f->max ||
		    (f->type == FIELD_UINT && f->min < 0))
			fail_msg("%s %s has no limits", where, f->name);
		break;
	case FIELD_STRING:
		if (f->max == 0 || f->min < 0 || (uint64_t)f->min > f->max)
			fail_msg("%s %s has no limits", where, f->name);
		break;
	case FIELD_ENUM:
		if (!f->choices || !f->choices[0] || !f->choices[1])
			fail_msg("%s %s has no choices", where, f->name);
		if (!f->fallback && !f->required)
			fail_msg("%s %s has no default", where, f->name);
		break;
	case FIELD_STRINGS:
	case FIELD_ENV:
		if (f->max == 0 || f->max_item == 0)
			fail_msg("%s %s has no limits", where, f->name);
		break;
	case FIELD_CUSTOM:
		if (!f->decode || !f->schema || !f->text || !f->text->allowed)
			fail_msg("%s %s is not complete", where, f->name);
		break;
	}
}

static void check_fields(const char *where, const struct field *fields, size_t size,
			 size_t depth)
{
	for (const struct field *f = fields; f->name; f++) {
		check_name(where, f->name);
		check_doc(where, f->name, f->doc);
		check_type(where, f);
		/* An error must be able to name the field in full. */
		assert_true(strlen(f->name) + depth < ERR_STAGE_MAX);
		assert_true(f->offset < size);
		assert_true(f->has_offset == FIELD_NO_HAS || f->has_offset < size);
		assert_true(f->audience & FIELD_ADMIN);
		assert_false(f->required && f->fallback);
		for (const struct field *g = fields; g < f; g++) {
			assert_string_not_equal(f->name, g->name);
			if (f->offset == g->offset)
				fail_msg("%s: %s and %s share their place", where,
					 f->name, g->name);
			if (f->has_offset != FIELD_NO_HAS &&
			    f->has_offset == g->has_offset)
				fail_msg("%s: %s and %s share has", where, f->name,
					 g->name);
		}
		if (f->type == FIELD_OBJECT)
			check_fields(where, f->fields, SIZE_MAX - 1,
				     depth + strlen(f->name) + 1);
	}
}

static void test_every_parameter_has_doc_limits_and_a_place_of_its_own(void **state)
{
	(void)state;
	for (int id = 0; id < OP_MAX_; id++) {
		const struct op *op = op_get((enum op_id)id);

		check_doc(op->name, "itself", op->doc);
		assert_true(op->title && op->title[0]);
		assert_true(op->params_size > 0);
		check_fields(op->name, op->params, op->params_size, 0);
	}
	check_fields("hello", hello_fields, sizeof(struct hello_params), 0);
}

static void check_results(const char *where, const struct result_field *fields)
{
	static const char types[] =
		"|string|integer|number|boolean|object|array|bytes|null|";

	for (const struct result_field *f = fields; f->name; f++) {
		CLEANUP(free) char *list = strdup(f->type);
		char *rest = list;

		check_name(where, f->name);
		check_doc(where, f->name, f->doc);
		/* They have a meaning in the frame itself. */
		assert_string_not_equal(f->name, "raw");
		for (const struct result_field *g = fields; g < f; g++)
			assert_string_not_equal(f->name, g->name);
		assert_non_null(list);
		for (char *t; (t = strsep(&rest, "|"));) {
			char mark[16];

			(void)snprintf(mark, sizeof(mark), "|%s|", t);
			if (!strstr(types, mark))
				fail_msg("%s %s has the type %s", where, f->name, t);
		}
		if (f->of)
			check_results(f->name, f->of);
	}
}

static void test_every_result_field_has_doc_and_type(void **state)
{
	(void)state;
	check_results("record", op_record);
	check_results("sandbox", op_sandbox);
	check_results("hello", op_hello);
	for (int id = 0; id < OP_MAX_; id++) {
		const struct op *op = op_get((enum op_id)id);

		check_results(op->name, op->result);
		for (const struct result_field *f = op->result; op->record && f->name;
		     f++)
			for (const struct result_field *r = op_record; r->name; r++)
				assert_string_not_equal(f->name, r->name);
	}
	for (const struct op_event *e = op_events; e->name; e++) {
		check_results(e->name, e->fields);
		check_doc("event", e->name, e->doc);
		assert_string_equal(e->fields[0].name, "event");
	}
}

static void check_choice(const struct result_field *f, const char *name,
			 const char *value)
{
	while (f->name && strcmp(f->name, name) != 0)
		f++;
	assert_non_null(f->name);
	assert_non_null(f->choices);
	for (const char *const *c = f->choices; *c; c++)
		if (strcmp(*c, value) == 0)
			return;
	fail_msg("%s does not list %s", name, value);
}

static void test_every_state_and_end_is_listed(void **state)
{
	struct process p = { .exited = true };

	(void)state;
	for (int s = PROCESS_STARTING; s <= PROCESS_LOST; s++)
		check_choice(op_record, "state",
			     process_state_name((enum process_state)s));
	for (int s = SANDBOX_STARTING; s <= SANDBOX_LOST; s++)
		check_choice(op_sandbox, "state",
			     sandbox_state_name((enum sandbox_state)s));
	for (uint32_t r = BOX_REASON_NONE; r <= BOX_REASON_LOST; r++) {
		p.record.reason = r;
		check_choice(op_record, "status", process_status(&p));
		if (r != BOX_REASON_NONE)
			check_choice(op_record, "reason", box_reason_name(r));
	}
}

static void test_the_record_has_all_that_is_promised(void **state)
{
	static const char *const promised[] = {
		"id",		"pid",		"sandbox_pid",	    "sandbox",
		"agent",	"label",	"command",	    "argv",
		"shell",	"cwd",		"profile",	    "call_id",
		"trace_id",	"state",	"status",	    "reason",
		"exit_code",	"signal",	"core_dumped",	    "exited",
		"closed",	"live",		"started_at",	    "ended_at",
		"duration_ms",	"spawn_ms",	"cpu_ms",	    "max_rss_bytes",
		"cgroup_path",	"capture",	"stdin_open",	    "timeout_ms",
		"stdout_bytes", "stderr_bytes", "stdout_lost",	    "stderr_lost",
		"isolation",	"denials",	"start_error",	    "lingering",
		"killed_by",	"box",		"command_truncated"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(promised); i++) {
		const struct result_field *f = op_record;

		while (f->name && strcmp(f->name, promised[i]) != 0)
			f++;
		if (!f->name)
			fail_msg("the record has no %s", promised[i]);
	}
}

static void test_examples_decode_and_what_is_left_out_has_its_default(void **state)
{
	union any_params p;

	(void)state;
	for (int id = 0; id < OP_MAX_; id++) {
		accepted((enum op_id)id, op_get((enum op_id)id)->example, &p);
		op_params_fini(op_get((enum op_id)id), &p);
	}
	accepted(OP_PROCESS_RUN, "{\"command\": \"true\"}", &p);
	assert_string_equal(p.run.start.command, "true");
	assert_int_equal(p.run.start.timeout_ms, 30000);
	assert_int_equal(p.run.start.grace_ms, 5000);
	assert_int_equal(p.run.start.ring_bytes, 1048576);
	assert_int_equal(p.run.start.stdin_spec.kind, STDIN_NULL);
	assert_int_equal(p.run.start.limits.lifetime_ms, 21600000);
	assert_false(p.run.start.limits.has_lifetime_ms);
	assert_int_equal(p.run.start.limits.idle_ms, 0);
	assert_false(p.run.start.has_pty);
	assert_int_equal(p.run.start.pty.cols, 80);
	assert_int_equal(p.run.start.capture, REQ_CAPTURE_SEPARATE);
	assert_int_equal(p.run.start.leftover, REQ_LEFTOVER_KEEP);
	assert_int_equal(p.run.start.on_disconnect, REQ_DETACH);
	assert_int_equal(p.run.start.overflow, REQ_DROP_OLDEST);
	assert_false(p.run.has_wait_ms);
	assert_int_equal(p.run.max_output_bytes, 65536);
	assert_false(p.run.stream);
	op_params_fini(op_get(OP_PROCESS_RUN), &p);

	accepted(OP_PROCESS_RUN, "{\"command\": \"true\", \"timeout_ms\": null}", &p);
	assert_int_equal(p.run.start.timeout_ms, 0);
	op_params_fini(op_get(OP_PROCESS_RUN), &p);
	accepted(OP_PROCESS_START, "{\"command\": \"true\"}", &p);
	assert_int_equal(p.start.timeout_ms, 0);
	op_params_fini(op_get(OP_PROCESS_START), &p);
	accepted(OP_PROCESS_WAIT, "{\"id\": \"p_\"}", &p);
	assert_int_equal(p.wait.wait_ms, 30000);
	assert_int_equal(p.wait.wait_for, REQ_WAIT_EXITED);
	op_params_fini(op_get(OP_PROCESS_WAIT), &p);
	accepted(OP_PROCESS_KILL, "{\"pid\": 1}", &p);
	assert_int_equal(p.kill.signal, SIGTERM);
	assert_int_equal(p.kill.grace_ms, 5000);
	op_params_fini(op_get(OP_PROCESS_KILL), &p);
}

static void test_limits_of_start_are_exact(void **state)
{
	static const char *const good[] = {
		"{\"command\": \"a\", \"timeout_ms\": 1}",
		"{\"command\": \"a\", \"timeout_ms\": 86400000, \"grace_ms\": 30000}",
		"{\"command\": \"a\", \"grace_ms\": 0, \"ring_bytes\": 4096}",
		"{\"command\": \"a\", \"ring_bytes\": 1073741824}",
		"{\"argv\": [\"a\", \"\"], \"pty\": {\"cols\": 1, \"rows\": 1000}}",
		"{\"command\": \"a\", \"pty\": {}, \"capture\": \"combined\"}",
		"{\"command\": \"a\", \"limits\": {\"lifetime_ms\": 604800000, "
		"\"idle_ms\": 1000}}",
		"{\"command\": \"a\", \"trace_id\": "
		"\"0123456789abcdef0123456789abcdef\"}",
		"{\"command\": \"a\", \"overflow\": \"block\", \"consumer\": \"c\"}",
		"{\"command\": \"a\", \"sandbox\": \"new\", \"login\": true, \"shell\": "
		"\"zsh\"}",
	};
	static const struct {
		const char *text, *stage;
	} bad[] = {
		{ "{}", "command" },
		{ "{\"command\": \"\"}", "command" },
		{ "{\"argv\": []}", "argv" },
		{ "{\"argv\": [\"\"]}", "argv" },
		{ "{\"command\": \"a\", \"argv\": [\"a\"]}", "argv" },
		{ "{\"argv\": [\"a\"], \"shell\": \"sh\"}", "shell" },
		{ "{\"argv\": [\"a\"], \"login\": true}", "login" },
		{ "{\"command\": \"a\", \"timeout_ms\": 0}", "timeout_ms" },
		{ "{\"command\": \"a\", \"timeout_ms\": 86400001}", "timeout_ms" },
		{ "{\"command\": \"a\", \"timeout_ms\": \"30s\"}", "timeout_ms" },
		{ "{\"command\": \"a\", \"grace_ms\": 30001}", "grace_ms" },
		{ "{\"command\": \"a\", \"ring_bytes\": 4095}", "ring_bytes" },
		{ "{\"command\": \"a\", \"ring_bytes\": 1073741825}", "ring_bytes" },
		{ "{\"command\": \"a\", \"pty\": {\"cols\": 0}}", "pty.cols" },
		{ "{\"command\": \"a\", \"pty\": {\"rows\": 1001}}", "pty.rows" },
		{ "{\"command\": \"a\", \"pty\": {}, \"capture\": \"separate\"}",
		  "capture" },
		{ "{\"command\": \"a\", \"pty\": {}, \"stdin\": {\"fd\": true}}",
		  "stdin" },
		{ "{\"command\": \"a\", \"limits\": {\"lifetime_ms\": 604800001}}",
		  "limits.lifetime_ms" },
		{ "{\"command\": \"a\", \"limits\": {\"idle_ms\": 999}}",
		  "limits.idle_ms" },
		{ "{\"command\": \"a\", \"limits\": {\"fds\": 9}}", "limits.fds" },
		{ "{\"command\": \"a\", \"trace_id\": "
		  "\"0123456789ABCDEF0123456789abcdef\"}",
		  "trace_id" },
		{ "{\"command\": \"a\", \"trace_id\": "
		  "\"00000000000000000000000000000000\"}",
		  "trace_id" },
		{ "{\"command\": \"a\", \"overflow\": \"block\"}", "consumer" },
		{ "{\"command\": \"a\", \"consumer\": \"c\"}", "consumer" },
		{ "{\"command\": \"a\", \"overflow\": \"block\", \"consumer\": \"c\", "
		  "\"capture\": \"discard\"}",
		  "overflow" },
		{ "{\"command\": \"a\", \"label\": \"a\\nb\"}", "label" },
		{ "{\"command\": \"a\", \"profile\": \"../x\"}", "profile" },
		{ "{\"command\": \"a\", \"idempotency_key\": \"\"}", "idempotency_key" },
		{ "{\"command\": \"a\", \"cwd\": \"\"}", "cwd" },
		{ "{\"command\": \"a\", \"env\": {\"A-B\": \"\"}}", "env" },
		{ "{\"command\": \"a\", \"on_disconnect\": \"keep\"}", "on_disconnect" },
		{ "{\"command\": \"a\", \"Command\": \"b\"}", "Command" },
	};
	union any_params p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		accepted(OP_PROCESS_START, good[i], &p);
		op_params_fini(op_get(OP_PROCESS_START), &p);
		accepted(OP_POLICY_CHECK, good[i], &p);
		op_params_fini(op_get(OP_POLICY_CHECK), &p);
		accepted(OP_PROCESS_RUN, good[i], &p);
		op_params_fini(op_get(OP_PROCESS_RUN), &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(OP_PROCESS_START, bad[i].text, bad[i].stage);
		refused(OP_POLICY_CHECK, bad[i].text, bad[i].stage);
		refused(OP_PROCESS_RUN, bad[i].text, bad[i].stage);
	}
	accepted(OP_PROCESS_START, "{\"command\": \"a\", \"ring_bytes\": 4097}", &p);
	assert_int_equal(p.start.ring_bytes, 8192);
	op_params_fini(op_get(OP_PROCESS_START), &p);
}

static json_t *argv_of(size_t n, size_t bytes)
{
	CLEANUP(free) char *text = malloc(bytes + 1);
	json_t *list = json_array();

	assert_non_null(text);
	memset(text, 'a', bytes);
	text[bytes] = '\0';
	for (size_t i = 0; i < n; i++)
		assert_int_equal(json_array_append_new(list, json_string(text)), 0);
	return json_pack("{s:o}", "argv", list);
}

static int decode_argv(size_t n, size_t bytes, struct err *err)
{
	CLEANUP(json_decref) json_t *j = argv_of(n, bytes);
	struct start_params p = { 0 };
	int e = op_decode(op_get(OP_PROCESS_START), j, &p, err);

	op_params_fini(op_get(OP_PROCESS_START), &p);
	return e;
}

static void test_argv_is_bounded_in_number_length_and_sum(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode_argv(4096, 1, NULL), 0);
	assert_int_equal(decode_argv(4097, 1, NULL), -ERR_INVALID_INPUT);
	assert_int_equal(decode_argv(1, 131071, NULL), 0);
	assert_int_equal(decode_argv(1, 131072, NULL), -ERR_INVALID_INPUT);
	assert_int_equal(decode_argv(16, 131071, NULL), 0); /* 2 MiB with the NULs */
	assert_int_equal(decode_argv(17, 131071, &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "argv");
	assert_non_null(strstr(err.msg, "2097152"));
}

static void check_stdin(const char *value, enum stdin_kind kind, const char *bytes,
			size_t len)
{
	CLEANUP(buf_fini) struct buf text = { 0 };
	union any_params p;

	buf_addf(&text, "{\"command\": \"a\", \"stdin\": %s}", value);
	accepted(OP_PROCESS_START, text.data, &p);
	assert_int_equal(p.start.stdin_spec.kind, kind);
	assert_int_equal(p.start.stdin_spec.len, len);
	if (bytes)
		assert_memory_equal(p.start.stdin_spec.bytes, bytes, len);
	else
		assert_null(p.start.stdin_spec.bytes);
	op_params_fini(op_get(OP_PROCESS_START), &p);
}

static void test_stdin_is_taken_in_all_its_forms(void **state)
{
	static const char *const bad[] = {
		"1",
		"true",
		"[]",
		"{}",
		"{\"open\": false}",
		"{\"fd\": 0}",
		"{\"text\": 1}",
		"{\"base64\": \"a\"}",
		"{\"base64\": \"YR==\"}",
		"{\"open\": true, \"fd\": true}",
		"{\"text\": \"a\", \"base64\": \"YQ==\"}",
		"{\"file\": \"/etc/passwd\"}",
	};

	(void)state;
	check_stdin("null", STDIN_NULL, NULL, 0);
	check_stdin("\"\"", STDIN_TEXT, "", 0);
	check_stdin("\"a\\u0000b\"", STDIN_TEXT, "a\0b", 3);
	check_stdin("{\"text\": \"hi\\n\"}", STDIN_TEXT, "hi\n", 3);
	check_stdin("{\"base64\": \"AP8=\"}", STDIN_TEXT, "\0\xff", 2);
	check_stdin("{\"open\": true}", STDIN_OPEN, NULL, 0);
	check_stdin("{\"fd\": true}", STDIN_FD, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(buf_fini) struct buf text = { 0 };

		buf_addf(&text, "{\"command\": \"a\", \"stdin\": %s}", bad[i]);
		refused(OP_PROCESS_START, text.data, "stdin");
	}
}

static int decode_stdin_of(size_t len)
{
	CLEANUP(free) char *text = malloc(len + 1);
	CLEANUP(json_decref) json_t *j = NULL;
	struct start_params p = { 0 };
	int e;

	assert_non_null(text);
	memset(text, 'x', len);
	j = json_pack("{s:s, s:s%}", "command", "a", "stdin", text, len);
	e = op_decode(op_get(OP_PROCESS_START), j, &p, NULL);
	op_params_fini(op_get(OP_PROCESS_START), &p);
	return e;
}

static void test_stdin_text_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(decode_stdin_of(REQ_STDIN_MAX), 0);
	assert_int_equal(decode_stdin_of(REQ_STDIN_MAX + 1), -ERR_INVALID_INPUT);
}

static void test_signals_have_names_in_any_case_and_numbers(void **state)
{
	static const struct {
		const char *value;
		int want; /* 0 = refused */
	} table[] = {
		{ "\"SIGHUP\"", SIGHUP },
		{ "\"hup\"", SIGHUP },
		{ "\"sigusr1\"", SIGUSR1 },
		{ "15", SIGTERM },
		{ "\"9\"", SIGKILL },
		{ "64", 64 },
		{ "0", 0 },
		{ "65", 0 },
		{ "-1", 0 },
		{ "\"\"", 0 },
		{ "\"SIG\"", 0 },
		{ "\"TERM\\u0000X\"", 0 },
		{ "\"SIGFOO\"", 0 },
		{ "true", 0 },
		{ "[15]", 0 },
		{ "18446744073709551631", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		CLEANUP(buf_fini) struct buf text = { 0 };
		union any_params p;
		int e;

		buf_addf(&text, "{\"id\": \"p_\", \"signal\": %s}", table[i].value);
		e = decode(OP_PROCESS_SIGNAL, text.data, &p, NULL);
		if (e != (table[i].want ? 0 : -ERR_INVALID_INPUT))
			fail_msg("signal %s gives %d", table[i].value, e);
		if (e == 0) {
			assert_int_equal(p.signal.signal, table[i].want);
			op_params_fini(op_get(OP_PROCESS_SIGNAL), &p);
		}
	}
	refused(OP_PROCESS_SIGNAL, "{\"id\": \"p_\"}", "signal");
	refused(OP_PROCESS_SIGNAL, "{\"id\": \"p_\", \"signal\": null}", "signal");
}

static void test_a_process_is_named_once(void **state)
{
	static const enum op_id targets[] = { OP_PROCESS_STATS, OP_PROCESS_WAIT,
					      OP_PROCESS_READ, OP_PROCESS_KILL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		refused(targets[i], "{}", "id");
		refused(targets[i], "{\"id\": \"p_\", \"pid\": 5}", "pid");
		refused(targets[i], "{\"pid\": 0}", "pid");
		refused(targets[i], "{\"pid\": 4194305}", "pid");
	}
	refused(OP_PROCESS_WAIT, "{\"id\": \"p_\", \"ids\": [\"p_\"]}", "ids");
	refused(OP_PROCESS_WAIT, "{\"ids\": []}", "ids");
	refused(OP_PROCESS_WRITE, "{\"data\": \"a\"}", "id");
	refused(OP_CALL_CANCEL, "{}", "call_id");
}

static void test_reading_takes_an_offset_or_a_tail(void **state)
{
	union any_params p;

	(void)state;
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"offset\": 0, \"tail_bytes\": 1}",
		"tail_bytes");
	refused(OP_PROCESS_READ,
		"{\"id\": \"p\", \"stderr_offset\": 0, \"tail_lines\": 1}", "tail_lines");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"tail_bytes\": 1, \"tail_lines\": 1}",
		"tail_lines");
	refused(OP_PROCESS_READ,
		"{\"id\": \"p\", \"stream\": \"stderr\", \"stderr_offset\": 1}",
		"stderr_offset");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"max_bytes\": 0}", "max_bytes");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"max_bytes\": 1048577}", "max_bytes");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"wait_ms\": 3600001}", "wait_ms");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"until\": \"\"}", "until");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"offset\": 1, \"ack\": true}",
		"consumer");
	refused(OP_PROCESS_READ, "{\"id\": \"p\", \"consumer\": \"c\", \"ack\": true}",
		"offset");
	accepted(OP_PROCESS_READ, "{\"id\": \"p\", \"offset\": 0, \"stream\": \"both\"}",
		 &p);
	assert_true(p.read.has_offset);
	assert_false(p.read.has_stderr_offset);
	assert_false(p.read.has_tail_bytes);
	assert_int_equal(p.read.stream, REQ_BOTH);
	op_params_fini(op_get(OP_PROCESS_READ), &p);
}

static void test_written_bytes_are_exact(void **state)
{
	union any_params p;

	(void)state;
	accepted(OP_PROCESS_WRITE, "{\"id\": \"p\", \"data\": \"a\\u0000\\n\"}", &p);
	assert_int_equal(p.write.data.len, 3);
	assert_memory_equal(p.write.data.v, "a\0\n", 3);
	op_params_fini(op_get(OP_PROCESS_WRITE), &p);
	accepted(OP_PROCESS_WRITE,
		 "{\"id\": \"p\", \"data\": \"/wA=\", \"encoding\": \"base64\", "
		 "\"close\": true}",
		 &p);
	assert_int_equal(p.write.data.len, 2);
	assert_memory_equal(p.write.data.v, "\xff\0", 2);
	assert_true(p.write.close);
	op_params_fini(op_get(OP_PROCESS_WRITE), &p);
	accepted(OP_PROCESS_WRITE, "{\"id\": \"p\"}", &p);
	assert_null(p.write.data.v); /* the raw bytes of the frame */
	op_params_fini(op_get(OP_PROCESS_WRITE), &p);
	refused(OP_PROCESS_WRITE,
		"{\"id\": \"p\", \"data\": \"*\", \"encoding\": \"base64\"}", "data");
	refused(OP_PROCESS_WRITE, "{\"id\": \"p\", \"data\": 5}", "data");
}

static void test_hello_is_decoded_by_a_table_too(void **state)
{
	static const char text[] =
		"{\"version\": 1, \"workspace\": \"/w\", \"profiles\": "
		"[\"coding\"], \"sandbox\": \"own\"}";
	CLEANUP(json_decref) json_t *good = json_loads(text, 0, NULL);
	CLEANUP(json_decref)
	json_t *relative = json_pack("{s:i, s:s}", "version", 1, "workspace", "w");
	struct hello_params h = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(field_decode(hello_fields, good, &h, &err), 0);
	assert_int_equal(h.version, 1);
	assert_string_equal(h.workspace, "/w");
	assert_int_equal(h.profiles.n, 1);
	assert_int_equal(h.sandbox, REQ_HELLO_OWN);
	assert_false(h.allow_wide);
	field_fini(hello_fields, &h);
	assert_int_equal(field_decode(hello_fields, NULL, &h, &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "version");
	assert_int_equal(field_decode(hello_fields, relative, &h, &err),
			 -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "workspace");
}

/* What watch names, and what events there are, is written down in two places. */
static void test_all_watched_events_can_be_asked_for(void **state)
{
	union any_params p;

	(void)state;
	for (const struct op_event *e = op_events; e->name; e++) {
		CLEANUP(buf_fini) struct buf text = { 0 };

		buf_addf(&text, "{\"kinds\": [\"%s\"]}", e->name);
		if (!e->watched) {
			refused(OP_EVENTS_WATCH, text.data, "kinds");
			continue;
		}
		accepted(OP_EVENTS_WATCH, text.data, &p);
		op_params_fini(op_get(OP_EVENTS_WATCH), &p);
	}
}

static json_t *properties(json_t *schema)
{
	return json_object_get(schema, "properties");
}

static void test_models_are_shown_the_short_and_safe_part(void **state)
{
	static const char *const hidden[] = { "argv",	  "profile",  "limits",
					      "sandbox",  "capture",  "leftover",
					      "overflow", "grace_ms", "trace_id" };
	CLEANUP(json_decref)
	json_t *model = op_params_schema(op_get(OP_PROCESS_RUN), FIELD_MODEL);
	CLEANUP(json_decref) json_t *all = op_params_schema(op_get(OP_PROCESS_RUN), ALL);
	json_t *required = json_object_get(model, "required");

	(void)state;
	assert_non_null(json_object_get(properties(model), "command"));
	assert_int_equal(json_array_size(required), 1);
	assert_string_equal(json_string_value(json_array_get(required, 0)), "command");
	assert_null(json_object_get(all, "required"));
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		assert_null(json_object_get(properties(model), hidden[i]));
		assert_non_null(json_object_get(properties(all), hidden[i]));
	}
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(properties(model), "stdin"), "type")),
			    "string");
}

static void test_the_description_has_everything(void **state)
{
	CLEANUP(json_decref) json_t *all = op_describe_all(ALL);
	CLEANUP(json_decref) json_t *model = op_describe_all(FIELD_MODEL);
	json_t *ops = json_object_get(all, "operations");

	(void)state;
	assert_non_null(all);
	assert_non_null(model);
	assert_int_equal(json_array_size(ops), OP_MAX_);
	assert_int_equal(json_array_size(json_object_get(model, "operations")), 7);
	assert_int_equal(json_array_size(json_object_get(all, "errors")), ERR_MAX_ - 1);
	for (size_t i = 0; i < OP_MAX_; i++) {
		const struct op *op = op_get((enum op_id)i);
		json_t *o = json_array_get(ops, i);
		json_t *params = properties(json_object_get(o, "params"));
		json_t *result = properties(json_object_get(o, "result"));
		size_t n = 0, m = 0;

		assert_string_equal(json_string_value(json_object_get(o, "name")),
				    op->name);
		assert_true(json_is_object(json_object_get(o, "example")));
		for (const struct field *f = op->params; f->name; f++, n++)
			assert_non_null(json_object_get(params, f->name));
		assert_int_equal(json_object_size(params), n);
		for (const struct result_field *f = op->result; f->name; f++, m++)
			assert_non_null(json_object_get(result, f->name));
		for (const struct result_field *f = op_record; op->record && f->name;
		     f++, m++)
			assert_non_null(json_object_get(result, f->name));
		assert_int_equal(json_object_size(result), m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_has_every_operation_by_its_final_name),
		cmocka_unit_test(
			test_every_parameter_has_doc_limits_and_a_place_of_its_own),
		cmocka_unit_test(test_every_result_field_has_doc_and_type),
		cmocka_unit_test(test_every_state_and_end_is_listed),
		cmocka_unit_test(test_the_record_has_all_that_is_promised),
		cmocka_unit_test(
			test_examples_decode_and_what_is_left_out_has_its_default),
		cmocka_unit_test(test_limits_of_start_are_exact),
		cmocka_unit_test(test_argv_is_bounded_in_number_length_and_sum),
		cmocka_unit_test(test_stdin_is_taken_in_all_its_forms),
		cmocka_unit_test(test_stdin_text_is_bounded),
		cmocka_unit_test(test_signals_have_names_in_any_case_and_numbers),
		cmocka_unit_test(test_a_process_is_named_once),
		cmocka_unit_test(test_reading_takes_an_offset_or_a_tail),
		cmocka_unit_test(test_written_bytes_are_exact),
		cmocka_unit_test(test_hello_is_decoded_by_a_table_too),
		cmocka_unit_test(test_all_watched_events_can_be_asked_for),
		cmocka_unit_test(test_models_are_shown_the_short_and_safe_part),
		cmocka_unit_test(test_the_description_has_everything),
	};

	return cmocka_run_group_tests_name("optable", tests, NULL, NULL);
}
