/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/boot.h"
#include "../../src/core/limits.h"
#include "../../src/core/principal.h"
#include "../../src/core/profile.h"

static void test_shipped_profiles_are_found_by_name(void **state)
{
	const struct profile *d = profile_find("default");
	const struct profile *h = profile_find("trusted-host");

	(void)state;
	assert_non_null(d);
	assert_non_null(h);
	assert_int_equal(d->backend, BACKEND_NATIVE);
	assert_int_equal(h->backend, BACKEND_HOST);
	assert_ptr_equal(profile_at(profile_index(h)), h);
	assert_non_null(profile_find("strict"));
	assert_non_null(profile_find("coding"));
	assert_null(profile_find("Default"));
	assert_null(profile_find(""));
	assert_null(profile_at(PROFILES_MAX));
}

static void test_language_and_terminal_are_passed_and_nothing_else(void **state)
{
	const struct profile *p = profile_find("default");

	(void)state;
	assert_true(profile_passes(p, "TERM", 4));
	assert_true(profile_passes(p, "LC_ALL", 6));
	assert_true(profile_passes(p, "LC_", 3));
	assert_false(profile_passes(p, "LC", 2));
	assert_false(profile_passes(p, "TERMINFO", 8));
	assert_false(profile_passes(p, "AWS_SECRET_ACCESS_KEY", 21));
	assert_false(profile_passes(p, "", 0));
}

static void test_variables_that_change_what_runs_are_refused(void **state)
{
	static const char *const bad[] = {
		"LD_PRELOAD=/tmp/x.so", "LD_=",
		"BASH_ENV=/tmp/x",	"ENV=x",
		"GCONV_PATH=.",		"NODE_OPTIONS=--require=x",
		"PYTHONPATH=.",		"PERL5OPT=-Mx",
		"PERL5LIB=x",		"RUBYOPT=-rx",
		"PROCTOR_ID=p_1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(profile_env_check(bad[i], &err), -ERR_DENIED);
		assert_memory_equal(err.stage, "env.", 4);
		/* The value may be a secret: never in a message. */
		assert_null(strstr(err.msg, "/tmp/x"));
		assert_null(strstr(err.msg, "p_1"));
	}
}

static void test_an_error_names_the_variable(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(profile_env_check("LD_PRELOAD=/tmp/x.so", &err), -ERR_DENIED);
	assert_string_equal(err.stage, "env.LD_PRELOAD");
	assert_non_null(strstr(err.msg, "LD_PRELOAD"));
}

static void test_what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = { "",		 "=x",
					   "A",		 "1A=x",
					   "A B=x",	 "A-B=x",
					   "\xc3\xa4=x", "BASH_FUNC_x%%=() { :; }" };
	static const char *const good[] = {
		"A=", "_=1", "a9=x=y", "ENVY=1", "LDFLAGS=-s", "PYTHONUNBUFFERED=1"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(profile_env_check(bad[i], NULL), -ERR_INVALID_INPUT);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(profile_env_check(good[i], NULL), 0);
}

static void test_scratch_is_bounded_by_the_memory(void **state)
{
	uint64_t n = profile_scratch_bytes(profile_find("default"));

	(void)state;
	assert_true(n >= (uint64_t)16 << 20);
	assert_true(n <= (uint64_t)1 << 30);
	assert_int_equal(n % 4096, 0);
}

static void test_a_request_beyond_the_ceiling_is_denied(void **state)
{
	struct limits profile = { 0 }, ceiling = { 0 }, request = { 0 },
		      out = { .given = 77 };
	struct err err = { 0 };

	(void)state;
	limits_set(&ceiling, LIMIT_CPU_SECONDS, 10);
	limits_set(&request, LIMIT_CPU_SECONDS, 11);
	assert_int_equal(limits_resolve(&profile, &ceiling, &request, &out, &err),
			 -ERR_DENIED);
	assert_string_equal(err.stage, "limits.cpu_seconds");
	assert_int_equal(out.given, 77);

	limits_set(&request, LIMIT_CPU_SECONDS, 10);
	assert_int_equal(limits_resolve(&profile, &ceiling, &request, &out, &err), 0);
	assert_int_equal(out.v[LIMIT_CPU_SECONDS], 10);
}

/* 0 is "for ever" for a lifetime, and "nothing" for a core file. */
static void test_zero_is_the_most_where_it_means_none(void **state)
{
	struct limits profile = { 0 }, ceiling = { 0 }, request = { 0 }, out = { 0 };

	(void)state;
	limits_set(&ceiling, LIMIT_LIFETIME_MS, 1000);
	limits_set(&request, LIMIT_LIFETIME_MS, 0);
	assert_int_equal(limits_resolve(&profile, &ceiling, &request, &out, NULL),
			 -ERR_DENIED);

	limits_set(&ceiling, LIMIT_LIFETIME_MS, 0);
	limits_set(&request, LIMIT_LIFETIME_MS, UINT64_MAX);
	limits_set(&ceiling, LIMIT_CORE_BYTES, 5);
	limits_set(&request, LIMIT_CORE_BYTES, 0);
	assert_int_equal(limits_resolve(&profile, &ceiling, &request, &out, NULL), 0);
	assert_int_equal(out.v[LIMIT_CORE_BYTES], 0);
}

static void test_a_profile_beyond_the_ceiling_is_cut(void **state)
{
	struct limits profile = { 0 }, ceiling = { 0 }, out = { 0 };

	(void)state;
	limits_set(&profile, LIMIT_PROCESSES, 4096);
	limits_set(&ceiling, LIMIT_PROCESSES, 10);
	limits_set(&ceiling, LIMIT_OUTPUT_BYTES, 99);
	assert_int_equal(limits_resolve(&profile, &ceiling, NULL, &out, NULL), 0);
	assert_int_equal(out.v[LIMIT_PROCESSES], 10);
	assert_true(limits_has(&out, LIMIT_OUTPUT_BYTES));
	assert_int_equal(out.v[LIMIT_OUTPUT_BYTES], 99);
	assert_false(limits_has(&out, LIMIT_CPU_SECONDS));
}

static void test_only_the_same_user_may(void **state)
{
	CLEANUP(principal_unref) struct principal *a = NULL;
	CLEANUP(principal_unref) struct principal *b = NULL;
	CLEANUP(principal_unref) struct principal *c = NULL;

	(void)state;
	assert_int_equal(principal_new(&a, 0, 0, NULL), 0);
	assert_int_equal(principal_new(&b, 0, 0, NULL), 0);
	assert_int_equal(principal_new(&c, 65534, 65534, NULL), 0);
	assert_true(principal_may(a, ACCESS_SEE, b));
	assert_true(principal_may(a, ACCESS_TOUCH, b));
	assert_false(principal_may(a, ACCESS_SEE, c));
	assert_false(principal_may(c, ACCESS_TOUCH, a));
}

static void test_an_unknown_user_has_a_name_and_a_home(void **state)
{
	CLEANUP(principal_unref) struct principal *p = NULL;

	(void)state;
	assert_int_equal(principal_new(&p, 3999999999u, 42, NULL), 0);
	assert_string_equal(p->name, "#3999999999");
	assert_string_equal(p->home, "/");
	assert_string_equal(p->shell, "/bin/sh");
	assert_int_equal(p->gid, 42);
}

static void test_a_principal_lives_as_long_as_its_last_holder(void **state)
{
	struct principal *p = NULL;

	(void)state;
	assert_int_equal(principal_new(&p, 0, 0, NULL), 0);
	assert_ptr_equal(principal_ref(p), p);
	principal_unref(p);
	assert_string_equal(p->name, "root");
	principal_unref(p);
	principal_unref(NULL);
}

static void test_the_boot_has_one_id(void **state)
{
	struct id a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(boot_id_get(&a, NULL), 0);
	assert_int_equal(boot_id_get(&b, NULL), 0);
	assert_false(id_is_zero(&a));
	assert_true(id_eq(&a, &b));
}

static void test_every_fact_has_a_reason_or_is_found(void **state)
{
	struct boot_facts f;
	bool pidfd = false;

	(void)state;
	boot_probe(&f);
	assert_true(f.n >= 8);
	for (size_t i = 0; i < f.n; i++) {
		const struct boot_fact *x = &f.fact[i];

		if (x->found) {
			assert_string_equal(x->why, "");
			assert_null(x->cure);
		} else {
			print_message("%s: %s; %s\n", x->name, x->why, x->cure);
			assert_string_not_equal(x->why, "");
			assert_non_null(x->cure);
		}
		if (strcmp(x->name, "pidfd") == 0)
			pidfd = x->found;
	}
	/* The build itself needs a kernel that has these. */
	assert_true(pidfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_profiles_are_found_by_name),
		cmocka_unit_test(test_language_and_terminal_are_passed_and_nothing_else),
		cmocka_unit_test(test_variables_that_change_what_runs_are_refused),
		cmocka_unit_test(test_an_error_names_the_variable),
		cmocka_unit_test(test_what_is_no_name_is_refused),
		cmocka_unit_test(test_scratch_is_bounded_by_the_memory),
		cmocka_unit_test(test_a_request_beyond_the_ceiling_is_denied),
		cmocka_unit_test(test_zero_is_the_most_where_it_means_none),
		cmocka_unit_test(test_a_profile_beyond_the_ceiling_is_cut),
		cmocka_unit_test(test_only_the_same_user_may),
		cmocka_unit_test(test_an_unknown_user_has_a_name_and_a_home),
		cmocka_unit_test(test_a_principal_lives_as_long_as_its_last_holder),
		cmocka_unit_test(test_the_boot_has_one_id),
		cmocka_unit_test(test_every_fact_has_a_reason_or_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
