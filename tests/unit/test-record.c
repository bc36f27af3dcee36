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
		TEST(test_values_are_kept_only_while_somebody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
