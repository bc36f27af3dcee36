/* SPDX-License-Identifier: Apache-2.0 */

/* Options of the command line, and the completions made of them. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/buf.h"
#include "../../src/base/cleanup.h"
#include "../../src/cli/cli.h"
#include "../../src/cli/opt.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_end_where_the_command_begins),
		cmocka_unit_test(test_options_may_follow_where_no_command_does),
		cmocka_unit_test(test_wrong_options_are_refused_with_what_is_allowed),
		cmocka_unit_test(test_no_verb_has_an_option_twice),
		cmocka_unit_test(test_the_shipped_completions_are_made_from_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
