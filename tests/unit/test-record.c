/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/op/call.h"
#include "../../src/op/record.h"
#include "../../src/wire/json.h"

struct fixture {
	struct world world;
	struct principal *owner;
	struct compiled compiled;
	struct process *p;
};

static const struct profile profile = { .name = "default" };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct process_args a = { 0 };

	assert_non_null(f);
	registry_init(&f->world.processes, -1);
	f->world.state_dir = "/state";
	f->compiled.cwd = strdup("/work");
	f->compiled.timeout_ms = 30000;
	f->compiled.isolation = (struct isolation){
		.n = 2,
		.layer = { { "mount", true, NULL }, { "cgroup", false, "no rights" } },
		.plan_hash = 7,
	};
	assert_non_null(f->compiled.cwd);
	assert_int_equal(principal_new(&f->owner, getuid(), getgid(), NULL), 0);
	a.owner = f->owner;
	assert_int_equal(id_new(&a.id), 0);
	assert_int_equal(process_new(&f->world.processes, &a, &f->p, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	registry_fini(&f->world.processes);
	principal_unref(f->owner);
	compiled_fini(&f->compiled);
	free(f);
	return 0;
}

static void begin(struct fixture *f, const struct start_params *q)
{
	json_t *spec = record_spec(q, &f->compiled, &profile,
				   "0123456789abcdef0123456789abcdef");
	struct err err;

	assert_non_null(spec);
	assert_int_equal(record_begin(f->p, spec, &err), 0);
}

static json_t *record(struct fixture *f)
{
	json_t *o = record_json(&f->world, f->p, f->owner);

	assert_non_null(o);
	return o;
}

static void test_the_first_record_is_like_those_made_of_the_text(void **state)
{
	struct fixture *f = *state;
	char echo[] = "/bin/echo", quote[] = "a\"b", accent[] = "\xc3\xa9";
	char label[] = "build", call_id[] = "c-1";
	char *argv[] = { echo, quote, accent, NULL };
	const struct start_params q = {
		.argv = { argv, 3 }, .label = label, .call_id = call_id, .grace_ms = 5000
	};
	CLEANUP(json_decref) json_t *first = NULL;
	CLEANUP(json_decref) json_t *second = NULL;

	begin(f, &q);
	assert_non_null(f->p->asked);
	assert_string_equal(f->p->label, "build");
	assert_string_equal(f->p->profile, "default");
	assert_int_equal(f->p->timeout_ns, UINT64_C(30000000000));
	assert_int_equal(f->p->streams, 2);

	first = record(f);
	assert_null(f->p->asked);
	second = record(f);
	assert_true(json_equal(first, second));
	assert_null(json_object_get(first, "kept"));
	assert_int_equal(json_object_size(json_object_get(first, "isolation")), 3);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(first, "argv"), 1)),
		"a\"b");
}

static void test_a_record_does_not_change_what_the_next_one_is_made_of(void **state)
{
	struct fixture *f = *state;
	char command[] = "true";
	const struct start_params q = { .command = command };
	CLEANUP(json_decref) json_t *first = NULL;
	CLEANUP(json_decref) json_t *second = NULL;

	begin(f, &q);
	first = record(f);
	assert_int_equal(json_object_set_new(first, "stdout_next", json_integer(1)), 0);
	assert_int_equal(json_object_clear(json_object_get(first, "isolation")), 0);
	second = record(f);
	assert_null(json_object_get(second, "stdout_next"));
	assert_int_equal(json_object_size(json_object_get(second, "isolation")), 3);
}

static bool is_truncated(const json_t *record)
{
	const json_t *t = json_object_get(record, "command_truncated");

	assert_true(json_is_boolean(t));
	return json_is_true(t);
}

/* As the journal has it. */
static json_int_t whole_length(const struct fixture *f)
{
	CLEANUP(json_decref) json_t *spec = json_loads(f->p->spec, 0, NULL);

	return json_integer_value(
		json_object_get(json_object_get(spec, "kept"), "command_bytes"));
}

static void test_a_long_command_is_cut_and_says_so(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *command = calloc(1, (100 << 10) + 1);
	const struct start_params q = { .command = command };
	CLEANUP(json_decref) json_t *o = NULL;
	const char *shown;

	assert_non_null(command);
	memset(command, 'x', 100 << 10);
	begin(f, &q);
	o = record(f);
	assert_true(is_truncated(o));
	shown = json_string_value(json_object_get(o, "command"));
	assert_int_equal(strlen(shown), RECORD_COMMAND_MAX + 3);
	assert_memory_equal(shown, command, RECORD_COMMAND_MAX);
	assert_string_equal(shown + RECORD_COMMAND_MAX, "...");
	assert_int_equal(whole_length(f), 100 << 10);
}

static void test_a_command_that_just_fits_is_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *command = calloc(1, RECORD_COMMAND_MAX + 1);
	const struct start_params q = { .command = command };
	CLEANUP(json_decref) json_t *o = NULL;

	assert_non_null(command);
	memset(command, 'x', RECORD_COMMAND_MAX);
	begin(f, &q);
	o = record(f);
	assert_false(is_truncated(o));
	assert_string_equal(json_string_value(json_object_get(o, "command")), command);
	assert_int_equal(whole_length(f), RECORD_COMMAND_MAX);
}

/* Wherever the cut falls within it, a character is there or is not. */
static void test_a_character_is_never_cut(void **state)
{
	static const char euro[] = "\xe2\x82\xac";
	CLEANUP(free) char *command = calloc(1, RECORD_COMMAND_MAX + 100);

	(void)state;
	assert_non_null(command);
	for (size_t at = RECORD_COMMAND_MAX - 3; at <= RECORD_COMMAND_MAX; at++) {
		void *another = NULL;
		const struct start_params q = { .command = command };
		CLEANUP(json_decref) json_t *o = NULL;
		struct fixture *f;
		const char *shown;
		bool fits = at + 3 <= RECORD_COMMAND_MAX;

		assert_int_equal(setup(&another), 0);
		f = another;
		memset(command, 'x', at);
		memcpy(command + at, euro, 4);
		memset(command + at + 3, 'y', 10);
		command[at + 13] = '\0';
		begin(f, &q);
		o = record(f);
		assert_true(is_truncated(o));
		shown = json_string_value(json_object_get(o, "command"));
		assert_non_null(shown);
		assert_int_equal(strlen(shown), at + (fits ? 3 : 0) + 3);
		assert_memory_equal(shown, command, at + (fits ? 3 : 0));
		assert_int_equal(whole_length(f), at + 13);
		assert_int_equal(teardown(&another), 0);
	}
}

static void test_of_many_arguments_the_first_are_shown(void **state)
{
	struct fixture *f = *state;
	char *argv[3001], word[] = "word";
	struct start_params q = { .argv = { argv, 3000 } };
	CLEANUP(json_decref) json_t *o = NULL;
	const json_t *shown;
	size_t n;

	for (size_t i = 0; i < 3000; i++)
		argv[i] = word;
	argv[3000] = NULL;
	begin(f, &q);
	o = record(f);
	assert_true(is_truncated(o));
	shown = json_object_get(o, "argv");
	n = json_array_size(shown);
	/* Five bytes each, the last that is shown being cut. */
	assert_int_equal(n, RECORD_COMMAND_MAX / 5 + 2);
	assert_string_equal(json_string_value(json_array_get(shown, n - 3)), "word");
	assert_string_equal(json_string_value(json_array_get(shown, n - 2)), "w...");
	assert_string_equal(json_string_value(json_array_get(shown, n - 1)), "...");
	assert_int_equal(whole_length(f), 15000);
}

static void test_arguments_that_just_fit_are_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *longest = calloc(1, RECORD_COMMAND_MAX);
	char program[] = "sh";
	char *argv[] = { program, longest, NULL };
	const struct start_params q = { .argv = { argv, 2 } };
	CLEANUP(json_decref) json_t *o = NULL;

	assert_non_null(longest);
	memset(longest, 'x', RECORD_COMMAND_MAX - 3);
	begin(f, &q);
	o = record(f);
	assert_false(is_truncated(o));
	assert_int_equal(json_array_size(json_object_get(o, "argv")), 2);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(o, "argv"), 1)),
		longest);
}

/* What a process that has ended looks like, once it was in the journal. */
static struct process *recalled(struct fixture *f, const char *outcome)
{
	struct process_args a = { .owner = f->owner };
	struct process *p = NULL;
	struct err err;

	assert_int_equal(id_new(&a.id), 0);
	assert_int_equal(process_new(&f->world.processes, &a, &p, NULL), 0);
	assert_int_equal(record_recall_outcome(p, outcome, &err), 0);
	return p;
}

static void assert_same_end(const struct box_record *a, const struct box_record *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->exit_code, b->exit_code);
	assert_int_equal(a->exit_signal, b->exit_signal);
	assert_int_equal(a->sandbox_pid, b->sandbox_pid);
	assert_int_equal(a->started_wall_ns, b->started_wall_ns);
	assert_int_equal(a->ended_boot_ns, b->ended_boot_ns);
	assert_int_equal(a->max_rss_bytes, b->max_rss_bytes);
	assert_int_equal(a->live, b->live);
	assert_int_equal(a->start_errno, b->start_errno);
	assert_string_equal(a->start_stage, b->start_stage);
	assert_string_equal(a->start_msg, b->start_msg);
}

static void test_an_outcome_is_the_same_out_of_the_journal(void **state)
{
	struct fixture *f = *state;
	const struct box_record ends[] = {
		{ .state = BOX_EXITED,
		  .reason = BOX_REASON_EXITED,
		  .flags = BOX_HAS_EXITED | BOX_HAS_CLOSED,
		  .sandbox_pid = 2,
		  .started_wall_ns = UINT64_C(1795381961491809267),
		  .ended_boot_ns = 5 },
		{ .state = BOX_EXITED,
		  .reason = BOX_REASON_SIGNALED,
		  .flags = BOX_HAS_EXITED,
		  .exit_code = -1,
		  .exit_signal = 9,
		  .max_rss_bytes = UINT64_C(1) << 40,
		  .live = 3 },
		{ .state = BOX_EXITED,
		  .reason = BOX_REASON_START_FAILED,
		  .exit_code = -1,
		  .start_errno = 2,
		  .start_stage = "exec",
		  .start_msg = "no such \"file\"" },
	};
	const struct box_usage usages[] = {
		{ .memory_limit = 0 },
		{ .memory_limit = UINT64_C(1) << 40,
		  .memory_peak = (UINT64_C(1) << 40) - 1,
		  .oom_killed = 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		for (int more = 0; more < 2; more++) {
			CLEANUP(free) char *outcome = NULL;
			const struct process *p;

			free(f->p->killed_by);
			f->p->record = ends[i];
			f->p->state = more ? PROCESS_LOST : PROCESS_EXITED;
			f->p->empty = !more;
			f->p->usage = usages[more];
			f->p->killed_by = more ? strdup("agent: why") : NULL;
			outcome = record_outcome(f->p);
			assert_non_null(outcome);
			p = recalled(f, outcome);
			assert_same_end(&p->record, &ends[i]);
			assert_int_equal(p->state, f->p->state);
			assert_int_equal(p->empty, f->p->empty);
			assert_memory_equal(&p->usage, &usages[more], sizeof(p->usage));
			assert_int_equal(p->exited,
					 (ends[i].flags & BOX_HAS_EXITED) != 0);
			if (more)
				assert_string_equal(p->killed_by, "agent: why");
			else
				assert_null(p->killed_by);
		}
}

/* As engines before this one wrote it. */
static void test_an_outcome_with_all_its_members_is_understood(void **state)
{
	const struct process *p = recalled(
		*state,
		"{\"state\":3,\"reason\":1,\"flags\":15,\"exit_code\":0,"
		"\"exit_signal\":0,\"sandbox_pid\":2,\"started_boot_ns\":7,"
		"\"live\":0,\"start_errno\":0,\"start_stage\":null,"
		"\"start_msg\":null,\"lost\":false,\"empty\":true,\"killed_by\":null}");

	assert_int_equal(p->state, PROCESS_EXITED);
	assert_true(p->empty);
	assert_int_equal(p->record.exit_code, 0);
	assert_int_equal(p->record.started_boot_ns, 7);
	assert_string_equal(p->record.start_msg, "");
	assert_null(p->killed_by);
}

static void ignore(struct waiter *w, struct process *p, unsigned int news)
{
	(void)w;
	(void)p;
	(void)news;
}

static void test_values_are_kept_only_while_somebody_waits(void **state)
{
	struct fixture *f = *state;
	char command[] = "sleep 100";
	const struct start_params q = { .command = command };
	struct waiter a = { .process = NULL }, b = { .process = NULL };
	CLEANUP(json_decref) json_t *held = NULL;

	begin(f, &q);
	held = json_incref(f->p->asked);
	process_wait(f->p, &a, ignore);
	process_wait(f->p, &b, ignore);
	waiter_remove(&a);
	assert_ptr_equal(f->p->asked, held);
	waiter_remove(&b);
	assert_null(f->p->asked);
	assert_int_equal(held->refcount, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_first_record_is_like_those_made_of_the_text),
		TEST(test_a_record_does_not_change_what_the_next_one_is_made_of),
		TEST(test_a_long_command_is_cut_and_says_so),
		TEST(test_a_command_that_just_fits_is_whole),
		TEST(test_a_character_is_never_cut),
		TEST(test_of_many_arguments_the_first_are_shown),
		TEST(test_arguments_that_just_fit_are_whole),
		TEST(test_an_outcome_is_the_same_out_of_the_journal),
		TEST(test_an_outcome_with_all_its_members_is_understood),
		TEST(test_values_are_kept_only_while_somebody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
